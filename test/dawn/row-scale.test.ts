// rowScale and twin: RMSNorm between two products at no dispatch of its own; in recorded steps, with stale values looked for, and what is refused.
// run-matrix.ts has the numbers of every kernel and form.
import { expect, test } from 'vitest';
import { LinearWeightQuant, leaveTwin, quantizeRows, recordSteps, replay, Tensor } from '../../src/index.js';
import { dispatches } from '../support/dispatches.js';
import { deviceForEach, submitPass } from '../support/fresh-device.js';

const dtype = 'float32';
const [K, N] = [64, 8];

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});
/** W = 1 / K everywhere, so that y is the mean of a row of x. */
const layerOf = ({ k = K, n = N, ...more }: { k?: number; n?: number } & Record<string, unknown> = {}) =>
  new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype, ...more }).load({
    weight: Tensor.from(device, new Int8Array(n * k).fill(1), { shape: [n, k], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, new Float32Array([1 / k]), { shape: [1], dtype }),
    ...('quantScale' in more && { quantScale: Tensor.from(device, new Float32Array([0.01]), { shape: [1], dtype }) }),
  });
const tensor = (values: ArrayLike<number>, shape: readonly number[]) => Tensor.from(device, Float32Array.from(values), { shape, dtype });
const filled = (value: number, m: number, width: number) => tensor(new Float32Array(m * width).fill(value), [m, width]);
const numbers = async (y: Tensor): Promise<number[]> => Array.from((await y.read()) as Float32Array);
/** 8-bit codes are 128 more than the weights, so that sums round as sums of |x| · 129 do. */
const close = (got: readonly number[], want: number): void => {
  for (const value of got) expect(Math.abs(value - want)).toBeLessThan(129 * 1e-6 * Math.abs(want));
};
const encode = (layer: LinearWeightQuant, x: Tensor, y: Tensor, options: Parameters<LinearWeightQuant['encode']>[3]) =>
  submitPass(device, (pass) => layer.encode(pass, x, y, options));

test('the bias is added after the factor, what y holds after both', async () => {
  const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, dtype }).load({
    weight: Tensor.from(device, new Int8Array(N * K).fill(1), { shape: [N, K], dtype: 'int8' }),
    antiquantScale: tensor([1 / K], [1]),
    bias: tensor([1, 2, 3, 4, 5, 6, 7, 8], [N]),
  });
  const y = filled(100, 2, N);
  encode(layer, filled(3, 2, K), y, { rowScale: tensor([2, -4], [2]), add: y });
  expect(await numbers(y)).toEqual([6, -12].flatMap((sum) => Array.from({ length: N }, (_, c) => 100 + sum + 1 + c)));
});

test('another epsilon, other factors of the same buffers: no answer is an old one', async () => {
  const layer = layerOf();
  const [x, y, rms] = [filled(1, 1, K), filled(0, 1, N), filled(3, 1, 16)];
  for (const epsilon of [7, 16, 7]) {
    encode(layer, x, y, { rowScale: { rms, epsilon } });
    close(await numbers(y), 1 / Math.sqrt(9 + epsilon));
  }
  encode(layer, x, y, { rowScale: { rms: Tensor.wrap(device, rms.buffer, { shape: [1, 8], dtype, byteOffset: 32 }), epsilon: 16 } });
  close(await numbers(y), 0.2);
  encode(layer, x, y, { rowScale: Tensor.wrap(device, rms.buffer, { shape: [1], dtype, byteOffset: 4 }) });
  expect(await numbers(y)).toEqual(Array(N).fill(3));
  encode(layer, x, y, {});
  expect(await numbers(y)).toEqual(Array(N).fill(1));
});

