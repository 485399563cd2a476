// Faults that must not stay silent: a model that is quantized already, layers that are left out, names with control characters, links to
// other places, damaged records. Each is reported, with the exit code of docs/cli.md.
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { encode16 } from '../../../src/dtype.js';
import { call, folder, matrix, model, put, putModel, widest } from '../../support/call-cli.js';
import { type MadeTensor, makeGguf, makeSafetensors, makeShards, zeros } from '../../support/files.js';
import { serve } from '../../support/server.js';

const at = folder();
vi.setConfig({ testTimeout: 60_000 });
const put1 = (name: string, tensors: readonly MadeTensor[], config?: string): string => {
  mkdirSync(at(name));
  putModel(at(name, 'model.safetensors'), tensors);
  if (config !== undefined) put(at(name, 'config.json'), config);
  return at(name);
};
let outs = 0;
const quantize = (input: string, ...flags: string[]) => call(['quantize', input, at(`out-${outs++}`), '--group', '32', '--json', ...flags]);

describe('quantize of what is quantized already: 4, and nothing is written', () => {
  const float = matrix('a.weight', [32, 64]);
  test.each<[string, readonly MadeTensor[], string | undefined, RegExp]>([
    ['quant_method', [float], '{"quantization_config":{"quant_method":"fp8"}}', /quantized already \(fp8\)/],
    ['bits alone', [float], '{"quantization_config":{"bits":4}}', /quantized already \(4 bits\)/],
    [
      'FP8',
      [float, zeros('b.weight', 'F8_E4M3', [4, 8], 32), zeros('b.weight_scale', 'F32', [], 4)],
      undefined,
      /b is quantized already \(FP8\)/,
    ],
    ['MXFP4', [float, zeros('e.down_proj_blocks', 'U8', [2, 4, 2], 16), zeros('e.down_proj_scales', 'U8', [2, 4], 8)], undefined, /MXFP4/],
    ['MLX', [float, zeros('b.weight', 'U32', [4, 8], 128), matrix('b.scales', [4, 1]), matrix('b.biases', [4, 1])], undefined, /MLX/],
    ['BitNet', [float, zeros('b.weight', 'U8', [4, 8], 32), zeros('b.weight_scale', 'BF16', [1], 2)], undefined, /BitNet/],
    ['a layout that nobody knows', [float, zeros('b.codes', 'U8', [4, 8], 32)], undefined, /b\.codes is quantized already/],
  ])('%s', async (name, tensors, config, message) => {
    const out = at(`never-${name}`);
    const { code, err } = await call(['quantize', put1(`quantized ${name}`, tensors, config), out, '--group', '32']);
    expect([code, err]).toEqual([4, expect.stringMatching(message)]);
    expect(existsSync(out)).toBe(false);
  });
  test('no layer was quantized: 4, with the reasons', async () => {
    const { code, err } = await quantize(put1('none', [matrix('a.weight', [8, 100]), matrix('b.weight', [1, 64])]));
    expect(code).toBe(4);
    expect(err).toMatch(/no layer to quantize; a\.weight: K = 100 is not a multiple of --group 32; b\.weight: a single output/);
  });
});

