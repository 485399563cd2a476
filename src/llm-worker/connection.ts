// The page's side of the messages: calls of sequences that are under way on one worker.
import { ArgumentError, DeviceLostError } from '../errors.js';
import { send } from '../log.js';
import { type CarriedOptions, carriedError, carriedOptions, errorOf } from './carried.js';
import { type Asked, type Call, carriesFunctions, type Stream, type Told } from './messages.js';

/** What the page does with what the worker tells of a call. */
interface Waiting {
  /** The sequence that it is of. */
  readonly model: number;
  readonly functions: CarriedOptions['functions'];
  piece(piece: unknown): void;
  value(value: unknown): void;
  error(error: unknown): void;
}

/** The calls that are under way on one worker. */
export class Connection {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #ended: Error | undefined;
  /** Sequences that have begun, and that are alive. */
  #entered = 0;
  readonly #models = new Set<number>();

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<Told>) => this.#told(data);
    worker.onerror = ({ message }) => this.#endedBy(new DeviceLostError('worker', message || 'the worker ended'));
    worker.onmessageerror = () => this.#endedBy(new DeviceLostError('worker', 'a message that cannot be read'));
  }

  #post(message: Asked): void {
    this.#worker.postMessage(message);
  }

  #told(told: Told): void {
    if (told.kind === 'log') {
      send(this, told.record);
      return;
    }
    const waiting = this.#waiting.get(told.id);
    if (!waiting) return;
    if (told.kind === 'value' || told.kind === 'error') this.#waiting.delete(told.id);
    if (told.kind === 'value') waiting.value(told.value);
    else if (told.kind === 'error') waiting.error(errorOf(told.error));
    else if (told.kind === 'piece') waiting.piece(told.piece);
    else void this.#asked(told, waiting.functions);
  }

  async #asked({ id, turn, name, given }: Extract<Told, { kind: 'ask' }>, functions: CarriedOptions['functions']): Promise<void> {
    try {
      this.#post({ id, kind: 'returned', turn, value: await functions.get(name)!(...given) });
    } catch (error) {
      this.#post({ id, kind: 'returned', turn, error: carriedError(error) });
    }
  }

  /**
   * Calls a sequence; of two arguments and more the last is options.
   * @returns its number
   * @throws ArgumentError for what no message carries, and of a sequence that is destroyed
   */
  #begin(
    model: number,
    call: Call | Stream,
    given: readonly unknown[],
    waiting: Omit<Waiting, 'functions'>,
  ): { readonly id: number; readonly ended: () => void } {
    if (this.#ended) throw this.#ended;
    if (!this.#models.has(model)) throw destroyed();
    const id = this.#next++;
    const last = given.at(-1);
    const hasOptions = given.length > 1 || carriesFunctions(call);
    const carried = hasOptions ? carriedOptions(last) : { data: undefined, functions: new Map(), signal: undefined };
    const { data, functions, signal } = carried;
    const [name = signal && 'signal'] = functions.keys();
    if (name !== undefined && !carriesFunctions(call)) throw new ArgumentError(name, `none, since ${call} takes no such option`, 'one');
    const abort = (): void => this.#post({ id, kind: 'abort' });
    const ended = (): void => signal?.removeEventListener('abort', abort);
    /** A signal's reason is the page's own object. */
    const error = (why: unknown): void => waiting.error(signal?.aborted ? signal.reason : why);
    signal?.throwIfAborted();
    try {
      this.#post({ id, model, call, given: hasOptions ? [...given.slice(0, -1), data] : given, functions: [...functions.keys()] });
    } catch (cause) {
      const refused = new ArgumentError(call, 'arguments that a message carries', cause instanceof Error ? cause.message : String(cause));
      refused.cause = cause;
      throw refused;
    }
    signal?.addEventListener('abort', abort);
    this.#waiting.set(id, { ...waiting, error, functions });
    return { id, ended };
  }

  /** @param owner the sequence whose end ends the call */
  async call(model: number, call: Call, given: readonly unknown[], owner = model): Promise<unknown> {
    let ended = (): void => {};
    try {
      return await new Promise((value, error) => {
        ({ ended } = this.#begin(model, call, given, { model: owner, value, error, piece() {} }));
      });
    } finally {
      ended();
    }
  }

  async *stream(model: number, call: Stream, given: readonly unknown[]): AsyncGenerator<unknown, void> {
    const pieces: unknown[] = [];
    let over: { readonly error?: unknown } | undefined;
    let wake = (): void => {};
    const { id, ended } = this.#begin(model, call, given, {
      model,
      piece(piece) {
        pieces.push(piece);
        wake();
      },
      value() {
        over = {};
        wake();
      },
      error(error) {
        over = { error };
        wake();
      },
    });
    try {
      for (;;) {
        while (pieces.length > 0) {
          yield pieces.shift();
          this.#post({ id, kind: 'taken' });
        }
        if (over) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if ('error' in over) throw over.error;
    } finally {
      ended();
      if (!over) await this.#finish(id, model);
    }
  }

  /** Ends a stream that nobody reads any more, and waits until the model is free. */
  async #finish(id: number, model: number): Promise<void> {
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      const done = (): void => resolve();
      this.#waiting.set(id, { model, functions: new Map(), piece() {}, value: done, error: done });
      this.#post({ id, kind: 'end' });
    });
  }

  #endedBy(error: Error): void {
    this.#ended ??= error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const one of waiting) one.error(error);
    this.#worker.terminate?.();
  }

  /** @returns the number of a new sequence */
  enter(): number {
    this.#models.add(this.#entered);
    return this.#entered++;
  }

  /** Ends a sequence, and the worker with the last. */
  leave(model: number): void {
    if (!this.#models.delete(model)) return;
    if (this.#models.size === 0) this.#endedBy(destroyed());
    if (this.#ended) return;
    for (const [id, waiting] of this.#waiting)
      if (waiting.model === model) {
        this.#waiting.delete(id);
        this.#post({ id, kind: 'end' }); // it may wait for the page
        waiting.error(destroyed());
      }
    this.#post({ id: this.#next++, model, call: 'destroy', given: [], functions: [] });
  }
}

const destroyed = (): ArgumentError => new ArgumentError('llm', 'a live LlmWorker', 'a destroyed one');
