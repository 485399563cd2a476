// The configuration of a language model from config.json of a Hugging Face folder: plain numbers, every one of them checked. Keys and what they
// are without a value: transformers' configuration_*.py of the types in model-types.ts, and modeling_rope_utils.py. A key that is not known here
// is refused, since it could change every result.
import { FormatError, UnsupportedError } from '../errors.js';
import { show } from '../files/show.js';
import { MOST_EXPERTS } from '../llm-kernels/limits.js';
import { architectureOf } from './architectures.js';
import { type Config, type Experts, impliedBy } from './config.js';
import { type Divisors, jsonAttention } from './json-attention.js';
import { flag, isRecord, type Json, jsonKeys } from './json-keys.js';
import { type Keys, optionalSize, positive, size } from './keys.js';
import { MODEL_TYPES, type ModelType, type Neutral, TEXT_TYPES } from './model-types.js';
import type { OwnNames } from './names.js';

/** Keys that ask for more than this runtime does, unless they have one of these values. */
const NEUTRAL: Neutral = {
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
  `architectures attention_dropout auto_map bos_token_id cache_implementation compression_config dtype embd_pdrop eos_token_id finetuning_task hidden_dropout id2label
  initializer_range is_decoder label2id max_window_layers model_type name_or_path output_attentions output_hidden_states output_router_logits pad_token_id
  pretraining_tp problem_type quantization quantization_config resid_pdrop return_dict router_aux_loss_coef sep_token_id task_specific_params tokenizer_class torch_dtype
  torchscript transformers_version unk_token_id use_bfloat16 use_cache
  bad_words_ids begin_suppress_tokens decoder_start_token_id diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size
  exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id length_penalty max_length min_length no_repeat_ngram_size
  num_beam_groups num_beams num_return_sequences output_scores prefix remove_invalid_values repetition_penalty return_dict_in_generate
  suppress_tokens temperature tie_encoder_decoder top_k top_p typical_p cross_attention_hidden_size pruned_heads tf_legacy_loss
  is_llama_config max_sequence_length transformers.js_config unsloth_fixed unsloth_version`.split(/\s+/),
);

/** Keys beside text_config that say nothing of the text. */
const BESIDE_TEXT: ReadonlySet<string> = new Set(
  `boi_token_index boi_token_id eoi_token_index eoi_token_id image_token_index image_token_id mm_tokens_per_image text_config vision_config`.split(
    ' ',
  ),
);

/** Where the configuration of the text is, and its type. */
interface TextConfig {
  readonly keys: Keys;
  readonly type: ModelType;
  /** Has the folder more than text? */
  readonly within: boolean;
}

/** @throws FormatError, UnsupportedError */
function textIn(json: Json, file: string): TextConfig {
  const { model_type: name, architectures } = json;
  const at = (field: string) => ({ file, field });
  if (typeof name !== 'string') throw new FormatError(at('model_type'), 'the name of an architecture', show(name));
  const unserved = (field: string, expected: string, got: unknown) =>
    new UnsupportedError(`${file}: ${field}`, [`expected ${expected}, got ${show(got)}`]);
  const text = Object.hasOwn(TEXT_TYPES, name) ? TEXT_TYPES[name] : undefined;
  const key = text ?? name;
  const type = Object.hasOwn(MODEL_TYPES, key) ? MODEL_TYPES[key] : undefined;
  if (!type) throw unserved('model_type', [...Object.keys(MODEL_TYPES), ...Object.keys(TEXT_TYPES)].join(', '), name);
  const classes = architectures ?? [];
  if (!Array.isArray(classes)) throw new FormatError(at('architectures'), 'a list', show(architectures));
  const suffixes = ['ForCausalLM', ...(text === undefined ? [] : ['ForConditionalGeneration'])];
  const other = classes.find((one) => typeof one !== 'string' || !suffixes.some((suffix) => one.endsWith(suffix)));
  if (other !== undefined) throw unserved('architectures', suffixes.map((suffix) => `…${suffix}`).join(' or '), other);
  if (text === undefined) return { keys: jsonKeys(json, type.defaults, { file }), type, within: false };
  return { keys: withinText(json, { file, type, text }), type, within: true };
}

/** The keys of text_config; those beside it must not be against it. @throws FormatError, UnsupportedError */
function withinText(json: Json, { file, type, text }: { readonly file: string; readonly type: ModelType; readonly text: string }): Keys {
  const outer = jsonKeys(json, {}, { file });
  const own = outer.get('text_config');
  if (!isRecord(own)) return outer.refuse('text_config', 'an object');
  const keys = jsonKeys(own, type.defaults, { file, prefix: 'text_config.' });
  if (![undefined, text].includes(keys.get('model_type') as string | undefined)) keys.unserved('model_type', text);
  const tied = keys.get('tie_word_embeddings');
  if (![undefined, tied].includes(outer.get('tie_word_embeddings'))) outer.unserved('tie_word_embeddings', `${tied}, as in text_config`);
  refuseUnknown(outer, (key) => BESIDE_TEXT.has(key));
  return keys;
}

