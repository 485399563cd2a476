// The one form that every format is brought into: unsigned codes in words along k, a scale for each group of k, and at most one of a zero
// point, a minimum and a codebook. Pure; formats/NAME.ts make it, the layer, the reference and the writers take it.
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { BITS_LISTED, type Bits, CODEBOOK_BITS, CODEBOOK_VALUES, isBits, widthOf, wordsOf } from './code-width.js';
import { showShape } from './view.js';

/**
 * A weight matrix (N, K) as codes. With g = floor(k / groupSize), G = ceil(K / groupSize):
 *
 * - W[n, k] = scale[n, g] · (code[n, k] - zeroPoint[n, g]), where a zeroPoint that is absent is 2^(bits-1);
 * - with a minimum: W[n, k] = scale[n, g] · code[n, k] + minimum[n, g];
 * - with a codebook: W[n, k] = scale[n, g] · codebook[code[n, k]].
 */
export interface QuantizedMatrix {
  /** N, outputs. */
  readonly n: number;
  /** K, inputs. */
  readonly k: number;
  readonly bits: Bits;
  /** (N, ceil(K · bits / 32)): unsigned codes, 32 / bits in a word, the first k in the lowest bits. Codes past K are 0. */
  readonly codes: Uint32Array;
  /** k that share a scale: a multiple of 32 / bits, or K. */
  readonly groupSize: number;
  /** (N, G), finite. */
  readonly scale: Float32Array;
  /** The dtype that holds scale, 2^(bits-1) - zeroPoint and minimum without rounding them. The same for all pieces of a matrix. */
  readonly scaleDtype: FloatDType;
  /** (N, G), finite. */
  readonly zeroPoint?: Float32Array | undefined;
  /** (N, G), finite: the weight of code 0. */
  readonly minimum?: Float32Array | undefined;
  /** 16 finite values, for 4 bits. */
  readonly codebook?: Float32Array | undefined;
  /** (K): the input that column k of the codes is for. Without it, input k. */
  readonly permutation?: Uint32Array | undefined;
}

export { wordsOf as wordsInRow } from './code-width.js';
export const groupsIn = ({ k, groupSize }: Pick<QuantizedMatrix, 'k' | 'groupSize'>): number => Math.ceil(k / groupSize);

/** @throws ArgumentError if a matrix is not what its fields say. Looks at sizes, not at every code and scale. */
export function checkMatrix(matrix: QuantizedMatrix): void {
  const { n, k, bits, codes, groupSize, scale, zeroPoint, minimum, codebook, permutation } = matrix;
  const check = (holds: boolean, field: string, expected: string, got: unknown): void => {
    if (!holds) throw new ArgumentError(`matrix.${field}`, expected, String(got));
  };
  for (const [field, value] of Object.entries({ n, k }))
    check(Number.isSafeInteger(value) && value >= 1, field, 'a whole number of at least 1', value);
  check(isBits(bits), 'bits', BITS_LISTED, bits);
  const { inWord } = widthOf(bits);
  const whole = Number.isInteger(groupSize) && groupSize >= 1 && (groupSize % inWord === 0 || groupSize === k) && groupSize <= k;
  check(whole, 'groupSize', `a multiple of ${inWord} up to K = ${k}, or K`, groupSize);
  const words = n * wordsOf(k, bits);
  check(codes.length === words, 'codes', `${words} words for ${showShape([n, k])} of ${bits} bits`, codes.length);
  const values = n * groupsIn(matrix);
  for (const [field, list] of Object.entries({ scale, zeroPoint, minimum }))
    check(
      list === undefined || list.length === values,
      field,
      `${values} values, ${groupsIn(matrix)} for each of ${n} outputs`,
      list?.length,
    );
  const shifts = Object.entries({ zeroPoint, minimum, codebook }).flatMap(([field, list]) => (list ? [field] : []));
  check(shifts.length <= 1, shifts[1] ?? '', `none beside ${shifts[0]}`, 'one');
  const indexed = codebook?.length === CODEBOOK_VALUES && bits === CODEBOOK_BITS;
  check(!codebook || indexed, 'codebook', `${CODEBOOK_VALUES} values, for ${CODEBOOK_BITS} bits`, `${codebook?.length} for ${bits} bits`);
  check(!permutation || permutation.length === k, 'permutation', `${k} inputs`, permutation?.length);
  const outside = permutation?.findIndex((input) => input >= k) ?? -1;
  check(outside < 0, `permutation[${outside}]`, `an input below ${k}`, permutation?.[outside]);
}

