// Weights as float32 numbers: a part at a time, quickly, and none that is not a number of moderate size.
import { decode16 } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import type { Settings, Weights } from './options.js';

/** Beyond, a group's width or its rounded ends would be no float32. */
export const LARGEST = 2 ** 126;

/** Weights [begin, end) as numbers; of float32 a view of the same memory. @throws ArgumentError naming the first that is unusable */
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
