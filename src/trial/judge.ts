// Judges the bytes that a trial left in y. Results are compared with ===; for a kernel that may round x or weights, with its interval. Pure.

import { requantize } from '../ascend/quant-param.js';
import { BYTES, decode16, roundTo } from '../dtype.js';
import type { Accuracy } from '../problem/accuracy.js';
import { widthOf } from '../problem/code-width.js';
import { columnsOfY } from '../problem/glu.js';
import { packCodes, type QuantizedMatrix } from '../problem/matrix.js';
import { type Problem, pairsOf, rowsOfY } from '../problem/problem.js';
import { gatedRows, pairs } from '../reference/glu.js';
import { referenceMatrix } from '../reference/reference-matrix.js';
import type { ReferenceResult } from '../reference/sums.js';
import { idsOf, pairWeightsOf } from './contents.js';
import { GUARD } from './shape.js';
import { POISON, type Trial } from './trial.js';
import { biasAt, codeAt, matrix, minimumAt, quantAt, residualAt, scaleAt, VALUES, weightAt, xAt, zeroPointAt } from './values.js';

export interface Fault {
  readonly where: string;
  readonly expected: string;
  readonly got: string;
}

/** The exact sums, and the interval in which a kernel's may lie. */
interface Interval extends Pick<ReferenceResult, 'exact'> {
  readonly low: ArrayLike<number>;
  readonly high: ArrayLike<number>;
}

/** The product of all rows of x with all experts, as one wide matrix. */
const asOne = ({ experts, weights, ...rest }: Problem): Problem => ({
  ...rest,
  weights: { ...weights, n: experts!.count * weights.n },
  adds: false,
});

/** The rows of pairs among the sums of that product; zeros for a pair without an expert. */
function ofPairs(problem: Problem, all: Float64Array | Float32Array | Int8Array): Float64Array {
  const {
    weights: { n },
    experts,
  } = problem;
  const { count, perRow } = experts!;
  const sums = new Float64Array(pairsOf(problem) * n);
  for (const [pair, id] of idsOf(problem).entries()) {
    const from = (Math.floor(pair / perRow) * count + id) * n;
    if (id < count) sums.set(all.subarray(from, from + n), pair * n);
  }
  return sums;
}

/** The rows of y of pairs: themselves, or weighted sums of them, and what these are added to. @param options.bounds of pairs are summed: by the sizes of weights */
function ofRows(problem: Problem, pairs: Float64Array, { bounds = false } = {}): Float64Array {
  const {
    weights: { n },
    experts,
    adds,
  } = problem;
  const top = experts!.summed?.top;
  if (top === undefined) return pairs;
  const weights = pairWeightsOf(problem);
  const y = new Float64Array(rowsOfY(problem) * n);
  for (let i = 0; i < y.length; i++) {
    const [row, column] = [Math.floor(i / n), i % n];
    for (let pair = row * top; pair < (row + 1) * top; pair++)
      y[i]! += (bounds ? Math.abs(weights[pair]!) : weights[pair]!) * pairs[pair * n + column]!;
    if (adds && !bounds) y[i]! += residualAt(row, column);
  }
  return y;
}

/** The first fault in the bytes that a trial left in `y`; undefined if there is none. */
export function judge({ problem, accuracy, contents }: Trial, bytes: Uint8Array<ArrayBuffer>): Fault | undefined {
  const { weights, yDtype } = problem;
  const n = columnsOfY(weights);
  const m = rowsOfY(problem);
  const begin = GUARD * BYTES[yDtype];
  const end = begin + m * n * BYTES[yDtype];
  for (let i = 0; i < bytes.length; i++) {
    if ((i < begin || i >= end) && bytes[i] !== POISON)
      return { where: `byte ${i - begin} of y, outside it`, expected: 'untouched', got: `${bytes[i]}` };
  }
  const own = bytes.subarray(begin, end);
  const before = contents.get('y')!.subarray(begin, end);
  if (own.every((byte, i) => byte === before[i])) return { where: 'y', expected: 'to be written', got: 'untouched' };
  const raw = own.slice().buffer;
  const got: ArrayLike<number> =
    yDtype === 'int8' ? new Int8Array(raw) : yDtype === 'float32' ? new Float32Array(raw) : decode16(new Uint16Array(raw), yDtype);
  const finish = (sum: number, i: number): number => {
    if (yDtype !== 'int8') return roundTo(sum, yDtype);
    const { scale, offset } = quantAt(i % n);
    return requantize(sum, scale, offset);
  };
  const sums = exactSums(problem);
  let interval = weights.glu && intervalOf(problem, accuracy, sums);
  const right = interval?.exact ?? sums;
  const rounds = interval !== undefined || roundsOperands(accuracy);
  for (let i = 0; i < right.length; i++) {
    const best = finish(right[i]!, i);
    if (got[i] === best) continue;
    let expected = `${best}`;
    if (rounds) {
      interval ??= intervalOf(problem, accuracy, sums); // slow, and not needed by a kernel that is exact on such numbers
      const [a, b] = [finish(interval.low[i]!, i), finish(interval.high[i]!, i)];
      if (got[i]! >= a && got[i]! <= b) continue;
      expected += `, from ${a} to ${b}`;
    }
    return { where: `y[${Math.floor(i / n)}, ${i % n}] of (${m}, ${n}) from K = ${weights.k}`, expected, got: `${got[i]}` };
  }
  return undefined;
}

