// Language models wherever they are: files of a page, a folder on disk, a URL; split GGUF files; and folders that lie.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ArgumentError, FormatError, ReadError, UnsupportedError } from '../../../src/errors.js';
import { openModel, readTensor } from '../../../src/files/open-file.js';
import { asFloats } from '../../../src/files/raw-tensor.js';
import type { LayerSource } from '../../../src/formats/layer-source.js';
import { readPieces } from '../../../src/formats/read-layer.js';
import { Llm } from '../../../src/llm.js';
import { isFloat } from '../../../src/model/language-model.js';
import { openLanguageModel } from '../../../src/model/open-language-model.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { type MadeTensor, makeGguf, utf8 } from '../../support/files.js';
import { FOLDER_FORMATS, type FolderFormatName, f16 } from '../../support/folder-formats.js';
import { chatConfigOf, mlcFilesOf } from '../../support/mlc-folder.js';
import { modelFile, modelParts } from '../../support/model-file.js';
import { asFiles, type FolderParts, filesOf, folderParts, TEMPLATE } from '../../support/model-folder.js';
import { serve } from '../../support/server.js';

type Files = Map<string, Uint8Array<ArrayBuffer>>;
const SMALL = { layers: 1, feedForward: 64, width: 64, heads: 2, kvHeads: 1 };
const QWEN = { type: 'qwen2', format: 'GPTQ', sizes: SMALL } as const;
const files: Files = filesOf(folderParts(QWEN));
const open = (given: Files) => openLanguageModel(asFiles(given));
const changed = (change: (parts: FolderParts) => Partial<FolderParts>, options: Parameters<typeof folderParts>[0] = QWEN): Files => {
  const parts = folderParts(options);
  return filesOf({ ...parts, ...change(parts) });
};

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});
async function onDisk(given: ReadonlyMap<string, Uint8Array>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'antiquant-'));
  folders.push(folder);
  for (const [name, bytes] of given) await writeFile(join(folder, name), bytes);
  return folder;
}

test('a model of a hub is found by its short address', async () => {
  const bytes = modelFile({ architecture: 'llama' });
  const asked = new Set<string>();
  const fetch: typeof globalThis.fetch = async (url) => {
    asked.add(String(url));
    return new Response(bytes, { headers: { 'content-length': String(bytes.length) } });
  };
  const { weights } = await Llm.estimate('hf:org/name@v1/model.gguf', { fetch });
  expect(weights).toBeGreaterThan(0);
  expect([...asked]).toEqual(['https://huggingface.co/org/name/resolve/v1/model.gguf']);
  await expect(Llm.estimate('hf:org', { fetch })).rejects.toThrow(ArgumentError);
});

