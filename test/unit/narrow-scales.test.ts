// Scales in a byte or less: every value that a form holds, the first that it does not, units of 0, and matrices with forms that are wrong.
import { describe, expect, test } from 'vitest';
import { fromFloat16Bits } from '../../src/dtype.js';
import { checkMatrix, dequantize, type QuantizedMatrix, rowsOf, type ScaleForm } from '../../src/problem/matrix.js';
import { firstNotNarrow, NARROW_SCALES, type NarrowScale, narrowBytes } from '../../src/problem/narrow-scales.js';
import { expectArgument } from '../support/expect-errors.js';

/** Of one output; a unit for all, or none. */
const levels = (values: readonly number[], unit?: number) => ({
  values: Float32Array.from(values),
  ...(unit !== undefined && { unit: Float32Array.of(unit) }),
  perOutput: values.length,
  perUnit: values.length,
});
const count = (least: number, most: number): number[] => Array.from({ length: most - least + 1 }, (_, i) => least + i);
const LEVELS = { int8: count(-128, 127), uint8: count(0, 255), uint4: count(0, 15) } as const;
const LEVEL_KINDS = Object.keys(LEVELS) as (keyof typeof LEVELS)[];

/** E4M3 without a sign, from its bits: eight exponents of three, subnormal below 2^-6; 127 is NaN. */
const e4m3 = (byte: number): number => {
  const [exponent, fraction] = [Math.floor(byte / 8), byte % 8];
  return exponent === 0 ? (fraction / 8) * 2 ** -6 : (1 + fraction / 8) * 2 ** (exponent - 7);
};

describe('held', () => {
  // The least and the largest float16, a subnormal one with all bits, negative ones.
  const UNITS = [1, 0.25, 2 ** -24, -(2 ** -24), 1023 * 2 ** -24, 65504, -65504, fromFloat16Bits(0xb155)];
  test.each(LEVEL_KINDS.flatMap((kind) => UNITS.map((unit) => [kind, unit] as const)))('%s: all levels of the unit %d', (kind, unit) => {
    const wanted = levels(
      LEVELS[kind].map((level) => level * unit),
      unit,
    );
    expect(firstNotNarrow(kind, wanted)).toBe(-1);
    const bytes = narrowBytes(kind, wanted);
    expect([...bytes]).toEqual(LEVELS[kind].map((level) => level & 255));
    // A level times its unit is the value, in every bit: both products are exact in float32.
    const signed = kind === 'int8' ? new Int8Array(bytes.buffer) : bytes;
    signed.forEach((level, i) => {
      expect(Math.fround(level * unit) + 0).toBe(wanted.values[i]! + 0);
    });
  });
  test('e8m0: 2^-127 to 2^127', () => {
    expect([...narrowBytes('e8m0', levels(count(-127, 127).map((e) => 2 ** e)))]).toEqual(count(0, 254));
  });
  test('e4m3: 0, subnormal ones, 1 and 448', () => {
    const values = count(0, 126).map(e4m3);
    expect([values[1], values[8], values[0x38], values[126]]).toEqual([2 ** -9, 2 ** -6, 1, 448]);
    expect([...narrowBytes('e4m3', levels(values))]).toEqual(count(0, 126));
  });
  test('e4m3-unit: every byte times a unit of 24 digits, rounded to float32', () => {
    for (const unit of [1, 0xffffff * 2 ** -40, 0x800001 * 2 ** -30, 0xabcdef * 2 ** -33, 1 / 3]) {
      const of = Math.fround(unit);
      const values = count(0, 126).map((byte) => Math.fround(e4m3(byte) * of));
      expect([...narrowBytes('e4m3-unit', levels(values, of))]).toEqual(count(0, 126));
      // The floats beside one are no level's.
      const [right] = new Uint32Array(Float32Array.of(values[100]!).buffer);
      const beside = [...new Float32Array(Uint32Array.of(right! - 1, right! + 1).buffer)];
      for (const value of beside) expect(firstNotNarrow('e4m3-unit', levels([values[99]!, value], of))).toBe(1);
    }
  });
  test.each(LEVEL_KINDS)('%s: of a unit of 0, only 0', (kind) => {
    expect([...narrowBytes(kind, levels([0, -0, 0], 0))]).toEqual([0, 0, 0]);
    expect(firstNotNarrow(kind, levels([0, 2 ** -149], 0))).toBe(1);
  });
});

