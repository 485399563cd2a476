// A group's grid, which is the numbers scale · (code - zero), and the nearest codes on it. The scale is computed exactly, so that
// shaders/quantize-weights.wgsl gives the same bits.
import type { FloatDType } from '../dtype.js';

/** Scale and zero point of a group; a Fit fills it in. */
export interface Grid {
  scale: number;
  /** A whole number of 0 … top for minmax and mse, any for hqq. */
  zero: number;
}

/** Fits a grid to w[begin … end). With importance (K), w holds whole rows of K. */
export type Fit = (w: Float32Array, begin: number, end: number, grid: Grid) => void;

export const MANTISSA: Readonly<Record<FloatDType, number>> = { float32: 24, float16: 11, bfloat16: 8 };
/** Least and largest scale. Below the least, a quotient or product could be subnormal. 2^-24 is the smallest float16. */
const LIMITS: Readonly<Record<FloatDType, { readonly least: number; readonly most: number }>> = {
  float32: { least: 2 ** -100, most: 2 ** 127 },
  bfloat16: { least: 2 ** -100, most: 2 ** 127 },
  float16: { least: 2 ** -24, most: 65504 },
};

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
/** e with 2^e ≤ value < 2^(e+1), for normal doubles on little-endian machines. */
function exponentOf(value: number): number {
  double[0] = value;
  return ((words[1]! >>> 20) & 0x7ff) - 1023;
}

/**
 * The smallest number of `dtype` that is at least width / steps; 1 for a width of 0; Infinity if the dtype has no such number. Rounding up
 * keeps the group's minimum and maximum within half a step of a code.
 */
export function scaleFor(width: number, steps: number, dtype: FloatDType): number {
  if (width === 0) return 1;
  const { least, most } = LIMITS[dtype];
  const exact = width / steps;
  if (exact <= least) return least;
  const unit = Math.max(2 ** (exponentOf(exact) - MANTISSA[dtype] + 1), dtype === 'float16' ? 2 ** -24 : 0);
  const scale = Math.ceil(exact / unit) * unit;
  return scale > most ? Number.POSITIVE_INFINITY : scale;
}

/** Adding and subtracting 1.5 · 2^52 rounds to the nearest whole number, ties to even. */
export const ROUND = 1.5 * 2 ** 52;

/** Writes the nearest codes of w[begin … end) to out[at …). A quotient of float32 numbers never rounds to a false tie. */
export function encode(w: Float32Array, begin: number, end: number, { scale, zero }: Grid, top: number, out: Uint8Array, at: number): void {
  const whole = Math.round(zero);
  const rest = zero - whole;
  for (let i = begin, j = at; i < end; i++, j++) {
    const code = w[i]! / scale + rest + ROUND - ROUND + whole;
    out[j] = code < 0 ? 0 : code > top ? top : code;
  }
}

/** w[begin … end), which codes of 0 … top are for. Their errors count by the importance of k, each 1 without it; k is begin's, and wraps at K. */
export interface Weighed {
  readonly w: Float32Array;
  readonly begin: number;
  readonly end: number;
  readonly top: number;
  readonly importance: Float64Array | undefined;
}

/** Σ importance · (w - its nearest on the grid)². */
export function squaredError({ w, begin, end, top, importance }: Weighed, { scale, zero }: Grid): number {
  const inverse = 1 / scale;
  let sum = 0;
  if (importance) {
    const k = importance.length;
    for (let i = begin, j = begin % k; i < end; i++, j = j + 1 === k ? 0 : j + 1) {
      const code = w[i]! * inverse + zero + ROUND - ROUND;
      const error = w[i]! - ((code < 0 ? 0 : code > top ? top : code) - zero) * scale;
      sum += importance[j]! * error * error;
    }
    return sum;
  }
  for (let i = begin; i < end; i++) {
    const code = w[i]! * inverse + zero + ROUND - ROUND;
    const error = w[i]! - ((code < 0 ? 0 : code > top ? top : code) - zero) * scale;
    sum += error * error;
  }
  return sum;
}
