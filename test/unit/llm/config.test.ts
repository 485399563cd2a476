// GGUF headers → Config: every architecture, defaults, and every refusal with the key that it names. Nothing but the header is read.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError, UnsupportedError } from '../../../src/errors.js';
import { openGguf } from '../../../src/files/gguf.js';
import type { TensorFile } from '../../../src/files/tensor-file.js';
import { readConfig } from '../../../src/llm/config.js';
import { findTensors } from '../../../src/llm/model-tensors.js';
import { counting, type GgufValue, makeGguf } from '../../support/files.js';
import { type ModelOptions, modelConfig, modelParts } from '../../support/model-file.js';

type Metadata = Readonly<Record<string, GgufValue | undefined>>;

/** A file of two layers with some keys changed, or left out where they are undefined. Its data cannot be read. */
async function headerOf(options: Partial<ModelOptions> = {}, changed: Metadata = {}, without: readonly string[] = []): Promise<TensorFile> {
  const { metadata, tensors } = modelParts({ architecture: 'llama', ...options, sizes: { layers: 2, feedForward: 256, ...options.sizes } });
  for (const [key, value] of Object.entries(changed)) {
    if (value) metadata.set(key, value);
    else metadata.delete(key);
  }
  const kept = tensors.filter(({ name }) => !without.includes(name));
  const bytes = makeGguf(kept, { metadata });
  const data = kept.reduce((sum, tensor) => sum + Math.ceil(tensor.bytes.length / 32) * 32, 0);
  const source = counting(bytes, 'm.gguf');
  return openGguf({
    ...source,
    read: (begin, end) => (begin < bytes.length - data ? source.read(begin, end) : expect.fail(`byte ${begin} is no header's`)),
  });
}

const u32 = (value: number): GgufValue => ['UINT32', value];
const f32 = (value: number): GgufValue => ['FLOAT32', value];
const list = (of: string, ...values: readonly unknown[]): GgufValue => ['ARRAY', [of, values]];

