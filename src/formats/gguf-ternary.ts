// GGUF's types of one and two bits with one scale a block, held as codes of 2 bits. Layouts: block_tq1_0, block_tq2_0, block_q1_0 and block_q2_0
// of ggml-common.h, and dequantize_row_* of ggml-quants.c.
//
// W = d · (q - 1) = -d · ((3 - q) - 2): codes are inverted and scales negated, so that no zero points are needed. This is also right for a q
// of 3, which TQ2_0 can hold and ggml does not make. Both equal ggml's float32 result: d · (q - 1) is exact.
import { type BlockType, half, halfAt } from './gguf-words.js';

const ternary = { blockSize: 256, groupSize: 256, scaleDtype: 'float16', hasMinimum: false, bits: 2 } as const;

/** Puts the code of q at place `index` of the codes from word `word` on. */
const put = (codes: Uint32Array, word: number, index: number, q: number): void => {
  codes[word + (index >>> 3)]! |= (3 - q) << (4 * (index & 7));
};

/**
 * Block: qs[48], qh[4], d. A byte holds five q, in base 3: its value over 256 is 0.q0 q1 q2 q3 q4, rounded up. Of the first 32 bytes of qs,
 * digit n of byte m is code 32n + m; of the others, digit n of byte m is code 160 + 16n + m; digit n of byte m of qh is code 240 + 4n + m.
 */
export const TQ1_0: BlockType = {
  ...ternary,
  bytes: 54,
  fields: { d: halfAt(52) },
  fill(view, count, { codes, scale }) {
    const digits = (offset: number, bytes: number, many: number, word: number, first: number): void => {
      for (let m = 0; m < bytes; m++)
        for (let n = 0, rest = view.getUint8(offset + m); n < many; n++) {
          put(codes, word, first + bytes * n + m, (rest * 3) >>> 8);
          rest = (rest * 3) & 255;
        }
    };
    for (let i = 0, offset = 0; i < count; i++, offset += 54) {
      scale[i] = -half(view, offset + 52);
      digits(offset, 32, 5, 32 * i, 0);
      digits(offset + 32, 16, 5, 32 * i, 160);
      digits(offset + 48, 4, 4, 32 * i, 240);
    }
  },
};

/** Block: qs[64], d. Bits 2j and 2j + 1 of byte l of 32 bytes are code 32j + l of 128. */
export const TQ2_0: BlockType = {
  ...ternary,
  bytes: 66,
  fields: { d: halfAt(64) },
  fill(view, count, { codes, scale }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 66) {
      scale[i] = -half(view, offset + 64);
      for (let byte = 0; byte < 64; byte++) {
        const four = view.getUint8(offset + byte);
        for (let j = 0; j < 4; j++) put(codes, 32 * i, 128 * (byte >>> 5) + 32 * j + (byte & 31), (four >>> (2 * j)) & 3);
      }
    }
  },
};

/** W = d or -d. Block: d, qs[16]; bit j of qs, the lowest first, is 1 for d. Codes are 3 and 1, which are 1 and -1. */
export const Q1_0: BlockType = {
  ...ternary,
  blockSize: 128,
  groupSize: 128,
  bytes: 18,
  fields: { d: halfAt(0) },
  fill(view, count, { codes, scale }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 18) {
      scale[i] = half(view, offset);
      for (let byte = 0; byte < 16; byte++) {
        const bits = view.getUint8(offset + 2 + byte);
        for (let j = 0; j < 8; j++) codes[16 * i + byte]! |= (1 + 2 * ((bits >>> j) & 1)) << (4 * j);
      }
    }
  },
};

/** W = d · (q - 1), q of 2 bits, the first in the lowest. Block: d, qs[16]. */
export const Q2_0: BlockType = {
  ...ternary,
  blockSize: 64,
  groupSize: 64,
  bytes: 18,
  fields: { d: halfAt(0) },
  fill(view, count, { codes, scale }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 18) {
      scale[i] = -half(view, offset);
      for (let byte = 0; byte < 16; byte++) {
        const four = view.getUint8(offset + 2 + byte);
        for (let j = 0; j < 4; j++) put(codes, 8 * i, 4 * byte + j, (four >>> (2 * j)) & 3);
      }
    }
  },
};
