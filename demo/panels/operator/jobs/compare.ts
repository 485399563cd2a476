// Compares the GPU's y with the reference and its interval, element by element.
import type { ReferenceResult } from '../../../../src/reference/sums.js';

export interface Difference {
  readonly count: number;
  /** Elements within [low, high]. */
  readonly inside: number;
  /** Elements equal to the reference, rounded once. */
  readonly equal: number;
  /** Largest |y - exact|; for int8 the largest distance in codes. */
  readonly error: number;
  /** Root of the mean of (y - exact)². */
  readonly rms: number;
  /** The largest error of the reference, from rounding y once. */
  readonly rounding: number;
  /** Largest distance from exact to an end of its interval. */
  readonly bound: number;
  /** Largest error as a share of the distance from exact to the end of its interval. */
  readonly share: number;
  /** Largest |exact|, or |code|. */
  readonly size: number;
}

type Truth = Pick<ReferenceResult, 'data' | 'exact' | 'low' | 'high' | 'dtype'>;

export function difference(y: ArrayLike<number>, { data, exact, low, high, dtype }: Truth): Difference {
  let [inside, equal, error, squares, rounding, bound, share, size] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let i = 0; i < data.length; i++) {
    const [value, best] = [y[i]!, data[i]!];
    const truth = dtype === 'int8' ? best : exact[i]!;
    if (value >= low[i]! && value <= high[i]!) inside++;
    if (value === best) equal++;
    const far = Math.abs(value - truth);
    const room = value > truth ? high[i]! - truth : truth - low[i]!;
    error = Math.max(error, far);
    squares += far * far;
    rounding = Math.max(rounding, Math.abs(best - truth));
    bound = Math.max(bound, high[i]! - truth, truth - low[i]!);
    if (far > 0) share = Math.max(share, far / room);
    size = Math.max(size, Math.abs(truth));
  }
  return { count: data.length, inside, equal, error, rms: Math.sqrt(squares / Math.max(1, data.length)), rounding, bound, share, size };
}

/** Signal to noise in dB; Infinity if they are equal. */
export function decibels(signal: ArrayLike<number>, other: ArrayLike<number>): number {
  let [squares, errors] = [0, 0];
  for (let i = 0; i < signal.length; i++) {
    squares += signal[i]! ** 2;
    errors += (signal[i]! - other[i]!) ** 2;
  }
  return errors === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(squares / errors);
}
