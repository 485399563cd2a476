// What a model_type of config.json implies, as data: the architecture, and what keys are without a value. Source: transformers'
// configuration_*.py of these names.
import type { ArchitectureName } from './architectures.js';
import type { Json } from './json-keys.js';
import type { OwnNames } from './names.js';

/** What a model_type implies. */
export interface ModelType {
  readonly architecture: ArchitectureName;
  /** Values of keys that config.json does not have. */
  readonly defaults: Json;
  /** Has every layer the window, if there is one? Where some have, the context ends with it: up to there it changes nothing. */
  readonly windowOfAll?: true;
  /** Values of rope_type; default: default, linear and llama3. */
  readonly scalings?: readonly string[];
  /** Values of keys that change nothing with them, beside those of all types. */
  readonly neutral?: Neutral;
  /** Is added to the weights of norms. */
  readonly normOffset?: number;
  /** Of a model whose layers all have experts: the keys of their number, and of the numbers inside one. */
  readonly experts?: { readonly count: string; readonly width: string };
  /** Keys that repeat others. */
  readonly says?: readonly string[];
  /** Names of tensors in folders that are others than those in names.ts. */
  readonly names?: OwnNames;
  /** Names of those whose gate and up of experts are one tensor, of rows in turns: it is that of `gates`. */
  readonly inTurns?: OwnNames;
}

/** By key, values that ask for nothing more than this runtime does. */
export type Neutral = Readonly<Record<string, readonly unknown[]>>;

const LLAMA = {
  hidden_act: 'silu',
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: false,
  use_sliding_window: false,
} as const;

const GEMMA = {
  ...{ vocab_size: 256_000, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 26, num_attention_heads: 8 },
  ...{ num_key_value_heads: 4, head_dim: 256, max_position_embeddings: 8192, rms_norm_eps: 1e-6, rope_theta: 10_000 },
  ...{ hidden_activation: 'gelu_pytorch_tanh', tie_word_embeddings: true, query_pre_attn_scalar: 256, sliding_window: 4096 },
} as const;
/** Of types that may scale by YaRN. */
const YARN = ['default', 'linear', 'llama3', 'yarn'] as const;
const GPT_OSS_YARN = {
  rope_type: 'yarn',
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
};
/** hidden_act is there in files, and nothing reads it. */
const GELU: Neutral = {
  hidden_act: ['gelu_pytorch_tanh'],
  hidden_activation: ['gelu_pytorch_tanh'],
  use_bidirectional_attention: [false],
};

/** By model_type. A type with nothing of its own is a row here, and in architectures.ts if its products differ. */
export const MODEL_TYPES: Readonly<Record<string, ModelType>> = {
  llama: { architecture: 'llama', defaults: LLAMA },
  mistral: {
    architecture: 'llama',
    defaults: { ...LLAMA, num_key_value_heads: 8, use_sliding_window: true, sliding_window: 4096 },
    windowOfAll: true,
  },
  mixtral: {
    architecture: 'llama',
    defaults: {
      ...{ ...LLAMA, rms_norm_eps: 1e-5, rope_theta: 1e6, num_key_value_heads: 8, num_local_experts: 8, num_experts_per_tok: 2 },
      use_sliding_window: true,
    },
    windowOfAll: true,
    experts: { count: 'num_local_experts', width: 'intermediate_size' },
    neutral: { router_jitter_noise: [0] }, // of training
    names: {
      ...{ router: 'block_sparse_moe.gate.weight', gates: 'block_sparse_moe.experts.w1.weight' },
      ...{ ups: 'block_sparse_moe.experts.w3.weight', downs: 'block_sparse_moe.experts.w2.weight' },
    },
  },
  qwen2: { architecture: 'qwen2', defaults: { ...LLAMA, num_key_value_heads: 32, sliding_window: 4096 }, scalings: YARN },
  qwen3: { architecture: 'qwen3', defaults: { ...LLAMA, num_key_value_heads: 32, head_dim: 128, sliding_window: 4096 }, scalings: YARN },
  qwen3_moe: {
    architecture: 'qwen3moe',
    defaults: {
      ...{ ...LLAMA, num_key_value_heads: 4, moe_intermediate_size: 768, num_experts: 128, num_experts_per_tok: 8 },
      norm_topk_prob: false,
    },
    scalings: YARN,
    experts: { count: 'num_experts', width: 'moe_intermediate_size' },
    neutral: { decoder_sparse_step: [1] },
  },
  gpt_oss: {
    architecture: 'gpt-oss',
    defaults: {
      ...{ num_hidden_layers: 36, num_local_experts: 128, vocab_size: 201_088, hidden_size: 2880, intermediate_size: 2880, head_dim: 64 },
      ...{ num_attention_heads: 64, num_key_value_heads: 8, sliding_window: 128, rope_theta: 150_000, tie_word_embeddings: false },
      ...{ max_position_embeddings: 131_072, rms_norm_eps: 1e-5, num_experts_per_tok: 4, rope_scaling: GPT_OSS_YARN },
    },
    scalings: ['default', 'yarn'],
    experts: { count: 'num_local_experts', width: 'intermediate_size' },
    neutral: { attention_bias: [true], swiglu_limit: [7] },
    says: ['experts_per_token', 'initial_context_length'],
    names: {
      ...{ router: 'mlp.router.weight', routerBias: 'mlp.router.bias' },
    },
    inTurns: {
      ...{ gates: 'mlp.experts.gate_up_proj', downs: 'mlp.experts.down_proj' },
      ...{ gatesBias: 'mlp.experts.gate_up_proj_bias', downsBias: 'mlp.experts.down_proj_bias' },
    },
  },
  gemma3_text: {
    architecture: 'gemma3',
    defaults: {
      ...GEMMA,
      ...{ vocab_size: 262_208, max_position_embeddings: 131_072, rope_theta: 1e6, rope_local_base_freq: 10_000 },
      sliding_window_pattern: 6,
    },
    scalings: ['default', 'linear'],
    neutral: GELU,
    normOffset: 1,
  },
  gemma2: {
    architecture: 'gemma2',
    defaults: { ...GEMMA, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
    neutral: GELU,
    normOffset: 1,
  },
  smollm3: {
    architecture: 'smollm3',
    defaults: {
      ...{ ...LLAMA, num_key_value_heads: 4, rope_theta: 2e6, tie_word_embeddings: true, no_rope_layer_interval: 4 },
      ...{ vocab_size: 128_256, hidden_size: 2048, intermediate_size: 11_008, num_hidden_layers: 36, num_attention_heads: 16 },
      max_position_embeddings: 32_768,
    },
  },
  phi3: {
    architecture: 'phi3',
    defaults: {
      ...{ ...LLAMA, use_sliding_window: true, rms_norm_eps: 1e-5, vocab_size: 32_064, hidden_size: 3072, intermediate_size: 8192 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 4096, original_max_position_embeddings: 4096 },
    },
    windowOfAll: true,
    scalings: ['default', 'su', 'longrope'],
  },
};

/** Types whose text_config is a configuration of another type; what else they have is not read. */
export const TEXT_TYPES: Readonly<Record<string, string>> = { gemma3: 'gemma3_text' };
