// best: the id and the value of the greatest of each row, equal to those of a loop over the product in every bit.
import { afterAll, describe, expect, test, vi } from 'vitest';
import type { FloatDType } from '../../src/dtype.js';
import { capsOf } from '../../src/gpu/device.js';
import { encodeInto, record } from '../../src/gpu/recording.js';
import {
  type BestOptions,
  type BestRows,
  best,
  encodeBest,
  GpuError,
  joinGateUp,
  LinearWeightQuant,
  type LinearWeightQuantOptions,
  prepareMany,
  quantizeRows,
  recordSteps,
  replay,
  requestDevice,
  type Step,
  Tensor,
} from '../../src/index.js';
import { BEST_IDS, BEST_VALUES, bestOf, sumsPitch } from '../../src/plan/y-steps.js';
import type { Problem } from '../../src/problem/problem.js';
import { addBestText } from '../../src/wgsl/best-text.js';
import { random } from '../cases/data.js';
import { gpu } from '../support/dawn.js';
import { dispatches } from '../support/dispatches.js';
import { submitPass } from '../support/fresh-device.js';
import { FORMS, matrixOf, widthsOf } from '../support/matrix-forms.js';
import { codesOf, xOf, yOf } from '../support/small-product.js';

const device = await requestDevice({ gpu });
const uncaptured = vi.fn();
device.addEventListener('uncapturederror', uncaptured);
afterAll(() => {
  expect(uncaptured).not.toHaveBeenCalled();
  device.destroy();
});

const [POISON, LEAD] = [0x7fc01234, 3];
/** (rows) elements, the fourth of which is the first, in a buffer full of a NaN. */
function poisoned(rows: number, dtype: 'int32' | 'float32') {
  const all = Tensor.from(device, new Int32Array(rows + 2 * LEAD).fill(POISON), { shape: [rows + 2 * LEAD], dtype: 'int32' });
  return { all, part: Tensor.wrap(device, all.buffer, { shape: [rows], dtype, byteOffset: 4 * LEAD }) };
}
const makeInto = (rows: number) => ({ ids: poisoned(rows, 'int32'), values: poisoned(rows, 'float32') });
type Into = ReturnType<typeof makeInto>;
const partsOf = ({ ids, values }: Into): BestRows => ({ ids: ids.part, values: values.part });
/** What lies in both; all around it is as it was. */
async function inside({ ids, values }: Into, rows = ids.part.shape[0]!) {
  const [a, b] = (await Promise.all([ids.all.read(), values.all.read()])) as [Int32Array, Int32Array];
  for (const one of [a, b]) {
    const around = [...one.subarray(0, LEAD), ...one.subarray(LEAD + rows)];
    expect(around.every((word) => word === POISON)).toBe(true);
  }
  return { ids: [...a.subarray(LEAD, LEAD + rows)], values: [...new Float32Array(b.slice(LEAD, LEAD + rows).buffer)] };
}

/** What a row of floats has. */
function greatest(row: ArrayLike<number>, columns = row.length): { id: number; value: number } {
  let id = 0;
  for (let i = 0; i < columns; i++) {
    if (Number.isNaN(row[i])) return { id: -1, value: Number.NaN };
    if (row[i]! > row[id]!) id = i;
  }
  return { id, value: row[id]! };
}
function bestOfAll(y: ArrayLike<number>, n: number, columns = n) {
  const rows = Array.from({ length: y.length / n }, (_, m) => greatest(Array.from(y).slice(m * n, (m + 1) * n), columns));
  return { ids: rows.map(({ id }) => id), values: rows.map(({ value }) => value) };
}
const read = async ({ ids, values }: BestRows) => {
  const [a, b] = await Promise.all([ids.read(), values.read()]);
  return { ids: [...(a as Int32Array)], values: [...(b as Float32Array)] };
};

interface Bits {
  readonly n: number;
  readonly rows: number;
  readonly columns?: number;
  readonly splits?: number;
  readonly grid?: number;
}

