// antiquant verify without a GPU, and its judgement of a GPU's results: right layers pass, and every fault is found.
import { expect, test, vi } from 'vitest';
import { agreement, notFinite, randomX, rewritten, sameMatrix, schemeFor } from '../../../cli/verify-layer.js';
import { faults, verifyText } from '../../../cli/verify-text.js';
import type { QuantizedMatrix } from '../../../src/problem/matrix.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { call, folder, put, putModel, widest } from '../../support/call-cli.js';
import { type MadeTensor, makeGguf } from '../../support/files.js';
import { normals } from '../../support/normal-weights.js';
import { raw } from '../../support/tensors.js';

const at = folder();
vi.setConfig({ testTimeout: 60_000 }); // many files are written; machines may be busy
const made = (options: object = {}): QuantizedMatrix =>
  quantize(normals('verify', 12 * 64), { n: 12, k: 64, bits: 4, groupSize: 32, ...options }).matrix;

/** W = scale · (code - 8), as compressed-tensors pack-quantized. */
const packed = (name: string, scale: number): MadeTensor[] => [
  raw(
    `${name}.weight_packed`,
    'I32',
    [8, 4],
    Array.from({ length: 32 }, (_, i) => Math.imul(i + 1, 0x12345679)),
  ),
  raw(`${name}.weight_scale`, 'F32', [8, 1], Array(8).fill(scale)),
  raw(`${name}.weight_shape`, 'I64', [2], [8, 32]),
];

test('layers that hold: 0; --layers chooses; the text fits', async () => {
  const path = putModel(at('right.safetensors'), [...packed('a.0', 0.5), ...packed('a.1', 0.25)]);
  const { code, out } = await call(['verify', path]);
  expect(code).toBe(0);
  expect(widest(out)).toBeLessThanOrEqual(80);
  expect(out).toMatch(/no GPU \(this test has none\): only importers and writers are verified/);
  expect(out).toMatch(/a\.0 +8 × 32 +same +ok\na\.1/);
  expect(out).toContain('2 layers right, 0 wrong, 0 refused');
  expect((await call(['verify', path, '--layers', '1$', '--json'])).json().layers.map(({ name }: { name: string }) => name)).toEqual([
    'a.1',
  ]);
});

test('a layer that is refused, and one whose weights overflow: 1', async () => {
  const nan = packed('nan', 1).map((tensor) =>
    tensor.dtype === 'F32' ? raw(tensor.name, 'F32', tensor.shape, [...Array(7).fill(1), Number.NaN]) : tensor,
  );
  const path = putModel(at('wrong.safetensors'), [...packed('ok', 1), ...packed('huge', 3e38), ...nan]);
  const { code, out } = await call(['verify', path]);
  expect(code).toBe(1);
  expect(out).toMatch(/huge: \d+ weights not finite/);
  expect(out).toMatch(/nan \(compressed-tensors pack-quantized\): refused:\s.*nan\.weight_scale: element 7/s);
  expect(out).toContain('1 layer right, 1 wrong, 1 refused');
  const { ok, layers, refused } = (await call(['verify', path, '--json'])).json();
  expect(ok).toBe(false);
  expect(layers.map((layer: { ok: boolean }) => layer.ok)).toEqual([true, false]);
  expect(refused[0].why).toContain('nan.weight_scale');
});

test('nothing to verify, or no GPU where one is asked for: 4', async () => {
  const floats = putModel(at('floats.safetensors'));
  expect(await call(['verify', floats])).toMatchObject({ code: 4, err: expect.stringContaining('no quantized layers') });
  const path = putModel(at('one.safetensors'), packed('a', 1));
  expect(await call(['verify', path, '--layers', 'b'])).toMatchObject({
    code: 4,
    err: expect.stringContaining('none of its 1 quantized layers match'),
  });
  const named = putModel(at('named.safetensors'), packed('mlp.up_proj', 1));
  expect(await call(['verify', named, '--layers', 'up_porj$'])).toMatchObject({
    code: 4,
    err: expect.stringContaining('match --layers; did you mean mlp.up_proj?'),
  });
  expect(await call(['verify', path, '--gpu'])).toMatchObject({ code: 4, err: 'antiquant: --gpu: this test has none\n' });
});

test('GGUF with minima has no writer: that is told, and is no fault', async () => {
  const path = put(at('q4k.gguf'), makeGguf([{ name: 'blk.0.attn_q.weight', dtype: 'Q4_K', shape: [4, 256], bytes: new Uint8Array(576) }]));
  const { code, json } = await call(['verify', path, '--json']);
  expect(code).toBe(0);
  expect(json().layers[0]).toMatchObject({ ok: true, rewritten: null, notFinite: 0 });
});

test('experts of a tensor with three dimensions are layers, each by its number', async () => {
  const bytes = new Uint8Array(3 * 4 * 34);
  bytes[2 * 4 * 34 + 1] = 0x7e; // the first scale of expert 2 is NaN
  const path = put(at('experts.gguf'), makeGguf([{ name: 'blk.0.ffn_up_exps.weight', dtype: 'Q8_0', shape: [3, 4, 32], bytes }]));
  const { code, json } = await call(['verify', path, '--json']);
  expect(code).toBe(1);
  expect(json().layers.map(({ name, ok }: { name: string; ok: boolean }) => [name, ok])).toEqual([
    ['blk.0.ffn_up_exps.0', true],
    ['blk.0.ffn_up_exps.1', true],
  ]);
  expect(json().refused).toMatchObject([{ name: 'blk.0.ffn_up_exps.2', format: 'GGUF Q8_0' }]);
  const one = await call(['verify', path, '--layers', 'exps\\.1$']);
  expect([one.code, one.out]).toEqual([0, expect.stringContaining('1 layer right, 0 wrong, 0 refused')]);
});

