// The layout of x as integer codes (shaders/lib/quantized.wgsl, docs/format.md), and the error of the codes. Pure.
import { BLOCK, type CodeBits } from './code-width.js';

/** int8 digits of an x. The second digit holds the rounding error of the first. */
export type Digits = 1 | 2;

const UNIT = 2 ** -24;
/** |x - its codes| as a share of the largest |x| of its block; derived in docs/numerics.md. */
export const ROUNDING: Readonly<Record<Digits, number>> = {
  1: (0.5 / 127) * (1 + 2 ** -15) + 8 * UNIT,
  2: (0.5 / 127 / 254) * (1 + 2 ** -15) + 2 * UNIT,
};

/** Blocks in a row of k. */
export const blocksOf = (k: number): number => Math.ceil(k / BLOCK);
/** u32s of a block: 8 of codes for each digit, and 4 more. */
export const blockWords = (digits: Digits): number => 4 + 8 * digits;
/** u32s from one row to the next: a multiple of 256 bytes, so that any row may start a binding. */
export const pitchWords = (k: number, digits: Digits): number => Math.ceil((blocksOf(k) * blockWords(digits)) / 64) * 64;

/** Codes and their steps, as numbers. */
export interface QuantizedNumbers {
  /** (digits, M, K): x is about step · (codes of digit 0 + codes of digit 1 / 254). */
  readonly codes: Int8Array;
  /** (M, blocks), NaN where x is not finite. */
  readonly step: Float32Array;
  /** (M, blocks): step times the sum of the block's codes. */
  readonly sum: Float32Array;
}

/** How codes lie in a block for weights of a width: the unit of the step, the byte of code j, and its sign. */
interface Order {
  readonly unit: number;
  byteOf(j: number): number;
  signOf(j: number): number;
}
/** Byte planes of words of `codes` codes: those of every `parts`-th k follow each other. */
const planes = (codes: number, parts: number): Order => ({
  unit: 1,
  byteOf: (j) => j - (j % codes) + 4 * (j % parts) + Math.floor((j % codes) / parts),
  signOf: () => 1,
});
const ORDERS: Readonly<Record<CodeBits, Order>> = {
  2: planes(16, 4),
  3: planes(16, 4),
  // The even ones are negated.
  4: { ...planes(8, 2), unit: 16, signOf: (j) => (j % 2 === 1 ? 1 : -1) },
  5: planes(8, 2),
  6: planes(8, 2),
  8: planes(4, 1),
};

/** The words of `quantizeRows` as numbers. */
export function decodeQuantized(
  words: Int32Array,
  { m, k, held, digits }: { readonly m: number; readonly k: number; readonly held: CodeBits; readonly digits: Digits },
): QuantizedNumbers {
  const bytes = new Int8Array(words.buffer, words.byteOffset, words.byteLength);
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  const order = ORDERS[held];
  const blocks = blocksOf(k);
  const codes = new Int8Array(digits * m * k);
  const [step, sum] = [new Float32Array(m * blocks), new Float32Array(m * blocks)];
  const blockAt = (row: number, block: number): number => row * pitchWords(k, digits) + block * blockWords(digits);
  for (let row = 0; row < m; row++) {
    for (let block = 0; block < blocks; block++) {
      const at = blockAt(row, block);
      step[row * blocks + block] = floats[at + 8]! * order.unit;
      sum[row * blocks + block] = floats[at + 10]!;
    }
    for (let digit = 0; digit < digits; digit++)
      for (let i = 0; i < k; i++) {
        const from = 4 * (blockAt(row, Math.floor(i / BLOCK)) + 12 * digit);
        const j = i % BLOCK;
        codes[(digit * m + row) * k + i] = order.signOf(j) * bytes[from + order.byteOf(j)]!;
      }
  }
  return { codes, step, sum };
}