describe('the kernel', () => {
  addBestText();
  /** What it makes of splits of sums, with something greater than all in the columns that pad a row. */
  async function ofSums(splits: readonly (readonly number[])[], n: number, { columns = n, grid = 65535 } = {}) {
    const rows = splits[0]!.length / n;
    const pitch = sumsPitch(n);
    const sums = new Float32Array(splits.length * rows * pitch).fill(Number.POSITIVE_INFINITY);
    splits.forEach((list, s) => {
      for (let m = 0; m < rows; m++) sums.set(list.slice(m * n, (m + 1) * n), (s * rows + m) * pitch);
    });
    return ofBits(new Uint32Array(sums.buffer), { n, rows, columns, splits: splits.length, grid });
  }
  async function ofBits(sums: Uint32Array<ArrayBuffer>, { n, rows, columns = n, splits = 1, grid = 65535 }: Bits) {
    const from = Tensor.from(device, sums, { shape: [sums.length], dtype: 'int32' });
    const into = makeInto(rows);
    const caps = { ...capsOf(device), maxComputeWorkgroupsPerDimension: grid };
    const problem = { weights: { n } } as Problem;
    const step = bestOf({ problem, caps }, { columns, ids: LEAD, values: LEAD }, { begin: 0, count: rows, splits });
    const buffers: Readonly<Record<string, GPUBuffer>> = {
      sums: from.buffer,
      [BEST_IDS]: into.ids.all.buffer,
      [BEST_VALUES]: into.values.all.buffer,
    };
    const recording = record(device, [step], (role) => buffers[role]!);
    submitPass(device, (pass) => encodeInto(pass, recording));
    return inside(into);
  }
  const [inf, nan, tiny] = [Number.POSITIVE_INFINITY, Number.NaN, 2 ** -149];

  test.each([
    ['-0 before 0', [-1, -0, 0, -2], 1, -0],
    ['0 before -0', [-1, 0, -0, 0], 1, 0],
    ['-0 alone', [-0, -1, -1, -1], 0, -0],
    ['equal ones', [1, 3, 2, 3, 3], 1, 3],
    ['the least subnormal above 0', [0, -0, tiny, 0], 2, tiny],
    ['the least subnormal below 0', [-1, -2 * tiny, -tiny, -1], 2, -tiny],
    ['neighbours', [1, 1 + 2 ** -23, 1], 1, 1 + 2 ** -23],
    ['-Infinity everywhere', [-inf, -inf, -inf, -inf, -inf], 0, -inf],
    ['-Infinity but for the least float', [-inf, -3.4028234663852886e38, -inf], 1, -3.4028234663852886e38],
    ['Infinity', [1, inf, 3.4028234663852886e38, inf], 1, inf],
    ['NaN first', [nan, inf, 1], -1, nan],
    ['NaN last', [1, inf, 0, 0, 0, nan], -1, nan],
    ['one column', [-7], 0, -7],
  ] as const)('%s', async (_, row, id, value) => {
    expect(greatest(row)).toEqual({ id, value });
    expect(await ofSums([row], row.length)).toEqual({ ids: [id], values: [value] });
  });

  test('NaNs of any bits: signs, payloads, and those that signal', async () => {
    for (const bits of [0x7f800001, 0x7fc00000, 0x7fffffff, 0xff800001, 0xffc00000, 0xffffffff]) {
      const words = new Uint32Array(new Float32Array([1, 2, 3, 4]).buffer);
      words[2] = bits; // a Float32Array need not keep them
      expect(await ofBits(words, { n: 4, rows: 1 })).toEqual({ ids: [-1], values: [nan] });
    }
  });

  test('every place of a row can be the best, and every other equal to it', async () => {
    // Each lane's loads, each place of a quad, and rows that are no whole quads or rounds.
    for (const n of [1023, 4096, 4097, 9001]) {
      const places = [0, 1, 2, 3, 4, 255, 256, 1021, 1022, 1024, 3071, 4095, 4096, 5000, 8191, 8192, 9000].filter((at) => at < n);
      const rows = places.map((at) => Array.from({ length: n }, (_, i) => (i === at ? 2 : i > at && i % 7 === 0 ? 2 : 1)));
      expect(await ofSums([rows.flat()], n)).toEqual({ ids: places, values: places.map(() => 2) });
    }
  });

  test('columns that do not count hold the greatest, and NaN', async () => {
    for (const columns of [1, 2, 3, 4, 5, 63, 64, 66]) {
      const row = Array.from({ length: 67 }, (_, i) => (i < columns ? i % 5 : [inf, nan, 9][i % 3]!));
      const want = greatest(row, columns);
      expect(await ofSums([row], 67, { columns })).toEqual({ ids: [want.id], values: [want.value] });
    }
  });

  test('splits are added, on a grid that is folded', async () => {
    const next = random('splits of the best');
    const [n, rows] = [37, 11];
    const splits = [1, 2, 3].map(() => Array.from({ length: n * rows }, () => Math.floor(64 * next()) - 32));
    splits[0]![5] = inf; // Infinity - Infinity
    splits[2]![5] = -inf;
    const sum = splits[0]!.map((value, i) => value + splits[1]![i]! + splits[2]![i]!);
    expect(await ofSums(splits, n, { grid: 4 })).toEqual(bestOfAll(sum, n));
    expect(bestOfAll(sum, n).ids[0]).toBe(-1);
  });
});

