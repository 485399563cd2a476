// Reads untrusted Protobuf messages field by field. It returns numbers, and the positions of all other values, which it skips; ONNX needs
// no more. Rule: protobuf.dev/programming-guides/encoding.
import { FormatError } from '../errors.js';
import { readFrom } from './given.js';
import { breather } from './pace.js';
import type { ByteSource } from './tensor-file.js';

export interface Field {
  readonly number: number;
  /** Position of the value; empty if it is a number. */
  readonly begin: number;
  readonly end: number;
  /** A number, read as signed 64 bits. */
  readonly value: number;
}

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

/** A varint and the position after it; undefined if there is none. */
function varint(bytes: Uint8Array, at: number): readonly [value: number, next: number] | undefined {
  let [low, high] = [0, 0];
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    if (i < 7) low += (byte & 127) * 2 ** (7 * i);
    else high += (byte & 127) * 2 ** (7 * (i - 7));
    // The highest bits of 64 make it negative.
    if (byte < 128) return [high >= 2 ** 14 ? low + (high - 2 ** 15) * 2 ** 49 : low + high * 2 ** 49, at + i + 1];
  }
  return undefined;
}

/** All varints of packed bytes. @throws FormatError */
export function varints(bytes: Uint8Array, { file, what }: Pick<Message, 'file' | 'what'>): number[] {
  const values: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const read = varint(bytes, at);
    if (!read) throw new FormatError({ file, field: what }, 'numbers', 'bytes that are none');
    values.push(read[0]);
    at = read[1];
  }
  return values;
}

/** Bytes of a value by the wire type of its key; undefined if a length comes first. */
const FIXED: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** The fields of a message at [begin, end). @throws FormatError */
export async function* fieldsOf({ read, file, what, breathe }: Message, begin: number, end: number): AsyncGenerator<Field> {
  for (let at = begin; at < end; ) {
    await breathe();
    const head = await read(at, Math.min(end, at + 20));
    const [key, next] = varint(head, 0) ?? [0, 0];
    const type = key % 8;
    const said = type === 0 || type === 2 ? varint(head, next) : ([0, next] as const);
    const size = type === 0 ? 0 : type === 2 ? said?.[0] : FIXED[type];
    if (!said || size === undefined || key < 8 || key > 2 ** 32)
      throw new FormatError({ file, field: what }, 'a protobuf field', `bytes that are none, at ${at}`);
    const first = at + said[1];
    if (!(size >= 0) || first + size > end)
      throw new FormatError(
        { file, field: what },
        `at most ${end - first} bytes at ${first}`,
        `${size}: the file is cut off, or is not ONNX`,
      );
    at = first + size;
    yield { number: Math.floor(key / 8), begin: first, end: at, value: said[0] };
  }
}

const LONGEST_TEXT = 4096;

/** @throws FormatError */
export async function textOf({ read, file, what }: Message, { begin, end }: Field): Promise<string> {
  if (end - begin > LONGEST_TEXT)
    throw new FormatError({ file, field: what }, `a name of at most ${LONGEST_TEXT} bytes`, String(end - begin));
  return new TextDecoder().decode(await read(begin, end));
}
