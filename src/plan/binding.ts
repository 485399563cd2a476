// Slices and windows of buffers. A binding starts at a multiple of the device's alignment and has at most the limit's size. A window is the
// slice that holds the needed elements; it starts at or before the first of them. Pure.
import { UnsupportedError } from '../errors.js';
import type { Caps } from '../problem/caps.js';

/** A range of a buffer that a dispatch binds. */
export interface Slice {
  /** Role of the buffer: a tensor or one of the layer's buffers. */
  readonly buffer: string;
  /** In bytes. */
  readonly offset: number;
  readonly size: number;
}
export interface Window extends Slice {
  /** Index of the buffer's element 0, counted from the start of the window; negative if it lies before the window. */
  readonly base: number;
}
/** Rows of elements in a slice. */
export interface StridedWindow {
  readonly slice: Slice;
  /** First element of row 0, counted from the start of the slice. */
  readonly first: number;
  /** Elements from a row to the next. */
  readonly pitch: number;
  readonly rows: number;
}

/** Elements [first, first + length) of a buffer, each of `bits` bits. */
export interface Elements {
  readonly buffer: string;
  readonly bits: number;
  readonly first: number;
  readonly length: number;
}

export function window(caps: Caps, { buffer, bits, first, length }: Elements): Window {
  const align = caps.minStorageBufferOffsetAlignment;
  const offset = Math.floor((first * bits) / 8 / align) * align;
  const end = Math.ceil(((first + length) * bits) / 32) * 4;
  return { buffer, offset, size: Math.max(4, end - offset), base: -(offset * 8) / bits };
}

/** The window of `rows` rows of `width` elements, `pitch` apart, the first of which is element `first`. */
export function stridedWindow(
  caps: Caps,
  { rows, pitch, width, ...elements }: Omit<Elements, 'length'> & Pick<StridedWindow, 'rows' | 'pitch'> & { readonly width: number },
): StridedWindow {
  const { base, ...slice } = window(caps, { ...elements, length: (rows - 1) * pitch + width });
  return { slice, first: base + elements.first, pitch, rows };
}

/** Largest window in bytes: indices of int4 codes then stay below 2^32. */
const MAX_WINDOW = 2 ** 30;

/** Bytes of elements that fit a window wherever it starts: the limit minus the alignment. */
export const windowBytes = (caps: Caps): number =>
  Math.min(caps.maxStorageBufferBindingSize, MAX_WINDOW) - caps.minStorageBufferOffsetAlignment;

/** How many units of `bytes` fit in a window. @param what names them in the error @throws UnsupportedError if none fits */
export function fitting(caps: Caps, { what, bytes }: { readonly what: string; readonly bytes: number }): number {
  const fit = Math.floor(windowBytes(caps) / bytes);
  if (fit < 1) {
    const { maxStorageBufferBindingSize: size, minStorageBufferOffsetAlignment: alignment } = caps;
    const limit = size <= MAX_WINDOW ? `maxStorageBufferBindingSize is ${size}` : `a window is at most ${MAX_WINDOW}`;
    throw new UnsupportedError(what, [`needs bindings of ${bytes + alignment} bytes, ${alignment} of them for alignment; ${limit}`]);
  }
  return fit;
}

export interface Range {
  readonly begin: number;
  readonly count: number;
}
/** [begin, end) in pieces of at most `size`. */
export function* pieces({ begin = 0, end }: { readonly begin?: number; readonly end: number }, size: number): Generator<Range> {
  for (let at = begin; at < end; at += size) yield { begin: at, count: Math.min(size, end - at) };
}
