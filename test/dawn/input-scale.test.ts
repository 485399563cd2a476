// A scale of each input on the GPU: x of every kind against the reference's interval, values that no float32 holds, x between poison, pieces
// along k, and layers that share x with others.
import { describe, expect, test } from 'vitest';
import type { LayerSource } from '../../src/formats.js';
import { loadLayer } from '../../src/formats.js';
import { forwardMany, LinearWeightQuant, quantizeRows, requestDevice, Tensor } from '../../src/index.js';
import { dequantize, packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { referenceMatrix } from '../../src/reference/reference-matrix.js';
import { random } from '../cases/data.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });
const [n, k, groupSize] = [12, 77, 16];
const next = random('input scale');
const groups = Math.ceil(k / groupSize);
const whole = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
const plain: QuantizedMatrix = {
  n,
  k,
  bits: 4,
  codes: packCodes(
    Array.from({ length: n * k }, () => whole(0, 15)),
    n,
    k,
    4,
  ),
  groupSize,
  scale: Float32Array.from({ length: n * groups }, () => 2 ** whole(-3, 1)),
  scaleDtype: 'float32',
};
const list = (of: (i: number) => number): Float32Array => Float32Array.from({ length: k }, (_, i) => of(i));
const backwards = Uint32Array.from({ length: k }, (_, i) => (i * 5) % k);
const layerOf = (matrix: QuantizedMatrix, more = {}) =>
  new LinearWeightQuant(device, { inFeatures: matrix.k, outFeatures: matrix.n, bias: false, dtype: 'float32', ...more }).loadMatrix(matrix);
const rowsOf = (rows: readonly Float32Array[]) => Float32Array.from(rows.flatMap((row) => [...row]));
async function product(matrix: QuantizedMatrix, rows: readonly Float32Array[]) {
  const layer = layerOf(matrix);
  const data = rowsOf(rows);
  const x = Tensor.from(device, data, { shape: [rows.length, k], dtype: 'float32' });
  const y = (await layer.forward(x).read()) as Float32Array;
  const want = referenceMatrix({ data, shape: [rows.length, k], dtype: 'float32' }, matrix, {
    accuracy: layer.explain(rows.length).accuracy,
  });
  layer.destroy();
  return { y, want };
}

describe.each([
  ['in the order of x', undefined],
  ['of inputs in another order', backwards],
])('%s', (_, permutation) => {
  const ordered = permutation ? { ...plain, permutation } : plain;
  test('powers of two: exactly x · dequantize(matrix)ᵀ', async () => {
    const matrix = { ...ordered, inputScale: list(() => (whole(0, 1) ? 1 : -1) * 2 ** whole(-3, 3)) };
    const xs = [list(() => whole(-3, 3)), list((i) => (i === 40 ? 5 : 0)), list(() => 1)];
    const { y } = await product(matrix, xs);
    const weights = dequantize(matrix);
    const want = xs.flatMap((row) =>
      Array.from({ length: n }, (_, c) => row.reduce((sum, value, i) => sum + value * weights[c * k + i]!, 0)),
    );
    expect(Array.from(y)).toEqual(want);
    expect(new Set(want).size).toBeGreaterThan(n);
  });
  test.each<[string, (i: number) => number, (i: number) => number]>([
    ['of one sign', () => next(), () => 0.01 + 100 * next()],
    ['sparse', (i) => (i % 13 === 3 ? next() - 0.5 : 0), () => 0.1 + next()],
    ['huge', () => 1e30 * (next() - 0.5), () => 1e6 * next()],
    ['subnormal', () => 2 ** -130 * whole(-60, 60), () => 1 + next()],
    ['subnormal, raised', () => 2 ** -130 * whole(-60, 60), () => 2 ** 120 * (1 + next())],
    ['made subnormal', () => next() - 0.5, () => 2 ** -127 * (1 + next())],
    ['of very different scales', () => next() - 0.5, () => 2 ** whole(-40, 40) * (1 + next())],
  ])('x %s', async (_, value, factor) => {
    const { y, want } = await product({ ...ordered, inputScale: list(factor) }, [list(value), list(value), list(value)]);
    for (const [i, got] of y.entries()) {
      expect(got).toBeGreaterThanOrEqual(want.low[i] as number);
      expect(got).toBeLessThanOrEqual(want.high[i] as number);
    }
    expect(want.exact.some((sum) => sum !== 0)).toBe(true);
  });
});

test('a product beyond float32 is infinite, and an infinite x of scale 0 is NaN', async () => {
  const inputScale = list((i) => (i === 40 ? 4 : i === 41 ? 0 : 1));
  const xs = [2e38, Number.POSITIVE_INFINITY, 1].map((value, row) => list((i) => (i === (row === 1 ? 41 : 40) ? value : 0)));
  const { y, want } = await product({ ...plain, inputScale }, xs);
  expect(Array.from(y)).toEqual(Array.from(want.data));
  expect(Array.from(y.subarray(0, n)).every((value) => !Number.isFinite(value))).toBe(true);
  expect(Array.from(y.subarray(n, 2 * n)).every(Number.isNaN)).toBe(true);
  expect(Array.from(y.subarray(2 * n)).every(Number.isFinite)).toBe(true);
});

test('nothing beside the rows is read: x between NaN', async () => {
  const matrix = { ...plain, inputScale: list((i) => 2 ** ((i % 5) - 2)) };
  const layer = layerOf(matrix);
  const rows = [list(() => whole(-3, 3)), list(() => whole(-3, 3))];
  const [pitch, first] = [k + 6, 3];
  const poisoned = new Float32Array(first + 2 * pitch).fill(Number.NaN);
  for (const [i, row] of rows.entries()) poisoned.set(row, first + i * pitch);
  const wide = Tensor.from(device, poisoned, { shape: [poisoned.length], dtype: 'float32' });
  const x = Tensor.wrap(device, wide.buffer, { shape: [2, k], dtype: 'float32', strides: [pitch, 1], byteOffset: 4 * first });
  const y = (await layer.forward(x).read()) as Float32Array;
  const { data } = referenceMatrix({ data: rowsOf(rows), shape: [2, k], dtype: 'float32' }, matrix);
  expect(Array.from(y)).toEqual(Array.from(data));
  layer.destroy();
});

test('pieces along k bring the scales of their own inputs', async () => {
  const size = { n: 8, k: 96 };
  const matrix: QuantizedMatrix = {
    ...size,
    bits: 4,
    codes: packCodes(
      Array.from({ length: 8 * 96 }, () => whole(0, 15)),
      8,
      96,
      4,
    ),
    groupSize: 32,
    scale: new Float32Array(24).fill(1),
    scaleDtype: 'float32',
    inputScale: Float32Array.from({ length: 96 }, (_, i) => 1 + i),
  };
  // A tensor that is only cut: its rows are k, and each tells which run of them a piece is.
  const bytes = Uint8Array.from({ length: 96 }, (_, i) => i);
  const source = { name: 'made', read: async (begin: number, end: number) => bytes.slice(begin, end), size: bytes.length };
  const rows = { name: 'rows', dtype: 'U8', shape: [96, 1], source: source as never, begin: 0, end: 96 };
  const columns = ({ codes }: QuantizedMatrix, from: number, count: number): Uint32Array =>
    Uint32Array.from({ length: (8 * count) / 8 }, (_, i) => codes[Math.floor(i / (count / 8)) * 12 + from / 8 + (i % (count / 8))]!);
  const pieces: number[] = [];
  const made: LayerSource = {
    ...{ name: 'made', format: 'made', ...size, bits: 4, groupSize: 32, tensors: { rows }, bias: undefined },
    cut: { axis: 'k', unit: 32, perRow: { rows: 1 } },
    make: ({ rows: part }, { k: count }) => {
      const from = part!.bytes[0]!;
      pieces.push(from);
      return {
        ...matrix,
        k: count,
        codes: columns(matrix, from, count),
        scale: new Float32Array((8 * count) / 32).fill(1),
        inputScale: matrix.inputScale!.slice(from, from + count),
      };
    },
  };
  const layer = await loadLayer(device, made, { dtype: 'float32', chunkBytes: 32 });
  expect(pieces).toEqual([0, 32, 64]);
  const data = Float32Array.from({ length: 96 }, () => whole(-2, 2));
  const y = await layer.forward(Tensor.from(device, data, { shape: [1, 96], dtype: 'float32' })).read();
  expect(Array.from(y as Float32Array)).toEqual(
    Array.from(referenceMatrix({ data, shape: [1, 96], dtype: 'float32' }, matrix).data as Float32Array),
  );
  layer.destroy();
  // A piece without scales, behind one with them.
  const mixed: LayerSource = {
    ...made,
    make: (parts, part) => {
      const { inputScale, ...rest } = made.make(parts, part);
      return parts.rows!.bytes[0] === 0 ? { ...rest, inputScale } : rest;
    },
  };
  await expect(loadLayer(device, mixed, { dtype: 'float32', chunkBytes: 32 })).rejects.toMatchObject({
    argument: 'matrix: inputScaled of the piece at (0, 32)',
    expected: 'true',
    got: 'false',
  });
});

test('layers that share x each scale it by their own', async () => {
  const matrices = [plain, { ...plain, inputScale: list(() => 2) }, { ...plain, inputScale: list((i) => (i % 2 === 0 ? 0.5 : -1)) }];
  const layers = matrices.map((matrix) => layerOf(matrix));
  const data = list(() => whole(-3, 3));
  const x = Tensor.from(device, data, { shape: [1, k], dtype: 'float32' });
  const ys = await Promise.all(forwardMany(layers, x).map((y) => y.read()));
  for (const [i, matrix] of matrices.entries())
    expect(Array.from(ys[i] as Float32Array)).toEqual(
      Array.from(referenceMatrix({ data, shape: [1, k], dtype: 'float32' }, matrix).data as Float32Array),
    );
  for (const layer of layers) layer.destroy();
});

test('codes of x are refused, since they are of x without the scales', async () => {
  const matrix = { ...plain, inputScale: list(() => 3) };
  const layer = layerOf(matrix);
  const x = Tensor.from(device, new Float32Array(k), { shape: [1, k], dtype: 'float32' });
  expect(() => layer.forward(quantizeRows(x, layer))).toThrow(
    /^x: expected a Tensor for a layer with a scale for each input, got codes of x without it/,
  );
  expect(layer.explain(1).why.join('\n')).toContain('gather-rows first: each input has a scale');
  layer.destroy();
});
