// Configurations of Hugging Face folders: every architecture exactly, what keys are without a value, and keys that lie.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError, UnsupportedError } from '../../../src/errors.js';
import { readJsonConfig } from '../../../src/llm/config-json.js';
import { frequencies } from '../../../src/llm/rope.js';
import { folderParts, llama3Divisors } from '../../support/model-folder.js';

type Json = Record<string, unknown>;

/** TinyLlama's, Mistral's, Qwen2.5-0.5B's and Qwen3-0.6B's config.json, without what says nothing. */
const LLAMA: Json = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 5632,
  max_position_embeddings: 2048,
  model_type: 'llama',
  num_attention_heads: 32,
  num_hidden_layers: 22,
  num_key_value_heads: 4,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 10000,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.31.0.dev0',
  use_cache: true,
  vocab_size: 32000,
};
const MISTRAL: Json = { ...LLAMA, model_type: 'mistral', architectures: ['MistralForCausalLM'], max_position_embeddings: 32768 };
const QWEN2: Json = {
  ...LLAMA,
  architectures: ['Qwen2ForCausalLM'],
  model_type: 'qwen2',
  attention_bias: undefined,
  hidden_size: 896,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  max_window_layers: 21,
  sliding_window: 32768,
  use_sliding_window: false,
  max_position_embeddings: 32768,
  rope_theta: 1e6,
  tie_word_embeddings: true,
};
const QWEN3: Json = {
  ...QWEN2,
  architectures: ['Qwen3ForCausalLM'],
  model_type: 'qwen3',
  hidden_size: 1024,
  num_attention_heads: 16,
  num_key_value_heads: 8,
};

const read = (json: Json) => readJsonConfig(JSON.parse(JSON.stringify(json)));
const less = (json: Json, ...keys: string[]): Json => Object.fromEntries(Object.entries(json).filter(([key]) => !keys.includes(key)));

test('llama, exactly', () => {
  expect(read(LLAMA)).toEqual({
    config: {
      architecture: 'llama',
      layers: 22,
      width: 2048,
      heads: 32,
      kvHeads: 4,
      headWidth: 64,
      feedForward: 5632,
      vocabulary: 32000,
      contextLength: 2048,
      epsilon: 1e-5,
      rope: { kind: 'halves', width: 64, base: 10000, factor: 1, divisors: false },
      tied: false,
      biases: [],
      qkNorms: false,
    },
    divisors: undefined,
    notes: [],
  });
});

test('qwen2 and qwen3', () => {
  expect(read(QWEN2).config).toMatchObject({
    ...{ architecture: 'qwen2', heads: 14, kvHeads: 2, headWidth: 64, tied: true, qkNorms: false, contextLength: 32768 },
    biases: ['qBias', 'kBias', 'vBias'],
    rope: { base: 1e6 },
  });
  expect(read(QWEN3).config).toMatchObject({ architecture: 'qwen3', headWidth: 128, biases: [], qkNorms: true, rope: { width: 128 } });
  expect(read({ ...QWEN3, head_dim: 64 }).config.headWidth).toBe(64);
});