describe('an MLC folder', () => {
  const parts = folderParts({
    type: 'qwen2',
    format: 'MLC q4f16_1',
    sizes: SMALL,
    shards: 2,
    joined: { qkv: 'self_attn.c_attn.weight', qkvBias: 'self_attn.c_attn.bias' },
  });
  const folder = mlcFilesOf(parts);
  const chat = chatConfigOf(parts);
  const { model_config: own } = chat as { model_config: object };

  test('is opened from files, a path of it or of one of its files, and a URL', async () => {
    const path = await onDisk(folder);
    const paths = [path, join(path, 'mlc-chat-config.json'), join(path, 'ndarray-cache.json')];
    const server = await serve(new Map([...folder].map(([name, bytes]) => [`org/qwen/${name}`, bytes])));
    try {
      const urls = [server.url('org/qwen/'), server.url('org/qwen/mlc-chat-config.json')];
      for (const from of [asFiles(folder), ...paths, ...urls]) {
        const model = await openLanguageModel(from);
        expect(model.config).toEqual(parts.config);
        expect([...model.matrices.keys()].slice(0, 4)).toEqual(['embedding', 'qkv.0', 'o.0', 'gateUp.0']);
        expect([...(await model.tokenizer()).stops].sort()).toEqual([257, 258]);
        expect([...(await model.templates())]).toEqual([['default', TEMPLATE]]);
      }
    } finally {
      await server.close();
    }
  });

  test('may have the index that newer versions write', async () => {
    const renamed = new Map([...folder].map(([name, bytes]) => [name.replace('ndarray', 'tensor'), bytes]));
    expect((await open(renamed)).config).toEqual(parts.config);
  });

  test('is a Hugging Face folder if it has safetensors', async () => {
    expect((await open(new Map([...folder, ...files]))).file.kind).toBe('safetensors');
  });

  test.each<[string, object, RegExp]>([
    ['another architecture', { model_type: 'rwkv6' }, /model_type: expected llama, mistral, qwen2, qwen3, got "rwkv6"/],
    ['a window', { model_config: { ...own, sliding_window_size: 4096 } }, /sliding_window_size: expected none/],
    ['a key that is not known', { model_config: { ...own, logit_scale: 2 } }, /logit_scale: expected no such key/],
    ['no sizes', { model_config: 7 }, /model_config: expected an object, got 7/],
    [
      'positions without end',
      { model_config: { ...own, context_window_size: -1 } },
      /model_config.context_window_size: expected a number of positions, got -1/,
    ],
    ['another width', { model_config: { ...own, hidden_size: 128 } }, /shape: expected/],
    ['another quantization', { quantization: 'q9f16_1' }, /quantization: expected q4f16_0/],
  ])('%s is refused by its name', async (_, changed, message) => {
    await expect(open(mlcFilesOf(parts, { ...chat, ...changed }))).rejects.toThrow(message);
  });

  test('without weights it says so', async () => {
    const bare = new Map([...folder].filter(([name]) => name !== 'ndarray-cache.json'));
    await expect(open(bare)).rejects.toThrow(/it has neither ndarray-cache.json nor tensor-cache.json/);
    const short = new Map([...folder].filter(([name]) => name !== 'params_shard_1.bin'));
    await expect(open(short)).rejects.toThrow(ReadError);
  });
});

