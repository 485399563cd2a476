// The kernel of docs/format.md that reads a layer's packed weights, and its JavaScript: both run as they stand there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { dequantize, packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { expandWgsl } from '../../src/shaders.js';
import { gpu } from '../support/dawn.js';
import { randoms } from '../support/tensors.js';

const document = readFileSync(join(import.meta.dirname, '../../docs/format.md'), 'utf8');
const [kernel, script] = ['wgsl', 'js'].map((kind) => new RegExp(`\n\`\`\`${kind}\n([^]*?)\`\`\`\n`).exec(document)![1]!);

const device = await requestDevice({ gpu });
afterAll(() => device.destroy());

const [N, K] = [22, 96];
const draw = (seed: number, most: number, length = (N * K) / 32) => Float32Array.from(randoms(seed, length, 1, most));
const codesOf = (bits: QuantizedMatrix['bits']) => packCodes(randoms(bits, N * K, 0, 2 ** bits - 1), N, K, bits);
const of = (bits: QuantizedMatrix['bits'], rest: Partial<QuantizedMatrix>): QuantizedMatrix => ({
  ...{ n: N, k: K, bits, groupSize: 32, codes: codesOf(bits), scale: draw(bits, 9), scaleDtype: 'float16' },
  ...rest,
});
/** Whole weights, whose sums are exact. */
const matrices: Readonly<Record<string, QuantizedMatrix>> = {
  '4 bits': of(4, {}),
  '3 bits, zero points': of(3, { zeroPoint: draw(1, 7) }),
  '5 bits, minimums': of(5, { minimum: draw(2, 9) }),
  '6 bits, byte zero points': of(6, { zeroPoint: draw(3, 9), zeroPointDtype: 'uint8' }),
  'a codebook': of(4, { codebook: Float32Array.from({ length: 16 }, (_, i) => i * i - 20) }),
};

test.each(Object.entries(matrices))('%s', async (_, matrix) => {
  const weights = dequantize(matrix);
  const wanted = Float32Array.from({ length: N }, (_, n) => weights.subarray(n * K, (n + 1) * K).reduce((a, b) => a + b, 0));
  for (const caps of [{}, { maxStorageBufferBindingSize: 1024 }, { wideCodes: true }, { wideCodes: false }]) {
    const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, plan: { caps } }).loadMatrix(matrix);
    expect(layer.packed.slabs.length > 1).toBe('maxStorageBufferBindingSize' in caps);
    const sums = Tensor.from(device, new Float32Array(N), { shape: [N], dtype: 'float32' });
    device.pushErrorScope('validation');
    new Function('device', 'layer', 'kernel', 'sums', 'expandWgsl', script!)(device, layer, kernel, sums.buffer, expandWgsl);
    expect(await device.popErrorScope()).toBeNull();
    expect(await sums.read()).toEqual(wanted);
    layer.destroy();
  }
});

test('is one object until the weights are others', () => {
  const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false });
  expect(() => layer.packed).toThrow('layer: expected loaded weights: call load() first, got none');
  const { packed } = layer.loadMatrix(matrices['4 bits']!);
  expect(layer.packed).toBe(packed);
  expect(layer.loadMatrix(matrices['a codebook']!).packed).not.toBe(packed);
  layer.destroy();
});

test('says what the weights are', () => {
  const matrix = {
    ...matrices['5 bits, minimums']!,
    permutation: Uint32Array.from({ length: K }, (_, i) => K - 1 - i),
    inputScale: new Float32Array(K).fill(2),
  };
  const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false }).loadMatrix(matrix);
  const { slabs, bias, table, permutation, inputScale, columnQuant, ...rest } = layer.packed;
  expect(rest).toEqual({
    ...{ n: N, k: K, bits: 5, held: 5, groupSize: 32, groups: 3, scaleDtype: 'float16', shift: 'minimum', codebook: 'none' },
    ...{ words: 12, rows: 15, groupWords: 4, params: { BITS: 5, SCALE: 1, OFFSET: 2, CODEBOOK: 0 } },
  });
  expect(slabs.map(({ begin, count, pitch }) => ({ begin, count, pitch }))).toEqual([{ begin: 0, count: N, pitch: 6 }]);
  expect(slabs[0]!.entries.map(({ binding }) => binding)).toEqual([2, 3, 4]);
  expect([slabs[0]!.w, slabs[0]!.scale, slabs[0]!.offset, bias, permutation, inputScale].map((one) => one!.size)).toEqual([
    15 * 6 * 16,
    3 * 6 * 8,
    3 * 6 * 8,
    6 * 16,
    4 * K,
    4 * K,
  ]);
  expect([table, columnQuant]).toEqual([undefined, undefined]);
  layer.destroy();
});

test('expandWgsl names the line of a mistake', () => {
  expect(() => expandWgsl('\n#include "lib/none.wgsl"', {})).toThrow('shaders/kernel.wgsl:2: no file shaders/lib/none.wgsl');
  expect(() => expandWgsl('#include "lib/one-weight.wgsl"', { BITS: 4 })).toThrow(/^shaders\/lib\/\S+: no value for param/);
  expect(() => expandWgsl('#if 1', { BITS: 4 })).toThrow('shaders/kernel.wgsl:1');
  expect(() => expandWgsl(1 as never, {})).toThrow('kernel: expected a string, got 1');
  expect(() => expandWgsl('', { BITS: -1 })).toThrow('BITS: expected a whole number of at least 0, got -1');
});
