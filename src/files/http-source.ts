// Reads a file over http(s) by range requests (RFC 9110, section 14). The first request reads the first bytes and learns the size from
// Content-Range. Answers are checked, since a server may be wrong or the file may change; a body is not read past the requested range.
import { FormatError, ReadError, UnsupportedError } from '../errors.js';
import { asReadError, guardedSource, memoryFor } from './guarded-source.js';
import { asking, nameOfUrl } from './http-request.js';
import type { ByteSource } from './tensor-file.js';

export interface HttpOptions {
  readonly fetch: typeof globalThis.fetch;
  readonly wholeUpTo: number;
  readonly signal: AbortSignal | undefined;
}

/** Bytes of the first request. They stay in memory, and most headers need no second request. */
const FIRST = 65_536;

/** Is the URL of the page's origin? For other origins, unlisted headers cost a preflight request, or fail. */
const isOwn = ({ origin }: URL): boolean => {
  const page = (globalThis as { location?: { origin?: string } }).location?.origin;
  return page === undefined || page === origin;
};

/** A file of a server. */
export interface HttpSource extends ByteSource {
  /** ETag and time of change, as far as the page may read them: another version has others. */
  readonly version: string;
}

/** @throws ReadError, FormatError, UnsupportedError, the reason of `signal` */
export async function httpSource(url: URL, { fetch, wholeUpTo, signal }: HttpOptions): Promise<HttpSource> {
  const file = nameOfUrl(url);
  const ask = asking(url, fetch);
  const part = (begin: number, end: number, abort: AbortSignal | undefined, more: Readonly<Record<string, string>> = {}) =>
    ask({ headers: { Range: `bytes=${begin}-${end - 1}`, ...more } }, abort);

  const first = await part(0, FIRST, signal);
  const version = versionOf(first);
  const versioned = (source: ByteSource): HttpSource => ({
    ...source,
    version: Object.values(version)
      .map((value) => value ?? '')
      .join(' '),
  });
  if (first.status === 416 && /^bytes \*\/0$/.test(first.headers.get('Content-Range') ?? ''))
    return versioned(guardedSource(file, 0, never));
  if (first.status === 200) {
    const bytes = await readWhole(first, { file, atMost: wholeUpTo, signal });
    return versioned(guardedSource(file, bytes.byteLength, async (begin, end) => bytes.slice(begin, end)));
  }
  if (first.status !== 206) throw await refused(first, file);
  const size = rangeOf(first, file)?.size ?? (await sizeByHead(() => ask({ method: 'HEAD' }, signal), file));
  const head = await readExactly(first, { file, begin: 0, end: Math.min(FIRST, size), size, signal });
  // Servers compare strong tags only (RFC 9110, section 13.1.5).
  const ifRange = isOwn(url) && version.ETag && !version.ETag.startsWith('W/') ? { 'If-Range': version.ETag } : {};

  const read: ByteSource['read'] = async (begin, end, abort) => {
    if (end <= head.byteLength) return head.slice(begin, end);
    const response = await part(begin, end, abort, ifRange);
    const changed = Object.entries(versionOf(response)).find(([name, value]) => value && version[name] && value !== version[name]);
    if (changed) {
      await drop(response);
      throw new FormatError({ file, field: changed[0] }, `${version[changed[0]]}, as when it was opened`, changed[1]!);
    }
    if (response.status !== 206) throw await refused(response, file, response.status === 200);
    return readExactly(response, { file, begin, end, size, signal: abort });
  };
  return versioned(guardedSource(file, size, read));
}

/** The headers that identify a version of a file, where the page may read them. */
const versionOf = ({ headers }: Response): Readonly<Record<string, string | null>> =>
  Object.fromEntries(['ETag', 'Last-Modified'].map((name) => [name, headers.get(name)]));

const never = async (): Promise<never> => {
  throw new Error('an empty file has no parts');
};

/** @param changed the complete file came instead of a part, although parts came before */
async function refused(response: Response, file: string, changed = false): Promise<Error> {
  await drop(response);
  const { status } = response;
  const got = `${status} ${response.statusText}`.trim();
  if (changed) return new FormatError({ file, field: 'HTTP status' }, '206, a part of the file as it was opened', got);
  return new ReadError(file, `HTTP status ${got}`, { status, missing: status === 404 || status === 410 });
}

