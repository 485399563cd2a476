// The configuration of a language model from config.json of a Hugging Face folder: plain numbers, every one of them checked. Keys and what they
// are without a value: transformers' configuration_llama.py, configuration_mistral.py, configuration_qwen2.py, configuration_qwen3.py and
// modeling_rope_utils.py. A key that is not known here is refused, since it could change every result.
import { FormatError, UnsupportedError } from '../errors.js';
import { clip, show } from '../files/show.js';
import { type ArchitectureName, architectureOf } from './architectures.js';
import type { Rope } from './attention-config.js';
import type { Config } from './config.js';
import { type Keys, optionalSize, positive, size } from './keys.js';

type Json = Readonly<Record<string, unknown>>;

/** What a model_type implies. */
interface ModelType {
  readonly architecture: ArchitectureName;
  /** Values of keys that config.json does not have. */
  readonly defaults: Json;
  /** Has every layer the window, if there is one? Where some have, the context ends with it: up to there it changes nothing. */
  readonly windowOfAll?: true;
}

const LLAMA = {
  hidden_act: 'silu',
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: false,
  use_sliding_window: false,
} as const;

/** By model_type. A type with nothing of its own is a row here, and in architectures.ts if its products differ. */
const MODEL_TYPES: Readonly<Record<string, ModelType>> = {
  llama: { architecture: 'llama', defaults: LLAMA },
  mistral: {
    architecture: 'llama',
    defaults: { ...LLAMA, num_key_value_heads: 8, use_sliding_window: true, sliding_window: 4096 },
    windowOfAll: true,
  },
  qwen2: { architecture: 'qwen2', defaults: { ...LLAMA, num_key_value_heads: 32, sliding_window: 4096 } },
  qwen3: { architecture: 'qwen3', defaults: { ...LLAMA, num_key_value_heads: 32, head_dim: 128, sliding_window: 4096 } },
};

/** Keys that ask for more than this runtime does, unless they have one of these values. */
const NEUTRAL: Json & Readonly<Record<string, readonly unknown[]>> = {
  add_cross_attention: [false],
  attention_bias: [false], // where an architecture has biases, it has them without this key
  chunk_size_feed_forward: [0],
  hidden_act: ['silu'],
  is_encoder_decoder: [false],
  mlp_bias: [false],
  partial_rotary_factor: [1],
  rope_interleaved: [false],
  use_mrope: [false],
};

/** Keys that change no logit: names, training, and what transformers' generate does without other instructions. */
const SAYS_ONLY: ReadonlySet<string> = new Set(
  `architectures attention_dropout auto_map bos_token_id compression_config dtype eos_token_id finetuning_task hidden_dropout id2label
  initializer_range is_decoder label2id max_window_layers model_type name_or_path output_attentions output_hidden_states pad_token_id
  pretraining_tp problem_type quantization quantization_config return_dict sep_token_id task_specific_params tokenizer_class torch_dtype
  torchscript transformers_version unk_token_id use_bfloat16 use_cache
  bad_words_ids begin_suppress_tokens decoder_start_token_id diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size
  exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id length_penalty max_length min_length no_repeat_ngram_size
  num_beam_groups num_beams num_return_sequences output_scores prefix remove_invalid_values repetition_penalty return_dict_in_generate
  suppress_tokens temperature tie_encoder_decoder top_k top_p typical_p cross_attention_hidden_size pruned_heads tf_legacy_loss
  is_llama_config max_sequence_length transformers.js_config unsloth_fixed unsloth_version`.split(/\s+/),
);

const isRecord = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Keys of an object of config.json. A key without a value has the default's; null counts as none. */
function jsonKeys(json: Json, defaults: Json, { file, prefix = '' }: { readonly file: string; readonly prefix?: string }): Keys {
  const asked = new Set<string>();
  const get = (key: string): unknown => {
    asked.add(key);
    const own = Object.hasOwn(json, key);
    return (own ? json[key] : defaults[key]) ?? undefined;
  };
  return {
    namespace: prefix,
    get,
    refuse: (key, expected, got = show(get(key))) => {
      throw new FormatError({ file, field: `${prefix}${key}` }, expected, got);
    },
    unserved: (key, expected) => {
      throw new UnsupportedError(`${file}: ${clip(`${prefix}${key}`)}`, [`expected ${expected}, got ${show(get(key))}`]);
    },
    rest: () => Object.keys(json).filter((key) => !asked.has(key) && json[key] !== null),
  };
}

function flag(keys: Keys, key: string): boolean {
  const value = keys.get(key);
  return typeof value === 'boolean' ? value : keys.refuse(key, 'true or false');
}

/**
 * Llama 3's divisors of frequencies: 1 for waves that turn often within the positions of the first training, the factor for slow ones, between
 * them a way from one to the other (transformers' _compute_llama3_parameters).
 */
