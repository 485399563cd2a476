// Reads values of GGUF's key-value pairs. Long arrays, such as the vocabulary, are checked but not stored: a GgufArray has their position.
// Source: ggml's docs/gguf.md, enum gguf_metadata_value_type and union gguf_metadata_value_t.
import { fields, reading, text, wholeNumber } from '../arguments/check.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError, FormatError } from '../errors.js';
import { type Cursor, openCursor } from './cursor.js';
import { byteSource, checkSignal } from './given.js';
import type { ByteSource } from './tensor-file.js';

/** A long array of a header, by its position. readGgufArray reads it. */
export interface GgufArray {
  /** Type of the elements: UINT8, …, STRING, ARRAY. */
  readonly of: string;
  readonly length: number;
  readonly source: ByteSource;
  /** Position of its elements in the source. */
  readonly begin: number;
  readonly end: number;
}

/** Is a value of GGUF's metadata a GgufArray, which `readGgufArray` reads? */
export const isGgufArray = (value: unknown): value is GgufArray =>
  typeof value === 'object' && value !== null && reading('value', () => !Array.isArray(value) && 'of' in value);

interface Scalar {
  readonly name: string;
  readonly bytes: number;
  readonly get: (view: DataView, at: number) => number | bigint;
}

const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const SCALARS: ReadonlyMap<number, Scalar> = new Map([
  [0, { name: 'UINT8', bytes: 1, get: (view, at) => view.getUint8(at) }],
  [1, { name: 'INT8', bytes: 1, get: (view, at) => view.getInt8(at) }],
  [2, { name: 'UINT16', bytes: 2, get: (view, at) => view.getUint16(at, true) }],
  [3, { name: 'INT16', bytes: 2, get: (view, at) => view.getInt16(at, true) }],
  [4, { name: 'UINT32', bytes: 4, get: (view, at) => view.getUint32(at, true) }],
  [5, { name: 'INT32', bytes: 4, get: (view, at) => view.getInt32(at, true) }],
  [6, { name: 'FLOAT32', bytes: 4, get: (view, at) => view.getFloat32(at, true) }],
  [BOOL, { name: 'BOOL', bytes: 1, get: (view, at) => view.getUint8(at) }],
  [10, { name: 'UINT64', bytes: 8, get: (view, at) => narrow(view.getBigUint64(at, true)) }],
  [11, { name: 'INT64', bytes: 8, get: (view, at) => narrow(view.getBigInt64(at, true)) }],
  [12, { name: 'FLOAT64', bytes: 8, get: (view, at) => view.getFloat64(at, true) }],
]);
const narrow = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

const nameOf = (type: number): string | undefined =>
  SCALARS.get(type)?.name ?? (type === STRING ? 'STRING' : type === ARRAY ? 'ARRAY' : undefined);
/** Least bytes of an element. An array's length is compared with the remaining bytes before memory is allocated. */
const fewest = (type: number): number => SCALARS.get(type)?.bytes ?? (type === STRING ? 8 : 12);

const LONGEST_STRING = 16 * 2 ** 20;
const DEEPEST = 8;

/** Elements to store: arrays of up to `each` elements, and `all` elements together. */
export interface Budget {
  readonly each: number;
  all: number;
}
export const headerBudget = (): Budget => ({ each: 1024, all: 2 ** 20 });

/** Reads and checks a value type. */
async function typeFrom(cursor: Cursor, field: string): Promise<number> {
  if (!cursor.has(4)) await cursor.fill(4, field);
  const type = cursor.u32();
  if (nameOf(type) === undefined) throw new FormatError({ file: cursor.source.name, field }, 'a value type from 0 to 12', String(type));
  return type;
}

/** Reads a value's type and the value. @throws FormatError */
export async function typedValue(
  cursor: Cursor,
  field: string,
  budget: Budget,
): Promise<{ readonly type: string; readonly value: unknown }> {
  const type = await typeFrom(cursor, field);
  const read = type === ARRAY ? array(cursor, field, budget, 1) : type === STRING ? string(cursor, field) : scalar(cursor, type, field);
  return { type: nameOf(type)!, value: await read };
}

async function scalar(cursor: Cursor, type: number, field: string): Promise<number | bigint | boolean> {
  const { bytes } = SCALARS.get(type)!;
  if (!cursor.has(bytes)) await cursor.fill(bytes, field);
  return scalarHere(cursor, type, field);
}

/** A scalar whose bytes are in memory. */
function scalarHere(cursor: Cursor, type: number, field: string): number | bigint | boolean {
  const { bytes, get } = SCALARS.get(type)!;
  const value = get(...cursor.take(bytes));
  if (type !== BOOL) return value;
  if (value !== 0 && value !== 1) throw new FormatError({ file: cursor.source.name, field }, '0 or 1 for BOOL', String(value));
  return value === 1;
}

