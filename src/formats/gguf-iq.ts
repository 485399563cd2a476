// GGUF's types IQ1, IQ2 and IQ3: entries of a grid for 4 or 8 k, signs, and scales of 16 or 32 k in two levels. Layouts: block_iq1_s and similar
// structs of ggml-common.h, and dequantize_row_* of ggml-quants.c.
//
// A weight is one of 6 to 16 values, times a whole number, times d. So a code of 4 bits holds it: its magnitude in three bits, and over them
// the sign, or the shift of IQ1. The grids, which tell which values stand together, are not needed after that. Every product is exact: d has
// 11 bits, a level 5 and a value 6.
import { fromFloat16Bits } from '../dtype.js';
import { type Grid, gridOf } from './gguf-iq-grids.js';
import { type BlockField, type BlockType, half, halfAt, type Parts } from './gguf-words.js';

const of256 = { blockSize: 256, groupSize: 32, scaleDtype: 'float32', scaleKind: 'int8', hasMinimum: false, bits: 4 } as const;

/** A byte of signs, the first k in the lowest bit, as the highest bits of eight nibbles. */
const SIGNS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let word = 0;
  for (let j = 0; j < 8; j++) word |= ((byte >>> j) & 1) << (4 * j + 3);
  return word;
});
/** Seven signs, and an eighth that makes their number even: ksigns_iq2xs. */
const EVEN_SIGNS = Uint32Array.from({ length: 128 }, (_, seven) => {
  let odd = 0;
  for (let j = 0; j < 7; j++) odd ^= (seven >>> j) & 1;
  return SIGNS[seven | (odd << 7)]!;
});

const withSigns = (magnitudes: readonly number[]): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: 16 }, (_, code) => (code < 8 ? 1 : -1) * (magnitudes[code % 8] ?? 0));
/** 8, 25 and 43 eighths. */
const OF_IQ2 = withSigns([1, 3.125, 5.375]);
/** 4, 12, … 52 and 62 quarters. */
const OF_IQ3_XXS = withSigns([1, 3, 5, 7, 9, 11, 13, 15.5]);
const OF_IQ3_S = withSigns([1, 3, 5, 7, 9, 11, 13, 15]);
/** -1, 0 and 1, and an eighth more or, in the upper half, less. */
const OF_IQ1 = Float32Array.from({ length: 16 }, (_, code) => (code % 8 < 3 ? (code % 8) - 1 + (code < 8 ? 0.125 : -0.125) : 0));

/** The scales of a block: (2 · level + 1) · d. */
function scales({ scale, unit }: Parts, block: number, d: number, levels: readonly number[]): void {
  unit[block] = d;
  for (const [i, level] of levels.entries()) scale[block * levels.length + i] = (2 * level + 1) * d;
}

/** A type whose blocks begin with d. `words`: of block's 256 codes; `levels`: of its scales. */
function type(
  shape: Pick<BlockType, 'bytes' | 'codebook'> & { readonly grid: Grid; readonly groupSize?: number; readonly d?: BlockField },
  words: (view: DataView, at: number, grid: Uint32Array, put: (index: number, word: number) => void) => readonly number[],
): BlockType {
  const { grid: name, d = halfAt(0), ...own } = shape;
  return {
    ...of256,
    ...own,
    fields: { d },
    fill(view, count, parts) {
      const grid = gridOf(name);
      for (let i = 0, offset = 0; i < count; i++, offset += own.bytes) {
        const levels = words(view, offset, grid, (index, word) => {
          parts.codes[32 * i + index] = word;
        });
        scales(parts, i, shape.d ? shape.d.read(view, offset + shape.d.at) : half(view, offset), levels);
      }
    },
  };
}

const range = (length: number): readonly number[] => Array.from({ length }, (_, i) => i);
const [EIGHT, FOUR] = [range(8), range(4)];

/** Block: d, then for each 32 k four bytes of entries and a u32: four times seven signs, and the level. */
export const IQ2_XXS = type({ bytes: 66, grid: 'IQ2_XXS', codebook: OF_IQ2 }, (view, at, grid, put) =>
  EIGHT.map((ib) => {
    const from = at + 2 + 8 * ib;
    const rest = view.getUint32(from + 4, true);
    for (const l of FOUR) put(4 * ib + l, grid[view.getUint8(from + l)]! | EVEN_SIGNS[(rest >>> (7 * l)) & 127]!);
    return rest >>> 28;
  }),
);

/** Block: d, qs: u16[32], an entry of 9 bits and 7 signs; scales[8], a level of 16 k in each nibble. */
export const IQ2_XS = type({ bytes: 74, grid: 'IQ2_XS', codebook: OF_IQ2, groupSize: 16 }, (view, at, grid, put) => {
  for (let i = 0; i < 32; i++) {
    const both = view.getUint16(at + 2 + 2 * i, true);
    put(i, grid[both & 511]! | EVEN_SIGNS[both >>> 9]!);
  }
  return nibblesOf(view, at + 66, 8);
});