test('a block of products with RMSNorm between them: the twin of one is x of the next', async () => {
  const [first, second] = [layerOf({ k: K, n: K }), layerOf()];
  const weight = Array.from({ length: K }, (_, i) => 1 + i / 16);
  leaveTwin(first, tensor(weight, [K]));
  for (const m of [1, 3]) {
    const state = device.createBuffer({ size: 8 * K * m, usage: 0x80 | 0x4 | 0x8 });
    const part = (at: number) => Tensor.wrap(device, state, { shape: [m, K], dtype, byteOffset: 4 * K * m * at });
    const [x, twin] = [part(0), part(1)];
    const residual = Float32Array.from({ length: m * K }, (_, i) => (i % 5) - 2);
    device.queue.writeBuffer(state, 0, residual);
    const y = filled(0, m, N);
    const steps = [
      { layer: first, x: filled(2, m, K), y: x, add: x, twin },
      { layer: second, x: twin, y, rowScale: { rms: x, epsilon: 1e-5 } },
    ];
    const recorded = recordSteps(device, steps);
    for (let round = 1; round <= 2; round++) {
      submitPass(device, (pass) => replay(pass, recorded));
      const own = residual.map((value) => value + 2 * round);
      expect(await numbers(x)).toEqual([...own]);
      expect(await numbers(twin)).toEqual([...own].map((value, i) => Math.fround(value * Math.fround(weight[i % K]!))));
      const want = Array.from({ length: m }, (_, r) => {
        const row = [...own.subarray(r * K, (r + 1) * K)];
        const factor = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / K + 1e-5);
        return (factor * row.reduce((sum, value, i) => sum + value * weight[i]!, 0)) / K;
      });
      for (const [i, value] of (await numbers(y)).entries()) expect(value).toBeCloseTo(want[Math.floor(i / N)]!, 4);
    }
  }
});

test('a twin of 16-bit y, beside a bias, before y in the buffer', async () => {
  for (const half of ['float16', 'bfloat16'] as const) {
    const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, dtype: half }).load({
      weight: Tensor.from(device, new Int8Array(N * K).fill(1), { shape: [N, K], dtype: 'int8' }),
      antiquantScale: Tensor.from(device, new Float32Array([1]), { shape: [1], dtype: half }),
      bias: Tensor.from(device, new Float32Array(N).fill(4), { shape: [N], dtype: half }),
    });
    leaveTwin(layer, tensor([2, 1, 0.5, 0.25, -1, 0, 4, 8], [N]));
    leaveTwin(layer, tensor([2, 1, 0.5, 0.25, -1, 0, 4, 16], [N])); // the last one counts
    const both = Tensor.from(device, new Float32Array(2 * N), { shape: [2, N], dtype: half });
    const at = (byteOffset: number) => Tensor.wrap(device, both.buffer, { shape: [1, N], dtype: half, byteOffset });
    const x = Tensor.from(device, new Float32Array(K).fill(1), { shape: [1, K], dtype: half });
    encode(layer, x, at(2 * N), { twin: at(0) });
    expect(await numbers(both)).toEqual([136, 68, 34, 17, -68, 0, 272, 1088, ...Array(N).fill(68)]);
    expect((await numbers(layer.forward(x)))[0]).toBe(68);
  }
});

test('what is no factor or no twin is refused by name', () => {
  const layer = layerOf();
  const [x, y] = [filled(1, 2, K), filled(5, 2, N)];
  const call =
    (options: object, of = layer, into = y) =>
    () =>
      encode(of, x, into, options as never);
  expect(call({ rowScale: 2 })).toThrow(/rowScale/);
  expect(call({ rowScale: tensor([1], [1]) })).toThrow(/rowScale.*a factor for each of 2 rows/);
  expect(call({ rowScale: { rms: filled(1, 3, 4), epsilon: 1 } })).toThrow(/rowScale\.rms.*of 2 rows.*\(3, 4\)/);
  expect(call({ rowScale: { rms: x, epsilon: 0 } })).toThrow(/rowScale\.epsilon/);
  expect(call({ rowScale: { rms: x } })).toThrow(/epsilon/);
  expect(call({ rowScale: { rms: x, eps: 1, epsilon: 1 } })).toThrow(/eps/);
  expect(call({ rowScale: Tensor.from(device, new Float32Array(2), { shape: [2], dtype: 'float16' }) })).toThrow(/rowScale.*float32/);
  expect(call({ rowScale: { rms: y, epsilon: 1 } })).toThrow(/another buffer than y/);
  expect(() =>
    submitPass(device, (pass) =>
      layerOf({ innerPrecise: 1 }).encode(pass, quantizeRows(x, { held: 8 }), y, { rowScale: tensor([1, 1], [2]) }),
    ),
  ).toThrow(/none beside quantized rows/);
  expect(call({ twin: y })).toThrow(/twin.*elements that are not of y/);
  expect(call({ twin: filled(0, 2, N) })).toThrow(/twin.*the buffer of y/);
  const wide = filled(0, 4, N);
  const [low, high] = [0, 8 * N].map((byteOffset) => Tensor.wrap(device, wide.buffer, { shape: [2, N], dtype, byteOffset }));
  expect(call({ twin: high }, layer, low)).toThrow(/leaveTwin\(\) first/);
  expect(() => leaveTwin(layer, tensor([1], [1]))).toThrow(/scale.*float32 \(8\)/);
  expect(() => leaveTwin(layerOf({ quantScale: true }), filled(1, 1, N))).toThrow();
});

