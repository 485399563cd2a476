// Packs int4 eight to an int32, as npu_convert_weight_to_int4pack does: along the last axis, lowest nibble first.
import { sizes, typedArray } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import { showShape } from '../problem/view.js';

/**
 * Packs values of [-8, 7] eight to an int32: element 8i + j of a row goes to bits 4j … 4j+3 of its word i, in two's complement.
 * Only the last axis is packed, (…, C) → (…, C / 8). Values are masked to four bits, not range-checked.
 *
 * Rule: torch_npu.npu_convert_weight_to_int4pack.
 * @param shape two or three dimensions, the last a multiple of 8
 * @throws ArgumentError
 * @example convertWeightToInt4Pack(codes, [n, k]) // → Int32Array of n · k / 8 words: weight (N, K/8)
 */
export function convertWeightToInt4Pack(weight: Int32Array | Int8Array, shape: readonly number[]): Int32Array<ArrayBuffer> {
  typedArray('Int32Array', 'Int8Array')(weight, 'weight');
  const given = sizes(shape, 'shape');
  if ((given.length !== 2 && given.length !== 3) || given.includes(0)) {
    throw new ArgumentError('shape', 'two or three dimensions of at least 1', showShape(given));
  }
  if (given.at(-1)! % 8 !== 0) throw new ArgumentError('shape', 'a last dimension that is a multiple of 8', showShape(given));
  const length = given.reduce((a, b) => a * b, 1);
  if (weight.length !== length) throw new ArgumentError('weight', `${length} elements for ${showShape(given)}`, String(weight.length));
  const words = new Int32Array(length / 8);
  for (let i = 0; i < length; i++) words[i >> 3]! |= (weight[i]! & 15) << (4 * (i & 7));
  return words;
}

/** The inverse: (…, C / 8) words → (…, C) values of [-8, 7]. */
export function unpackInt4(words: Int32Array | Uint32Array): Int8Array<ArrayBuffer> {
  const values = new Int8Array(words.length * 8);
  for (let i = 0; i < values.length; i++) values[i] = (words[i >> 3]! << (28 - 4 * (i & 7))) >> 28;
  return values;
}
