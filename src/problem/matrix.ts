// QuantizedMatrix, the form that every format is converted to: unsigned codes in words along k, a scale for each group of k, and at most
// one of zero point, minimum and codebook. formats/ makes it; the layer, the reference and the writers take it. Pure.
import { elements, fields, float32s, oneOf, optional, refuse, typedArray, wholeNumber } from '../arguments/check.js';
import { type FloatDType, firstNotHeld } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { CODE_BITS, CODEBOOK_BITS, CODEBOOK_VALUES, type CodeBits, FLOAT_BITS, widthOf, wordsOf } from './code-width.js';
import { firstNotNarrow, NARROW_SCALES, type NarrowScale } from './narrow-scales.js';
import { showShape } from './view.js';
import { CODE_FORMS, type CodeForm, hasOneUnit, hasUnits, UNIT_K, valuesOfCodes } from './weight-format.js';

/**
 * A weight matrix (N, K) as codes. With g = floor(k / groupSize), G = ceil(K / groupSize):
 *
 * - W[n, k] = scale[n, g] · (code[n, k] - zeroPoint[n, g]), where a zeroPoint that is absent is 2^(bits-1);
 * - with a minimum: W[n, k] = scale[n, g] · code[n, k] + minimum[n, g];
 * - with a codebook: W[n, k] = scale[n, g] · codebook[code[n, k]];
 * - with a codeForm: W[n, k] = scale[n, g] · the float whose bits are code[n, k].
 */
export interface QuantizedMatrix {
  /** N, outputs. */
  readonly n: number;
  /** K, inputs. */
  readonly k: number;
  /** Of a code: those of the file. */
  readonly bits: CodeBits;
  /** (N, words): unsigned codes, the first k in the lowest bits. Codes of up to 4 bits lie in nibbles, 8 in a word; others in bytes, 4 in a word. Codes past K are 0. */
  readonly codes: Uint32Array;
  /** k that share a scale: a whole number of words of codes, or K. */
  readonly groupSize: number;
  /** (N, G), finite. */
  readonly scale: Float32Array;
  /** The dtype that holds scale, 2^(bits-1) - zeroPoint and minimum without rounding them. The same for all pieces of a matrix. */
  readonly scaleDtype: FloatDType;
  /** A form of the scales, and of the minimum, that takes fewer bits and loses nothing. The same kind for all pieces of a matrix. */
  readonly scaleForm?: ScaleForm | undefined;
  /** (N, G), finite. */
  readonly zeroPoint?: Float32Array | undefined;
  /** The dtype that holds the zero points themselves; uint8: each is a code. Without it 2^(bits-1) - zeroPoint is held, as scaleDtype. */
  readonly zeroPointDtype?: 'uint8' | FloatDType | undefined;
  /** (N, G), finite: the weight of code 0. */
  readonly minimum?: Float32Array | undefined;
  /** 16 finite values, for 4 bits. */
  readonly codebook?: Float32Array | undefined;
  /** Codes are floats. e4m3: of 8 bits, none of them NaN (127, 255). */
  readonly codeForm?: CodeForm | undefined;
  /** (K): column k of the codes multiplies input permutation[k]. Without it, input k. */
  readonly permutation?: Uint32Array | undefined;
  /** (K), finite: input k of x is multiplied by inputScale[k] first. In the order of x, whatever the order of the codes. */
  readonly inputScale?: Float32Array | undefined;
}

/**
 * Scales in fewer bits. int8, uint8, uint4: each is a unit times a whole number of that type, and so is the minimum of uint8 and uint4. e8m0:
 * powers of two from 2^-127 on. e4m3: floats of 4 bits of exponent and 3 of fraction, without a sign. e4m3-unit: such a float times a unit of
 * the output, rounded to float32.
 */
export interface ScaleForm {
  readonly kind: NarrowScale;
  /** (N, ceil(K / 256)), beside whole numbers: float16 values. (N), beside e4m3-unit. */
  readonly unit?: Float32Array | undefined;
  /** The same of the minimum: beside uint8 and uint4. */
  readonly minimumUnit?: Float32Array | undefined;
}

export const groupsIn = ({ k, groupSize }: Pick<QuantizedMatrix, 'k' | 'groupSize'>): number => Math.ceil(k / groupSize);