describe('a Hugging Face folder', () => {
  const { config } = folderParts(QWEN);

  test('is opened from files in any order, a Map, or a FileList', async () => {
    for (const from of [asFiles(files), asFiles(files).reverse(), new Map([...files].map(([name, bytes]) => [name, new Blob([bytes])]))]) {
      const model = await openLanguageModel(from);
      expect(model.config).toEqual(config);
      expect(model.matrices.size).toBe(1 + 7 + 1);
    }
    const list = asFiles(files);
    for (const file of list) Object.defineProperty(file, 'webkitRelativePath', { value: `qwen/${file.name}` });
    expect((await openLanguageModel(list)).config).toEqual(config);
  });

  test('is opened from a path of it, of its configuration or its weights', async () => {
    const folder = await onDisk(files);
    for (const path of [folder, `${folder}/`, join(folder, 'config.json'), join(folder, 'model.safetensors')])
      expect((await openLanguageModel(path)).config, path).toEqual(config);
    const shards = await onDisk(filesOf(folderParts({ ...QWEN, shards: 3 })));
    for (const path of [shards, join(shards, 'model.safetensors.index.json')])
      expect((await openLanguageModel(path)).matrices.size, path).toBe(9);
  });

  test('is opened from weights whose name on disk looks like an encoded one', async () => {
    for (const name of ['a%20b.safetensors', '100%.safetensors']) {
      const folder = await onDisk(new Map([...files].map(([own, bytes]) => [own === 'model.safetensors' ? name : own, bytes])));
      expect((await openLanguageModel(join(folder, name))).config, name).toEqual(config);
    }
  });

  test('is opened from a URL that ends in a slash, of one file or of an index', async () => {
    for (const shards of [1, 3]) {
      const server = await serve(
        new Map([...filesOf(folderParts({ ...QWEN, shards }))].map(([name, bytes]) => [`org/qwen/${name}`, bytes])),
      );
      try {
        const model = await openLanguageModel(server.url('org/qwen/'));
        expect(model.config).toEqual(config);
        expect((await model.tokenizer()).encode('hi')).toEqual([104, 105]);
        expect([...(await model.templates())]).toEqual([['default', TEMPLATE]]);
        expect((await openLanguageModel(new URL(server.url('org/qwen/config.json')))).config).toEqual(config);
        let fetched = 0;
        const fetch: typeof globalThis.fetch = (...given) => {
          fetched++;
          return globalThis.fetch(...given);
        };
        const asked = await openLanguageModel(server.url('org/qwen/'), { fetch });
        await asked.tokenizer();
        expect(fetched).toBeGreaterThanOrEqual(shards + 2); // config.json, tokenizer.json, and each file of weights
      } finally {
        await server.close();
      }
    }
  });

  test('may have weights of any name, if it is one file, or an index', async () => {
    const renamed = new Map(
      [...files].map(([name, bytes]) => [name === 'model.safetensors' ? 'gptq_model-4bit-32g.safetensors' : name, bytes]),
    );
    expect((await open(renamed)).matrices.size).toBe(9);
    const two = new Map([...renamed, ['other.safetensors', files.get('model.safetensors')!]]);
    await expect(open(two)).rejects.toThrow(/it has gptq_model-4bit-32g.safetensors, other.safetensors, and no index of them/);
  });

  test('may say how it was quantized in a file of its own', async () => {
    const bare = changed(({ json }) => ({ json: { ...json, quantization_config: undefined } }));
    bare.set(
      'quantize_config.json',
      new Uint8Array(utf8('{"bits": 4, "group_size": 32, "desc_act": false, "sym": false, "checkpoint_format": "gptq"}')),
    );
    const model = await open(bare);
    const q = model.matrices.get('q.0')!;
    expect(!isFloat(q) && [q.format, q.groupSize, q.cut !== undefined]).toEqual(['GPTQ', 32, true]); // without desc_act it could not be cut
  });

  test('has its template in a file of its own, or a list', async () => {
    const jinja = new Map([...files, ['chat_template.jinja', new Uint8Array(utf8('own'))]]);
    expect((await (await open(jinja)).templates()).get('default')).toBe('own');
  });

  const ofAll = (Object.keys(FOLDER_FORMATS) as FolderFormatName[]).filter((format) => format !== 'gpt-oss'); // which is of experts alone
  test.each(ofAll)('%s: every matrix is found', async (format) => {
    for (const type of ['llama', 'qwen2', 'qwen3'] as const) {
      const { matrices, vectors, zeros } = await open(filesOf(folderParts({ type, format, sizes: SMALL })));
      expect(matrices.size).toBe(9);
      expect(vectors.size).toBe(type === 'qwen3' ? 5 : 3);
      expect(zeros).toEqual([]);
      const [q, embedding] = [matrices.get('q.0')!, matrices.get('embedding')!];
      expect(isFloat(q)).toBe(format === 'floats');
      expect(q.bias !== undefined).toBe(type === 'qwen2');
      expect(isFloat(embedding)).toBe(!('whole' in FOLDER_FORMATS[format]) || format === 'floats');
    }
  });

  test.each([
    ['model.', ''],
    ['language_model.model.', 'language_model.'],
    ['model.language_model.', ''],
  ])('may have more than text: the model is behind %s', async (root, head) => {
    const parts = folderParts({ type: 'gemma3_text', format: 'GPTQ', tied: true, sizes: SMALL });
    const renamed = parts.tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, root) }));
    const embedding = renamed.find(({ name }) => name === `${root}embed_tokens.weight`)!;
    const outside = root.startsWith('model.l') ? 'model.' : '';
    const images = ['vision_tower.a.weight', 'multi_modal_projector.b.weight'].map((name) =>
      f16(`${outside}${name}`, [2, 3], [1, 2, 3, 4, 5, 6]),
    );
    const { architectures: _, eos_token_id, ...text_config } = parts.json;
    const quantization_config = text_config.quantization_config;
    delete text_config.quantization_config;
    const json = {
      ...{ model_type: 'gemma3', architectures: ['Gemma3ForConditionalGeneration'], vision_config: {}, eos_token_id },
      ...{ text_config, quantization_config },
    };
    const tensors = [...renamed, { ...embedding, name: `${head}lm_head.weight` }, ...images];
    const model = await open(filesOf({ ...parts, json, tensors }));
    expect(model.config).toEqual(parts.config);
    expect(model.matrices.size).toBe(1 + 7);
    expect(model.vectors.size).toBe(1 + 6);
    expect(model.normOffset).toBe(1);
    expect(model.notes).toEqual(['it is the text’s model: 2 tensors of images are left out']);
    const more = [...tensors, f16(`${root}layers.0.x.weight`, [2, 3], [1, 2, 3, 4, 5, 6])];
    await expect(open(filesOf({ ...parts, json, tensors: more }))).rejects.toThrow(/layers.0.x.weight: expected no such tensor in gemma3/);
    const onlyText = filesOf({ ...parts, tensors: [...parts.tensors, ...images] });
    await expect(open(onlyText)).rejects.toThrow(/vision_tower.a.weight: expected no such tensor in gemma3/);
  });

  describe('of experts', () => {
    const MOE = { type: 'qwen3_moe', format: 'GPTQ', sizes: SMALL } as const;
    const up = 'model.layers.0.mlp.experts.2.up_proj';
    const without = (tensors: readonly MadeTensor[], name: string) => tensors.filter((one) => !one.name.startsWith(name));
    const opened = (tensors: (all: MadeTensor[]) => MadeTensor[], options: Parameters<typeof folderParts>[0] = MOE) => {
      const parts = folderParts({ ...options, json: options.type === 'qwen3_moe' ? { moe_intermediate_size: SMALL.feedForward } : {} });
      return open(filesOf({ ...parts, tensors: tensors(parts.tensors) }));
    };

    test.each(['GPTQ', 'AWQ', 'NF4', 'floats'] as const)('%s: each has matrices of its own', async (format) => {
      const { experts, matrices, vectors } = await opened((all) => all, { ...MOE, format });
      expect([...experts.keys()]).toEqual(['gates.0', 'ups.0', 'downs.0']);
      for (const { source } of experts.values()) expect(source.length).toBe(4);
      const third = experts.get('ups.0')!.source[2]!;
      expect(third.name).toBe(format === 'floats' ? `${up}.weight` : up);
      expect(matrices.size).toBe(1 + 4 + 1);
      expect(vectors.get('router.0')!.shape).toEqual([4, 64]);
    });

    test.each([
      ['qwen3_moe', 'mlp.switch_mlp.up_proj'],
      ['mixtral', 'block_sparse_moe.switch_mlp.up_proj'],
      ['gpt_oss', 'mlp.experts.up_proj'],
    ] as const)('of MLX: those of %s are one tensor, and routers are decoded', async (type, ups) => {
      const options = { ...MOE, type, format: 'MLX' } as const;
      const { experts, vectors } = await opened((all) => all, options);
      expect([...experts.keys()]).toEqual(['gates.0', 'ups.0', 'downs.0']);
      expect(experts.get('ups.0')!.source[2]!.name).toBe(`model.layers.0.${ups}.2`);
      expect(experts.get('ups.0')!.source.length).toBe(4);
      const router = await readTensor(vectors.get('router.0')!);
      const want = folderParts(options).weight('router.0');
      expect([router.dtype, router.shape]).toEqual(['F32', [4, 64]]);
      expect(asFloats(router)).toEqual(Float32Array.from(want));
      const whole = vectors.get('router.0')!;
      expect(await whole.source.read(8, 20)).toEqual(router.bytes.slice(8, 20));
    });

    test('of gpt-oss are two tensors, of which one is gate and up in pairs', async () => {
      const options = { ...MOE, type: 'gpt_oss', format: 'gpt-oss' } as const;
      const { experts, vectors, notes } = await opened((all) => all, options);
      expect([...experts.keys()]).toEqual(['gates.0', 'downs.0']);
      const [gates, downs] = [experts.get('gates.0')!.source[1] as LayerSource, experts.get('downs.0')!.source[3] as LayerSource];
      expect([gates.n, gates.k, downs.n, downs.k]).toEqual([2 * SMALL.feedForward, 64, 64, SMALL.feedForward]);
      expect([vectors.get('sinks.0')!.shape, vectors.get('routerBias.0')!.shape, notes]).toEqual([[2], [4], []]);
      const { weight } = folderParts(options);
      const ofTwo = (gate: Float64Array, up: Float64Array, [expert, row, k]: readonly [number, number, number]): number[] => {
        const own = 2 * Math.floor(row / 4) + (row % 2);
        const at = (expert * SMALL.feedForward + own) * k;
        return [...(row % 4 < 2 ? gate : up).subarray(at, at + k)].map((value) => value + 0); // no -0
      };
      // Whatever runs it is read in.
      for (const chunkBytes of [1, 500, 2 ** 24])
        for await (const { matrix, n } of readPieces(gates, { chunkBytes })) {
          const got = dequantize(matrix);
          for (let row = 0; row < matrix.n; row++)
            expect([...got.subarray(row * 64, (row + 1) * 64)].map((value) => value + 0)).toEqual(
              ofTwo(weight('gates.0'), weight('ups.0'), [1, n + row, 64]),
            );
        }
      const bias = asFloats(await readTensor(gates.bias!));
      const wanted = Array.from(bias, (_, row) => ofTwo(weight('gatesBias.0'), weight('upsBias.0'), [1, row, 1])).flat();
      expect([...bias]).toEqual(wanted);
      expect(new Set(wanted).size).toBeGreaterThan(100);
    });

    test('of gpt-oss that are no pairs, or no such tensors, are refused', async () => {
      const options = { ...MOE, type: 'gpt_oss', format: 'gpt-oss' } as const;
      const base = 'model.layers.0.mlp.experts';
      const other = (end: string, change: (one: MadeTensor) => object) => (all: MadeTensor[]) =>
        all.map((one) => (one.name === `${base}.${end}` ? { ...one, ...change(one) } : one));
      const odd = other('gate_up_proj_bias', ({ bytes }) => ({ shape: [4, 126], bytes: bytes.subarray(0, 4 * 126 * 2) }));
      await expect(opened(odd, options)).rejects.toThrow(/gate_up_proj_bias: expected pairs of gates and ups, got 126 rows/);
      await expect(opened((all) => without(all, `${base}.down_proj_scales`), options)).rejects.toThrow(/down_proj.*no such tensor/);
      await expect(opened((all) => without(all, `${base}.down_proj_bias`), options)).rejects.toThrow(
        /down_proj_bias: shape: expected \(4, 64\), got no such/,
      );
      const floats = (all: MadeTensor[]) => [
        ...without(all, `${base}.gate_up`),
        f16(`${base}.gate_up_proj`, [4, 64, 128], new Float32Array(4 * 64 * 128)),
      ];
      await expect(opened(floats, options)).rejects.toThrow(/gate_up_proj: expected gate_up_proj_blocks and gate_up_proj_scales, got F16/);
      const more = (all: MadeTensor[]) => [
        ...all,
        ...all.filter(({ name }) => name.includes('down_proj_')).map((one) => ({ ...one, name: one.name.replace('down', 'side') })),
      ];
      await expect(opened(more, options)).rejects.toThrow(/side_proj.*expected no such tensor in gpt-oss/);
    });

    test('all of them are there, alike, and no more', async () => {
      await expect(opened((all) => without(all, up))).rejects.toThrow(
        new RegExp(`${up}: shape: expected \\(64, 64\\), got no such tensor`),
      );
      await expect(opened((all) => without(all, up), { ...MOE, format: 'floats' })).rejects.toThrow(
        `${up}.weight: shape: expected (64, 64), got no such`,
      );
      const more = (all: MadeTensor[]) => [
        ...all,
        ...all.filter(({ name }) => name.startsWith(up)).map((one) => ({ ...one, name: one.name.replace('experts.2', 'experts.4') })),
      ];
      await expect(opened(more)).rejects.toThrow(/experts.4.up_proj.*expected no such tensor in qwen3moe/);
      const mixed = (all: MadeTensor[]) => [...without(all, up), f16(`${up}.weight`, [64, 64], new Float32Array(64 * 64))];
      await expect(opened(mixed)).rejects.toThrow(`${up}: shape: expected (64, 64), got no such tensor`);
    });
  });

  test('whose head is the embedding may repeat it', async () => {
    const tied = { type: 'llama', format: 'floats', tied: true, sizes: SMALL } as const;
    const parts = folderParts(tied);
    const copy = { ...parts.tensors.find(({ name }) => name === 'model.embed_tokens.weight')!, name: 'lm_head.weight' };
    const { matrices } = await open(filesOf({ ...parts, tensors: [...parts.tensors, copy] }));
    expect(matrices.has('head')).toBe(false);
  });

  test('may have frequencies that are computed here', async () => {
    const extra = f16('model.layers.0.self_attn.rotary_emb.inv_freq', [16], new Float32Array(16));
    expect((await open(changed(({ tensors }) => ({ tensors: [...tensors, extra] })))).matrices.size).toBe(9);
  });
});