test.each<[NarrowScale, number | undefined, readonly number[]]>([
  ['int8', 0.5, [64, -64.5, 0.25, 1e30, Number.POSITIVE_INFINITY, Number.NaN]],
  ['uint8', 0.5, [128, -0.5, 0.25, 1e-30, Number.NEGATIVE_INFINITY, Number.NaN]],
  ['uint4', 0.5, [8, -0.5, 0.25, 7.75, Number.NaN]],
  ['int8', 2 ** -24, [2 ** -25, 128 * 2 ** -24]],
  ['e8m0', undefined, [0, 3, -1, 2 ** -128, 1.5, Number.POSITIVE_INFINITY, Number.NaN]],
  ['e4m3', undefined, [-1, 449, 480, 2 ** -10, 1.0625, 3 * 2 ** -10, Number.POSITIVE_INFINITY, Number.NaN]],
])('%s with the unit %s: the first value that is not held', (kind, unit, bad) => {
  const held = unit ?? 1;
  for (const value of bad) expect(firstNotNarrow(kind, levels([held, held, value, value], unit)), String(value)).toBe(2);
});

test('each output has its own units, and a short last one', () => {
  // Two outputs of five groups, two to a unit: three units each.
  const unit = Float32Array.of(1, 10, 100, 2, 20, 200);
  const values = Float32Array.of(1, 2, 10, 20, 300, 2, 4, 20, 40, 600);
  const given = { values, unit, perOutput: 5, perUnit: 2 };
  expect([...narrowBytes('uint8', given)]).toEqual([1, 2, 1, 2, 3, 1, 2, 1, 2, 3]);
  expect(firstNotNarrow('uint8', { ...given, values: values.map((value, i) => (i === 9 ? 60 : value)) })).toBe(9);
});

// ---------------------------------------------------------------------------------------------------------------- matrices

/** Two outputs of 264 inputs in groups of 32: nine groups and two units each. Scales and minima are levels 1, 2, … of them. */
function matrixOf(kind: NarrowScale): QuantizedMatrix & { readonly scaleForm: ScaleForm } {
  const [n, k, groupSize, groups] = [2, 264, 32, 9];
  const unit = Float32Array.of(0.5, 2 ** -24, -4, 0.25);
  const minimumUnit = unit.map((value) => -value);
  const hasUnits = kind in LEVELS;
  // Of 24 digits, so that their products with 1.75 are rounded.
  const one = Float32Array.of(0xffffff * 2 ** -30, 0x800001 * 2 ** -20);
  const scaled = () => Float32Array.from({ length: n * groups }, (_, i) => 1.75 * one[Math.floor(i / groups)]!);
  const paired = kind === 'uint8' || kind === 'uint4';
  const of = (units: Float32Array, less: number) =>
    Float32Array.from(
      { length: n * groups },
      (_, i) => (1 + (i % groups) - less) * units[2 * Math.floor(i / groups) + (i % groups < 8 ? 0 : 1)]!,
    );
  return {
    ...{ n, k, bits: 4, groupSize },
    codes: new Uint32Array(n * 33).map((_, i) => Math.imul(i, 0x9e3779b1)),
    scale: hasUnits ? of(unit, 0) : kind === 'e4m3-unit' ? scaled() : new Float32Array(n * groups).fill(0.25),
    scaleDtype: 'float32',
    ...(paired && { minimum: of(minimumUnit, 1) }),
    scaleForm: { kind, ...(hasUnits ? { unit } : kind === 'e4m3-unit' && { unit: one }), ...(paired && { minimumUnit }) },
  };
}

test.each(NARROW_SCALES)('a matrix with scales in %s is taken', (kind) => {
  expect(() => checkMatrix(matrixOf(kind))).not.toThrow();
});

test.each(NARROW_SCALES)('runs of rows of %s have their own units, and together are the matrix', (kind) => {
  const small = matrixOf(kind);
  const times = <T extends Float32Array | Uint32Array>(list: T): T => {
    const out = new (list.constructor as new (length: number) => T)(5 * list.length);
    for (let i = 0; i < 5; i++) out.set(list, i * list.length);
    return out;
  };
  const { unit, minimumUnit } = small.scaleForm;
  const tall: QuantizedMatrix = {
    ...small,
    n: 10,
    codes: times(small.codes),
    scale: times(small.scale),
    ...(small.minimum && { minimum: times(small.minimum) }),
    scaleForm: { kind, ...(unit && { unit: times(unit) }), ...(minimumUnit && { minimumUnit: times(minimumUnit) }) },
  };
  const runs = [...rowsOf(tall, 1)].map(({ matrix }) => matrix);
  expect(runs.map(({ n }) => n)).toEqual([4, 4, 2]);
  for (const run of runs) {
    checkMatrix(run);
    for (const [own, whole] of [
      [run.scaleForm?.unit, tall.scaleForm?.unit],
      [run.scaleForm?.minimumUnit, tall.scaleForm?.minimumUnit],
    ] as const) {
      expect(own?.length).toBe(whole && (kind === 'e4m3-unit' ? run.n : 2 * run.n));
      expect(own?.buffer).toBe(whole?.buffer);
    }
  }
  expect(runs.flatMap((run) => [...dequantize(run)])).toEqual([...dequantize(tall)]);
});

