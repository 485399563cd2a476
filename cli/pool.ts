// A pool of threads that quantize, each one piece of a layer at a time; or the calling thread if one is enough.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ArgumentError, type Quantized, type QuantizeOptions, quantize, type Weights } from '../src/formats.js';
import type { Answer, Task } from '../src/quantize/messages.js';

export interface Pool {
  /** Useful number of pieces in work at once. */
  readonly size: number;
  /** Takes the weights' memory. @throws ArgumentError as `quantize` */
  run(weights: Weights, options: QuantizeOptions): Promise<Quantized>;
  close(): Promise<void>;
}

/** URL of this file. In the package, the worker's script is beside it; sources run without threads. */
const here = import.meta.url;
const SCRIPT = fileURLToPath(new URL('worker.js', here));

const HERE: Pool = {
  size: 1,
  run: async (weights, options) => {
    await new Promise((resolve) => setImmediate(resolve)); // lets signals arrive
    return quantize(weights, options);
  },
  close: async () => {},
};

function ask(worker: Worker, task: Task): Promise<Quantized> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void): void => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      end();
    };
    const onError = (error: unknown): void => settle(() => reject(error));
    const onExit = (): void => onError(new Error('a thread has ended')); // also after close()
    const onMessage = (answer: Answer): void => {
      if (answer.kind === 'result') settle(() => resolve(answer.result));
      else if (answer.kind === 'refused') settle(() => reject(new ArgumentError(answer.argument, answer.expected, answer.got)));
      else if (answer.kind === 'failed') onError(answer.error);
    };
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(task, [task.weights.buffer as ArrayBuffer]);
  });
}

/** Threads start when they are first needed. */
export function openPool(threads: number): Pool {
  if (threads <= 1 || !existsSync(SCRIPT)) return HERE;
  const all: Worker[] = [];
  const idle: Worker[] = [];
  const waiting: ((worker: Worker) => void)[] = [];
  const take = (): Worker | Promise<Worker> => {
    const free = idle.pop();
    if (free) return free;
    if (all.length === threads) return new Promise((resolve) => waiting.push(resolve));
    const worker = new Worker(SCRIPT);
    all.push(worker);
    return worker;
  };
  return {
    size: threads + 1, // one piece is read while the others are in work
    async run(weights, options) {
      const worker = await take();
      try {
        return await ask(worker, { weights, options });
      } finally {
        const next = waiting.shift();
        if (next) next(worker);
        else idle.push(worker);
      }
    },
    async close() {
      await Promise.all(all.map((worker) => worker.terminate()));
    },
  };
}
