// Llm: a language model that is loaded, and one sequence of it.
import { refuse } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import type { CachedModel } from '../files/model-cache.js';
import { loadOwn } from '../gpu/own-file.js';
import type { Config } from '../llm/config.js';
import type { KvDType } from '../llm-kernels/attention.js';
import { caching, serverUrl } from '../loading/kept-files.js';
import type { ModelFrom } from '../model/open-language-model.js';
import { type Message, renderChat } from '../text/template.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { Calls } from './calls.js';
import type { LlmEstimate } from './estimate.js';
import type { LlmExplanation, LlmProfile, LlmStats } from './explanation.js';
import type { Parts } from './load-parts.js';
import {
  type ChatWithOptions,
  type CompleteOptions,
  checkChat,
  checkComplete,
  checkGenerate,
  checkLoad,
  checkLogits,
  checkProfile,
  checkPrompt,
  checkStops,
  type GeneratedId,
  type GenerateOptions,
  type LlmOptions,
  type Piece,
  type ProfileOptions,
  type TokenBytes,
} from './options.js';
import { piecesOf } from './pieces.js';
import { slideOf } from './slide.js';

/** What opens, loads and runs models is fetched by the first load. */
const loading = () => loadOwn('loading of language models', () => import('./load-parts.js'));

/** A sequence ends. */
function release({ device, owned, shared, weights }: Pick<Parts, 'device' | 'owned' | 'shared' | 'weights'>): void {
  if (--shared.users > 0) return;
  weights.destroy();
  if (owned) device.destroy();
}

/**
 * A language model on the GPU, and one sequence of it: its cache keeps what the last call has computed, and a prompt that begins in the same way
 * begins there. One call at a time.
 * @example
 * const llm = await Llm.load('https://example.org/model.gguf', { onProgress });
 * for await (const { text } of llm.chat([{ role: 'user', content: 'Why is the sky blue?' }], { maxTokens: 200 })) write(text);
 */
export class Llm {
  readonly config: Config;
  /** The most positions of a sequence. */
  readonly context: number;
  readonly kv: KvDType;
  readonly stats: LlmStats;
  readonly #parts: Parts;
  readonly #calls: Calls;

  private constructor(parts: Parts, kept: readonly number[] = []) {
    this.#parts = parts;
    this.config = parts.model.config;
    this.context = parts.context;
    this.kv = parts.kv;
    const { loadMs, cache } = parts;
    this.stats = { loadMs, ...(cache && { cache }), promptTokens: 0, promptMs: 0, tokens: 0, decodeMs: 0, submits: 0, clamped: 0 };
    const { config, context, stats } = this;
    this.#calls = new Calls({ runner: parts.runner, config, context, stats }, kept);
  }

  /**
   * Loads a model: of a GGUF file llama, qwen2, qwen3, qwen3moe, gpt-oss, gemma2, gemma3, smollm3 or phi3, of a Hugging Face folder llama, mistral,
   * mixtral, qwen2, qwen3, qwen3_moe, gpt_oss, gemma2, gemma3, smollm3 or phi3. Float matrices become int8 in groups of 32, or what `quantize` says. If
   * a step fails, all is freed.
   * @param from a GGUF file, or the first of a split one: its bytes, a URL or a path, `hf:ORG/NAME[@REVISION]/FILE`, or what `openModel` returned. Or a folder of config.json,
   *   safetensors and tokenizer.json: its path, its URL with a slash at the end, or its files; files of a split GGUF, too; or a folder of MLC (docs/llm.md)
   * @throws ArgumentError, FormatError, ReadError; UnsupportedError for a model that is not served, or without memory; ShaderError, GpuError,
   *   DeviceLostError; the reason of `signal`
   */
  static async load(from: ModelFrom, options: LlmOptions = {}): Promise<Llm> {
    const given = checkLoad(options);
    return new Llm(await (await loading()).loadParts(from, given));
  }

  /**
   * What a model takes on the GPU, by use. Reads headers only, and needs no device; `load` asks the device for as much before it reads weights.
   * @param options those of `load`. `device`: software adapters hold some codes wider
   * @throws as load, of all that it finds out without a device
   * @example const { total } = await Llm.estimate('https://example.org/model.gguf', { context: 8192 });
   */
  static async estimate(from: ModelFrom, options: LlmOptions = {}): Promise<LlmEstimate> {
    const given = checkLoad(options);
    return (await loading()).estimateFrom(from, given);
  }

  /** Models that loads with `cache` have kept, whole or in part; none where there is no such file system. */
  static async cached(): Promise<readonly CachedModel[]> {
    return (await caching()).cachedModels();
  }