/** Code of output `row` and column `column` of the codes. */
export function codeAt({ codes, k, bits }: Pick<QuantizedMatrix, 'codes' | 'k' | 'bits'>, row: number, column: number): number {
  const { inWord, mask } = widthOf(bits);
  const word = codes[row * wordsOf(k, bits) + Math.floor(column / inWord)]!;
  return (word >>> (bits * (column % inWord))) & mask;
}

/**
 * The weights (N, K), each rounded once to float32, in the order of the inputs (a permutation is undone).
 * @throws ArgumentError
 */
export function dequantize(matrix: QuantizedMatrix): Float32Array<ArrayBuffer> {
  checkMatrix(matrix);
  const { n, k, bits, codes, groupSize, scale, zeroPoint, minimum, codebook, permutation } = matrix;
  const groups = groupsIn(matrix);
  const words = wordsOf(k, bits);
  const { inWord, mask, zero: middle } = widthOf(bits);
  const out = new Float32Array(n * k);
  for (let row = 0; row < n; row++)
    for (let column = 0; column < k; column++) {
      const at = row * groups + Math.floor(column / groupSize);
      const code = (codes[row * words + Math.floor(column / inWord)]! >>> (bits * (column % inWord))) & mask;
      const s = scale[at]!;
      const value = codebook ? s * codebook[code]! : minimum ? s * code + minimum[at]! : s * (code - (zeroPoint?.[at] ?? middle));
      out[row * k + (permutation?.[column] ?? column)] = value;
    }
  return out;
}

/** Without zero points that are all 2^(bits-1): kernels are faster for it, and smaller. */
export function simplify(matrix: QuantizedMatrix): QuantizedMatrix {
  const { zero } = widthOf(matrix.bits);
  const { zeroPoint, ...rest } = matrix;
  return zeroPoint?.every((point) => point === zero) ? rest : matrix;
}

/** Codes (N, K), one in an element, → words. */
export function packCodes(values: ArrayLike<number>, n: number, k: number, bits: Bits): Uint32Array<ArrayBuffer> {
  const { inWord } = widthOf(bits);
  const words = wordsOf(k, bits);
  const out = new Uint32Array(n * words);
  for (let row = 0, i = 0; row < n; row++)
    for (let column = 0; column < k; column++, i++) {
      out[row * words + Math.floor(column / inWord)]! |= values[i]! << (bits * (column % inWord));
    }
  return out;
}

/** A matrix in runs of rows whose codes take `bytes` at most: views, nothing is copied. */
export function* rowsOf(matrix: QuantizedMatrix, bytes: number): Generator<{ readonly matrix: QuantizedMatrix; readonly begin: number }> {
  const { n, k, bits, codes, scale, zeroPoint, minimum } = matrix;
  const words = wordsOf(k, bits);
  const groups = scale.length / n;
  const rows = Math.max(4, Math.floor(bytes / (4 * words) / 4) * 4);
  for (let begin = 0; begin < n; begin += rows) {
    const end = Math.min(n, begin + rows);
    const run = (values: Float32Array | undefined) => values?.subarray(begin * groups, end * groups);
    yield {
      begin,
      matrix: {
        ...matrix,
        n: end - begin,
        codes: codes.subarray(begin * words, end * words),
        scale: run(scale)!,
        zeroPoint: run(zeroPoint),
        minimum: run(minimum),
      },
    };
  }
}
