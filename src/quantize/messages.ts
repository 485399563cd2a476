// The messages between a page and its worker, and the worker's side.
import { ArgumentError } from '../errors.js';
import type { Progress } from '../progress.js';
import { type Ready, readyOf } from '../workers/start-worker.js';
import type { QuantizeOptions, Weights } from './options.js';
import { type Quantized, slices } from './slices.js';

export interface Task {
  readonly weights: Weights;
  readonly options: QuantizeOptions;
}

export type Answer =
  /** Tells the page that this library's script runs and takes a task. */
  | Ready
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'result'; readonly result: Quantized }
  /** The fields of an ArgumentError, since a cloned error loses its class; or another error. */
  | { readonly kind: 'refused'; readonly argument: string; readonly expected: string; readonly got: string }
  | { readonly kind: 'failed'; readonly error: unknown };

export const READY: Ready = readyOf('antiquant quantize');

/** The parts of a worker's global scope, or of a MessagePort, that are used. */
export interface Port {
  postMessage(message: Answer, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent) => unknown) | null;
}

/** Milliseconds between two messages of progress. */
const INTERVAL = 50;

export function serve(port: Port): void {
  port.onmessage = ({ data }) => {
    const answer = run(data as Task, (progress) => port.postMessage({ kind: 'progress', progress }, []));
    const matrix = answer.kind === 'result' ? answer.result.matrix : undefined;
    const arrays = matrix ? [matrix.codes, matrix.scale, matrix.zeroPoint, matrix.inputScale] : [];
    port.postMessage(
      answer,
      arrays.flatMap((array) => (array ? [array.buffer as ArrayBuffer] : [])),
    );
  };
  port.postMessage(READY, []);
}

function run({ weights, options }: Task, tell: (progress: Progress) => void): Answer {
  try {
    const work = slices(weights, options);
    let told = Number.NEGATIVE_INFINITY;
    for (;;) {
      const step = work.next();
      if (step.done) return { kind: 'result', result: step.value };
      if (performance.now() - told < INTERVAL && step.value.done < step.value.total) continue;
      told = performance.now();
      tell(step.value);
    }
  } catch (error) {
    if (!(error instanceof ArgumentError)) return { kind: 'failed', error };
    const { argument, expected, got } = error;
    return { kind: 'refused', argument, expected, got };
  }
}