describe('split GGUF files', () => {
  const { metadata, tensors } = modelParts({ architecture: 'llama', sizes: { layers: 2, feedForward: 256 } });
  const name = (i: number): string => `tiny-0000${i + 1}-of-00003.gguf`;
  const parts = new Map(
    [0, 1, 2].map((i) => {
      const own = tensors.filter((_, at) => at % 3 === i);
      const keys: typeof metadata = new Map([
        ...(i === 0 ? metadata : []),
        ['split.no', ['UINT16', i]],
        ['split.count', ['UINT16', 3]],
        ['split.tensors.count', ['INT32', tensors.length]],
      ]);
      return [name(i), makeGguf(own, { metadata: keys })] as const;
    }),
  );

  test('are one model: as files, by a path, by a folder, by a URL', async () => {
    const folder = await onDisk(parts);
    const server = await serve(parts);
    try {
      for (const from of [asFiles(parts).reverse(), join(folder, name(0)), folder, server.url(name(0))]) {
        const model = await openLanguageModel(from);
        expect(model.config.layers).toBe(2);
        expect(model.matrices.size).toBe(2 * 7 + 2);
      }
    } finally {
      await server.close();
    }
  });

  test('need all of them, and no other', async () => {
    const [first, second, third] = asFiles(parts) as [File, File, File];
    await expect(openLanguageModel([first, third])).rejects.toThrow(
      /tiny-00002-of-00003.gguf: cannot be read: it is not one of the 2 files given/,
    );
    await expect(openLanguageModel([first, second, third, new File([], 'other.gguf')])).rejects.toThrow(ArgumentError);
    await expect(openLanguageModel([])).rejects.toThrow('from: expected the files of a model, got none');
  });
});

