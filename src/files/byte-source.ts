// byteSource: one interface to read parts of memory, a Blob, a URL or a path.
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

/** The URL or path of a string or URL. */
export function locate(from: URL | string): { readonly url: URL } | { readonly path: string } {
  if (from instanceof URL) return located(from);
  if (/^(https?|file|blob|data):/i.test(from)) {
    if (!URL.canParse(from)) throw new ArgumentError('address', 'a URL', 'none'); // it may hold secrets
    return located(new URL(from));
  }
  const base = (globalThis as { location?: { href: string } }).location?.href;
  return nodeModules() || !base ? { path: from } : { url: new URL(from, base) };
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
  const { fetch = globalThis.fetch, wholeUpTo = 64 * 2 ** 20, signal, name } = options;
  signal?.throwIfAborted();
  if (from instanceof Blob) return blobSource(from, name ?? (from as { name?: string }).name ?? 'Blob');
  if (typeof from !== 'string' && !(from instanceof URL)) {
    const bytes = from instanceof Uint8Array ? from : new Uint8Array(from);
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
