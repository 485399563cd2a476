// What config.json says of the attention: rotations, windows, the scale and the caps of scores. Rules: transformers' modeling_rope_utils.py, and
// configuration_*.py of the types.
import type { Architecture } from './architectures.js';
import { type AttentionConfig, capOf, periodOf, type Rope, type Windows } from './attention-config.js';
import { flag, isRecord, type Json, jsonKeys } from './json-keys.js';
import { type Keys, positive, size } from './keys.js';
import type { ModelType } from './model-types.js';
import { yarnOf } from './yarn.js';

type Numbers = Float64Array<ArrayBuffer>;
/** What frequencies are divided by, where the configuration says it (w/2 numbers each). */
export type Divisors = Readonly<Partial<Record<'ropeDivisors' | 'ropeShort' | 'ropeLong', Numbers>>>;

/** What other keys say, and who asks. */
export interface JsonSizes {
  readonly file: string;
  readonly type: ModelType;
  readonly row: Architecture;
  readonly layers: number;
  readonly headWidth: number;
  readonly positions: number;
}

interface Scaled {
  readonly rope: Rope;
  readonly divisors?: Divisors | undefined;
}

/**
 * Llama 3's divisors of frequencies: 1 for waves that turn often within the positions of the first training, the factor for slow ones, between
 * them a way from one to the other (transformers' _compute_llama3_parameters).
 */
function llama3Divisors(keys: Keys, { base, width }: { readonly base: number; readonly width: number }): Numbers {
  const [factor, low, high] = ['factor', 'low_freq_factor', 'high_freq_factor'].map((key) => positive(keys, key)) as [
    number,
    number,
    number,
  ];
  const original = size(keys, 'original_max_position_embeddings');
  if (high <= low) keys.refuse('high_freq_factor', `above low_freq_factor, ${low}`);
  return Float64Array.from({ length: width / 2 }, (_, i) => {
    const turns = (original * base ** ((-2 * i) / width)) / (2 * Math.PI); // of the pair within the first training's positions
    const share = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return 1 / ((1 - share) / factor + share);
  });
}

/** A list of w/2 numbers, in float32 as transformers and GGUF files have them. */
function divisorList(keys: Keys, key: string, count: number): Numbers {
  const given = keys.get(key);
  const fits = (one: unknown): boolean => typeof one === 'number' && Math.fround(one) > 0 && Number.isFinite(Math.fround(one));
  if (!Array.isArray(given) || given.length !== count || !given.every(fits)) return keys.refuse(key, `a list of ${count} numbers above 0`);
  return Float64Array.from(given as number[], Math.fround);
}

/** LongRoPE: two lists, and what rotated numbers grow by (transformers' _compute_longrope_parameters). */
function longOf(own: Keys, { keys, rope, positions }: { readonly keys: Keys; readonly rope: Rope; readonly positions: number }): Scaled {
  const key = 'original_max_position_embeddings';
  const original = size(own.get(key) === undefined ? keys : own, key);
  const factor = positions / original;
  if (own.get('factor') !== undefined && positive(own, 'factor') !== factor)
    own.unserved('factor', `${factor}, max_position_embeddings over ${key}`); // versions of transformers differ in which of the two counts
  const usual = factor > 1 && original > 1 ? Math.sqrt(1 + Math.log(factor) / Math.log(original)) : 1;
  const count = rope.width / 2;
  return {
    rope: { ...rope, original, magnitude: positive(own, 'attention_factor', usual) },
    divisors: { ropeShort: divisorList(own, 'short_factor', count), ropeLong: divisorList(own, 'long_factor', count) },
  };
}

/** YaRN (transformers' _compute_yarn_parameters). */
function yarnIn(own: Keys, { rope, positions }: { readonly rope: Rope; readonly positions: number }): Scaled {
  const key = 'original_max_position_embeddings';
  const [factor, original] = [positive(own, 'factor'), own.get(key) === undefined ? positions : size(own, key)];
  if (own.get(key) !== undefined && factor !== positions / original)
    own.unserved('factor', `${positions / original}, max_position_embeddings over ${key}`); // versions of transformers differ in which of the two counts
  if (rope.base <= 1) own.refuse('rope_type', 'a rope_theta above 1 beside yarn');
  const truncate = own.get('truncate') === undefined || flag(own, 'truncate');
  const settings = { factor, original, fast: positive(own, 'beta_fast', 32), slow: positive(own, 'beta_slow', 1), truncate };
  const { yarn, magnitude } = yarnOf(settings, rope);
  return { rope: { ...rope, yarn, magnitude: positive(own, 'attention_factor', magnitude) } };
}