const scale = (n: number): number => 1 + (n % 3);
const K = 64;
/** Whole numbers: int8 codes, a scale for each column. */
function layerOf(n: number, { bias, ...more }: { bias?: ArrayLike<number> } & Partial<Omit<LinearWeightQuantOptions, 'bias'>> = {}) {
  const { dtype = 'float32', inFeatures: k = K } = more;
  const floats = (data: ArrayLike<number>) => Tensor.from(device, Float32Array.from(data), { shape: [n], dtype });
  return new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, ...more, dtype, bias: bias !== undefined }).load({
    weight: Tensor.from(device, codesOf({ n, k }), { shape: [n, k], dtype: 'int8' }),
    antiquantScale: floats(Array.from({ length: n }, (_, i) => scale(i))),
    ...(bias && { bias: floats(bias) }),
  });
}
const tensor = (values: ArrayLike<number>, shape: readonly number[], dtype: FloatDType = 'float32') =>
  Tensor.from(device, Float32Array.from(values), { shape, dtype });
const encode = (layer: LinearWeightQuant, x: Parameters<typeof best>[1], into: BestRows, options?: BestOptions) =>
  submitPass(device, (pass) => encodeBest(pass, layer, x, into, options));
const want = (rows: number, n: number, columns = n, k = K) => bestOfAll(yOf(rows, { n, k, scale }), n, columns);

