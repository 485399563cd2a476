// HQQ: a float zero point by half-quadratic splitting (Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models",
// Mobius Labs, 2023). The scale stays; the zero point reduces Σ |w - its nearest on the grid|^0.7, where a few large errors count little.
// Errors are measured in steps of the grid here, so that the penalty does not depend on the size of the weights.
import { roundTo } from '../dtype.js';
import { type Fit, type Grid, ROUND, scaleFor, type Weighed } from './grid.js';
import type { Settings } from './options.js';

const NORM = 0.7;
/** The paper's penalty, its growth and its number of rounds. */
const PENALTY = 10;
const GROWTH = 1.01;
const ROUNDS = 20;
/** A round that improves by a smaller share is the last. */
const GAIN = 1e-4;

/** A table of size^0.7 at 0, 1/4096, …, 1, interpolated linearly. `**` would take most of the time. */
const CELLS = 4096;
let table: Float64Array | undefined;
const powers = (): Float64Array => (table ??= Float64Array.from({ length: CELLS + 2 }, (_, i) => (i / CELLS) ** NORM));

/** The nearest zero point for which middle - zero is exact in the dtype and no float32 is rounded; NaN if there is none. */
export function holdableZero(zero: number, { middle, scaleDtype }: Pick<Settings, 'middle' | 'scaleDtype'>): number {
  const offset = roundTo(Math.round((middle - zero) * 4096) / 4096, scaleDtype);
  const held = Math.fround(middle - offset);
  return Number.isFinite(held) && roundTo(middle - held, scaleDtype) === middle - held ? held : Number.NaN;
}

/** Improves the grid of `start`; keeps it if no float zero point has a smaller sum. */
export function fitHqq(settings: Settings, importance: Float64Array | undefined, start: Fit): Fit {
  const { top, scaleDtype } = settings;
  return (w, begin, end, grid) => {
    start(w, begin, end, grid);
    let best: Grid = { ...grid };
    const weighed = { w, begin, end, top, importance };
    let least = round(weighed, best, PENALTY).sum;
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = begin; i < end; i++) {
      low = Math.min(low, w[i]!);
      high = Math.max(high, w[i]!);
    }
    const scale = scaleFor(Math.fround(high - low), top, scaleDtype);
    let zero = holdableZero(-low / scale, settings);
    let before = Number.POSITIVE_INFINITY;
    for (let i = 0, penalty = PENALTY; i < ROUNDS && Number.isFinite(zero); i++, penalty *= GROWTH) {
      const next = round(weighed, { scale, zero }, penalty);
      if (next.sum < least) {
        least = next.sum;
        best = { scale, zero };
      }
      const moved = holdableZero(next.zero, settings);
      if (next.sum > before * (1 - GAIN) || moved === zero) break;
      before = next.sum;
      zero = moved;
    }
    grid.scale = best.scale;
    grid.zero = best.zero;
  };
}

/**
 * One round: Σ |error|^0.7 of a grid, and the next zero point, which is the mean of code - (w - kept) / scale. `kept` is the proximal
 * operator of the norm, sign(e) · max(0, |e| - |e|^(0.7-1) / penalty).
 */
function round(
  { w, begin, end, top, importance }: Weighed,
  { scale, zero }: Grid,
  penalty: number,
): { readonly sum: number; readonly zero: number } {
  const k = importance?.length ?? 1;
  const known = powers();
  let sum = 0;
  let zeros = 0;
  let weights = 0;
  for (let i = begin, j = begin % k; i < end; i++, j = j + 1 === k ? 0 : j + 1) {
    const value = w[i]! / scale;
    const nearest = value + zero + ROUND - ROUND;
    const code = nearest < 0 ? 0 : nearest > top ? top : nearest;
    const error = value - (code - zero);
    const size = Math.abs(error);
    const cell = Math.floor(size * CELLS);
    const power = size < 1 ? known[cell]! + (known[cell + 1]! - known[cell]!) * (size * CELLS - cell) : size ** NORM;
    const rest = size - power / (size * penalty);
    const kept = rest > 0 ? rest : 0; // also for a size of 0
    const weight = importance ? importance[j]! : 1;
    sum += weight * power;
    zeros += weight * (code - (value - (error < 0 ? -kept : kept)));
    weights += weight;
  }
  return { sum: sum * scale ** NORM, zero: weights > 0 ? zeros / weights : zero };
}

/** Σ |w - its nearest on the grid|^0.7. */
export const hqqObjective = (weighed: Weighed, grid: Grid): number => round(weighed, grid, PENALTY).sum;