const SIZES = { n: wholeNumber(1), k: wholeNumber(1), bits: oneOf(...CODE_BITS) };
const SCALE_FORM = fields({
  kind: oneOf(...NARROW_SCALES),
  unit: optional(float32s),
  minimumUnit: optional(float32s),
});
const FIELDS = fields({
  ...SIZES,
  codes: typedArray<Uint32Array>('Uint32Array'),
  groupSize: wholeNumber(1),
  scale: float32s,
  scaleDtype: oneOf<FloatDType>('float32', 'float16', 'bfloat16'),
  scaleForm: optional(SCALE_FORM),
  zeroPoint: optional(float32s),
  zeroPointDtype: optional(oneOf<'uint8' | FloatDType>('uint8', 'float32', 'float16', 'bfloat16')),
  minimum: optional(float32s),
  codebook: optional(float32s),
  codeForm: optional(oneOf(...CODE_FORMS)),
  permutation: optional(typedArray<Uint32Array>('Uint32Array')),
  inputScale: optional(float32s),
});

/**
 * @throws ArgumentError if arrays have the wrong kind or length, `scaleDtype` does not hold a value, or a permutation names an input twice.
 *   Codes are not read, for every word is valid, but those of a codeForm: none may be NaN.
 */
export function checkMatrix(matrix: QuantizedMatrix): void {
  checkArrays(matrix);
  const { bits, codes, scale, scaleDtype, scaleForm, zeroPoint, zeroPointDtype, minimum, codebook, codeForm, inputScale } = matrix;
  if (codeForm) checkFinite(codes);
  checkHeld('scale', scale, scaleDtype);
  if (scaleForm) checkForm(matrix, scaleForm);
  if (zeroPointDtype === 'uint8') checkCodes(zeroPoint, widthOf(bits).mask);
  else if (zeroPointDtype && zeroPoint) checkHeld('zeroPoint', zeroPoint, zeroPointDtype);
  else if (zeroPoint) checkHeld('zeroPoint', zeroPoint, scaleDtype, widthOf(bits).zero);
  if (minimum) checkHeld('minimum', minimum, scaleDtype);
  if (codebook) checkHeld('codebook', codebook, 'float32');
  if (inputScale) checkHeld('inputScale', inputScale, 'float32');
}

/** The same, but for values: what is not finite, or not held by `scaleDtype`, is a weight as others are. */
function checkArrays(matrix: QuantizedMatrix): void {
  const checked = FIELDS(matrix, 'matrix');
  const { n, k, bits, codes, groupSize, scale, zeroPoint, minimum, codebook, codeForm, permutation, inputScale } = checked;
  const check = (holds: boolean, field: string, expected: string, got: unknown): void => {
    if (!holds) throw new ArgumentError(`matrix.${field}`, expected, String(got));
  };
  const { inWord } = widthOf(bits);
  check(
    groupSize <= k && (groupSize % inWord === 0 || groupSize === k),
    'groupSize',
    `a multiple of ${inWord} up to K = ${k}, or K`,
    groupSize,
  );
  const words = n * wordsOf(k, bits);
  check(codes.length === words, 'codes', `${words} words for ${showShape([n, k])} of ${bits} bits`, codes.length);
  const groups = groupsIn(checked);
  for (const [field, list] of Object.entries({ scale, zeroPoint, minimum }))
    check(
      list === undefined || list.length === n * groups,
      field,
      `${n * groups} values, ${groups} for each of ${n} outputs`,
      list?.length,
    );
  const shifts = Object.entries({ zeroPoint, minimum, codebook, codeForm }).flatMap(([field, list]) => (list ? [field] : []));
  check(shifts.length <= 1, shifts[1] ?? '', `none beside ${shifts[0]}`, 'one');
  const indexed = codebook?.length === CODEBOOK_VALUES && bits === CODEBOOK_BITS;
  check(!codebook || indexed, 'codebook', `${CODEBOOK_VALUES} values, for ${CODEBOOK_BITS} bits`, `${codebook?.length} for ${bits} bits`);
  check(!codeForm || bits === FLOAT_BITS, 'codeForm', `none, or ${FLOAT_BITS} bits`, `${codeForm} of ${bits} bits`);
  if (permutation) checkPermutation(permutation, k);
  check(!inputScale || inputScale.length === k, 'inputScale', `${k} values, one for each input`, inputScale?.length);
}

/** The first code that is NaN as e4m3; -1 if none is. Four codes at a time: a byte of 127 without its sign, and 1, has its highest bit. */
export function firstNaN(codes: Uint32Array): number {
  const { signs } = widthOf(FLOAT_BITS);
  const word = codes.findIndex((four) => (((four & ~signs) + 0x01010101) & signs) !== 0);
  return word < 0 ? -1 : 4 * word + [0, 1, 2, 3].findIndex((i) => ((codes[word]! >>> (8 * i)) & 127) === 127);
}

