// How callers say that ids are chosen: options, checked, and as what the kernels take.
import { anything, type Check, callback, finiteNumber, list, number, optional, reading, refuse, wholeNumber } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import type { Adjusting } from './sampling.js';

/** An id that a sampler may choose. */
export interface Candidate {
  readonly id: number;
  /** After bias and penalties; no temperature is applied. */
  readonly logit: number;
}

/**
 * Chooses the next id: any of the vocabulary that is not banned, at once or later.
 * @param candidates the 64 largest logits, the largest first, and the lowest id first of equal ones; fewer if fewer ids are not banned
 */
export type Sampler = (candidates: readonly Candidate[]) => number | Promise<number>;

/**
 * How an id is chosen. The order is that of Hugging Face's generation: bias, penalties and bans change the logits, in every mode; at a
 * temperature above 0 they are then divided by it, and top-k, top-p and min-p, one after the other, say among which ids one is drawn. Each keeps
 * the likeliest id. At temperature 0 they change nothing.
 */
export interface SamplingOptions {
  /** 0, the default: the id of the largest logit, the lowest of several. Above: a sample of softmax(logits / temperature). */
  readonly temperature?: number | undefined;
  /** Draws among the ids whose logits are at least the k-th largest: k, or more where several are as large as that one. Default: all. */
  readonly topK?: number | undefined;
  /**
   * From 0 to 1. Draws among the fewest likeliest ids that have so much of the probability of what topK keeps, and those that are as likely as the
   * last of them. Exact for any value but that p is rounded to 2⁻³² and probabilities below 2⁻⁴⁰ of the likeliest id's count as 0. Default: 1, all.
   */
  readonly topP?: number | undefined;
  /** From 0 to 1. Draws among the ids whose probability is at least so much of the likeliest id's. Default: 0, all. */
  readonly minP?: number | undefined;
  /**
   * More than 0. Logits of ids that are among the last `penaltyWindow` ids, of prompt and answer, are divided by it, or multiplied where they are
   * negative (Keskar et al., 2019). Default: 1.
   */
  readonly repetitionPenalty?: number | undefined;
  /** Is subtracted from the logits of ids that are among them. Default: 0. */
  readonly presencePenalty?: number | undefined;
  /** Is subtracted for each time that an id is among them. Default: 0. */
  readonly frequencyPenalty?: number | undefined;
  /** How many of the last ids penalties look at. Default: all. */
  readonly penaltyWindow?: number | undefined;
  /** Is added to logits, by id: a Map, or pairs of an id and a finite number. Default: none. */
  readonly bias?: ReadonlyMap<number, number> | readonly (readonly [id: number, bias: number])[] | undefined;
  /** Ids that are never chosen; not all of them. Default: none. */
  readonly bans?: readonly number[] | undefined;
  /** u32. The same seed gives the same ids behind the same prompt. Default: 0. */
  readonly seed?: number | undefined;
  /**
   * Chooses in JavaScript instead, with one readback a token: temperature, topK, topP, minP and seed are then its own affair, and not given. What it
   * throws ends the answer.
   */
  readonly sampler?: Sampler | undefined;
}

/** The same as the kernels take it. */
export interface Sampling {
  readonly temperature: number;
  readonly seed: number;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
  /** Undefined: logits are not changed. */
  readonly adjusting: Adjusting | undefined;
  readonly sampler: Sampler | undefined;
}

const LEAST_NORMAL = 2 ** -126;
const MOST = 3.4028234663852886e38;

/** A number that meets a rule. */
const where =
  (expected: string, holds: (given: number) => boolean): Check<number> =>
  (value, argument) =>
    holds(number(value, argument)) ? (value as number) : refuse(argument, expected, value);
const share = where('a number from 0 to 1', (given) => given >= 0 && given <= 1);
const float32 = where('a finite number that float32 holds', (given) => Math.abs(given) <= MOST);
const factor = where('a number above 0 that float32 holds, and its inverse', (given) => given >= LEAST_NORMAL && given <= 1 / LEAST_NORMAL);
const u32 = where('a whole number from 0 to 4294967295', (given) => Number.isInteger(given) && given >= 0 && given < 2 ** 32);
const temperature: Check<number> = (value, argument) => {
  const given = finiteNumber(value, argument);
  const held = given === 0 || (given > 0 && Number.isFinite(Math.fround(1 / given)));
  return held ? given : refuse(argument, '0, or a number above it whose inverse float32 holds', value);
};

