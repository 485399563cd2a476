// The two ends of the connection between the page and its Worker. The page has one Worker, which has one GPUDevice.
//
// The page:    const result = await call('operator.run', args, { signal, onProgress, onPart });
//              Aborting `signal` rejects the call at once (with signal.reason) and aborts the job's signal.
// The Worker:  a job is (args, context) => Promise<result>, found in the tables of jobs.ts; see JobContext below.
// Results are copied; `moved(result, [buffers])` transfers buffers instead. For arguments, use the option `transfer`.
// Errors cross as { name, message, fields } and come back as a JobError with the same name, sentence and fields.
// demo/app/worker.ts starts the Worker; demo/worker/worker.ts is its script.

// ------------------------------------------------------------------------------------------------------------- what a job is

export interface JobContext<Part = never> {
  /**
   * The GPUDevice, opened at its first use and again after a loss. One job has it at a time, from this call until the job ends; others wait
   * here. So call it late, after the work on the CPU. A job that never calls it never waits.
   * @throws UnsupportedError without WebGPU; DeviceLostError, for the job, if the device is lost while the job has it
   */
  device(): Promise<GPUDevice>;
  /** Aborted when the page cancels, or when the job's device is lost. */
  readonly signal: AbortSignal;
  /** Reports the current step in a few words and the progress from 0 to 1, or undefined if unknown. */
  progress(fraction: number | undefined, text: string): void;
  /** Sends a part of the result ahead of the rest to the page's `onPart`. */
  part(value: Part | Moved<Part>): void;
  /** Pauses, so that a cancel can arrive, and throws if one did. Long loops on the CPU await it every 20 to 50 ms. */
  breathe(): Promise<void>;
}

/** A job. `Part` is the type of parts that it sends ahead of its result. Args, results and parts must survive structured cloning. */
// biome-ignore lint/suspicious/noExplicitAny: a job of any types
export type Job = (args: any, context: JobContext<any>) => Promise<unknown>;

/** A value with buffers that are transferred instead of copied. */
export class Moved<T> {
  constructor(
    readonly value: T,
    readonly buffers: readonly Transferable[],
  ) {}
}
export const moved = <T>(value: T, buffers: readonly Transferable[]): Moved<T> => new Moved(value, buffers);
export type Unmoved<T> = T extends Moved<infer Value> ? Value : T;

// --------------------------------------------------------------------------------------------------------------- messages

/** The device's state on the page. `lost` and `none` have a sentence without its full stop. */
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
  /** Median milliseconds from an empty submit until the queue is done; every measured time contains it. */
  readonly roundTrip: number;
  /** `formatReport` after the last job. */
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

/** An error of a job on the page, with `name` and `fields` of the error in the Worker. */
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

/** The page's end. `onMessage` gets messages that belong to no call; `onFailure` a sentence if the Worker fails. */
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
