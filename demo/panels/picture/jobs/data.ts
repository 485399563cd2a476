// Data of the panel "See quantization": a picture as weights, the matrices x, and the error between two results. A pixel is a number from
// 0 (black) to 1 (white), and its weight is the pixel minus ½. Row n of the picture is output n of the layer and column k is input k, so
// y[m, n] of x · Wᵀ is shown in row n and column m. Pure.
import type { Method, Mode } from '../../../../src/formats.js';
import type { Bits } from '../../../../src/problem/code-width.js';

export interface Picture {
  /** Identifies the picture. */
  readonly id: number;
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** (rows, columns), 0 to 1. */
  readonly pixels: Float32Array<ArrayBuffer>;
}
export const BUILT_IN = 0;
/** Larger pictures are reduced to this longer side, in pixels. */
export const LARGEST_SIDE = 512;

export const BASES = ['identity', 'blur', 'dct'] as const;
/** The matrix x. */
export type Basis = (typeof BASES)[number];
export const MODES: readonly Mode[] = ['tensor', 'channel', 'group'];

export interface Settings {
  readonly spot: boolean;
  readonly basis: Basis;
  readonly bits: Bits;
  readonly method: Method;
  readonly symmetric: boolean;
  /** Pixels of a row that share a scale; larger numbers count as K. */
  readonly groupSize: number;
}

/** The group sizes on offer: powers of two from 8 on, and K. */
export function sizesFor(k: number): number[] {
  const sizes = [];
  for (let size = 8; size < k; size *= 2) sizes.push(size);
  return [...sizes, k];
}

/** The bright spot: brightness in units of white, spread as the distance in pixels at which it falls to 61 %. */
export const SPOT = { brightness: 8, spread: 3, row: 0.2, column: 0.75 } as const;

/** The weights: pixels minus ½, with or without the spot. */
export function weightsOf({ rows, columns, pixels }: Picture, spot: boolean): Float32Array<ArrayBuffer> {
  const weights = pixels.map((value) => value - 0.5);
  if (!spot) return weights;
  const [row, column] = [Math.floor(SPOT.row * rows), Math.floor(SPOT.column * columns)];
  const reach = 4 * SPOT.spread;
  for (let n = Math.max(0, row - reach); n < Math.min(rows, row + reach); n++)
    for (let k = Math.max(0, column - reach); k < Math.min(columns, column + reach); k++) {
      const light = SPOT.brightness * Math.exp(-((n - row) ** 2 + (k - column) ** 2) / (2 * SPOT.spread ** 2));
      const at = n * columns + k;
      if (light - 0.5 > weights[at]!) weights[at] = light - 0.5;
    }
  return weights;
}

/** Deviation of the blur, in pixels. */
export const BLUR = 4;
/** x (K, K). Every row of the blur sums to 1; rows of the DCT are its orthonormal cosines, the lowest frequency first. */
export function matrixOf(basis: Basis, k: number): Float32Array<ArrayBuffer> {
  const x = new Float32Array(k * k);
  for (let m = 0; m < k; m++) {
    const row = x.subarray(m * k, (m + 1) * k);
    if (basis === 'identity') row[m] = 1;
    else if (basis === 'dct') {
      const size = Math.sqrt((m === 0 ? 1 : 2) / k);
      for (let j = 0; j < k; j++) row[j] = size * Math.cos((Math.PI * m * (2 * j + 1)) / (2 * k));
    } else {
      const [begin, end] = [Math.max(0, m - 3 * BLUR), Math.min(k, m + 3 * BLUR + 1)];
      let sum = 0;
      for (let j = begin; j < end; j++) sum += Math.exp(-((j - m) ** 2) / (2 * BLUR ** 2));
      for (let j = begin; j < end; j++) row[j] = Math.exp(-((j - m) ** 2) / (2 * BLUR ** 2)) / sum;
    }
  }
  return x;
}

/** (rows, columns) → (columns, rows). */
export function turned(values: ArrayLike<number>, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  return out;
}

/** The product of unquantized weights, oriented like the picture, summed in float64; one row at each step. */
export function* exactProduct(x: Float32Array, weights: Float32Array, k: number): Generator<number, Float32Array<ArrayBuffer>> {
  const rows = weights.length / k;
  const out = new Float32Array(weights.length);
  // Zeros of x are skipped; most of x is 0.
  const ends = Array.from({ length: k }, (_, m) => {
    const row = x.subarray(m * k, (m + 1) * k);
    return [row.findIndex((value) => value !== 0), row.findLastIndex((value) => value !== 0) + 1] as const;
  });
  for (let n = 0; n < rows; n++) {
    for (let m = 0; m < k; m++) {
      const [begin, end] = ends[m]!;
      let sum = 0;
      for (let j = begin, a = m * k + begin, b = n * k + begin; j < end; j++, a++, b++) sum += x[a]! * weights[b]!;
      out[n * k + m] = sum;
    }
    yield (n + 1) / rows;
  }
  return out;
}

export interface Distance {
  /** 10 · log10(1 / mean of error²), in dB: the peak is 1, from black to white. */
  readonly psnr: number;
  readonly rmse: number;
  readonly largest: number;
}
export function distance(y: Float32Array, exact: Float32Array): Distance {
  let [sum, largest] = [0, 0];
  for (let i = 0; i < y.length; i++) {
    const error = Math.abs(y[i]! - exact[i]!);
    sum += error * error;
    if (error > largest) largest = error;
  }
  const mean = sum / y.length;
  return { psnr: mean === 0 ? Infinity : -10 * Math.log10(mean), rmse: Math.sqrt(mean), largest };
}
