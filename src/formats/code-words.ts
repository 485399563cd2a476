// Converts codes from files' packings to the words of problem/matrix.ts: pads rows to whole words, spreads codes without gaps over nibbles and bytes, flips signs, swaps
// nibbles, transposes matrices. Functions work on whole words and are independent of formats.
import { type Bits, type CodeBits, codesInWord, largestCode, widthOf, wordsOf } from '../problem/code-width.js';

export interface CodeShape {
  readonly n: number;
  readonly k: number;
  readonly bits: CodeBits;
}

/** (rows, width) bytes → new words, each row padded with zeros to whole words. */
export function padRows(bytes: Uint8Array, rows: number, width: number): Uint32Array<ArrayBuffer> {
  const words = Math.ceil(width / 4);
  const out = new Uint32Array(rows * words);
  const target = new Uint8Array(out.buffer);
  if (width % 4 === 0) target.set(bytes);
  else for (let row = 0; row < rows; row++) target.set(bytes.subarray(row * width, (row + 1) * width), row * words * 4);
  return out;
}

/** Sets codes past K to 0, in place. */
export function clearTail(codes: Uint32Array<ArrayBuffer>, { k, bits }: Pick<CodeShape, 'k' | 'bits'>): Uint32Array<ArrayBuffer> {
  const rest = (k * widthOf(bits).slot) % 32;
  if (rest === 0) return codes;
  const words = wordsOf(k, bits);
  const mask = 2 ** rest - 1;
  for (let i = words - 1; i < codes.length; i += words) codes[i]! &= mask;
  return codes;
}

/** Flips bits in every word, in place: 0x80808080 turns int8 into codes q + 128, 0x88888888 int4 into q + 8. */
export function flip(codes: Uint32Array<ArrayBuffer>, mask: number): Uint32Array<ArrayBuffer> {
  for (let i = 0; i < codes.length; i++) codes[i]! ^= mask;
  return codes;
}

/** Swaps the nibbles of every byte, in place. */
export function swapNibbles(codes: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  for (let i = 0; i < codes.length; i++) {
    const word = codes[i]!;
    codes[i] = ((word >>> 4) & 0x0f0f0f0f) | ((word << 4) & 0xf0f0f0f0);
  }
  return codes;
}

/** (N, K) of two's complement, each row whole bytes → codes q + 2^(bits-1). */
export const codesOfSigned = (bytes: Uint8Array, { n, k, bits }: CodeShape): Uint32Array<ArrayBuffer> =>
  clearTail(flip(padRows(bytes, n, Math.ceil((k * bits) / 8)), widthOf(bits).signs), { k, bits });

/** int8 (N, K) → codes q + 128. */
export const codesOfInt8 = (bytes: Uint8Array, n: number, k: number): Uint32Array<ArrayBuffer> => codesOfSigned(bytes, { n, k, bits: 8 });

/** int8 (N, K) → codes q + 2^(bits-1), or the index of the first value outside [-2^(bits-1), 2^(bits-1) - 1]. */
export function narrowInt8(bytes: Uint8Array, { n, k, bits }: CodeShape): Uint32Array<ArrayBuffer> | number {
  const { inWord, slot, mask, zero } = widthOf(bits);
  const words = wordsOf(k, bits);
  const out = new Uint32Array(n * words);
  for (let row = 0, i = 0; row < n; row++)
    for (let column = 0; column < k; column++, i++) {
      const code = (bytes[i]! + zero) & 255;
      if (code > mask) return i;
      out[row * words + Math.floor(column / inWord)]! |= code << (slot * (column % inWord));
    }
  return out;
}

/**
 * One run of N · K nibbles, without padding between rows → words; unchanged if rows are whole words. Nibble i is in bits 4 · (i mod 8) of
 * word floor(i / 8).
 */
export function splitNibbles(nibbles: Uint32Array<ArrayBuffer>, n: number, k: number): Uint32Array<ArrayBuffer> {
  if (k % 8 === 0) return nibbles;
  const words = wordsOf(k, 4);
  const out = new Uint32Array(n * words);
  for (let row = 0; row < n; row++)
    for (let j = 0; j < words; j++) {
      const from = row * k + 8 * j;
      const shift = 4 * (from & 7);
      const low = nibbles[from >>> 3]! >>> shift;
      out[row * words + j] = shift === 0 ? low : low | ((nibbles[(from >>> 3) + 1] ?? 0) << (32 - shift));
    }
  return clearTail(out, { k, bits: 4 });
}

/** Transposes as many words as a word has codes: code i of word j becomes code j of word i. It swaps halves, quarters, eighths. */
export function transposeBlock(block: Int32Array, bits: Bits): void {
  const { inWord: size } = widthOf(bits);
  for (let step = size / 2, mask = 0xffff; step > 0; step >>= 1, mask ^= mask << (bits * step))
    for (let i = 0; i < size; i = (i + step + 1) & ~step) {
      const other = ((block[i]! >>> (bits * step)) ^ block[i + step]!) & mask;
      block[i + step]! ^= other;
      block[i]! ^= other << (bits * step);
    }
}

