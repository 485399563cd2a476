// Data about a layer to show: counts of codes, a histogram of scales, and a part of the matrix with code, scale and value.
import { dequantize, type QuantizedMatrix } from '../../../../src/formats.js';
import { type CodeBits, widthOf } from '../../../../src/problem/code-width.js';
import { codeAt, groupsIn, rowsOf } from '../../../../src/problem/matrix.js';
import { type JobContext, moved } from '../../../worker/rpc.js';
import type { Model } from './open.js';
import { matrixOf, type Rows, type Size, sizeOf, type Target, weightsOf } from './weights.js';

/** The formula from codes to weights. */
export type Form = 'zero points' | 'minimums' | 'codebook' | 'floats' | 'symmetric';
export const formOf = ({ minimum, codebook, codeForm, zeroPoint }: QuantizedMatrix): Form =>
  codeForm ? 'floats' : codebook ? 'codebook' : minimum ? 'minimums' : zeroPoint ? 'zero points' : 'symmetric';

/** A histogram with equal steps from `low` to `high`. */
export interface Spread {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}
/** A rectangle of the matrix, in order of outputs and inputs. */
export interface Part {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
  readonly weights: Float32Array<ArrayBuffer>;
  /** Of quantized layers. */
  readonly codes?: Uint8Array<ArrayBuffer>;
  readonly scales?: Float32Array<ArrayBuffer>;
}
export interface Look extends Size {
  readonly target: Target;
  readonly name: string;
  readonly format: string;
  /** Of quantized layers: how codes become weights. */
  readonly quantized?: {
    readonly bits: CodeBits;
    readonly groupSize: number;
    readonly scaleDtype: string;
    readonly form: Form;
    readonly permuted: boolean;
    readonly inputScaled: boolean;
    /** Of code 0, 1, … */
    readonly codes: readonly number[];
    readonly scales: Spread;
  };
  /** Of float matrices. */
  readonly values?: Spread;
  readonly least: number;
  readonly most: number;
  readonly part: Part;
}
export interface LookArgs {
  readonly target: Target;
  /** The first row and column of the part. */
  readonly row: number;
  readonly column: number;
}

/** Rows and columns of the part. */
const MOST = 256;
const BINS = 48;

function spreadOf(values: Float32Array, low: number, high: number, counts: number[] = new Array<number>(BINS).fill(0)): Spread {
  const scale = high > low ? BINS / (high - low) : 0;
  for (const value of values) counts[Math.min(BINS - 1, Math.floor((value - low) * scale))]!++;
  return { low, high, counts };
}

function ends(values: Float32Array, [low, high]: readonly [number, number] = [Infinity, -Infinity]): readonly [number, number] {
  let [least, most] = [low, high];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}

/** The rectangle, moved inside the matrix. */
export function placeOf({ n, k }: Size, { row, column }: Pick<LookArgs, 'row' | 'column'>): Omit<Part, 'weights'> {
  const [rows, columns] = [Math.min(n, MOST), Math.min(k, 2 * MOST)];
  return { rows, columns, row: Math.min(row, n - rows), column: Math.min(column, k - columns) };
}

/** Copies the values of these rows that lie in the part. */
export function copyPart(
  out: Float32Array,
  { row, column, rows, columns }: Omit<Part, 'weights'>,
  { begin, n, weights }: Rows,
  k: number,
): void {
  for (let r = Math.max(row, begin); r < Math.min(row + rows, begin + n); r++) {
    const from = (r - begin) * k + column;
    out.set(weights.subarray(from, from + columns), (r - row) * columns);
  }
}

async function countCodes({ n, k, bits, codes }: QuantizedMatrix, context: JobContext): Promise<number[]> {
  const { inWord, mask, slot } = widthOf(bits);
  const counts = new Array<number>(mask + 1).fill(0);
  const words = codes.length / n;
  const rows = Math.max(1, Math.floor(2 ** 21 / k));
  for (let begin = 0; begin < n; begin += rows) {
    for (let row = begin; row < Math.min(n, begin + rows); row++)
      for (let word = 0, left = k; word < words; word++, left -= inWord) {
        const value = codes[row * words + word]!;
        for (let i = 0; i < Math.min(inWord, left); i++) counts[(value >>> (slot * i)) & mask]!++;
      }
    context.progress(0.6 + (0.3 * begin) / n, 'Codes are counted.');
    await context.breathe();
  }
  return counts;
}

function partOfMatrix(matrix: QuantizedMatrix, place: Omit<Part, 'weights'>): Part {
  const { row, column, rows, columns } = place;
  const { k, permutation, groupSize, scale } = matrix;
  const size = rows * columns;
  const [codes, scales, weights] = [new Uint8Array(size), new Float32Array(size), new Float32Array(size)];
  const groups = groupsIn(matrix);
  for (let j = 0; j < k; j++) {
    const c = (permutation?.[j] ?? j) - column;
    if (c < 0 || c >= columns) continue;
    for (let r = 0; r < rows; r++) {
      codes[r * columns + c] = codeAt(matrix, row + r, j);
      scales[r * columns + c] = scale[(row + r) * groups + Math.floor(j / groupSize)]!;
    }
  }
  for (const { matrix: run, begin } of rowsOf(matrix, 2 ** 21))
    if (begin < row + rows && begin + run.n > row) copyPart(weights, place, { begin, n: run.n, weights: dequantize(run) }, k);
  return { ...place, codes, scales, weights };
}

export async function look(model: Model, { target, ...corner }: LookArgs, context: JobContext) {
  const size = sizeOf(model, target);
  const place = placeOf(size, corner);
  if (target.kind === 'layer') {
    const layer = model.layers[target.index]!;
    const matrix = await matrixOf(model, target, context, 0.6);
    const codes = await countCodes(matrix, context);
    const [low, high] = ends(matrix.scale);
    let range: readonly [number, number] | undefined;
    for (const { matrix: run } of rowsOf(matrix, 2 ** 20)) {
      range = ends(dequantize(run), range);
      await context.breathe();
    }
    const part = partOfMatrix(matrix, place);
    const { bits, groupSize, scaleDtype, permutation, inputScale } = matrix;
    const quantized = {
      bits,
      groupSize,
      scaleDtype,
      form: formOf(matrix),
      permuted: permutation !== undefined,
      inputScaled: inputScale !== undefined,
      codes,
      scales: spreadOf(matrix.scale, low, high),
    } as const;
    const [least, most] = range!;
    const result: Look = { ...size, target, name: layer.name, format: layer.format, quantized, least, most, part };
    return moved(result, [part.weights.buffer, part.codes!.buffer, part.scales!.buffer]);
  }
  const info = model.floats[target.index]!;
  const weights = new Float32Array(place.rows * place.columns);
  let range: readonly [number, number] | undefined;
  for await (const rows of weightsOf(model, target, context)) {
    range = ends(rows.weights, range);
    copyPart(weights, place, rows, size.k);
    context.progress((0.5 * rows.begin) / size.n, 'The file is read.');
  }
  const [least, most] = range!;
  const counts = new Array<number>(BINS).fill(0);
  for await (const { weights: some, begin } of weightsOf(model, target, context)) {
    spreadOf(some, least, most, counts);
    context.progress(0.5 + (0.5 * begin) / size.n, 'Weights are counted.');
  }
  const result: Look = {
    ...size,
    target,
    name: info.name,
    format: info.dtype,
    values: { low: least, high: most, counts },
    least,
    most,
    part: { ...place, weights },
  };
  return moved(result, [weights.buffer]);
}
