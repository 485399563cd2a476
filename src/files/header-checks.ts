// Checks of headers that all containers share: whole numbers, shapes, bytes of a shape, ranges that do not overlap. Headers are not
// trusted: nothing here multiplies past 2^53 or copies a long text into a message.
import { type FileLocation, FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import type { Json } from './json.js';
import { type Steps, sorted } from './pace.js';
import { clip, show } from './show.js';
import type { TensorInfo } from './tensor-file.js';

/** @throws FormatError unless it is a whole number from 0 to 2^53 - 1 */
export function whole(value: unknown, at: FileLocation, expected = 'a whole number below 2^53'): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new FormatError(at, expected, show(value));
  return value + 0; // -0 → 0
}

/** @throws FormatError */
export function text(value: unknown, at: FileLocation): string {
  if (typeof value !== 'string') throw new FormatError(at, 'a string', show(value));
  return value;
}

/** @throws FormatError */
export function object(value: Json | undefined, at: FileLocation): ReadonlyMap<string, Json> {
  if (!(value instanceof Map)) throw new FormatError(at, 'an object', show(value));
  return value;
}

/** @throws FormatError */
export function list(value: Json | undefined, at: FileLocation): readonly Json[] {
  if (!Array.isArray(value)) throw new FormatError(at, 'an array', show(value));
  return value;
}

/** @throws FormatError */
export const shapeFrom = (value: Json | undefined, at: FileLocation): number[] =>
  list(value, at).map((size, i) => whole(size, { ...at, field: `${at.field}[${i}]` }));

/** A dtype's storage: a block of `elements` takes `bytes`. */
export interface Block {
  readonly elements: number;
  readonly bytes: number;
}

/** Bytes of a tensor. @throws FormatError if elements or bytes reach 2^53, or do not fill whole blocks */
export function bytesFor(shape: readonly number[], { elements, bytes }: Block, at: FileLocation): number {
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (!Number.isSafeInteger(count)) throw new FormatError(at, 'fewer than 2^53 elements', showShape(shape));
  }
  if (count % elements !== 0) throw new FormatError(at, `a multiple of ${elements} elements`, showShape(shape));
  const total = (count / elements) * bytes;
  if (!Number.isSafeInteger(total)) throw new FormatError(at, 'fewer than 2^53 bytes', showShape(shape));
  return total;
}

/** Tensors sorted by position. */
export const byPlace = (tensors: readonly TensorInfo[]): Steps<readonly TensorInfo[]> =>
  sorted(tensors, (a, b) => a.begin - b.begin || a.end - b.end);

/** Checks that tensors of one source do not overlap. @throws FormatError */
export function* checkApart(tensors: readonly TensorInfo[], field: string): Steps<void> {
  let before: TensorInfo | undefined;
  for (const tensor of yield* byPlace(tensors)) {
    if (before && tensor.begin < before.end)
      throw new FormatError(
        { file: tensor.source.name, tensor: clip(tensor.name), field },
        `at byte ${before.end} or after, where ${show(before.name)} ends`,
        `byte ${tensor.begin}`,
      );
    before = tensor;
  }
}
