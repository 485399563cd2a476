// A trial: a small case of a kernel whose numbers are known, what its buffers hold, and the judgement of what it left. Pure.
import { decode16 } from '../dtype.js';
import { variantId } from '../kernels/kernel.js';
import { hashOf } from '../llm-kernels/noise.js';
import { type LlmDispatch, type Step, stepWords } from '../llm-kernels/shaders.js';

export type Buffer = Uint32Array<ArrayBuffer>;
/** What a buffer is to hold, number by number; NaN: what it held before, in every bit. */
export interface Wanted {
  /** q8: codes, and behind them their factors as f32. */
  readonly of: 'f32' | 'f16' | 'u32' | 'q8';
  readonly values: Float64Array;
  /** How many of the numbers are codes of q8. */
  readonly codes?: number;
  /** How near to 1 + |value|, instead of NEAR. */
  readonly near?: number;
}

/** A case of a variant. */
export interface LlmTrial {
  readonly variant: string;
  readonly dispatch: LlmDispatch;
  /** The contents of each buffer but `params`, by name; what is written is full of poison. */
  readonly given: Readonly<Record<string, Buffer>>;
  /** Of the buffers that are written. */
  readonly wanted: Readonly<Record<string, Wanted>>;
}

/** Where a variant failed, as reports of self-tests say it. */
export interface LlmFault {
  readonly where: string;
  readonly expected: string;
  readonly got: string;
}

/** As floats NaN, as halves one NaN of two. */
export const POISON = 0x7fc0dead;
/** Relative to 1 + |value|: sums here are short, and what a wrong kernel makes is far off. Of halves their own rounding comes to it. */
const NEAR = { f32: 1e-4, f16: 1e-4 + 2 ** -11, u32: 0, q8: 1e-4 } as const;
/** A quotient next to a half may become either code, and attention's sums then differ by so much. */
export const NEAR_CODES = { code: 1, att: 2e-2 } as const;

/** The first fault of what a trial left in a buffer. */
export function judgeTrial({ given, wanted }: LlmTrial, name: string, left: Buffer): LlmFault | undefined {
  const { of, values, codes = 0, near = NEAR[of] } = wanted[name]!;
  const [got, before] = [numbersOf(left, of, codes), numbersOf(given[name]!, of, codes)];
  const [bits, bitsBefore] = [bitsOf(left, of, codes), bitsOf(given[name]!, of, codes)];
  for (let i = 0; i < got.length; i++) {
    const value = values[i]!;
    const where = `${name}[${i}]`;
    if (Number.isNaN(value)) {
      if (bits[i] !== bitsBefore[i]) return { where, expected: `${before[i]} as before`, got: String(got[i]) };
    } else if (!(Math.abs(got[i]! - value) <= (i < codes ? NEAR_CODES.code : near * (1 + Math.abs(value))))) {
      return { where, expected: String(value), got: String(got[i]) };
    }
  }
  return undefined;
}

function numbersOf(words: Buffer, of: Wanted['of'], codes: number): ArrayLike<number> {
  if (of === 'q8') return [...new Int8Array(words.buffer, 0, codes), ...new Float32Array(words.buffer, codes)];
  return of === 'u32' ? words : of === 'f32' ? new Float32Array(words.buffer) : decode16(new Uint16Array(words.buffer), 'float16');
}
const bitsOf = (words: Buffer, of: Wanted['of'], codes: number): ArrayLike<number> =>
  of === 'q8'
    ? [...new Uint8Array(words.buffer, 0, codes), ...words.subarray(codes / 4)]
    : of === 'f16'
      ? new Uint16Array(words.buffer)
      : words;

export const trial = (
  dispatch: LlmDispatch,
  now: Step,
  { given, wanted }: { readonly given: Readonly<Record<string, Buffer>>; readonly wanted: Readonly<Record<string, Wanted>> },
): LlmTrial => ({ variant: variantId(dispatch.shader.name, dispatch.params), dispatch, given: { now: stepWords(now), ...given }, wanted });

export const poison = (bytes: number): Buffer => new Uint32Array(bytes / 4).fill(POISON);
export const floatsOf = (values: ArrayLike<number>): Buffer => new Uint32Array(Float32Array.from(values).buffer);
/** Eighths from -2 to 2, which look like noise; a half holds each. */
export const noise = (salt: number, length: number): Float64Array =>
  Float64Array.from({ length }, (_, i) => ((hashOf(salt, i, 7) % 33) - 16) / 8);
export const untouched = (length: number): Float64Array => new Float64Array(length).fill(NaN);
/** ε of norms. */
export const EPSILON = 2 ** -10;
