// quantizeOnGpu equals quantize in every bit: codes, scales and zero points.
import { beforeAll, describe, expect, test } from 'vitest';
import { decode16, encode16, type FloatDType } from '../../src/dtype.js';
import { capsOf, requestDevice, Tensor } from '../../src/index.js';
import { quantizeOnGpu } from '../../src/layer/quantize-weights.js';
import { BITS } from '../../src/problem/code-width.js';
import type { QuantizedMatrix } from '../../src/problem/matrix.js';
import type { GpuQuantizeOptions } from '../../src/quantize/gpu-form.js';
import { quantize } from '../../src/quantize/quantize.js';
import { random } from '../cases/data.js';
import { runMatrix } from '../cases/run-matrix.js';
import { gpu } from '../support/dawn.js';
import { normals } from '../support/normal-weights.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});

const DTYPES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];

/** The same weights on both sides: numbers of `dtype`. */
async function both(
  values: Float32Array,
  { n, k, dtype, ...options }: GpuQuantizeOptions & { readonly n: number; readonly k: number; readonly dtype: FloatDType },
): Promise<void> {
  const stored = dtype === 'float32' ? values : encode16(values, dtype);
  const tensor = Tensor.from(device, stored, { shape: [n, k], dtype });
  const { report, ...wanted } = quantize(stored, { n, k, dtype, ...options });
  expect(await quantizeOnGpu(device, tensor, options), JSON.stringify({ dtype, ...options })).toEqual(wanted);
  tensor.destroy();
}

const forms: GpuQuantizeOptions[] = BITS.flatMap((bits) =>
  [false, true].flatMap((symmetric) => DTYPES.map((scaleDtype) => ({ bits, symmetric, scaleDtype }))),
);

describe('the same as on the CPU', () => {
  test.each(DTYPES)('%s: normal weights, groups with a short last one, K that fills no word', async (dtype) => {
    for (const form of forms)
      for (const [n, k, groupSize] of [
        [7, 75, 32],
        [5, 41, undefined],
        [64, 256, 64],
      ] as const) {
        const values = normals(`${n} ${k} ${form.bits}`, n * k).map((value) => 0.05 * value + 0.01);
        await both(values, { ...form, n, k, dtype, ...(groupSize && { groupSize }) });
      }
  });

  test('every exponent, also those that flush to zero: 2^-149 … 2^126', async () => {
    const next = random('exponents');
    const [n, k] = [276, 16];
    const values = Float32Array.from({ length: n * k }, (_, i) => (next() - 0.5) * 2 ** Math.min(126, Math.floor(i / k) - 148));
    for (const form of forms.filter(({ scaleDtype }) => scaleDtype !== 'float16')) await both(values, { ...form, n, k, dtype: 'float32' });
    const least = values.map((value, i) => (Math.floor(i / k) < 160 ? value : 0)); // no scale overflows float16
    for (const form of forms) await both(least, { ...form, n, k, dtype: 'float32' });
  });

  test('quotients at ties and one step beside them', async () => {
    const next = random('ties');
    for (const form of forms) {
      const [n, k] = [32, 64];
      const top = form.symmetric ? 2 ** (form.bits - 1) - 1 : 2 ** form.bits - 1;
      const values = new Float32Array(n * k);
      for (let row = 0; row < n; row++) {
        // The largest weight is `top` steps, so the step is known; the rest lies halfway, and one bit above or below.
        const step = Math.fround((1 + Math.floor(next() * 1024) / 1024) * 2 ** Math.floor(next() * 8 - 4));
        for (let i = 0; i < k; i++) {
          values[row * k + i] = step * (Math.floor(next() * top) + 0.5) * (form.symmetric && next() < 0.5 ? -1 : 1);
          const bits = new Int32Array(values.buffer, 4 * (row * k + i), 1);
          bits[0]! += Math.floor(next() * 3) - 1;
        }
        values[row * k] = step * top;
      }
      await both(values, { ...form, n, k, dtype: 'float32' });
    }
  });

  test('every float16 there is', async () => {
    const all = decode16(
      Uint16Array.from({ length: 65536 }, (_, bits) => bits),
      'float16',
    ).map((value) => (Number.isFinite(value) ? value : 0));
    for (const form of forms) await both(all, { ...form, n: 1024, k: 64, dtype: 'float16' });
  });

  test('zeros and constants', async () => {
    const values = Float32Array.from({ length: 4 * 32 }, (_, i) => [0, 1, -3, 65504][Math.floor(i / 32)]!);
    for (const form of forms) await both(values, { ...form, n: 4, k: 32, dtype: 'float32' });
  });
});

