// Gate and up as one layer: two layers or one, over slabs, in a recorded step, and what is refused. run-matrix.ts has the numbers of every
// kernel and form.
import { expect, test } from 'vitest';
import { dequantize, findLayers, importGguf, loadLayer } from '../../src/formats.js';
import { gatherRows, joinGateUp, LinearWeightQuant, recordSteps, replay, Tensor } from '../../src/index.js';
import { multiply } from '../../src/reference/llm.js';
import { EVERY_FORMAT } from '../support/every-format.js';
import { deviceForEach, submitPass } from '../support/fresh-device.js';
import { drawOf, randomBlocks } from '../support/model-blocks.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const dtype = 'float32';
const [K, F] = [64, 12];
/** W[c, :] = value(c), so that a row of ones gives K · value(c). */
const layerOf = (value: (column: number) => number, { n = F, ...more }: { n?: number } & Record<string, unknown> = {}) =>
  new LinearWeightQuant(device, { inFeatures: K, outFeatures: n, bias: false, dtype, ...more }).load({
    weight: Tensor.from(
      device,
      Int8Array.from({ length: n * K }, (_, i) => value(Math.floor(i / K))),
      { shape: [n, K], dtype: 'int8' },
    ),
    antiquantScale: Tensor.from(device, new Float32Array([1 / K]), { shape: [1], dtype }),
  });
const rows = (value: number, m: number, width: number) =>
  Tensor.from(device, new Float32Array(m * width).fill(value), { shape: [m, width], dtype });
const silu = (g: number, u: number): number => (g / (1 + Math.exp(-g))) * u;
const close = (got: ArrayLike<number>, want: readonly number[]): void => {
  expect(got.length).toBe(want.length);
  want.forEach((value, i) => {
    expect(Math.abs(got[i]! - value), `y[${i}]`).toBeLessThanOrEqual(1e-5 * Math.abs(value) + 1e-30);
  });
};
const gateAt = (c: number): number => c - 5;
const upAt = (c: number): number => 2 * c + 1;
const WANT = Array.from({ length: F }, (_, c) => silu(gateAt(c), upAt(c)));

test('two layers become one of as many columns', async () => {
  const both = joinGateUp([layerOf(gateAt), layerOf(upAt)], { glu: 'silu' });
  const y = both.forward(rows(1, 2, K));
  expect(y.shape).toEqual([2, F]);
  close((await y.read()) as Float32Array, [...WANT, ...WANT]);
});

test.each(['Q4_K', 'Q6_K', 'Q8_0'] as const)(
  'two layers of %s, whose scales and minima lie as they do in no other format',
  async (dtype) => {
    const [n, k] = [12, 512];
    const matrixOf = (seed: string) => {
      const bytes = randomBlocks(dtype, { n, k }, () => 1 / Math.sqrt(k), drawOf(seed));
      return importGguf({ name: seed, dtype, shape: [n, k], bytes });
    };
    const matrices = [matrixOf('gate'), matrixOf('up')] as const;
    const [gate, up] = matrices.map((matrix) =>
      new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32' }).loadMatrix(matrix),
    );
    const x = Float32Array.from({ length: k }, (_, i) => Math.sin(i));
    const [g, u] = matrices.map((matrix) => multiply(Float64Array.from(x), Float64Array.from(dequantize(matrix)), k));
    const y = joinGateUp([gate!, up!], { glu: 'silu' }).forward(Tensor.from(device, x, { shape: [1, k], dtype: 'float32' }));
    const got = (await y.read()) as Float32Array;
    const want = Array.from(g!, (value, i) => silu(value, u![i]!));
    const size = Math.hypot(...want);
    expect(size).toBeGreaterThan(0.1);
    expect(Math.hypot(...want.map((value, i) => value - got[i]!))).toBeLessThan(1e-5 * size);
  },
);

test('one layer of both, the gate first, in slabs of weights', async () => {
  const bothAt = (c: number): number => (c < F ? gateAt(c) : upAt(c - F));
  for (const caps of [{}, { maxStorageBufferBindingSize: 512 }]) {
    const whole = layerOf(bothAt, { n: 2 * F, plan: { caps } });
    const slabs = whole.packed.slabs.length;
    const both = joinGateUp([whole], { glu: 'silu' });
    expect(both.packed.slabs.length).toBe(slabs);
    if ('maxStorageBufferBindingSize' in caps) expect(slabs).toBeGreaterThan(2);
    close((await both.forward(rows(1, 1, K)).read()) as Float32Array, WANT);
  }
});

