// One block of each type, worked by hand from the structs block_q4_0 … block_iq4_xs and block_mxfp4 of ggml-common.h and the loops of
// dequantize_row_* in ggml-quants.c. Bytes that are not listed are 0.
import { expect, test } from 'vitest';
import { ggufTypes, importGguf } from '../../../src/formats/gguf-blocks.js';
import { dequantize } from '../../../src/problem/matrix.js';

type Name = keyof typeof ggufTypes;
interface Worked {
  readonly type: Name;
  /** Offset → bytes from there. */
  readonly bytes: Readonly<Record<number, readonly number[]>>;
  /** Runs [first, end, value], later ones over earlier ones; 0 elsewhere. */
  readonly weights: readonly (readonly [number, number, number])[];
  /** Words of codes that are worked out too, by index. */
  readonly words: Readonly<Record<number, number>>;
}

// float16: 1 = 3c00, 0.5 = 3800, 0.25 = 3400, 2 = 4000, 10 = 4900, -1 = bc00, -0.125 = b000.
const [ONE, HALF, QUARTER, TWO, TEN, MINUS_ONE, MINUS_EIGHTH] = [
  [0x00, 0x3c],
  [0x00, 0x38],
  [0x00, 0x34],
  [0x00, 0x40],
  [0x00, 0x49],
  [0x00, 0xbc],
  [0x00, 0xb0],
] as const;

// Scales of Q4_K and Q5_K, from byte 4 on: sc[0] = 5, sc[1] = 1; m[0] = 2; sc[4] = 0xa + 16 · 3 = 58 (3 from byte 0), m[4] = 7 + 16 · 2 = 39
// (2 from byte 4); sc[7] = 1 + 16 · 1 = 17 (1 from byte 3).
const SIXES = [0xc5, 0x01, 0, 0x40, 0x82, 0, 0, 0, 0x7a, 0, 0, 0x01];

