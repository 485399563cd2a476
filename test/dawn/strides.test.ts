// x and y of any strides: columns of a wider matrix, every second row, one row repeated, padded rows; in place or gathered. Memory outside
// y stays unchanged.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { whole } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});
afterAll(() => {
  device.destroy();
});

const [M, N] = [5, 16];
const KERNELS = ['matmul-plain', 'matmul-decode', 'matmul-prefill', 'matmul-tiled', 'matmul-rows', 'matmul-subgroup'];
const DTYPES = ['float32', 'float16', 'bfloat16'] as const;
const codesOf = (k: number) => Int8Array.from({ length: N * k }, (_, i) => ((i * 5) % 7) - 3);
const wide = Float32Array.from({ length: 4096 }, (_, i) => ((i * 11) % 9) - 4);

function layerOf(k: number, dtype: (typeof DTYPES)[number], force?: string): LinearWeightQuant {
  const plan = force ? { force: { kernel: force } } : {};
  const layer = new LinearWeightQuant(device, { inFeatures: k, outFeatures: N, bias: false, dtype, plan });
  return layer.load({
    weight: Tensor.from(device, codesOf(k), { shape: [N, k], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, new Float32Array([0.5]), { shape: [1], dtype }),
  });
}
/** y by the definition, x[i, j] at `at(i, j)` of `wide`. */
const wanted = (k: number, at: (i: number, j: number) => number): number[] =>
  Array.from({ length: M * N }, (_, index) => {
    const [i, n] = [Math.floor(index / N), index % N];
    let sum = 0;
    for (let j = 0; j < k; j++) sum += wide[at(i, j)]! * codesOf(k)[n * k + j]! * 0.5;
    return sum;
  });

describe.each(DTYPES)('x of %s', (dtype) => {
  const bytes = dtype === 'float32' ? 4 : 2;
  test.each<[string, k: number, first: number, strides: readonly [number, number], inPlace: boolean]>([
    ['columns of a wider matrix', 64, 8, [96, 1], true],
    ['columns that start nowhere', 64, 3, [96, 1], false],
    ['columns whose K is no whole blocks', 40, 8, [96, 1], false],
    ['rows at odd distances', 64, 0, [97, 1], false],
    ['every second row', 64, 0, [128, 1], true],
    ['every second column', 64, 0, [128, 2], false],
    ['one row for all', 64, 4, [0, 1], false],
    ['rows over each other', 64, 0, [32, 1], false],
    ['transposed with gaps', 64, 0, [1, 9], false],
  ])('%s', async (_, k, first, strides, inPlace) => {
    const { buffer } = Tensor.from(device, wide, { shape: [wide.length], dtype });
    const x = Tensor.wrap(device, buffer, { shape: [M, k], dtype, strides, byteOffset: first * bytes });
    const right = wanted(k, (i, j) => first + i * strides[0] + j * strides[1]);
    for (const kernel of whole ? [undefined, 'matmul-plain', 'matmul-decode'] : ['matmul-plain']) {
      const layer = layerOf(k, dtype, kernel);
      expect([...((await layer.forward(x).read()) as Float32Array)]).toEqual(right);
      // In place, no dispatch gathers x first.
      const calls = { setPipeline: (one: GPUComputePipeline) => labels.push(one.label), setBindGroup() {}, dispatchWorkgroups() {} };
      const labels: string[] = [];
      const y = Tensor.from(device, new Float32Array(M * N), { shape: [M, N], dtype });
      layer.encode(calls as unknown as GPUComputePassEncoder, x, y);
      expect(labels.some((label) => label.startsWith('gather-rows'))).toBe(!inPlace);
      layer.destroy();
    }
    const copy = x.contiguous();
    expect(copy.strides).toEqual([k, 1]);
    expect([...((await copy.read()) as Float32Array)]).toEqual([...((await x.read()) as Float32Array)]);
    expect(copy.contiguous()).toBe(copy);
  });

  // The rest of what writes y is the same in every kernel; each of them is tried with one dtype.
  test.each(whole || dtype === 'float16' ? KERNELS : KERNELS.slice(0, 1))('y into columns of a wider matrix, by %s', async (kernel) => {
    const [k, pitch, first] = [64, 40, 12];
    const layer = layerOf(k, dtype, kernel);
    const x = Tensor.from(device, wide.slice(0, M * k), { shape: [M, k], dtype });
    const all = Tensor.from(device, new Float32Array(M * pitch).fill(7), { shape: [M, pitch], dtype });
    const y = Tensor.wrap(device, all.buffer, { shape: [M, N], dtype, strides: [pitch, 1], byteOffset: first * bytes });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    layer.encode(pass, x, y);
    pass.end();
    device.queue.submit([encoder.finish()]);
    const right = wanted(k, (i, j) => i * k + j);
    const want = Array.from({ length: M * pitch }, (_, i) => {
      const [row, column] = [Math.floor(i / pitch), (i % pitch) - first];
      return column >= 0 && column < N ? right[row * N + column]! : 7;
    });
    expect([...((await all.read()) as Float32Array)]).toEqual(want);
    layer.destroy();
  });
});
