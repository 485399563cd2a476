// Element types, and conversions between numbers and the bits of float16 and bfloat16. Pure.

/** Dtypes of tensors. int32 holds packed int4, eight to an element; int64 holds an output scale (`transQuantParam`). */
export type DType = 'float32' | 'float16' | 'bfloat16' | 'int8' | 'int32' | 'int64';
/** Dtypes of activations, scales and offsets. */
export type FloatDType = 'float32' | 'float16' | 'bfloat16';
/** ND is row-major; FRACTAL_NZ is the tiled weight layout of ascend/fractal-nz.ts. */
export type Format = 'ND' | 'FRACTAL_NZ';

export const BYTES: Readonly<Record<DType, number>> = { float32: 4, float16: 2, bfloat16: 2, int8: 1, int32: 4, int64: 8 };

/** Unit roundoff: half the distance from 1 to the next number. */
export const UNIT_ROUNDOFF: Readonly<Record<FloatDType, number>> = { float32: 2 ** -24, float16: 2 ** -11, bfloat16: 2 ** -8 };

/** `bytes` rounded up to whole 4-byte words, at least one: the least size of a storage buffer. */
export const wholeWords = (bytes: number): number => Math.max(4, Math.ceil(bytes / 4) * 4);

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** The nearest float16, ties to even, as its 16 bits; beyond 65504 by half a step or more it is ±Inf. `value` is first a float32. */
export function toFloat16Bits(value: number): number {
  float[0] = value;
  const bits = floatBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above
  if (magnitude >= 0x38800000) {
    // A normal half: drop 13 mantissa bits, and rebias the exponent from 127 to 15.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // below 2^-25
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const half = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const middle = 1 << (shift - 1);
  return sign | (half + (rest > middle || (rest === middle && (half & 1) === 1) ? 1 : 0));
}

/** The number of 16 bits of float16; exact. */
export function fromFloat16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The nearest bfloat16, ties to even, as its 16 bits. `value` is first a float32. */
export function toBfloat16Bits(value: number): number {
  float[0] = value;
  const bits = floatBits[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) & 0x8000) | 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The number of 16 bits of bfloat16; exact. */
export function fromBfloat16Bits(bits: number): number {
  floatBits[0] = bits << 16;
  return float[0]!;
}

const codecs = {
  float16: { to: toFloat16Bits, from: fromFloat16Bits },
  bfloat16: { to: toBfloat16Bits, from: fromBfloat16Bits },
} as const;

/** The 16-bit patterns of `values`, each rounded to nearest, ties to even. */
export function encode16(values: ArrayLike<number>, dtype: 'float16' | 'bfloat16'): Uint16Array<ArrayBuffer> {
  const { to } = codecs[dtype];
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = to(values[i]!);
  return bits;
}

/** The numbers of 16-bit patterns; exact. */
export function decode16(bits: Uint16Array, dtype: 'float16' | 'bfloat16'): Float32Array<ArrayBuffer> {
  const values = new Float32Array(bits.length);
  if (dtype === 'bfloat16') {
    const words = new Uint32Array(values.buffer);
    for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
    return values;
  }
  halves ??= Float32Array.from({ length: 2 ** 16 }, (_, i) => fromFloat16Bits(i));
  for (let i = 0; i < bits.length; i++) values[i] = halves[bits[i]!]!;
  return values;
}
/** Table of every float16 by its bits; files of weights have millions of them. */
let halves: Float32Array | undefined;

/** `value` rounded once to `dtype`, as a number. */
export function roundTo(value: number, dtype: FloatDType): number {
  if (dtype === 'float32') return Math.fround(value);
  const { to, from } = codecs[dtype];
  return from(to(value));
}

/** For each dtype the bits of a float32 that must be 0, and the magnitude from which numbers are too large or not finite. */
const HELD: Readonly<Record<FloatDType, readonly [rest: number, end: number]>> = {
  float32: [0, 0x7f800000],
  float16: [0x1fff, 0x47800000],
  bfloat16: [0xffff, 0x7f800000],
};

/** Index of the first value that is not finite or not exact in the dtype; -1 if there is none. */
export function firstNotHeld(values: Float32Array, dtype: FloatDType): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const [rest, end] = HELD[dtype];
  const normal = dtype === 'float16' ? 0x38800000 : 0;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude >= end) return i;
    if (magnitude >= normal ? (magnitude & rest) !== 0 : fromFloat16Bits(toFloat16Bits(values[i]!)) !== values[i]) return i;
  }
  return -1;
}
