// Seeded data for a case, as host tensors in the module's orientation. Pure.

import { formatCast } from '../../src/ascend/fractal-nz.js';
import { convertWeightToInt4Pack } from '../../src/ascend/int4-pack.js';
import { transQuantParam } from '../../src/ascend/quant-param.js';
import { encode16, type FloatDType } from '../../src/dtype.js';
import { widthOf } from '../../src/problem/code-width.js';
import { type HostTensor, transposeHost } from '../../src/reference/reference.js';
import type { Case } from './cases.js';

/** Uniform numbers of [0, 1); the same for the same seed. */
export function random(seed: string): () => number {
  let state = 0x9e3779b9;
  for (const letter of seed) state = Math.imul(state ^ letter.charCodeAt(0), 0x85ebca6b) ^ (state >>> 13);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface CaseData {
  /** (…, M, K), or its storage's transpose. */
  readonly x: HostTensor;
  /** By `load`'s names. */
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

const floats = (values: Float32Array, shape: readonly number[], dtype: FloatDType): HostTensor => ({
  data: dtype === 'float32' ? values : encode16(values, dtype),
  shape,
  dtype,
});

/** Values of a matrix (rows, columns) in the order of its transpose. */
function transposed<T extends Float32Array | Int8Array>(values: T, rows: number, columns: number): T {
  const out = values.slice() as T;
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c]!;
  return out;
}

export function makeData(c: Case): CaseData {
  const next = random(c.name);
  const integer = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  const normal = (): number => next() + next() + next() + next() - 2;
  const pick = <T>(list: readonly T[]): T => list[integer(0, list.length - 1)]!;
  const fill = (length: number, make: (i: number) => number): Float32Array => Float32Array.from({ length }, (_, i) => make(i));
  const exact = c.data === 'exact';
  const rows = c.batch.reduce((a, b) => a * b, c.m);
  const biasDtype = c.dtype === 'bfloat16' ? 'float32' : c.dtype;

  // x
  const xs = fill(rows * c.k, () => (exact ? integer(-3, 3) : ofKind(c, normal(), next)));
  const groups = c.mode === 'group' ? Math.ceil(c.k / c.groupSize) : 1;
  // ±127 in every block of 32: then a step is 1, and the codes are x itself.
  if (exact && c.innerPrecise === 1)
    for (let row = 0; row < rows; row++) for (let k = 0; k < c.k; k += 32) xs[row * c.k + k] = row % 2 === 0 ? 127 : -127;
  const scaleCount = c.mode === 'tensor' ? 1 : c.n * groups;
  const scales = fill(scaleCount, () => (exact ? pick([0.5, 1, 2, -1]) : 0.001 + 0.02 * next()));
  const offsets = fill(scaleCount, () => (exact ? integer(-3, 3) : c.packedScale ? integer(-128, 127) : 8 * normal()));
  const biases = fill(c.n, () => (exact ? integer(-8, 8) / 2 : normal()));
  if (c.data === 'special') makeSpecial(c, xs, scales, offsets, biases);
  const batched = [...c.batch, c.m, c.k];
  let x = floats(xs, batched, c.dtype);
  if (c.x === 'transposed') {
    const matrices = rows / c.m;
    const turned = new Float32Array(xs.length);
    for (let b = 0; b < matrices; b++) turned.set(transposed(xs.slice(b * c.m * c.k, (b + 1) * c.m * c.k), c.m, c.k), b * c.m * c.k);
    x = transposeHost(floats(turned, [...c.batch, c.k, c.m], c.dtype));
  }

  // weight: (N, K) codes, then as the case stores them
  const code = widthOf(c.bits);
  const [low, high] = [-code.zero, code.mask - code.zero].map((end) => (exact ? Math.max(-9, Math.min(9, end)) : end)) as [number, number];
  const codes = Int8Array.from({ length: c.n * c.k }, () => (c.data === 'zero weights' ? 0 : integer(low, high)));
  const matrix = c.weight === 'NK' ? [c.n, c.k] : [c.k, c.n];
  const stored = c.weight === 'NK' ? codes : transposed(codes, c.n, c.k);
  const [words, shape, dtype] =
    code.dtype === 'int8'
      ? [stored, matrix, code.dtype]
      : [convertWeightToInt4Pack(stored, matrix), [matrix[0]!, matrix[1]! / code.inElement], code.dtype];
  const format = c.nz ? 'FRACTAL_NZ' : 'ND';
  const data = c.nz ? formatCast(words, { shape, dtype, from: 'ND', to: 'FRACTAL_NZ' }) : words;
  const asStored: HostTensor = { data, shape, dtype, format };
  const weight = c.weight === 'NK' ? asStored : transposeHost(asStored);

  // scales
  const scaleShape = c.mode === 'tensor' ? [1] : c.mode === 'group' ? [c.n, groups] : pick([[c.n], [c.n, 1], [1, c.n]]);
  const antiquantScale: HostTensor = c.packedScale
    ? { data: transQuantParam(scales), shape: scaleShape, dtype: 'int64' }
    : floats(scales, scaleShape, c.dtype);
  const antiquantOffset: HostTensor = c.packedScale
    ? { data: Int32Array.from(offsets), shape: scaleShape, dtype: 'int32' }
    : floats(offsets, scaleShape, c.dtype);
  // (G, N) storage now and then: the transposed view of it is what the module takes.
  const turn = c.mode === 'group' && c.weight === 'KN';
  const turned = (tensor: HostTensor, values: Float32Array): HostTensor =>
    turn ? transposeHost(floats(transposed(values, c.n, groups), [groups, c.n], c.dtype)) : tensor;

  // output
  const one = c.quant !== 'none' && c.mode === 'tensor' && c.n % 2 === 0;
  const quantShape = one ? [1] : pick([[c.n], [1, c.n]]);
  const quantCount = one ? 1 : c.n;
  const quantScales = fill(quantCount, () => (exact ? pick([0.25, 0.5, 1, -0.5]) : 1 + 40 * next()));
  const quantOffsets = fill(quantCount, () => (exact ? integer(-40, 40) / 2 : 20 * normal()));
  const quantScale: HostTensor =
    c.quant === 'int64'
      ? { data: transQuantParam(quantScales, quantOffsets), shape: quantShape, dtype: 'int64' }
      : { data: quantScales, shape: quantShape, dtype: 'float32' };
  const biasShape = pick([[c.n], [1, c.n]]);
  return {
    x,
    tensors: {
      weight,
      antiquantScale: turned(antiquantScale, scales),
      ...(c.offset && { antiquantOffset: turned(antiquantOffset, offsets) }),
      ...(c.bias && { bias: floats(biases, biasShape, biasDtype) }),
      ...(c.quant !== 'none' && { quantScale }),
      ...(c.quant === 'float32+offset' && { quantOffset: { data: quantOffsets, shape: quantShape, dtype: 'float32' as const } }),
    },
  };
}

/** What a case's kind of data makes of a normal number. */
function ofKind({ data, dtype }: Case, value: number, next: () => number): number {
  switch (data) {
    case 'sigmoid':
      return 1 / (1 + Math.exp(-4 * value));
    case 'relu':
      return Math.max(0, value);
    case 'sparse':
      return next() < 0.03 ? 8 * value : 0;
    case 'equal':
      return 1 / 3;
    case 'huge':
      return value * (dtype === 'float16' ? 1e3 : 1e30);
    default:
      return value;
  }
}

/** A row each for: an infinity, both infinities, products beyond the largest half, subnormals, a NaN, and plain numbers. */
function makeSpecial(c: Case, xs: Float32Array, scales: Float32Array, offsets: Float32Array, biases: Float32Array): void {
  const put = (row: number, k: number, value: number): void => {
    if (row < c.m) xs[row * c.k + (k % c.k)] = value;
  };
  put(0, 5, Number.POSITIVE_INFINITY);
  put(1, 3, Number.POSITIVE_INFINITY);
  put(1, 40, Number.NEGATIVE_INFINITY);
  for (let k = 0; k < c.k; k++) put(2, k, 6e4 * (k % 2 === 0 ? 1 : -0.5)); // sums beyond 65504
  for (let k = 0; k < c.k; k++) put(3, k, 3e-6); // subnormal halves
  put(4, 9, Number.NaN);
  if (scales.length < 8) return;
  scales[0] = Number.POSITIVE_INFINITY;
  scales[1] = Number.NaN;
  scales[2] = 3e-6; // a subnormal half
  offsets[3] = Number.NEGATIVE_INFINITY;
  offsets[4] = 0;
  biases[5 % c.n] = Number.POSITIVE_INFINITY;
}
