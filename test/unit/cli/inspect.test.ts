// antiquant inspect on small files of every container: each tensor as text and as JSON, and files that contradict their format.
import { mkdirSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { gpuBits, inMemory, memoryText } from '../../../cli/describe.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { call, folder, matrix, model, put, putModel, widest } from '../../support/call-cli.js';
import { type MadeTensor, makeGguf, makeMlc, makeSafetensors, makeShards, rawSafetensors, zeros } from '../../support/files.js';
import { normals } from '../../support/normal-weights.js';
import { serve } from '../../support/server.js';
import { raw } from '../../support/tensors.js';

const at = folder();
vi.setConfig({ testTimeout: 60_000 }); // many files are written; machines may be busy
const ones = (name: string, shape: readonly number[]): MadeTensor =>
  raw(name, 'F16', shape, Array(shape.reduce((a, b) => a * b, 1)).fill(1));
const gptq = (name: string): MadeTensor[] => [
  zeros(`${name}.qweight`, 'I32', [8, 16], 512),
  zeros(`${name}.qzeros`, 'I32', [2, 2], 16),
  ones(`${name}.scales`, [2, 16]),
];

test('a float model: what quantize would take, and what not', async () => {
  const path = putModel(at('float.safetensors'));
  const { code, out } = await call(['inspect', path]);
  expect(code).toBe(0);
  expect(widest(out)).toBeLessThanOrEqual(80);
  expect(out).toMatch(/model\.layers\.\*\.mlp\.up_proj\.weight +× 2 +F16 +64 × 256 +65\.5 kB/);
  expect(out).toMatch(/float, an embedding: quantize takes it only with --include\n +model\.embed_tokens\.weight/);
  expect(out).toMatch(/float, the head: .*\n +lm_head\.weight/);
  const json = (await call(['inspect', path, '--json'])).json();
  expect(json).toMatchObject({
    command: 'inspect',
    file: path,
    kind: 'safetensors',
    layers: [],
    refused: [],
    unsupported: [],
    config: null,
  });
  expect(json.float).toHaveLength(9);
  expect(json.other).toHaveLength(4);
  const counted = [...json.float, ...json.other, ...json.unsupported].reduce((sum: number, one: { bytes: number }) => sum + one.bytes, 0);
  expect(counted).toBe(model().reduce((sum, { bytes }) => sum + bytes.length, 0));
  expect(json.totals.reduce((sum: number, one: { bytes: number }) => sum + one.bytes, 0)).toBe(counted);
});

test('a folder of a quantized model, with its configuration', async () => {
  mkdirSync(at('gptq'));
  const layers = [0, 1].flatMap((i) => gptq(`model.layers.${i}.up_proj`));
  for (const [name, bytes] of makeShards([layers.slice(0, 3), layers.slice(3)])) put(at('gptq', name), bytes);
  put(
    at('gptq', 'config.json'),
    JSON.stringify({ quantization_config: { quant_method: 'gptq', bits: 4, group_size: 32, desc_act: false } }),
  );
  const { code, out } = await call(['inspect', at('gptq')]);
  expect(code).toBe(0);
  expect(out).toContain('safetensors, 2 files');
  expect(out).toContain('configuration: config.json');
  expect(out).toMatch(
    /GPTQ: 2 layers, 1\.18 kB\n {2}importGptq → 4-bit codes, groups of 32, float16 scales, zero points; 4\.63 bits\n {2}a weight in the file, 5\.25 in GPU memory\n {4}model\.layers\.\*\.up_proj +× 2 +16 × 64/,
  );
  const json = (await call(['inspect', at('gptq'), '--json', '--tensors'])).json();
  expect(json.layers).toHaveLength(2);
  expect(json.layers[0]).toEqual({
    name: 'model.layers.0.up_proj',
    format: 'GPTQ',
    n: 16,
    k: 64,
    bits: 4,
    groupSize: 32,
    bytes: 592,
    bitsInFile: (8 * 592) / 1024,
    // Codes, float16 scales and bytes of zero points of two groups, a float32 of bias.
    bitsInMemory: 4 + (2 * 16 + 2 * 8 + 32) / 64,
    bias: false,
    importer: 'importGptq',
    cut: json.layers[0].cut, // the importer's matter
    inMemory: {
      scaleDtype: 'float16',
      scaleForm: null,
      zeroPoints: 'whole',
      minimum: false,
      codebook: false,
      codeForm: null,
      permutation: false,
      inputScale: false,
    },
    why: null,
    what: 'importGptq → 4-bit codes, groups of 32, float16 scales, zero points',
  });
  expect(json.tensors).toHaveLength(6);
  expect(json.tensors[0]).toEqual({
    name: 'model.layers.0.up_proj.qweight',
    dtype: 'I32',
    shape: [8, 16],
    bytes: 512,
    what: 'GPTQ: qweight of model.layers.0.up_proj',
  });
  expect(json.config).toBe(at('gptq', 'config.json'));
  // Another configuration is heard before that of the folder.
  const other = put(at('other.json'), '{"quant_method":"awq","bits":4,"group_size":32}');
  const refused = (await call(['inspect', at('gptq'), '--json', '--config', other])).json();
  expect(refused.refused).toHaveLength(2);
  expect(refused.layers).toEqual([]);
});

test('layers and tensors that are not what they say are told with their reasons, and end with 0', async () => {
  const nan = raw('bad.scales', 'F16', [2, 16], [Number.NaN, ...Array(31).fill(1)]);
  const path = putModel(at('bad.safetensors'), [...gptq('bad').slice(0, 2), nan, zeros('f8.weight', 'F8_E4M3', [4, 4], 16)]);
  const { code, out } = await call(['inspect', path, '--config', put(at('gptq.json'), '{"quant_method":"gptq","bits":4}')]);
  expect(code).toBe(0);
  expect(out).toMatch(/refused: \S*: bad\.scales: element 0:\s+expected a finite\s+number, got NaN/);
  expect(out).toMatch(/FP8: 1 layer, 16 B\n {2}FP8 is not read yet; .*\n.*\n {4}f8/);
});

test('GGUF: blocks that are read, blocks that are not, floats', async () => {
  const path = put(
    at('model.gguf'),
    makeGguf([
      zeros('blk.0.attn_q.weight', 'Q4_K', [4, 256], 4 * 144),
      zeros('blk.1.attn_q.weight', 'Q4_K', [4, 256], 4 * 144),
      zeros('blk.0.attn_k.weight', 'Q8_K', [4, 256], 4 * 292),
      matrix('blk.0.ffn_up.weight', [4, 32], 'F32'),
    ]),
  );
  const { out } = await call(['inspect', path]);
  expect(out).toMatch(
    /GGUF Q4_K: 2 layers.*\n {2}importGguf → 4-bit codes, groups of 32, uint8 scales in float16 units, minima;\n {2}4\.50 bits a weight in the file, 4\.75 in GPU memory/,
  );
  expect(out).toMatch(/Q8_K: 1 layer, 1\.17 kB\n {2}Q8_K is not read yet/);
  const json = (await call(['inspect', path, '--json'])).json();
  expect(json.layers[0].inMemory).toMatchObject({ scaleForm: 'uint8', minimum: true });
  expect(json.layers[0]).toMatchObject({ bits: 4, bitsInFile: 4.5, bitsInMemory: 4.625 + 32 / 256 });
  expect(json.totals.map(({ format, count }: { format: string; count: number }) => [format, count])).toEqual([
    ['GGUF Q4_K', 2],
    ['F32', 1],
    ['Q8_K', 1],
  ]);
});

test('experts of a tensor with three dimensions: a line with their number, and their bits in one buffer', async () => {
  const path = put(
    at('experts.gguf'),
    makeGguf([
      zeros('blk.0.ffn_up_exps.weight', 'Q8_0', [3, 4, 64], 3 * 4 * 68),
      zeros('blk.1.ffn_up_exps.weight', 'Q8_0', [3, 4, 64], 3 * 4 * 68),
    ]),
  );
  const { code, out } = await call(['inspect', path]);
  expect(code).toBe(0);
  expect(widest(out)).toBeLessThanOrEqual(80);
  // Codes of 4 × 64 bytes, scales of 2 × 4 halves in 256 bytes, a bias of 4 floats in 256: each expert begins at a multiple of them.
  expect(out).toMatch(/GGUF Q8_0: 2 blocks of experts, 1\.63 kB\n.*8\.50 bits a weight in\s+the file, 24\.00 in GPU memory\n/s);
  expect(out).toMatch(/\n {4}blk\.\*\.ffn_up_exps +× 2 +3 × 4 × 64 +1\.63 kB\n/);
  expect(out).toMatch(/\nGGUF Q8_0 +2 +1\.63 kB/);
  const json = (await call(['inspect', path, '--json'])).json();
  expect(json.layers).toEqual([]);
  expect(json.experts).toHaveLength(2);
  expect(json.experts[0]).toEqual({
    name: 'blk.0.ffn_up_exps',
    format: 'GGUF Q8_0',
    experts: 3,
    numbered: false,
    n: 4,
    k: 64,
    bits: 8,
    groupSize: 32,
    bytes: 3 * 4 * 68,
    bitsInFile: 8.5,
    bitsInMemory: (8 * (256 + 256 + 256)) / (4 * 64),
    importer: 'importGguf',
    cut: 'n',
    inMemory: json.experts[0].inMemory,
    why: null,
    what: 'importGguf → 8-bit codes, groups of 32, float16 scales',
  });
});

test('experts with numbers are layers, and a block beside them; their bytes count once', async () => {
  const tensors = [0, 1].flatMap((i) => gptq(`layers.0.mlp.experts.${i}.up_proj`));
  const path = putModel(at('numbered.safetensors'), tensors);
  const config = put(at('numbered.json'), '{"quant_method":"gptq","bits":4,"group_size":32}');
  const { out } = await call(['inspect', path, '--config', config]);
  expect(out).toMatch(/GPTQ: 2 layers, 1\.18 kB/);
  expect(out).toMatch(
    /GPTQ: 1 block of experts, 1\.18 kB\n.*each expert is a layer of those\s+above\n {4}layers\.0\.mlp\.experts\.up_proj +2 × 16 × 64/s,
  );
  const json = (await call(['inspect', path, '--config', config, '--json'])).json();
  expect(json.layers).toHaveLength(2);
  expect(json.experts).toMatchObject([{ name: 'layers.0.mlp.experts.up_proj', experts: 2, numbered: true, bytes: 2 * 592 }]);
  expect(json.totals).toEqual([{ format: 'GPTQ', count: 2, bytes: 2 * 592 }]);
});

test('what is in memory, of each kind of matrix', () => {
  const matrix = (method: 'minmax' | 'hqq', symmetric = false) =>
    quantize(normals('kinds', 4 * 64), { n: 4, k: 64, bits: 4, method, symmetric }).matrix;
  const none = {
    scaleDtype: 'float16',
    scaleForm: null,
    zeroPoints: 'none',
    minimum: false,
    codebook: false,
    codeForm: null,
    permutation: false,
    inputScale: false,
  };
  expect(inMemory(matrix('minmax', true))).toEqual(none);
  expect(inMemory({ ...matrix('minmax', true), zeroPoint: new Float32Array(4).fill(8) })).toEqual(none);
  expect(inMemory(matrix('minmax'))).toEqual({ ...none, zeroPoints: 'whole' });
  expect(inMemory(matrix('hqq'))).toEqual({ ...none, zeroPoints: 'float' });
  const more = {
    ...matrix('minmax', true),
    codebook: new Float32Array(16),
    permutation: new Uint32Array(64),
    inputScale: new Float32Array(64),
  };
  expect(inMemory(more)).toEqual({ ...none, codebook: true, permutation: true, inputScale: true });
  expect(memoryText({ bits: 4, groupSize: 64, k: 64, format: 'bitsandbytes NF4' }, inMemory(more))).toBe(
    'importBitsAndBytes4 → 4-bit codes, a scale for each output, float16 scales, a codebook, inputs in the order of their groups, a scale for each input',
  );
  const floats = inMemory({ ...matrix('minmax', true), bits: 8, codeForm: 'e4m3' });
  expect(floats).toEqual({ ...none, codeForm: 'e4m3' });
  expect(memoryText({ bits: 8, groupSize: 64, k: 64, format: 'FP8' }, floats)).toContain('float16 scales, codes that are e4m3');
});

test('bits a weight in GPU memory are those of its buffers', () => {
  const [n, k] = [6, 1024];
  const matrixOf = (symmetric: boolean) => quantize(normals('bits', n * k), { n, k, bits: 4, groupSize: 128, symmetric }).matrix;
  const size = { n, k, groupSize: 128 };
  // Eight columns, since they are padded to whole quads; four bytes of bias for each.
  const padded = 8 / n;
  expect(gpuBits(matrixOf(true), size)).toBeCloseTo(padded * (4 + 16 / 128 + 32 / k), 12);
  expect(gpuBits(matrixOf(false), size)).toBeCloseTo(padded * (4 + 24 / 128 + 32 / k), 12);
  // Zero points that are all 8 are dropped.
  expect(gpuBits({ ...matrixOf(false), zeroPoint: new Float32Array(48).fill(8) }, size)).toBeCloseTo(padded * (4 + 16 / 128 + 32 / k), 12);
});

test('MLC in a folder', async () => {
  mkdirSync(at('mlc'));
  const tensors = [zeros('a.q_weight', 'U32', [16, 8], 512), ones('a.q_scale', [16, 2])];
  for (const [name, bytes] of makeMlc(
    [tensors.slice(0, 1), tensors.slice(1)].map((list) =>
      list.map((one) => (one.dtype === 'F16' ? { ...one, dtype: 'F32', bytes: new Uint8Array(128).fill(0) } : one)),
    ),
  ))
    put(at('mlc', name), bytes);
  put(at('mlc', 'mlc-chat-config.json'), '{"quantization":"q4f32_1"}');
  const { code, json } = await call(['inspect', at('mlc'), '--json']);
  expect(code).toBe(0);
  expect(json().kind).toBe('mlc');
});

test('a URL, with the configuration beside it', async () => {
  const files = new Map<string, Uint8Array>([
    ['m/model.safetensors', makeSafetensors(gptq('a'))],
    ['m/config.json', new TextEncoder().encode('{"quantization_config":{"quant_method":"gptq","bits":4,"group_size":32}}')],
  ]);
  const server = await serve(files, 'ranges');
  try {
    const { code, json } = await call(['inspect', server.url('m/model.safetensors'), '--json']);
    expect(code).toBe(0);
    expect(json().layers[0]).toMatchObject({ name: 'a', format: 'GPTQ' });
    expect(json().config).toBe(server.url('m/config.json'));
  } finally {
    await server.close();
  }
});

test.each([
  ['empty.safetensors', new Uint8Array(0), /header length: expected 8 bytes, got a file of 0/],
  ['long.safetensors', rawSafetensors('{}', new Uint8Array(0), 2n ** 40n), /header length: expected at most/],
  [
    'outside.safetensors',
    rawSafetensors('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'),
    /a: data_offsets: expected a part of 0 bytes/,
  ],
  ['text.gguf', new TextEncoder().encode('<html></html>'), /a page of HTML/],
  ['cut.gguf', makeGguf([zeros('a.weight', 'Q8_0', [1, 32], 34)]).subarray(0, 60), /cut\.gguf/],
])('%s: 3, and the file, the field and what was expected', async (name, bytes, message) => {
  const path = put(at(name), bytes);
  for (const command of [
    ['inspect', path],
    ['verify', path],
    ['quantize', path, at('never')],
  ]) {
    const { code, out, err } = await call(command);
    expect([code, out]).toEqual([3, '']);
    expect(err).toMatch(message);
  }
  const { error } = (await call(['inspect', path, '--json'])).json();
  expect(error).toMatchObject({ name: 'FormatError', file: path, exitCode: 3 });
  expect(error.expected).toBeTypeOf('string');
});

test('a configuration that is no JSON: 3', async () => {
  mkdirSync(at('broken'));
  putModel(at('broken', 'model.safetensors'));
  put(at('broken', 'config.json'), '{');
  const { code, err } = await call(['inspect', at('broken')]);
  expect(code).toBe(3);
  expect(err).toContain('config.json: JSON: expected JSON, a name in quotes at byte 1, got its end');
});

test('--tensors: each in a line of at most 80 characters', async () => {
  const path = putModel(at('tensors.safetensors'), [
    ...gptq('model.layers.0.a_rather_long_name_of_a_module.and_of_another.up_proj'),
    ...model(),
  ]);
  const { out } = await call(['inspect', path, '--tensors']);
  expect(widest(out)).toBeLessThanOrEqual(80);
  expect(out.trimEnd().split('\n')).toHaveLength(3 + 1 + 3 + model().length);
});
