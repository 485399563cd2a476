// GGUF's types with blocks of 256 k: groups of 16 or 32 k have scales of 4, 6 or 8 bits, in units of the block's float16. Layouts:
// block_q4_K and similar structs of ggml-common.h, and dequantize_row_* of ggml-quants.c.
//
// A scale is the product of its two levels, which are kept beside: d · sc has at most 18 bits and is exact in float32. For each type
// dequantize(matrix) equals ggml's float32 result in every bit: d · sc · q has at most 23 bits and is exact; subtracting a minimum rounds once,
// here and in ggml.
import { iq4Values } from './gguf-32.js';
import { type BlockType, half, halfAt, LOW, nibbles, type Parts, weave } from './gguf-words.js';

const of256 = { blockSize: 256, scaleDtype: 'float32', hasMinimum: false } as const;
const PAIRS = 0x03030303;

/**
 * W = d · sc · q - dmin · m, q of 2 bits: minimum = -dmin · m. Equal to the format's definition, in which one rounding is.
 * Block: scales[16] (sc in the low nibble, m in the high one, for 16 k each), qs[64], d, dmin.
 * Bits 2j and 2j + 1 of byte l of 32 bytes are code 32j + l of 128.
 */
export const Q2_K: BlockType = {
  ...of256,
  bytes: 84,
  bits: 2,
  scaleKind: 'uint4',
  groupSize: 16,
  hasMinimum: true,
  fields: { d: halfAt(80), dmin: halfAt(82) },
  fill(view, count, { codes, scale, minimum, unit, minimumUnit }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 84) {
      const d = half(view, offset + 80);
      const less = -half(view, offset + 82);
      unit[i] = d;
      minimumUnit[i] = less;
      for (let g = 0; g < 16; g++) {
        const both = view.getUint8(offset + g);
        scale[16 * i + g] = d * (both & 15);
        minimum[16 * i + g] = less * (both >>> 4);
      }
      for (let p = 0; p < 8; p++) {
        const a = view.getUint32(offset + 16 + 8 * p, true);
        const b = view.getUint32(offset + 20 + 8 * p, true);
        const word = 32 * i + 16 * (p >> 2) + (p & 3);
        for (let j = 0; j < 4; j++) codes[word + 4 * j] = weave((a >>> (2 * j)) & PAIRS, (b >>> (2 * j)) & PAIRS);
      }
    }
  },
};

/**
 * W = d · (sc - 32) · (q - 4), q of 3 bits: scale = d · (sc - 32). Equal to the format's definition.
 * Block: hmask[32] (bit 4h + j of byte l: the third bit of code 128h + 32j + l), qs[64] (the two others, as in Q2_K), scales[12], d.
 * sc of 6 bits: the low four in the nibbles of scales[0 … 7], low nibbles first; the high two of sc[4j + i] at bit 2j of scales[8 + i].
 */
export const Q3_K: BlockType = {
  ...of256,
  bytes: 110,
  bits: 3,
  scaleKind: 'int8',
  groupSize: 16,
  fields: { d: halfAt(108) },
  fill(view, count, { codes, scale, unit }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 110) {
      const d = half(view, offset + 108);
      unit[i] = d;
      const top = view.getUint32(offset + 104, true);
      for (let j = 0; j < 4; j++) {
        const low = view.getUint32(offset + 96 + 4 * (j & 1), true) >>> (4 * (j >> 1));
        const four = (low & LOW) | (((top >>> (2 * j)) & PAIRS) << 4);
        for (let g = 0; g < 4; g++) scale[16 * i + 4 * j + g] = d * (((four >>> (8 * g)) & 63) - 32);
      }
      for (let p = 0; p < 8; p++) {
        const a = view.getUint32(offset + 32 + 8 * p, true);
        const b = view.getUint32(offset + 36 + 8 * p, true);
        const high = 4 * (p >> 2);
        const aHigh = view.getUint32(offset + 8 * (p & 3), true) >>> high;
        const bHigh = view.getUint32(offset + 8 * (p & 3) + 4, true) >>> high;
        const word = 32 * i + 16 * (p >> 2) + (p & 3);
        for (let j = 0; j < 4; j++) {
          const first = ((a >>> (2 * j)) & PAIRS) | (((aHigh >>> j) & 0x01010101) << 2);
          const second = ((b >>> (2 * j)) & PAIRS) | (((bHigh >>> j) & 0x01010101) << 2);
          codes[word + 4 * j] = weave(first, second);
        }
      }
    }
  },
};

/**
 * d, dmin and, after them, eight sc and eight m of 6 bits in 12 bytes b: sc[j] and m[j] are the low six bits of b[j] and b[j + 4]; sc[j + 4] and m[j + 4] have the
 * nibbles of b[j + 8], the low one and the high one, under the high two bits of b[j] and b[j + 4].
 */
function sixes(view: DataView, offset: number, i: number, { scale, minimum, unit, minimumUnit }: Parts): void {
  const d = half(view, offset);
  const less = -half(view, offset + 2);
  const group = 8 * i;
  unit[i] = d;
  minimumUnit[i] = less;
  const first = view.getUint32(offset + 4, true);
  const second = view.getUint32(offset + 8, true);
  const third = view.getUint32(offset + 12, true);
  const sc = (third & LOW) | ((first >>> 2) & 0x30303030);
  const m = ((third >>> 4) & LOW) | ((second >>> 2) & 0x30303030);
  for (let j = 0; j < 4; j++) {
    const shift = 8 * j;
    scale[group + j] = d * ((first >>> shift) & 63);
    scale[group + 4 + j] = d * ((sc >>> shift) & 63);
    minimum[group + j] = less * ((second >>> shift) & 63);
    minimum[group + 4 + j] = less * ((m >>> shift) & 63);
  }
}

