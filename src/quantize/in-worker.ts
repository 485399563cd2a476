// quantize without standing still: in a Worker where there are some, else on the calling thread with pauses.
import { ArgumentError } from '../errors.js';
import type { Answer, Task } from './messages.js';
import type { QuantizeOptions, Weights } from './options.js';
import { type Progress, type Quantized, slices } from './slices.js';

/** How a quantization in a worker is watched, ended, and started. */
export interface InWorkerOptions {
  /** Some twenty times a second at most, and once all rows are done. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Ends the worker. */
  readonly signal?: AbortSignal | undefined;
  /** Moves the weights' memory to the worker in place of a copy; the caller's array is then empty. Default false. */
  readonly transfer?: boolean | undefined;
  /**
   * Starts the worker, for bundlers that do not find `new Worker(new URL(…))` in a package: its script is `antiquant/quantize-worker`.
   * `false`: no worker. Default: the script beside this one.
   */
  readonly worker?: (() => Worker) | false | undefined;
}

const ownWorker = (): Worker => new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'antiquant quantize' });

/**
 * `quantize` in a Worker of its own: the same result, and the calling thread is free. Where there are no Workers (Node), or none can be
 * started, it runs on the calling thread and lets others run every 30 ms.
 * @throws (rejects with) ArgumentError as `quantize`; what `signal` was aborted with
 * @example
 * const { matrix } = await quantizeInWorker(weights, { n, k, bits: 4, groupSize: 128, method: 'mse' }, {
 *   onProgress: ({ done, total }) => (bar.value = done / total), signal: AbortSignal.timeout(60_000),
 * });
 */
export async function quantizeInWorker(weights: Weights, options: QuantizeOptions, how: InWorkerOptions = {}): Promise<Quantized> {
  const { signal, onProgress, transfer = false, worker: given } = how;
  signal?.throwIfAborted();
  const start = given ?? (typeof Worker === 'undefined' ? false : ownWorker);
  const worker = start && (await startWorker(start, signal));
  if (!worker) {
    signal?.throwIfAborted();
    return withPauses(weights, options, { signal, onProgress });
  }
  let stop = (): void => {};
  try {
    return await new Promise<Quantized>((resolve, reject) => {
      stop = () => reject(signal!.reason);
      if (signal?.aborted) return stop();
      signal?.addEventListener('abort', stop);
      worker.onerror = ({ message }) => reject(new Error(`the worker: ${message}`));
      worker.onmessage = ({ data }: MessageEvent<Answer>) => {
        if (data.kind === 'progress') onProgress?.({ done: data.done, total: data.total });
        else if (data.kind === 'result') resolve(data.result);
        else if (data.kind === 'refused') reject(new ArgumentError(data.argument, data.expected, data.got));
        else if (data.kind === 'failed') reject(data.error);
      };
      const task: Task = { weights, options };
      worker.postMessage(task, transfer ? [weights.buffer as ArrayBuffer] : []);
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    worker.terminate();
  }
}

/** A worker whose script runs; undefined if it does not: no such file, or a page that may start none. */
async function startWorker(start: () => Worker, signal: AbortSignal | undefined): Promise<Worker | undefined> {
  let worker: Worker | undefined;
  let stop = (): void => {};
  try {
    worker = start();
    const runs = await new Promise<boolean>((resolve, reject) => {
      worker!.onmessage = () => resolve(true);
      worker!.onerror = (event) => {
        event.preventDefault?.(); // it has been answered
        resolve(false);
      };
      stop = () => reject(signal!.reason);
      signal?.addEventListener('abort', stop);
    });
    if (runs) return worker;
  } catch {
    // The constructor may throw where a page's policy forbids workers. Aborted: the caller looks at its signal next.
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  worker?.terminate();
  return undefined;
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