/** Packed (rows, columns), each row whole words along columns, → (columns, rows), each row whole words along rows. */
export function transposeCodes(words: Uint32Array, rows: number, columns: number, bits: Bits): Uint32Array<ArrayBuffer> {
  const { inWord } = widthOf(bits);
  const wide = wordsOf(columns, bits);
  const tall = wordsOf(rows, bits);
  const out = new Uint32Array(columns * tall);
  const block = new Int32Array(inWord);
  for (let first = 0; first < tall; first += TILE)
    for (let across = 0; across < wide; across++) {
      const count = Math.min(inWord, columns - across * inWord);
      for (let down = first; down < Math.min(tall, first + TILE); down++) {
        const start = down * inWord;
        for (let i = 0; i < inWord; i++) block[i] = start + i < rows ? words[(start + i) * wide + across]! : 0;
        transposeBlock(block, bits);
        for (let j = 0; j < count; j++) out[(across * inWord + j) * tall + down] = block[j]!;
      }
    }
  return out;
}

/** Low nibbles of four bytes → the low 16 bits; high nibbles are ignored. */
export function gatherNibbles(word: number): number {
  const low = word & 0x0f0f0f0f;
  const pairs = (low | (low >>> 4)) & 0x00ff00ff;
  return (pairs | (pairs >>> 8)) & 0xffff;
}

/** Nibbles of the low 16 bits → low nibbles of four bytes. */
export function spreadNibbles(word: number): number {
  const pairs = ((word & 0xff00) << 8) | (word & 0xff);
  return ((pairs << 4) | pairs) & 0x0f0f0f0f;
}

type List = Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
const TILE = 16; // words in a cache line of 64 bytes

/** Transposes (rows, columns) in tiles, since rows of a power of two would evict each other from the cache. */
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

/** Value `index` of a row of `bits`-bit values from word `base` on, the first in the lowest bits; a value may span two words. */
export function valueAt(words: Uint32Array, { base, index, bits }: { base: number; index: number; bits: number }): number {
  const bit = index * bits;
  const shift = bit & 31;
  const word = base + (bit >>> 5);
  const high = shift + bits > 32 ? words[word + 1]! << (32 - shift) : 0;
  return ((words[word]! >>> shift) | high) & largestCode(bits);
}

/** Rows of codes of `from` bits without gaps → rows of nibbles or bytes, as their width has them. Bits past K are dropped. */
export function widen(
  words: Uint32Array,
  { n, k, from, perRow }: { n: number; k: number; from: CodeBits; perRow: number },
): Uint32Array<ArrayBuffer> {
  const { inWord, mask, slot } = widthOf(from);
  const outRow = wordsOf(k, from);
  const out = new Uint32Array(n * outRow);
  for (let row = 0; row < n; row++)
    for (let w = 0; w < outRow; w++) {
      // The codes of a word have at most 24 bits, in one word of the file or across two; those of 4 and 8 bits fill one.
      const bit = w * inWord * from;
      const at = row * perRow + (bit >>> 5);
      const shift = bit & 31;
      const last = shift + inWord * from > 32 && (bit >>> 5) + 1 < perRow;
      const run = (words[at]! >>> shift) | (last ? words[at + 1]! << (32 - shift) : 0);
      const count = Math.min(inWord, k - w * inWord);
      let word = 0;
      for (let i = 0; i < count; i++) word |= ((run >>> (i * from)) & mask) << (slot * i);
      out[row * outRow + w] = word;
    }
  return out;
}

/**
 * Rows of `perRow` words that hold floor(32 / from) codes each, the first in the lowest bits → rows of nibbles or bytes, as the width `bits`
 * has them. Codes past K are dropped.
 */
export function spreadWords(
  words: Uint32Array,
  { n, k, from, perRow, bits }: CodeShape & { readonly from: number; readonly perRow: number },
): Uint32Array<ArrayBuffer> {
  const { inWord, slot } = widthOf(bits);
  const perWord = codesInWord(from);
  const outRow = wordsOf(k, bits);
  const mask = largestCode(from);
  const out = new Uint32Array(n * outRow);
  for (let row = 0; row < n; row++)
    for (let column = 0, word = row * perRow, shift = 0; column < k; column++) {
      out[row * outRow + Math.floor(column / inWord)]! |= ((words[word]! >>> shift) & mask) << (slot * (column % inWord));
      shift += from;
      if (shift === from * perWord) {
        shift = 0;
        word++;
      }
    }
  return out;
}

/** Cuts rows of `perRow` words to the words of K codes and clears bits past K. Returns the same array if nothing changes. */
export function trim(
  words: Uint32Array<ArrayBuffer>,
  { n, k, bits, perRow }: CodeShape & { readonly perRow: number },
): Uint32Array<ArrayBuffer> {
  const inRow = wordsOf(k, bits);
  if (perRow === inRow) return clearTail(words, { k, bits });
  const out = new Uint32Array(n * inRow);
  for (let row = 0; row < n; row++) out.set(words.subarray(row * perRow, row * perRow + inRow), row * inRow);
  return clearTail(out, { k, bits });
}