const roundsOperands = ({ xStep, weightStep }: Accuracy): boolean => xStep > 0 || weightStep > 0;

/** Where y may lie: the interval of the sums, if the kernel rounds their operands, and what a gated linear unit makes of it. */
function intervalOf(problem: Problem, accuracy: Accuracy, sums: Float64Array): Interval {
  const { n, glu } = problem.weights;
  const ofSums = roundsOperands(accuracy) ? referenceOf(problem, accuracy) : { exact: sums, low: sums, high: sums };
  if (!glu) return ofSums;
  const apart = sums.map((sum, i) => Math.max(ofSums.high[i]! - sum, sum - ofSums.low[i]!));
  const { exact, bound } = gatedRows(glu, { exact: sums, bound: apart, m: rowsOfY(problem), n }, pairs);
  return { exact, low: exact.map((value, i) => value - bound[i]!), high: exact.map((value, i) => value + bound[i]!) };
}

/** The exact sums, bias and what they are added to included: nothing here is rounded, in any order of summing. A test compares them with the reference. */
export function exactSums(problem: Problem): Float64Array {
  const { m, weights, experts, adds } = problem;
  if (experts) return ofRows(problem, ofPairs(problem, exactSums(asOne(problem))));
  const { n, k, groupSize } = weights;
  const x = matrix(new Int8Array(m * k), k, xAt);
  const values = matrix(new Float32Array(n * k), k, (i, j) => weightAt(weights, i, j));
  const sums = new Float64Array(m * n);
  for (let i = 0; i < n; i++)
    for (let begin = 0, g = 0; begin < k; begin += groupSize, g++) {
      const end = Math.min(k, begin + groupSize);
      for (let r = 0; r < m; r++) {
        let sum = 0;
        for (let j = begin; j < end; j++) sum += x[r * k + j]! * values[i * k + j]!;
        sums[r * n + i]! += sum + (g === 0 ? biasAt(i) + (adds ? residualAt(r, i) : 0) : 0);
      }
    }
  return sums;
}

/** The reference's answer, from a matrix that holds the same numbers. */
export function referenceOf(problem: Problem, accuracy: Accuracy): Interval {
  if (!problem.experts) return referenceOfOne(problem, accuracy);
  const { exact, low, high } = referenceOfOne(asOne(problem), accuracy);
  const [sums, from, to] = [exact, low, high].map((all) => ofPairs(problem, all)) as [Float64Array, Float64Array, Float64Array];
  const rows = ofRows(problem, sums);
  const apart = ofRows(
    problem,
    sums.map((sum, i) => Math.max(to[i]! - sum, sum - from[i]!)),
    { bounds: true },
  );
  return { exact: rows, low: rows.map((row, i) => row - apart[i]!), high: rows.map((row, i) => row + apart[i]!) };
}

function referenceOfOne({ m, weights, adds }: Problem, accuracy: Accuracy): ReferenceResult {
  const { n, k, held: bits, groupSize, groups, shift, codebook } = weights;
  const tensor = (rows: number, columns: number, at: (row: number, column: number) => number) => ({
    data: matrix(new Float32Array(rows * columns), columns, at),
    shape: [rows, columns],
    dtype: 'float32' as const,
  });
  const grouped = (at: (n: number, g: number) => number) => matrix(new Float32Array(n * groups), groups, at);
  const { zero } = widthOf(bits);
  const same: QuantizedMatrix = {
    n,
    k,
    bits,
    codes: packCodes(
      matrix(new Float32Array(n * k), k, (i, j) => codeAt(i, j, weights) + zero),
      n,
      k,
      bits,
    ),
    groupSize,
    scale: grouped((i, g) => scaleAt(i, g, weights)),
    scaleDtype: 'float32',
    ...(shift !== 'none' && shift !== 'minimum' && { zeroPoint: grouped((i, g) => zeroPointAt(i, g, weights)) }),
    ...(shift === 'minimum' && { minimum: grouped((i, g) => minimumAt(i, g, weights)) }),
    ...(codebook === 'e4m3' ? { codeForm: codebook } : codebook !== 'none' && { codebook: VALUES[codebook]! }),
  };
  const bias = { ...tensor(1, n, (_, i) => biasAt(i)), shape: [n] };
  return referenceMatrix(tensor(m, k, xAt), same, { bias, accuracy, add: adds ? tensor(m, n, residualAt) : undefined });
}