/** gemma-3-1b-it's and gemma-3-4b-it's. */
const GEMMA3: Json = {
  architectures: ['Gemma3ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0.0,
  attn_logit_softcapping: null,
  bos_token_id: 2,
  cache_implementation: 'hybrid',
  eos_token_id: [1, 106],
  final_logit_softcapping: null,
  head_dim: 256,
  hidden_activation: 'gelu_pytorch_tanh',
  hidden_size: 1152,
  initializer_range: 0.02,
  intermediate_size: 6912,
  max_position_embeddings: 32768,
  model_type: 'gemma3_text',
  num_attention_heads: 4,
  num_hidden_layers: 26,
  num_key_value_heads: 1,
  pad_token_id: 0,
  query_pre_attn_scalar: 256,
  rms_norm_eps: 1e-6,
  rope_local_base_freq: 10000,
  rope_scaling: null,
  rope_theta: 1000000,
  sliding_window: 512,
  sliding_window_pattern: 6,
  torch_dtype: 'bfloat16',
  transformers_version: '4.50.0.dev0',
  use_cache: true,
  vocab_size: 262144,
};
const GEMMA3_IMAGES: Json = {
  architectures: ['Gemma3ForConditionalGeneration'],
  boi_token_index: 255999,
  eoi_token_index: 256000,
  eos_token_id: [1, 106],
  image_token_index: 262144,
  initializer_range: 0.02,
  mm_tokens_per_image: 256,
  model_type: 'gemma3',
  text_config: {
    hidden_size: 2560,
    intermediate_size: 10240,
    model_type: 'gemma3_text',
    num_hidden_layers: 34,
    rope_scaling: { factor: 8.0, rope_type: 'linear' },
    sliding_window: 1024,
  },
  torch_dtype: 'bfloat16',
  transformers_version: '4.50.0.dev0',
  vision_config: { hidden_size: 1152, model_type: 'siglip_vision_model' },
};
const SMALL_GEMMA3 = {
  ...{ architecture: 'gemma3', layers: 26, width: 1152, heads: 4, kvHeads: 1, headWidth: 256, feedForward: 6912, vocabulary: 262144 },
  ...{ contextLength: 32768, epsilon: 1e-6, tied: true, biases: [], qkNorms: true, activation: 'gelu_tanh', postNorms: true },
  embeddingScale: Math.sqrt(1152),
  windows: { size: 512, every: 6 },
  rope: { kind: 'halves', width: 256, base: 1e6, factor: 1, divisors: false },
  localRope: { kind: 'halves', width: 256, base: 1e4, factor: 1, divisors: false },
};
const kinds = (layers: number, every: number): string[] =>
  Array.from({ length: layers }, (_, i) => (i % every === every - 1 ? 'full_attention' : 'sliding_attention'));

describe('gemma3', () => {
  test('text alone, exactly', () => expect(read(GEMMA3)).toEqual({ config: SMALL_GEMMA3, divisors: undefined, normOffset: 1, notes: [] }));

  test('the text of a model of images, by its own keys and what they are without', () => {
    const { config, within, normOffset } = read(GEMMA3_IMAGES);
    expect([within, normOffset]).toEqual([true, 1]);
    expect(config).toEqual({
      ...SMALL_GEMMA3,
      ...{ layers: 34, width: 2560, heads: 8, kvHeads: 4, feedForward: 10240, vocabulary: 262208, contextLength: 131072 },
      ...{ embeddingScale: Math.sqrt(2560), windows: { size: 1024, every: 6 }, rope: { ...SMALL_GEMMA3.rope, factor: 8 } },
    });
    expect(read({ ...GEMMA3_IMAGES, tie_word_embeddings: true }).config).toEqual(config);
  });

  test('windows may be a list of kinds of layers, and rotations one object for each kind', () => {
    const five = {
      ...less(GEMMA3, 'sliding_window_pattern', 'rope_theta', 'rope_scaling', 'rope_local_base_freq'),
      layer_types: kinds(26, 6),
    };
    const rope_parameters = {
      full_attention: { rope_type: 'default', rope_theta: 1e6 },
      sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
    };
    expect(read({ ...five, _sliding_window_pattern: 6, rope_parameters }).config).toEqual(SMALL_GEMMA3);
    expect(read({ ...GEMMA3, layer_types: kinds(26, 3) }).config.windows).toEqual({ size: 512, every: 3 });
    expect(read({ ...GEMMA3, layer_types: kinds(26, 99) }).config.windows).toEqual({ size: 512, every: 0 });
    const full = read({ ...GEMMA3, layer_types: kinds(26, 1) }).config;
    expect(['windows', 'localRope'].some((key) => key in full)).toBe(false);
    const scaled = { full_attention: { rope_type: 'linear', factor: 8, rope_theta: 5e5 }, sliding_attention: { rope_theta: 2e4 } };
    expect(read({ ...five, rope_parameters: scaled }).config).toMatchObject({
      rope: { base: 5e5, factor: 8 },
      localRope: { base: 2e4, factor: 1 },
    });
  });

  test('another scale of scores, and a cap of logits', () => {
    expect(read({ ...GEMMA3, query_pre_attn_scalar: 168 }).config.scoreScale).toBe(1 / Math.sqrt(168));
    expect(read({ ...GEMMA3, final_logit_softcapping: 30 }).config.logitCap).toBe(30);
    expect('localRope' in read({ ...GEMMA3, rope_theta: 1e4 }).config).toBe(false);
  });

  test.each([
    [{ attn_logit_softcapping: 50 }, UnsupportedError, 'attn_logit_softcapping: expected no such key'],
    [{ hidden_activation: 'gelu' }, UnsupportedError, 'hidden_activation: expected gelu_pytorch_tanh, got "gelu"'],
    [{ hidden_act: 'silu' }, UnsupportedError, 'hidden_act: expected gelu_pytorch_tanh'],
    [{ use_bidirectional_attention: true }, UnsupportedError, 'use_bidirectional_attention: expected false'],
    [{ use_sliding_window: true }, UnsupportedError, 'use_sliding_window: expected no such key'],
    [{ rope_scaling: { rope_type: 'llama3' } }, UnsupportedError, 'rope_scaling.rope_type: expected default or linear, got "llama3"'],
    [
      { rope_parameters: { rope_type: 'default' } },
      UnsupportedError,
      'rope_parameters.rope_type: expected full_attention and sliding_attention',
    ],
    [
      { rope_parameters: { sliding_attention: { rope_type: 'yarn' } } },
      UnsupportedError,
      'rope_parameters.sliding_attention.rope_type: expected default or linear',
    ],
    [{ rope_parameters: { sliding_attention: 3 } }, FormatError, 'rope_parameters.sliding_attention: expected an object, got 3'],
    [{ rope_local_base_freq: 0 }, FormatError, 'rope_local_base_freq: expected a number above 0'],
    [{ query_pre_attn_scalar: -1 }, FormatError, 'query_pre_attn_scalar: expected a number above 0'],
    [{ sliding_window: null }, FormatError, 'sliding_window: expected a whole number'],
    [{ sliding_window_pattern: 0 }, FormatError, 'sliding_window_pattern: expected a whole number'],
    [{ layer_types: kinds(25, 6) }, FormatError, 'layer_types: expected full_attention or sliding_attention for each of 26 layers'],
    [{ layer_types: kinds(26, 6).fill('x') }, FormatError, 'layer_types: expected full_attention or sliding_attention for each'],
    [{ layer_types: kinds(26, 6).reverse() }, UnsupportedError, 'layer_types: expected a layer without a window after each run'],
    [{ architectures: ['Gemma3ForConditionalGeneration'] }, UnsupportedError, 'architectures: expected …ForCausalLM'],
  ])('%j is refused by its name', (changed, kind, message) => {
    expect(() => read({ ...GEMMA3, ...changed })).toThrow(kind);
    expect(() => read({ ...GEMMA3, ...changed })).toThrow(`config.json: ${message}`);
  });

  test.each([
    [{ text_config: null }, FormatError, 'text_config: expected an object, got nothing'],
    [{ text_config: { model_type: 'gemma2' } }, UnsupportedError, 'text_config.model_type: expected gemma3_text, got "gemma2"'],
    [{ text_config: { embedding_multiplier: 2 } }, UnsupportedError, 'text_config.embedding_multiplier: expected no such key'],
    [
      { text_config: { rope_scaling: { type: 'yarn' } } },
      UnsupportedError,
      'text_config.rope_scaling.rope_type: expected default or linear',
    ],
    [{ text_config: { head_dim: 3 } }, FormatError, 'text_config.head_dim: expected an even number, got 3'],
    [{ tie_word_embeddings: false }, UnsupportedError, 'tie_word_embeddings: expected true, as in text_config, got false'],
    [{ rope_theta: 1e4 }, UnsupportedError, 'rope_theta: expected no such key'],
    [{ architectures: ['Gemma3ForSequenceClassification'] }, UnsupportedError, 'architectures: expected …ForCausalLM or …ForConditional'],
  ])('of images: %j is refused by its name', (changed, kind, message) => {
    expect(() => read({ ...GEMMA3_IMAGES, ...changed })).toThrow(kind);
    expect(() => read({ ...GEMMA3_IMAGES, ...changed })).toThrow(`config.json: ${message}`);
  });
});

describe('gemma2', () => {
  /** gemma-2-2b-it's. */
  const GEMMA2: Json = {
    ...less(GEMMA3, 'rope_local_base_freq', 'rope_scaling', 'sliding_window_pattern'),
    ...{ model_type: 'gemma2', architectures: ['Gemma2ForCausalLM'], hidden_act: 'gelu_pytorch_tanh', attn_logit_softcapping: 50 },
    ...{ final_logit_softcapping: 30, hidden_size: 2304, num_attention_heads: 8, num_key_value_heads: 4, sliding_window: 4096 },
    ...{ max_position_embeddings: 8192, rope_theta: 10000, intermediate_size: 9216, vocab_size: 256000 },
  };

  test('exactly, and what keys are without a value', () => {
    const config = {
      ...less(SMALL_GEMMA3, 'localRope'),
      ...{ architecture: 'gemma2', width: 2304, heads: 8, kvHeads: 4, feedForward: 9216, vocabulary: 256000, contextLength: 8192 },
      ...{ embeddingScale: 48, windows: { size: 4096, every: 2 }, qkNorms: false, scoreCap: 50, logitCap: 30 },
      rope: { ...SMALL_GEMMA3.rope, base: 1e4 },
    };
    expect(read(GEMMA2)).toEqual({ config, divisors: undefined, normOffset: 1, notes: [] });
    expect(read({ model_type: 'gemma2' }).config).toEqual(config);
    expect(read({ ...GEMMA2, layer_types: kinds(26, 2) }).config).toEqual(config);
  });

  test('null is no cap and no window; other caps and scales are those of the file', () => {
    const without = read({ ...GEMMA2, attn_logit_softcapping: null, final_logit_softcapping: null, sliding_window: null }).config;
    expect(['scoreCap', 'logitCap', 'windows'].some((key) => key in without)).toBe(false);
    const other = read({ ...GEMMA2, attn_logit_softcapping: 20, final_logit_softcapping: 10, query_pre_attn_scalar: 144 }).config;
    expect(other).toMatchObject({ scoreCap: 20, logitCap: 10, scoreScale: 1 / 12 });
  });

  test.each([
    [{ attn_logit_softcapping: -1 }, FormatError, 'attn_logit_softcapping: expected a number of at least 0'],
    [{ final_logit_softcapping: '30' }, FormatError, 'final_logit_softcapping: expected a number of at least 0'],
    [{ sliding_window_pattern: 3 }, UnsupportedError, 'sliding_window_pattern: expected no such key'],
    [{ rope_local_base_freq: 1e4 }, UnsupportedError, 'rope_local_base_freq: expected no such key'],
    [{ hidden_activation: 'gelu' }, UnsupportedError, 'hidden_activation: expected gelu_pytorch_tanh'],
  ])('%j is refused by its name', (changed, kind, message) => {
    expect(() => read({ ...GEMMA2, ...changed })).toThrow(kind);
    expect(() => read({ ...GEMMA2, ...changed })).toThrow(`config.json: ${message}`);
  });
});

describe('smollm3', () => {
  const turns = (layers: number, every: number): number[] => Array.from({ length: layers }, (_, i) => Number((i + 1) % every !== 0));
  /** SmolLM3-3B's. */
  const SMOLLM3: Json = {
    ...less(LLAMA, 'tie_word_embeddings', 'attention_bias'),
    ...{ model_type: 'smollm3', architectures: ['SmolLM3ForCausalLM'], hidden_size: 2048, num_attention_heads: 16, num_hidden_layers: 36 },
    ...{ intermediate_size: 11008, vocab_size: 128256, max_position_embeddings: 65536, rope_theta: 5e6, rms_norm_eps: 1e-6 },
    ...{ no_rope_layer_interval: 4, no_rope_layers: turns(36, 4), layer_types: Array(36).fill('full_attention'), mlp_bias: false },
    ...{ use_sliding_window: false, sliding_window: null, max_window_layers: 28 },
  };

  test('exactly', () =>
    expect(read(SMOLLM3)).toEqual({
      config: {
        ...{ architecture: 'smollm3', layers: 36, width: 2048, heads: 16, kvHeads: 4, headWidth: 128, feedForward: 11008 },
        ...{ vocabulary: 128256, contextLength: 65536, epsilon: 1e-6, tied: true, biases: [], qkNorms: false, noRopeEvery: 4 },
        rope: { kind: 'halves', width: 128, base: 5e6, factor: 1, divisors: false },
      },
      divisors: undefined,
      notes: [],
    }));

  test('which layers rotate is said by a list, else by a period', () => {
    const bare = less(SMOLLM3, 'no_rope_layers', 'no_rope_layer_interval');
    expect(read(bare).config.noRopeEvery).toBe(4);
    expect(read({ ...bare, no_rope_layer_interval: 3 }).config.noRopeEvery).toBe(3);
    expect(read({ ...SMOLLM3, no_rope_layers: turns(36, 5) }).config.noRopeEvery).toBe(5);
    expect(read({ ...SMOLLM3, no_rope_layers: turns(40, 4) }).config.noRopeEvery).toBe(4); // more than layers
    expect(read({ ...SMOLLM3, no_rope_layers: Array(36).fill(0) }).config.noRopeEvery).toBe(1);
    expect('noRopeEvery' in read({ ...SMOLLM3, no_rope_layers: Array(36).fill(1) }).config).toBe(false);
  });

  test.each([
    [{ no_rope_layers: turns(35, 4) }, FormatError, 'no_rope_layers: expected 0 or 1 for each of 36 layers'],
    [{ no_rope_layers: Array(36).fill(true) }, FormatError, 'no_rope_layers: expected 0 or 1'],
    [
      { no_rope_layers: [0, ...Array(35).fill(1)] },
      UnsupportedError,
      'no_rope_layers: expected a layer that does not rotate after each run',
    ],
    [{ no_rope_layer_interval: 0 }, FormatError, 'no_rope_layer_interval: expected a whole number'],
    [{ mlp_bias: true }, UnsupportedError, 'mlp_bias: expected false'],
    [{ query_pre_attn_scalar: 64 }, UnsupportedError, 'query_pre_attn_scalar: expected no such key'],
  ])('%j is refused by its name', (changed, kind, message) => {
    expect(() => read({ ...SMOLLM3, ...changed })).toThrow(kind);
    expect(() => read({ ...SMOLLM3, ...changed })).toThrow(`config.json: ${message}`);
  });
});

describe('qwen3_moe', () => {
  /** Qwen3-30B-A3B's. */
  const QWEN3_MOE: Json = {
    ...less(QWEN3, 'pretraining_tp', 'tie_word_embeddings'),
    ...{ model_type: 'qwen3_moe', architectures: ['Qwen3MoeForCausalLM'], hidden_size: 2048, num_attention_heads: 32, head_dim: 128 },
    ...{ num_key_value_heads: 4, num_hidden_layers: 48, intermediate_size: 6144, moe_intermediate_size: 768, vocab_size: 151936 },
    ...{ decoder_sparse_step: 1, mlp_only_layers: [], norm_topk_prob: true, num_experts: 128, num_experts_per_tok: 8 },
    ...{ output_router_logits: false, router_aux_loss_coef: 0.001, max_position_embeddings: 40960, sliding_window: null },
  };

  test('exactly', () =>
    expect(read(QWEN3_MOE).config).toEqual({
      ...{ architecture: 'qwen3moe', layers: 48, width: 2048, heads: 32, kvHeads: 4, headWidth: 128, feedForward: 768 },
      ...{ vocabulary: 151936, contextLength: 40960, epsilon: 1e-5, tied: false, biases: [], qkNorms: true },
      experts: { count: 128, top: 8, scale: 1 },
      rope: { kind: 'halves', width: 128, base: 1e6, factor: 1, divisors: false },
    }));

  test('without values', () => {
    const bare = less(QWEN3_MOE, 'num_experts', 'num_experts_per_tok', 'moe_intermediate_size', 'mlp_only_layers', 'decoder_sparse_step');
    expect(read({ ...bare, mlp_only_layers: null }).config).toEqual(read(QWEN3_MOE).config);
  });

  test.each([
    [{ num_experts: 0 }, FormatError, 'num_experts: expected a whole number'],
    [{ num_experts: 513 }, UnsupportedError, 'num_experts: expected at most 512, got 513'],
    [{ num_experts_per_tok: 129 }, FormatError, 'num_experts_per_tok: expected at most num_experts, 128, got 129'],
    [{ norm_topk_prob: false }, UnsupportedError, 'norm_topk_prob: expected true, got false'],
    [{ norm_topk_prob: undefined }, UnsupportedError, 'norm_topk_prob: expected true, got false'], // as transformers takes it
    [{ mlp_only_layers: [0] }, UnsupportedError, 'mlp_only_layers: expected none: experts in all layers'],
    [{ mlp_only_layers: 3 }, FormatError, 'mlp_only_layers: expected a list, got 3'],
    [{ decoder_sparse_step: 2 }, UnsupportedError, 'decoder_sparse_step: expected 1, got 2'],
    [{ shared_expert_intermediate_size: 2 }, UnsupportedError, 'shared_expert_intermediate_size: expected no such key'],
  ])('%j is refused by its name', (changed, kind, message) => {
    expect(() => read({ ...QWEN3_MOE, ...changed })).toThrow(kind);
    expect(() => read({ ...QWEN3_MOE, ...changed })).toThrow(`config.json: ${message}`);
  });
});

describe('phi3', () => {
  const list = (length: number): number[] => Array.from({ length }, (_, i) => 1 + i / 10);
  /** Phi-4-mini-instruct's, with other lists. */
  const PHI3: Json = {
    ...less(LLAMA, 'pretraining_tp'),
    ...{ model_type: 'phi3', architectures: ['Phi3ForCausalLM'], hidden_size: 3072, num_attention_heads: 24, num_key_value_heads: 8 },
    ...{ num_hidden_layers: 32, intermediate_size: 8192, vocab_size: 200064, max_position_embeddings: 131072, sliding_window: 262144 },
    ...{ original_max_position_embeddings: 4096, partial_rotary_factor: 0.75, tie_word_embeddings: true, embd_pdrop: 0, resid_pdrop: 0 },
    auto_map: { AutoConfig: 'configuration_phi3.Phi3Config' },
    rope_scaling: { type: 'longrope', short_factor: list(48), long_factor: list(48).map((one) => 2 * one) },
  };
  const ROPE = { kind: 'halves', width: 96, base: 10000, factor: 1, divisors: false, original: 4096 };

  test('exactly', () => {
    const { config, divisors, notes } = read(PHI3);
    expect(notes).toEqual([]);
    expect(config).toEqual({
      ...{ architecture: 'phi3', layers: 32, width: 3072, heads: 24, kvHeads: 8, headWidth: 128, feedForward: 8192, vocabulary: 200064 },
      ...{ contextLength: 131072, epsilon: 1e-5, tied: true, biases: [], qkNorms: false, joined: true },
      rope: { ...ROPE, magnitude: Math.sqrt(1 + 5 / 12) }, // log 32 / log 4096
    });
    expect(Object.keys(divisors!)).toEqual(['ropeShort', 'ropeLong']);
    expect([...divisors!.ropeShort!]).toEqual(list(48).map(Math.fround));
    expect(divisors!.ropeLong![47]).toBe(Math.fround(2 * 5.7));
  });

  test('without long positions, with a window of all layers', () => {
    const small: Json = { ...PHI3, rope_scaling: null, max_position_embeddings: 4096, sliding_window: 2047, partial_rotary_factor: null };
    expect(read(small)).toMatchObject({
      config: { rope: { width: 128, factor: 1 }, windows: { size: 2047, every: 0 }, contextLength: 4096 },
      divisors: undefined,
      notes: [],
    });
    expect('original' in read(small).config.rope).toBe(false);
    expect('windows' in read({ ...small, sliding_window: undefined }).config).toBe(false);
  });

  test('rotations may be said in rope_parameters, and by older names', () => {
    const { config } = read(PHI3);
    const { short_factor, long_factor } = PHI3.rope_scaling as Json;
    const given = { short_factor, long_factor, rope_theta: 10000, partial_rotary_factor: 0.75, original_max_position_embeddings: 4096 };
    const bare = less(PHI3, 'rope_scaling', 'rope_theta', 'partial_rotary_factor');
    expect(read({ ...bare, rope_parameters: { ...given, rope_type: 'longrope' } }).config).toEqual(config);
    expect(read({ ...PHI3, rope_scaling: { short_factor, long_factor, type: 'su', factor: 32 } }).config).toEqual(config);
    const magnitude = (more: Json, json: Json = {}) =>
      read({ ...PHI3, ...json, rope_scaling: { ...(PHI3.rope_scaling as Json), ...more } }).config.rope.magnitude;
    expect(magnitude({ attention_factor: 1.19 })).toBe(1.19);
    expect(magnitude({}, { max_position_embeddings: 4096 })).toBe(1);
  });

  const scaling = (more: Json) => ({ rope_scaling: { ...(PHI3.rope_scaling as Json), ...more } });
  test.each([
    [scaling({ short_factor: list(64) }), FormatError, 'rope_scaling.short_factor: expected a list of 48 numbers above 0'],
    [scaling({ long_factor: null }), FormatError, 'rope_scaling.long_factor: expected a list of 48 numbers above 0, got nothing'],
    [scaling({ long_factor: list(48).fill(0) }), FormatError, 'rope_scaling.long_factor: expected a list'],
    [scaling({ long_factor: list(48).fill(1e300) }), FormatError, 'rope_scaling.long_factor: expected a list'],
    [scaling({ attention_factor: 0 }), FormatError, 'rope_scaling.attention_factor: expected a number above 0'],
    [scaling({ factor: 31 }), UnsupportedError, 'rope_scaling.factor: expected 32, max_position_embeddings over'],
    [scaling({ short_mscale: 1.2 }), UnsupportedError, 'rope_scaling.short_mscale: expected no such key of longrope'],
    [{ rope_scaling: { type: 'linear', factor: 2 } }, UnsupportedError, 'rope_scaling.rope_type: expected default, su or longrope'],
    [{ original_max_position_embeddings: 0 }, FormatError, 'original_max_position_embeddings: expected a whole number'],
    [{ partial_rotary_factor: 1.25 }, FormatError, 'partial_rotary_factor: expected an even number, at most all, of 128 numbers, got 1.25'],
    [{ partial_rotary_factor: 0.001 }, FormatError, 'partial_rotary_factor: expected an even number'],
    [{ partial_rotary_factor: 0 }, FormatError, 'partial_rotary_factor: expected a number above 0'],
    [{ hidden_act: 'gelu' }, UnsupportedError, 'hidden_act: expected silu'],
  ])('%j is refused by its name', (changed, kind, message) => {
    expect(() => read({ ...PHI3, ...changed })).toThrow(kind);
    expect(() => read({ ...PHI3, ...changed })).toThrow(`config.json: ${message}`);
  });
});

/** Of openai/gpt-oss-20b. */
const GPT_OSS = {
  ...{ architectures: ['GptOssForCausalLM'], model_type: 'gpt_oss', attention_bias: true, attention_dropout: 0, eos_token_id: 200_002 },
  ...{ experts_per_token: 4, head_dim: 64, hidden_act: 'silu', hidden_size: 2880, initial_context_length: 4096, initializer_range: 0.02 },
  ...{ intermediate_size: 2880, max_position_embeddings: 131_072, num_attention_heads: 64, num_experts_per_tok: 4, num_hidden_layers: 24 },
  ...{ layer_types: Array.from({ length: 24 }, (_, i) => (i % 2 ? 'full_attention' : 'sliding_attention')) },
  ...{ num_key_value_heads: 8, num_local_experts: 32, output_router_logits: false, pad_token_id: 199_999, rms_norm_eps: 1e-5 },
  quantization_config: { modules_to_not_convert: ['model.layers.*.self_attn'], quant_method: 'mxfp4' },
  rope_scaling: { beta_fast: 32, beta_slow: 1, factor: 32, original_max_position_embeddings: 4096, rope_type: 'yarn', truncate: false },
  ...{
    rope_theta: 150_000,
    router_aux_loss_coef: 0.9,
    sliding_window: 128,
    swiglu_limit: 7,
    tie_word_embeddings: false,
    vocab_size: 201_088,
  },
};

describe('gpt_oss', () => {
  test('is read, with its ramp of YaRN, whose ends are no whole numbers', () => {
    const { config, names, inTurns } = read(GPT_OSS);
    expect(config).toMatchObject({
      ...{ architecture: 'gpt-oss', layers: 24, width: 2880, heads: 64, kvHeads: 8, headWidth: 64, feedForward: 2880, vocabulary: 201_088 },
      ...{ experts: { count: 32, top: 4, scale: 1 }, windows: { size: 128, every: 2 }, sinks: true, activation: 'swiglu_oai', tied: false },
    });
    const { yarn, magnitude } = config.rope;
    expect(magnitude).toBeCloseTo(1.3465736, 7);
    // 64 ln(4096 / 2πr) / 2 ln 150,000, for r = 32 and 1
    expect(yarn!.low).toBeCloseTo(8.0928, 4);
    expect(yarn!.high).toBeCloseTo(17.398, 4);
    expect(config.biases.length).toBe(8);
    expect([names!.router, inTurns!.gates]).toEqual(['mlp.router.weight', 'mlp.experts.gate_up_proj']);
    expect(read({ ...GPT_OSS, rope_scaling: { ...GPT_OSS.rope_scaling, truncate: true } }).config.rope.yarn).toEqual({
      factor: 32,
      low: 8,
      high: 18,
    });
    const bare = less(
      GPT_OSS,
      'rope_scaling',
      'rope_theta',
      'sliding_window',
      'layer_types',
      'attention_bias',
      'swiglu_limit',
      'head_dim',
      'num_experts_per_tok',
    );
    expect(read(bare).config).toEqual(config);
  });

  test.each([
    [{ swiglu_limit: 6 }, UnsupportedError, 'swiglu_limit: expected 7, got 6'],
    [{ attention_bias: false }, UnsupportedError, 'attention_bias: expected true, got false'],
    [{ num_local_experts: 513 }, UnsupportedError, 'num_local_experts: expected at most 512, got 513'],
    [{ num_experts_per_tok: 33 }, FormatError, 'num_experts_per_tok: expected at most num_local_experts, 32, got 33'],
    [{ layer_types: ['full_attention'] }, FormatError, 'layer_types: expected full_attention or sliding_attention for each of 24 layers'],
    [{ sliding_window: 0 }, FormatError, 'sliding_window: expected a whole number'],
    [
      { rope_scaling: { ...GPT_OSS.rope_scaling, factor: 16 } },
      UnsupportedError,
      'rope_scaling.factor: expected 32, max_position_embeddings over',
    ],
    [{ rope_scaling: { ...GPT_OSS.rope_scaling, mscale: 1 } }, UnsupportedError, 'rope_scaling.mscale: expected no such key of yarn'],
    [{ rope_scaling: { ...GPT_OSS.rope_scaling, truncate: 1 } }, FormatError, 'rope_scaling.truncate: expected true or false'],
    [{ rope_scaling: { type: 'linear', factor: 2 } }, UnsupportedError, 'rope_scaling.rope_type: expected default or yarn'],
    [{ rope_theta: 1 }, FormatError, 'rope_scaling.rope_type: expected a rope_theta above 1'],
  ])('%j is refused by its name', (changed, kind, message) => {
    expect(() => read({ ...GPT_OSS, ...changed })).toThrow(kind);
    expect(() => read({ ...GPT_OSS, ...changed })).toThrow(`config.json: ${message}`);
  });

  test('others scale by YaRN with whole ends', () => {
    const rope_scaling = { type: 'yarn', factor: 4, original_max_position_embeddings: 8192 };
    const { rope } = read({ ...QWEN2, rope_scaling }).config; // 32,768 positions
    expect(Object.values(rope.yarn!).every(Number.isInteger)).toBe(true);
    expect(rope.magnitude).toBe(1 + Math.log(4) / 10);
    expect(read({ ...QWEN2, rope_scaling: { ...rope_scaling, attention_factor: 1 } }).config.rope.magnitude).toBe(1);
  });
});

test('keys that are absent or null are what transformers takes for them', () => {
  const old = read(
    less(LLAMA, 'num_key_value_heads', 'rope_theta', 'tie_word_embeddings', 'rms_norm_eps', 'attention_bias', 'hidden_act'),
  ).config;
  expect(old).toMatchObject({ kvHeads: 32, tied: false, epsilon: 1e-6, rope: { base: 10000 } });
  expect(read({ ...LLAMA, head_dim: null, num_key_value_heads: null }).config).toMatchObject({ headWidth: 64, kvHeads: 32 });
  expect(read(less(MISTRAL, 'num_key_value_heads')).config.kvHeads).toBe(8);
});

test('a window of all layers is one; a window of some bounds the context, up to which it changes nothing', () => {
  expect(read(MISTRAL)).toMatchObject({ config: { contextLength: 32768, windows: { size: 4096, every: 0 } }, notes: [] });
  expect('windows' in read({ ...MISTRAL, sliding_window: null }).config).toBe(false);
  expect('windows' in read({ ...MISTRAL, sliding_window: 32768 }).config).toBe(false);
  const some = read({ ...QWEN2, use_sliding_window: true, sliding_window: 1000 });
  expect(some.config.contextLength).toBe(1000);
  expect(some.notes).toEqual(['the context is 1000, the window of attention: beyond it results would differ']);
  expect(read({ ...QWEN2, layer_types: ['full_attention', 'full_attention'] }).config.contextLength).toBe(32768);
  expect(() => read({ ...QWEN2, layer_types: ['full_attention', 'sliding_attention'] })).toThrow(/layer_types: expected full_attention/);
});

test('where a model_type has one window for all layers, layers without are refused, unless it changes nothing', () => {
  const [full, sliding] = ['full_attention', 'sliding_attention'];
  const types = (layer_types: readonly string[], sliding_window: number) => read({ ...MISTRAL, sliding_window, layer_types }).config;
  expect(types([sliding, sliding], 1000).windows).toEqual({ size: 1000, every: 0 });
  for (const mixed of [
    [full, sliding],
    [full, full],
  ])
    expect(() => types(mixed, 1000)).toThrow(/layer_types: expected sliding_attention of all layers, or sliding_window of at least 32768/);
  expect(types([full, sliding], 32768).windows).toBeUndefined();
});

describe('positions', () => {
  const LLAMA3 = { rope_type: 'llama3', factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

  test('are scaled linearly', () => {
    for (const rope_scaling of [
      { type: 'linear', factor: 4 },
      { rope_type: 'linear', factor: 4 },
      { type: 'linear', rope_type: 'linear', factor: 4 },
    ])
      expect(read({ ...LLAMA, rope_scaling }).config.rope).toMatchObject({ factor: 4, divisors: false });
  });

  test('are scaled as Llama 3’s', () => {
    const { config, divisors: all } = read({ ...LLAMA, rope_theta: 500000, rope_scaling: LLAMA3 });
    const divisors = all!.ropeDivisors;
    expect(config.rope.divisors).toBe(true);
    const want = llama3Divisors({ base: 500000, width: 64 }, { factor: 32, low: 1, high: 4, original: 8192 });
    expect(divisors!.length).toBe(32);
    for (const [i, value] of divisors!.entries()) expect(Math.abs(value / want[i]! - 1)).toBeLessThan(1e-12);
    expect(new Set(want).size).toBeGreaterThan(4); // fast ones, slow ones, and some between
    expect(frequencies(config.rope, divisors!)[31]).toBe(500000 ** (-62 / 64) / 32);
  });

  test('may be said in rope_parameters', () => {
    const { config } = read({ ...less(LLAMA, 'rope_theta', 'rope_scaling'), rope_parameters: { rope_type: 'default', rope_theta: 2e4 } });
    expect(config.rope).toMatchObject({ base: 2e4, factor: 1 });
    expect(read({ ...less(LLAMA, 'rope_scaling'), rope_parameters: { ...LLAMA3, rope_theta: 5e5 } }).config.rope.base).toBe(5e5);
  });

  test.each([
    [{ type: 'yarn', factor: 4 }, UnsupportedError, 'rope_scaling.rope_type: expected default, linear or llama3, got "yarn"'],
    [{ type: 'dynamic', factor: 2 }, UnsupportedError, 'rope_scaling.rope_type'],
    [{ type: 'linear' }, FormatError, 'rope_scaling.factor: expected a number above 0, got nothing'],
    [{ type: 'linear', factor: -1 }, FormatError, 'rope_scaling.factor'],
    [{ type: 'linear', factor: 2, attention_factor: 3 }, UnsupportedError, 'rope_scaling.attention_factor'],
    [{ ...LLAMA3, high_freq_factor: 1 }, FormatError, 'rope_scaling.high_freq_factor: expected above low_freq_factor, 1'],
    [{ ...LLAMA3, original_max_position_embeddings: 0.5 }, FormatError, 'rope_scaling.original_max_position_embeddings'],
    ['linear', FormatError, 'rope_scaling: expected an object'],
    [[], FormatError, 'rope_scaling: expected an object'],
  ])('%j are refused', (rope_scaling, kind, message) => {
    expect(() => read({ ...LLAMA, rope_scaling })).toThrow(kind);
    expect(() => read({ ...LLAMA, rope_scaling })).toThrow(`config.json: ${message}`);
  });
});

test.each([
  ['model_type', undefined, FormatError],
  ['model_type', 'gpt2', UnsupportedError],
  ['model_type', '__proto__', UnsupportedError],
  ['architectures', ['LlamaForSequenceClassification'], UnsupportedError],
  ['architectures', 'LlamaForCausalLM', FormatError],
  ['hidden_size', undefined, FormatError],
  ['hidden_size', 2047, FormatError],
  ['hidden_size', '2048', FormatError],
  ['num_hidden_layers', 0, FormatError],
  ['num_hidden_layers', 1e9, FormatError],
  ['num_attention_heads', 32.5, FormatError],
  ['num_key_value_heads', 5, FormatError],
  ['head_dim', 63, FormatError],
  ['intermediate_size', null, FormatError],
  ['vocab_size', -1, FormatError],
  ['max_position_embeddings', undefined, FormatError],
  ['rms_norm_eps', 0, FormatError],
  ['rope_theta', 'x', FormatError],
  ['tie_word_embeddings', 1, FormatError],
  ['hidden_act', 'gelu', UnsupportedError],
  ['attention_bias', true, UnsupportedError],
  ['mlp_bias', true, UnsupportedError],
  ['is_encoder_decoder', true, UnsupportedError],
  ['partial_rotary_factor', 0.5, UnsupportedError],
  ['num_experts', 8, UnsupportedError],
  ['final_logit_softcapping', 30, UnsupportedError],
  ['embedding_multiplier', 12, UnsupportedError],
] as const)('%s: %j is refused by its name', (key, value, kind) => {
  expect(() => read({ ...LLAMA, [key]: value })).toThrow(kind);
  expect(() => read({ ...LLAMA, [key]: value })).toThrow(new RegExp(`^config.json: ${key}: expected`));
});

test('what says nothing, or is null, is passed over', () => {
  const said = {
    _name_or_path: 'x',
    use_mrope: false,
    rope_interleaved: false,
    is_llama_config: true,
    'transformers.js_config': {},
    quantization_config: { quant_method: 'gptq' },
    temperature: 0.7,
    num_experts: null,
    id2label: {},
  };
  expect(read({ ...LLAMA, ...said })).toEqual(read(LLAMA));
});

test.each([undefined, null, 3, [], 'x'])('%j is no configuration', (json) =>
  expect(() => readJsonConfig(json, 'dir/config.json')).toThrow(/^dir\/config.json: JSON: expected an object/),
);

test('whatever a key says, it is a Config or a typed error', () => {
  const keys = [...new Set([LLAMA, MISTRAL, QWEN2, GEMMA3, GPT_OSS].flatMap(Object.keys)), 'rope_parameters', 'layer_types', 'head_dim'];
  const values = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(0, -1, 1, 2 ** 24, 2 ** 53, 1e300, '', true, null, [], {}));
  const changes = fc.array(fc.tuple(fc.constantFrom(...keys), values), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(fc.constantFrom<object>(LLAMA, MISTRAL, QWEN2, QWEN3, GEMMA3, GPT_OSS), changes, (json, changed) => {
      try {
        const { config } = read({ ...json, ...Object.fromEntries(changed) });
        for (const size of ['layers', 'width', 'heads', 'kvHeads', 'headWidth', 'feedForward', 'vocabulary', 'contextLength'] as const)
          expect(Number.isInteger(config[size]) && config[size] > 0).toBe(true);
      } catch (error) {
        const typed = error instanceof FormatError || error instanceof UnsupportedError;
        expect(typed, String(error)).toBe(true);
      }
    }),
    { numRuns: 2000 },
  );
});

test('the folders of tests say what their configuration is', () => {
  for (const type of [
    'llama',
    'mistral',
    'mixtral',
    'qwen2',
    'qwen3',
    'qwen3_moe',
    'gpt_oss',
    'smollm3',
    'phi3',
    'gemma2',
    'gemma3_text',
  ] as const) {
    const { json, config } = folderParts({ type, format: type === 'gpt_oss' ? 'gpt-oss' : 'floats' });
    expect(read(json).config).toEqual(config);
  }
});
