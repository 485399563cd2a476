// Weights as float32 numbers: a part at a time, quickly, and none that is not a number of moderate size.
import { decode16 } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import type { Settings, Weights } from './options.js';

/** Beyond, a group's width or its rounded ends would be no float32. */
export const LARGEST = 2 ** 126;

let halves: Float32Array | undefined;
/** What each of the 65536 float16 stands for. */
const halfTable = (): Float32Array =>
  (halves ??= decode16(
    Uint16Array.from({ length: 65536 }, (_, bits) => bits),
    'float16',
  ));

/** Weights [begin, end) as numbers; of float32 a view of the same memory. @throws ArgumentError naming the first that is unusable */
export function floats(weights: Weights, { dtype, k }: Pick<Settings, 'dtype' | 'k'>, begin: number, end: number): Float32Array {
  const values = dtype === 'float32' ? (weights as Float32Array).subarray(begin, end) : widened(weights as Uint16Array, dtype, begin, end);
  // NaN and Inf times 0 are NaN; large numbers squared are Inf.
  let check = 0;
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

function widened(bits: Uint16Array, dtype: 'float16' | 'bfloat16', begin: number, end: number): Float32Array {
  const out = new Float32Array(end - begin);
  if (dtype === 'float16') {
    const table = halfTable();
    for (let i = begin; i < end; i++) out[i - begin] = table[bits[i]!]!;
  } else {
    const words = new Uint32Array(out.buffer);
    for (let i = begin; i < end; i++) words[i - begin] = bits[i]! << 16;
  }
  return out;
}