test('a y that starts on no pair passes through round-rows', async () => {
  const both = joinGateUp([layerOf(gateAt), layerOf(upAt)], { glu: 'silu' });
  const y = rows(-1, 1, F + 3);
  submitPass(device, (pass) => both.encode(pass, rows(1, 1, K), Tensor.wrap(device, y.buffer, { shape: [1, F], dtype, byteOffset: 4 })));
  const all = (await y.read()) as Float32Array;
  close(all.subarray(1, F + 1), WANT);
  expect([all[0], all[F + 1], all[F + 2]]).toEqual([-1, -1, -1]);
});

test('a recorded step, and every kernel that explain names passes its self-test', async () => {
  const both = joinGateUp([layerOf(gateAt), layerOf(upAt)], { glu: 'silu' });
  await both.prepare([1, 2, 64]);
  const [x, y] = [rows(1, 2, K), rows(0, 2, F)];
  const recorded = recordSteps(device, [{ layer: both, x, y }], { rows: [1, 2] });
  submitPass(device, (pass) => replay(pass, recorded, 1));
  expect(((await y.read()) as Float32Array)[F]).toBe(0);
  submitPass(device, (pass) => replay(pass, recorded, 2));
  close((await y.read()) as Float32Array, [...WANT, ...WANT]);
  expect(both.explain(1).dispatches.length).toBe(layerOf(gateAt).explain(1).dispatches.length);
});

test('the joined layers are destroyed, and their buffers with them', () => {
  const [gate, up] = [layerOf(gateAt), layerOf(upAt)];
  joinGateUp([gate, up], { glu: 'gelu_tanh' });
  for (const layer of [gate, up]) expect(() => layer.forward(rows(1, 1, K))).toThrow(/destroyed/);
});

test('what cannot be joined is refused by name, and stays as it was', async () => {
  const join =
    (layers: LinearWeightQuant[], options: unknown = { glu: 'silu' }) =>
    () =>
      joinGateUp(layers, options as { glu: 'silu' });
  const gate = layerOf(gateAt);
  expect(join([gate, layerOf(upAt)], { glu: 'relu' })).toThrow(/glu.*silu/);
  expect(join([gate, layerOf(upAt)], {})).toThrow(/glu/);
  expect(join([])).toThrow(/gate and up, or one layer of both/);
  expect(join([gate, layerOf(upAt), layerOf(upAt)])).toThrow(/3 layers/);
  expect(join([gate, layerOf(upAt, { n: 8 })])).toThrow(/layers\[1\].*\(12, 64\).*\(8, 64\)/);
  expect(join([layerOf(gateAt, { n: 5 }), layerOf(upAt, { n: 5 })])).toThrow(/5 columns, which must be even/);
  expect(join([gate, layerOf(upAt, { innerPrecise: 1 })])).toThrow(/innerPrecise differs/);
  const both = joinGateUp([layerOf(gateAt), layerOf(upAt)], { glu: 'silu' });
  expect(join([both])).toThrow(/a gated linear unit/);
  const y = rows(0, 1, F);
  expect(() => submitPass(device, (pass) => both.encode(pass, rows(1, 1, K), y, { add: y }))).toThrow(/add.*gated linear unit/);
  const ids = Tensor.from(device, new Int32Array(1), { shape: [1], dtype: 'int32' });
  expect(() => gatherRows(both, ids)).toThrow(/gate and up for a gated linear unit/);
  close(
    (await gate.forward(rows(1, 1, K)).read()) as Float32Array,
    Array.from({ length: F }, (_, c) => gateAt(c)),
  );
});

test('every format that is imported: the unit of what the layer of both gives', async () => {
  const wrong: string[] = [];
  const joined = new Set<string>();
  for (const { file, options } of EVERY_FORMAT)
    for (const source of (await findLayers(file, options)).layers) {
      const layer = await loadLayer(device, source, { dtype: 'float32' });
      const { n, k, format } = source;
      if (layer.packed.permutation || layer.packed.inputScale) {
        expect(() => joinGateUp([layer], { glu: 'silu' }), format).toThrow(/use two products/);
        continue;
      }
      const x = Tensor.from(
        device,
        Float32Array.from({ length: k }, (_, i) => Math.sin(i) / k),
        { shape: [1, k], dtype },
      );
      const sums = Array.from((await layer.forward(x).read()) as Float32Array);
      const got = Array.from((await joinGateUp([layer], { glu: 'silu' }).forward(x).read()) as Float32Array);
      const want = sums.slice(0, n / 2).map((gate, i) => silu(gate, sums[n / 2 + i]!));
      const size = Math.max(...want.map(Math.abs));
      const same = (value: number, i: number): boolean => Object.is(got[i], value) || Math.abs(got[i]! - value) <= 1e-5 * size + 2 ** -126; // what is smaller may be flushed
      if (!want.every(same)) wrong.push(`${format}: ${got.slice(0, 3)} instead of ${want.slice(0, 3)}`);
      joined.add(format);
      layer.destroy();
    }
  expect(wrong).toEqual([]);
  expect(joined.size).toBeGreaterThan(40);
});
