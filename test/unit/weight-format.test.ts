// How weights lie in GPU memory: bits that codes are held in, what goes together, and bits a weight.
import { describe, expect, test } from 'vitest';
import { CODE_BITS, type CodeBits } from '../../src/problem/code-width.js';
import {
  bitsPerWeight,
  type Codebook,
  hasOneUnit,
  hasUnits,
  heldBits,
  isFloatDtype,
  isLegal,
  LEGAL_FORMATS,
  liftOf,
  offsetBits,
  offsetRows,
  SCALE_FORMS,
  type ScaleDType,
  SHIFTS,
  type Shift,
  type WeightFormat,
} from '../../src/problem/weight-format.js';

const SCALES = Object.keys(SCALE_FORMS) as ScaleDType[];
const FLOATS: readonly ScaleDType[] = ['float32', 'float16', 'bfloat16'];
const ALL_SHIFTS = Object.keys(SHIFTS) as Shift[];

test('every form of scales is floats, levels with units, or bytes that are floats', () => {
  expect(SCALES.filter(isFloatDtype)).toEqual(FLOATS);
  expect(SCALES.filter(hasUnits)).toEqual(['int8', 'uint8', 'uint4']);
  expect(SCALES.filter(hasOneUnit)).toEqual(['e4m3-unit']);
  expect(SCALES.filter((dtype) => SCALE_FORMS[dtype].unitBits > 0)).toEqual(['int8', 'uint8', 'uint4', 'e4m3-unit']);
});

describe('bits in memory', () => {
  // bits: held by groups of 8, 16, 32 k; the same where a software adapter takes wide codes
  test.each<[CodeBits, readonly CodeBits[], readonly CodeBits[]]>([
    [2, [4, 2, 2], [4, 2, 2]],
    [3, [4, 3, 3], [4, 4, 4]],
    [4, [4, 4, 4], [4, 4, 4]],
    [5, [5, 5, 5], [5, 5, 5]],
    [6, [6, 6, 6], [8, 8, 8]],
    [8, [8, 8, 8], [8, 8, 8]],
  ])('%i', (bits, narrow, wide) => {
    const held = (wideCodes: boolean) => [8, 16, 32].map((groupSize) => heldBits(bits, { groupSize, whole: false, wide: wideCodes }));
    expect(held(false)).toEqual(narrow);
    expect(held(true)).toEqual(wide);
  });
  test('groups of 40 and of 4 are no whole low words of narrow codes; one group of all k may be anything', () => {
    expect(CODE_BITS.map((bits) => heldBits(bits, { groupSize: 40, whole: false, wide: false }))).toEqual([4, 4, 4, 5, 6, 8]);
    expect(CODE_BITS.map((bits) => heldBits(bits, { groupSize: 12, whole: false, wide: false }))).toEqual([4, 4, 4, 8, 8, 8]);
    expect(CODE_BITS.map((bits) => heldBits(bits, { groupSize: 37, whole: true, wide: false }))).toEqual([...CODE_BITS]);
  });
});

// What is added to codes: the distance of the middles. Where the middle means nothing, or zero points stay as they are, nothing.
test.each<[CodeBits, CodeBits, number]>([
  [2, 2, 0],
  [2, 4, 6],
  [3, 4, 4],
  [5, 8, 112],
  [6, 8, 96],
  [8, 8, 0],
])('codes of %i bits that are held in %i are raised by %i', (bits, held, lift) => {
  const raised = (shift: Shift, codebook: Codebook = 'none') => liftOf({ bits, held, shift, codebook });
  expect(ALL_SHIFTS.map((shift) => [shift, raised(shift)])).toEqual([
    ['none', lift],
    ['offset', lift],
    ['minimum', 0],
    ['zero', 0],
    ['zero8', lift],
  ]);
  expect(raised('none', 'table')).toBe(0);
});

test('what kernels can read', () => {
  const expected = (held: CodeBits, scaleDtype: ScaleDType, shift: Shift, codebook: Codebook): boolean => {
    if (codebook === 'e4m3') return held === 8 && shift === 'none' && (FLOATS.includes(scaleDtype) || scaleDtype === 'e8m0');
    if (codebook === 'e2m1') return held === 4 && shift === 'none' && !hasUnits(scaleDtype);
    if (codebook === 'table') return held === 4 && shift === 'none' && !['uint8', 'uint4', 'e4m3-unit'].includes(scaleDtype);
    if (FLOATS.includes(scaleDtype)) return true;
    if (scaleDtype === 'int8') return shift === 'none' && [3, 4, 6, 8].includes(held);
    if (scaleDtype === 'uint8') return shift === 'minimum' && [4, 5].includes(held);
    return scaleDtype === 'uint4' && shift === 'minimum' && held === 2;
  };
  let count = 0;
  for (const held of CODE_BITS)
    for (const scaleDtype of SCALES)
      for (const shift of ALL_SHIFTS)
        for (const codebook of ['none', 'table', 'e2m1', 'e4m3'] as const) {
          const legal = isLegal({ held, scaleDtype, shift, codebook });
          expect(legal, `${held} ${scaleDtype} ${shift} ${codebook}`).toBe(expected(held, scaleDtype, shift, codebook));
          if (legal) count++;
        }
  expect(LEGAL_FORMATS).toHaveLength(count);
  expect(new Set(LEGAL_FORMATS.map((one) => JSON.stringify(one))).size).toBe(count);
});

// Bits of a column in a row of `offset`, its rows of 520 k in groups of 32, and bits a weight.
test.each<[Pick<WeightFormat, 'held' | 'scaleDtype' | 'shift'>, number, number, number]>([
  [{ held: 4, scaleDtype: 'float16', shift: 'none' }, 0, 17, 4 + 16 / 32],
  [{ held: 4, scaleDtype: 'float32', shift: 'offset' }, 32, 17, 4 + 64 / 32],
  [{ held: 3, scaleDtype: 'bfloat16', shift: 'zero' }, 16, 17, 3 + 32 / 32],
  [{ held: 2, scaleDtype: 'float16', shift: 'zero8' }, 8, 17, 2 + 24 / 32],
  [{ held: 5, scaleDtype: 'float16', shift: 'minimum' }, 16, 17, 5 + 32 / 32],
  [{ held: 6, scaleDtype: 'int8', shift: 'none' }, 16, 3, 6 + 8 / 32 + 16 / 256],
  [{ held: 4, scaleDtype: 'uint8', shift: 'minimum' }, 32, 3, 4 + 16 / 32 + 32 / 256],
  [{ held: 2, scaleDtype: 'uint4', shift: 'minimum' }, 32, 3, 2 + 8 / 32 + 32 / 256],
  [{ held: 4, scaleDtype: 'e8m0', shift: 'none' }, 0, 17, 4 + 8 / 32],
  [{ held: 4, scaleDtype: 'e4m3', shift: 'none' }, 0, 17, 4 + 8 / 32],
  [{ held: 4, scaleDtype: 'e4m3-unit', shift: 'none' }, 32, 1, 4 + 8 / 32],
])('%o', (format, bits, rows, perWeight) => {
  expect(offsetBits(format)).toBe(bits);
  expect(offsetRows({ ...format, k: 520, groups: 17 })).toBe(rows);
  expect(bitsPerWeight(format, 32)).toBe(perWeight);
});
