// Starts a Worker whose script is one of this library's, and makes sure that it is: a bundler may have left another at its address.
import { showValue } from '../arguments/show-value.js';
import { VERSION } from '../version.js';

/** The first message of a worker of this library: its script runs and takes tasks. */
export interface Ready {
  readonly kind: 'ready';
  readonly script: string;
  readonly version: string;
}
export const readyOf = (script: string): Ready => ({ kind: 'ready', script, version: VERSION });

/** Milliseconds for a worker's first message. */
const PATIENCE_MS = 1000;

/** Why a worker's first message is wrong; undefined if the worker is this library's. */
function strange(data: unknown, expected: Ready): string | undefined {
  const { kind, script, version } = (typeof data === 'object' && data !== null ? data : {}) as Partial<Ready>;
  if (kind !== expected.kind || script !== expected.script) return "another script lies at the worker's address";
  return version === expected.version ? undefined : `the worker's script is of version ${version}, and this is ${expected.version}`;
}

/** A worker whose first message is `expected`, or why there is none. */
export async function startWorker(
  start: () => Worker,
  expected: Ready,
  { signal, patience = PATIENCE_MS }: { readonly signal?: AbortSignal | undefined; readonly patience?: number } = {},
): Promise<Worker | string> {
  let worker: Worker | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop = (): void => {};
  let why = 'it was aborted';
  try {
    worker = start();
    const answer = await new Promise<string | undefined>((resolve) => {
      timer = setTimeout(resolve, patience, `the worker did not say who it is within ${patience / 1000} s`);
      worker!.onmessage = ({ data }) => resolve(strange(data, expected));
      worker!.onerror = (event) => {
        event.preventDefault?.(); // the result says it
        resolve(`the worker did not start: ${event.message || 'its script could not be loaded'}`);
      };
      stop = () => resolve(why); // the caller looks at its signal next
      signal?.addEventListener('abort', stop);
    });
    if (answer === undefined) return worker;
    why = answer;
  } catch (error) {
    // A page's policy forbids workers, or a script of another origin.
    why = `the worker could not be made: ${error instanceof Error ? error.message : showValue(error)}`;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
  worker?.terminate?.();
  return why;
}
