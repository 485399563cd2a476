// quantizeInWorker: `quantize` in a Worker if one starts, else on the calling thread with pauses.
import { signal as abortSignal, type Check, callback, flag, onlyFields, optional } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import type { Progress } from '../progress.js';
import { startWorker } from '../workers/start-worker.js';
import { type Answer, READY, type Task } from './messages.js';
import { checkQuantize, type QuantizeOptions, type Weights } from './options.js';
import { type Quantized, slices } from './slices.js';

/** Progress, abort and start of a quantization in a worker. */
export interface InWorkerOptions {
  /** Called with finished rows at most some twenty times a second, and after the last row. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Ends the worker. */
  readonly signal?: AbortSignal | undefined;
  /** Transfers the weights' memory to the worker instead of copying; the caller's array is then empty. Default false. */
  readonly transfer?: boolean | undefined;
  /**
   * Starts the worker, for bundlers that do not find `new Worker(new URL(…))` in a package (rollup and esbuild). The script is
   * `antiquant/quantize-worker`. `false`: no worker. Default: the script beside this one.
   */
  readonly worker?: (() => Worker) | false | undefined;
}

/** The result of `quantizeInWorker`. */
export interface QuantizedInWorker extends Quantized {
  /** Why the calling thread did the work; absent if a worker did. */
  readonly noWorker?: string;
}

const HOW = onlyFields({
  onProgress: optional(callback),
  signal: optional(abortSignal),
  transfer: optional(flag),
  worker: optional((value, argument) => (value === false ? value : callback(value, argument))),
}) as Check<InWorkerOptions>;

/** The script's name is rare, so that a URL which a bundler left unchanged does not load another script. */
const ownWorker = (): Worker =>
  new Worker(new URL('./antiquant-quantize-worker.js', import.meta.url), { type: 'module', name: 'antiquant quantize' });

/**
 * Runs `quantize` in a new Worker, with the same result. If there are no Workers (Node), or none of this library's answers within a second,
 * it runs on the calling thread and pauses every 30 ms; `noWorker` says why.
 * @throws (rejects with) ArgumentError as `quantize`; the reason of `signal`
 * @example
 * const { matrix } = await quantizeInWorker(weights, { n, k, bits: 4, groupSize: 128, method: 'mse' }, {
 *   onProgress: ({ done, total }) => (bar.value = done / total), signal: AbortSignal.timeout(60_000),
 * });
 */
export async function quantizeInWorker(weights: Weights, options: QuantizeOptions, how: InWorkerOptions = {}): Promise<QuantizedInWorker> {
  const { signal, onProgress, transfer = false, worker: given } = HOW(how, 'options');
  signal?.throwIfAborted();
  const { top: _top, middle: _middle, ...checked } = checkQuantize(weights, options); // plain data, which can be posted
  const start = given ?? (typeof Worker === 'undefined' ? 'there are no Workers here' : ownWorker);
  const worker = start === false ? 'none was asked for' : typeof start === 'string' ? start : await startWorker(start, READY, { signal });
  if (typeof worker === 'string') {
    signal?.throwIfAborted();
    return { ...(await withPauses(weights, checked, { signal, onProgress })), noWorker: worker };
  }
  let stop = (): void => {};
  try {
    return await new Promise<Quantized>((resolve, reject) => {
      stop = () => reject(signal!.reason);
      if (signal?.aborted) return stop();
      signal?.addEventListener('abort', stop);
      worker.onerror = ({ message }) => reject(new Error(`the worker: ${message}`));
      worker.onmessageerror = () => reject(new Error('the worker: a message that cannot be read'));
      worker.onmessage = ({ data }: MessageEvent<Answer>) => {
        if (data.kind === 'progress') onProgress?.(data.progress);
        else if (data.kind === 'result') resolve(data.result);
        else if (data.kind === 'refused') reject(new ArgumentError(data.argument, data.expected, data.got));
        else if (data.kind === 'failed') reject(data.error);
      };
      send(worker, { weights, options: checked }, transfer);
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    worker.terminate();
  }
}

/** Posts the task. Shared memory and WebAssembly's cannot be transferred, so they are copied. */
function send(worker: Worker, task: Task, transfer: boolean): void {
  if (transfer) {
    try {
      worker.postMessage(task, [task.weights.buffer as ArrayBuffer]);
      return;
    } catch {}
  }
  worker.postMessage(task, []);
}

/** Milliseconds of work between pauses. */
const TURN = 30;

async function withPauses(
  weights: Weights,
  options: QuantizeOptions,
  { signal, onProgress }: Pick<InWorkerOptions, 'signal' | 'onProgress'>,
): Promise<Quantized> {
  const work = slices(weights, options);
  for (;;) {
    const began = performance.now();
    do {
      const step = work.next();
      if (step.done) return step.value;
      if (performance.now() - began < TURN && step.value.done < step.value.total) continue;
      onProgress?.(step.value);
    } while (performance.now() - began < TURN);
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
  }
}