function checkFinite(codes: Uint32Array): void {
  const bad = firstNaN(codes);
  if (bad >= 0) refuse(`matrix.codes, code ${bad}`, 'no NaN of e4m3: neither 127 nor 255', (codes[bad >> 2]! >>> (8 * (bad % 4))) & 255);
}

/** The matrix in arrays of fixed length: browsers upload from no others. */
export function inFixedMemory(matrix: QuantizedMatrix): QuantizedMatrix {
  const grows = ({ buffer }: ArrayBufferView): boolean => (buffer as { readonly resizable?: boolean }).resizable === true;
  const entries = Object.entries(FIELDS(matrix, 'matrix')).map(([field, value]) => {
    const list = value as Float32Array;
    return [field, ArrayBuffer.isView(value) && grows(list) ? list.slice() : value];
  });
  return Object.fromEntries(entries) as QuantizedMatrix;
}

/** Does `dtype` hold these values? A zero point is stored as `zero` - value. */
function checkHeld(field: string, values: Float32Array, dtype: FloatDType, zero?: number): void {
  const bad = firstNotHeld(zero === undefined ? values : values.map((value) => zero - value), dtype);
  if (bad < 0) return;
  const expected = zero === undefined ? `a number that ${dtype} holds` : `a zero point whose distance from ${zero} ${dtype} holds`;
  throw new ArgumentError(`matrix.${field}[${bad}]`, expected, String(values[bad]));
}

/** Is every scale, and every minimum, what its form holds? */
function checkForm(matrix: QuantizedMatrix, { kind, unit, minimumUnit }: ScaleForm): void {
  const { n, k, scale, minimum, zeroPoint, codebook, codeForm, groupSize } = matrix;
  const refuseForm = (field: string, expected: string, got: unknown) => refuse(`matrix.scaleForm${field}`, expected, got);
  const one = hasOneUnit(kind);
  const units = one ? n : n * Math.ceil(k / UNIT_K);
  const paired = kind === 'uint8' || kind === 'uint4';
  for (const [field, list, wanted] of [
    ['.unit', unit, one || hasUnits(kind)],
    ['.minimumUnit', minimumUnit, paired],
  ] as const) {
    const expected = wanted ? `${units} values, one for ${one ? 'all' : UNIT_K} k of each output` : `none beside ${kind}`;
    if (wanted ? list?.length !== units : list !== undefined) refuseForm(field, expected, list?.length);
    if (list) checkHeld(`scaleForm${field}`, list, one ? 'float32' : 'float16');
  }
  if (zeroPoint || paired !== (minimum !== undefined) || (paired && (codebook || codeForm)))
    refuseForm('.kind', paired ? 'one beside a minimum' : 'one without a zero point or minimum', kind);
  if (hasUnits(kind) && UNIT_K % groupSize !== 0) refuseForm('.kind', `groups that divide ${UNIT_K}`, groupSize);
  for (const [field, values, of] of [
    ['scale', scale, unit],
    ['minimum', minimum, minimumUnit],
  ] as const) {
    const bad = values ? firstNotNarrow(kind, { values, unit: of, perOutput: groupsIn(matrix), perUnit: UNIT_K / groupSize }) : -1;
    if (bad >= 0) refuse(`matrix.${field}[${bad}]`, `a number that ${kind} holds`, values![bad]);
  }
}

/** Are these zero points codes? A byte holds them then even where codes are lifted to more bits. */
function checkCodes(zeroPoint: Float32Array | undefined, most: number): void {
  const bad = zeroPoint ? zeroPoint.findIndex((value) => !Number.isInteger(value) || value < 0 || value > most) : -1;
  if (bad >= 0) refuse(`matrix.zeroPoint[${bad}]`, `a whole number of 0 … ${most}`, zeroPoint![bad]);
}

/** Checks that the permutation names each input once. */
function checkPermutation(permutation: Uint32Array, k: number): void {
  if (permutation.length !== k) throw new ArgumentError('matrix.permutation', `${k} inputs`, String(permutation.length));
  const seen = new Uint8Array(k);
  permutation.forEach((input, i) => {
    if (input >= k) throw new ArgumentError(`matrix.permutation[${i}]`, `an input below ${k}`, String(input));
    if (seen[input]) throw new ArgumentError(`matrix.permutation[${i}]`, 'each input once', `${input} again`);
    seen[input] = 1;
  });
}

