// What a file's keys say of the attention: rotations, windows, the scale and the cap of scores. Keys and defaults: llama.cpp's
// gguf-py/gguf/constants.py and hyperparameters of each architecture (src/models/*.cpp).
import type { TensorFile } from '../files/tensor-file.js';
import type { Architecture, RopeKind, WindowRule } from './architectures.js';
import { type Keys, optionalSize, positive, size } from './keys.js';
import { tensorName } from './names.js';
import { type Yarn, yarnOf } from './yarn.js';

/** How positions rotate the heads of q and k. */
export interface Rope {
  readonly kind: RopeKind;
  /** w: the numbers of a head that are rotated, its first; even. */
  readonly width: number;
  /** Pair i turns by base^(-2i/w) a position. */
  readonly base: number;
  /** Positions are divided by it (linear scaling); 1 without scaling. */
  readonly factor: number;
  /** Is each frequency divided by a number of its own, the tensor `ropeDivisors` (w/2)? */
  readonly divisors: boolean;
  /** LongRoPE: the divisors are `ropeShort` (w/2) where a sequence has room for at most so many positions, else `ropeLong`. */
  readonly original?: number | undefined;
  /** What frequencies are multiplied by, pair by pair. Default: 1. */
  readonly yarn?: Yarn | undefined;
  /** The rotated numbers are multiplied by it. Default 1. */
  readonly magnitude?: number | undefined;
}

/** Layers whose queries meet the last positions only. */
export interface Windows {
  /** A query meets its own position and size - 1 before it. */
  readonly size: number;
  /** Every n-th layer meets all positions; 0: none does. */
  readonly every: number;
}

/** The part of a Config that is of the attention. */
export interface AttentionConfig {
  readonly rope: Rope;
  /** Of layers with a window, if it is not `rope`. */
  readonly localRope?: Rope | undefined;
  readonly windows?: Windows | undefined;
  /** Every n-th layer does not rotate. */
  readonly noRopeEvery?: number | undefined;
  /** Of q · k. Default 1 / √e. */
  readonly scoreScale?: number | undefined;
  /** Scores are cap · tanh(score / cap). */
  readonly scoreCap?: number | undefined;
  /** Logits are cap · tanh(logit / cap). */
  readonly logitCap?: number | undefined;
}

/** What a layer's attention is. */
export interface LayerAttention {
  /** Undefined: all positions. */
  readonly window: number | undefined;
  /** Which of the two rotations; undefined: none. */
  readonly rope: 'rope' | 'localRope' | undefined;
}

const isEvery = (every: number | undefined, layer: number): boolean => every !== undefined && every > 0 && (layer + 1) % every === 0;

/** The attention of one of a model's layers. */
export function attentionOfLayer(
  { windows, noRopeEvery, localRope }: Pick<AttentionConfig, 'windows' | 'noRopeEvery' | 'localRope'>,
  layer: number,
): LayerAttention {
  const window = windows && !isEvery(windows.every, layer) ? windows.size : undefined;
  const rope = window !== undefined && localRope ? 'localRope' : 'rope';
  return { window, rope: isEvery(noRopeEvery, layer) ? undefined : rope };
}

// --------------------------------------------------------------------------------------------------------------- reading

/** llama.cpp's, for files without the key. */
const ROPE_BASE = 10_000;

/** The factor that positions are divided by. */
function linearFactor(keys: Keys, { long, yarn }: { readonly long: boolean; readonly yarn: boolean }): number {
  const type = keys.get('rope.scaling.type');
  const known = [undefined, 'none', 'linear', ...(long ? ['longrope'] : []), ...(yarn ? ['yarn'] : [])];
  if (type !== undefined && typeof type !== 'string') return keys.refuse('rope.scaling.type', 'a string');
  if (!known.includes(type))
    return keys.unserved('rope.scaling.type', `none${yarn ? ', yarn' : ''} or linear (Llama 3 scales by the tensor rope_freqs.weight)`);
  const factor = positive(keys, 'rope.scaling.factor', positive(keys, 'rope.scale_linear', 1)); // the second is the older name
  if (long && factor !== 1) keys.unserved('rope.scaling.factor', '1 beside rope_factors_short.weight');
  return type === 'none' || type === 'yarn' ? 1 : factor;
}

/** @throws FormatError */
function yarnIn(keys: Keys, of: { readonly base: number; readonly width: number }): Pick<Rope, 'yarn' | 'magnitude'> {
  const settings = {
    factor: positive(keys, 'rope.scaling.factor'),
    original: optionalSize(keys, 'rope.scaling.original_context_length', size(keys, 'context_length')),
    fast: positive(keys, 'rope.scaling.yarn_beta_fast', 32),
    slow: positive(keys, 'rope.scaling.yarn_beta_slow', 1),
    truncate: true,
  };
  if (of.base <= 1) keys.refuse('rope.freq_base', 'a number above 1 beside YaRN');
  return yarnOf(settings, of);
}