  /**
   * Removes a model from the cache of files.
   * @param url as it was given to `load`
   * @returns was it there?
   * @throws ArgumentError if it is no URL; ReadError if the browser refuses
   */
  static async evict(url: string | URL): Promise<boolean> {
    const given = serverUrl(url) ?? refuse('url', 'a URL of http or https', url);
    return (await caching()).evictModel(given);
  }

  /** Positions whose keys and values are in the cache. */
  get position(): number {
    return this.#calls.position;
  }

  /** Forgets the sequence. The cache's memory stays. @throws ArgumentError while a call is under way */
  reset(): void {
    this.#calls.reset();
  }

  /** The tokenizer of the file, made at the first use. @throws FormatError, UnsupportedError, ReadError */
  tokenizer(): Promise<Tokenizer> {
    const { model, shared } = this.#parts;
    shared.tokenizer ??= model.tokenizer().catch((error: unknown) => {
      shared.tokenizer = undefined; // the next call tries again
      throw error;
    });
    return shared.tokenizer;
  }

  /**
   * What a grammar is made for: the bytes that each id adds to a text, and the ids that end an answer.
   * @throws FormatError, UnsupportedError, ReadError
   */
  async vocabulary(): Promise<TokenBytes> {
    const tokenizer = await this.tokenizer();
    const bytes = tokenizer.bytes();
    return {
      tokens: Array.from({ length: this.config.vocabulary }, (_, id) => bytes[id] ?? new Uint8Array()),
      stops: [...tokenizer.stops],
    };
  }

  /** Has the model a chat template, which `chat` needs? @throws FormatError, ReadError */
  async hasTemplate(): Promise<boolean> {
    return (await this.#parts.model.templates()).size > 0;
  }

  /**
   * Chooses ids behind a prompt, one after the other. The last has the reason why it is the last. Ending the loop early, or the signal, leaves the
   * model as good as before.
   * @throws ArgumentError at once; while it runs: GpuError if logits are no numbers, UnsupportedError without memory for the cache,
   *   DeviceLostError; the reason of `signal`
   * @example for await (const { id } of llm.generate([1, 2, 3], { maxTokens: 20 })) console.log(id);
   */
  generate(ids: ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<GeneratedId, void> {
    const given = checkGenerate(options);
    const slide = slideOf(given, this.context);
    const prompt = checkPrompt(ids, this.config.vocabulary, slide ? Infinity : this.context);
    return this.#calls.generate(prompt, given, slide);
  }

  /**
   * Goes on with a text. Ends at the file's stop ids and `stops`, at a text of `stop`, or at `maxTokens`.
   * @throws as generate, and what the tokenizer throws
   */
  async *complete(text: string, options: CompleteOptions = {}): AsyncGenerator<Piece, void> {
    const given = checkComplete(options);
    const tokenizer = await this.tokenizer();
    yield* this.#text(tokenizer.encode(text), { tokenizer, begins: false }, given);
  }

  /**
   * The text that a conversation becomes by the chat template of the file: what `chat` reads, special tokens included.
   * @throws ArgumentError, FormatError, ReadError; UnsupportedError for a file without a template
   * @example const ids = (await llm.tokenizer()).encode(await llm.render(messages), { special: true });
   */
  async render(messages: readonly Message[], options: Pick<ChatWithOptions, 'tools' | 'templateOptions'> = {}): Promise<string> {
    return this.#render(messages, options, true);
  }

  async #render(messages: readonly Message[], options: object, addGenerationPrompt: boolean): Promise<string> {
    const { tools, templateOptions } = checkChat(options);
    const { names } = await this.tokenizer();
    return renderChat(await this.#parts.model.templates(), messages, {
      ...{ names, addGenerationPrompt },
      ...(tools && { tools }),
      ...(templateOptions && { templateOptions }),
    });
  }