/** w: a head, or the part of it that rotates. */
function ropeWidth(keys: Keys, own: Keys, headWidth: number): number {
  const key = 'partial_rotary_factor';
  const from = own.get(key) === undefined ? keys : own;
  keys.get(key);
  const width = Math.trunc(headWidth * positive(from, key, 1));
  return width > headWidth || width < 2 || width % 2 !== 0
    ? from.refuse(key, `an even number, at most all, of ${headWidth} numbers`)
    : width;
}

/** Where rotations of a type are: an object, its name, and the key of the base beside it. */
interface Place {
  readonly given: Json;
  readonly name: string;
  readonly theta: string;
}

/** @throws FormatError, UnsupportedError */
function scaledOf(keys: Keys, { given, name, theta }: Place, { file, type, row, headWidth, positions }: JsonSizes): Scaled {
  const own = jsonKeys(given, { rope_type: given.type ?? 'default' }, { file, prefix: `${keys.namespace}${name}.` });
  own.get('type');
  const base = own.get('rope_theta') === undefined ? positive(keys, theta) : positive(own, 'rope_theta');
  keys.get(theta);
  const known = type.scalings ?? ['default', 'linear', 'llama3'];
  const last = known.at(-1);
  const kind = own.get('rope_type');
  if (typeof kind !== 'string' || !known.includes(kind)) own.unserved('rope_type', `${known.slice(0, -1).join(', ')} or ${last}`);
  if (row.longRope) keys.get('original_max_position_embeddings'); // files have it beside other scalings, too
  const width = row.partialRope ? ropeWidth(keys, own, headWidth) : headWidth;
  const rope = { kind: 'halves', width, base, factor: 1, divisors: false } as const;
  const scaled = ((): Scaled => {
    switch (kind) {
      case 'linear':
        return { rope: { ...rope, factor: positive(own, 'factor') } };
      case 'llama3':
        return { rope: { ...rope, divisors: true }, divisors: { ropeDivisors: llama3Divisors(own, rope) } };
      case 'su':
      case 'longrope':
        return longOf(own, { keys, rope, positions });
      case 'yarn':
        return yarnIn(own, { rope, positions });
      default:
        return { rope };
    }
  })();
  const [unknown] = own.rest();
  if (unknown !== undefined) own.unserved(unknown, `no such key of ${String(kind)}, since it may change the result`);
  return scaled;
}

const objectAt = (keys: Keys, key: string): Json => {
  const given = keys.get(key) ?? {};
  return isRecord(given) ? given : keys.refuse(key, 'an object');
};

/** Positions, by rope_theta and rope_scaling; rope_parameters has both since transformers 5. */
function ropeOf(keys: Keys, sizes: JsonSizes): Scaled {
  const name = keys.get('rope_parameters') === undefined ? 'rope_scaling' : 'rope_parameters';
  return scaledOf(keys, { given: objectAt(keys, name), name, theta: 'rope_theta' }, sizes);
}

/** The same of layers that see all positions and of others; rope_parameters has one object for each kind of layer. */
function ropesOf(keys: Keys, sizes: JsonSizes): Scaled & { readonly localRope: Rope } {
  const theta = { full: 'rope_theta', local: 'rope_local_base_freq' };
  if (keys.get('rope_parameters') === undefined) {
    const { rope } = scaledOf(keys, { given: {}, name: '', theta: theta.local }, sizes);
    return { ...ropeOf(keys, sizes), localRope: rope };
  }
  const both = jsonKeys(objectAt(keys, 'rope_parameters'), {}, { file: sizes.file, prefix: `${keys.namespace}rope_parameters.` });
  const of = (kind: string, key: string): Scaled =>
    scaledOf(keys, { given: objectAt(both, kind), name: `rope_parameters.${kind}`, theta: key }, sizes);
  const [full, local] = [of('full_attention', theta.full), of('sliding_attention', theta.local)];
  const [unknown] = both.rest();
  if (unknown !== undefined) both.unserved(unknown, 'full_attention and sliding_attention');
  return { ...full, localRope: local.rope };
}

