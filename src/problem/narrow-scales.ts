// Scales in a byte or less: what each form holds, and its bytes. Pure.

import { E4M3_VALUES, hasOneUnit, hasUnits } from './weight-format.js';

/** Forms of scales in a byte or less. */
export type NarrowScale = 'int8' | 'uint8' | 'uint4' | 'e8m0' | 'e4m3' | 'e4m3-unit';
export const NARROW_SCALES: readonly NarrowScale[] = ['int8', 'uint8', 'uint4', 'e8m0', 'e4m3', 'e4m3-unit'];

/** Values of groups, (outputs, perOutput); `perUnit` groups of an output share a unit, or all do. */
export interface Levels {
  readonly values: Float32Array;
  readonly unit?: Float32Array | undefined;
  readonly perOutput: number;
  readonly perUnit: number;
}

/** The bytes of the floats that e8m0 and e4m3 hold. */
const FLOATS: Readonly<Record<'e8m0' | 'e4m3', ReadonlyMap<number, number>>> = {
  e8m0: new Map(Array.from({ length: 255 }, (_, e) => [2 ** (e - 127), e])),
  e4m3: new Map(Array.from(E4M3_VALUES.subarray(0, 127), (value, b) => [value, b])),
};
const RANGES: Readonly<Record<'int8' | 'uint8' | 'uint4', readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  uint4: [0, 15],
};

/** Rounded to 4 digits of its own, or to a multiple of 2^-9: those of e4m3. */
function nearest4(value: number): number {
  const digit = 2 ** (Math.max(Math.floor(Math.log2(value)), -6) - 3);
  return Math.round(value / digit) * digit;
}

/** The byte of value `i`, as a number; NaN if the form does not hold it. A unit of 0 makes 0 of every byte. */
function levelAt(kind: NarrowScale, { values, unit, perOutput, perUnit }: Levels, i: number): number {
  const value = values[i]!;
  const inOutput = i % perOutput;
  if (hasOneUnit(kind)) {
    // The value is rounded to float32 and a level has 4 digits: the nearest level is the only one that may give it.
    const of = unit![(i - inOutput) / perOutput]!;
    const level = of === 0 ? 0 : nearest4(value / of);
    return Math.fround(level * of) === value ? (FLOATS.e4m3.get(level) ?? Number.NaN) : Number.NaN;
  }
  if (!hasUnits(kind)) return FLOATS[kind].get(value) ?? Number.NaN;
  const of = unit![((i - inOutput) / perOutput) * Math.ceil(perOutput / perUnit) + Math.floor(inOutput / perUnit)]!;
  const level = of === 0 ? 0 : Math.round(value / of);
  const [least, most] = RANGES[kind];
  return level >= least && level <= most && level * of === value ? level : Number.NaN;
}

/** The first value that the form does not hold; -1 if it holds all. */
export function firstNotNarrow(kind: NarrowScale, levels: Levels): number {
  for (let i = 0; i < levels.values.length; i++) if (Number.isNaN(levelAt(kind, levels, i))) return i;
  return -1;
}

/** A byte for each value. */
export function narrowBytes(kind: NarrowScale, levels: Levels): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(levels.values.length);
  for (let i = 0; i < out.length; i++) out[i] = levelAt(kind, levels, i);
  return out;
}
