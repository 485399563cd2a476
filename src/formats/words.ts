// Whole words of codes: turned from columns into rows, widened from 2 or 3 bits, read one by one. Pure; knows no format.
import type { QuantizedMatrix } from '../problem/matrix.js';
import { wordsInRow } from '../problem/matrix.js';

type List = Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
const TILE = 16; // Words in a cache line of 64 bytes.

/** (rows, columns) → (columns, rows). In tiles, since rows of a power of two would push each other out of the cache. */
export function transpose<T extends List>(values: T, [rows, columns]: readonly [number, number]): T {
  const out = new (values.constructor as new (length: number) => T)(values.length);
  for (let r0 = 0; r0 < rows; r0 += TILE) {
    const r1 = Math.min(rows, r0 + TILE);
    for (let c0 = 0; c0 < columns; c0 += TILE) {
      const c1 = Math.min(columns, c0 + TILE);
      for (let c = c0; c < c1; c++) for (let r = r0, to = c * rows + r0; r < r1; r++, to++) out[to] = values[r * columns + c]!;
    }
  }
  return out;
}

/** Value `index` of a row of values of `bits`, the first in the lowest bits of words that start at `base`; it may lie across two words. */
export function valueAt(words: Uint32Array, { base, index, bits }: { base: number; index: number; bits: number }): number {
  const bit = index * bits;
  const shift = bit & 31;
  const word = base + (bit >>> 5);
  const high = shift + bits > 32 ? words[word + 1]! << (32 - shift) : 0;
  return ((words[word]! >>> shift) | high) & (2 ** bits - 1);
}

/** Rows of `from` bits → rows of 4 bits, each code plus `add`. Bits past K are dropped. */
export function widen(
  words: Uint32Array,
  { n, k, from, perRow, add = 0 }: { n: number; k: number; from: 2 | 3; perRow: number; add?: number },
): Uint32Array<ArrayBuffer> {
  const outRow = wordsInRow(k, 4);
  const out = new Uint32Array(n * outRow);
  const mask = 2 ** from - 1;
  for (let row = 0; row < n; row++)
    for (let w = 0; w < outRow; w++) {
      // Eight codes lie in at most 24 bits: in one word, or across two.
      const bit = w * 8 * from;
      const at = row * perRow + (bit >>> 5);
      const shift = bit & 31;
      const last = shift + 8 * from > 32 && (bit >>> 5) + 1 < perRow;
      const run = (words[at]! >>> shift) | (last ? words[at + 1]! << (32 - shift) : 0);
      const count = Math.min(8, k - w * 8);
      let word = 0;
      for (let i = 0; i < count; i++) word |= (((run >>> (i * from)) & mask) + add) << (4 * i);
      out[row * outRow + w] = word;
    }
  return out;
}

/** Rows of `perRow` words → rows of just the words of K codes, whose bits past K are 0. The same array if nothing is to be done. */
export function trim(
  words: Uint32Array<ArrayBuffer>,
  { n, k, bits, perRow }: Pick<QuantizedMatrix, 'n' | 'k' | 'bits'> & { readonly perRow: number },
): Uint32Array<ArrayBuffer> {
  const inRow = wordsInRow(k, bits);
  const used = (k * bits) % 32;
  if (perRow === inRow && used === 0) return words;
  const out = new Uint32Array(n * inRow);
  const mask = used === 0 ? 0xffffffff : 2 ** used - 1;
  for (let row = 0; row < n; row++) {
    out.set(words.subarray(row * perRow, row * perRow + inRow), row * inRow);
    out[(row + 1) * inRow - 1]! &= mask;
  }
  return out;
}
