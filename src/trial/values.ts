// The numbers of a trial: small whole numbers and powers of two, so that no sum is rounded in any order. Pure.
//
// Weights are below 2^8 steps, and every 8 adjacent x contain a ±127, so that int8 activations are exact too. Many matrices have the columns
// of one wide matrix: expert e has those from e · N on.

import { encode16, type FloatDType } from '../dtype.js';
import { widthOf } from '../problem/code-width.js';
import type { Weights } from '../problem/problem.js';
import { type Codebook, E2M1_VALUES, E4M3_VALUES, hasOneUnit, hasUnits, type ScaleDType } from '../problem/weight-format.js';

/** Whole numbers that look like noise. */
const NOISE = Uint32Array.from({ length: 4096 }, (_, i) => {
  let t = Math.imul(i + 1, 0x9e3779b1);
  t = Math.imul(t ^ (t >>> 15), 0x2c1b3c6d);
  return t ^ (t >>> 13);
});
const STRIDE = 521; // more than any k here, so that no row or column repeats its neighbour
const noise = (row: number, column: number, salt: number): number => NOISE[(row * STRIDE + column + 1031 * salt) % NOISE.length]!;

export const xAt = (m: number, k: number): number => {
  const t = noise(m, k, 1);
  return k % 8 === m % 8 ? (t % 2 === 0 ? 127 : -127) : (t % 7) - 3;
};
/** What codes stand for. Of a table halves of small whole numbers, unordered. */
export const VALUES: Readonly<Partial<Record<Codebook, Float32Array<ArrayBuffer>>>> = {
  table: Float32Array.from({ length: 16 }, (_, i) => ((7 * i + 3) % 16) / 2 - 3.5),
  e2m1: E2M1_VALUES,
  e4m3: E4M3_VALUES,
};
/** Sums of whole numbers of 2^-9 stay below 2^24 if floats are less than 1, and few of them less than 16. */
const [E4M3_OF_1, E4M3_OF_16] = [0x38, 0x58];
/** q: the code minus the code of weight 0. */
export const codeAt = (n: number, k: number, { held, codebook }: Weights): number => {
  const { mask, zero } = widthOf(held);
  const t = noise(n, k, 2);
  if (codebook === 'e4m3') return ((t >>> 8) % (t % 32 === 0 ? E4M3_OF_16 : E4M3_OF_1)) - (t & 64 ? zero : 0);
  if (mask < 128) return (t & mask) - zero;
  return t % 32 === 0 ? ((t >>> 8) & mask) - zero : ((t >>> 8) % 19) - 9; // sums stay below 2^24
};
/** Scales as whole numbers of a unit, by form. */
const LEVELS: Readonly<Record<ScaleDType, readonly number[]>> = {
  float32: [2, 4, 1, -4],
  float16: [2, 4, 1, -4],
  bfloat16: [2, 4, 1, -4],
  int8: [2, 4, 1, -4],
  uint8: [2, 4, 1, 3],
  uint4: [2, 4, 1, 3],
  e8m0: [2, 4, 1, 8],
  e4m3: [2, 4, 1, 3],
  'e4m3-unit': [2, 4, 1, 3],
};
/** In every third column a subnormal float16: a device that takes it for 0 reads such units wrongly. Units of all k differ by column. */
export const unitAt = (n: number, { scaleDtype }: Weights): number =>
  hasUnits(scaleDtype) && n % 3 === 1 ? 2 ** -20 : hasOneUnit(scaleDtype) ? 2 ** -(2 + (n % 3)) : 0.25;
export const levelAt = (n: number, g: number, { scaleDtype }: Weights): number => LEVELS[scaleDtype][noise(n, g, 3) % 4]!;
export const scaleAt = (n: number, g: number, weights: Weights): number => unitAt(n, weights) * levelAt(n, g, weights);
export const offsetAt = (n: number, g: number): number => (noise(n, g, 4) % 7) - 3;
/** Of a zero point too: no byte is less than 0. */
const addedAt = (n: number, g: number, { held, shift }: Weights): number =>
  shift === 'zero8' ? Math.min(widthOf(held).zero, offsetAt(n, g)) : offsetAt(n, g);
export const zeroPointAt = (n: number, g: number, weights: Weights): number => widthOf(weights.held).zero - addedAt(n, g, weights);
export const minimumUnitAt = (n: number, weights: Weights): number => -2 * unitAt(n, weights);
export const minimumLevelAt = (n: number, g: number): number => noise(n, g, 4) % 16;
/** The weight of code 0. Where it is a float, the weight of the middle code is small, as with an offset. */
export const minimumAt = (n: number, g: number, weights: Weights): number =>
  hasUnits(weights.scaleDtype)
    ? minimumUnitAt(n, weights) * minimumLevelAt(n, g)
    : offsetAt(n, g) - scaleAt(n, g, weights) * widthOf(weights.held).zero;
export const biasAt = (n: number): number => ((noise(n, 0, 5) % 17) - 8) / 2;
/** What y holds before a product is added. */
export const residualAt = (m: number, n: number): number => ((noise(m, n, 9) % 17) - 8) / 2;
export const quantAt = (n: number) => ({ scale: 2 ** -(3 + (noise(n, 0, 6) % 4)), offset: (noise(n, 0, 7) % 41) - 20 });

/** W, a whole number of eighths, or of 2^-23. */
export function weightAt(weights: Weights, n: number, k: number): number {
  const { held, groupSize, shift, codebook } = weights;
  const g = Math.floor(k / groupSize);
  const q = codeAt(n, k, weights);
  const { zero } = widthOf(held);
  const values = VALUES[codebook];
  if (values) return scaleAt(n, g, weights) * values[q + zero]!;
  if (shift === 'minimum') return scaleAt(n, g, weights) * (q + zero) + minimumAt(n, g, weights);
  return scaleAt(n, g, weights) * (q + (shift === 'none' ? 0 : addedAt(n, g, weights)));
}

/** Row by row. (Typed arrays' `from` with a function takes ten times as long.) */
export function matrix<T extends Float32Array | Int8Array>(values: T, columns: number, at: (row: number, column: number) => number): T {
  for (let i = 0, row = 0; i < values.length; row++) for (let column = 0; column < columns; column++) values[i++] = at(row, column);
  return values;
}
export const floatBytes = (values: Float32Array<ArrayBuffer>, dtype: FloatDType): Uint8Array<ArrayBuffer> =>
  new Uint8Array((dtype === 'float32' ? values : encode16(values, dtype)).buffer);

/** Ids of pairs: of every expert, and of none. */
export const idAt = (pair: number, experts: number): number => noise(pair, 0, 8) % (experts + 1);
/** Powers of two. */
export const pairWeightAt = (pair: number): number => [1, 0.5, -1, 2][noise(pair, 0, 10) % 4]!;