/**
 * W = d · sc · q - dmin · m, q of 4 bits: minimum = -dmin · m. Equal to the format's definition, in which one rounding is.
 * Block: d, dmin, scales[12] for 32 k each, qs[128]: of each 32 bytes the low nibbles are 32 codes, and the high ones the next 32.
 */
export const Q4_K: BlockType = {
  ...of256,
  bytes: 144,
  bits: 4,
  scaleKind: 'uint8',
  groupSize: 32,
  hasMinimum: true,
  fields: { d: halfAt(0), dmin: halfAt(2) },
  fill(view, count, parts) {
    for (let i = 0, offset = 0; i < count; i++, offset += 144) {
      sixes(view, offset, i, parts);
      for (let c = 0; c < 4; c++) nibbles(view, offset + 16 + 32 * c, parts.codes, 32 * i + 8 * c, 4);
    }
  },
};

/** Word w of qh and the words w of the four times 32 bytes of qs → words w of codes of 8 bits. */
function fives(view: DataView, offset: number, codes: Uint32Array, word: number): void {
  const high = view.getUint32(offset + 16, true);
  for (let c = 0; c < 4; c++) {
    const low = view.getUint32(offset + 48 + 32 * c, true);
    codes[word + 16 * c] = (low & LOW) | (((high >>> (2 * c)) & 0x01010101) << 4);
    codes[word + 16 * c + 8] = ((low >>> 4) & LOW) | (((high >>> (2 * c + 1)) & 0x01010101) << 4);
  }
}

/**
 * W = d · sc · q - dmin · m, q of 5 bits: minimum = -dmin · m. Equal to the format's definition, in which one rounding is.
 * Block: d, dmin, scales[12] as in Q4_K, qh[32] (bit j of byte l: the fifth bit of code 32j + l), qs[128] as in Q4_K.
 */
export const Q5_K: BlockType = {
  ...of256,
  bytes: 176,
  bits: 5,
  scaleKind: 'uint8',
  groupSize: 32,
  hasMinimum: true,
  fields: { d: halfAt(0), dmin: halfAt(2) },
  fill(view, count, parts) {
    for (let i = 0, offset = 0; i < count; i++, offset += 176) {
      sixes(view, offset, i, parts);
      for (let w = 0; w < 8; w++) fives(view, offset + 4 * w, parts.codes, 64 * i + w);
    }
  },
};

/**
 * W = d · sc · (q - 32), q of 6 bits, sc of 8 bits with a sign: scale = d · sc. Equal to the format's
 * definition.
 * Block: ql[128], qh[64], scales[16] for 16 k each, d. Of each 128 codes, 64 bytes of ql hold the low nibbles: code l and l + 32 in the low
 * ones, l + 64 and l + 96 in the high ones; bits 2j and 2j + 1 of byte l of 32 bytes of qh are the high bits of code 32j + l.
 */
export const Q6_K: BlockType = {
  ...of256,
  bytes: 210,
  bits: 6,
  scaleKind: 'int8',
  groupSize: 16,
  fields: { d: halfAt(208) },
  fill(view, count, { codes, scale, unit }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 210) {
      const d = half(view, offset + 208);
      unit[i] = d;
      for (let g = 0; g < 16; g++) scale[16 * i + g] = d * view.getInt8(offset + 192 + g);
      for (let w = 0; w < 16; w++) {
        const side = w >> 3; // of 128
        const at = offset + 64 * side + 4 * (w & 7);
        const near = view.getUint32(at, true);
        const far = view.getUint32(at + 32, true);
        const high = view.getUint32(offset + 128 + 4 * w, true);
        const word = 64 * i + 32 * side + (w & 7);
        codes[word] = (near & LOW) | ((high & PAIRS) << 4);
        codes[word + 8] = (far & LOW) | (((high >>> 2) & PAIRS) << 4);
        codes[word + 16] = ((near >>> 4) & LOW) | (((high >>> 4) & PAIRS) << 4);
        codes[word + 24] = ((far >>> 4) & LOW) | (((high >>> 6) & PAIRS) << 4);
      }
    }
  },
};

/**
 * W = d · (sc - 32) · kvalues_iq4nl[q]: a codebook, scale = d · (sc - 32). Equal to the format's definition.
 * Block: d, scales_h of 16 bits, scales_l[4], qs[128]. sc[j] of 6 bits for 32 k each: nibble j of scales_l under bits 2j and 2j + 1 of
 * scales_h. Each 16 bytes of qs as in Q4_0.
 */
export const IQ4_XS: BlockType = {
  ...of256,
  bytes: 136,
  bits: 4,
  scaleKind: 'int8',
  groupSize: 32,
  codebook: iq4Values,
  fields: { d: halfAt(0) },
  fill(view, count, { codes, scale, unit }) {
    for (let i = 0, offset = 0; i < count; i++, offset += 136) {
      const d = half(view, offset);
      unit[i] = d;
      const high = view.getUint16(offset + 2, true);
      const low = view.getUint32(offset + 4, true);
      for (let j = 0; j < 8; j++) {
        scale[8 * i + j] = d * ((((low >>> (4 * j)) & 15) | (((high >>> (2 * j)) & 3) << 4)) - 32);
        nibbles(view, offset + 8 + 16 * j, codes, 32 * i + 4 * j, 2);
      }
    }
  },
};