const worked: readonly Worked[] = [
  {
    // 0xff of qs[0]: 3 · 255 = 765 = 2 · 256 + 253, so q = 2; 3 · 253 = 759, 2 again: five times 2. 0x80 of qs[33]: 384 = 256 + 128, q = 1
    // for ever. qh[3] = 0x56 = 86: 258 = 256 + 2, q = 1, then 6, 18 and 54, q = 0.
    type: 'TQ1_0', // d · (q - 1)
    bytes: { 0: [0xff], 33: [0x80], 51: [0x56], 52: HALF },
    weights: [
      [0, 256, -0.5],
      ...[0, 1, 2, 3, 4].map((n) => [32 * n, 32 * n + 1, 0.5] as const),
      ...[0, 1, 2, 3, 4].map((n) => [160 + 16 * n + 1, 160 + 16 * n + 2, 0] as const),
      [243, 244, 0],
    ],
    words: { 0: 0x33333331, 20: 0x33333323, 30: 0x33332333 },
  },
  {
    type: 'TQ2_0', // d · (q - 1); 0x64 = 1 2 1 0 from the top: q of 0, 32, 64, 96 after byte 0 are 0, 1, 2, 1
    bytes: { 0: [0x64], 63: [0xc0], 64: TWO },
    weights: [
      [0, 256, -2],
      [32, 33, 0],
      [64, 65, 2],
      [96, 97, 0],
      [255, 256, 4], // q = 3
    ],
    words: { 0: 0x33333333, 4: 0x33333332, 8: 0x33333331, 31: 0x03333333 },
  },
  {
    type: 'Q4_0', // d · (q - 8)
    bytes: { 0: HALF, 2: [0xf1], 17: [0x70] },
    weights: [
      [0, 32, -4],
      [0, 1, -3.5], // q = 1
      [16, 17, 3.5], // q = 15
      [31, 32, -0.5], // q = 7
    ],
    words: { 0: 0x00000001, 1: 0, 2: 0x0000000f, 3: 0x70000000 },
  },
  {
    type: 'Q4_1', // d · q + m
    bytes: { 0: TWO, 2: MINUS_ONE, 7: [0xa5] },
    weights: [
      [0, 32, -1],
      [3, 4, 9], // 2 · 5 - 1
      [19, 20, 19], // 2 · 10 - 1
    ],
    words: { 0: 0x00005000, 1: 0, 2: 0x0000a000, 3: 0 },
  },
  {
    type: 'Q5_0', // d · (q - 16); qh has bits 0, 17 and 31
    bytes: { 0: ONE, 2: [0x01, 0, 0x02, 0x80], 6: [0x02], 21: [0x30] },
    weights: [
      [0, 32, -16],
      [0, 1, 2], // q = 2 + 16
      [17, 18, 0], // q = 16
      [31, 32, 3], // q = 3 + 16
    ],
    words: { 0: 0x00000012, 4: 0x00001000, 7: 0x13000000 },
  },
  {
    type: 'Q5_1', // d · q + m; qh has bit 16
    bytes: { 0: QUARTER, 2: TEN, 4: [0, 0, 0x01, 0], 8: [0x91] },
    weights: [
      [0, 32, 10],
      [0, 1, 10.25], // q = 1
      [16, 17, 16.25], // q = 9 + 16
    ],
    words: { 0: 1, 1: 0, 4: 25 },
  },
  {
    type: 'Q8_0', // d · q
    bytes: { 0: MINUS_EIGHTH, 2: [0x80], 33: [0x7f] },
    weights: [
      [0, 1, 16], // q = -128
      [31, 32, -15.875], // q = 127
    ],
    words: { 0: 0x80808000, 7: 0xff808080 }, // q + 128
  },
  {
    type: 'Q2_K', // d · sc · q - dmin · m; groups 0: sc 3, m 2; 3: sc 1, m 4; 15: sc 15
    bytes: { 0: [0x23, 0, 0, 0x41], 15: [0x0f], 16: [0x02], 32: [0x08], 79: [0xc0], 80: ONE, 82: HALF },
    weights: [
      [0, 16, -1],
      [0, 1, 5], // q = 2, bits 0 and 1 of qs[0]
      [48, 64, -2],
      [48, 49, 0], // q = 2, bits 2 and 3 of qs[16]
      [255, 256, 45], // q = 3, bits 6 and 7 of qs[63]
    ],
    words: { 0: 2, 6: 2, 31: 0x30000000 },
  },
  {
    // d · (sc - 32) · (q - 4): sc[0] = 5 + 16 · 2 = 37, sc[9] = 14 + 16 · 1 = 30, sc[15] = 1 + 16 · 3 = 49, the others 0.
    type: 'Q3_K',
    bytes: {
      3: [0x01], // hmask: code 3
      26: [0x80], // hmask: code 128 + 96 + 26 = 250
      35: [0x02], // qs[3]: code 3
      86: [0x03], // qs[54]: code 128 + 22 = 150
      90: [0x40], // qs[58]: code 250
      96: [0x05, 0xe0], // low nibbles of sc[0] and, above that of sc[1], of sc[9]
      103: [0x10, 0x02, 0x10, 0, 0xc0], // low nibble of sc[15]; high bits of sc[0], of sc[9], of sc[15]
      108: ONE,
    },
    weights: [
      [0, 256, 128], // -32 · -4
      [0, 16, -20],
      [3, 4, 10], // 5 · (2 + 4 - 4)
      [144, 160, 8],
      [150, 151, 2], // -2 · (3 - 4)
      [240, 256, -68],
      [250, 251, 17], // 17 · (1 + 4 - 4)
    ],
    words: { 0: 0x00006000, 18: 0x03000000, 31: 0x00000500 },
  },
  {
    type: 'Q4_K', // d · sc · q - dmin · m
    bytes: { 0: ONE, 2: HALF, 4: SIXES, 16: [0x93], 80: [0x0f], 143: [0xf0] },
    weights: [
      [0, 32, -1],
      [0, 1, 14], // 5 · 3 - 1
      [32, 33, 9], // 1 · 9
      [128, 160, -19.5],
      [128, 129, 850.5], // 58 · 15 - 19.5
      [255, 256, 255], // 17 · 15
    ],
    words: { 0: 3, 4: 9, 16: 15, 31: 0xf0000000 },
  },
  {
    type: 'Q5_K', // d · sc · q - dmin · m; qh has bits 0 and 4 of byte 0, bit 7 of byte 31
    bytes: { 0: ONE, 2: HALF, 4: SIXES, 16: [0x11], 47: [0x80], 48: [0x93], 112: [0x0f], 175: [0xf0] },
    weights: [
      [0, 32, -1],
      [0, 1, 94], // 5 · (3 + 16) - 1
      [32, 33, 9],
      [128, 160, -19.5],
      [128, 129, 1778.5], // 58 · (15 + 16) - 19.5
      [255, 256, 527], // 17 · (15 + 16)
    ],
    words: { 0: 19, 8: 9, 32: 31, 63: 0x1f000000 },
  },
  {
    type: 'Q6_K', // d · sc · (q - 32); sc[0] = 2, sc[4] = 4, sc[15] = -1
    bytes: { 0: [0x5a], 127: [0xf0], 128: [0x13], 191: [0xc0], 192: [2, 0, 0, 0, 4], 207: [0xff], 208: HALF },
    weights: [
      [0, 16, -32],
      [0, 1, 26], // q = 10 + 16 · 3
      [64, 80, -64],
      [64, 65, -22], // q = 5 + 16 · 1
      [240, 256, 16],
      [255, 256, -15.5], // q = 15 + 16 · 3
    ],
    words: { 0: 0x0000003a, 16: 0x00000015, 63: 0x3f000000 },
  },
  {
    type: 'IQ4_NL', // d · kvalues_iq4nl[q]
    bytes: { 0: ONE, 2: [0xf0], 9: [0x89] },
    weights: [
      [0, 32, -127],
      [16, 17, 113], // 15
      [7, 8, 13], // 9
      [23, 24, 1], // 8
    ],
    words: { 0: 0x90000000, 2: 0x8000000f },
  },
  {
    type: 'IQ4_XS', // d · (sc - 32) · kvalues_iq4nl[q]; sc[0] = 3 + 16 · 2 = 35, sc[7] = 1 + 16 · 3 = 49, the others 0
    bytes: { 0: ONE, 2: [0x02, 0xc0], 4: [0x03, 0, 0, 0x10], 8: [0x80], 135: [0xf0] },
    weights: [
      [0, 256, 4064], // -32 · -127
      [0, 32, -381],
      [16, 17, 3], // 3 · 1
      [224, 256, -2159],
      [255, 256, 1921], // 17 · 113
    ],
    words: { 0: 0, 2: 8, 31: 0xf0000000 },
  },
  {
    type: 'MXFP4', // 2^(128 - 127) · E2M1
    bytes: { 0: [128], 1: [0x7f], 3: [0x19] },
    weights: [
      [0, 1, -12], // 1 11 1
      [16, 17, 12], // 0 11 1
      [2, 3, -1], // 1 00 1: -0.5
      [18, 19, 1], // 0 00 1
    ],
    words: { 0: 0x0000090f, 2: 0x00000107 },
  },
  {
    type: 'NVFP4', // E4M3 · E2M1: 0x40 is 2, 0x01 is 2^-9
    bytes: { 0: [0x40, 0, 0, 0x01], 4: [0x7f], 6: [0x19], 35: [0x72] },
    weights: [
      [0, 1, -12], // 1 11 1
      [8, 9, 12], // 0 11 1
      [2, 3, -1], // 1 00 1: -0.5
      [10, 11, 1], // 0 00 1
      [55, 56, 2 ** -9], // 0 01 0, byte 7 of the last 16
      [63, 64, 6 * 2 ** -9], // 0 11 1
    ],
    words: { 0: 0x0000090f, 1: 0x00000107, 6: 0x20000000, 7: 0x70000000 },
  },
  {
    type: 'Q1_0', // a bit is d, or else -d
    bytes: { 0: ONE, 2: [0x05], 17: [0x80] },
    weights: [
      [0, 128, -1],
      [0, 1, 1],
      [2, 3, 1],
      [127, 128, 1],
    ],
    words: { 0: 0x11111313, 1: 0x11111111, 15: 0x31111111 },
  },
  {
    type: 'Q2_0', // d · (q - 1); a code is 3 - q
    bytes: { 0: ONE, 2: [0xe4], 17: [0x40] },
    weights: [
      [0, 64, -1],
      [1, 2, 0],
      [2, 3, 1],
      [3, 4, 2],
      [63, 64, 0],
    ],
    words: { 0: 0x33330123, 7: 0x23333333 },
  },
  // Entry 0 of a grid has its least values, entry 1 of IQ2 and IQ3_XXS its third value first. Seven signs of 1 make the eighth negative too.
  {
    type: 'IQ2_XXS', // d · (0.5 + level) / 4 · 8, 25 or 43
    bytes: { 0: ONE, 2: [1], 6: [1], 65: [0xf0] },
    weights: [
      [0, 256, 1],
      [0, 1, -5.375],
      [7, 8, -1],
      [224, 256, 31],
    ],
    words: { 0: 0x8000000a, 28: 0 },
  },
  {
    type: 'IQ2_XS', // the same; 0x0201 is entry 1 with the signs 1
    bytes: { 0: ONE, 2: [0x01, 0x02], 66: [0x10], 73: [0x0f] },
    weights: [
      [0, 256, 1],
      [0, 1, -5.375],
      [7, 8, -1],
      [16, 32, 3],
      [224, 240, 31],
    ],
    words: { 0: 0x8000000a },
  },
  {
    type: 'IQ2_S', // the same; the last entry is 256: 25 25 25 25 25 8 25 8
    bytes: { 0: ONE, 2: [1], 34: [0x81], 73: [0x40], 81: [0xf0] },
    weights: [
      [0, 256, 1],
      [0, 1, -5.375],
      [7, 8, -1],
      [240, 256, 31],
      [248, 253, 96.875],
      [254, 255, 96.875],
    ],
    words: { 0: 0x8000000a, 31: 0x01011111 },
  },
  {
    type: 'IQ3_XXS', // d · (0.5 + level) / 2 · 4, 12, …; 20 is the third
    bytes: { 0: ONE, 2: [1], 66: [1], 97: [0xf0] },
    weights: [
      [0, 256, 1],
      [0, 1, -5],
      [7, 8, -1],
      [224, 256, 31],
    ],
    words: { 0: 0x8000000a },
  },
  {
    type: 'IQ3_S', // d · (1 + 2 · level) · 1, 3, …; entry 256 is 7 5 9 5
    bytes: { 0: ONE, 2: [1], 66: [0x02], 74: [0x01], 109: [0xf0] },
    weights: [
      [0, 256, 1],
      [0, 1, -3],
      [4, 5, 7],
      [5, 8, 5],
      [6, 7, 9],
      [224, 256, 31],
    ],
    words: { 0: 0x24230009 },
  },
  {
    type: 'IQ1_S', // d · (1 + 2 · level) · (-1, 0 or 1, and an eighth); entry 1792 is 1 -1 0 1 1 0 0 1
    bytes: { 0: ONE, 2: [1], 48: [0x00, 0xfe] },
    weights: [
      [0, 256, -0.875],
      [0, 1, 1.125],
      [224, 256, -16.875], // level 7, an eighth less
      [248, 256, 13.125],
      [249, 250, -16.875],
      [250, 251, -1.875],
      [253, 255, -1.875],
    ],
    words: { 0: 0x00000002, 28: 0x88888888, 31: 0xa99aa98a },
  },
  {
    type: 'IQ1_M', // the same for 16 k; d = 3c00 lies in the highest nibbles of four u16
    bytes: { 0: [1], 32: [0x80], 47: [0x70], 48: [0x08, 0, 0, 0, 0, 0xc0, 0, 0x3e] },
    weights: [
      [0, 256, -0.875],
      [0, 1, 1.125],
      [8, 16, -1.125], // an eighth less
      [16, 32, -2.625], // level 1
      [240, 256, -13.125], // level 7
      [248, 256, 16.875],
      [249, 250, -13.125],
      [250, 251, 1.875],
      [253, 255, 1.875],
    ],
    words: { 0: 0x00000002, 1: 0x88888888, 31: 0x21122102 },
  },
];

test('every type is worked', () => {
  expect(worked.map(({ type }) => type).sort()).toEqual(Object.keys(ggufTypes).sort());
});

test.each(worked)('$type, a block worked by hand', ({ type, bytes, weights, words }) => {
  const { blockSize, bytes: length } = ggufTypes[type];
  const block = new Uint8Array(length);
  for (const [offset, list] of Object.entries(bytes)) block.set(list, Number(offset));
  const want = new Array<number>(blockSize).fill(0);
  for (const [first, end, value] of weights) want.fill(value, first, end);
  const matrix = importGguf({ name: 'w', dtype: type, shape: [1, blockSize], bytes: block });
  expect(Array.from(dequantize(matrix), (value) => value + 0)).toEqual(want); // + 0: -0 is 0 here
  for (const [index, word] of Object.entries(words)) expect(matrix.codes[Number(index)]).toBe(word);
});
