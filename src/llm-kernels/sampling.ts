// How an id is chosen among logits, on the CPU as the kernels do it: bias, penalties and bans; which ids top-k, top-p and min-p keep; the draw.
// Rules: Keskar et al., 2019 (repetition penalty); Holtzman et al., 2020 (top-p); Nguyen et al., 2024 (min-p). Pure.
import { gumbel, hashOf, largest } from './noise.js';

/** What changes logits before an id is chosen, in this order: the bias, the three penalties, bans. */
export interface Adjusting {
  /** (vocabulary) float32, which is added; −∞ is a ban. Default: 0. */
  readonly bias?: Float32Array<ArrayBuffer> | undefined;
  /** Logits of ids that are among the last `penaltyWindow` are divided by it, or multiplied where they are negative. Default: 1. */
  readonly repetitionPenalty?: number | undefined;
  /** It is subtracted from the same logits. Default: 0. */
  readonly presencePenalty?: number | undefined;
  /** And this, as often as the id is among them. Default: 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Default: all ids. */
  readonly penaltyWindow?: number | undefined;
}

/** Which ids are drawn: those that all three keep. */
export interface Cut {
  /** Ids whose logits are at least the k-th largest. Default: all. */
  readonly topK?: number | undefined;
  /** Of these an id is kept if those of larger logits have less than p of the probability of all these. Default: 1, all. */
  readonly topP?: number | undefined;
  /** Ids whose probability is at least so much of the likeliest one's. Default: 0, all. */
  readonly minP?: number | undefined;
}

/** Weights of top-p are whole numbers of its inverse, so that sums are the same in any order. */
const WEIGHT = 2 ** 40;
/** p is a whole number of 2⁻³². */
const P_UNIT = 2 ** 32;
/** What top_p says where nothing is cut. */
export const ALL = 2 ** 32 - 1;
/** Bins of a histogram (shaders/llm/cut.wgsl). */
const BINS = 512;
/** Logits over the temperature that far below the largest weigh less than 2⁻⁴⁰. */
const REACH = 28;
/** Histograms until bins are single keys: one of logits, four of keys. */
const ROUNDS = 5;
const MOST_STEP = 100;
const LOWEST = -3.4028234663852886e38;

/** Does a cut leave something out? */
export const cuts = ({ topK, topP = 1, minP = 0 }: Cut, vocabulary: number): boolean =>
  (topK ?? vocabulary) < vocabulary || topP < 1 || minP > 0;

/** The uniforms of a cut (shaders/llm/choosing.wgsl). */
export function cutUniforms({ topK, topP = 1, minP = 0 }: Cut, { vocabulary, temperature }: { vocabulary: number; temperature: number }) {
  const top_k = topK !== undefined && topK < vocabulary ? topK : 0;
  const exponent = Math.max(-MOST_STEP, Math.min(MOST_STEP, Math.floor(Math.log2((BINS - 1) / (REACH * temperature)))));
  return {
    top_k,
    top_p: topP < 1 ? Math.min(Math.round(topP * P_UNIT), ALL - 1) : ALL,
    least: minP > 0 ? Math.max(LOWEST, temperature * Math.log(minP)) : LOWEST,
    steps: 2 ** exponent,
    step: 2 ** -exponent,
    rounds: ROUNDS * ((top_k > 0 ? 1 : 0) + (topP < 1 ? 1 : 0)),
  } as const;
}

/** The uniforms of penalties. @param context positions of the sequence */
export function penaltyUniforms(
  { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, penaltyWindow }: Adjusting,
  context: number,
) {
  return {
    repetition: repetitionPenalty,
    inverse_repetition: 1 / repetitionPenalty,
    presence: presencePenalty,
    frequency: frequencyPenalty,
    window: Math.min(penaltyWindow ?? Infinity, context + 1),
  } as const;
}

/** How often each id is among the last `window`. */
export function countsOf(
  ids: readonly number[],
  { window, length }: { readonly window: number; readonly length: number },
): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(length);
  for (const id of ids.slice(Math.max(0, ids.length - window))) counts[id]!++;
  return counts;
}