/** Stops the download. */
const drop = async (response: Response): Promise<void> => response.body?.cancel().catch(() => undefined);

/** The range of an answer; undefined if a page of another origin may not read it (Access-Control-Expose-Headers). */
function rangeOf(response: Response, file: string): { begin: number; end: number; size: number | undefined } | undefined {
  const text = response.headers.get('Content-Range');
  if (text === null) return undefined;
  const [, begin, last, size] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(text) ?? [];
  const range = { begin: Number(begin), end: Number(last) + 1, size: size === '*' ? undefined : Number(size) };
  const whole = [range.begin, range.end, range.size ?? 0].every(Number.isSafeInteger);
  if (!whole) throw new FormatError({ file, field: 'Content-Range' }, 'bytes BEGIN-LAST/SIZE', text.slice(0, 80));
  return range;
}

async function sizeByHead(ask: () => Promise<Response>, file: string): Promise<number> {
  const response = await ask();
  await drop(response);
  const text = response.ok ? response.headers.get('Content-Length') : null;
  const size = /^\d+$/.test(text ?? '') ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(size)) return size;
  throw new FormatError({ file, field: 'size' }, 'Content-Range or Content-Length that this page may see', String(text));
}

interface Part {
  readonly file: string;
  readonly begin: number;
  readonly end: number;
  readonly size: number;
  readonly signal: AbortSignal | undefined;
}

async function readExactly(response: Response, { file, begin, end, size, signal }: Part): Promise<Uint8Array<ArrayBuffer>> {
  const range = rangeOf(response, file);
  const agrees = !range || (range.begin === begin && range.end === end && (range.size ?? size) === size);
  if (!agrees) {
    await drop(response);
    throw new FormatError(
      { file, field: 'Content-Range' },
      `bytes ${begin}-${end - 1}/${size}`,
      `bytes ${range.begin}-${range.end - 1}/${range.size ?? '*'}`,
    );
  }
  const bytes = memoryFor(end - begin, file);
  const at = { file, field: `bytes ${begin} to ${end}` };
  const got = await pump(response, { at, signal, atMost: bytes.length, take: (chunk, place) => bytes.set(chunk, place) });
  if (got > bytes.length) throw new FormatError(at, `${bytes.length} bytes`, 'more');
  return bytes.subarray(0, got); // guardedSource reports missing bytes
}

interface Whole {
  readonly file: string;
  readonly atMost: number;
  readonly signal: AbortSignal | undefined;
}

/** Reads the complete body of a server that does not know ranges. */
async function readWhole(response: Response, { file, atMost, signal }: Whole): Promise<Uint8Array<ArrayBuffer>> {
  const tooLong = (): UnsupportedError =>
    new UnsupportedError(file, [
      'the server answers a request for a part with the whole file (200 instead of 206)',
      `a whole file is only read up to ${atMost} bytes (option wholeUpTo)`,
    ]);
  const declared = Number(response.headers.get('Content-Length') ?? 0);
  if (declared > atMost) {
    await drop(response);
    throw tooLong();
  }
  const chunks: Uint8Array[] = [];
  const got = await pump(response, { at: { file, field: 'body' }, signal, atMost, take: (chunk) => chunks.push(chunk) });
  if (got > atMost) throw tooLong();
  const bytes = memoryFor(got, file);
  let place = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, place);
    place += chunk.length;
  }
  return bytes;
}

interface Pump {
  readonly at: { readonly file: string; readonly field: string };
  readonly signal: AbortSignal | undefined;
  readonly atMost: number;
  readonly take: (chunk: Uint8Array, place: number) => void;
}

/** Passes on the body in chunks. Returns the number of bytes; if there are more than atMost, stops and returns more than atMost. */
async function pump(response: Response, { at, signal, atMost, take }: Pump): Promise<number> {
  const reader = response.body?.getReader();
  let got = 0;
  try {
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      const chunk = next.value as Uint8Array;
      if (got + chunk.length > atMost) {
        await reader?.cancel().catch(() => undefined);
        return got + chunk.length;
      }
      take(chunk, got);
      got += chunk.length;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw asReadError(error, at.file, `the answer breaks off after ${got} bytes`);
  }
  return got;
}
