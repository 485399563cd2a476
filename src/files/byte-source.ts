// byteSource: one interface to read parts of memory, a Blob, a URL or a path.
import { callback, fields, signal as isSignal, optional, reading, text, wholeNumber } from '../arguments/check.js';
import { arrayKind, showValue } from '../arguments/show-value.js';
import { ArgumentError } from '../errors.js';
import { asReadError, guardedSource } from './guarded-source.js';
import { httpSource } from './http-source.js';
import { nodeFile, nodeModules } from './node-file.js';
import type { ByteSource } from './tensor-file.js';

/** Sources of bytes. A string is a path where there is a file system; elsewhere it is a URL, absolute or relative to the page. */
export type BytesFrom = ArrayBuffer | Uint8Array | Blob | URL | string;

/** How bytes are fetched, and their name in messages. */
export interface ByteSourceOptions {
  /** Name in messages; also finds the files of a split GGUF. Default: the path, the URL without query, the File's name, or `memory`. */
  readonly name?: string | undefined;
  /** Default: the global fetch. Another one may add headers, count or retry. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Largest file, in bytes, that is kept in memory if the server does not know range requests. Default: 64 MiB. */
  readonly wholeUpTo?: number | undefined;
  /** Aborts the requests that learn the size. Each read takes another signal. */
  readonly signal?: AbortSignal | undefined;
}

/** The options as plain data. @throws ArgumentError */
export const checkSourceOptions = (options: ByteSourceOptions): ByteSourceOptions => OPTIONS(options, 'options') as ByteSourceOptions;
const OPTIONS = fields({
  name: optional(text),
  fetch: optional(callback),
  wholeUpTo: optional(wholeNumber(0)),
  signal: optional(isSignal),
});

/** `instanceof`, of a proxy that throws too. */
export const isA = <T>(value: unknown, kind: abstract new (...given: never[]) => T): value is T =>
  reading('from', () => value instanceof kind);

function memory(from: unknown): Uint8Array {
  if (arrayKind(from) === 'Uint8Array') return from as Uint8Array;
  const tag = reading('from', () => Object.prototype.toString.call(from));
  if (tag !== '[object ArrayBuffer]' && tag !== '[object SharedArrayBuffer]') throw new ArgumentError('from', EXPECTED, showValue(from));
  return reading('from', () => new Uint8Array(from as ArrayBuffer));
}
const EXPECTED = 'an ArrayBuffer, a Uint8Array, a Blob, a URL, or a string';

/** The URL or path of a string or URL. */
export function locate(from: URL | string): { readonly url: URL } | { readonly path: string } {
  if (isA(from, URL)) return located(from);
  if (/^(https?|file|blob|data):/i.test(from)) return located(parsed(from));
  const base = (globalThis as { location?: { href: string } }).location?.href;
  return nodeModules() || !base ? { path: from } : { url: parsed(from, base) };
}
function parsed(from: string, base?: string): URL {
  try {
    return new URL(from, base);
  } catch {
    throw new ArgumentError('from', 'a URL', 'text that is none'); // not shown: it may hold secrets
  }
}
const located = (url: URL): { url: URL } | { path: string } =>
  url.protocol === 'file:' ? { path: nodeModules()?.url.fileURLToPath(url) ?? url.pathname } : { url };

/**
 * Makes a source whose bytes can be read in parts.
 *
 * - ArrayBuffer, Uint8Array: parts are copies.
 * - Blob, File: parts are sliced and read on demand.
 * - An http(s) URL: range requests. If a server answers with the complete file (200), it may have at most `wholeUpTo` bytes.
 * - A path or file: URL, under Node, Deno or Bun: the file is opened for each read.
 *
 * `read` throws a FormatError with the file's name if the part lies outside the file, too few bytes come, or the file has changed (size,
 * ETag, time of change); a ReadError if disk, network or server fail. After a 429 or 503 it waits as Retry-After says and asks again.
 * @throws ReadError if it cannot be opened; UnsupportedError if the server cannot answer for parts of it, or for a path in a browser
 * @example
 * const source = await byteSource('https://example.org/model.safetensors', { fetch: (url, init) => fetch(url, { ...init, credentials: 'include' }) });
 * const first = await source.read(0, 8);
 */
export async function byteSource(from: BytesFrom, options: ByteSourceOptions = {}): Promise<ByteSource> {
  const { fetch = globalThis.fetch, wholeUpTo = 64 * 2 ** 20, signal, name } = checkSourceOptions(options);
  signal?.throwIfAborted();
  if (isA(from, Blob)) return blobSource(from, name ?? (from as { name?: string }).name ?? 'Blob');
  if (typeof from !== 'string' && !isA(from, URL)) {
    const bytes = memory(from);
    return guardedSource(name ?? 'memory', bytes.byteLength, async (begin, end) => new Uint8Array(bytes.subarray(begin, end)));
  }
  const place = locate(from);
  const source = 'path' in place ? await nodeFile(place.path) : await httpSource(place.url, { fetch, wholeUpTo, signal });
  return name === undefined ? source : { ...source, name };
}

function blobSource(blob: Blob, name: string): ByteSource {
  return guardedSource(name, blob.size, async (begin, end) => {
    try {
      return new Uint8Array(await blob.slice(begin, end).arrayBuffer());
    } catch (error) {
      throw asReadError(error, name, `bytes ${begin} to ${end}`); // gone, or changed on disk
    }
  });
}
