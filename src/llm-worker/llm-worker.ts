// LlmWorker: an Llm in a Worker, so that a page's thread does nothing for a token but take it. Weights never pass the page.
import { callback, object, optional, property } from '../arguments/check.js';
import { ArgumentError, UnsupportedError } from '../errors.js';
import type { Config } from '../llm/config.js';
import type { KvDType } from '../llm-kernels/attention.js';
import { attach } from '../log.js';
import type { LlmExplanation, LlmProfile, LlmStats } from '../runtime/explanation.js';
import type {
  ChatWithOptions,
  CompleteOptions,
  GeneratedId,
  GenerateOptions,
  LlmOptions,
  Piece,
  ProfileOptions,
  TokenBytes,
} from '../runtime/options.js';
import type { DetokenizerOptions } from '../text/detokenizer.js';
import type { Message } from '../text/template.js';
import type { EncodeOptions } from '../text/tokenizer.js';
import { startWorker } from '../workers/start-worker.js';
import { Connection } from './connection.js';
import { READY } from './messages.js';

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
  readonly #model: number;

  private constructor(
    connection: Connection,
    model: number,
    { config, context, kv }: { readonly config: Config; readonly context: number; readonly kv: KvDType },
  ) {
    this.#connection = connection;
    this.#model = model;
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
    const model = connection.enter();
    try {
      return new LlmWorker(connection, model, (await connection.call(model, 'load', [addressOf(from), rest])) as LlmWorker);
    } catch (error) {
      connection.leave(model);
      throw error;
    }
  }

  /** As Llm.fork: a second sequence in the same worker, which ends with the last of them. */
  async fork(): Promise<LlmWorker> {
    const model = this.#connection.enter();
    try {
      await this.#connection.call(this.#model, 'fork', [model], model);
      return new LlmWorker(this.#connection, model, this);
    } catch (error) {
      this.#connection.leave(model);
      throw error;
    }
  }

  /** As Llm.generate. Pieces come as they are chosen; the worker is a few ahead. */
  generate(ids: ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<GeneratedId, void> {
    return this.#connection.stream(this.#model, 'generate', [ids, options]) as AsyncGenerator<GeneratedId, void>;
  }

  /** As Llm.complete. */
  complete(text: string, options: CompleteOptions = {}): AsyncGenerator<Piece, void> {
    return this.#connection.stream(this.#model, 'complete', [text, options]) as AsyncGenerator<Piece, void>;
  }

  /** As Llm.chat. */
  chat(messages: readonly Message[], options: ChatWithOptions = {}): AsyncGenerator<Piece, void> {
    return this.#connection.stream(this.#model, 'chat', [messages, options]) as AsyncGenerator<Piece, void>;
  }

  /** As Llm.render. */
  render(messages: readonly Message[], options: Pick<ChatWithOptions, 'tools' | 'templateOptions'> = {}): Promise<string> {
    return this.#connection.call(this.#model, 'render', [messages, options]) as Promise<string>;
  }

  /** As Llm.hasTemplate. */
  hasTemplate(): Promise<boolean> {
    return this.#connection.call(this.#model, 'hasTemplate', []) as Promise<boolean>;
  }

  /** As Llm.logits. */
  logits(ids: ArrayLike<number>, options: { readonly all?: boolean } = {}): Promise<Float32Array<ArrayBuffer>> {
    return this.#connection.call(this.#model, 'logits', [ids, options]) as Promise<Float32Array<ArrayBuffer>>;
  }

  /** As Llm.prepare. */
  async prepare(): Promise<void> {
    await this.#connection.call(this.#model, 'prepare', []);
  }

  /** As Llm.reset. */
  async reset(): Promise<void> {
    await this.#connection.call(this.#model, 'reset', []);
  }

  /** As Llm.position. */
  position(): Promise<number> {
    return this.#connection.call(this.#model, 'position', []) as Promise<number>;
  }

  /** As Llm.explain. */
  explain(): Promise<LlmExplanation> {
    return this.#connection.call(this.#model, 'explain', []) as Promise<LlmExplanation>;
  }

  /** As Llm.profile. */
  profile(options: ProfileOptions = {}): Promise<LlmProfile> {
    return this.#connection.call(this.#model, 'profile', [options]) as Promise<LlmProfile>;
  }

  /** As Llm.stats, at the time of the call. */
  stats(): Promise<LlmStats> {
    return this.#connection.call(this.#model, 'stats', []) as Promise<LlmStats>;
  }

  /** As the tokenizer's encode. */
  encode(text: string, options: EncodeOptions = {}): Promise<number[]> {
    return this.#connection.call(this.#model, 'encode', [text, options]) as Promise<number[]>;
  }

  /** As the tokenizer's decode. */
  decode(ids: readonly number[], options: DetokenizerOptions = {}): Promise<string> {
    return this.#connection.call(this.#model, 'decode', [ids, options]) as Promise<string>;
  }

  /** As Llm.vocabulary. */
  vocabulary(): Promise<TokenBytes> {
    return this.#connection.call(this.#model, 'vocabulary', []) as Promise<TokenBytes>;
  }

  /** As Llm.destroy; the last sequence ends the worker, and with it the device. Calls that are under way end with an ArgumentError. */
  destroy(): void {
    this.#connection.leave(this.#model);
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