/** @throws UnsupportedError */
function refuseUnknown(keys: Keys, known: (key: string) => boolean = () => false): void {
  const unknown = keys.rest().find((key) => !SAYS_ONLY.has(key) && !key.startsWith('_') && !known(key));
  if (unknown !== undefined) keys.unserved(unknown, 'no such key, since it may change the result');
}

/** The experts of every layer; the chosen ones' weights are a softmax. @throws FormatError, UnsupportedError */
function expertsOf(keys: Keys, { experts, defaults }: ModelType): Experts {
  const key = experts!.count;
  const count = size(keys, key);
  if (count > MOST_EXPERTS) keys.unserved(key, `at most ${MOST_EXPERTS}`);
  const top = size(keys, 'num_experts_per_tok');
  if (top > count) keys.refuse('num_experts_per_tok', `at most ${key}, ${count}`);
  if ('norm_topk_prob' in defaults && !flag(keys, 'norm_topk_prob')) keys.unserved('norm_topk_prob', 'true');
  const dense = keys.get('mlp_only_layers') ?? [];
  if (!Array.isArray(dense)) keys.refuse('mlp_only_layers', 'a list');
  else if (dense.length > 0) keys.unserved('mlp_only_layers', 'none: experts in all layers');
  keys.get('intermediate_size'); // of layers without
  return { count, top, scale: 1 };
}

/** A configuration, and what it computes beside the file's tensors. */
export interface JsonConfig {
  readonly config: Config;
  /** Those that `rope` asks for and no tensor has. */
  readonly divisors: Divisors | undefined;
  /** Is added to the weights of norms; 0 without it. */
  readonly normOffset?: number | undefined;
  /** Has the folder tensors of more than text, images for example? */
  readonly within?: boolean | undefined;
  /** Names of tensors that are others than the usual ones. */
  readonly names?: OwnNames | undefined;
  /** The same of files whose gate and up of experts are one tensor, of rows in turns. */
  readonly inTurns?: OwnNames | undefined;
  /** What is other than in the file, though no result is. */
  readonly notes: readonly string[];
}

/**
 * Reads config.json, parsed. `findMatrices` checks the tensors against it.
 * @param file its name, for messages
 * @throws FormatError for a key that is missing, of another type, out of range, or against another key; UnsupportedError for another model_type,
 * and for every key that would change the result and is not served. Both name the key, what was expected and what was got
 */
export function readJsonConfig(json: unknown, file = 'config.json'): JsonConfig {
  if (!isRecord(json)) throw new FormatError({ file, field: 'JSON' }, 'an object', show(json));
  const { keys, type, within } = textIn(json, file);
  const { architecture, normOffset, neutral, says, names, inTurns } = type;
  const row = architectureOf(architecture);

  const width = size(keys, 'hidden_size');
  const heads = size(keys, 'num_attention_heads');
  const kvHeads = optionalSize(keys, 'num_key_value_heads', heads);
  if (heads % kvHeads !== 0) keys.refuse('num_key_value_heads', `a divisor of num_attention_heads, ${heads}`, `${kvHeads}`);
  if (keys.get('head_dim') === undefined && width % heads !== 0) keys.refuse('hidden_size', `a multiple of num_attention_heads, ${heads}`);
  const headWidth = optionalSize(keys, 'head_dim', width / heads);
  if (headWidth % 2 !== 0) keys.refuse('head_dim', 'an even number', `${headWidth}`);
  const layers = size(keys, 'num_hidden_layers');
  const positions = size(keys, 'max_position_embeddings');
  const { attention, divisors, bound } = jsonAttention(keys, { file, type, row, layers, headWidth, positions });

  const config: Config = {
    ...{ architecture, layers, width, heads, kvHeads, headWidth },
    feedForward: size(keys, type.experts?.width ?? 'intermediate_size'),
    vocabulary: size(keys, 'vocab_size'),
    contextLength: bound ?? positions,
    epsilon: positive(keys, 'rms_norm_eps'),
    ...attention,
    tied: flag(keys, 'tie_word_embeddings'),
    ...impliedBy(row, width),
    ...(type.experts && { experts: expertsOf(keys, type) }),
  };
  const rest = new Set(keys.rest()); // the others are served
  for (const [key, values] of Object.entries({ ...NEUTRAL, ...neutral })) {
    const value = rest.has(key) ? keys.get(key) : undefined;
    if (value !== undefined && !values.includes(value)) keys.unserved(key, values.join(' or '));
  }
  refuseUnknown(keys, (key) => says?.includes(key) === true);
  const notes = bound === undefined ? [] : [`the context is ${bound}, the window of attention: beyond it results would differ`];
  return {
    config,
    divisors,
    ...(normOffset && { normOffset }),
    ...(within && { within }),
    ...(names && { names }),
    ...(inTurns && { inTurns }),
    notes,
  };
}
