// LlmWorker: an Llm in a Worker, so that a page's thread does nothing for a token but take it. Weights never pass the page.
import { callback, object, optional, property } from '../arguments/check.js';
import { ArgumentError, DeviceLostError, UnsupportedError } from '../errors.js';
import type { Config } from '../llm/config.js';
import type { KvDType } from '../llm-kernels/attention.js';
import { attach, send } from '../log.js';
import type { LlmExplanation, LlmProfile, LlmStats } from '../runtime/explanation.js';
import type {
  ChatWithOptions,
  CompleteOptions,
  GeneratedId,
  GenerateOptions,
  LlmOptions,
  Piece,
  ProfileOptions,
} from '../runtime/options.js';
import type { DetokenizerOptions } from '../text/detokenizer.js';
import type { Message } from '../text/template.js';
import type { EncodeOptions } from '../text/tokenizer.js';
import { startWorker } from '../workers/start-worker.js';
import { type CarriedOptions, carriedError, carriedOptions, errorOf } from './carried.js';
import { type Asked, type Call, carriesFunctions, READY, type Stream, type Told } from './messages.js';

/** How a model is loaded in a worker, which makes the device itself. */
export interface LlmWorkerOptions extends Omit<LlmOptions, 'device'> {
  /**
   * Starts the worker, for bundlers that do not find `new Worker(new URL(…))` in a package (rollup and esbuild). The script is
   * `antiquant/llm-worker`. Default: the script beside this one.
   */
  readonly worker?: (() => Worker) | undefined;
}

/** The worker fetches its modules before it says who it is. */
const PATIENCE_MS = 30_000;

/** The script's name is rare, so that a URL which a bundler left unchanged does not load another script. */
const ownWorker = (): Worker =>
  new Worker(new URL('./antiquant-llm-worker.js', import.meta.url), { type: 'module', name: 'antiquant llm' });

/** What the page does with what the worker tells of a call. */
interface Waiting {
  readonly functions: CarriedOptions['functions'];
  piece(piece: unknown): void;
  value(value: unknown): void;
  error(error: unknown): void;
}

/**
 * A language model in a Worker, which holds the GPUDevice: the methods of `Llm`, over messages. What Llm gives at once is a promise here.
 * Functions among options, as `onProgress`, run in the page; signals work. Records for a `logger` come by message.
 * @example
 * const llm = await LlmWorker.load('model.gguf');
 * for await (const { text } of llm.chat([{ role: 'user', content: 'Why is the sky blue?' }], { maxTokens: 200 })) write(text);
 */
export class LlmWorker {
  readonly config: Config;
  /** The most positions of a sequence. */
  readonly context: number;
  readonly kv: KvDType;
  readonly #connection: Connection;

  private constructor(
    connection: Connection,
    { config, context, kv }: { readonly config: Config; readonly context: number; readonly kv: KvDType },
  ) {
    this.#connection = connection;
    this.config = config;
    this.context = context;
    this.kv = kv;
  }

  /**
   * Starts a worker and loads a model in it.
   * @param from as Llm.load takes it, if messages carry it: a URL, a File, Files of a folder, or bytes, which are copied. A relative URL is one of
   *   the page
   * @throws what Llm.load throws; ArgumentError for what no message carries, UnsupportedError if no worker starts
   */
  static async load(from: string | URL | Blob | readonly File[] | Uint8Array, options: LlmWorkerOptions = {}): Promise<LlmWorker> {
    const { worker: given, ...rest } = object(options, 'options') as LlmWorkerOptions;
    const start = optional(callback)(given, 'worker') as LlmWorkerOptions['worker'];
    if (property(options, 'device', 'options') !== undefined)
      throw new ArgumentError('device', 'none, since the worker makes its own', 'a device');
    if (!start && typeof Worker === 'undefined') throw new UnsupportedError('LlmWorker', ['there are no Workers here']);
    const { signal } = rest;
    signal?.throwIfAborted();
    const worker = await startWorker(start ?? ownWorker, READY, { signal, patience: PATIENCE_MS });
    if (typeof worker !== 'string' && signal?.aborted) worker.terminate(); // after it said who it is
    signal?.throwIfAborted();
    if (typeof worker === 'string') throw new UnsupportedError('LlmWorker', [worker]);
    const connection = attach(new Connection(worker), typeof rest.logger === 'function' ? rest.logger : undefined);
    try {
      return new LlmWorker(connection, (await connection.call('load', [addressOf(from), rest])) as LlmWorker);
    } catch (error) {
      connection.end();
      throw error;
    }
  }