  /**
   * Answers the last message of a conversation, by the chat template of the file.
   * @throws as complete; UnsupportedError for a file without a template
   * @example for await (const { text } of llm.chat([{ role: 'user', content: 'Hello' }])) write(text);
   */
  async *chat(messages: readonly Message[], options: ChatWithOptions = {}): AsyncGenerator<Piece, void> {
    const { tools: _tools, templateOptions: _options, ...given } = checkChat(options);
    const tokenizer = await this.tokenizer();
    const prompt = await this.render(messages, options);
    const ids = tokenizer.encode(prompt, { special: true });
    const keep = given.overflow === 'slide' && given.keep === undefined && { keep: await this.#systemIds(ids, messages, options) };
    yield* this.#text(ids, { tokenizer, begins: true }, { ...given, ...keep });
  }

  /** How many ids of a prompt are those of the leading system messages: none where a template does not take these alone. */
  async #systemIds(prompt: readonly number[], messages: readonly Message[], options: object): Promise<number> {
    const end = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
    if (end < 1) return 0;
    const rendered = this.#render(messages.slice(0, end), options, false).catch((error: unknown) => {
      if (error instanceof ArgumentError) return '';
      throw error;
    });
    const ids = (await this.tokenizer()).encode(await rendered, { special: true });
    const other = ids.findIndex((id, i) => id !== prompt[i]);
    return Math.min(other < 0 ? ids.length : other, Math.max(0, this.context - 2));
  }

  /**
   * Logits behind the last id, or with `all` behind each: (vocabulary) or (ids, vocabulary). The sequence is then these ids.
   * @throws as generate; UnsupportedError without memory for them
   */
  async logits(ids: ArrayLike<number>, options: { readonly all?: boolean | undefined } = {}): Promise<Float32Array<ArrayBuffer>> {
    const { all = false } = checkLogits(options);
    const prompt = checkPrompt(ids, this.config.vocabulary, this.context);
    return this.#calls.logits(prompt, all);
  }

  /**
   * Compiles and tests the kernels of prompts, which the first prompts would wait for.
   * @throws ArgumentError while a call is under way; UnsupportedError, ShaderError, GpuError, DeviceLostError
   */
  async prepare(): Promise<void> {
    await this.#calls.prepare();
  }

  /** What a token takes, and the memory by use. */
  explain(): LlmExplanation {
    this.#calls.assertAlive();
    const { runner, weights, fusedNorms, form } = this.#parts;
    const { quantized, notes } = weights;
    const variants: Record<string, number> = { 'llm/pick': 1 };
    const dispatches = runner.dispatches();
    for (const { shader } of dispatches) variants[shader] = (variants[shader] ?? 0) + 1;
    return {
      dispatchesPerToken: dispatches.length + 1,
      variants,
      fusedNorms,
      memory: { weights: weights.bytes, ...runner.memory() },
      reads: { weights: weights.read, cache: runner.cacheRead(Math.min(this.position, this.context - 1)) },
      capacity: runner.capacity,
      notes: [...runner.notes(), ...(quantized.length === 0 ? [] : [`float matrices became ${form}: ${quantized.join(', ')}`]), ...notes],
    };
  }

  /**
   * Measures where the time of a token goes, behind the sequence as it stands: each kind of dispatch between timestamps of the GPU, which takes longer
   * than one pass. Ids that are chosen meanwhile are dropped; of a full context the last id is, too.
   * @throws ArgumentError while a call is under way; UnsupportedError if the device has no feature `timestamp-query`, or if its timestamps and the
   *   clock disagree; ShaderError, GpuError, DeviceLostError; the reason of `signal`
   * @example for (const { of, ms } of (await llm.profile()).parts) console.log(of, ms);
   */
  async profile(options: ProfileOptions = {}): Promise<LlmProfile> {
    return this.#calls.profile(checkProfile(options));
  }

  /**
   * A second sequence of the same weights, which begins where this one stands: the cache is copied on the GPU, and nothing is computed again. Each then has a position,
   * a cache and calls of its own, and both may have one under way. It takes what `explain().memory` tells of this one without the weights, which
   * live until the last sequence is destroyed.
   * @throws ArgumentError while a call is under way, and if this one is destroyed meanwhile; UnsupportedError without memory, which leaves this one as it was; GpuError,
   *   DeviceLostError
   * @example const [one, other] = [llm, await llm.fork()];
   */
  async fork(): Promise<Llm> {
    const began = performance.now();
    this.#calls.assertFree();
    const { cache: _ofLoad, ...parts } = this.#parts;
    parts.shared.users++;
    try {
      const { runner, kept } = await this.#calls.fork();
      return new Llm({ ...parts, runner, cache: undefined, loadMs: performance.now() - began }, kept);
    } catch (error) {
      release(parts);
      throw error;
    }
  }

  /** Frees everything, but what other sequences of the model use. A call that is under way ends with an ArgumentError. */
  destroy(): void {
    if (this.#calls.destroy()) release(this.#parts);
  }

  /** Text behind a prompt. */
  #text(
    prompt: readonly number[],
    { tokenizer, begins }: { readonly tokenizer: Tokenizer; readonly begins: boolean },
    { stop = [], stops, ...rest }: CompleteOptions,
  ): AsyncGenerator<Piece, void> {
    const ends = new Set([...tokenizer.stops, ...checkStops(stops, this.config.vocabulary)]);
    return piecesOf(this.generate(prompt, { ...rest, stops: [...ends] }), { tokenizer, begins, stop });
  }
}
