// GGUF's types with blocks of 32 k and one scale a block, and NVFP4, of 64 k and four. Layouts: block_q4_0 and similar structs of ggml-common.h, and dequantize_row_* of
// ggml-quants.c. Byte j of qs has code j in its low nibble and code j + 16 in its high nibble, except in Q8_0.
//
// For each type dequantize(matrix) equals ggml's float32 result in every bit: a float16 has 11 bits and a code at most 8, so that d · q is
// exact in float32; adding a minimum rounds once, here and in ggml.
import { widthOf } from '../problem/code-width.js';
import { E2M1_VALUES, E4M3_VALUES } from '../problem/weight-format.js';
import { type BlockField, type BlockType, half, halfAt, LOW, nibbles } from './gguf-words.js';

const d = halfAt(0);
const m = halfAt(2);
const of32 = { blockSize: 32, groupSize: 32, scaleDtype: 'float16', hasMinimum: false } as const;

/** W = d · (q - 8). Block: d, qs[16]. Equal to the format's definition. */
export const Q4_0: BlockType = {
  ...of32,
  bytes: 18,
  bits: 4,
  fields: { d },
  fill(view, count, { codes, scale }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 18) {
      scale[i] = half(view, offset);
      nibbles(view, offset + 2, codes, 4 * i, 2);
    }
  },
};

/** W = d · q + m: minimum = m. Block: d, m, qs[16]. Equal to the format's definition, in which one rounding is. */
export const Q4_1: BlockType = {
  ...of32,
  bytes: 20,
  bits: 4,
  hasMinimum: true,
  fields: { d, m },
  fill(view, count, { codes, scale, minimum }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 20) {
      scale[i] = half(view, offset);
      minimum[i] = half(view, offset + 2);
      nibbles(view, offset + 4, codes, 4 * i, 2);
    }
  },
};

/** Bits 0 … 3 of `bits` as bit 4 of four bytes. */
const fifth = (bits: number): number => ((bits & 15) * 0x02040810) & 0x10101010;

/** qh (bit j for code j) and qs[16] → 32 codes of 5 bits. */
function fives(view: DataView, offset: number, codes: Uint32Array, word: number): void {
  const high = view.getUint32(offset, true);
  for (let i = 0; i < 4; i++) {
    const low = view.getUint32(offset + 4 + 4 * i, true);
    codes[word + i] = (low & LOW) | fifth(high >>> (4 * i));
    codes[word + 4 + i] = ((low >>> 4) & LOW) | fifth(high >>> (16 + 4 * i));
  }
}

/** W = d · (q - 16), q of 5 bits. Block: d, qh[4], qs[16]. Equal to the format's definition. */
export const Q5_0: BlockType = {
  ...of32,
  bytes: 22,
  bits: 5,
  fields: { d },
  fill(view, count, { codes, scale }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 22) {
      scale[i] = half(view, offset);
      fives(view, offset + 2, codes, 8 * i);
    }
  },
};

/** W = d · q + m, q of 5 bits: minimum = m. Block: d, m, qh[4], qs[16]. Equal to the format's definition, in which one rounding is. */
export const Q5_1: BlockType = {
  ...of32,
  bytes: 24,
  bits: 5,
  hasMinimum: true,
  fields: { d, m },
  fill(view, count, { codes, scale, minimum }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 24) {
      scale[i] = half(view, offset);
      minimum[i] = half(view, offset + 2);
      fives(view, offset + 4, codes, 8 * i);
    }
  },
};

const SIGNS = widthOf(8).signs;

/** W = d · q, q of 8 bits with a sign: code = q + 128. Block: d, qs[32] in order. Equal to the format's definition. */
export const Q8_0: BlockType = {
  ...of32,
  bytes: 34,
  bits: 8,
  fields: { d },
  fill(view, count, { codes, scale }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 34) {
      scale[i] = half(view, offset);
      for (let word = 0; word < 8; word++) codes[8 * i + word] = view.getUint32(offset + 2 + 4 * word, true) ^ SIGNS;
    }
  },
};

/** kvalues_iq4nl of ggml-common.h. */
export const iq4Values = Float32Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** W = d · kvalues_iq4nl[q]: a codebook. Block: d, qs[16]. Equal to the format's definition. */
export const IQ4_NL: BlockType = { ...Q4_0, codebook: iq4Values };

/** Values of E2M1: a sign, two bits of exponent with a bias of 1, one of fraction (OCP Microscaling Formats 1.0). As in ggml, -0 is 0. */

/** E8M0: 2^(e - 127), and NaN for 255 (OCP Microscaling Formats 1.0). */
const POWERS = Float32Array.from({ length: 256 }, (_, e) => (e === 255 ? Number.NaN : 2 ** (e - 127)));
const power = (view: DataView, offset: number): number => POWERS[view.getUint8(offset)]!;

/**
 * W = 2^(e - 127) · E2M1[q]: a codebook. Block: e, qs[16]. Equal to the format's definition (ggml doubles the values and halves the scale),
 * down to the scales of e = 0 that are no normal float32 and that a GPU may take as 0. ggml takes e = 255 for 2^128; the standard says NaN:
 * refused.
 */
export const MXFP4: BlockType = {
  ...of32,
  bytes: 17,
  bits: 4,
  scaleDtype: 'float32',
  scaleKind: 'e8m0',
  codebook: E2M1_VALUES,
  fields: { e: { at: 0, read: power } },
  fill(view, count, { codes, scale }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 17) {
      scale[i] = power(view, offset);
      nibbles(view, offset + 1, codes, 4 * i, 2);
    }
  },
};

/** A scale of E4M3 without a sign; NaN for a byte that is none. */
const scaleByte = (view: DataView, offset: number): number => {
  const byte = view.getUint8(offset);
  return byte < 127 ? E4M3_VALUES[byte]! : Number.NaN;
};
const scaleField = (index: number): BlockField => ({ at: index, read: scaleByte });

/**
 * W = E4M3 · E2M1[q], a scale for 16 k: a codebook. Block: d[4], qs[32], of which 8 bytes are 16 k as in Q4_0. Equal to the format's definition
 * (ggml doubles the values and halves the scales). ggml takes the byte 127 for 0; the standard says NaN: refused, as are bytes with a sign. A
 * tensor NAME.scale beside it is another factor, with which findLayers refuses the layer.
 */
export const NVFP4: BlockType = {
  ...of32,
  blockSize: 64,
  groupSize: 16,
  bytes: 36,
  bits: 4,
  scaleDtype: 'float32',
  scaleKind: 'e4m3',
  codebook: E2M1_VALUES,
  fields: { 'd[0]': scaleField(0), 'd[1]': scaleField(1), 'd[2]': scaleField(2), 'd[3]': scaleField(3) },
  fill(view, count, { codes, scale }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 36)
      for (let s = 0; s < 4; s++) {
        scale[4 * i + s] = scaleByte(view, offset + s);
        nibbles(view, offset + 4 + 8 * s, codes, 8 * i + 2 * s, 1);
      }
  },
};
