// Decodes blocks of GGUF one weight at a time, in the order of ggml's float32 operations (dequantize_row_* of ggml-quants.c). It is slow
// and independent of src/formats but for the grids, which are compared with gguf-py's: it follows the structs of ggml-common.h.
import { fromFloat16Bits } from '../../src/dtype.js';
import { type Grid, gridOf } from '../../src/formats/gguf-iq-grids.js';

const f = Math.fround;
/** float32 product and difference. */
const mul = (a: number, b: number): number => f(f(a) * f(b));
const sub = (a: number, b: number): number => f(f(a) - f(b));
const add = (a: number, b: number): number => f(f(a) + f(b));

const half = (b: Uint8Array, at: number): number => fromFloat16Bits(b[at]! + 256 * b[at + 1]!);
const int8 = (byte: number): number => (byte > 127 ? byte - 256 : byte);
/** Bit `i` of a field that starts at a byte. */
const bit = (b: Uint8Array, at: number, i: number): number => Math.floor(b[at + Math.floor(i / 8)]! / 2 ** (i % 8)) % 2;
/** Nibble of weight j of 32: low nibbles first. */
const nibble32 = (b: Uint8Array, at: number, j: number): number => (j < 16 ? b[at + j]! % 16 : Math.floor(b[at + j - 16]! / 16));
/** Nibble of weight e of 256: of each 64 the low nibbles of 32 bytes, then the high ones. */
const nibble256 = (b: Uint8Array, at: number, e: number): number => {
  const byte = b[at + 32 * Math.floor(e / 64) + (e % 32)]!;
  return e % 64 < 32 ? byte % 16 : Math.floor(byte / 16);
};
/** The two bits of weight e of 256: of each 128, 32 bytes hold weights l, l + 32, l + 64 and l + 96, lowest bits first. */
const two256 = (b: Uint8Array, at: number, e: number): number => {
  const byte = b[at + 32 * Math.floor(e / 128) + (e % 32)]!;
  return Math.floor(byte / 4 ** Math.floor((e % 128) / 32)) % 4;
};
/** get_scale_min_k4. */
const scaleMin = (b: Uint8Array, at: number, j: number): [number, number] => {
  const s = (i: number): number => b[at + i]!;
  if (j < 4) return [s(j) % 64, s(j + 4) % 64];
  return [(s(j + 4) % 16) + 16 * Math.floor(s(j - 4) / 64), Math.floor(s(j + 4) / 16) + 16 * Math.floor(s(j) / 64)];
};
const IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
const FP4 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]; // doubled

/** ggml_ue4m3_to_fp32, before it is halved. */
const ue4m3 = (byte: number): number => (byte < 8 ? (byte % 8) * 2 ** -9 : (1 + (byte % 8) / 8) * 2 ** (Math.floor(byte / 8) - 7));

const five = (b: Uint8Array, high: number, j: number): number => nibble32(b, high + 4, j) + 16 * bit(b, high, j);
const superblock = (b: Uint8Array, j: number, q: number): number => {
  const [sc, m] = scaleMin(b, 4, j);
  return sub(mul(mul(half(b, 0), sc), q), mul(half(b, 2), m));
};

/** Value j of an entry of a grid, as the number that it is stored as. */
const inGrid = (name: Grid, entry: number, j: number): number => Math.floor(gridOf(name)[entry]! / 16 ** j) % 16;
const OF_GRID: Readonly<Record<Grid, readonly number[]>> = {
  IQ2_XXS: [8, 25, 43],
  IQ2_XS: [8, 25, 43],
  IQ2_S: [8, 25, 43],
  IQ3_XXS: [4, 12, 20, 28, 36, 44, 52, 62],
  IQ3_S: [1, 3, 5, 7, 9, 11, 13, 15],
  IQ1: [-1, 0, 1],
};
const little = (b: Uint8Array, at: number, bytes: number): number =>
  Array.from({ length: bytes }, (_, i) => b[at + i]! * 256 ** i).reduce((sum, one) => sum + one, 0);
const bitsOf = (value: number, from: number, count: number): number => Math.floor(value / 2 ** from) % 2 ** count;
/** ksigns_iq2xs: the eighth sign makes their number even. */
const signOf = (seven: number, j: number): number => {
  const ones = [0, 1, 2, 3, 4, 5, 6].map((i) => bitsOf(seven, i, 1));
  return (j < 7 ? ones[j]! : ones.reduce((sum, one) => sum + one, 0) % 2) === 1 ? -1 : 1;
};
const nibbleAt = (b: Uint8Array, at: number, i: number): number => bitsOf(b[at + Math.floor(i / 2)]!, 4 * (i % 2), 4);
/** IQ2_XXS and IQ3_XXS: the u32 of 32 k has four times seven signs and a level. */
const xxs =
  (name: Grid, factor: number, of: (b: Uint8Array, e: number) => readonly [entry: number, j: number, rest: number]) =>
  (b: Uint8Array, e: number): number => {
    const [entry, j, rest] = of(b, e);
    const db = mul(mul(half(b, 0), 0.5 + bitsOf(rest, 28, 4)), factor);
    const seven = bitsOf(rest, 7 * Math.floor((e % 32) / 8), 7);
    return mul(mul(db, OF_GRID[name][inGrid(name, entry, j)]!), signOf(seven, e % 8));
  };