/** It throws an error of this class and message. */
async function refusal(file: Promise<TensorFile>, type: typeof FormatError | typeof UnsupportedError, message: string): Promise<void> {
  const opened = await file;
  let thrown: unknown;
  try {
    readConfig(opened);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(type);
  expect((thrown as Error).message).toBe(message);
}

const MODELS: readonly ModelOptions[] = [
  { architecture: 'llama' },
  { architecture: 'llama', tied: true, vocabulary: 300, sizes: { heads: 4, kvHeads: 1, headWidth: 64 } },
  { architecture: 'llama', rope: { divisors: true, base: 500_000 } },
  { architecture: 'llama', rope: { factor: 4 } },
  { architecture: 'qwen2', tied: true, sizes: { epsilon: 1e-5 } },
  { architecture: 'qwen2' },
  { architecture: 'qwen3', sizes: { headWidth: 64, kvHeads: 8 } },
  { architecture: 'qwen3', tied: true, sizes: { contextLength: 40_960 }, rope: { base: 1e6 } },
  { architecture: 'llama', window: 40 },
  { architecture: 'gemma3', tied: true, window: 512, rope: { base: 1e6, factor: 8 }, sizes: { headWidth: 256 } },
  { architecture: 'gemma3', rope: { factor: 2 } },
  { architecture: 'gemma3' }, // one rotation: its base is that of windows, too
  { architecture: 'gemma2', tied: true, caps: { scores: 40, logits: 20 } },
  { architecture: 'smollm3', rope: { base: 5e6 } },
  { architecture: 'gpt-oss', rope: { base: 150_000 }, sizes: { headWidth: 64 } },
  { architecture: 'gpt-oss', yarn: { factor: 32, original: 4096 }, window: 128 },
  { architecture: 'qwen3', yarn: { factor: 4, original: 512 } },
  { architecture: 'phi3' },
  { architecture: 'phi3', window: 2047, rope: { width: 24, original: 512, magnitude: 1.25 } },
];

describe('what a header says', () => {
  test.each(MODELS)('%j', async (options) => {
    const small = { ...options, sizes: { layers: 2, feedForward: 256, ...options.sizes } };
    const file = await headerOf(options);
    const config = readConfig(file);
    expect(config).toEqual(modelConfig(small));
    expect(findTensors(file, config, 'gguf').size).toBe(file.tensors.size); // all of them, and none was read
  });

  test('keys that a file may lack', async () => {
    const names = ['attention.key_length', 'attention.value_length', 'rope.dimension_count', 'rope.freq_base', 'vocab_size'];
    const changed = Object.fromEntries(names.map((name) => [`llama.${name}`, undefined]));
    expect(readConfig(await headerOf({}, changed))).toEqual(modelConfig({ architecture: 'llama', sizes: { layers: 2, feedForward: 256 } }));
    const heads = await headerOf({ sizes: { kvHeads: 8 } }, { 'llama.attention.head_count_kv': undefined });
    expect(readConfig(heads).kvHeads).toBe(8);
    const file = await headerOf({}, { 'tokenizer.ggml.tokens': undefined });
    expect(readConfig(file).vocabulary).toBe(259);
  });

  test('one number for all layers may be said for each', async () => {
    const changed = {
      'llama.attention.head_count': list('UINT32', 8, 8),
      'llama.attention.head_count_kv': list('INT32', 2, 2),
      'llama.feed_forward_length': list('UINT32', 256, 256),
    };
    expect(readConfig(await headerOf({}, changed))).toMatchObject({ heads: 8, kvHeads: 2, feedForward: 256 });
  });

  test('linear scaling has an older key, and none is none', async () => {
    expect(readConfig(await headerOf({}, { 'llama.rope.scale_linear': f32(2) })).rope.factor).toBe(2);
    expect(readConfig(await headerOf({}, { 'llama.rope.scaling.factor': f32(2) })).rope.factor).toBe(2); // linear is llama.cpp's default
    const both = { 'llama.rope.scale_linear': f32(2), 'llama.rope.scaling.factor': f32(8) };
    expect(readConfig(await headerOf({}, both)).rope.factor).toBe(8);
    const none = { 'llama.rope.scaling.type': ['STRING', 'none'], 'llama.rope.scaling.factor': f32(8) } as const;
    expect(readConfig(await headerOf({}, none)).rope.factor).toBe(1);
  });

  test('the ramp of gpt-oss-20b, whose frequencies others have worked out', async () => {
    const real = {
      architecture: 'gpt-oss',
      rope: { base: 150_000 },
      yarn: { factor: 32, original: 4096 },
      sizes: { headWidth: 64 },
    } as const;
    const { rope } = readConfig(await headerOf(real));
    expect(rope.yarn).toEqual({ factor: 32, low: 8, high: 18 });
    expect(rope.magnitude).toBeCloseTo(1.3465736, 7);
    const turns = { 'gpt-oss.rope.scaling.yarn_beta_fast': f32(64), 'gpt-oss.rope.scaling.yarn_beta_slow': f32(2) };
    expect(readConfig(await headerOf(real, turns)).rope.yarn).toEqual({ factor: 32, low: 6, high: 16 });
    const ofContext = { 'gpt-oss.rope.scaling.original_context_length': undefined };
    expect(readConfig(await headerOf(real, ofContext)).rope.yarn).toEqual({ factor: 32, low: 6, high: 16 }); // llama.cpp's default: 2,048 here
  });

  test('keys that change nothing, and keys of others', async () => {
    const changed: Metadata = {
      'llama.expert_count': u32(0),
      'llama.expert_used_count': u32(0),
      'llama.attention.sliding_window': u32(0),
      'llama.attention.causal': ['BOOL', 1],
      'llama.attention.clamp_kqv': f32(0),
      'llama.logit_scale': f32(1),
      'llama.residual_scale': f32(0),
      'llama.embedding_scale': f32(1),
      'llama.pooling_type': u32(0),
      'llama.rope.scaling.attn_factor': f32(1),
      'llama.rope.scaling.yarn_log_multiplier': f32(0),
      'llama.rope.scaling.finetuned': ['BOOL', 0],
      'llama.rope.scaling.original_context_length': u32(8192),
      'llama.tensor_data_layout': ['STRING', 'Meta AI original pth'],
      'general.type': ['STRING', 'model'],
      'general.quantization_version': u32(2),
      'qwen2.expert_count': u32(8),
      'llamas.expert_count': u32(8),
      'quantize.imatrix.entries_count': u32(3),
    };
    expect(readConfig(await headerOf({}, changed))).toEqual(modelConfig({ architecture: 'llama', sizes: { layers: 2, feedForward: 256 } }));
  });

  test('divisors of frequencies count where the architecture has them, and are left over elsewhere', async () => {
    for (const architecture of ['qwen2', 'qwen3'] as const) {
      const file = await headerOf({ architecture, rope: { divisors: true } });
      const config = readConfig(file);
      expect(config.rope.divisors).toBe(false);
      expect(() => findTensors(file, config, 'gguf')).toThrow(`m.gguf: rope_freqs.weight: expected no such tensor in ${architecture}`);
    }
  });

  test('a key of Object.prototype is no key', async () => {
    const file = await headerOf();
    const metadata = Object.assign(Object.create({ 'llama.expert_count': 8 }), file.metadata);
    expect(() => readConfig({ ...file, metadata })).not.toThrow();
  });
});

const WHOLE = 'a whole number from 1 to 16777216';

describe('a file that contradicts itself', () => {
  test.each<[key: string, value: GgufValue | undefined, rest: string]>([
    ['block_count', undefined, `expected ${WHOLE}, got nothing`],
    ['block_count', u32(0), `expected ${WHOLE}, got 0`],
    ['block_count', f32(1.5), `expected ${WHOLE}, got 1.5`],
    ['block_count', ['STRING', '2'], `expected ${WHOLE}, got "2"`],
    ['block_count', ['BOOL', 1], `expected ${WHOLE}, got true`],
    ['block_count', list('UINT32', 2, 2), `expected ${WHOLE}, got [2, 2]`],
    ['block_count', ['UINT64', 2 ** 60], `expected ${WHOLE}, got ${2n ** 60n}`],
    ['embedding_length', undefined, `expected ${WHOLE}, got nothing`],
    ['embedding_length', ['INT32', -256], `expected ${WHOLE}, got -256`],
    ['context_length', undefined, `expected ${WHOLE}, got nothing`],
    ['feed_forward_length', undefined, `expected ${WHOLE}, got nothing`],
    ['feed_forward_length', list('UINT32', 256), 'expected a number, or one for each of 2 layers, got 1 of them'],
    ['feed_forward_length', list('STRING', '256', '256'), `expected ${WHOLE}, got ["256", "256"]`],
    ['attention.head_count', undefined, `expected ${WHOLE}, got nothing`],
    ['attention.head_count', u32(0), `expected ${WHOLE}, got 0`],
    ['attention.head_count_kv', u32(0), `expected ${WHOLE}, got 0`],
    ['attention.head_count_kv', u32(3), 'expected a divisor of attention.head_count, 8, got 3'],
    ['attention.head_count_kv', u32(16), 'expected a divisor of attention.head_count, 8, got 16'],
    ['attention.key_length', u32(31), 'expected an even number, got 31'],
    ['attention.layer_norm_rms_epsilon', undefined, 'expected a number above 0, got nothing'],
    ['attention.layer_norm_rms_epsilon', f32(0), 'expected a number above 0, got 0'],
    ['attention.layer_norm_rms_epsilon', f32(Number.POSITIVE_INFINITY), 'expected a number above 0, got Infinity'],
    ['attention.layer_norm_rms_epsilon', ['STRING', '1e-5'], 'expected a number above 0, got "1e-5"'],
    ['rope.freq_base', f32(0), 'expected a number above 0, got 0'],
    ['rope.freq_base', f32(Number.NaN), 'expected a number above 0, got NaN'],
    ['rope.dimension_count', u32(64), 'expected at most 32, a head, got 64'],
    ['rope.scaling.factor', f32(0), 'expected a number above 0, got 0'],
    ['rope.scale_linear', f32(-1), 'expected a number above 0, got -1'],
    ['rope.scaling.type', u32(1), 'expected a string, got 1'],
    ['vocab_size', u32(260), 'expected 259, the rows of token_embd.weight, got 260'],
    ['vocab_size', u32(0), `expected ${WHOLE}, got 0`],
  ])('llama.%s = %j', (key, value, rest) =>
    refusal(headerOf({}, { [`llama.${key}`]: value }), FormatError, `m.gguf: llama.${key}: ${rest}`),
  );

  test('a width that heads do not divide, where no key has the width of a head', () =>
    refusal(
      headerOf(
        {},
        { 'llama.attention.head_count': u32(6), 'llama.attention.head_count_kv': u32(2), 'llama.attention.key_length': undefined },
      ),
      FormatError,
      'm.gguf: llama.embedding_length: expected a multiple of attention.head_count, 6, got 256',
    ));
  test('as many tokens as rows', () =>
    refusal(
      headerOf({}, { 'tokenizer.ggml.tokens': list('STRING', 'a', 'b') }),
      FormatError,
      'm.gguf: tokenizer.ggml.tokens: expected 259 tokens, the rows of token_embd.weight, got 2',
    ));
  test('as many tokens as rows, where they are too many to be held', () =>
    refusal(
      headerOf({}, { 'tokenizer.ggml.tokens': list('STRING', ...Array(2000).fill('a')) }),
      FormatError,
      'm.gguf: tokenizer.ggml.tokens: expected 259 tokens, the rows of token_embd.weight, got 2000',
    ));
  test('tokens that are none', () =>
    refusal(
      headerOf({}, { 'tokenizer.ggml.tokens': u32(259) }),
      FormatError,
      'm.gguf: tokenizer.ggml.tokens: expected 259 tokens, the rows of token_embd.weight, got nothing',
    ));
  test('no embedding', () =>
    refusal(
      headerOf({}, {}, ['token_embd.weight']),
      FormatError,
      'm.gguf: token_embd.weight: shape: expected (vocabulary, width), got no such tensor',
    ));
  test('no architecture', async () => {
    const message = 'm.gguf: general.architecture: expected the name of an architecture, got';
    await refusal(headerOf({}, { 'general.architecture': undefined }), FormatError, `${message} nothing`);
    await refusal(headerOf({}, { 'general.architecture': ['STRING', ''] }), FormatError, `${message} ""`);
    await refusal(headerOf({}, { 'general.architecture': u32(3) }), FormatError, `${message} 3`);
  });
});

describe('the attention of architectures', () => {
  const read = async (options: Partial<ModelOptions>, changed: Metadata = {}) => readConfig(await headerOf(options, changed));
  const GEMMA3 = { architecture: 'gemma3', rope: { base: 1e6 }, sizes: { layers: 8 } } as const;

  test('windows: by the period of the key, of the row, or none', async () => {
    const key = 'gemma3.attention.sliding_window_pattern';
    expect((await read(GEMMA3)).windows).toEqual({ size: 12, every: 6 });
    expect((await read(GEMMA3, { [key]: u32(3) })).windows).toEqual({ size: 12, every: 3 });
    expect((await read(GEMMA3, { [key]: u32(1) })).windows).toBeUndefined();
    expect((await read(GEMMA3, { [key]: list('BOOL', 1, 1, 1, 0, 1, 1, 1, 0) })).windows).toEqual({ size: 12, every: 4 });
    expect((await read(GEMMA3, { [key]: list('BOOL', 1, 1, 1, 1, 1, 1, 1, 1) })).windows).toEqual({ size: 12, every: 0 });
    expect((await read(GEMMA3, { [key]: list('BOOL', 0, 0, 0, 0, 0, 0, 0, 0) })).windows).toBeUndefined();
    expect((await read(GEMMA3, { 'gemma3.attention.sliding_window': u32(0) })).windows).toBeUndefined();
    expect((await read({ architecture: 'gemma2' }, { 'gemma2.attention.sliding_window': undefined })).windows).toEqual({
      size: 4096,
      every: 2,
    });
    expect((await read({ architecture: 'phi3', window: 5 })).windows).toEqual({ size: 5, every: 0 });
  });

  test('two rotations, where they differ', async () => {
    const { rope, localRope } = await read({ ...GEMMA3, rope: { base: 1e6, factor: 8 } });
    expect([rope.base, rope.factor, localRope?.base, localRope?.factor]).toEqual([1e6, 8, 1e4, 1]);
    expect((await read(GEMMA3, { 'gemma3.rope.freq_base_swa': f32(5e4) })).localRope?.base).toBe(5e4);
    expect((await read(GEMMA3, { 'gemma3.rope.freq_base_swa': f32(1e6) })).localRope).toBeUndefined();
    expect((await read(GEMMA3, { 'gemma3.attention.sliding_window': u32(0) })).localRope).toBeUndefined();
    expect((await read({ architecture: 'gemma2' })).localRope).toBeUndefined();
    const gemma2 = await read({ architecture: 'gemma2', rope: { factor: 2 } }, { 'gemma2.rope.freq_base_swa': f32(5e4) });
    expect(gemma2.localRope).toMatchObject({ base: 5e4, factor: 2 });
  });

  test('the scale of scores: by the key, of models of 27 billion weights by d / H, else 1 / √e', async () => {
    const small = { layers: 62, width: 32, feedForward: 32, headWidth: 4, heads: 4, kvHeads: 2 };
    const type = 'F32';
    expect((await read(GEMMA3)).scoreScale).toBeUndefined();
    expect((await read({ architecture: 'gemma3', type, sizes: small })).scoreScale).toBe(1 / Math.sqrt(8));
    expect((await read({ architecture: 'gemma2', type, sizes: { ...small, layers: 46 } })).scoreScale).toBe(1 / Math.sqrt(8));
    expect((await read({ architecture: 'gemma2', type, sizes: small })).scoreScale).toBeUndefined();
    for (const architecture of ['gemma3', 'smollm3'] as const)
      expect((await read({ architecture }, { [`${architecture}.attention.scale`]: f32(0.25) })).scoreScale).toBe(0.25);
  });

  test('caps: those of the file, or of the row; 0 is none', async () => {
    const caps = async (architecture: ModelOptions['architecture'], attention?: GgufValue, logits?: GgufValue) => {
      const config = await read(
        { architecture },
        {
          [`${architecture}.attn_logit_softcapping`]: attention,
          [`${architecture}.final_logit_softcapping`]: logits,
        },
      );
      return [config.scoreCap, config.logitCap];
    };
    expect(await caps('gemma2')).toEqual([50, 30]);
    expect(await caps('gemma2', f32(0), f32(8))).toEqual([undefined, 8]);
    expect(await caps('gemma3')).toEqual([undefined, undefined]);
    expect(await caps('gemma3', undefined, f32(30))).toEqual([undefined, 30]);
  });

  test.each<[architecture: ModelOptions['architecture'], changed: Metadata, message: string]>([
    ['gemma3', { 'attention.sliding_window': undefined }, `attention.sliding_window: expected ${WHOLE}, got nothing`],
    ['gemma3', { 'attention.sliding_window': f32(1.5) }, `attention.sliding_window: expected ${WHOLE}, got 1.5`],
    ['llama', { 'attention.sliding_window': ['STRING', '8'] }, `attention.sliding_window: expected ${WHOLE}, got "8"`],
    ['gemma3', { 'attention.sliding_window_pattern': u32(0) }, `attention.sliding_window_pattern: expected ${WHOLE}, got 0`],
    [
      'gemma3',
      { 'attention.sliding_window_pattern': list('BOOL', 1) },
      'attention.sliding_window_pattern: expected a whole number, or true or false for each of 2 layers, got [true]',
    ],
    ['gemma2', { attn_logit_softcapping: f32(-1) }, 'attn_logit_softcapping: expected a number of at least 0, got -1'],
    ['gemma2', { final_logit_softcapping: ['STRING', ''] }, 'final_logit_softcapping: expected a number of at least 0, got ""'],
    ['gemma2', { 'attention.scale': f32(0) }, 'attention.scale: expected a number above 0, got 0'],
    ['phi3', { 'rope.dimension_count': u32(23) }, 'rope.dimension_count: expected an even number, got 23'],
    ['phi3', { 'rope.scaling.type': ['STRING', 'longrope'] }, `rope.scaling.original_context_length: expected ${WHOLE}, got nothing`],
  ])('%s: %j', (architecture, changed, message) =>
    refusal(
      headerOf({ architecture }, Object.fromEntries(Object.entries(changed).map(([key, value]) => [`${architecture}.${key}`, value]))),
      FormatError,
      `m.gguf: ${architecture}.${message}`,
    ),
  );

  test('LongRoPE needs both lists of divisors, and no factor beside them', async () => {
    const options = { architecture: 'phi3', rope: { original: 512, magnitude: 1.25 } } as const;
    const config = await read(options);
    expect(config.rope).toMatchObject({ original: 512, magnitude: 1.25, divisors: false, factor: 1 });
    const file = await headerOf(options, {}, ['rope_factors_long.weight']);
    expect(() => findTensors(file, readConfig(file), 'gguf')).toThrow(
      'rope_factors_long.weight: shape: expected (16,), got no such tensor',
    );
    await refusal(
      headerOf(options, { 'phi3.rope.scaling.factor': f32(4) }),
      UnsupportedError,
      'm.gguf: phi3.rope.scaling.factor: expected 1 beside rope_factors_short.weight, got 4',
    );
  });
});

const NAMES = 'llama, qwen2, qwen3, qwen3moe, gpt-oss, gemma3, gemma2, smollm3, phi3';

describe('what is not served', () => {
  test.each<[key: string, value: GgufValue, rest: string]>([
    ['expert_used_count', u32(2), 'expected 0, got 2'],
    ['attention.causal', ['BOOL', 0], 'expected true, got false'],
    ['attention.clamp_kqv', f32(8), 'expected 0, got 8'],
    ['attention.value_length', u32(64), 'expected 32, as attention.key_length, got 64'],
    ['attention.head_count', list('UINT32', 8, 4), 'expected the same number for all layers, got [8, 4]'],
    ['attention.head_count_kv', list('UINT32', 2, 0), 'expected the same number for all layers, got [2, 0]'],
    ['feed_forward_length', list('UINT32', 256, 512), 'expected the same number for all layers, got [256, 512]'],
    ['logit_scale', f32(0.5), 'expected 0 or 1, got 0.5'],
    ['residual_scale', f32(0.5), 'expected 0 or 1, got 0.5'],
    ['embedding_scale', f32(12), 'expected 0 or 1, got 12'],
    ['pooling_type', u32(3), 'expected 0, got 3'],
    ['rope.dimension_count', u32(16), 'expected 32, a whole head, got 16'],
    ['rope.scaling.type', ['STRING', 'yarn'], 'expected none or linear (Llama 3 scales by the tensor rope_freqs.weight), got "yarn"'],
    [
      'rope.scaling.type',
      ['STRING', 'longrope'],
      'expected none or linear (Llama 3 scales by the tensor rope_freqs.weight), got "longrope"',
    ],
    ['rope.scaling.attn_factor', f32(1.25), 'expected 1, got 1.25'],
    ['rope.scaling.yarn_log_multiplier', f32(0.1), 'expected 0, got 0.10000000149011612'],
    ['attn_logit_softcapping', f32(50), 'expected no such key, since it may change the result, got 50'],
    ['attention.scale', f32(0.1), 'expected no such key, since it may change the result, got 0.10000000149011612'],
    ['rope.dimension_sections', list('UINT32', 8, 8), 'expected no such key, since it may change the result, got [8, 8]'],
    ['constructor', u32(1), 'expected no such key, since it may change the result, got 1'],
    ['', u32(1), 'expected no such key, since it may change the result, got 1'],
  ])('llama.%s = %j', (key, value, rest) =>
    refusal(headerOf({}, { [`llama.${key}`]: value }), UnsupportedError, `m.gguf: llama.${key}: ${rest}`),
  );

  const unknown = 'expected no such key, since it may change the result';
  test.each<[architecture: ModelOptions['architecture'], key: string, value: GgufValue, rest: string]>([
    ['qwen2', 'attention.sliding_window', u32(4096), 'expected 0, got 4096'],
    ['qwen3', 'attention.sliding_window', u32(4096), 'expected 0, got 4096'],
    ['smollm3', 'attention.sliding_window', u32(4096), 'expected 0, got 4096'],
    ['llama', 'attention.sliding_window_pattern', u32(2), `${unknown}, got 2`],
    ['llama', 'rope.freq_base_swa', f32(1e4), `${unknown}, got 10000`],
    ['smollm3', 'final_logit_softcapping', f32(30), `${unknown}, got 30`],
    ['phi3', 'attention.scale', f32(2), `${unknown}, got 2`],
    ['phi3', 'rope.scaling.attn_factor', f32(1.25), 'expected 1, got 1.25'],
    ['gemma3', 'rope.scaling.attn_factor', f32(1.25), 'expected 1, got 1.25'],
    ['gemma3', 'rope.dimension_count', u32(16), 'expected 32, a whole head, got 16'],
    [
      'gemma3',
      'rope.scaling.type',
      ['STRING', 'yarn'],
      'expected none or linear (Llama 3 scales by the tensor rope_freqs.weight), got "yarn"',
    ],
    [
      'gpt-oss',
      'rope.scaling.type',
      ['STRING', 'longrope'],
      'expected none, yarn or linear (Llama 3 scales by the tensor rope_freqs.weight), got "longrope"',
    ],
    ['gpt-oss', 'rope.scaling.yarn_ext_factor', f32(0.5), 'expected 1, got 0.5'],
    ['gpt-oss', 'expert_gating_func', u32(2), 'expected 1, got 2'],
    [
      'gemma3',
      'attention.sliding_window_pattern',
      list('BOOL', 0, 1),
      'expected a layer without a window after each run of as many with one, got [false, true]',
    ],
  ])('%s.%s = %j', (architecture, key, value, rest) =>
    refusal(headerOf({ architecture }, { [`${architecture}.${key}`]: value }), UnsupportedError, `m.gguf: ${architecture}.${key}: ${rest}`),
  );

  test.each(['gemma', 'phi2', 'Llama', 'constructor', '__proto__'])('architecture %s', (name) =>
    refusal(
      headerOf({}, { 'general.architecture': ['STRING', name] }),
      UnsupportedError,
      `m.gguf: general.architecture: expected ${NAMES}, got "${name}"`,
    ),
  );
  test('a file that is no model', () =>
    refusal(
      headerOf({}, { 'general.type': ['STRING', 'adapter'] }),
      UnsupportedError,
      'm.gguf: general.type: expected model, got "adapter"',
    ));
  test('another container', async () => {
    const file = await headerOf();
    await refusal(Promise.resolve({ ...file, kind: 'safetensors' }), UnsupportedError, 'm.gguf: container: expected gguf, got safetensors');
  });
});

test('whatever a key says, it is a Config or a typed error', async () => {
  const file = await headerOf();
  const keys = [...Object.keys(file.metadata), 'llama.rope.scaling.type', 'llama.rope.scaling.factor', 'llama.rope.scale_linear'];
  const value = fc.oneof(
    fc.integer({ min: -2, max: 4096 }),
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.string(),
    fc.constantFrom('none', 'linear', 'yarn', 'model'),
    fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 3 }),
    fc.constant({ of: 'STRING', length: 259 }),
  );
  let read = 0;
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 3 }), (changed) => {
      const given: TensorFile = { ...file, metadata: { ...file.metadata, ...changed } };
      try {
        const config = readConfig(given);
        read++;
        for (const size of [config.layers, config.width, config.heads, config.kvHeads, config.headWidth, config.vocabulary])
          expect(Number.isInteger(size) && size >= 1).toBe(true);
        expect(config.heads % config.kvHeads).toBe(0);
        expect(config.rope.width % 2).toBe(0);
        findTensors(given, config, 'gguf');
      } catch (error) {
        expect(error instanceof FormatError || error instanceof UnsupportedError, String(error)).toBe(true);
      }
    }),
    { numRuns: 2000 },
  );
  expect(read).toBeGreaterThan(100);
});