/** Positions that a query meets in layers with a window, its own among them; Infinity without a window. */
function windowOf(keys: Keys): number {
  const used = flag(keys, 'use_sliding_window');
  const given = keys.get('sliding_window') !== undefined;
  const window = used && given ? size(keys, 'sliding_window') : Number.POSITIVE_INFINITY;
  const types = keys.get('layer_types');
  if (types === undefined) return window;
  if (!Array.isArray(types)) return keys.refuse('layer_types', 'a list');
  const known = (type: unknown): boolean =>
    type === 'full_attention' || (type === 'sliding_attention' && window < Number.POSITIVE_INFINITY);
  if (!types.every(known)) return keys.unserved('layer_types', 'full_attention of all layers, or a window');
  return window;
}

/** Windows of some layers, by a list of all layers' kinds or a period. */
function windowsOf(keys: Keys, { type: { defaults }, row: { window: rule }, layers }: JsonSizes): Windows | undefined {
  const period = 'sliding_window_pattern' in defaults ? size(keys, 'sliding_window_pattern') : rule!.every;
  const types = keys.get('layer_types');
  const kinds = ['full_attention', 'sliding_attention'];
  if (types !== undefined && !(Array.isArray(types) && types.length === layers && types.every((one) => kinds.includes(one as string))))
    return keys.refuse('layer_types', `${kinds.join(' or ')} for each of ${layers} layers`);
  const every =
    types === undefined
      ? period
      : periodOf(
          keys,
          'layer_types',
          (types as string[]).map((one) => one !== kinds[0]),
        );
  if (keys.get('sliding_window') === undefined && !rule!.required) return undefined;
  const window = size(keys, 'sliding_window');
  return every === 1 ? undefined : { size: window, every };
}

/** Every n-th layer does not rotate, by a list of which do or a period; undefined: all do. */
function noRopeOf(keys: Keys, layers: number): number | undefined {
  const key = 'no_rope_layers';
  const every = size(keys, 'no_rope_layer_interval');
  const given = keys.get(key);
  if (given === undefined) return every;
  if (!Array.isArray(given) || given.length < layers || !given.every((one) => one === 0 || one === 1))
    return keys.refuse(key, `0 or 1 for each of ${layers} layers`);
  const turns = given.slice(0, layers).map((one) => one === 1);
  return periodOf(keys, key, turns, 'a layer that does not rotate after each run of as many that do') || undefined;
}

export interface JsonAttention {
  readonly attention: AttentionConfig;
  readonly divisors: Divisors | undefined;
  /** Where a window bounds the context. */
  readonly bound?: number | undefined;
}

/** @throws FormatError, UnsupportedError */
export function jsonAttention(keys: Keys, sizes: JsonSizes): JsonAttention {
  const { type, row, layers, headWidth, positions } = sizes;
  const some = row.window !== undefined && row.window.every > 0;
  const { rope, localRope, divisors }: Scaled & { readonly localRope?: Rope } = row.window?.base
    ? ropesOf(keys, sizes)
    : ropeOf(keys, sizes);
  const window = some ? Number.POSITIVE_INFINITY : windowOf(keys);
  const types = keys.get('layer_types');
  if (window < positions && type.windowOfAll && Array.isArray(types) && types.includes('full_attention'))
    keys.unserved('layer_types', `sliding_attention of all layers, or sliding_window of at least ${positions}`);
  const windows = some ? windowsOf(keys, sizes) : window < positions && type.windowOfAll ? { size: window, every: 0 } : undefined;
  const isLocal = localRope && (localRope.base !== rope.base || localRope.factor !== rope.factor);
  const scalar = 'query_pre_attn_scalar' in type.defaults ? positive(keys, 'query_pre_attn_scalar') : headWidth;
  const noRopeEvery = row.noRopeEvery && noRopeOf(keys, layers);
  return {
    attention: {
      rope,
      ...(windows && { windows }),
      ...(windows && isLocal && { localRope }),
      ...(noRopeEvery && { noRopeEvery }),
      ...(scalar !== headWidth && { scoreScale: 1 / Math.sqrt(scalar) }),
      ...capsOf(keys, row),
    },
    divisors,
    ...(window < positions && !type.windowOfAll && { bound: window }),
  };
}

/** gemma3 has a key for a cap of scores that transformers does not read: with a value it is refused as unknown. */
function capsOf(keys: Keys, { caps }: Architecture): Pick<AttentionConfig, 'scoreCap' | 'logitCap'> {
  const scoreCap = caps && caps.scores > 0 ? capOf(keys, 'attn_logit_softcapping', 0) : undefined;
  const logitCap = caps && capOf(keys, 'final_logit_softcapping', 0);
  return { ...(scoreCap && { scoreCap }), ...(logitCap && { logitCap }) };
}
