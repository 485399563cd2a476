// The test page's part of quantize.spec.ts: quantizes weights in this browser's worker and on the page's thread.
import { type InWorkerOptions, quantizeInWorker } from '../src/quantize/in-worker.js';
import type { QuantizeOptions } from '../src/quantize/options.js';
import { quantize } from '../src/quantize/quantize.js';
import { random } from '../test/cases/data.js';

const [n, k] = [1024, 1024];

export interface WorkerReport {
  /** Workers that were started. */
  readonly workers: number;
  /** Why none did it. */
  readonly noWorker: string | undefined;
  readonly same: boolean;
  /** Rows that were told of, each time. */
  readonly told: readonly number[];
  /** The longest time for which the page stood still, and all of it, in ms. */
  readonly longest: number;
  readonly ms: number;
  readonly error: string;
}

export async function quantizeAndReport(how: { readonly abortAfter?: number; readonly nan?: boolean }): Promise<WorkerReport> {
  const next = random('browser');
  const weights = Float32Array.from({ length: n * k }, () => next() + next() - 1);
  if (how.nan) weights[5 * k + 3] = Number.NaN;
  const options: QuantizeOptions = { n, k, bits: 4, groupSize: 128, method: 'hqq' };
  let workers = 0;
  const Real = globalThis.Worker;
  globalThis.Worker = class extends Real {
    constructor(url: string | URL, init?: WorkerOptions) {
      super(url, init);
      workers++;
    }
  };
  const told: number[] = [];
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  });
  const controller = new AbortController();
  const inWorker: InWorkerOptions = {
    signal: controller.signal,
    onProgress({ done }) {
      told.push(done);
      if (told.length === how.abortAfter) controller.abort(new Error('enough'));
    },
  };
  const began = performance.now();
  try {
    const result = await quantizeInWorker(weights, options, inWorker);
    const ms = performance.now() - began;
    clearInterval(timer);
    const wanted = quantize(weights, options);
    const same = ([a, b]: readonly [ArrayLike<number>, ArrayLike<number>]): boolean =>
      a.length === b.length && Array.from(a).every((value, i) => value === b[i]);
    const pairs = (['codes', 'scale', 'zeroPoint'] as const).map((name) => [result.matrix[name]!, wanted.matrix[name]!] as const);
    return { workers, noWorker: result.noWorker, same: pairs.every(same), told, longest, ms, error: '' };
  } catch (error) {
    return { workers, noWorker: undefined, same: false, told, longest, ms: performance.now() - began, error: `${error}` };
  } finally {
    clearInterval(timer);
    globalThis.Worker = Real;
  }
}