describe('what quantize takes', () => {
  const take = async (name: string, tensors: readonly MadeTensor[], config: object = {}) => {
    const { json } = await quantize(put1(name, tensors, JSON.stringify(config)));
    const { layers, copied, quantizationConfig } = json();
    const why = Object.fromEntries(copied.map((one: { name: string; why: string }) => [one.name, one.why]));
    return { layers: layers.map((one: { name: string }) => one.name), why, ignore: quantizationConfig.ignore };
  };
  test('embeddings, heads and routers under other names stay floats', async () => {
    const names = [
      'shared',
      'emb',
      'proj_out',
      'head',
      'score',
      'model.layers.0.mlp.shared_expert_gate',
      'blocks.0.ffn.router.layer',
      'encoder.block.0.layer.0.SelfAttention.relative_attention_bias',
      'layers.0.gate.wg',
    ];
    const tensors = [...names, 'x.shared_expert.up_proj', 'x.gate_proj', 'dit.0.proj_out'].map((name) =>
      matrix(`${name}.weight`, [32, 64]),
    );
    const { layers, why, ignore } = await take('names', tensors);
    expect(layers).toEqual(['x.shared_expert.up_proj', 'x.gate_proj', 'dit.0.proj_out']);
    expect(Object.keys(why)).toEqual(names.map((name) => `${name}.weight`));
    expect(ignore).toEqual(expect.arrayContaining(names));
  });
  test('by shape: a row for each token, or for each expert', async () => {
    const tensors = [matrix('a.weight', [48, 64]), matrix('b.weight', [12, 64]), matrix('c.weight', [32, 64])];
    const { layers, why } = await take('shapes', tensors, { text_config: { vocab_size: 48, num_local_experts: 12 } });
    expect(layers).toEqual(['c']);
    expect(why).toEqual({ 'a.weight': expect.stringContaining('each token'), 'b.weight': expect.stringContaining('a router of experts') });
  });
  test("GPT-2's Conv1D lie as (K, N): told by their biases, and those of their kind with them", async () => {
    const tensors = [
      matrix('h.0.attn.c_attn.weight', [64, 192]),
      matrix('h.0.attn.c_attn.bias', [192]),
      matrix('h.0.attn.c_proj.weight', [64, 64]),
      matrix('h.0.attn.c_proj.bias', [64]),
      matrix('h.0.linear.weight', [96, 64]),
      matrix('h.0.linear.bias', [96]),
    ];
    const { layers, why } = await take('conv1d', tensors);
    expect(layers).toEqual(['h.0.linear']);
    for (const name of ['c_attn', 'c_proj']) expect(why[`h.0.attn.${name}.weight`]).toContain('(K, N)');
  });
  test('experts of three dimensions, and every other tensor that stays float, are named', async () => {
    const tensors = [
      matrix('l.experts.gate_up_proj', [2, 32, 64]),
      matrix('a.weight', [32, 64]),
      matrix('a.bias', [32]),
      matrix('norm.weight', [64]),
    ];
    const input = put1('experts', tensors);
    const { code, out } = await call(['quantize', input, at('experts-out'), '--group', '32']);
    expect(code).toBe(0);
    expect(widest(out)).toBeLessThanOrEqual(80);
    for (const name of ['l.experts.gate_up_proj: 3 dimensions', 'a.bias: no matrix', 'norm.weight: no matrix']) expect(out).toContain(name);
    const { ignore } = JSON.parse(readFileSync(at('experts-out', 'config.json'), 'utf8')).quantization_config;
    expect(ignore).toEqual(['l.experts.gate_up_proj', 'lm_head']);
  });
});

describe('inspect', () => {
  test('layouts that are not read are told by name, and their scales are no matrices for quantize', async () => {
    const tensors = [
      zeros('l.0.weight', 'U8', [32, 32], 1024),
      matrix('l.0.scales', [32, 2]),
      matrix('l.0.tables', [32, 2]),
      matrix('x.weight', [2, 4, 8]),
    ];
    const { code, out, json } = await call(['inspect', put1('higgs', tensors)]);
    expect(code).toBe(0);
    expect(out).toMatch(/HIGGS: 1 layer, 1\.28 kB\n {2}HIGGS is not read yet; /);
    expect(out).not.toContain('makes codes of it');
    expect(out).toContain('which quantize copies: 3 dimensions');
    expect(json).toThrow();
    const document = (await call(['inspect', at('higgs'), '--json'])).json();
    expect(document.notYet).toEqual([{ name: 'l.0', format: 'HIGGS', bytes: 1280, why: expect.stringContaining('HIGGS is not read yet') }]);
    expect(document.unsupported.map(({ name }: { name: string }) => name)).toEqual(['l.0.weight', 'l.0.scales', 'l.0.tables']);
  });
  test('a GGUF with experts, and with an empty tensor', async () => {
    const path = put(
      at('experts.gguf'),
      makeGguf([
        zeros('blk.0.ffn_up_exps.weight', 'Q8_0', [2, 4, 32], 2 * 4 * 34),
        zeros('e.weight', 'Q8_0', [0, 32], 0),
        zeros('blk.0.q.weight', 'Q8_0', [4, 32], 136),
      ]),
    );
    const { code, json } = await call(['inspect', path, '--json']);
    expect(code).toBe(0);
    expect(json().layers.map(({ name }: { name: string }) => name)).toEqual(['blk.0.q']);
    expect(json().experts.map(({ name, experts }: { name: string; experts: number }) => [name, experts])).toEqual([
      ['blk.0.ffn_up_exps', 2],
    ]);
    expect(json().notYet).toEqual([]);
  });
});

