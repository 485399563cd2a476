// --header: headers of the requests for a model's files, e.g. a token. They go to the origin of the model alone.
import type { Given, Option } from './command.js';
import { UsageError } from './exit.js';

export const HEADER: Readonly<Record<string, Option>> = {
  header: {
    type: 'string',
    multiple: true,
    value: "'NAME: VALUE'",
    help: 'a header of each request, for a URL; may be given several times. It goes to the origin of the URL alone',
  },
};

/** Headers that a read of a part sets itself. */
const OWN = ['range', 'if-range'];

/** @throws UsageError, which does not show values: they may be secrets */
export function headersOf(given: Given): Headers | undefined {
  const lines = given.header as readonly string[] | undefined;
  if (!lines) return undefined;
  const headers = new Headers();
  for (const line of lines) {
    const at = line.indexOf(':');
    const name = line.slice(0, Math.max(0, at)).trim();
    if (name === '') throw new UsageError("--header: expected 'NAME: VALUE', got one without a name or a colon");
    if (OWN.includes(name.toLowerCase())) throw new UsageError(`--header: expected another than ${name}, which each read of a part sets`);
    try {
      headers.append(name, line.slice(at + 1).trim());
    } catch {
      throw new UsageError(`--header: expected a name and a value that HTTP allows, got others for ${name}`);
    }
  }
  return headers;
}

/** A fetch that sends the headers to an origin. Those of a request itself come first. */
export const fetchWith =
  (headers: Headers, { origin }: URL, fetch = globalThis.fetch): typeof globalThis.fetch =>
  (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.origin !== origin) return fetch(input, init);
    const all = new Headers(headers);
    new Headers(init?.headers).forEach((value, name) => {
      all.set(name, value);
    });
    return fetch(input, { ...init, headers: all });
  };
