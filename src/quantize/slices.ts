// Quantizes as a generator, which yields after some milliseconds of work. Callers can then report progress, stop, or let other work run.
// quantize.ts runs it to the end; the worker and in-worker.ts report progress.

import { ArgumentError } from '../errors.js';
import { widthOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import type { Progress } from '../progress.js';
import { fitOf } from './fit.js';
import { floats } from './floats.js';
import { LANES, roundWithFeedback } from './gptq.js';
import { encode, type Fit, type Grid } from './grid.js';
import { type Factor, factorOf, hessianOf, importanceOf } from './hessian.js';
import { type Costs, sampleOf, scaledCosts, scaledRows, searchInputScale } from './input-scale.js';
import { checkQuantize, type Method, type Mode, type QuantizeOptions, type Settings, type Weights } from './options.js';
import { addErrors, type QuantizeReport, reportOf, type Sums } from './report.js';

/** Quantized weights with their report. */
export interface Quantized {
  readonly matrix: QuantizedMatrix;
  /** The weights that share a scale. A matrix of mode `tensor` holds the same scale for each row; writers then write one. */
  readonly mode: Mode;
  readonly report: QuantizeReport;
}

/** Weights between two yields; with error feedback, products. */
const STRETCH: Readonly<Record<Method, number>> = { minmax: 2 ** 18, mse: 2 ** 16, hqq: 2 ** 14 };
const PRODUCTS = 2 ** 24;

/** @throws ArgumentError */
export function* slices(weights: Weights, options: QuantizeOptions): Generator<Progress, Quantized> {
  const settings = checkQuantize(weights, options);
  const { n, k, bits, mode, groupSize, symmetric, scaleDtype, activations } = settings;
  const start: Progress = { phase: 'quantize', done: 0, total: n };
  let factor: Factor | undefined;
  if (activations?.hessian || activations?.x) {
    const hessian = activations.hessian ?? (yield* saying(start, hessianOf(activations.x!, k)));
    factor = yield* saying(start, factorOf(hessian, k, activations.damp));
  }
  const importance = factor?.cost ?? (activations && importanceOf(activations));
  const given: Costs = { importance, factor };
  const inputScale = settings.inputScale && (yield* saying(start, search(weights, settings, given)));
  const costs = inputScale ? scaledCosts(given, inputScale) : given;
  const choose = fitOf(settings, costs.importance);
  const groups = Math.ceil(k / groupSize);
  const words = Math.ceil((k * bits) / 32);
  const codes = new Uint32Array(n * words);
  const scale = new Float32Array(n * groups);
  const zeroPoint = symmetric ? undefined : new Float32Array(n * groups);
  const sums: Sums = { squares: 0, errors: 0, largest: 0 };
  const fixed = mode === 'tensor' ? wholeGrid(weights, settings, choose, inputScale) : undefined;
  const most = Math.min(STRETCH[settings.method] / k, factor ? PRODUCTS / k ** 2 : Number.POSITIVE_INFINITY);
  const rows = Math.max(LANES, Math.floor(most / LANES) * LANES);
  const bytes = new Uint8Array(rows * k);
  for (let first = 0; first < n; first += rows) {
    const count = Math.min(rows, n - first);
    const own = floats(weights, settings, first * k, (first + count) * k);
    const w = inputScale ? scaledRows(own, inputScale) : own;
    const keep = (row: number, group: number, grid: Grid): void => {
      if (grid.scale === Number.POSITIVE_INFINITY) throw overflow(settings, first + row, group);
      scale[(first + row) * groups + group] = grid.scale;
      if (zeroPoint) zeroPoint[(first + row) * groups + group] = grid.zero;
    };
    if (costs.factor)
      for (let row = 0; row < count; row += LANES)
        roundWithFeedback(w, { rows: Math.min(LANES, count - row), first: row, fixed }, settings, costs.factor, choose, bytes, keep);
    else roundEach(w, { rows: count, fixed }, settings, choose, bytes, keep);
    for (let row = 0; row < count; row++) {
      for (let group = 0; group < groups; group++) {
        const [begin, end] = [row * k + group * groupSize, row * k + Math.min(k, (group + 1) * groupSize)];
        const at = (first + row) * groups + group;
        const zero = zeroPoint?.[at] ?? settings.middle;
        addErrors(sums, own, begin, end, bytes, begin, scale[at]!, zero, inputScale?.subarray(group * groupSize));
      }
      packRow(bytes, row * k, settings, codes, (first + row) * words);
    }
    yield { phase: 'quantize', done: first + count, total: n };
  }
  const zeros = zeroPoint && { zeroPoint, ...(settings.method !== 'hqq' && ({ zeroPointDtype: 'uint8' } as const)) };
  const matrix: QuantizedMatrix = { n, k, bits, codes, groupSize, scale, scaleDtype, ...zeros, ...(inputScale && { inputScale }) };
  return { matrix, mode, report: reportOf(sums, settings, { scaled: inputScale !== undefined }) };
}

function* saying<T>(progress: Progress, work: Generator<void, T>): Generator<Progress, T> {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    yield progress;
  }
}

/** The scales of the inputs, found on some rows of the weights. */
function search(weights: Weights, settings: Settings, costs: Costs): Generator<void, Float32Array | undefined> {
  const { n, k, activations } = settings;
  const sample = sampleOf(n);
  const rows = new Float32Array(sample.length * k);
  for (const [i, row] of sample.entries()) rows.set(floats(weights, settings, row * k, (row + 1) * k), i * k);
  return searchInputScale(rows, { ...settings, activations: activations! }, costs, (importance) => fitOf(settings, importance));
}

function wholeGrid(weights: Weights, settings: Settings, choose: Fit, inputScale: Float32Array | undefined): Grid {
  const grid = { scale: 1, zero: settings.middle };
  const own = floats(weights, settings, 0, weights.length);
  const all = inputScale ? scaledRows(own, inputScale) : own;
  choose(all, 0, all.length, grid);
  return grid;
}

function roundEach(
  w: Float32Array,
  { rows, fixed }: { readonly rows: number; readonly fixed: Grid | undefined },
  { k, groupSize, top }: Settings,
  choose: Fit,
  codes: Uint8Array,
  done: (row: number, group: number, grid: Grid) => void,
): void {
  const grid: Grid = { scale: 1, zero: 0, ...fixed };
  for (let row = 0; row < rows; row++)
    for (let first = 0, group = 0; first < k; first += groupSize, group++) {
      const [begin, end] = [row * k + first, row * k + Math.min(k, first + groupSize)];
      if (!fixed) choose(w, begin, end, grid);
      done(row, group, grid);
      encode(w, begin, end, grid, top, codes, begin);
    }
}

/** Packs a row of codes, one a byte, into words. */
function packRow(bytes: Uint8Array, begin: number, { k, bits }: Settings, out: Uint32Array, at: number): void {
  const { inWord } = widthOf(bits);
  for (let i = 0, word = at; i < k; word++) {
    let codes = 0;
    const end = Math.min(k, i + inWord);
    for (let shift = 0; i < end; i++, shift += bits) codes |= bytes[begin + i]! << shift;
    out[word] = codes;
  }
}

const overflow = ({ k, groupSize, scaleDtype }: Settings, row: number, group: number): ArgumentError =>
  new ArgumentError(
    `weights[${row}, ${group * groupSize} … ${Math.min(k, (group + 1) * groupSize) - 1}]`,
    `a group whose scale is a ${scaleDtype}`,
    'a larger one',
  );