describe('files as they lie about', () => {
  test("a configuration with Python's Infinity and NaN", async () => {
    const input = put1('python', model(), '{"model_type":"test","time_step_limit":[0.0,Infinity],"x":NaN}');
    for (const command of [
      ['inspect', input],
      ['quantize', input, at('python-out')],
    ])
      expect((await call(command)).code).toBe(0);
  });
  test('shards without an index: the whole model; one that is missing: 4', async () => {
    mkdirSync(at('shards'));
    const shards = [...makeShards([[matrix('a.weight', [32, 64])], [matrix('b.weight', [32, 64])]])].slice(1);
    for (const [name, bytes] of shards) put(at('shards', name), bytes);
    expect((await quantize(at('shards'))).json().layers.map(({ name }: { name: string }) => name)).toEqual(['a', 'b']);
    mkdirSync(at('half'));
    put(at('half', shards[0]![0]), shards[0]![1]);
    const { code, err } = await quantize(at('half'));
    expect([code, err]).toEqual([4, expect.stringContaining('model-00002-of-00002.safetensors: cannot be read')]);
  });
  test('an index of another version of the model: told, and read', async () => {
    const input = put1('stale', [matrix('a.weight', [32, 64])]);
    put(at('stale', 'model.safetensors.index.json'), '{"weight_map":{"z":"model-00001-of-00009.safetensors"}}');
    const { code, err, json } = await call(['inspect', input, '--json']);
    expect([code, err]).toEqual([0, expect.stringContaining('of another version of the model')]);
    expect([json().notes.length, json().float.length]).toEqual([1, 1]);
  });
  test('file:// addresses', async () => {
    const path = putModel(at('a file.safetensors'));
    expect((await call(['inspect', pathToFileURL(path).href, '--json'])).json().file).toBe(path);
  });
});

describe('a server', () => {
  test('whose config.json has no end is not read without end', async () => {
    const bytes = makeSafetensors(model());
    const server = createServer((request, response) => {
      if (request.url!.endsWith('.safetensors')) return void response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes);
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20)));
      };
      response.on('drain', more);
      more();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { code, err } = await call(['inspect', `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.safetensors`]);
    expect([code, err]).toEqual([4, expect.stringContaining('config.json')]);
    server.closeAllConnections();
    server.close();
  });
  test('secrets of its address are nowhere', async () => {
    const { url, close } = await serve(new Map([['m.safetensors', makeSafetensors(model())]]));
    const secret = url('m.safetensors?token=hunter3').replace('http://', 'http://someone:hunter2@');
    const outputs = [
      await call(['inspect', secret, '--json']),
      await call(['verify', secret, '--json']),
      await call(['quantize', secret, at('secret'), '--json']),
      await call(['inspect', secret.replace('m.safe', 'none.safe')]),
      await call(['inspect', secret.replace('/m', ':x/m')]),
    ];
    for (const { out, err } of outputs) expect(out + err).not.toMatch(/hunter|someone/);
    expect(outputs[0]!.json().file).toBe(url('m.safetensors'));
    expect(readFileSync(at('secret', 'antiquant-quantize.json'), 'utf8')).not.toMatch(/hunter/);
    await close();
  });
});