describe('products', () => {
  test.each([
    [1, 1],
    [1, 7],
    [3, 4],
    [3, 63],
    [5, 260],
    [40, 130],
  ])('%i rows of %i columns', async (m, n) => {
    const layer = layerOf(n);
    const x = xOf(device, m, K);
    expect(await read(best(layer, x))).toEqual(want(m, n));
    const into = makeInto(m);
    const columns = Math.ceil(n / 2);
    encode(layer, x, partsOf(into), { columns });
    expect(await inside(into)).toEqual(want(m, n, columns));
    layer.destroy();
  });

  test.each(['float16', 'bfloat16'] as const)('%s: sums that would be equal if y were rounded', async (dtype) => {
    const [n, column] = [21, 18];
    const codes = new Int8Array(n * K).fill(63);
    codes[column * K] = 64;
    const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: n, bias: false, dtype }).load({
      weight: Tensor.from(device, codes, { shape: [n, K], dtype: 'int8' }),
      antiquantScale: tensor([1], [1], dtype),
    });
    const x = tensor(new Float32Array(3 * K).fill(1), [3, K], dtype);
    expect(new Set((await layer.forward(x).read()) as Float32Array).size).toBe(1);
    const made = best(layer, x);
    expect([made.ids.dtype, made.values.dtype]).toEqual(['int32', 'float32']);
    expect(await read(made)).toEqual({ ids: [column, column, column], values: [4033, 4033, 4033] });
    layer.destroy();
  });

  const cases = FORMS.map((form, i) => ({ form, bits: widthsOf(form)[(5 * i) % widthsOf(form).length]! }));
  test.each(cases)('as forward: $bits bits, $form.name', async ({ form, bits }) => {
    const [n, k] = [70, 128];
    const matrix = matrixOf(bits, form, { n, k, groupSize: 32 }, { exponents: [-9, 9] });
    const options = { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32', plan: { selfTest: false } } as const;
    const layer = new LinearWeightQuant(device, options).loadMatrix(matrix);
    const x = xOf(device, 3, k);
    const y = (await layer.forward(x).read()) as Float32Array;
    expect(new Set(y).size).toBeGreaterThan(n); // no y of zeros
    expect(await read(best(layer, x))).toEqual(bestOfAll(y, n));
    layer.destroy();
  });

  test('several slabs, windows of rows, a folded grid', async () => {
    const [m, n, k] = [21, 301, 256];
    const x = xOf(device, m, k);
    const caps = { maxStorageBufferBindingSize: 1 << 14, maxComputeWorkgroupsPerDimension: 8 };
    const layer = layerOf(n, { inFeatures: k, plan: { caps } });
    expect(layer.packed.slabs.length).toBeGreaterThan(2);
    const into = makeInto(m);
    expect(dispatches((pass) => encodeBest(pass, layer, x, partsOf(into)))).toBeGreaterThan(2 * layer.packed.slabs.length);
    encode(layer, x, partsOf(into));
    expect(await inside(into)).toEqual(want(m, n, n, k));
    layer.destroy();
  });

  test('k in splits, as on a GPU that few columns leave idle', async () => {
    const [n, k] = [20, 2048];
    const layer = layerOf(n, { inFeatures: k, plan: { force: { kernel: 'matmul-prefill' }, caps: { lanes: 1 << 16 } } });
    const x = xOf(device, 1, k);
    const { dispatches: plain } = layer.explain(1);
    expect(plain.at(-1)!.shader).toBe('round-rows');
    expect(plain.at(-1)!.uniforms.splits).toBeGreaterThan(1);
    expect(dispatches((pass) => encodeBest(pass, layer, x, partsOf(makeInto(1))))).toBe(plain.length);
    expect(await read(best(layer, x))).toEqual(want(1, n, n, k));
    layer.destroy();
  });

  test('one dispatch more than the product, for any number of columns', () => {
    for (const n of [63, 64]) {
      const layer = layerOf(n);
      expect(dispatches((pass) => encodeBest(pass, layer, xOf(device, 3, K), partsOf(makeInto(3))))).toBe(2);
      layer.destroy();
    }
  });

  test('infinities and NaN of the bias', async () => {
    const n = 12;
    const ofBias = async (bias: number[], columns?: number) => {
      const layer = layerOf(n, { bias });
      const made = await read(best(layer, tensor(new Float32Array(2 * K), [2, K]), columns === undefined ? {} : { columns }));
      layer.destroy();
      return [made.ids, made.values];
    };
    const list = (value: number, changes: Readonly<Record<number, number>> = {}) =>
      Array.from({ length: n }, (_, i) => changes[i] ?? value);
    const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];
    expect(await ofBias(list(-inf))).toEqual([
      [0, 0],
      [-inf, -inf],
    ]);
    expect(await ofBias(list(1, { 7: inf, 9: inf }))).toEqual([
      [7, 7],
      [inf, inf],
    ]);
    expect(await ofBias(list(1, { 10: nan, 3: inf }))).toEqual([
      [-1, -1],
      [nan, nan],
    ]);
    expect(await ofBias(list(1, { 10: nan, 11: inf, 4: 2 }), 10)).toEqual([
      [4, 4],
      [2, 2],
    ]);
  });

  test('an x of a NaN or an infinity in one row leaves the others as they are', async () => {
    const n = 10;
    const layer = layerOf(n);
    const values = Float32Array.from({ length: 3 * K }, (_, i) => (i % 7) - 3);
    values[K] = Number.NaN;
    const all = want(3, n);
    const made = await read(best(layer, tensor(values, [3, K])));
    expect(made).toEqual({ ids: [all.ids[0], -1, all.ids[2]], values: [all.values[0], Number.NaN, all.values[2]] });
    layer.destroy();
  });

  test('factors of rows, negative ones too', async () => {
    const n = 30;
    const bias = Array.from({ length: n }, (_, i) => i);
    const layer = layerOf(n, { bias });
    const factors = [2, -1, 0];
    const y = yOf(3, { n, k: K, scale }).map((sum, i) => sum * factors[Math.floor(i / n)]! + bias[i % n]!);
    const x = xOf(device, 3, K);
    expect(await read(best(layer, x, { rowScale: tensor(factors, [3]) }))).toEqual(bestOfAll(y, n));
    const halved = yOf(3, { n, k: K, scale }).map((sum, i) => sum / 2 + bias[i % n]!); // 1 / √(0 + 4)
    const rms = tensor(new Float32Array(12), [3, 4]);
    expect(await read(best(layer, x, { rowScale: { rms, epsilon: 4 }, columns: 29 }))).toEqual(bestOfAll(halved, n, 29));
    layer.destroy();
  });

  test('a transposed x, an x of three axes, one of one axis, no rows, and codes', async () => {
    const n = 24;
    const layer = layerOf(n);
    const flat = Float32Array.from({ length: 6 * K }, (_, i) => (i % 7) - 3);
    const turned = tensor(
      Float32Array.from({ length: 6 * K }, (_, i) => flat[(i % 6) * K + Math.floor(i / 6)]!),
      [K, 6],
    ).transpose();
    const cubed = best(layer, tensor(flat, [2, 3, K]));
    expect([cubed.ids.shape, cubed.values.shape]).toEqual([
      [2, 3],
      [2, 3],
    ]);
    for (const made of [cubed, best(layer, turned)]) expect(await read(made)).toEqual(want(6, n));
    const one = best(layer, tensor(flat.slice(0, K), [K]));
    expect([one.ids.shape, await read(one)]).toEqual([[1], want(1, n)]);
    const none = best(layer, tensor([], [0, K]));
    expect([none.ids.shape, await read(none)]).toEqual([[0], { ids: [], values: [] }]);
    const coded = layerOf(n, { innerPrecise: 1 });
    const q = quantizeRows(tensor(flat, [6, K]), coded);
    const y = (await coded.forward(q).read()) as Float32Array;
    expect(await read(best(coded, q))).toEqual(bestOfAll(y, n));
    layer.destroy();
    coded.destroy();
  });
});