export const SAMPLING = {
  temperature: optional(temperature),
  topK: optional(wholeNumber(1)),
  topP: optional(share),
  minP: optional(share),
  repetitionPenalty: optional(factor),
  presencePenalty: optional(float32),
  frequencyPenalty: optional(float32),
  penaltyWindow: optional(wholeNumber(1)),
  bias: optional(anything),
  bans: optional(anything),
  seed: optional(u32),
  sampler: optional(callback),
} as const;

/** An id of the vocabulary. */
const idOf = (vocabulary: number): Check<number> =>
  where(`a whole number from 0 to ${vocabulary - 1}`, (given) => Number.isInteger(given) && given >= 0 && given < vocabulary);

/** Pairs of an id and what is added to its logit, each id once. @throws ArgumentError */
function checkBias(given: unknown, vocabulary: number): readonly (readonly [number, number])[] {
  const pairs = list(list(anything))(given instanceof Map ? reading('bias', () => [...given]) : given, 'bias');
  const seen = new Set<number>();
  return pairs.map((pair, i) => {
    if (pair.length !== 2) throw new ArgumentError(`bias[${i}]`, 'an id and a number', `${pair.length} values`);
    const id = idOf(vocabulary)(pair[0], `bias[${i}][0]`);
    if (seen.has(id)) throw new ArgumentError(`bias[${i}][0]`, 'an id that was not given before', String(id));
    seen.add(id);
    return [id, float32(pair[1], `bias[${i}][1]`)];
  });
}

/** @throws ArgumentError if an option that the sampler decides is given beside it */
function checkSampler(given: SamplingOptions & { readonly tokensPerSubmit?: number | undefined }): void {
  if (!given.sampler) return;
  for (const name of ['temperature', 'topK', 'topP', 'minP', 'seed'] as const)
    if (given[name] !== undefined) throw new ArgumentError(name, 'nothing beside sampler, which chooses', String(given[name]));
  if ((given.tokensPerSubmit ?? 1) !== 1) throw new ArgumentError('tokensPerSubmit', '1 beside sampler', String(given.tokensPerSubmit));
}

/** What is added to each logit; −∞ is a ban. Undefined: nothing. @throws ArgumentError */
function biasOf({ bias = [], bans = [] }: SamplingOptions, vocabulary: number): Float32Array<ArrayBuffer> | undefined {
  const pairs = checkBias(bias, vocabulary);
  const typed = ArrayBuffer.isView(bans) && !((bans as unknown) instanceof DataView);
  const banned = list(idOf(vocabulary))(typed ? Array.from(bans as unknown as Uint32Array) : bans, 'bans');
  if (pairs.length === 0 && banned.length === 0) return undefined;
  if (new Set(banned).size === vocabulary) throw new ArgumentError('bans', 'at least one id that is not banned', `all ${vocabulary}`);
  const out = new Float32Array(vocabulary);
  for (const [id, value] of pairs) out[id] = value;
  for (const id of banned) out[id] = -Infinity;
  return out;
}

/** Options whose fields are checked → what the kernels take. @throws ArgumentError */
export function samplingOf(given: SamplingOptions & { readonly tokensPerSubmit?: number | undefined }, vocabulary: number): Sampling {
  checkSampler(given);
  const { temperature = 0, seed = 0, topK, topP, minP, sampler } = given;
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, penaltyWindow } = given;
  const bias = biasOf(given, vocabulary);
  const penalizes = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
  const adjusting = bias || penalizes ? { bias, repetitionPenalty, presencePenalty, frequencyPenalty, penaltyWindow } : undefined;
  return { temperature, seed, topK, topP, minP, adjusting, sampler };
}

/** The id that a sampler has chosen. @throws ArgumentError */
export function checkSampled(given: unknown, vocabulary: number, adjusting: Adjusting | undefined): number {
  const id = idOf(vocabulary)(given, 'what sampler returns');
  if (adjusting?.bias?.[id] === -Infinity) throw new ArgumentError('what sampler returns', 'an id that is not banned', String(id));
  return id;
}
