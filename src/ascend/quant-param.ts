// The 64-bit packed scale of Ascend's output stage, and what that stage computes.
//
//   bits 0…31   scale as f32 with 10 bits of mantissa (the low 13 bits clear)
//   bits 37…45  offset, a 9-bit two's complement integer
//   bit 46      1: the result is a signed int8
import { float32s, oneOf, onlyFields, optional } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';

const float = new Float32Array(1);
const bitsOf = new Uint32Array(float.buffer);

/** Nearest integer, ties to even. */
export function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

function scaleBits(scale: number, roundMode: number): number {
  float[0] = scale;
  const bits = bitsOf[0]!;
  if (roundMode === 0) return (bits & 0xffffe000) >>> 0;
  const exponent = (bits >>> 23) & 0xff;
  if (exponent === 255) return bits; // Inf and NaN as they are; decoding masks them
  if (exponent === 0) return (bits & 0x80000000) >>> 0;
  return ((bits + 0xfff + ((bits >>> 13) & 1)) & 0xffffe000) >>> 0;
}

const OPTIONS = onlyFields({ roundMode: optional(oneOf(0, 1)) });

/**
 * Packs an output scale, and an integer offset made from `offset` (nearest even, clamped to [-256, 255]), into the 64-bit form that
 * int8 output uses.
 *
 * Rule: torch_npu.npu_trans_quant_param, aclnnTransQuantParamV2.
 * @param scale one element, or one for each column
 * @param offset as many elements as scale; one element of either counts for all of the other
 * @param options.roundMode 0 cuts the scale's mantissa to 10 bits, 1 rounds it to nearest even (and subnormals to 0)
 * @throws ArgumentError for NaN, ±Inf, different lengths, or another roundMode
 * @example transQuantParam(new Float32Array([1])) // → [0x40003F800000n]
 */
export function transQuantParam(
  scale: Float32Array,
  offset?: Float32Array,
  options: { readonly roundMode?: number } = {},
): BigInt64Array<ArrayBuffer> {
  const { roundMode = 0 } = OPTIONS(options, 'options');
  for (const [name, given] of Object.entries({ scale, offset })) {
    if (given === undefined && name === 'offset') continue;
    const values = float32s(given, name);
    if (values.length === 0) throw new ArgumentError(name, 'at least one element', 'none');
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new ArgumentError(`${name}[${bad}]`, 'a finite number', String(values[bad]));
  }
  const length = Math.max(scale.length, offset?.length ?? 1);
  const fits = (values: Float32Array): boolean => values.length === length || values.length === 1;
  if (!fits(scale) || (offset && !fits(offset))) {
    throw new ArgumentError('offset', `${scale.length} elements as scale, or one`, String(offset!.length));
  }
  const words = new Uint32Array(2 * length);
  for (let i = 0; i < length; i++) {
    const o = offset ? clamp(roundHalfEven(offset[offset.length === 1 ? 0 : i]!), -256, 255) : 0;
    words[2 * i] = scaleBits(scale[scale.length === 1 ? 0 : i]!, roundMode);
    words[2 * i + 1] = (1 << 14) | ((o & 0x1ff) << 5);
  }
  return new BigInt64Array(words.buffer);
}

/** Scale and offset of a 64-bit packed scale. The scale's low 13 bits are always masked. */
export function decodeQuantParam(packed: bigint): { readonly scale: number; readonly offset: number } {
  const value = BigInt.asUintN(64, packed);
  bitsOf[0] = Number(value & 0xffffe000n);
  return { scale: float[0]!, offset: Number(BigInt.asIntN(9, value >> 37n)) };
}

/**
 * Turns an f32 sum into int8 as the hardware does: scale, round to nearest even, clamp to 9 bits, add the offset, clamp to 8 bits.
 * NaN gives 0.
 */
export function requantize(sum: number, scale: number, offset: number): number {
  const scaled = Math.fround(Math.fround(sum) * scale);
  if (Number.isNaN(scaled)) return 0;
  return clamp(clamp(roundHalfEven(clamp(scaled, -256, 256)), -256, 255) + offset, -128, 127);
}
