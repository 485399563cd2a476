// A file behind http(s), read by range requests (RFC 9110, section 14). The first request asks for the file's first bytes and learns its size
// from Content-Range. What a server says is checked: it may be wrong, or change its mind, and a body is never read past what was asked for.
import { FormatError, UnsupportedError } from '../errors.js';
import { asFormatError, guardedSource } from './guarded-source.js';
import type { ByteSource } from './tensor-file.js';

export interface HttpOptions {
  readonly fetch: typeof globalThis.fetch;
  readonly wholeUpTo: number;
  readonly signal: AbortSignal | undefined;
}

/** Bytes of the first request. They are kept: most headers need no second one. */
const FIRST = 65_536;

/** Without its query: that may hold a key, and this is for messages. */
export function nameOfUrl({ origin, pathname, protocol }: URL): string {
  if (protocol === 'data:' || protocol === 'blob:') return protocol;
  try {
    return origin + decodeURIComponent(pathname);
  } catch {
    return origin + pathname;
  }
}

/** @throws FormatError, UnsupportedError, what `signal` was aborted with */
export async function httpSource(url: URL, { fetch, wholeUpTo, signal }: HttpOptions): Promise<ByteSource> {
  const file = nameOfUrl(url);
  const ask = async (init: RequestInit, abort: AbortSignal | undefined): Promise<Response> => {
    try {
      return await fetch(url.href, { ...init, signal: abort ?? null });
    } catch (error) {
      abort?.throwIfAborted();
      throw asFormatError(error, { file, field: 'request' }, 'an answer');
    }
  };
  const part = (begin: number, end: number, abort: AbortSignal | undefined) =>
    ask({ headers: { Range: `bytes=${begin}-${end - 1}` } }, abort);

  const first = await part(0, FIRST, signal);
  if (first.status === 416 && /^bytes \*\/0$/.test(first.headers.get('Content-Range') ?? '')) return guardedSource(file, 0, never);
  if (first.status === 200) {
    const bytes = await readWhole(first, { file, atMost: wholeUpTo, signal });
    return guardedSource(file, bytes.byteLength, async (begin, end) => bytes.slice(begin, end));
  }
  if (first.status !== 206) throw await refused(first, file);
  const size = rangeOf(first, file)?.size ?? (await sizeByHead(() => ask({ method: 'HEAD' }, signal), file));
  const head = await readExactly(first, { file, begin: 0, end: Math.min(FIRST, size), size, signal });

  return guardedSource(file, size, async (begin, end, abort) => {
    if (end <= head.byteLength) return head.slice(begin, end);
    const response = await part(begin, end, abort);
    if (response.status !== 206) throw await refused(response, file);
    return readExactly(response, { file, begin, end, size, signal: abort });
  });
}

const never = async (): Promise<never> => {
  throw new Error('an empty file has no parts');
};

async function refused(response: Response, file: string): Promise<FormatError> {
  await drop(response);
  return new FormatError({ file, field: 'HTTP status' }, '206, a part of the file', `${response.status} ${response.statusText}`.trim());
}

/** Nothing more is downloaded. */
const drop = async (response: Response): Promise<void> => response.body?.cancel().catch(() => undefined);

/** Undefined where a page of another origin may not see it (Access-Control-Expose-Headers). */
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
  const bytes = new Uint8Array(end - begin);
  const at = { file, field: `bytes ${begin} to ${end}` };
  const got = await pump(response, { at, signal, atMost: bytes.length, take: (chunk, place) => bytes.set(chunk, place) });
  if (got > bytes.length) throw new FormatError(at, `${bytes.length} bytes`, 'more');
  return bytes.subarray(0, got); // a guarded source finds what is missing
}

interface Whole {
  readonly file: string;
  readonly atMost: number;
  readonly signal: AbortSignal | undefined;
}

/** The body of a server that does not know ranges. */
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
  const bytes = new Uint8Array(got);
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

/** Hands on the body as it comes. Returns its bytes; stops, and returns more than atMost, if there are more. */
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
    throw asFormatError(error, at, `a body that does not break off after ${got} bytes`);
  }
  return got;
}