function llama3Divisors(keys: Keys, { base, width }: { readonly base: number; readonly width: number }): Float64Array<ArrayBuffer> {
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

interface Scaled {
  readonly rope: Rope;
  readonly divisors: Float64Array<ArrayBuffer> | undefined;
}

/** Positions, by rope_theta and rope_scaling; rope_parameters has both since transformers 5. */
function ropeOf(keys: Keys, width: number, file: string): Scaled {
  const name = keys.get('rope_parameters') === undefined ? 'rope_scaling' : 'rope_parameters';
  const given = keys.get(name) ?? {};
  if (!isRecord(given)) return keys.refuse(name, 'an object');
  const own = jsonKeys(given, { rope_type: given.type ?? 'default' }, { file, prefix: `${name}.` });
  own.get('type');
  const base = own.get('rope_theta') === undefined ? positive(keys, 'rope_theta') : positive(own, 'rope_theta');
  keys.get('rope_theta');
  const type = own.get('rope_type');
  const rope = { kind: 'halves', width, base, factor: 1, divisors: false } as const;
  const scaled = ((): Scaled => {
    switch (type) {
      case 'default':
        return { rope, divisors: undefined };
      case 'linear':
        return { rope: { ...rope, factor: positive(own, 'factor') }, divisors: undefined };
      case 'llama3':
        return { rope: { ...rope, divisors: true }, divisors: llama3Divisors(own, rope) };
      default:
        return own.unserved('rope_type', 'default, linear or llama3');
    }
  })();
  const [unknown] = own.rest();
  if (unknown !== undefined) own.unserved(unknown, `no such key of ${String(type)}, since it may change the result`);
  return scaled;
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

function modelTypeIn(json: Json, file: string): ModelType {
  const { model_type: type, architectures } = json;
  const at = (field: string) => ({ file, field });
  if (typeof type !== 'string') throw new FormatError(at('model_type'), 'the name of an architecture', show(type));
  const found = Object.hasOwn(MODEL_TYPES, type) ? MODEL_TYPES[type] : undefined;
  const unserved = (field: string, expected: string, got: unknown) =>
    new UnsupportedError(`${file}: ${field}`, [`expected ${expected}, got ${show(got)}`]);
  if (!found) throw unserved('model_type', Object.keys(MODEL_TYPES).join(', '), type);
  const classes = architectures ?? [];
  if (!Array.isArray(classes)) throw new FormatError(at('architectures'), 'a list', show(architectures));
  const other = classes.find((name) => typeof name !== 'string' || !name.endsWith('ForCausalLM'));
  if (other !== undefined) throw unserved('architectures', '…ForCausalLM', other);
  return found;
}

/** A configuration, and what it computes beside the file's tensors. */
export interface JsonConfig {
  readonly config: Config;
  /** `ropeDivisors` (w/2), where `rope.divisors` says so. */
  readonly divisors: Float64Array<ArrayBuffer> | undefined;
  /** What is other than in the file, though no result is. */
  readonly notes: readonly string[];
}

/**
 * Reads config.json, parsed. `findModel` checks the tensors against it.
 * @param file its name, for messages
 * @throws FormatError for a key that is missing, of another type, out of range, or against another key; UnsupportedError for another model_type,
 * and for every key that would change the result and is not served. Both name the key, what was expected and what was got
 */
export function readJsonConfig(json: unknown, file = 'config.json'): JsonConfig {
  if (!isRecord(json)) throw new FormatError({ file, field: 'JSON' }, 'an object', show(json));
  const { architecture, defaults, windowOfAll } = modelTypeIn(json, file);
  const row = architectureOf(architecture);
  const keys = jsonKeys(json, defaults, { file });

  const width = size(keys, 'hidden_size');
  const heads = size(keys, 'num_attention_heads');
  const kvHeads = optionalSize(keys, 'num_key_value_heads', heads);
  if (heads % kvHeads !== 0) keys.refuse('num_key_value_heads', `a divisor of num_attention_heads, ${heads}`, `${kvHeads}`);
  if (keys.get('head_dim') === undefined && width % heads !== 0) keys.refuse('hidden_size', `a multiple of num_attention_heads, ${heads}`);
  const headWidth = optionalSize(keys, 'head_dim', width / heads);
  if (headWidth % 2 !== 0) keys.refuse('head_dim', 'an even number', `${headWidth}`);
  const { rope, divisors } = ropeOf(keys, headWidth, file);
  const positions = size(keys, 'max_position_embeddings');
  const window = windowOf(keys);
  const bounded = window < positions && !windowOfAll;
  const types = keys.get('layer_types');
  if (window < positions && windowOfAll && Array.isArray(types) && types.includes('full_attention'))
    keys.unserved('layer_types', `sliding_attention of all layers, or sliding_window of at least ${positions}`);

  const config: Config = {
    architecture,
    layers: size(keys, 'num_hidden_layers'),
    width,
    heads,
    kvHeads,
    headWidth,
    feedForward: size(keys, 'intermediate_size'),
    vocabulary: size(keys, 'vocab_size'),
    contextLength: bounded ? window : positions,
    epsilon: positive(keys, 'rms_norm_eps'),
    rope,
    tied: flag(keys, 'tie_word_embeddings'),
    biases: row.biases,
    qkNorms: row.qkNorms,
    ...(window < positions && windowOfAll && { windows: { size: window, every: 0 } }),
  };
  for (const [key, values] of Object.entries(NEUTRAL)) {
    const value = keys.get(key);
    if (value !== undefined && !(values as readonly unknown[]).includes(value))
      keys.unserved(key, (values as readonly unknown[]).join(' or '));
  }
  const unknown = keys.rest().find((key) => !SAYS_ONLY.has(key) && !key.startsWith('_'));
  if (unknown !== undefined) keys.unserved(unknown, 'no such key, since it may change the result');
  const notes = bounded ? [`the context is ${window}, the window of attention: beyond it results would differ`] : [];
  return { config, divisors, notes };
}