async function stringLength(cursor: Cursor, field: string): Promise<number> {
  if (!cursor.has(8)) await cursor.fill(8, field);
  return stringLengthHere(cursor, field);
}

/** A length whose bytes are in memory. */
function stringLengthHere(cursor: Cursor, field: string): number {
  const length = cursor.u64(field);
  if (length > Math.min(cursor.left, LONGEST_STRING))
    throw new FormatError(
      { file: cursor.source.name, field },
      `a string of at most ${Math.min(cursor.left, LONGEST_STRING)} bytes`,
      `${length}`,
    );
  return length;
}

async function string(cursor: Cursor, field: string): Promise<string> {
  const length = await stringLength(cursor, field);
  if (!cursor.has(length)) await cursor.fill(length, field);
  return cursor.utf8(length);
}

interface Elements {
  readonly type: number;
  readonly length: number;
  readonly depth: number;
}

async function array(cursor: Cursor, field: string, budget: Budget, depth: number): Promise<readonly unknown[] | GgufArray> {
  const elements = await elementsOf(cursor, field, depth);
  const { type, length } = elements;
  if (type !== ARRAY && length <= Math.min(budget.each, budget.all)) {
    budget.all -= length;
    return kept(cursor, elements, field, budget);
  }
  const { source, position: begin } = cursor;
  await passed(cursor, elements, field);
  return { of: nameOf(type)!, length, source, begin, end: cursor.position };
}

async function elementsOf(cursor: Cursor, field: string, depth: number): Promise<Elements> {
  const at = { file: cursor.source.name, field };
  if (depth > DEEPEST) throw new FormatError(at, `arrays in at most ${DEEPEST} levels`, 'more');
  const type = await typeFrom(cursor, field);
  if (!cursor.has(8)) await cursor.fill(8, field);
  const length = cursor.u64(field);
  const most = Math.floor(cursor.left / fewest(type));
  if (length > most) throw new FormatError(at, `an array of at most ${most} ${nameOf(type)} in the ${cursor.left} bytes left`, `${length}`);
  return { type, length, depth };
}

async function kept(cursor: Cursor, { type, length, depth }: Elements, field: string, budget: Budget): Promise<unknown[]> {
  const out: unknown[] = [];
  const bytes = SCALARS.get(type)?.bytes;
  // Waiting takes longer than reading: a vocabulary has 100,000 elements, and most are in memory.
  for (let i = 0; i < length; i++) {
    if (type === ARRAY) out.push(await kept(cursor, await elementsOf(cursor, field, depth + 1), field, budget));
    else if (bytes !== undefined) out.push(cursor.has(bytes) ? scalarHere(cursor, type, field) : await scalar(cursor, type, field));
    else {
      const size = cursor.has(8) ? stringLengthHere(cursor, field) : await stringLength(cursor, field);
      if (!cursor.has(size)) await cursor.fill(size, field);
      out.push(cursor.utf8(size));
    }
  }
  return out;
}

/** Skips an array's elements, and checks that all are there. */
async function passed(cursor: Cursor, { type, length, depth }: Elements, field: string): Promise<void> {
  const bytes = SCALARS.get(type)?.bytes;
  if (bytes !== undefined) cursor.skip(length * bytes);
  else if (type === STRING)
    for (let i = 0; i < length; i++) cursor.skip(cursor.has(8) ? quick(cursor, field) : await stringLength(cursor, field));
  else for (let i = 0; i < length; i++) await passed(cursor, await elementsOf(cursor, field, depth + 1), field);
}

/** stringLength without a promise, for bytes that are in memory: a vocabulary has many words. */
function quick(cursor: Cursor, field: string): number {
  const length = cursor.u64(field);
  if (length > cursor.left)
    throw new FormatError({ file: cursor.source.name, field }, `a string of at most ${cursor.left} bytes`, `${length}`);
  return length;
}

const ARRAY_GIVEN = fields({ of: text, length: wholeNumber(0), source: byteSource, begin: wholeNumber(0), end: wholeNumber(0) });

/**
 * Reads the elements of a long array, e.g. the words of a vocabulary.
 * @throws FormatError, ReadError, the reason of `signal`
 * @example const words = await readGgufArray(file.metadata['tokenizer.ggml.tokens'] as GgufArray);
 */
export async function readGgufArray(array: GgufArray, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<unknown[]> {
  ARRAY_GIVEN(array, 'array');
  const { signal } = checkSignal(options);
  const { source, begin, end, length } = array;
  const cursor = openCursor(source, { begin, end, what: 'the array', signal });
  const type = [...SCALARS.keys(), STRING, ARRAY].find((id) => nameOf(id) === array.of);
  if (type === undefined) throw new ArgumentError('array.of', 'a type of GGUF', showValue(array.of));
  return kept(cursor, { type, length, depth: 1 }, array.of, { each: length, all: length });
}
