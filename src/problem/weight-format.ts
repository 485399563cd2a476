// How a layer's weights lie in memory: widths of codes, forms of scales, what is added, and what of it is legal together. Pure.
import type { FloatDType } from '../dtype.js';
import { CODE_BITS, CODEBOOK_BITS, type CodeBits, FLOAT_BITS, widthOf } from './code-width.js';

/**
 * How a group's scale is held. Floats as they are; e8m0, the exponent of a power of two, and e4m3, a positive float of 8 bits, in a byte.
 * In two levels: a whole number times a unit, a float16 for each 256 k. int8: a signed byte. uint8: a byte, and one for the minimum. uint4:
 * 4 bits, and 4 for the minimum. A minimum has a unit too. e4m3-unit: an e4m3 times a float32 for all k of an output (NVFP4).
 */
export type ScaleDType = FloatDType | LevelDType | 'e8m0' | 'e4m3' | 'e4m3-unit';
/** Whole numbers of a unit. */
export type LevelDType = 'int8' | 'uint8' | 'uint4';

/** k that share a unit. */
export const UNIT_K = 256;

/** What is added: an offset to a code before scaling; a minimum after it; or a zero point taken off the code, as a float or as a byte. */
export type Shift = 'none' | 'offset' | 'minimum' | 'zero' | 'zero8';

/** What a code means: a number, an index of 16 values, or a float of 4 or of 8 bits. Those of E2M1 and E4M3 need no buffer: kernels know them. */
export type Codebook = 'none' | 'table' | 'e2m1' | 'e4m3';

/** The param CODEBOOK. */
export const CODEBOOKS: Readonly<Record<Codebook, number>> = { none: 0, table: 1, e2m1: 2, e4m3: 3 };

/** E2M1: a sign, 2 bits of exponent, 1 of fraction (OCP Microscaling Formats 1.0). */
export const E2M1_VALUES = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6);

/** What codes mean that are indices of these values; a 0 may have a sign. */
export const codebookOf = (values: Float32Array | undefined): Codebook =>
  !values ? 'none' : values.every((value, i) => value === E2M1_VALUES[i]) ? 'e2m1' : 'table';

/** Codes that are floats, and no numbers. */
export type CodeForm = 'e4m3';
export const CODE_FORMS: readonly CodeForm[] = ['e4m3'];

/** E4M3: a sign, 4 bits of exponent with a bias of 7, 3 of fraction; 127 and 255 are NaN (OCP 8-bit Floating Point 1.0). */
export const E4M3_VALUES = Float32Array.from({ length: 256 }, (_, code) => {
  const [exponent, fraction] = [(code >> 3) & 15, code & 7];
  const magnitude = exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
  return (code & 127) === 127 ? Number.NaN : code > 127 ? -magnitude : magnitude;
});
/** The values that codes stand for, where they are no numbers. */
export const valuesOfCodes = ({
  codebook,
  codeForm,
}: {
  readonly codebook?: Float32Array | undefined;
  readonly codeForm?: CodeForm | undefined;
}): Float32Array | undefined => (codeForm ? E4M3_VALUES : codebook);

/** One way to hold weights. */
export interface WeightFormat {
  /** Bits of a code in the file. */
  readonly bits: CodeBits;
  /** Bits of a code in memory: those of the file, or more. */
  readonly held: CodeBits;
  readonly scaleDtype: ScaleDType;
  readonly shift: Shift;
  readonly codebook: Codebook;
}

interface ScaleForm {
  /** The param SCALE. */
  readonly param: number;
  /** Bits of a group's scale, of a column; with its minimum where they lie together. */
  readonly bits: number;
  /** Bits of the units of 256 k, or of the unit of all k, of a column. */
  readonly unitBits: number;
}

export const SCALE_FORMS: Readonly<Record<ScaleDType, ScaleForm>> = {
  float32: { param: 0, bits: 32, unitBits: 0 },
  float16: { param: 1, bits: 16, unitBits: 0 },
  bfloat16: { param: 2, bits: 16, unitBits: 0 },
  int8: { param: 3, bits: 8, unitBits: 16 },
  uint8: { param: 3, bits: 16, unitBits: 32 },
  uint4: { param: 4, bits: 8, unitBits: 32 },
  e8m0: { param: 5, bits: 8, unitBits: 0 },
  e4m3: { param: 6, bits: 8, unitBits: 0 },
  'e4m3-unit': { param: 7, bits: 8, unitBits: 32 },
};

/** The param OFFSET. */
export const SHIFTS: Readonly<Record<Shift, number>> = { none: 0, offset: 1, minimum: 2, zero: 3, zero8: 4 };