/** Logits after bias and penalties, rounded where the kernels round; −∞ where an id is banned. @param counts of each id */
export function adjusted(logits: ArrayLike<number>, adjusting: Adjusting, counts?: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const { bias } = adjusting;
  const given = penaltyUniforms(adjusting, 0);
  const [repetition, inverse] = [Math.fround(given.repetition), Math.fround(given.inverse_repetition)];
  const [presence, frequency] = [Math.fround(given.presence), Math.fround(given.frequency)];
  return Float32Array.from({ length: logits.length }, (_, id) => {
    if (bias?.[id] === -Infinity) return -Infinity;
    const z = Math.fround(logits[id]! + (bias?.[id] ?? 0));
    const count = counts?.[id] ?? 0;
    if (count === 0) return z;
    return Math.fround(Math.fround(z * (z < 0 ? repetition : inverse)) - Math.fround(presence + Math.fround(frequency * count)));
  });
}

/** (logit − the largest) / temperature, with the roundings of float32. */
export const distance = (z: number, top: number, temperature: number): number =>
  z === top ? 0 : Math.fround(Math.fround(z - top) * Math.fround(1 / temperature));

/** What an id weighs for top-p, in 2⁻⁴⁰. */
export const weightOf = (distanceFromTop: number): number => Math.floor(Math.fround(Math.exp(distanceFromTop)) * WEIGHT);

/** What the kept weigh at least: p of all, rounded up. */
export const goalOf = (all: bigint, topP: number): bigint => {
  const goal = (all * BigInt(Math.min(Math.round(topP * P_UNIT), ALL - 1)) + BigInt(P_UNIT - 1)) / BigInt(P_UNIT);
  return goal > 0n ? goal : 1n;
};

/**
 * The least logit that top-k and top-p keep.
 * @param values of the ids that are not banned
 */
export function thresholdOf(values: ArrayLike<number>, { topK, topP = 1, temperature }: Cut & { readonly temperature: number }): number {
  const sorted = Float32Array.from(values).sort().reverse();
  const k = Math.min(topK ?? Infinity, sorted.length);
  const least = sorted[k - 1]!;
  if (topP >= 1) return least;
  const kept = sorted.filter((z) => z >= least);
  const weights = Array.from(kept, (z) => BigInt(weightOf(distance(z, sorted[0]!, temperature))));
  const goal = goalOf(
    weights.reduce((a, b) => a + b, 0n),
    topP,
  );
  let sum = 0n;
  for (const [i, weight] of weights.entries()) {
    sum += weight;
    if (sum >= goal) return kept[i]!;
  }
  return least;
}

/** All that a choice depends on beside the logits. */
export interface Choice extends Adjusting, Cut {
  /** 0: the largest logit. */
  readonly temperature: number;
  readonly seed: number;
  readonly position: number;
  /** How often each id was among the last `penaltyWindow`. */
  readonly counts?: ArrayLike<number> | undefined;
}

/**
 * What is compared, of each id; −∞ of those that are banned or cut, and undefined if a logit is NaN. Compared are logits at temperature 0, else
 * logit / temperature + noise, where the largest logit is subtracted if ids are cut.
 */
export function valuesOf(logits: ArrayLike<number>, how: Choice): Float64Array | undefined {
  if (Array.from(logits).some(Number.isNaN)) return undefined;
  const { temperature, seed, position, bias, minP = 0 } = how;
  const z = adjusted(logits, how, how.counts);
  const allowed = (id: number): boolean => bias?.[id] !== -Infinity;
  if (temperature === 0) return Float64Array.from(z);
  const noise = (id: number): number => gumbel(hashOf(seed, position, id));
  if (!cuts(how, logits.length)) return Float64Array.from(z, (value, id) => (allowed(id) ? value / temperature + noise(id) : -Infinity));
  const values = z.filter((_, id) => allowed(id));
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const threshold = thresholdOf(values, how);
  const least = Math.fround(cutUniforms(how, { vocabulary: logits.length, temperature }).least);
  const isKept = (value: number): boolean => value >= threshold && (value === top || (minP > 0 ? Math.fround(value - top) >= least : true));
  return Float64Array.from(z, (value, id) => (allowed(id) && isKept(value) ? distance(value, top, temperature) + noise(id) : -Infinity));
}

/** The id that is chosen, but where two are as good within a rounding: the lowest of several; undefined if a logit is NaN. */
export function choiceOf(logits: ArrayLike<number>, how: Choice): number | undefined {
  const values = valuesOf(logits, how);
  const id = values && largest(values);
  if (id === undefined || values![id] !== -Infinity) return id;
  return Array.from(logits).findIndex((_, at) => how.bias?.[at] !== -Infinity);
}