/** Code of output `row` and column `column` of the codes. */
export function codeAt({ codes, k, bits }: Pick<QuantizedMatrix, 'codes' | 'k' | 'bits'>, row: number, column: number): number {
  const { inWord, mask, slot } = widthOf(bits);
  const word = codes[row * wordsOf(k, bits) + Math.floor(column / inWord)]!;
  return (word >>> (slot * (column % inWord))) & mask;
}

/**
 * The weights (N, K) that x is multiplied by, each rounded once to float32, in the order of the inputs (a permutation is undone). With an
 * inputScale each is then multiplied by the scale of its input, and rounded once more; a product beyond float32 is infinite.
 * @throws ArgumentError
 */
export function dequantize(matrix: QuantizedMatrix): Float32Array<ArrayBuffer> {
  checkArrays(matrix);
  const { n, k, bits, codes, groupSize, scale, zeroPoint, minimum, permutation, inputScale } = matrix;
  const values = valuesOfCodes(matrix);
  const groups = groupsIn(matrix);
  const words = wordsOf(k, bits);
  const { inWord, mask, slot, zero: middle } = widthOf(bits);
  const out = new Float32Array(n * k);
  for (let row = 0; row < n; row++)
    for (let column = 0; column < k; column++) {
      const at = row * groups + Math.floor(column / groupSize);
      const code = (codes[row * words + Math.floor(column / inWord)]! >>> (slot * (column % inWord))) & mask;
      const s = scale[at]!;
      const value = values ? s * values[code]! : minimum ? s * code + minimum[at]! : s * (code - (zeroPoint?.[at] ?? middle));
      const input = permutation?.[column] ?? column;
      out[row * k + input] = inputScale ? Math.fround(value) * inputScale[input]! : value;
    }
  return out;
}

/** Drops zero points if all are 2^(bits-1): kernels are faster without. @throws ArgumentError */
export function simplify(matrix: QuantizedMatrix): QuantizedMatrix {
  checkArrays(matrix);
  const { zero } = widthOf(matrix.bits);
  const { zeroPoint, zeroPointDtype: _, ...rest } = matrix;
  return zeroPoint?.every((point) => point === zero) ? rest : matrix;
}

/** Codes (N, K) of 0 … 2^bits - 1, one an element → words. @throws ArgumentError */
export function packCodes(values: ArrayLike<number>, n: number, k: number, bits: CodeBits): Uint32Array<ArrayBuffer> {
  fields(SIZES)({ n, k, bits }, 'options');
  const { inWord, mask, slot } = widthOf(bits);
  const given = elements(n * k, `codes for ${showShape([n, k])}`)(values, 'values');
  const words = wordsOf(k, bits);
  const out = new Uint32Array(n * words);
  for (let row = 0, i = 0; row < n; row++)
    for (let column = 0; column < k; column++, i++) {
      const code = given[i];
      if (!Number.isInteger(code) || (code as number) < 0 || (code as number) > mask) refuse(`values[${i}]`, `a code of 0 … ${mask}`, code);
      out[row * words + Math.floor(column / inWord)]! |= (code as number) << (slot * (column % inWord));
    }
  return out;
}

/** Cuts a matrix into runs of rows whose codes take at most `bytes`. The pieces are views; nothing is copied. */
export function* rowsOf(matrix: QuantizedMatrix, bytes: number): Generator<{ readonly matrix: QuantizedMatrix; readonly begin: number }> {
  const { n, k, bits, codes, scale, scaleForm, zeroPoint, minimum } = matrix;
  const words = wordsOf(k, bits);
  const rows = Math.max(4, Math.floor(bytes / (4 * words) / 4) * 4);
  for (let begin = 0; begin < n; begin += rows) {
    const end = Math.min(n, begin + rows);
    const run = (values: Float32Array | undefined) => values?.subarray((begin * values.length) / n, (end * values.length) / n);
    yield {
      begin,
      matrix: {
        ...matrix,
        n: end - begin,
        codes: codes.subarray(begin * words, end * words),
        scale: run(scale)!,
        scaleForm: scaleForm && { ...scaleForm, unit: run(scaleForm.unit), minimumUnit: run(scaleForm.minimumUnit) },
        zeroPoint: run(zeroPoint),
        minimum: run(minimum),
      },
    };
  }
}