const FLOATS: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];
export const isFloatDtype = (dtype: ScaleDType): dtype is FloatDType => (FLOATS as readonly ScaleDType[]).includes(dtype);
const LEVELS: readonly LevelDType[] = ['int8', 'uint8', 'uint4'];
/** Are scales whole numbers of units of 256 k? */
export const hasUnits = (dtype: ScaleDType): dtype is LevelDType => (LEVELS as readonly ScaleDType[]).includes(dtype);
/** Are they multiplied with a unit of all k? */
export const hasOneUnit = (dtype: ScaleDType): dtype is 'e4m3-unit' => dtype === 'e4m3-unit';

/** What kernels can read: widths, scales and shifts that belong together. */
const LEGAL: readonly {
  readonly held: readonly CodeBits[];
  readonly scales: readonly ScaleDType[];
  readonly shifts: readonly Shift[];
  readonly codebook?: Codebook;
}[] = [
  { held: CODE_BITS, scales: FLOATS, shifts: ['none', 'offset', 'minimum', 'zero', 'zero8'] },
  { held: [3, 4, 6, 8], scales: ['int8'], shifts: ['none'] }, // Q3_K, Q6_K
  { held: [4, 5], scales: ['uint8'], shifts: ['minimum'] }, // Q4_K, Q5_K
  { held: [2], scales: ['uint4'], shifts: ['minimum'] }, // Q2_K
  { held: [CODEBOOK_BITS], scales: [...FLOATS, 'int8', 'e8m0', 'e4m3'], shifts: ['none'], codebook: 'table' }, // NF4; IQ4_XS
  { held: [CODEBOOK_BITS], scales: [...FLOATS, 'e8m0', 'e4m3', 'e4m3-unit'], shifts: ['none'], codebook: 'e2m1' }, // MXFP4; NVFP4
  { held: [FLOAT_BITS], scales: [...FLOATS, 'e8m0'], shifts: ['none'], codebook: 'e4m3' }, // FP8; MXFP8
];
type LegalFormat = Omit<WeightFormat, 'bits'>;
export const LEGAL_FORMATS: readonly LegalFormat[] = LEGAL.flatMap(({ held: widths, scales, shifts, codebook = 'none' }) =>
  widths.flatMap((held) => scales.flatMap((scaleDtype) => shifts.map((shift) => ({ held, scaleDtype, shift, codebook })))),
);
export const isLegal = ({ held, scaleDtype, shift, codebook }: LegalFormat): boolean =>
  LEGAL_FORMATS.some((one) => one.held === held && one.scaleDtype === scaleDtype && one.shift === shift && one.codebook === codebook);

/** Bits of a column in a row of the buffer `offset`; 0 if there is none. Its rows are groups, units of 256 k, or one, of the unit of all k. */
export function offsetBits({ scaleDtype, shift }: Pick<WeightFormat, 'scaleDtype' | 'shift'>): number {
  const { bits, unitBits } = SCALE_FORMS[scaleDtype];
  return unitBits > 0 ? unitBits : shift === 'none' ? 0 : shift === 'zero8' ? 8 : bits;
}

/** Rows of it. */
export const offsetRows = ({
  k,
  groups,
  scaleDtype,
}: Pick<WeightFormat, 'scaleDtype'> & { readonly k: number; readonly groups: number }): number =>
  hasUnits(scaleDtype) ? Math.ceil(k / UNIT_K) : hasOneUnit(scaleDtype) ? 1 : groups;

/** What is added to codes that are held in more bits than the file's, so that the middle of both is the code of weight 0. */
export const liftOf = ({ bits, held, shift, codebook }: Pick<WeightFormat, 'bits' | 'held' | 'shift' | 'codebook'>): number =>
  codebook !== 'none' || shift === 'minimum' || shift === 'zero' ? 0 : widthOf(held).zero - widthOf(bits).zero;

/** Bits a weight of codes, scales and what is added, padding and what all k share aside. */
export function bitsPerWeight(format: Pick<WeightFormat, 'held' | 'scaleDtype' | 'shift'>, groupSize: number): number {
  const rows = hasUnits(format.scaleDtype) ? UNIT_K : hasOneUnit(format.scaleDtype) ? Number.POSITIVE_INFINITY : groupSize;
  return format.held + SCALE_FORMS[format.scaleDtype].bits / groupSize + offsetBits(format) / rows;
}

/**
 * The bits that codes are held in. Groups must be whole low words. A software adapter pays for high parts by time: 3 bits are held as 4 there,
 * and 6 as 8, unless narrow codes are asked for.
 */
export function heldBits(bits: CodeBits, { groupSize, whole, wide }: { groupSize: number; whole: boolean; wide: boolean }): CodeBits {
  const wanted = wide ? (WIDER[bits] ?? bits) : bits;
  return whole || groupSize % widthOf(wanted).inLow === 0 ? wanted : widthOf(wanted).slot;
}
const WIDER: Readonly<Partial<Record<CodeBits, CodeBits>>> = { 3: 4, 6: 8 };
