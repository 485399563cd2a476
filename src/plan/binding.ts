// A binding must start at a multiple of the device's alignment and may not exceed its largest size. A window is the part of a
// buffer that a dispatch binds: it starts at or before the first element that is needed, and the rest of the way goes into `base`.

import { UnsupportedError } from '../errors.js';
import type { Caps } from '../problem/caps.js';

/** A range of a buffer that a dispatch binds. */
export interface Slice {
  /** Which buffer: a tensor's role, or a part of the layer's own. */
  readonly buffer: string;
  /** In bytes. */
  readonly offset: number;
  readonly size: number;
}
export interface Window extends Slice {
  /** Index, counted from the start of the window, of the buffer's element 0; negative when that lies before the window. */
  readonly base: number;
}

/** The window of elements [first, first + length), each of `bits` bits. */
export function window(caps: Caps, buffer: string, bits: number, first: number, length: number): Window {
  const align = caps.minStorageBufferOffsetAlignment;
  const offset = Math.floor((first * bits) / 8 / align) * align;
  const end = Math.ceil(((first + length) * bits) / 32) * 4;
  return { buffer, offset, size: Math.max(4, end - offset), base: -(offset * 8) / bits };
}

/** No window is larger, so that indices of int4 codes stay below 2^32. */
const MAX_WINDOW = 2 ** 30;

/** Bytes that a window may need at most, whatever its start: what is left of the limit after alignment. */
export const windowBytes = (caps: Caps): number =>
  Math.min(caps.maxStorageBufferBindingSize, MAX_WINDOW) - caps.minStorageBufferOffsetAlignment;

/** How many of things of `bytes` each fit in a window. @throws UnsupportedError if not even one */
export function fitting(caps: Caps, what: string, bytes: number): number {
  const fit = Math.floor(windowBytes(caps) / bytes);
  if (fit < 1) {
    const { maxStorageBufferBindingSize: size, minStorageBufferOffsetAlignment: alignment } = caps;
    const limit = size <= MAX_WINDOW ? `maxStorageBufferBindingSize is ${size}` : `a window is at most ${MAX_WINDOW}`;
    throw new UnsupportedError(what, [`needs bindings of ${bytes + alignment} bytes, ${alignment} of them for alignment; ${limit}`]);
  }
  return fit;
}

/** [0, count) in pieces of at most `step`. */
export function* pieces(count: number, step: number, from = 0): Generator<{ readonly begin: number; readonly count: number }> {
  for (let begin = from; begin < count; begin += step) yield { begin, count: Math.min(step, count - begin) };
}
