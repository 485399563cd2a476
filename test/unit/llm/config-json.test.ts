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
    const { config, divisors } = read({ ...LLAMA, rope_theta: 500000, rope_scaling: LLAMA3 });
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
  const keys = [...new Set([LLAMA, MISTRAL, QWEN2].flatMap(Object.keys)), 'rope_parameters', 'layer_types', 'head_dim'];
  const values = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(0, -1, 1, 2 ** 24, 2 ** 53, 1e300, '', true, null, [], {}));
  const changes = fc.array(fc.tuple(fc.constantFrom(...keys), values), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(fc.constantFrom(LLAMA, MISTRAL, QWEN2, QWEN3), changes, (json, changed) => {
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
  for (const type of ['llama', 'mistral', 'qwen2', 'qwen3'] as const) {
    const { json, config } = folderParts({ type, format: 'floats' });
    expect(read(json).config).toEqual(config);
  }
});
