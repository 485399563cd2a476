// Reads little-endian numbers and strings in sequence from a ByteSource, in growing pieces: a header of any length takes few requests and
// the memory of one piece. Callers ask `has` first and await `fill` only if it says no, so that most steps need no promise.
import { FormatError } from '../errors.js';
import { readFrom } from './given.js';
import { breather } from './pace.js';
import type { ByteSource } from './tensor-file.js';

export interface CursorOptions {
  readonly begin?: number;
  /** End of reading. Default: the source's end. */
  readonly end?: number;
  /** Name in the error about missing bytes. */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
}

const FIRST_PIECE = 65_536;
const LARGEST_PIECE = 4 * 2 ** 20;

export type Cursor = ReturnType<typeof openCursor>;

export function openCursor(source: ByteSource, { begin = 0, end = source.size, what, signal }: CursorOptions) {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
  let bytes = new Uint8Array(0);
  let view = new DataView(bytes.buffer);
  /** Position of `bytes` in the source. */
  let start = begin;
  /** Next byte, within `bytes` or past them. */
  let at = 0;
  let piece = FIRST_PIECE;
  const breathe = breather(signal);

  const step = (count: number): number => {
    at += count;
    return at - count;
  };
  const cursor = {
    source,
    get position(): number {
      return start + at;
    },
    get left(): number {
      return end - start - at;
    },
    has: (count: number): boolean => at + count <= bytes.length,
    /** Reads at least `count` more bytes. @throws FormatError if there are fewer */
    async fill(count: number, field: string): Promise<void> {
      await breathe();
      if (cursor.has(count)) return;
      if (count > cursor.left)
        throw new FormatError({ file: source.name, field }, `${count} bytes`, `${Math.max(0, cursor.left)} before the end of ${what}`);
      const rest = bytes.subarray(at);
      const from = start + at + rest.length;
      const fresh = await readFrom(source, from, Math.min(end, Math.max(start + at + count, from + piece)), signal);
      piece = Math.min(2 * piece, LARGEST_PIECE);
      start += at;
      at = 0;
      bytes = new Uint8Array(rest.length + fresh.length);
      bytes.set(rest);
      bytes.set(fresh, rest.length);
      view = new DataView(bytes.buffer);
    },
    /** Skips bytes that the caller knows to be there. */
    skip: (count: number): void => {
      at += count;
    },
    /** Takes `count` bytes: returns the view and their position in it. */
    take: (count: number): readonly [DataView, number] => [view, step(count)],
    u32: (): number => view.getUint32(step(4), true),
    /** @throws FormatError from 2^53 on */
    u64(field: string): number {
      const place = step(8);
      const high = view.getUint32(place + 4, true);
      if (high >= 2 ** 21)
        throw new FormatError({ file: source.name, field }, 'a number below 2^53', String(view.getBigUint64(place, true)));
      return view.getUint32(place, true) + high * 2 ** 32;
    },
    /** Invalid UTF-8 becomes U+FFFD. */
    utf8: (count: number): string => decoder.decode(bytes.subarray(step(count), at)),
    /** Undefined for invalid UTF-8. */
    strictUtf8(count: number): string | undefined {
      const part = bytes.subarray(step(count), at);
      try {
        return strict.decode(part);
      } catch {
        return undefined;
      }
    },
  };
  return cursor;
}
