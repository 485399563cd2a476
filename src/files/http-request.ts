// Requests to one URL. Credentials go into a header, answers 429 and 503 are asked again after Retry-After, and errors name the URL without
// secrets.
import { log } from '../log.js';
import { asReadError } from './guarded-source.js';

/** The URL in messages, without credentials and query, which may be secrets. */
export function nameOfUrl({ origin, pathname, protocol }: URL): string {
  if (protocol === 'data:' || protocol === 'blob:') return protocol;
  try {
    return origin + decodeURIComponent(pathname);
  } catch {
    return origin + pathname;
  }
}

export type Ask = (init: RequestInit, signal: AbortSignal | undefined) => Promise<Response>;

/** Statuses that ask to try again later. */
const LATER = [429, 503];
const TRIES = 5;
/** Longest wait in milliseconds. */
const LONGEST_WAIT = 60_000;

/** Milliseconds to wait: Retry-After in seconds or as a date; without it, longer with each try. */
function waitOf(response: Response, before: number): number {
  const said = response.headers.get('Retry-After') ?? '';
  const wait = /^\d+$/.test(said) ? Number(said) * 1000 : Date.parse(said) - Date.now();
  return Math.min(LONGEST_WAIT, Math.max(0, Number.isFinite(wait) ? wait : 250 * 2 ** before));
}

const sleep = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });

/** @throws (the function) ReadError without an answer, the reason of `signal` */
export function asking(url: URL, fetch: typeof globalThis.fetch): Ask {
  const file = nameOfUrl(url);
  const bare = new URL(url);
  const { username, password } = url;
  bare.username = '';
  bare.password = '';
  const utf8 = new TextEncoder().encode(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`);
  const secret: HeadersInit = username || password ? { Authorization: `Basic ${btoa(String.fromCharCode(...utf8))}` } : {};
  const once: Ask = async (init, signal) => {
    try {
      return await fetch(bare.href, {
        ...init,
        headers: { ...secret, ...(init.headers as Record<string, string>) },
        signal: signal ?? null,
      });
    } catch (error) {
      signal?.throwIfAborted();
      const { message, cause } = error as { message?: string; cause?: unknown };
      throw asReadError(
        { message: (message ?? String(error)).replaceAll(bare.href, file).replaceAll(url.href, file), cause },
        file,
        'request',
      );
    }
  };
  return async (init, signal) => {
    for (let before = 0; ; before++) {
      const response = await once(init, signal);
      if (!LATER.includes(response.status) || before === TRIES - 1) return response;
      await response.body?.cancel().catch(() => undefined);
      const { status } = response;
      const ms = waitOf(response, before);
      log(fetch, 'retried', `${file}: status ${status}, asked again in ${ms} ms`, { file, status, ms, tries: before + 1 });
      await sleep(ms, signal);
    }
  };
}
