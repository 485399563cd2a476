// The sums themselves, in float64, and how far a float32 kernel may be from them. Knows no tensors: a column of weights is asked for.

import { requantize } from '../ascend/quant-param.js';
import { type FloatDType, roundTo } from '../dtype.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Glu } from '../problem/glu.js';
import { addedBound, chainOf, errorBound, flushedBy, scaledBound } from './bound.js';
import { gatedRows, halves } from './glu.js';

/** y of the CPU reference, with the interval in which a correct GPU result lies. */
export interface ReferenceResult {
  /** y, rounded once to its dtype: numbers for floats, codes for int8. */
  readonly data: Float32Array | Int8Array;
  readonly shape: readonly number[];
  readonly dtype: FloatDType | 'int8';
  /** The sums, bias included, in float64, before rounding or requantizing. */
  readonly exact: Float64Array;
  /** The least and the greatest y that a correct float32 kernel may give; docs/numerics.md derives them. */
  readonly low: Float32Array | Int8Array;
  readonly high: Float32Array | Int8Array;
}

export interface Sums {
  /** (M, K), in the order of the weights' k. */
  readonly xs: Float64Array;
  /** By how much each x of a kernel may differ from it; absent if none does. */
  readonly xSlack?: Float64Array | undefined;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly groups: number;
  readonly groupSize: number;
  readonly accuracy: Accuracy;
  /** Fills the column c. */
  column(c: number, column: Column): void;
  bias(c: number): number;
  /** (M, N), what the product is added to. */
  readonly residual?: ArrayLike<number> | undefined;
  /** A factor for the sums of each row, before the bias, and how far a kernel's may be from it, relatively. */
  readonly rowScale?: { readonly factors: ArrayLike<number>; readonly slack: number } | undefined;
  /** y is this unit of the first half of the columns, the gate's, and the second. */
  readonly glu?: Glu | undefined;
  readonly shape: readonly number[];
  readonly dtype: FloatDType;
  readonly quant: { readonly columns: readonly { readonly scale: number; readonly offset: number }[]; readonly stride: 0 | 1 } | undefined;
}

/** A column of weights, by k. */
export interface Column {
  /** W */
  readonly weights: Float64Array;
  /** What kernels add up for it at most: |W| + (2^(bits-1) + codeBias) |scale| + |minimum|; of a codebook |W|. */
  readonly sizes: Float64Array;
  readonly scales: Float64Array;
}

export function finish({
  xs,
  xSlack,
  m,
  n,
  k,
  groups,
  groupSize,
  accuracy,
  column,
  bias,
  residual,
  rowScale,
  glu,
  shape,
  dtype,
  quant,
}: Sums): ReferenceResult {
  const sums = { exact: new Float64Array(m * n), bound: new Float64Array(m * n), m, n };
  const [weights, sizes, scales] = [new Float64Array(k), new Float64Array(k), new Float64Array(k)];
  const flushedX = new Float64Array(k);
  const { weightStep, sumRun } = accuracy;
  const chain = chainOf({ k, groups, groupSize, sumRun });
  const xSteps = roundingOfX({ xs, xSlack, m, k }, accuracy);
  for (let c = 0; c < n; c++) {
    column(c, { weights, sizes, scales });
    let flushed = 0;
    for (let j = 0; j < k; j++) {
      const [fixed, ofX] = flushedBy(weights[j]!, scales[j]!);
      flushed += fixed;
      flushedX[j] = ofX;
    }
    const b = bias(c);
    for (let i = 0; i < m; i++) {
      let sum = 0;
      const size = { codes: 0, weights: 0, bias: Math.abs(b), rounded: 0, flushed };
      for (let j = 0; j < k; j++) {
        const value = xs[i * k + j]!;
        sum += value * weights[j]!;
        const magnitude = Math.abs(value);
        size.codes += magnitude * sizes[j]!;
        size.weights += magnitude * Math.abs(weights[j]!);
        size.flushed += magnitude * flushedX[j]!;
        if (xSteps) size.rounded += xSteps[i * k + j]! * Math.abs(weights[j]!);
        if (weightStep > 0) size.rounded += magnitude * weightStep * Math.abs(weights[j]!);
      }
      const at = i * n + c;
      const factor = rowScale?.factors[i] ?? 1;
      sums.exact[at] = sum * factor + b;
      sums.bound[at] = rowScale ? scaledBound(size, chain, { factor, slack: rowScale.slack }) : errorBound(size, chain);
      if (residual) {
        sums.exact[at]! += residual[at]!;
        sums.bound[at] = addedBound(sums.bound[at]!, sums.exact[at]!);
      }
    }
  }

  const { exact, bound, n: columns } = glu ? gatedRows(glu, sums, halves(n)) : sums;
  const round = (sum: number, c: number): number => {
    if (!quant) return roundTo(sum, dtype);
    const { scale, offset } = quant.columns[quant.stride * c]!;
    return requantize(sum, scale, offset);
  };
  const result = () => (quant ? new Int8Array(m * columns) : new Float32Array(m * columns));
  const [data, low, high] = [result(), result(), result()];
  for (let i = 0; i < m * columns; i++) {
    const sum = exact[i]!;
    const slack = Number.isFinite(sum) ? bound[i]! : 0;
    const [a, b] = [round(sum - slack, i % n), round(sum + slack, i % n)];
    data[i] = round(sum, i % n);
    low[i] = Math.min(a, b); // a negative output scale turns them round
    high[i] = Math.max(a, b);
  }
  return { data, shape, dtype: quant ? 'int8' : dtype, exact, low, high };
}

/** By how much each x may differ where a kernel multiplies it; undefined if none does. */
function roundingOfX({ xs, xSlack, m, k }: Pick<Sums, 'xs' | 'xSlack' | 'm' | 'k'>, { xStep, xRun }: Accuracy): Float64Array | undefined {
  if (xStep === 0) return xSlack;
  const out = new Float64Array(m * k);
  for (let i = 0; i < m; i++)
    for (let begin = 0; begin < k; begin += xRun) {
      const [from, to] = [i * k + begin, i * k + Math.min(k, begin + xRun)];
      let largest = 0;
      for (let j = from; j < to; j++) largest = Math.max(largest, Math.abs(xs[j]!) + (xSlack?.[j] ?? 0));
      for (let j = from; j < to; j++) out[j] = xStep * largest + (xSlack?.[j] ?? 0);
    }
  return out;
}