/** Block: d, qs[32], signs[32], qh[8], two more bits of four entries in each; scales[8], a level of 16 k in each nibble. */
export const IQ2_S = type({ bytes: 82, grid: 'IQ2_S', codebook: OF_IQ2, groupSize: 16 }, (view, at, grid, put) => {
  for (let i = 0; i < 32; i++) {
    const high = (view.getUint8(at + 66 + (i >>> 2)) >>> (2 * (i & 3))) & 3;
    put(i, grid[view.getUint8(at + 2 + i) | (high << 8)]! | SIGNS[view.getUint8(at + 34 + i)]!);
  }
  return nibblesOf(view, at + 74, 8);
});

/** Block: d, qs[64], entries for 4 k; for each 32 k a u32: four times seven signs, and the level. */
export const IQ3_XXS = type({ bytes: 98, grid: 'IQ3_XXS', codebook: OF_IQ3_XXS }, (view, at, grid, put) =>
  EIGHT.map((ib) => {
    const rest = view.getUint32(at + 66 + 4 * ib, true);
    for (const l of FOUR) {
      const from = at + 2 + 8 * ib + 2 * l;
      const eight = grid[view.getUint8(from)]! | (grid[view.getUint8(from + 1)]! << 16);
      put(4 * ib + l, eight | EVEN_SIGNS[(rest >>> (7 * l)) & 127]!);
    }
    return rest >>> 28;
  }),
);

/** Block: d, qs[64], entries for 4 k; qh[8], a ninth bit of each; signs[32]; scales[4], a level of 32 k in each nibble. */
export const IQ3_S = type({ bytes: 110, grid: 'IQ3_S', codebook: OF_IQ3_S }, (view, at, grid, put) => {
  for (let i = 0; i < 32; i++) {
    const high = view.getUint8(at + 66 + (i >>> 2)) >>> (2 * (i & 3));
    const first = grid[view.getUint8(at + 2 + 2 * i) | ((high & 1) << 8)]!;
    const second = grid[view.getUint8(at + 3 + 2 * i) | ((high & 2) << 7)]!;
    put(i, first | (second << 16) | SIGNS[view.getUint8(at + 74 + i)]!);
  }
  return nibblesOf(view, at + 106, 4);
});

/** An entry of IQ1, and whether its values are an eighth less or more. */
const shifted = (entry: number, less: boolean): number => (less ? entry | SIGNS[255]! : entry);

/** Block: d, qs[32], qh: u16[8]: for 32 k three more bits of four entries, the level in three bits, and the shift. */
export const IQ1_S = type({ bytes: 50, grid: 'IQ1', codebook: OF_IQ1 }, (view, at, grid, put) =>
  EIGHT.map((ib) => {
    const high = view.getUint16(at + 34 + 2 * ib, true);
    for (const l of FOUR) {
      const entry = grid[view.getUint8(at + 2 + 4 * ib + l) | (((high >>> (3 * l)) & 7) << 8)]!;
      put(4 * ib + l, shifted(entry, high > 0x7fff));
    }
    return (high >>> 12) & 7;
  }),
);

/** d of IQ1_M: the highest nibbles of four u16, its lowest first. */
const scatteredHalf = (view: DataView, offset: number): number =>
  fromFloat16Bits(FOUR.reduce((bits, i) => bits | ((view.getUint16(offset + 2 * i, true) >>> 12) << (4 * i)), 0));

/** Block: qs[32], qh[16], for each of two entries three more bits and the shift; scales: u16[4], four levels of 16 k and a part of d in each. */
export const IQ1_M = type(
  { bytes: 56, grid: 'IQ1', codebook: OF_IQ1, groupSize: 16, d: { at: 48, read: scatteredHalf } },
  (view, at, grid, put) => {
    for (let i = 0; i < 32; i++) {
      const high = (view.getUint8(at + 32 + (i >>> 1)) >>> (4 * (i & 1))) & 15;
      put(i, shifted(grid[view.getUint8(at + i) | ((high & 7) << 8)]!, high > 7));
    }
    return range(16).map((i) => (view.getUint16(at + 48 + 2 * (i >>> 2), true) >>> (3 * (i & 3))) & 7);
  },
);

/** The nibbles of some bytes, the low one first. */
function nibblesOf(view: DataView, at: number, bytes: number): number[] {
  return Array.from({ length: 2 * bytes }, (_, i) => (view.getUint8(at + (i >>> 1)) >>> (4 * (i & 1))) & 15);
}
