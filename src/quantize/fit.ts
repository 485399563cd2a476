// Fits a group's grid to its minimum and maximum (minmax), or to clipped ones with the least squared error (mse).
import { type Fit, type Grid, scaleFor, squaredError } from './grid.js';
import { fitHqq } from './hqq.js';
import type { Settings } from './options.js';

/** The minimum and the maximum of the weights and 0. Including 0 makes its code exact. */
export function ends(w: Float32Array, begin: number, end: number): { readonly low: number; readonly high: number } {
  let low = 0;
  let high = 0;
  for (let i = begin; i < end; i++) {
    const value = w[i]!;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

type Rule = Pick<Settings, 'symmetric' | 'top' | 'middle' | 'scaleDtype'>;

/** low, high → grid. Asymmetric: scale = (high - low) / top, zero = -low / scale. Symmetric: scale = largest / (middle - 1), no zero. */
function between(low: number, high: number, { symmetric, top, middle, scaleDtype }: Rule, grid: Grid): void {
  if (symmetric) {
    grid.scale = scaleFor(Math.max(-low, high), middle - 1, scaleDtype);
    grid.zero = middle;
  } else {
    grid.scale = scaleFor(Math.fround(high - low), top, scaleDtype);
    const zero = -low / grid.scale;
    const whole = Math.floor(zero);
    grid.zero = whole + (zero - whole > 0.5 || (zero - whole === 0.5 && whole % 2 === 1) ? 1 : 0);
  }
}

/** Ratios of clipping: 1, 0.94, …, 0.28, and then those 0.04 and 0.02 around the best of these. */
const COARSE = Array.from({ length: 13 }, (_, i) => (50 - 3 * i) / 50);
const FINE = [-0.04, -0.02, 0.02, 0.04];

export function fitOf(settings: Settings, importance: Float64Array | undefined): Fit {
  const { method, top } = settings;
  const minmax: Fit = (w, begin, end, grid) => {
    const { low, high } = ends(w, begin, end);
    between(low, high, settings, grid);
  };
  if (method === 'minmax') return minmax;
  if (method === 'hqq') return fitHqq(settings, importance, minmax);
  return (w, begin, end, grid) => {
    const { low, high } = ends(w, begin, end);
    const weighed = { w, begin, end, top, importance };
    let least = Number.POSITIVE_INFINITY;
    let scale = Number.POSITIVE_INFINITY;
    let zero = settings.middle;
    let best = 1;
    const attempt = (ratio: number): void => {
      between(Math.fround(low * ratio), Math.fround(high * ratio), settings, grid);
      if (grid.scale === Number.POSITIVE_INFINITY || (grid.scale === scale && grid.zero === zero)) return;
      const error = squaredError(weighed, grid);
      if (error >= least) return;
      least = error;
      best = ratio;
      ({ scale, zero } = grid);
    };
    for (const ratio of COARSE) attempt(ratio);
    const around = best;
    for (const step of FINE) if (around + step < 1) attempt(around + step);
    grid.scale = scale;
    grid.zero = zero;
  };
}
