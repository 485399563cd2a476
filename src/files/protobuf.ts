// Reads untrusted Protobuf messages field by field. It returns numbers, and the positions of all other values, which it skips; ONNX needs
// no more. Rule: protobuf.dev/programming-guides/encoding.
import { FormatError } from '../errors.js';
import { readFrom } from './given.js';
import { breather } from './pace.js';
import type { ByteSource } from './tensor-file.js';

export interface Field {
  readonly number: number;
  /** How it is stored: 0, a varint; 1, 8 bytes; 2, bytes behind their length; 5, 4 bytes. */
  readonly wire: number;
  /** Position of the value: a number, or the bytes behind their length. Numbers of a packed list follow each other as single ones do. */
  readonly begin: number;
  readonly end: number;
  /** A varint, read as signed 64 bits; 0 for all others. */
  readonly value: number;
}

/** Where bytes lie: [begin, end). */
export type Range = Pick<Field, 'begin' | 'end'>;

const WINDOW = 2 ** 18;

export interface Message {
  readonly file: string;
  /** The kind of message, for errors. */
  readonly what: string;
  read(begin: number, end: number): Promise<Uint8Array>;
  breathe(): Promise<void> | undefined;
}

/** A file that is one message. Small reads come from a window that is read ahead. */
export function openMessage(source: ByteSource, what: string, signal: AbortSignal | undefined): Message {
  let [base, bytes] = [0, new Uint8Array(0)];
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    if (end - begin > WINDOW) return readFrom(source, begin, end, signal);
    if (begin < base || end > base + bytes.length) {
      bytes = await readFrom(source, begin, Math.min(source.size, Math.max(end, begin + WINDOW)), signal);
      base = begin;
    }
    return bytes.subarray(begin - base, end - base);
  };
  return { file: source.name, what, read, breathe: breather(signal) };
}

/** The 64 bits of a varint, as two numbers of 32 with signs, and the position after it; undefined if there is none. */
function halves(bytes: Uint8Array, at: number): readonly [low: number, high: number, next: number] | undefined {
  let [low, high] = [0, 0];
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    const seven = byte & 127;
    // The fifth byte has the highest 4 bits of the low half; bits past 64 are dropped.
    if (i < 5) low |= seven << (7 * i);
    if (i === 4) high = seven >>> 4;
    else if (i > 4) high |= seven << (7 * i - 32);
    if (byte < 128) return [low, high, at + i + 1];
  }
  return undefined;
}

/** A varint as a signed number, and the position after it; undefined if there is none. */
function varint(bytes: Uint8Array, at: number): readonly [value: number, next: number] | undefined {
  const read = halves(bytes, at);
  return read && [read[1] * 2 ** 32 + (read[0] >>> 0), read[2]];
}

type Named = Pick<Message, 'file' | 'what'>;
const noNumbers = ({ file, what }: Named): FormatError => new FormatError({ file, field: what }, 'numbers', 'bytes that are none');

/** All varints of packed bytes, as signed numbers. @throws FormatError */
export function varints(bytes: Uint8Array, named: Named): number[] {
  const values: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const read = varint(bytes, at);
    if (!read) throw noNumbers(named);
    values.push(read[0]);
    at = read[1];
  }
  return values;
}

/**
 * Varints of packed bytes as little-endian numbers of `width` bytes, `count` of them. Below 8 bytes the lowest 32 bits count, as for
 * Protobuf's int32; a number may have a sign or not. @throws FormatError for other counts, and for numbers that do not fit
 */
export function unpackVarints(
  bytes: Uint8Array,
  { count, width }: { readonly count: number; readonly width: 1 | 2 | 4 | 8 },
  named: Named,
) {
  const out = new Uint8Array(count * width);
  const view = new DataView(out.buffer);
  const { file, what: field } = named;
  let i = 0;
  for (let at = 0; at < bytes.length; i++) {
    const read = halves(bytes, at);
    if (!read) throw noNumbers(named);
    if (i === count) throw new FormatError({ file, field }, `${count} numbers`, 'more');
    const [low, high, next] = read;
    if (width < 4 && (low >= 2 ** (8 * width) || low < -(2 ** (8 * width - 1))))
      throw new FormatError({ file, field }, `numbers of ${8 * width} bits`, String(low));
    if (width === 1) out[i] = low;
    else if (width === 2) view.setUint16(2 * i, low, true);
    else view.setInt32(width * i, low, true);
    if (width === 8) view.setInt32(8 * i + 4, high, true);
    at = next;
  }
  if (i !== count) throw new FormatError({ file, field }, `${count} numbers`, String(i));
  return out;
}

/** Bytes of a value by its wire type; undefined for types that have a length or are not used. */
const FIXED: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** The fields of a message at [begin, end). @throws FormatError */
export async function* fieldsOf({ read, file, what, breathe }: Message, { begin, end }: Range): AsyncGenerator<Field> {
  for (let at = begin; at < end; ) {
    await breathe();
    const head = await read(at, Math.min(end, at + 20));
    const [key, next] = varint(head, 0) ?? [0, 0];
    const wire = key % 8;
    const said = wire === 0 || wire === 2 ? varint(head, next) : ([0, next] as const);
    const size = wire === 0 ? 0 : wire === 2 ? said?.[0] : FIXED[wire];
    if (!said || size === undefined || key < 8 || key > 2 ** 32)
      throw new FormatError({ file, field: what }, 'a protobuf field', `bytes that are none, at ${at}`);
    const first = at + (wire === 0 ? next : said[1]);
    const last = wire === 0 ? at + said[1] : first + size;
    if (!(size >= 0) || last > end)
      throw new FormatError(
        { file, field: what },
        `at most ${end - first} bytes at ${first}`,
        `${size}: the file is cut off, or is not ONNX`,
      );
    at = last;
    yield { number: Math.floor(key / 8), wire, begin: first, end: last, value: wire === 0 ? said[0] : 0 };
  }
}

const LONGEST_TEXT = 4096;

/** @throws FormatError */
export async function textOf({ read, file, what }: Message, { wire, begin, end }: Field): Promise<string> {
  if (wire !== 2) throw new FormatError({ file, field: what }, 'a name', 'a number');
  if (end - begin > LONGEST_TEXT)
    throw new FormatError({ file, field: what }, `a name of at most ${LONGEST_TEXT} bytes`, String(end - begin));
  return new TextDecoder().decode(await read(begin, end));
}