test.each<[string, NarrowScale, (m: ReturnType<typeof matrixOf>) => object, string, string]>([
  ['scaleForm.kind', 'int8', () => ({ scaleForm: { kind: 'int4' } }), 'int8 or uint8 or uint4 or e8m0 or e4m3 or e4m3-unit', '"int4"'],
  ['scaleForm', 'int8', () => ({ scaleForm: 'int8' }), 'an object', '"int8"'],
  ['scaleForm.unit', 'int8', () => ({ scaleForm: { kind: 'int8' } }), '4 values, one for 256 k of each output', 'undefined'],
  ['scaleForm.unit', 'int8', () => ({ scaleForm: { kind: 'int8', unit: new Float32Array(2) } }), '4 values', '2'],
  ['scaleForm.unit', 'int8', () => ({ scaleForm: { kind: 'int8', unit: [1, 1, 1, 1] } }), 'a Float32Array', '[1, 1, 1, 1]'],
  ['scaleForm.unit', 'e8m0', () => ({ scaleForm: { kind: 'e8m0', unit: new Float32Array(4) } }), 'none beside e8m0', '4'],
  ['scaleForm.minimumUnit', 'uint8', ({ scaleForm: { unit } }) => ({ scaleForm: { kind: 'uint8', unit } }), '4 values', 'undefined'],
  [
    'scaleForm.minimumUnit',
    'int8',
    ({ scaleForm: { unit } }) => ({ scaleForm: { kind: 'int8', unit, minimumUnit: unit } }),
    'none beside int8',
    '4',
  ],
  // 2^-25 is a level of 2^-25, which no float16 is.
  [
    'scaleForm.unit[1]',
    'int8',
    ({ scaleForm: { unit } }) => ({ scaleForm: { kind: 'int8', unit: unit!.with(1, 2 ** -25) } }),
    'a number that float16 holds',
    String(2 ** -25),
  ],
  ['scaleForm.kind', 'uint8', () => ({ minimum: undefined }), 'one beside a minimum', '"uint8"'],
  ['scaleForm.kind', 'uint4', () => ({ minimum: undefined, codebook: new Float32Array(16) }), 'one beside a minimum', '"uint4"'],
  ['scaleForm.kind', 'int8', () => ({ minimum: new Float32Array(18) }), 'one without a zero point or minimum', '"int8"'],
  ['scaleForm.kind', 'int8', () => ({ zeroPoint: new Float32Array(18) }), 'one without a zero point or minimum', '"int8"'],
  ['scaleForm.kind', 'e8m0', () => ({ zeroPoint: new Float32Array(18), zeroPointDtype: 'uint8' }), 'one without a zero point', '"e8m0"'],
  ['scaleForm.kind', 'int8', () => ({ groupSize: 40, scale: new Float32Array(14) }), 'groups that divide 256', '40'],
  ['scaleForm.kind', 'int8', () => ({ groupSize: 264, scale: new Float32Array(2) }), 'groups that divide 256', '264'],
  ['scale[17]', 'int8', ({ scale }) => ({ scale: scale.with(17, 0.125) }), 'a number that int8 holds', '0.125'],
  ['scale[0]', 'uint8', ({ scale }) => ({ scale: scale.with(0, 128) }), 'a number that uint8 holds', '128'],
  ['minimum[0]', 'uint4', ({ minimum }) => ({ minimum: minimum!.with(0, -8) }), 'a number that uint4 holds', '-8'],
  ['scale[3]', 'e8m0', ({ scale }) => ({ scale: scale.with(3, 0) }), 'a number that e8m0 holds', '0'],
  ['scale[3]', 'e4m3', ({ scale }) => ({ scale: scale.with(3, -1) }), 'a number that e4m3 holds', '-1'],
  ['scaleForm.unit', 'e4m3-unit', () => ({ scaleForm: { kind: 'e4m3-unit' } }), '2 values, one for all k of each output', 'undefined'],
  [
    'scaleForm.unit[1]',
    'e4m3-unit',
    () => ({ scaleForm: { kind: 'e4m3-unit', unit: Float32Array.of(1, Infinity) } }),
    'float32 holds',
    'Infinity',
  ],
  ['scale[9]', 'e4m3-unit', ({ scale }) => ({ scale: scale.with(9, scale[0]!) }), 'a number that e4m3-unit holds', ''],
  ['scale[2]', 'e4m3-unit', ({ scale }) => ({ scale: scale.with(2, -scale[2]!) }), 'a number that e4m3-unit holds', '-'],
])('%s of %s that does not go with the rest is refused', (field, kind, change, expected, got) => {
  const given = matrixOf(kind);
  expectArgument(() => checkMatrix({ ...given, ...change(given) } as QuantizedMatrix), `matrix.${field}`, expected, got);
});
