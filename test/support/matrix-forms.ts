// Every form of weights that a matrix may have, and a random matrix of each. Holds no test.
import { type FloatDType, roundTo } from '../../src/dtype.js';
import { CODE_BITS, type CodeBits } from '../../src/problem/code-width.js';
import { checkMatrix, packCodes, type QuantizedMatrix, type ScaleForm } from '../../src/problem/matrix.js';
import { randoms } from './tensors.js';

/** What goes with the codes. A scale form is given wherever its values allow: the layer takes it where kernels can read it. */
export interface Form {
  readonly name: string;
  readonly scaleDtype?: FloatDType | undefined;
  readonly kind?: ScaleForm['kind'];
  readonly shift?: 'minimum' | 'zeros' | 'offsets' | 'bytes' | undefined;
  readonly codebook?: readonly number[];
  readonly codeForm?: 'e4m3';
}
const ANY = Array.from({ length: 16 }, (_, i) => (i - 5) / 4);
const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6];
export const FORMS: readonly Form[] = [
  ...(['float32', 'float16', 'bfloat16'] as const).flatMap((scaleDtype) =>
    ([undefined, 'minimum', 'zeros', 'offsets', 'bytes'] as const).map((shift) => ({
      name: `${scaleDtype} ${shift ?? ''}`,
      scaleDtype,
      shift,
    })),
  ),
  { name: 'int8 levels', kind: 'int8' },
  { name: 'uint8 levels', kind: 'uint8', shift: 'minimum' },
  { name: 'uint4 levels', kind: 'uint4', shift: 'minimum' },
  ...(['float32', 'float16', 'bfloat16'] as const).flatMap((scaleDtype) => [
    { name: `${scaleDtype} of a codebook`, scaleDtype, codebook: ANY },
    { name: `${scaleDtype} of E2M1`, scaleDtype, codebook: E2M1 },
  ]),
  { name: 'int8 levels of a codebook', kind: 'int8', codebook: ANY },
  { name: 'e8m0 of a codebook', kind: 'e8m0', codebook: ANY },
  { name: 'e8m0 of E2M1', kind: 'e8m0', codebook: E2M1 },
  { name: 'e4m3 of E2M1', kind: 'e4m3', codebook: E2M1 },
  { name: 'e4m3 of a codebook', kind: 'e4m3', codebook: ANY },
  { name: 'e4m3-unit of E2M1', kind: 'e4m3-unit', codebook: E2M1 },
  ...(['float32', 'float16', 'bfloat16'] as const).map((scaleDtype) => ({
    name: `${scaleDtype} of E4M3`,
    scaleDtype,
    codeForm: 'e4m3' as const,
  })),
  { name: 'e8m0 of E4M3', kind: 'e8m0', codeForm: 'e4m3' },
];
const RANGES: Readonly<Record<string, readonly [number, number]>> = { int8: [-128, 127], uint8: [0, 255], uint4: [0, 15] };

export interface Sizes {
  readonly n: number;
  readonly k: number;
  readonly groupSize: number;
}

const e4m3 = (byte: number): number => (byte < 8 ? byte * 2 ** -9 : (8 + (byte % 8)) * 2 ** (Math.floor(byte / 8) - 10));

/** An e4m3 that is no NaN. */
const finite = (code: number): number => (code % 128 === 127 ? code - 1 : code);

/** The widths that a form has. */
export const widthsOf = ({ codebook, codeForm }: Form): readonly CodeBits[] => (codebook ? [4] : codeForm ? [8] : CODE_BITS);

/** Random codes, scales and what is added. @param options.exponents those of e8m0 */
export function matrixOf(
  bits: CodeBits,
  { scaleDtype = 'float32', kind, shift, codebook, codeForm }: Form,
  { n, k, groupSize }: Sizes,
  { exponents = [-127, 127] }: { readonly exponents?: readonly [number, number] } = {},
): QuantizedMatrix {
  const [groups, units] = [Math.ceil(k / groupSize), Math.ceil(k / 256)];
  const largest = 2 ** bits - 1;
  const draw = (seed: number, low: number, high: number, length = n * groups) => randoms(97 * seed + bits, length, low, high);
  /** Units, every third of which is a subnormal float16. */
  const unitsOf = (seed: number) =>
    Float32Array.from(draw(seed, 1, 1023, n * units), (value, i) => value * (i % 3 === 0 ? 2 ** -24 : 2 ** -12));
  const products = (levels: readonly number[], unit: Float32Array) =>
    Float32Array.from(levels, (level, i) => level * unit[Math.floor(i / groups) * units + Math.floor(((i % groups) * groupSize) / 256)]!);
  const floats = (seed: number) => Float32Array.from(draw(seed, -120, 120), (value) => roundTo(value / 64, scaleDtype));

  const levels = kind ? RANGES[kind] : undefined;
  const [unit, minimumUnit] = [unitsOf(1), unitsOf(2).map((value) => -value)];
  /** Units of all k, of 24 digits. */
  const ones = Float32Array.from(draw(6, 2 ** 23, 2 ** 24 - 1, n), (digits) => digits * 2 ** -34);
  const paired = kind === 'uint8' || kind === 'uint4';
  const scale = levels
    ? products(draw(3, ...levels), unit)
    : kind === 'e8m0'
      ? Float32Array.from(draw(3, ...exponents), (e) => 2 ** e)
      : kind === 'e4m3'
        ? Float32Array.from(draw(3, 0, 126), e4m3)
        : kind === 'e4m3-unit'
          ? Float32Array.from(draw(3, 0, 126), (byte, i) => e4m3(byte) * ones[Math.floor(i / groups)]!)
          : floats(3);
  const matrix: QuantizedMatrix = {
    ...{ n, k, bits, groupSize, scale, scaleDtype },
    codes: packCodes(codeForm ? draw(4, 0, largest, n * k).map(finite) : draw(4, 0, largest, n * k), n, k, bits),
    ...(kind && {
      scaleForm: { kind, ...(levels && { unit }), ...(kind === 'e4m3-unit' && { unit: ones }), ...(paired && { minimumUnit }) },
    }),
    ...(shift === 'minimum' && { minimum: paired ? products(draw(5, ...levels!), minimumUnit) : floats(5) }),
    ...(shift === 'bytes' && { zeroPoint: Float32Array.from(draw(5, 0, largest)), zeroPointDtype: 'uint8' }),
    ...(shift === 'zeros' && { zeroPoint: floats(5), zeroPointDtype: scaleDtype }),
    ...(shift === 'offsets' && { zeroPoint: Float32Array.from(draw(5, 0, largest)) }),
    ...(codebook && { codebook: Float32Array.from(codebook) }),
    ...(codeForm && { codeForm }),
  };
  checkMatrix(matrix);
  return matrix;
}