/** Has the file divisors for short and long contexts? */
function isLong(keys: Keys, { longRope }: Architecture, tensors: TensorFile['tensors']): boolean {
  const has = (['ropeShort', 'ropeLong'] as const).some((role) => tensors.has(tensorName(role, 'gguf')!));
  return longRope === true && (has || keys.get('rope.scaling.type') === 'longrope');
}

function ropeOf(keys: Keys, row: Architecture, { headWidth, tensors }: Pick<Sizes, 'headWidth' | 'tensors'>): Rope {
  const width = optionalSize(keys, 'rope.dimension_count', headWidth);
  if (width > headWidth) keys.refuse('rope.dimension_count', `at most ${headWidth}, a head`);
  if (width !== headWidth && !row.partialRope) keys.unserved('rope.dimension_count', `${headWidth}, a whole head`);
  if (width % 2 !== 0) keys.refuse('rope.dimension_count', 'an even number', `${width}`);
  const long = isLong(keys, row, tensors);
  const base = positive(keys, 'rope.freq_base', ROPE_BASE);
  return {
    ...{ kind: row.ropeInGguf, width, base },
    factor: linearFactor(keys, { long, yarn: row.yarn === true }),
    divisors: row.ropeDivisors && tensors.has(tensorName('ropeDivisors', 'gguf')!),
    ...(keys.get('rope.scaling.type') === 'yarn' && yarnIn(keys, { base, width })),
    ...(long && {
      original: size(keys, 'rope.scaling.original_context_length'),
      magnitude: positive(keys, 'rope.scaling.attn_factor', 1),
    }),
  };
}

/**
 * The period of the layers that differ (false), those that see all positions among those with a window for example; 0: none does.
 * @throws UnsupportedError where there is none
 */
export function periodOf(
  keys: Keys,
  key: string,
  layers: readonly boolean[],
  expected = 'a layer without a window after each run of as many with one',
): number {
  const every = layers.indexOf(false) + 1;
  if (every > 0 && layers.some((one, layer) => one === isEvery(every, layer))) keys.unserved(key, expected);
  return every;
}

/** The period of a key that is one, or that says of each layer whether it has a window. */
function patternOf(keys: Keys, without: number, layers: number): number {
  const key = 'attention.sliding_window_pattern';
  const given = keys.get(key);
  if (!Array.isArray(given)) return optionalSize(keys, key, without);
  if (given.length !== layers || !given.every((one) => typeof one === 'boolean'))
    return keys.refuse(key, `a whole number, or true or false for each of ${layers} layers`);
  return periodOf(keys, key, given);
}

function windowsOf(keys: Keys, rule: WindowRule, layers: number): Windows | undefined {
  const key = 'attention.sliding_window';
  const given = keys.get(key);
  const every = rule.every === 0 ? 0 : patternOf(keys, rule.every, layers);
  if (given === 0 || every === 1) return undefined;
  if (given !== undefined || rule.required) return { size: size(keys, key), every };
  return rule.size === undefined ? undefined : { size: rule.size, every };
}

/** A cap: a number of at least 0, which is none. */
export function capOf(keys: Keys, key: string, without: number): number | undefined {
  const value = keys.get(key) ?? without;
  if (typeof value !== 'number' || !(value >= 0) || !Number.isFinite(value)) return keys.refuse(key, 'a number of at least 0');
  return value === 0 ? undefined : value;
}

/** What other keys say. */
interface Sizes {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly headWidth: number;
  readonly tensors: TensorFile['tensors'];
}

/** @throws FormatError, UnsupportedError */
export function attentionOf(keys: Keys, row: Architecture, { layers, width, heads, ...sizes }: Sizes): AttentionConfig {
  const rope = ropeOf(keys, row, sizes);
  const windows = row.window && windowsOf(keys, row.window, layers);
  const usual = row.wideScaleAt === layers ? 1 / Math.sqrt(width / heads) : undefined;
  const scoreScale = row.scaleKey && keys.get('attention.scale') !== undefined ? positive(keys, 'attention.scale') : usual;
  const localRope = row.window && row.window.every > 0 ? localRopeOf(keys, rope, row.window) : undefined;
  const scoreCap = row.caps && capOf(keys, 'attn_logit_softcapping', row.caps.scores);
  const logitCap = row.caps && capOf(keys, 'final_logit_softcapping', row.caps.logits);
  return {
    rope,
    ...(windows && { windows }),
    ...(windows && localRope && { localRope }),
    ...(row.noRopeEvery && { noRopeEvery: row.noRopeEvery }),
    ...(scoreScale && { scoreScale }),
    ...(scoreCap && { scoreCap }),
    ...(logitCap && { logitCap }),
  };
}

/** The rotation of layers with a window, if it is another. */
function localRopeOf(keys: Keys, rope: Rope, { base }: WindowRule): Rope | undefined {
  const local = { ...rope, base: positive(keys, 'rope.freq_base_swa', base ?? rope.base), factor: base === undefined ? rope.factor : 1 };
  return local.base === rope.base && local.factor === rope.factor ? undefined : local;
}