describe('what is no model is refused', () => {
  test('safetensors without their folder', async () => {
    const file = await openModel(files.get('model.safetensors')!, { name: 'model.safetensors' });
    await expect(openLanguageModel(file)).rejects.toThrow(/safetensors have no configuration: give the folder/);
  });

  const without = (...names: string[]): Files => new Map([...files].filter(([name]) => !names.includes(name)));
  const json = (value: string): Uint8Array<ArrayBuffer> => new Uint8Array(utf8(value));

  test.each<[string, Files, abstract new (...given: never[]) => Error, RegExp]>([
    ['no configuration', without('config.json'), ReadError, /config.json/],
    ['no weights', without('model.safetensors'), ReadError, /it has no safetensors/],
    ['a configuration that is no JSON', new Map([...files, ['config.json', json('{"a":')]]), FormatError, /config.json: JSON/],
    [
      'a configuration that is a list',
      new Map([...files, ['config.json', json('[]')]]),
      FormatError,
      /config.json: JSON: expected an object/,
    ],
    ['an empty file of weights', new Map([...files, ['model.safetensors', json('')]]), FormatError, /model.safetensors/],
    [
      'half of the weights',
      new Map([...files, ['model.safetensors', files.get('model.safetensors')!.slice(0, 9000)]]),
      FormatError,
      /model.safetensors/,
    ],
    [
      'an index of nothing',
      new Map([...without('model.safetensors'), ['model.safetensors.index.json', json('{"weight_map":{"a":"b.safetensors"}}')]]),
      ReadError,
      /b.safetensors/,
    ],
  ])('%s', async (_, given, kind, message) => {
    await expect(open(given)).rejects.toThrow(kind);
    await expect(open(given)).rejects.toThrow(message);
  });

  const swap = (name: string, ...by: MadeTensor[]): Files =>
    changed(({ tensors }) => ({ tensors: tensors.flatMap((one) => (one.name === name ? by : [one])) }));
  const layer = 'model.layers.0';
  test.each<[string, Files, abstract new (...given: never[]) => Error, RegExp]>([
    [
      'a norm that is missing',
      swap(`${layer}.input_layernorm.weight`),
      FormatError,
      /input_layernorm.weight: shape: expected \(64,\), got no such tensor/,
    ],
    [
      'a norm of another length',
      swap('model.norm.weight', f16('model.norm.weight', [65], new Float32Array(65))),
      FormatError,
      /model.norm.weight: shape/,
    ],
    ['a bias that is missing', swap(`${layer}.self_attn.k_proj.bias`), FormatError, /k_proj.bias: shape/],
    [
      'a matrix that is missing',
      swap(`${layer}.mlp.up_proj.qweight`),
      FormatError,
      /up_proj.weight: shape: expected \(64, 64\), got no such tensor/,
    ],
    ['scales that are missing', swap(`${layer}.mlp.up_proj.scales`), FormatError, /up_proj/],
    [
      'an embedding of another width',
      swap('model.embed_tokens.weight', f16('model.embed_tokens.weight', [264, 32], new Float32Array(264 * 32))),
      FormatError,
      /embed_tokens.weight: shape: expected \(264, 64\), got \(264, 32\)/,
    ],
    [
      'an embedding of int32',
      swap('model.embed_tokens.weight', {
        name: 'model.embed_tokens.weight',
        dtype: 'I32',
        shape: [264, 64],
        bytes: new Uint8Array(4 * 264 * 64),
      }),
      UnsupportedError,
      /embed_tokens.weight/,
    ],
    [
      'a tensor more',
      swap('model.norm.weight', f16('model.norm.weight', [64], new Float32Array(64)), f16('model.other.weight', [3], [1, 2, 3])),
      UnsupportedError,
      /model.other.weight: expected no such tensor in qwen2, got F16 \(3,\)/,
    ],
    ['a layer more', changed(({ json: own }) => ({ json: { ...own, num_hidden_layers: 2 } })), FormatError, /model.layers.1/],
    [
      'a layer less',
      changed(() => ({}), { ...QWEN, sizes: { ...SMALL, layers: 2 }, json: { num_hidden_layers: 1 } }),
      UnsupportedError,
      /model.layers.1/,
    ],
    [
      'another width',
      changed(({ json: own }) => ({ json: { ...own, intermediate_size: 96 } })),
      FormatError,
      /(gate|up|down)_proj: shape: expected/,
    ],
    [
      'another method',
      changed(({ json: own }) => ({ json: { ...own, quantization_config: { quant_method: 'hqq' } } })),
      FormatError,
      /quant_method: expected/,
    ],
    [
      'another version',
      changed(({ json: own }) => ({ json: { ...own, quantization_config: { quant_method: 'awq', version: 'gemv' } } }), {
        ...QWEN,
        format: 'AWQ',
      }),
      FormatError,
      /version: expected gemm/,
    ],
  ])('%s', async (_, given, kind, message) => {
    await expect(open(given)).rejects.toThrow(kind);
    await expect(open(given)).rejects.toThrow(message);
  });

  test.each<[string, string, RegExp]>([
    ['tokenizer.json', '{"model":', /tokenizer.json: JSON: expected JSON in UTF-8/],
    ['tokenizer.json', '[]', /tokenizer.json: JSON: expected an object/],
    ['tokenizer.json', '{}', /tokenizer.json: model: expected an object/],
    ['tokenizer_config.json', '{"eos_token": "nothing"}', /eos_token/],
    ['generation_config.json', '{"eos_token_id": 1e9}', /eos_token_id/],
  ])('%s of %s', async (name, text, message) => {
    const model = await open(new Map([...files, [name, json(text)]]));
    await expect(model.tokenizer()).rejects.toThrow(FormatError);
    await expect(model.tokenizer()).rejects.toThrow(message);
  });

  test('text without tokenizer.json; the model is opened nevertheless', async () => {
    await expect((await open(without('tokenizer.json'))).tokenizer()).rejects.toThrow(UnsupportedError);
    const none = await open(without('tokenizer_config.json', 'generation_config.json'));
    expect([...(await none.tokenizer()).stops]).toContain(257); // of config.json
    expect(await none.templates()).toEqual(new Map());
  });
});

test('weights with any byte changed open, or end in a typed error', async () => {
  const bytes = files.get('model.safetensors')!;
  const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  let opened = 0;
  for (let i = 0; i < 300; i++) {
    const copy = bytes.slice();
    const at = 8 + ((i * 7919) % header);
    copy[at] = (copy[at]! + 1 + (i % 5)) & 127;
    try {
      await open(new Map([...files, ['model.safetensors', copy]]));
      opened++;
    } catch (error) {
      expect(
        [FormatError, UnsupportedError].some((kind) => error instanceof kind),
        String(error),
      ).toBe(true);
    }
  }
  expect(opened).toBeLessThan(100);
});
