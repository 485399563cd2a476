// AWQ's search for scales of inputs (Lin et al., "AWQ: Activation-aware Weight Quantization", 2023). Inputs that are large get larger weights,
// which lose less where a group is rounded, and x gets the inverse.

import { LANES, roundWithFeedback } from './gptq.js';
import type { Fit, Grid } from './grid.js';
import { squaredError } from './grid.js';
import type { Factor } from './hessian.js';
import type { Activations, Settings } from './options.js';

/** Ratios 0, 1 / 20, … 19 / 20 of the exponent, as in llm-awq. 0: no scales. */
const RATIOS = 20;
/** The least size of an input, as in llm-awq: one that is always 0 has a scale, too. */
const LEAST = 1e-4;
/** Rows of weights that are tried, spread over all: the best ratio depends on the inputs, and trying takes 20 quantizations. */
const SAMPLE = 128;

/** What the errors of the rounded weights cost, by k, and how they are compensated. */
export interface Costs {
  readonly importance: Float64Array | undefined;
  readonly factor: Factor | undefined;
}

/** (K): the mean size of each input. */
function sizesOf({ meanAbs, meanSquare, hessian, x }: Activations, k: number): Float64Array {
  if (meanAbs) return Float64Array.from(meanAbs);
  if (meanSquare) return Float64Array.from(meanSquare, Math.sqrt);
  if (hessian) return Float64Array.from({ length: k }, (_, i) => Math.sqrt(Math.max(0, hessian[i * k + i]!)));
  const sums = new Float64Array(k);
  for (let i = 0; i < x!.length; i++) sums[i % k]! += Math.abs(x![i]!);
  return sums.map((sum) => (sum * k) / x!.length);
}

/** Scales of x for a ratio: 1 / (size^ratio), with the largest and the smallest as far from 1. */
function inverses(sizes: Float64Array, ratio: number): Float32Array<ArrayBuffer> {
  const scales = sizes.map((size) => Math.max(LEAST, size ** ratio));
  const middle = Math.sqrt(scales.reduce((a, b) => Math.max(a, b)) * scales.reduce((a, b) => Math.min(a, b)));
  return Float32Array.from(scales, (scale) => middle / scale);
}

/** The same costs for weights that were divided by the scales: H = U·D·Uᵀ becomes S·H·S. No factoring is needed again. */
export function scaledCosts({ importance, factor }: Costs, inputScale: Float32Array): Costs {
  const squared = (values: Float64Array) => values.map((value, k) => value * inputScale[k]! ** 2);
  if (!factor) return { importance: importance && squared(importance), factor };
  const k = inputScale.length;
  const feedback = factor.feedback.map((value, i) => (value * inputScale[i % k]!) / inputScale[Math.floor(i / k)]!);
  const cost = squared(factor.cost);
  return { importance: cost, factor: { feedback, cost } };
}

/** Rows of weights for x · inputScale: each weight divided by its input's scale. */
export const scaledRows = (w: Float32Array, inputScale: Float32Array): Float32Array =>
  w.map((value, i) => value / inputScale[i % inputScale.length]!);

/** `count` rows of w (N, K) at most, spread over all of them. */
export function sampleOf(n: number, count = SAMPLE): number[] {
  const rows = Math.min(n, count);
  return Array.from({ length: rows }, (_, i) => Math.floor((i * n) / rows));
}

/**
 * The inputScale with the least error of the outputs of `rows` (…, K) of weights; undefined where no scale is better than none. Yields
 * after some rows.
 * @param fitFor the fit of a grid for the importance of k
 */
export function* searchInputScale(
  rows: Float32Array,
  settings: Settings & { readonly activations: Activations },
  costs: Costs,
  fitFor: (importance: Float64Array | undefined) => Fit,
): Generator<void, Float32Array | undefined> {
  const sizes = sizesOf(settings.activations, settings.k);
  let best: Float32Array | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RATIOS; i++) {
    const inputScale = inverses(sizes, i / RATIOS);
    const own = scaledCosts(costs, inputScale);
    const error = yield* errorOf(scaledRows(rows, inputScale), settings, own, fitFor(own.importance));
    if (error < least) {
      least = error;
      best = i === 0 ? undefined : inputScale;
    }
  }
  return best;
}

/** Σ e · H · eᵀ of the rounding errors e of rows, or Σ importance · e². Infinity if a scale is beyond its dtype. */
function* errorOf(w: Float32Array, settings: Settings, { importance, factor }: Costs, choose: Fit): Generator<void, number> {
  const { k, groupSize, top, mode } = settings;
  const grid: Grid = { scale: 1, zero: settings.middle };
  const whole = mode === 'tensor';
  if (whole) choose(w, 0, w.length, grid);
  let error = 0;
  if (factor) {
    let beyond = false;
    const codes = new Uint8Array(w.length);
    const rows = w.length / k;
    const check = (_row: number, _group: number, { scale }: Grid): void => {
      if (scale === Number.POSITIVE_INFINITY) beyond = true;
    };
    for (let first = 0; first < rows; first += LANES) {
      const part = { rows: Math.min(LANES, rows - first), first, fixed: whole ? grid : undefined };
      error += roundWithFeedback(w, part, settings, factor, choose, codes, check);
      yield;
    }
    return beyond ? Number.POSITIVE_INFINITY : error;
  }
  for (let row = 0; row < w.length; row += k) {
    for (let first = 0; first < k; first += groupSize) {
      const [begin, end] = [row + first, row + Math.min(k, first + groupSize)];
      if (!whole) choose(w, begin, end, grid);
      if (grid.scale === Number.POSITIVE_INFINITY) return grid.scale;
      error += squaredError({ w, begin, end, top, importance }, grid);
    }
    yield;
  }
  return error;
}
