// The configuration of a language model, from the header of a GGUF file: plain numbers, every one of them checked. Keys and defaults:
// llama.cpp's gguf-py/gguf/constants.py (Keys) and what its loader does without a key. A key of the architecture that is not served here is
// refused, since it could change every result.
import { FormatError, UnsupportedError } from '../errors.js';
import { show } from '../files/show.js';
import type { TensorFile } from '../files/tensor-file.js';
import { MOST_EXPERTS } from '../llm-kernels/limits.js';
import type { Glu } from '../problem/glu.js';
import { showShape } from '../problem/view.js';
import { ARCHITECTURE_NAMES, type Architecture, type ArchitectureName, architectureOf, isArchitecture } from './architectures.js';
import { type AttentionConfig, attentionOf } from './attention-config.js';
import { type Keys, keysOf, MOST, optionalSize, positive, size } from './keys.js';
import { tensorName } from './names.js';

/** The experts of every layer. */
export interface Experts {
  /** E */
  readonly count: number;
  /** k: those that a row meets. */
  readonly top: number;
  /** Of their weights, which add up to 1 before. */
  readonly scale: number;
}

/** What a model is, apart from its weights. What is optional is not there by default. */
export interface Config extends AttentionConfig {
  readonly architecture: ArchitectureName;
  /** L: layers of the model, each of attention and a feed-forward part. */
  readonly layers: number;
  /** d: numbers of the residual. */
  readonly width: number;
  /** H: heads of queries. */
  readonly heads: number;
  /** V: heads of keys and values; H is a multiple. */
  readonly kvHeads: number;
  /** e: numbers of a head; even. */
  readonly headWidth: number;
  /** f: numbers inside the feed-forward part; of one expert, if there are many. */
  readonly feedForward: number;
  /** Tokens: rows of the embedding and of the head. */
  readonly vocabulary: number;
  /** Positions that the model was trained for. */
  readonly contextLength: number;
  /** ε of RMSNorm: x / √(mean(x²) + ε) · w. */
  readonly epsilon: number;
  /** Is the embedding also the head? */
  readonly tied: boolean;
  readonly biases: Architecture['biases'];
  readonly qkNorms: boolean;
  /** Undefined where the feed-forward part of a layer is one. */
  readonly experts?: Experts | undefined;
  /** Of the feed-forward part. Default: SiLU. */
  readonly activation?: Glu | undefined;
  /** Are there norms of what the attention and the feed-forward part add to the residual? */
  readonly postNorms?: boolean | undefined;
  /** Has each head of queries a score beside those of the keys, and no value with it? */
  readonly sinks?: boolean | undefined;
  /** The residual begins as the embedding times it. Default 1. */
  readonly embeddingScale?: number | undefined;
  /** Are q, k and v one tensor, and gate and up another? */
  readonly joined?: boolean | undefined;
}

/** Keys behind `llama.` that ask for more than this runtime does, unless they have one of these values. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  'attention.causal': [true],
  'attention.clamp_kqv': [0],
  'attention.sliding_window': [0],
  embedding_scale: [0, 1],
  expert_count: [0],
  expert_used_count: [0],
  logit_scale: [0, 1],
  pooling_type: [0],
  residual_scale: [0, 1],
  'rope.scaling.attn_factor': [1],
  'rope.scaling.yarn_attn_factor': [1],
  'rope.scaling.yarn_ext_factor': [1],
  'rope.scaling.yarn_log_multiplier': [0],
};
/** The same of models with experts: all layers have them, none is every row's, and the chosen ones' weights are a softmax. */
const NEUTRAL_OF_EXPERTS: Readonly<Record<string, readonly unknown[]>> = {
  expert_gating_func: [1],
  expert_group_count: [0, 1],
  expert_group_used_count: [0, 1],
  expert_shared_count: [0],
  expert_shared_feed_forward_length: [0],
  expert_weights_norm: [true],
  interleave_moe_layer_step: [0, 1],
  leading_dense_block_count: [0],
  moe_every_n_layers: [0, 1],
};
/** Keys that say something about the file and change no result where the scaling of positions is served. */
const SAYS_ONLY = ['rope.scaling.finetuned', 'rope.scaling.original_context_length', 'tensor_data_layout'];

/** What an architecture implies of every model of it. @param width d */
export const impliedBy = (row: Architecture, width: number) => ({
  biases: row.biases,
  qkNorms: row.qkNorms,
  ...(row.activation && { activation: row.activation }),
  ...(row.postNorms && { postNorms: true }),
  ...(row.scalesEmbedding && { embeddingScale: Math.sqrt(width) }),
  ...(row.joined && { joined: true }),
  ...(row.sinks && { sinks: true }),
});

/** Undefined for a model without. */
function expertsOf(keys: Keys, { experts }: Architecture): Experts | undefined {
  const without = experts === undefined || (experts === 'maybe' && [undefined, 0].includes(keys.get('expert_count') as undefined));
  if (without) return undefined;
  const count = size(keys, 'expert_count');
  if (count > MOST_EXPERTS) keys.unserved('expert_count', `at most ${MOST_EXPERTS}`);
  const top = size(keys, 'expert_used_count');
  if (top > count) keys.refuse('expert_used_count', `at most expert_count, ${count}`);
  const scale = keys.get('expert_weights_scale');
  return { count, top, scale: scale === 0 ? 1 : positive(keys, 'expert_weights_scale', 1) }; // llama.cpp takes 0 for no scale
}

