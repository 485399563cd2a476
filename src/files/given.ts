// Checks of arguments of readers and writers of files: types of tensors, sources and options. The contents are checked by the formats, with
// FormatErrors.
import {
  bytes,
  type Check,
  callback,
  dictionary,
  fields,
  list,
  number,
  object,
  optional,
  property,
  signal,
  text,
  wholeNumber,
} from '../arguments/check.js';
import { ArgumentError, FormatError } from '../errors.js';
import type { ByteSource } from './tensor-file.js';

/** The numbers of a shape; readers of formats check that they are sizes. */
export const numbers = list(number);

/** A tensor in memory. */
export const rawTensor = fields({ name: text, file: optional(text), dtype: text, shape: numbers, bytes });

/** A source of bytes: name, size, and a method `read`. */
export const byteSource = fields({ name: text, size: wholeNumber(0), read: callback });

/** A tensor of a file, by its header. */
export const tensorInfo = fields({
  name: text,
  dtype: text,
  shape: numbers,
  source: byteSource,
  begin: wholeNumber(0),
  end: wholeNumber(0),
});

/** Tensors by name: a Map or an object with its methods. */
const tensorMap: Check<object> = (value, argument) => {
  const given = object(value, argument);
  for (const method of ['get', 'values', Symbol.iterator])
    if (typeof property(given, method, argument) !== 'function') throw new ArgumentError(argument, 'a Map of tensors', 'something else');
  let entries: readonly unknown[];
  try {
    entries = [...(given as Iterable<unknown>)];
  } catch {
    throw new ArgumentError(argument, 'a Map of tensors', 'what cannot be walked');
  }
  for (const entry of entries) {
    const [name, info] = Array.isArray(entry) ? entry : [];
    tensorInfo(info, `${argument}.get(${JSON.stringify(text(name, `${argument}: a name`))})`);
  }
  return given;
};

/** An open file. */
export const tensorFile = fields({ name: text, metadata: dictionary((value) => value), tensors: tensorMap });

/** Options for progress and abort. */
export const watched = { signal: optional(signal), onProgress: optional(callback) };

const resolve = callback as Check<Resolve>;
type Resolve = (name: string) => Source | Promise<Source>;
type Source = ReturnType<typeof byteSource> & { read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> };

/** Opens a file by the caller's resolver, and checks the source. @throws ArgumentError */
export async function opened(resolve: (name: string) => ByteSource | Promise<ByteSource>, name: string): Promise<ByteSource> {
  const source = await resolve(name);
  byteSource(source, `resolve(${JSON.stringify(name)})`);
  return source;
}

/** Options with a required resolver. @throws ArgumentError */
export const checkShards = (options: unknown) => fields({ resolve, signal: optional(signal) })(options, 'options');
/** Options with an optional resolver. @throws ArgumentError */
export const checkFound = (options: unknown) => fields({ resolve: optional(resolve), signal: optional(signal) })(options, 'options');
/** @throws ArgumentError */
export const checkSignal = (options: unknown) => fields({ signal: optional(signal) })(options, 'options');

/**
 * Reads bytes of a source, which the caller may have made, and checks that they are a Uint8Array of the requested length in separate
 * memory.
 * @throws ArgumentError, FormatError, errors of the source
 */
export async function readFrom(source: ByteSource, begin: number, end: number, abort?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const read = bytes(await source.read(begin, end, abort), `${source.name}: what read gave`);
  if (read.length !== end - begin)
    throw new FormatError({ file: source.name, field: `bytes ${begin} to ${end}` }, `${end - begin} bytes`, String(read.length));
  const own = read.byteOffset === 0 && read.byteLength === read.buffer.byteLength && read.buffer instanceof ArrayBuffer;
  return own ? (read as Uint8Array<ArrayBuffer>) : read.slice();
}