describe('calls', () => {
  const n = 50;

  test('another x, columns, places and weights: no answer is an old one', async () => {
    const layer = layerOf(n);
    const x = xOf(device, 3, K);
    const into = makeInto(3);
    encode(layer, x, partsOf(into));
    expect(await inside(into)).toEqual(want(3, n));
    for (const columns of [7, 20, 7]) {
      encode(layer, x, partsOf(into), { columns });
      expect(await inside(into)).toEqual(want(3, n, columns));
    }
    device.queue.writeBuffer(x.buffer, 0, new Float32Array(3 * K));
    encode(layer, x, partsOf(into));
    expect(await inside(into)).toEqual({ ids: [0, 0, 0], values: [0, 0, 0] });
    const shifted = { ...partsOf(into), ids: Tensor.wrap(device, into.ids.all.buffer, { shape: [3], dtype: 'int32', byteOffset: 12 }) };
    layer.load({
      weight: Tensor.from(device, new Int8Array(n * K).fill(1).fill(2, 9 * K, 10 * K), { shape: [n, K], dtype: 'int8' }),
      antiquantScale: tensor([1], [1]),
    });
    device.queue.writeBuffer(x.buffer, 0, new Float32Array(3 * K).fill(1));
    encode(layer, x, shifted);
    expect(await inside(into)).toEqual({ ids: [9, 9, 9], values: [128, 128, 128] });
    layer.destroy();
  });

  test('the same buffers again make nothing, and destroyed outputs are used again', async () => {
    const layer = layerOf(n);
    const x = xOf(device, 2, K);
    const into = makeInto(2);
    encode(layer, x, partsOf(into));
    const first = best(layer, x);
    const buffers = [first.ids.buffer, first.values.buffer];
    for (const one of [first.values, first.ids]) one.destroy();
    const made = (['createBuffer', 'createBindGroup'] as const).map((name) => vi.spyOn(device, name));
    encode(layer, x, partsOf(into));
    const second = best(layer, x);
    for (const spy of made) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
    expect([second.ids.buffer, second.values.buffer]).toEqual(buffers);
    expect(await read(second)).toEqual(want(2, n));
    layer.destroy();
  });

  test('weights that moved, and a y that others write between', async () => {
    const layers = [layerOf(n), layerOf(n)];
    const x = xOf(device, 3, K);
    const into = makeInto(3);
    encode(layers[0]!, x, partsOf(into));
    await prepareMany(layers, [3]);
    for (const layer of layers) {
      await layer.forward(xOf(device, 9, K)).read(); // scratch memory is that of all
      encode(layer, x, partsOf(into));
      expect(await inside(into)).toEqual(want(3, n));
    }
    for (const layer of layers) layer.destroy();
  });

  test('errors of x and of its factors reach ids and values', async () => {
    const layer = layerOf(n);
    for (const name of ['x', 'rowScale'] as const) {
      const given = { x: xOf(device, 1, K), rowScale: tensor([1], [1]) };
      given[name].writtenBy(Promise.reject(new GpuError(`work before ${name}`, 'no')));
      given[name].written!.catch(() => {});
      const into = makeInto(1);
      encode(layer, given.x, partsOf(into), { rowScale: given.rowScale });
      const made = best(layer, given.x, { rowScale: given.rowScale });
      for (const one of [made.ids, made.values, into.ids.part, into.values.part])
        await expect(one.read()).rejects.toThrow(`work before ${name}`);
    }
    layer.destroy();
  });

  test('what is refused, by name', () => {
    const layer = layerOf(n);
    const x = xOf(device, 2, K);
    const { ids, values } = partsOf(makeInto(2));
    const call =
      (into: object, options: object = {}, of = layer) =>
      () =>
        encode(of, x, into as never, options as never);
    const int32 = (of: Tensor, shape: number[], byteOffset = 0) => Tensor.wrap(device, of.buffer, { shape, dtype: 'int32', byteOffset });
    expect(call({ ids })).toThrow('values: expected a Tensor, got undefined');
    expect(call({ ids, values, y: ids })).toThrow('y: expected ids or values, got an unknown option');
    expect(call({ ids: values, values })).toThrow('ids: expected dtype int32, got float32');
    expect(call({ ids, values: ids })).toThrow('values: expected dtype float32, got int32');
    expect(call({ ids: int32(ids, [3]), values })).toThrow('ids: expected an element for each of 2 rows, got (3,)');
    const apart = Tensor.wrap(device, ids.buffer, { shape: [2], dtype: 'int32', strides: [2] });
    expect(call({ ids: apart, values })).toThrow('ids: expected a contiguous tensor, got strides (2,)');
    expect(call({ ids: int32(values, [2]), values })).toThrow('values: expected another buffer than ids, got the same one');
    expect(call({ ids: int32(x, [2]), values })).toThrow('ids: expected another buffer than x and its factors, got the same one');
    const rowScale = Tensor.wrap(device, values.buffer, { shape: [2], dtype: 'float32' });
    expect(call({ ids, values }, { rowScale })).toThrow('values: expected another buffer than x and its factors, got the same one');
    expect(call({ ids, values }, { columns: 0 })).toThrow('columns: expected a whole number of at least 1, got 0');
    expect(call({ ids, values }, { columns: n + 1 })).toThrow(`columns: expected at most N = ${n}, got ${n + 1}`);
    expect(call({ ids, values }, { add: values })).toThrow('add: expected columns or rowScale or inputScale, got an unknown option');
    expect(() => best(layer, tensor(new Float32Array(K), [1, K], 'float16'))).toThrow('x: expected dtype float32, got float16');
    expect(() => best({} as never, x)).toThrow('layer: expected a LinearWeightQuant');
    const int8 = new LinearWeightQuant(device, { inFeatures: K, outFeatures: n, bias: false, dtype: 'float32', quantScale: true }).load({
      weight: Tensor.from(device, codesOf({ n, k: K }), { shape: [n, K], dtype: 'int8' }),
      antiquantScale: tensor([1], [1]),
      quantScale: tensor([1], [1]),
    });
    expect(call({ ids, values }, {}, int8)).toThrow('layer: expected a y of floats, got an int8 y');
    const [gate, up] = [layerOf(64), layerOf(64)];
    const glu = joinGateUp([gate, up], { glu: 'silu' });
    expect(call({ ids, values }, {}, glu)).toThrow('layer: expected weights of one matrix, got gate and up for a gated linear unit');
    layer.destroy();
    expect(call({ ids, values })).toThrow('layer: expected a live layer, got a destroyed one');
  });
});