test('decode applies the factor itself where it lies beside x: one dispatch', async () => {
  const plan = { force: { kernel: 'matmul-decode' } };
  const [d, n] = [512, 20];
  const layer = layerOf({ k: d, n, plan });
  const x = Float32Array.from({ length: d }, (_, i) => ((i * 7) % 13) - 6);
  const [twin, scale] = [x.map((value) => value * 2), 3];
  const state = device.createBuffer({ size: 16 * d, usage: 0x80 | 0x4 | 0x8 });
  const part = (at: number, shape: readonly number[]) => Tensor.wrap(device, state, { shape, dtype, byteOffset: 4 * d * at });
  device.queue.writeBuffer(state, 0, x);
  device.queue.writeBuffer(state, 4 * d, twin);
  device.queue.writeBuffer(state, 8 * d, Float32Array.of(scale));
  const sum = twin.reduce((a, b) => a + b, 0) / d;
  const rms = 1 / Math.sqrt(x.reduce((a, b) => a + b * b, 0) / d + 0.5);
  const y = filled(0, 1, n);
  for (const [options, factor, count] of [
    [{ rowScale: { rms: part(0, [1, d]), epsilon: 0.5 } }, rms, 1],
    [{ rowScale: part(2, [1]) }, scale, 1],
    [{ rowScale: { rms: tensor(x, [1, d]), epsilon: 0.5 } }, rms, 3], // in another buffer: factors, rows, product
    [{}, 1, 1],
  ] as const) {
    expect(dispatches((pass) => layer.encode(pass, part(1, [1, d]), y, options))).toBe(count);
    encode(layer, part(1, [1, d]), y, options);
    // 8-bit codes are 128 more than the weights: sums round as sums of |x| · 129 do.
    const size = (129 * twin.reduce((a, b) => a + Math.abs(b), 0)) / d;
    for (const value of await numbers(y)) expect(Math.abs(value - sum * factor)).toBeLessThan(1e-6 * size * Math.abs(factor));
  }
});

test('RMSNorm anywhere: its weight as the call’s inputScale, its factor as the rowScale', async () => {
  const layer = layerOf();
  const values = Float32Array.from({ length: 2 * K }, (_, i) => ((i * 5) % 9) - 4);
  const weight = Float32Array.from({ length: K }, (_, i) => 1 + (i % 3));
  const [x, y] = [tensor(values, [2, K]), filled(0, 2, N)];
  const options = { inputScale: tensor(weight, [K]), rowScale: { rms: x, epsilon: 1 } };
  const want = [0, 1].map((r) => {
    const row = values.subarray(r * K, (r + 1) * K);
    const factor = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / K + 1);
    return { value: (factor * row.reduce((sum, value, i) => sum + value * weight[i]!, 0)) / K, size: 129 * 4 * 3 * factor };
  });
  const check = (got: readonly number[]): void => {
    for (const [i, value] of got.entries()) {
      const { value: exact, size } = want[Math.floor(i / N)]!;
      expect(Math.abs(value - exact)).toBeLessThan(1e-6 * size);
    }
  };
  encode(layer, x, y, options);
  check(await numbers(y));
  check(await numbers(layer.forward(x, options)));
  expect(() => encode(layer, x, y, { inputScale: tensor([1], [1]) })).toThrow(/inputScale.*float32 \(64\)/);
  expect(() => layer.forward(x, { add: y } as never)).toThrow(/add/);
});