/** Rows of the embedding; what keys say of the vocabulary must agree. */
function vocabularyOf(keys: Keys, { name: file, metadata, tensors }: TensorFile): number {
  const tensor = tensorName('embedding', 'gguf')!;
  const shape = tensors.get(tensor)?.shape;
  const rows = shape?.[0];
  if (shape?.length !== 2 || rows === undefined || rows < 1 || rows > MOST)
    throw new FormatError({ file, tensor, field: 'shape' }, '(vocabulary, width)', shape ? showShape(shape) : 'no such tensor');
  const said = optionalSize(keys, 'vocab_size', rows);
  if (said !== rows) keys.refuse('vocab_size', `${rows}, the rows of ${tensor}`);
  const field = 'tokenizer.ggml.tokens';
  const tokens = metadata[field] as { readonly length?: unknown } | null | undefined; // an array, or a GgufArray
  if (tokens !== undefined && tokens?.length !== rows)
    throw new FormatError({ file, field }, `${rows} tokens, the rows of ${tensor}`, show(tokens?.length));
  return rows;
}

/** @throws FormatError, UnsupportedError */
function architectureIn({ kind, name: file, metadata }: TensorFile): ArchitectureName {
  if (kind !== 'gguf') throw new UnsupportedError(`${file}: container`, [`expected gguf, got ${kind}`]);
  const type = metadata['general.type'];
  if (type !== undefined && type !== 'model') throw new UnsupportedError(`${file}: general.type`, [`expected model, got ${show(type)}`]);
  const field = 'general.architecture';
  const name = metadata[field];
  if (typeof name !== 'string' || name === '') throw new FormatError({ file, field }, 'the name of an architecture', show(name));
  if (isArchitecture(name)) return name;
  throw new UnsupportedError(`${file}: ${field}`, [`expected ${ARCHITECTURE_NAMES.join(', ')}, got ${show(name)}`]);
}

/**
 * Reads the configuration from a file's header; no tensor is read. `findTensors` (model-tensors.ts) checks the tensors against it.
 * @throws FormatError for a key that is missing, of another type, out of range, or against another key; UnsupportedError for another
 * architecture, and for every key of the architecture that would change the result and is not served (shared experts, …). Both name the
 * key, what was expected and what was got
 */
export function readConfig(file: TensorFile): Config {
  const architecture = architectureIn(file);
  const row = architectureOf(architecture);
  const keys = keysOf(file, architecture);

  const layers = size(keys, 'block_count');
  const width = size(keys, 'embedding_length');
  const heads = size(keys, 'attention.head_count', layers);
  const kvHeads = optionalSize(keys, 'attention.head_count_kv', heads, layers);
  if (heads % kvHeads !== 0) keys.refuse('attention.head_count_kv', `a divisor of attention.head_count, ${heads}`, `${kvHeads}`);
  if (keys.get('attention.key_length') === undefined && width % heads !== 0)
    keys.refuse('embedding_length', `a multiple of attention.head_count, ${heads}`);
  const headWidth = optionalSize(keys, 'attention.key_length', width / heads);
  if (headWidth % 2 !== 0) keys.refuse('attention.key_length', 'an even number', `${headWidth}`);
  if (optionalSize(keys, 'attention.value_length', width / heads) !== headWidth)
    keys.unserved('attention.value_length', `${headWidth}, as attention.key_length`);

  const experts = expertsOf(keys, row);
  const feedForward = size(keys, 'feed_forward_length', layers);

  const config: Config = {
    architecture,
    layers,
    width,
    heads,
    kvHeads,
    headWidth,
    feedForward: experts ? optionalSize(keys, 'expert_feed_forward_length', feedForward) : feedForward,
    vocabulary: vocabularyOf(keys, file),
    contextLength: size(keys, 'context_length'),
    epsilon: positive(keys, 'attention.layer_norm_rms_epsilon'),
    ...attentionOf(keys, row, { layers, width, heads, headWidth, tensors: file.tensors }),
    tied: !file.tensors.has(tensorName('head', 'gguf')!),
    ...impliedBy(row, width),
    ...(experts && { experts }),
  };

  const rest = new Set(keys.rest()); // the others are served
  for (const [key, values] of Object.entries(experts ? { ...NEUTRAL, ...NEUTRAL_OF_EXPERTS } : NEUTRAL)) {
    const value = rest.has(key) ? keys.get(key) : undefined;
    if (value !== undefined && !values.includes(value)) keys.unserved(key, values.join(' or '));
  }
  for (const key of SAYS_ONLY) keys.get(key);
  const [unknown] = keys.rest();
  if (unknown !== undefined) keys.unserved(unknown, 'no such key, since it may change the result');
  return config;
}
