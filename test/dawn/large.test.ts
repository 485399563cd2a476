// Sizes beyond the usual limits: an LM head, weights over maxStorageBufferBindingSize, more workgroups than a dispatch allows in one
// dimension. Weights repeat a short pattern, so that every element of y is known without summing.
import { beforeAll, expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import type { Bits } from '../../src/problem/code-width.js';
import { gpu } from '../support/dawn.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});

const PERIOD = 13; // of the columns
const q = (n: number, k: number): number => (((n % PERIOD) * 3 + k * 5) % 15) - 7;
const x = (k: number): number => (k % 5) - 2;

/** Rows of codes (N, K) as int8, or int4 packed along K, one period made and copied on. */
function weights(n: number, k: number, bits: Bits): Int8Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  const period = bits === 8 ? new Int8Array(PERIOD * k) : new Int32Array((PERIOD * k) / 8);
  for (let c = 0; c < PERIOD; c++)
    for (let i = 0; i < k; i++) {
      if (bits === 8) period[c * k + i] = q(c, i);
      else period[(c * k + i) >> 3]! |= (q(c, i) & 15) << (4 * (i & 7));
    }
  const all = bits === 8 ? new Int8Array(n * k) : new Int32Array((n * k) / 8);
  for (let at = 0; at < all.length; at += period.length) all.set(period.subarray(0, Math.min(period.length, all.length - at)), at);
  return all;
}

async function check(n: number, k: number, bits: Bits, dtype: 'float32' | 'float16', kernel?: string) {
  const layer = new LinearWeightQuant(device, {
    inFeatures: k,
    outFeatures: n,
    bias: false,
    dtype,
    ...(kernel && { plan: { force: { kernel } } }),
  });
  const data = weights(n, k, bits);
  const weight = Tensor.from(device, data, { shape: [n, bits === 8 ? k : k / 8], dtype: bits === 8 ? 'int8' : 'int32' });
  layer.load({ weight, antiquantScale: Tensor.from(device, new Float32Array([0.5]), { shape: [1], dtype }) });
  weight.destroy();
  const input = Tensor.from(
    device,
    Float32Array.from({ length: k }, (_, i) => x(i)),
    { shape: [1, k], dtype },
  );
  const y = (await layer.forward(input).read()) as Float32Array;
  const want = Array.from({ length: PERIOD }, (_, c) => {
    let sum = 0;
    for (let i = 0; i < k; i++) sum += x(i) * q(c, i) * 0.5;
    return sum;
  });
  expect(want.every((value) => Math.abs(value) <= 2048 || dtype === 'float32')).toBe(true); // else a half would round
  const wrong = y.findIndex((value, i) => value !== want[i % PERIOD]);
  expect(wrong, `y[${wrong}] is ${y[wrong]}, not ${want[wrong % PERIOD]}`).toBe(-1);
  const plan = layer.explain(1);
  layer.destroy();
  return plan;
}

test('an LM head of 151,936 columns', async () => {
  const plan = await check(151_936, 896, 4, 'float16');
  expect(plan.kernel).not.toBe('matmul-plain');
});

test('weights larger than one binding', async () => {
  const { maxStorageBufferBindingSize: limit } = capsOf(device);
  const k = 1024;
  const n = Math.min(140_001, Math.floor((2 * limit) / k));
  const plan = await check(n, k, 8, 'float32');
  // A GPU with larger bindings needs no slabs for this; the case table forces them there.
  if (n * k > limit) expect(plan.dispatches.filter(({ shader }) => shader === plan.kernel).length).toBeGreaterThan(1);
});

test('more than 65,535 workgroups', async () => {
  const n = 65_536 * 256 + 64;
  const { workgroups } = await check(n, 8, 4, 'float16', 'matmul-plain');
  expect(workgroups[1]).toBe(2);
  expect(workgroups[0] * workgroups[1]).toBeGreaterThan(65_535);
});
