// The products, norms, residuals and activation of a layer of a llama-like model: four dispatches, and the numbers of float64.
import { expect, test } from 'vitest';
import { encodeMany, joinGateUp, LinearWeightQuant, leaveTwin, prepareMany, recordSteps, replay, Tensor } from '../../src/index.js';
import { dispatches } from '../support/dispatches.js';
import { deviceForEach, submitPass } from '../support/fresh-device.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const dtype = 'float32';
const [D, KV, F] = [128, 64, 192];
const EPSILON = 1e-5;
const noise = (seed: number): (() => number) => {
  let state = seed;
  return () => (state = (Math.imul(state, 48271) >>> 0) % 2147483647) / 2147483647 - 0.5;
};
/** A layer as a GPU would multiply one row, and its weights as numbers. */
function drawn(n: number, k: number, seed: number) {
  const draw = noise(seed);
  const codes = Int8Array.from({ length: n * k }, () => Math.round(200 * draw()));
  const scale = Float32Array.from({ length: n }, () => (1.5 + draw()) / (60 * Math.sqrt(k)));
  const layer = new LinearWeightQuant(device, {
    inFeatures: k,
    outFeatures: n,
    bias: false,
    dtype,
    plan: { force: { kernel: 'matmul-decode' } },
  }).load({
    weight: Tensor.from(device, codes, { shape: [n, k], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, scale, { shape: [n], dtype }),
  });
  const multiply = (x: readonly number[]): number[] =>
    Array.from({ length: n }, (_, i) => scale[i]! * x.reduce((sum, value, j) => sum + value * codes[i * k + j]!, 0));
  return { layer, multiply };
}
const norm = (x: readonly number[], weight: ArrayLike<number>): number[] => {
  const factor = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + EPSILON);
  return x.map((value, i) => value * weight[i]! * factor);
};

test('four dispatches, and the numbers of a float64 layer', async () => {
  const [q, k, v] = [drawn(D, D, 11), drawn(KV, D, 12), drawn(KV, D, 13)];
  const [o, gate, up, down] = [drawn(D, D, 14), drawn(F, D, 15), drawn(F, D, 16), drawn(D, F, 17)];
  const draw = noise(5);
  const vector = (length: number, middle = 0): Float32Array<ArrayBuffer> => Float32Array.from({ length }, () => middle + draw());
  const [before, attended] = [vector(D), vector(D)];
  const weights = [vector(D, 1), vector(D, 1), vector(D, 1)] as const; // of this layer's norms, and of the next layer's first
  const tensor = (values: Float32Array<ArrayBuffer>) => Tensor.from(device, values, { shape: [1, values.length], dtype });

  const state = device.createBuffer({ size: 8 * D, usage: 0x80 | 0x4 | 0x8 });
  const [x, twin] = [0, 4 * D].map((byteOffset) => Tensor.wrap(device, state, { shape: [1, D], dtype, byteOffset })) as [Tensor, Tensor];
  device.queue.writeBuffer(state, 0, before);
  device.queue.writeBuffer(
    state,
    4 * D,
    before.map((value, i) => value * weights[0][i]!),
  );
  const qkv = device.createBuffer({ size: 4 * (D + 2 * KV), usage: 0x80 | 0x4 | 0x8 });
  const ys = [
    [0, D],
    [D, KV],
    [D + KV, KV],
  ].map(([at, n]) => Tensor.wrap(device, qkv, { shape: [1, n!], dtype, byteOffset: 4 * at! }));
  const attention = tensor(attended);
  const act = tensor(new Float32Array(F));

  const three = [q.layer, k.layer, v.layer];
  await prepareMany(three, [1]);
  leaveTwin(o.layer, Tensor.from(device, weights[1], { shape: [D], dtype }));
  leaveTwin(down.layer, Tensor.from(device, weights[2], { shape: [D], dtype }));
  const gateUp = joinGateUp([gate.layer, up.layer], { glu: 'silu' });
  const rowScale = { rms: x, epsilon: EPSILON };
  const encode = (pass: GPUComputePassEncoder): void => {
    encodeMany(pass, three, twin, ys, { rowScale });
    o.layer.encode(pass, attention, x, { add: x, twin });
    gateUp.encode(pass, twin, act, { rowScale });
    down.layer.encode(pass, act, x, { add: x, twin });
  };
  expect(dispatches(encode)).toBe(4);
  const recorded = recordSteps(device, [
    { layers: three, x: twin, ys, rowScale },
    { layer: o.layer, x: attention, y: x, add: x, twin },
    { layer: gateUp, x: twin, y: act, rowScale },
    { layer: down.layer, x: act, y: x, add: x, twin },
  ]);
  expect(dispatches((pass) => replay(pass, recorded))).toBe(4);
  submitPass(device, (pass) => replay(pass, recorded));

  const normed = norm([...before], weights[0]);
  const want = [q, k, v].flatMap(({ multiply }) => multiply(normed));
  const middle = o.multiply([...attended]).map((value, i) => value + before[i]!);
  const inner = norm(middle, weights[1]);
  const gates = gate.multiply(inner);
  const hidden = up.multiply(inner).map((value, i) => (value * gates[i]!) / (1 + Math.exp(-gates[i]!)));
  const after = down.multiply(hidden).map((value, i) => value + middle[i]!);
  const apart = (got: ArrayLike<number>, exact: readonly number[]): number =>
    Math.hypot(...exact.map((value, i) => got[i]! - value)) / Math.hypot(...exact);
  const all = Tensor.wrap(device, qkv, { shape: [D + 2 * KV], dtype });
  expect(apart((await all.read()) as Float32Array, want)).toBeLessThan(1e-5);
  expect(apart((await x.read()) as Float32Array, after)).toBeLessThan(1e-5);
  expect(
    apart(
      (await twin.read()) as Float32Array,
      after.map((value, i) => value * weights[2][i]!),
    ),
  ).toBeLessThan(1e-5);
});