describe('a recorded step', () => {
  const [n, most] = [44, 9];
  const replayed = (...args: [Parameters<typeof replay>[1], number?]) => submitPass(device, (pass) => replay(pass, ...args));

  test('for every number of rows, with a product before it; what is stale is recorded anew', async () => {
    const [body, head] = [layerOf(K), layerOf(n)];
    const [x, h] = [xOf(device, most, K), tensor(new Float32Array(most * K), [most, K])];
    const into = makeInto(most);
    const options = {
      columns: 41,
      rowScale: tensor(
        Array.from({ length: most }, (_, i) => i - 4),
        [most],
      ),
    };
    const steps: Step[] = [
      { layer: body, x, y: h },
      { best: head, x: h, ...partsOf(into), ...options },
    ];
    const recorded = recordSteps(device, steps, { rows: [1, 4, most] });
    const blank = new Int32Array(most + 2 * LEAD).fill(POISON);
    const check = async (rows: number) => {
      for (const { all } of [into.ids, into.values]) device.queue.writeBuffer(all.buffer, 0, blank);
      replayed(recorded, rows);
      const y = body.forward(x);
      const plain = Array.from((await head.forward(y, { rowScale: options.rowScale }).read()) as Float32Array);
      const all = bestOfAll(plain, n, options.columns);
      expect(await inside(into, rows)).toEqual({ ids: all.ids.slice(0, rows), values: all.values.slice(0, rows) });
    };
    for (const rows of [most, 1, 4, most]) await check(rows);
    device.queue.writeBuffer(
      x.buffer,
      0,
      Float32Array.from({ length: most * K }, (_, i) => (i % 5) - 2),
    );
    await check(4);
    head.load({
      weight: Tensor.from(device, codesOf({ n, k: K }).reverse(), { shape: [n, K], dtype: 'int8' }),
      antiquantScale: tensor([1], [1]),
    });
    await check(most);
    into.values.part.destroy();
    expect(() => replayed(recorded, 1)).toThrow('steps[1].values: expected a live tensor, got a destroyed one');
    head.destroy();
    recorded.destroy();
    body.destroy();
  });

  test('greedy decoding: each id names the next row, and nothing is read back between', async () => {
    const [head, embedding] = [layerOf(n), layerOf(n)];
    const codes = codesOf({ n, k: K });
    const other = Int8Array.from(codes, (_, i) => codes[(i * 5 + 3) % codes.length]!);
    embedding.load({
      weight: Tensor.from(device, other, { shape: [n, K], dtype: 'int8' }),
      antiquantScale: tensor([1], [1]),
    });
    const rowsOf = (list: Int8Array, by: (c: number) => number) =>
      Array.from({ length: n }, (_, c) => Array.from(list.subarray(c * K, (c + 1) * K), (code) => code * by(c)));
    const [weights, embedded] = [rowsOf(codes, scale), rowsOf(other, () => 1)];
    const x = xOf(device, 2, K);
    const into = makeInto(2);
    const recorded = recordSteps(device, [
      { best: head, x, ...partsOf(into), columns: 40 },
      { gather: embedding, ids: into.ids.part, y: x },
    ]);
    let rows = [0, 1].map((m) => Array.from({ length: K }, (_, i) => ((m * K + i) % 7) - 3));
    const seen = new Set<number>();
    for (let step = 0; step < 6; step++) {
      const found = rows.map((row) =>
        greatest(
          weights.map((w) => w.reduce((sum, value, i) => sum + value * row[i]!, 0)),
          40,
        ),
      );
      submitPass(device, (pass) => replay(pass, recorded));
      expect(await inside(into)).toEqual({ ids: found.map(({ id }) => id), values: found.map(({ value }) => value) });
      rows = found.map(({ id }) => embedded[id]!);
      for (const { id } of found) seen.add(id);
    }
    expect(seen.size).toBeGreaterThan(2);
    recorded.destroy();
    for (const layer of [head, embedding]) layer.destroy();
  });

  test('what is refused names the step', () => {
    const layer = layerOf(n);
    const x = xOf(device, 2, K);
    const parts = partsOf(makeInto(2));
    const call =
      (step: object, options: object = {}) =>
      () =>
        recordSteps(device, [step as never], options);
    expect(call({ best: layer, x, ids: parts.ids })).toThrow('steps[0].values: expected a Tensor');
    expect(call({ best: layer, x, ...parts, columns: n + 1 })).toThrow('steps[0].columns: expected at most N = 44, got 45');
    expect(call({ best: layer, x, ...parts }, { rows: [3] })).toThrow('expected a first axis of at least 3');
    const empty = new LinearWeightQuant(device, { inFeatures: K, outFeatures: n, bias: false, dtype: 'float32' });
    expect(call({ best: empty, x, ...parts })).toThrow('steps[0].best: expected loaded weights: call load() first, got none');
    layer.destroy();
  });
});