const iq1 = (d: number, level: number, entry: number, j: number, less: boolean): number =>
  mul(mul(d, 2 * level + 1), OF_GRID.IQ1[inGrid('IQ1', entry, j)]! + (less ? -0.125 : 0.125));

interface Meaning {
  readonly size: number;
  readonly bytes: number;
  /** Offsets of float16 fields. */
  readonly halves: readonly number[];
  weight(block: Uint8Array, e: number): number;
}

/** Digit n of a byte in base 3, as ggml takes it. */
const trit = (byte: number, n: number): number => Math.floor((((byte * 3 ** n) % 256) * 3) / 256);

export const meanings: Readonly<Record<string, Meaning>> = {
  TQ1_0: {
    size: 256,
    bytes: 54,
    halves: [52],
    weight(b, e) {
      const [first, bytes, at] = e < 160 ? [0, 32, 0] : e < 240 ? [160, 16, 32] : [240, 4, 48];
      const inside = e - first!;
      return mul(trit(b[at! + (inside % bytes!)]!, Math.floor(inside / bytes!)) - 1, half(b, 52));
    },
  },
  TQ2_0: { size: 256, bytes: 66, halves: [64], weight: (b, e) => mul(two256(b, 0, e) - 1, half(b, 64)) },
  Q4_0: { size: 32, bytes: 18, halves: [0], weight: (b, e) => mul(nibble32(b, 2, e) - 8, half(b, 0)) },
  Q4_1: { size: 32, bytes: 20, halves: [0, 2], weight: (b, e) => add(mul(nibble32(b, 4, e), half(b, 0)), half(b, 2)) },
  Q5_0: { size: 32, bytes: 22, halves: [0], weight: (b, e) => mul(five(b, 2, e) - 16, half(b, 0)) },
  Q5_1: { size: 32, bytes: 24, halves: [0, 2], weight: (b, e) => add(mul(five(b, 4, e), half(b, 0)), half(b, 2)) },
  Q8_0: { size: 32, bytes: 34, halves: [0], weight: (b, e) => mul(int8(b[2 + e]!), half(b, 0)) },
  Q2_K: {
    size: 256,
    bytes: 84,
    halves: [80, 82],
    weight: (b, e) => {
      const scales = b[Math.floor(e / 16)]!;
      return sub(mul(mul(half(b, 80), scales % 16), two256(b, 16, e)), mul(half(b, 82), Math.floor(scales / 16)));
    },
  },
  Q3_K: {
    size: 256,
    bytes: 110,
    halves: [108],
    weight: (b, e) => {
      const j = Math.floor(e / 16);
      const low = j < 8 ? b[96 + j]! % 16 : Math.floor(b[96 + j - 8]! / 16);
      const high = Math.floor(b[96 + 8 + (j % 4)]! / 4 ** Math.floor(j / 4)) % 4;
      const third = bit(b, e % 32, Math.floor(e / 32));
      return mul(mul(half(b, 108), low + 16 * high - 32), two256(b, 32, e) - (third ? 0 : 4));
    },
  },
  Q4_K: { size: 256, bytes: 144, halves: [0, 2], weight: (b, e) => superblock(b, Math.floor(e / 32), nibble256(b, 16, e)) },
  Q5_K: {
    size: 256,
    bytes: 176,
    halves: [0, 2],
    weight: (b, e) => superblock(b, Math.floor(e / 32), nibble256(b, 48, e) + 16 * bit(b, 16 + (e % 32), Math.floor(e / 32))),
  },
  Q6_K: {
    size: 256,
    bytes: 210,
    halves: [208],
    weight: (b, e) => {
      const [side, within, l] = [Math.floor(e / 128), Math.floor((e % 128) / 32), e % 32];
      const byte = b[64 * side + l + 32 * (within % 2)]!;
      const low = within < 2 ? byte % 16 : Math.floor(byte / 16);
      const high = two256(b, 128, e);
      return mul(mul(half(b, 208), int8(b[192 + Math.floor(e / 16)]!)), low + 16 * high - 32);
    },
  },
  IQ4_NL: { size: 32, bytes: 18, halves: [0], weight: (b, e) => mul(half(b, 0), IQ4[nibble32(b, 2, e)]!) },
  IQ4_XS: {
    size: 256,
    bytes: 136,
    halves: [0],
    weight: (b, e) => {
      const j = Math.floor(e / 32);
      const low = Math.floor(b[4 + Math.floor(j / 2)]! / 16 ** (j % 2)) % 16;
      const high = bit(b, 2, 2 * j) + 2 * bit(b, 2, 2 * j + 1);
      return mul(mul(half(b, 0), low + 16 * high - 32), IQ4[nibble32(b, 8 + 16 * j, e % 32)]!);
    },
  },
  IQ2_XXS: {
    size: 256,
    bytes: 66,
    halves: [0],
    weight: xxs('IQ2_XXS', 0.25, (b, e) => {
      const at = 2 + 8 * Math.floor(e / 32);
      return [b[at + Math.floor((e % 32) / 8)]!, e % 8, little(b, at + 4, 4)];
    }),
  },
  IQ2_XS: {
    size: 256,
    bytes: 74,
    halves: [0],
    weight: (b, e) => {
      const both = little(b, 2 + 2 * Math.floor(e / 8), 2);
      const db = mul(mul(half(b, 0), 0.5 + nibbleAt(b, 66, Math.floor(e / 16))), 0.25);
      return mul(mul(db, OF_GRID.IQ2_XS[inGrid('IQ2_XS', both % 512, e % 8)]!), signOf(Math.floor(both / 512), e % 8));
    },
  },
  IQ2_S: {
    size: 256,
    bytes: 82,
    halves: [0],
    weight: (b, e) => {
      const i = Math.floor(e / 8);
      const entry = b[2 + i]! + 256 * bitsOf(b[66 + Math.floor(i / 4)]!, 2 * (i % 4), 2);
      const db = mul(mul(half(b, 0), 0.5 + nibbleAt(b, 74, Math.floor(e / 16))), 0.25);
      return mul(mul(db, OF_GRID.IQ2_S[inGrid('IQ2_S', entry, e % 8)]!), bit(b, 34, e) ? -1 : 1);
    },
  },
  IQ3_XXS: {
    size: 256,
    bytes: 98,
    halves: [0],
    weight: xxs('IQ3_XXS', 0.5, (b, e) => [b[2 + Math.floor(e / 4)]!, e % 4, little(b, 66 + 4 * Math.floor(e / 32), 4)]),
  },
  IQ3_S: {
    size: 256,
    bytes: 110,
    halves: [0],
    weight: (b, e) => {
      const i = Math.floor(e / 4);
      const db = mul(half(b, 0), 1 + 2 * nibbleAt(b, 106, Math.floor(e / 32)));
      return mul(mul(db, OF_GRID.IQ3_S[inGrid('IQ3_S', b[2 + i]! + 256 * bit(b, 66, i), e % 4)]!), bit(b, 74, e) ? -1 : 1);
    },
  },
  IQ1_S: {
    size: 256,
    bytes: 50,
    halves: [0],
    weight: (b, e) => {
      const i = Math.floor(e / 8);
      const high = little(b, 34 + 2 * Math.floor(e / 32), 2);
      return iq1(half(b, 0), bitsOf(high, 12, 3), b[2 + i]! + 256 * bitsOf(high, 3 * (i % 4), 3), e % 8, high >= 32768);
    },
  },
  IQ1_M: {
    size: 256,
    bytes: 56,
    halves: [],
    weight: (b, e) => {
      const i = Math.floor(e / 8);
      const d = fromFloat16Bits([0, 1, 2, 3].reduce((sum, j) => sum + Math.floor(b[49 + 2 * j]! / 16) * 16 ** j, 0));
      const high = nibbleAt(b, 32, i);
      const level = bitsOf(little(b, 48 + 2 * Math.floor(e / 64), 2), 3 * (Math.floor(e / 16) % 4), 3);
      return iq1(d, level, b[i]! + 256 * (high % 8), e % 8, high > 7);
    },
  },
  NVFP4: {
    size: 64,
    bytes: 36,
    halves: [],
    weight: (b, e) => {
      const [s, j] = [Math.floor(e / 16), e % 16];
      const byte = b[4 + 8 * s + (j % 8)]!;
      return mul(FP4[j < 8 ? byte % 16 : Math.floor(byte / 16)]!, ue4m3(b[s]!) / 2);
    },
  },
  Q1_0: { size: 128, bytes: 18, halves: [0], weight: (b, e) => (bit(b, 2, e) ? half(b, 0) : -half(b, 0)) },
  Q2_0: {
    size: 64,
    bytes: 18,
    halves: [0],
    weight: (b, e) => mul((Math.floor(b[2 + Math.floor(e / 4)]! / 4 ** (e % 4)) % 4) - 1, half(b, 0)),
  },
  MXFP4: { size: 32, bytes: 17, halves: [], weight: (b, e) => mul(FP4[nibble32(b, 1, e)]!, 2 ** (b[0]! - 128)) },
};

/** Weights of blocks one after another. */
export function decode(type: string, bytes: Uint8Array): Float32Array {
  const { size, bytes: length, weight } = meanings[type]!;
  const out = new Float32Array((bytes.length / length) * size);
  for (let i = 0, at = 0; i < out.length; i += size, at += length) {
    const block = bytes.subarray(at, at + length);
    for (let e = 0; e < size; e++) out[i + e] = weight(block, e);
  }
  return out;
}
