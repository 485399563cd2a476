// loadMatrix refuses an inconsistent matrix before any GPU work, and never computes with wrong bytes.
import { afterEach, expect, test, vi } from 'vitest';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { gpu } from '../support/dawn.js';
import { expectArgument } from '../support/expect-errors.js';

const device = await requestDevice({ gpu });
const [n, k] = [8, 20];
const matrix: QuantizedMatrix = {
  n,
  k,
  bits: 4,
  codes: packCodes(new Uint8Array(n * k).fill(9), n, k, 4),
  groupSize: 8,
  scale: new Float32Array(n * 3).fill(2),
  scaleDtype: 'float32',
};
const layerOf = () => new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32' });
afterEach(() => {
  vi.restoreAllMocks();
});

test.each<[string, Partial<Record<keyof QuantizedMatrix, unknown>>]>([
  ['scale', { scale: new Float64Array(n * 3).fill(2) }],
  ['scale', { scale: Array(n * 3).fill(2) }],
  ['codes', { codes: new Float32Array(matrix.codes.length) }],
  ['codes', { codes: Array.from(matrix.codes) }],
  ['zeroPoint', { zeroPoint: new Uint8Array(n * 3).fill(8) }],
  ['permutation', { permutation: Int32Array.from({ length: k }, (_, i) => i - 1) }],
  ['inputScale', { inputScale: new Float64Array(k).fill(1) }],
  ['inputScale[1]', { inputScale: new Float32Array(k).map((_, i) => 1 / (1 - i)) }],
  ['scale[0]', { scale: new Float32Array(n * 3).fill(0.1), scaleDtype: 'float16' }],
])('%s of %o', async (field, change) => {
  const errors = vi.fn();
  device.addEventListener('uncapturederror', errors);
  const [made, written] = [vi.spyOn(device, 'createBuffer'), vi.spyOn(device.queue, 'writeBuffer')];
  expectArgument(() => layerOf().loadMatrix({ ...matrix, ...change } as QuantizedMatrix), `matrix.${field}`, 'a ', '');
  expect([made.mock.calls, written.mock.calls]).toEqual([[], []]);
  await device.queue.onSubmittedWorkDone();
  expect(errors).not.toHaveBeenCalled();
  device.removeEventListener('uncapturederror', errors);
});

test('arrays on memory that can grow are taken as others are, and codes past K do not count', async () => {
  const grown = <T extends Uint32Array | Float32Array>(array: T): T => {
    const buffer = new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(array.byteLength, { maxByteLength: 4096 });
    const out = new (array.constructor as new (buffer: ArrayBuffer) => T)(buffer);
    out.set(array);
    return out;
  };
  const dirty = matrix.codes.map((word, i) => (i % 3 === 2 ? word | 0xfff00000 : word));
  const permutation = Uint32Array.from({ length: k }, (_, i) => k - 1 - i);
  for (const change of [
    { codes: grown(dirty), scale: grown(matrix.scale) },
    { permutation: grown(permutation), inputScale: grown(new Float32Array(k).fill(1)) },
  ]) {
    const layer = layerOf().loadMatrix({ ...matrix, ...change });
    const x = Tensor.from(device, new Float32Array(k).fill(1), { shape: [1, k], dtype: 'float32' });
    expect(Array.from((await layer.forward(x).read()) as Float32Array)).toEqual(Array(n).fill(2 * k));
    layer.destroy();
  }
});