test('rewriting: by compressed-tensors, by torch_npu where zero points are floats or groups short, or not at all', async () => {
  const [channel, hqq] = [made({ groupSize: undefined }), made({ method: 'hqq' })];
  const short = quantize(normals('short', 4 * 48), { n: 4, k: 48, bits: 8, groupSize: 32 }).matrix;
  expect([made(), channel, made({ symmetric: true }), hqq, short].map(schemeFor)).toEqual([
    ...Array(3).fill('compressed-tensors'),
    'torch_npu',
    'torch_npu',
  ]);
  for (const matrix of [made(), channel, made({ symmetric: true }), hqq, short]) expect(await rewritten(matrix)).toBe(true);
  const odd = quantize(normals('odd', 4 * 40), { n: 4, k: 40, bits: 4, groupSize: 16 }).matrix;
  expect(await rewritten(odd)).toEqual({ why: 'no writer holds such groups with such zero points' });
  expect(await rewritten({ ...made({ symmetric: true }), codebook: new Float32Array(16) })).toEqual({ why: 'no writer holds a codebook' });
  const scaled = { ...made({ symmetric: true }), inputScale: new Float32Array(made().k).fill(1) };
  expect(await rewritten(scaled)).toEqual({ why: 'no writer holds an inputScale' });
  expect(await rewritten({ ...made({ symmetric: true }), codeForm: 'e4m3' })).toEqual({ why: 'no writer holds a codeForm' });
});

test('matrices differ by any code, scale or zero point', () => {
  const matrix = made();
  const change = (values: Uint32Array | Float32Array) => values.map((value, i) => (i === 3 ? value + 1 : value));
  expect(sameMatrix(made(), matrix)).toBe(true);
  expect(sameMatrix({ ...matrix, codes: change(matrix.codes) as Uint32Array }, matrix)).toBe(false);
  expect(sameMatrix({ ...matrix, scale: change(matrix.scale) as Float32Array }, matrix)).toBe(false);
  expect(sameMatrix({ ...matrix, zeroPoint: change(matrix.zeroPoint!) as Float32Array }, matrix)).toBe(false);
  expect(sameMatrix({ ...matrix, zeroPoint: undefined }, matrix)).toBe(false);
  expect(sameMatrix({ ...matrix, zeroPoint: undefined }, { ...matrix, zeroPoint: matrix.zeroPoint!.map(() => 8) })).toBe(true);
  expect(sameMatrix({ ...matrix, groupSize: 16 }, matrix)).toBe(false);
  expect(sameMatrix({ ...matrix, codeForm: 'e4m3' }, matrix)).toBe(false);
});

test('weights that are not finite are counted', () => {
  expect(notFinite(made())).toBe(0);
  const matrix = made({ symmetric: true });
  const scale = matrix.scale.slice();
  scale[3] = 3.4e38;
  expect(notFinite({ ...matrix, scale, scaleDtype: 'float32' })).toBeGreaterThan(0);
});

test('x is the same for the same seed and layer, other for others, and holds what its dtype holds', () => {
  const options = { seed: 1, rows: 2, k: 100, dtype: 'float16' } as const;
  const x = randomX('a', options);
  expect(randomX('a', options)).toEqual(x);
  expect(randomX('b', options)).not.toEqual(x);
  expect(randomX('a', { ...options, seed: 2 })).not.toEqual(x);
  expect(Math.max(...x)).toBeLessThanOrEqual(1);
  expect(Math.min(...x)).toBeLessThan(-0.9);
  expect(x.every((value) => value === Math.fround(value) && Number.isInteger(value * 2 ** 24))).toBe(true);
});

test('agreement: the edges of an interval are in it, a step past them is not, NaN never is', () => {
  const reference = {
    exact: Float64Array.of(1, 2, 3, 4),
    low: Float32Array.of(0.5, 1.5, 2.5, 3.5),
    high: Float32Array.of(1.5, 2.5, 3.5, 4.5),
  };
  expect(agreement([1, 2.25, 2.5, 4.5], reference, 2)).toMatchObject({
    outside: 0,
    elements: 4,
    worst: 1,
    at: { row: 1, output: 0, got: 2.5 },
  });
  expect(agreement([1, 2, 3, 4], reference, 2)).toMatchObject({ outside: 0, worst: 0 });
  expect(agreement([1, 2, 3, 4.6], reference, 2)).toMatchObject({ outside: 1, at: { row: 1, output: 1, got: 4.6, low: 3.5, high: 4.5 } });
  expect(agreement([1, Number.NaN, 3, 4], reference, 2)).toMatchObject({
    outside: 1,
    worst: Number.POSITIVE_INFINITY,
    at: { row: 0, output: 1 },
  });
  const gpu = { ...agreement([1, 2, 3, 4.6], reference, 2), kernel: 'matmul-rows' };
  const layer = { name: 'a', format: 'GPTQ', n: 2, k: 8, ok: false, notFinite: 0, rewritten: true, gpu };
  expect(faults(layer)).toEqual(['1 of 4 outside (matmul-rows): y[1, 1] = 4.6, expected 3.5 to 4.5']);
  const document = {
    command: 'verify',
    file: 'f',
    gpu: 'adapter',
    noGpu: null,
    notes: [],
    rows: 2,
    seed: 1,
    dtype: 'float32',
    layers: [layer],
    refused: [],
    ok: false,
  } as const;
  expect(verifyText(document, 80)).toMatch(/a +2 × 8 +same +120% +WRONG/);
});
