// The two ends of the line between the page and its Worker. The page has one Worker and one GPUDevice, which lives in it.
//
// The page:    const result = await call('operator.run', args, { signal, onProgress, onPart });
//              Aborting `signal` rejects the call at once (with signal.reason) and aborts the job's own signal.
// The Worker:  a job is (args, context) => Promise<result>, found in the tables of jobs.ts; see JobContext below.
// Results are copied; `moved(result, [buffers])` hands buffers over instead. Arguments likewise by the option `transfer`.
// Errors cross as { name, message, fields } and come back as a JobError with the same name, sentence and fields.
// This file has no state of its own beyond the calls under way; demo/app/worker.ts starts the Worker, demo/worker/worker.ts is it.

// ------------------------------------------------------------------------------------------------------------- what a job is

export interface JobContext<Part = never> {
  /**
   * The one GPUDevice, opened when it is first asked for and again after a loss. Only one job has it at a time, from this call until the job
   * ends; the others wait here. So ask for it late, after what the CPU can do without it; a job that never asks never waits.
   * @throws UnsupportedError without WebGPU, and DeviceLostError (for the whole job) if the device goes while the job has it
   */
  device(): Promise<GPUDevice>;
  /** Aborted when the page cancels, or when the device that this job has is lost. */
  readonly signal: AbortSignal;
  /** What is being done, in a few words, and how much of all is done: 0 to 1, or undefined if nobody knows. */
  progress(fraction: number | undefined, text: string): void;
  /** Part of the result, ahead of the rest; the page's `onPart` gets it. */
  part(value: Part | Moved<Part>): void;
  /** Lets messages in, so that a cancel can arrive, and throws if one did. Long loops of the CPU await it every 20 to 50 ms. */
  breathe(): Promise<void>;
}

/** `Part` is what the job sends ahead of its result, if it does. Args, results and parts must survive structured cloning. */
// biome-ignore lint/suspicious/noExplicitAny: a job of any types
export type Job = (args: any, context: JobContext<any>) => Promise<unknown>;

/** A value, and the buffers in it that are handed over rather than copied. */
export class Moved<T> {
  constructor(
    readonly value: T,
    readonly buffers: readonly Transferable[],
  ) {}
}
export const moved = <T>(value: T, buffers: readonly Transferable[]): Moved<T> => new Moved(value, buffers);
export type Unmoved<T> = T extends Moved<infer Value> ? Value : T;

// ---------------------------------------------------------------------------------------------------------- what is said

/** What the page may know of the device. `lost` and `none` carry a sentence without its full stop. */
export type DeviceState =
  | { readonly state: 'opening' }
  | { readonly state: 'ready'; readonly facts: DeviceFacts }
  | { readonly state: 'lost'; readonly reason: string }
  | { readonly state: 'none'; readonly reason: string; readonly webgpu: boolean };

export interface DeviceFacts {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** WGSL language features of the browser. */
  readonly language: readonly string[];
  readonly caps: import('../../src/index.js').Caps;
  /** Milliseconds from submitting nothing until the queue is done, the median of several: part of every time that is measured. */
  readonly roundTrip: number;
  /** `formatReport` as it was after the last job: a text to paste. */
  readonly report: string;
}

export interface ErrorMessage {
  readonly name: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type ToWorker =
  | { readonly kind: 'call'; readonly id: number; readonly name: string; readonly args: unknown }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'open-device' }
  | { readonly kind: 'destroy-device' };

export type ToPage =
  | { readonly kind: 'progress'; readonly id: number; readonly fraction: number | undefined; readonly text: string }
  | { readonly kind: 'part'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorMessage }
  | { readonly kind: 'device'; readonly device: DeviceState }
  | { readonly kind: 'trouble'; readonly text: string };

// --------------------------------------------------------------------------------------------------------------- errors

/** An error of a job, on the page: `name` and `fields` are those of the error that was thrown in the Worker. */
export class JobError extends Error {
  readonly fields: Readonly<Record<string, unknown>>;
  constructor({ name, message, fields }: ErrorMessage) {
    super(message);
    this.name = name;
    this.fields = fields;
  }
}

const cloneable = (value: unknown): boolean => {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
};

export function errorMessage(error: unknown): ErrorMessage {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), fields: {} };
  const own = Object.entries(error).filter(([key, value]) => key !== 'name' && key !== 'message' && key !== 'stack' && cloneable(value));
  return { name: error.name, message: error.message, fields: Object.fromEntries(own) };
}

export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';

// --------------------------------------------------------------------------------------------------------------- the page

export interface CallOptions<Part = unknown> {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (fraction: number | undefined, text: string) => void;
  readonly onPart?: (value: Part) => void;
  readonly transfer?: readonly Transferable[];
}

export interface PageEnd {
  call(name: string, args: unknown, options?: CallOptions): Promise<unknown>;
  send(message: ToWorker): void;
}

/** The page's end. `onMessage` gets what is not about a call; `onFailure` a sentence if the Worker itself fails. */
export function pageEnd(
  worker: Worker,
  { onMessage, onFailure }: { onMessage: (message: ToPage) => void; onFailure: (text: string) => void },
): PageEnd {
  interface Pending {
    readonly options: CallOptions;
    readonly resolve: (value: unknown) => void;
    readonly reject: (error: unknown) => void;
  }
  const pending = new Map<number, Pending>();
  let last = 0;
  const send = (message: ToWorker, transfer: readonly Transferable[] = []): void => worker.postMessage(message, [...transfer]);

  worker.onmessage = ({ data }: MessageEvent<ToPage>) => {
    if (!('id' in data)) return onMessage(data);
    const found = pending.get(data.id);
    if (!found) return; // cancelled
    if (data.kind === 'progress') found.options.onProgress?.(data.fraction, data.text);
    else if (data.kind === 'part') found.options.onPart?.(data.value);
    else {
      pending.delete(data.id);
      if (data.kind === 'result') found.resolve(data.value);
      else found.reject(new JobError(data.error));
    }
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const text = `The Worker that computes for this page failed: ${event.message || 'its script did not load'}`;
    for (const { reject } of pending.values()) reject(new Error(text));
    pending.clear();
    onFailure(text);
  };

  return {
    send,
    call: (name, args, options = {}) =>
      new Promise((resolve, reject) => {
        const { signal, transfer } = options;
        if (signal?.aborted) return reject(signal.reason);
        const id = ++last;
        const cancel = (): void => {
          if (!pending.delete(id)) return;
          send({ kind: 'cancel', id });
          reject(signal?.reason);
        };
        const ended =
          <T>(settle: (value: T) => void) =>
          (value: T): void => {
            signal?.removeEventListener('abort', cancel);
            settle(value);
          };
        pending.set(id, { options, resolve: ended(resolve), reject: ended(reject) });
        signal?.addEventListener('abort', cancel, { once: true });
        send({ kind: 'call', id, name, args }, transfer);
      }),
  };
}
