// The layout of x as integer codes (shaders/lib/quantized.wgsl, docs/format.md), and the error of the codes. Pure.
import type { Bits } from './code-width.js';

/** k in a block. Each block has one step. */
export const BLOCK = 32;
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

/** The order of a block's codes for each width of weights: the unit of the step, the byte of code j, and its sign. */
const ORDERS: Readonly<Record<Bits, { readonly unit: number; byteOf(j: number): number; signOf(j: number): number }>> = {
  // Of each 8, the even ones first, negated.
  4: { unit: 16, byteOf: (j) => j - (j % 8) + 4 * (j % 2) + ((j % 8) >> 1), signOf: (j) => (j % 2 === 1 ? 1 : -1) },
  8: { unit: 1, byteOf: (j) => j, signOf: () => 1 },
};

/** The words of `quantizeRows` as numbers. */
export function decodeQuantized(
  words: Int32Array,
  { m, k, bits, digits }: { readonly m: number; readonly k: number; readonly bits: Bits; readonly digits: Digits },
): QuantizedNumbers {
  const bytes = new Int8Array(words.buffer, words.byteOffset, words.byteLength);
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  const order = ORDERS[bits];
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
