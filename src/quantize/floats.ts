// Reads a range of the weights as float32. Rejects NaN, Inf and anything beyond 2^126.
import { decode16 } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import type { Settings, Weights } from './options.js';

/** Beyond it, a group's width or its rounded minimum and maximum would exceed float32. */
export const LARGEST = 2 ** 126;

/** Weights [begin, end) as numbers; for float32 a view of the same memory. @throws ArgumentError with the first bad weight */
export function floats(weights: Weights, { dtype, k }: Pick<Settings, 'dtype' | 'k'>, begin: number, end: number): Float32Array {
  const part = weights.subarray(begin, end);
  const values = dtype === 'float32' ? (part as Float32Array) : decode16(part as Uint16Array, dtype);
  let check = 0; // becomes NaN: NaN and Inf times 0 are NaN
  for (let i = 0; i < values.length; i++) {
    const value = Math.abs(values[i]!);
    check += value > LARGEST ? Number.NaN : value * 0;
  }
  if (check !== 0) {
    const bad = values.findIndex((value) => !(Math.abs(value) <= LARGEST));
    const at = begin + bad;
    throw new ArgumentError(`weights[${Math.floor(at / k)}, ${at % k}]`, 'a finite number of at most 2^126', String(values[bad]));
  }
  return values;
}