test('a window of a larger buffer, and rows in several dispatches', async () => {
  const [n, k] = [300, 96];
  const values = normals('window', n * k + 3);
  const options = { bits: 4, groupSize: 32 } as const;
  for (const [dtype, bytes] of [
    ['float32', 4],
    ['bfloat16', 2],
  ] as const) {
    const stored = dtype === 'float32' ? values : encode16(values, dtype);
    const whole = Tensor.from(device, stored, { shape: [n * k + 3], dtype });
    const part = Tensor.wrap(device, whole.buffer, { shape: [n, k], dtype, byteOffset: 3 * bytes });
    const { report, ...wanted } = quantize(stored.slice(3) as Float32Array, { n, k, dtype, ...options });
    expect(await quantizeOnGpu(device, part, options)).toEqual(wanted);
    // A device with the smallest bindings that there may be for so many rows: 20 rows at a time.
    const caps = capsOf(device) as { maxStorageBufferBindingSize: number };
    const largest = caps.maxStorageBufferBindingSize;
    caps.maxStorageBufferBindingSize = 20 * k * bytes + 256;
    try {
      expect(await quantizeOnGpu(device, part, options)).toEqual(wanted);
    } finally {
      caps.maxStorageBufferBindingSize = largest;
    }
  }
});

test('quantized weights run in a layer: minmax from the GPU, and float zero points', async () => {
  const [n, k] = [72, 320];
  const values = normals('layer', n * k).map((value) => 0.05 * value);
  const x = { data: normals('x', 3 * k), shape: [3, k], dtype: 'float32' as const };
  const weights = Tensor.from(device, values, { shape: [n, k], dtype: 'float32' });
  const run = async (name: string, matrix: QuantizedMatrix) => {
    const c = { name, dtype: 'float32', exact: false, innerPrecise: 0, force: undefined, caps: {} } as const;
    expect((await runMatrix(device, c, { matrix, x })).failures, name).toEqual([]);
  };
  for (const bits of BITS)
    for (const groupSize of [32, 64, undefined]) {
      const options = { bits, ...(groupSize && { groupSize }) };
      await run(`minmax ${bits} ${groupSize}`, (await quantizeOnGpu(device, weights, options)).matrix);
      await run(`hqq ${bits} ${groupSize}`, quantize(values, { n, k, ...options, method: 'hqq' }).matrix);
    }
});

test('what it refuses', async () => {
  const values = new Float32Array(128);
  values[70] = Number.NaN;
  const tensor = (data: Float32Array, shape = [2, 64]) => Tensor.from(device, data, { shape, dtype: 'float32' });
  await expect(quantizeOnGpu(device, tensor(values), { bits: 4, groupSize: 32 })).rejects.toThrow(
    /weights\[1, 0 … 31\]: expected finite numbers of at most 2\^126/,
  );
  values[70] = 1e6;
  await expect(quantizeOnGpu(device, tensor(values), { bits: 4 })).rejects.toThrow(
    /weights\[1, 0 … 63\]: expected a group whose scale is a float16/,
  );
  await expect(quantizeOnGpu(device, tensor(values), { bits: 4, mode: 'tensor' })).rejects.toThrow(
    /mode: expected channel or group, got tensor/,
  );
  await expect(quantizeOnGpu(device, tensor(values).transpose(), { bits: 4 })).rejects.toThrow(/weights: expected contiguous rows/);
  await expect(quantizeOnGpu(device, tensor(values, [128]), { bits: 4 })).rejects.toThrow(/weights: expected contiguous rows/);
  await expect(quantizeOnGpu(device, tensor(values), { bits: 4, groupSize: 12 })).rejects.toThrow(/groupSize: expected a multiple of 8/);
});