  /** As Llm.generate. Pieces come as they are chosen; the worker is a few ahead. */
  generate(ids: ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<GeneratedId, void> {
    return this.#connection.stream('generate', [ids, options]) as AsyncGenerator<GeneratedId, void>;
  }

  /** As Llm.complete. */
  complete(text: string, options: CompleteOptions = {}): AsyncGenerator<Piece, void> {
    return this.#connection.stream('complete', [text, options]) as AsyncGenerator<Piece, void>;
  }

  /** As Llm.chat. */
  chat(messages: readonly Message[], options: ChatWithOptions = {}): AsyncGenerator<Piece, void> {
    return this.#connection.stream('chat', [messages, options]) as AsyncGenerator<Piece, void>;
  }

  /** As Llm.render. */
  render(messages: readonly Message[], options: Pick<ChatWithOptions, 'tools' | 'templateOptions'> = {}): Promise<string> {
    return this.#connection.call('render', [messages, options]) as Promise<string>;
  }

  /** As Llm.hasTemplate. */
  hasTemplate(): Promise<boolean> {
    return this.#connection.call('hasTemplate', []) as Promise<boolean>;
  }

  /** As Llm.logits. */
  logits(ids: ArrayLike<number>, options: { readonly all?: boolean } = {}): Promise<Float32Array<ArrayBuffer>> {
    return this.#connection.call('logits', [ids, options]) as Promise<Float32Array<ArrayBuffer>>;
  }

  /** As Llm.prepare. */
  async prepare(): Promise<void> {
    await this.#connection.call('prepare', []);
  }

  /** As Llm.reset. */
  async reset(): Promise<void> {
    await this.#connection.call('reset', []);
  }

  /** As Llm.position. */
  position(): Promise<number> {
    return this.#connection.call('position', []) as Promise<number>;
  }

  /** As Llm.explain. */
  explain(): Promise<LlmExplanation> {
    return this.#connection.call('explain', []) as Promise<LlmExplanation>;
  }

  /** As Llm.profile. */
  profile(options: ProfileOptions = {}): Promise<LlmProfile> {
    return this.#connection.call('profile', [options]) as Promise<LlmProfile>;
  }

  /** As Llm.stats, at the time of the call. */
  stats(): Promise<LlmStats> {
    return this.#connection.call('stats', []) as Promise<LlmStats>;
  }

  /** As the tokenizer's encode. */
  encode(text: string, options: EncodeOptions = {}): Promise<number[]> {
    return this.#connection.call('encode', [text, options]) as Promise<number[]>;
  }

  /** As the tokenizer's decode. */
  decode(ids: readonly number[], options: DetokenizerOptions = {}): Promise<string> {
    return this.#connection.call('decode', [ids, options]) as Promise<string>;
  }

  /** Ends the worker, and with it the device. Calls that are under way end with an ArgumentError. */
  destroy(): void {
    this.#connection.end();
  }
}

/** In a worker a relative address would be relative to its script. @throws ArgumentError for text that is no URL */
function addressOf(from: unknown): unknown {
  if (from instanceof URL) return from.href;
  if (typeof from !== 'string' || !('location' in globalThis)) return from;
  try {
    return new URL(from, location.href).href;
  } catch {
    throw new ArgumentError('from', 'a URL', 'text that is none'); // not shown: it may hold secrets
  }
}

/** The calls that are under way on one worker. */
class Connection {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #ended: Error | undefined;

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

  /** Calls; of two arguments and more the last is options, and that of a call that takes functions. @returns its number @throws ArgumentError for what no message carries */
  #begin(
    call: Call | Stream,
    given: readonly unknown[],
    waiting: Omit<Waiting, 'functions'>,
  ): { readonly id: number; readonly ended: () => void } {
    if (this.#ended) throw this.#ended;
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
      this.#post({ id, call, given: hasOptions ? [...given.slice(0, -1), data] : given, functions: [...functions.keys()] });
    } catch (cause) {
      const refused = new ArgumentError(call, 'arguments that a message carries', cause instanceof Error ? cause.message : String(cause));
      refused.cause = cause;
      throw refused;
    }
    signal?.addEventListener('abort', abort);
    this.#waiting.set(id, { ...waiting, error, functions });
    return { id, ended };
  }

  async call(call: Call, given: readonly unknown[]): Promise<unknown> {
    let ended = (): void => {};
    try {
      return await new Promise((value, error) => {
        ({ ended } = this.#begin(call, given, { value, error, piece() {} }));
      });
    } finally {
      ended();
    }
  }

  async *stream(call: Stream, given: readonly unknown[]): AsyncGenerator<unknown, void> {
    const pieces: unknown[] = [];
    let over: { readonly error?: unknown } | undefined;
    let wake = (): void => {};
    const { id, ended } = this.#begin(call, given, {
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
      if (!over) await this.#finish(id);
    }
  }

  /** Ends a stream that nobody reads any more, and waits until the model is free. */
  async #finish(id: number): Promise<void> {
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      const done = (): void => resolve();
      this.#waiting.set(id, { functions: new Map(), piece() {}, value: done, error: done });
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

  end(): void {
    this.#endedBy(new ArgumentError('llm', 'a live LlmWorker', 'a destroyed one'));
  }
}
