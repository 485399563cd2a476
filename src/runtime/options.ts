// What callers give to a language model, and what they get: options, checked; pieces of answers.
import { anything, callback, flag, list, oneOf, onlyFields, optional, refuse, signal, text, wholeNumber } from '../arguments/check.js';
import { checkDevice } from '../arguments/gpu-objects.js';
import { ArgumentError } from '../errors.js';
import type { KvDType } from '../llm-kernels/attention.js';
import { SAMPLING, type SamplingOptions } from '../llm-kernels/sampling-options.js';
import { MOST_STOPS } from '../llm-kernels/state.js';
import type { Logger } from '../log.js';
import type { Progress } from '../progress.js';
import type { QuantizeForm } from '../quantize/gpu-form.js';
import type { ChatOptions } from '../text/template.js';
import type { Overflow, SlideOptions } from './slide.js';

/** How a model is loaded. */
export interface LlmOptions {
  /** Default: one of `requestDevice()`, which the Llm destroys with itself. */
  readonly device?: GPUDevice | undefined;
  /**
   * The most positions of a sequence. Default: 4,096, or what the model was trained for if that is less; with LongRoPE at most what its divisors for
   * short contexts are for.
   */
  readonly context?: number | undefined;
  /**
   * What the cache of keys and values holds. f32 rounds nothing. f16, the default, takes half the memory. q8 is int8 with a scale for each position of a
   * head, about half of f16.
   */
  readonly kv?: KvDType | undefined;
  /**
   * 1: rows of a prompt are rounded to int8 codes, 32 numbers of a row with one scale, and multiplied with the weights as integers. Logits behind a prompt are then a few
   * percent off. It is faster on GPUs with packed integer products, and several times slower on software adapters. Tokens that are chosen round
   * nothing, as with 0, the default. Products with experts take no integers; `explain().notes` names what takes none.
   */
  readonly innerPrecise?: 0 | 1 | undefined;
  /** What float matrices of the file become, those of experts too. Default: int8, groups of 32. */
  readonly quantize?: QuantizeForm | undefined;
  /**
   * Keep the files of a URL in the origin-private file system, and read from there what is there; `Llm.cached()` lists them. What was read before a
   * load ended early is kept, too. Where that cannot be, `stats.cache.off` says why, and the load goes on. Default: false.
   */
  readonly cache?: boolean | undefined;
  /** Receives bytes that are read, and taken by the GPU. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Fetches what is at URLs. Default: the global fetch. Another one may add headers, count or retry. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Receives records of what the library does by itself: on the device, and while files are fetched (docs/log.md). Default: none. */
  readonly logger?: Logger | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How ids are chosen. */
export interface GenerateOptions extends SamplingOptions, SlideOptions {
  /** Default: as many as the context has room for. More only where the sequence slides. */
  readonly maxTokens?: number | undefined;
  /** Ids that end it, at most 16. They are yielded. Default: none; those of the tokenizer where text is asked for. */
  readonly stops?: readonly number[] | undefined;
  /** Tokens of a submit, 1 to 8; always 1 with `sampler`. Default: 1 at first, and more while a submit takes less than 30 ms. */
  readonly tokensPerSubmit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What `profile` measures, and how ids are chosen meanwhile. */
export interface ProfileOptions extends Omit<SamplingOptions, 'sampler'> {
  /** Of how many tokens the times are means, 1 to 1,024. Default: 32. */
  readonly tokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The same for text. */
export interface CompleteOptions extends GenerateOptions {
  /** Texts that end it; they are not part of the answer. */
  readonly stop?: readonly string[] | undefined;
}

/** The same for a conversation: what the template of the file takes, too. */
export interface ChatWithOptions extends CompleteOptions, Pick<ChatOptions, 'tools' | 'templateOptions'> {}

/** Why an answer ended: a stop id or a stop string; or as many ids as were asked for, or as the context has room for. */
export type Reason = 'stop' | 'length';

/** An id that was chosen; the last one says why it is the last. */
export interface GeneratedId {
  readonly id: number;
  readonly reason?: Reason;
}

/** Text that is whole, and the ids that have come since the piece before; the last piece says why it is the last. */
export interface Piece {
  readonly text: string;
  readonly ids: readonly number[];
  readonly reason?: Reason;
}

/** The vocabulary of a model as a grammar needs it. */
export interface TokenBytes {
  /** By id: the bytes that it adds to a text, perhaps a part of a character. Empty for ids that are no text, such as control tokens. */
  readonly tokens: readonly Uint8Array<ArrayBuffer>[];
  /** The ids at which `complete` and `chat` end. */
  readonly stops: readonly number[];
}

const between =
  (least: number, most: number) =>
  (value: unknown, argument: string): number =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? (value as number)
      : refuse(argument, `a whole number from ${least} to ${most}`, value);

const LOAD = onlyFields({
  device: optional(checkDevice),
  context: optional(wholeNumber(1)),
  kv: optional(oneOf<KvDType>('f32', 'f16', 'q8')),
  innerPrecise: optional(oneOf(0, 1)),
  quantize: anything,
  cache: optional(flag),
  onProgress: optional(callback),
  fetch: optional(callback),
  logger: optional(callback),
  signal: optional(signal),
});
const GENERATE = {
  maxTokens: optional(wholeNumber(0)),
  ...SAMPLING,
  stops: optional(anything),
  tokensPerSubmit: optional(between(1, 8)),
  overflow: optional(oneOf<Overflow>('end', 'slide')),
  keep: optional(wholeNumber(0)),
  signal: optional(signal),
};
const { sampler: _sampler, ...DRAWN } = SAMPLING;
const PROFILE = onlyFields({ ...DRAWN, tokens: optional(between(1, 1024)), signal: optional(signal) });
const LOGITS = onlyFields({ all: optional(flag) });
const COMPLETE = { ...GENERATE, stop: optional(list(text)) };
const IDS = onlyFields(GENERATE);
const TEXT = onlyFields(COMPLETE);
const CHAT = onlyFields({ ...COMPLETE, tools: anything, templateOptions: anything });

export const checkLoad = (options: unknown): LlmOptions => LOAD(options, 'options') as LlmOptions;
export const checkLogits = (options: unknown): { readonly all?: boolean | undefined } => LOGITS(options, 'options');
export const checkProfile = (options: unknown): ProfileOptions => PROFILE(options, 'options') as ProfileOptions;
export const checkGenerate = (options: unknown): GenerateOptions => IDS(options, 'options') as GenerateOptions;
export const checkComplete = (options: unknown): CompleteOptions => TEXT(options, 'options') as CompleteOptions;
export const checkChat = (options: unknown): ChatWithOptions => CHAT(options, 'options') as ChatWithOptions;

/** Ids of a vocabulary: a list or a typed array of them. @throws ArgumentError */
export function checkIds(given: unknown, argument: string, vocabulary: number): readonly number[] {
  const ids =
    ArrayBuffer.isView(given) && !(given instanceof DataView) ? Array.from(given as Uint32Array) : list(anything)(given, argument);
  return ids.map((id, i) => between(0, vocabulary - 1)(id, `${argument}[${i}]`));
}

/** A prompt has at least one id, and its place. @param context Infinity: it may be longer, and slides. @throws ArgumentError */
export function checkPrompt(given: unknown, vocabulary: number, context: number): readonly number[] {
  const ids = checkIds(given, 'ids', vocabulary);
  if (ids.length === 0) throw new ArgumentError('ids', 'at least one id', 'none');
  if (ids.length > context) throw new ArgumentError('ids', `at most ${context}, the context`, `${ids.length} ids`);
  return ids;
}

/** @throws ArgumentError */
export function checkStops(given: unknown, vocabulary: number): readonly number[] {
  const stops = [...new Set(given === undefined ? [] : checkIds(given, 'stops', vocabulary))];
  if (stops.length > MOST_STOPS) throw new ArgumentError('stops', `at most ${MOST_STOPS} ids`, String(stops.length));
  return stops;
}