describe('names that command terminals', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
  const commanding = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;
  const evil = 'a\u001b]0;x\u0007\u009b2J\u202eb\u2066\u0085\u2028\u{e0041}';
  const bad: MadeTensor = {
    name: `${evil}.weight`,
    dtype: 'F16',
    shape: [32, 64],
    bytes: new Uint8Array(encode16([...Array(2047).fill(1), Number.NaN], 'float16').buffer),
  };
  test.each([[[]], [['--json']]])('text and errors %j', async (flags) => {
    const path = putModel(at('evil.safetensors'), [bad, matrix(`${evil}.q.weight`, [32, 64])]);
    const packed = putModel(at('evil4.safetensors'), [
      zeros(`${evil}.weight_packed`, 'I32', [8, 4], 128),
      zeros(`${evil}.weight_scale`, 'F16', [8, 3], 48),
    ]);
    for (const argv of [
      ['inspect', path],
      ['inspect', path, '--tensors'],
      ['quantize', path, at('evil-out'), '--group', '32', '--force'],
      ['verify', packed],
      ['inspect', packed],
      ['inspect', at(`${evil}`)],
      ['inspect', path, `--${evil}`],
    ]) {
      const { out, err } = await call([...argv, ...flags]);
      expect(commanding.test(out + err), JSON.stringify(out + err)).toBe(false);
      if (flags.length > 0 && out) JSON.parse(out);
    }
    const { json } = await call(['inspect', path, '--json']);
    expect(json().float[0].name).toBe(`${evil}.weight`); // escaped, and none the less itself
  });
});

describe('what lies in OUT', () => {
  const input = (): string => putModel(at('links.safetensors'));
  test('links under names of parts are not followed, and parts of others are left alone', async () => {
    mkdirSync(at('links'));
    const victim = put(at('victim'), 'precious');
    for (const name of ['model.safetensors.part', 'config.json.part', 'antiquant-quantize.json.part'])
      symlinkSync(victim, at('links', name));
    const { code, err } = await call(['quantize', input(), at('links')]);
    expect([code, err]).toEqual([0, expect.any(String)]);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(readdirSync(at('links')).filter((name) => name.endsWith('.part'))).toHaveLength(3);
  });
  test('a record cannot name a file elsewhere, nor a link, to be removed', async () => {
    const victim = put(at('victim.0123456789abcdef.part'), 'precious');
    mkdirSync(at('record'));
    const link = 'model.safetensors.fedcba9876543210.part';
    symlinkSync(victim, at('record', link));
    for (const part of ['../victim.0123456789abcdef.part', link, 'config.json', 7]) {
      writeFileSync(at('record', 'antiquant-quantize.json'), JSON.stringify({ version: 1, settings: {}, input: [], shards: {}, part }));
      expect((await call(['quantize', input(), at('record'), '--force'])).code).toBe(0);
    }
    expect([readFileSync(victim, 'utf8'), existsSync(at('record', link))]).toEqual(['precious', true]);
  });
  test.each([
    '{}',
    '{"shards":{"model.safetensors":{"bytes":1}}}',
    '{"shards":{"model.safetensors":null},"input":[]}',
    '[]',
    'null',
    '{"version":1,"settings":{},"input":[]}',
  ])('a record %s is none', async (record) => {
    const out = at(`damaged-${outs++}`);
    mkdirSync(out);
    writeFileSync(`${out}/antiquant-quantize.json`, record);
    writeFileSync(`${out}/model.safetensors`, 'x');
    const { code, err } = await call(['quantize', input(), out]);
    expect([code, err]).toEqual([2, expect.stringContaining('does not say how it was made')]);
    expect((await call(['quantize', input(), out, '--force'])).code).toBe(0);
  });
});
