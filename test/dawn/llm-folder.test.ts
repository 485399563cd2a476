// Hugging Face folders on a device: logits of the float64 reference for every format of weights, with weights by the formats' definitions.
import '../support/quick-compiler.js';

import { describe, expect, test } from 'vitest';
import { requestDevice, UnsupportedError } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { llmReference } from '../../src/reference/llm.js';
import { gpu } from '../support/dawn.js';
import { f16 } from '../support/folder-formats.js';
import { llmDevice } from '../support/llm-kernels.js';
import { mlcFilesOf } from '../support/mlc-folder.js';
import { asFiles, type FolderOptions, filesOf, folderParts } from '../support/model-folder.js';

const device = await llmDevice();

/** Relative distance of logits from float64. */
const BOUND = 1e-5;
const PROMPT = Array.from({ length: 21 }, (_, i) => (i * 37 + 3) % 256);

const LLAMA3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
const LONGROPE = {
  ...{ original_max_position_embeddings: 64, partial_rotary_factor: 0.75 },
  rope_scaling: {
    type: 'longrope',
    short_factor: Array.from({ length: 12 }, (_, i) => 1 + i / 10),
    long_factor: Array.from({ length: 12 }, (_, i) => 1 + i),
  },
};
const FOLDERS: readonly (FolderOptions & { readonly context?: number })[] = [
  { type: 'llama', format: 'GPTQ' },
  { type: 'qwen2', format: 'GPTQ act-order', shards: 2 },
  { type: 'qwen3', format: 'GPTQ act-order', sizes: { headWidth: 64 } },
  { type: 'qwen2', format: 'AWQ' },
  { type: 'llama', format: 'AWQ', json: { rope_scaling: LLAMA3 } },
  { type: 'qwen3', format: 'pack-quantized', shards: 3 },
  { type: 'mistral', format: 'int-quantized', json: { rope_scaling: { type: 'linear', factor: 4 } } },
  { type: 'mistral', format: 'GPTQ', json: { sliding_window: 9 } },
  { type: 'llama', format: 'NF4' },
  { type: 'qwen2', format: 'bitsandbytes int8' },
  { type: 'llama', format: 'HQQ' },
  { type: 'qwen2', format: 'MLX', tied: true },
  { type: 'qwen2', format: 'ModelOpt int4' },
  { type: 'llama', format: 'MXFP4' },
  { type: 'qwen3', format: 'FP8' },
  { type: 'qwen2', format: 'floats', tied: true },
  { type: 'qwen3', format: 'floats' },
  { type: 'gemma3_text', format: 'floats', tied: true, json: { rope_scaling: { rope_type: 'linear', factor: 8 } } },
  { type: 'gemma3_text', format: 'GPTQ', tied: true },
  { type: 'smollm3', format: 'floats', tied: true },
  { type: 'smollm3', format: 'AWQ', json: { no_rope_layers: [1, 0], no_rope_layer_interval: 1 } },
  { type: 'phi3', format: 'floats', json: { sliding_window: 9 } },
  { type: 'phi3', format: 'GPTQ', json: LONGROPE },
  { type: 'phi3', format: 'AWQ', json: LONGROPE, context: 200 },
  { type: 'qwen3_moe', format: 'floats' },
  { type: 'qwen3_moe', format: 'GPTQ' },
  { type: 'qwen3_moe', format: 'AWQ', shards: 2 },
  { type: 'qwen3_moe', format: 'MLX' },
  { type: 'mixtral', format: 'floats' },
  { type: 'mixtral', format: 'AWQ', shards: 2 },
  { type: 'mixtral', format: 'MLX' },
  { type: 'gpt_oss', format: 'gpt-oss', shards: 2 },
  { type: 'gpt_oss', format: 'MLX' },
  { type: 'qwen3', format: 'floats', json: { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 } } },
  { type: 'gemma2', format: 'floats', tied: true },
  { type: 'gemma2', format: 'pack-quantized', tied: true },
];

const apart = (got: Float32Array, want: Float64Array): number => {
  expect(got.length).toBe(want.length);
  return Math.hypot(...want.map((value, i) => got[i]! - value)) / Math.hypot(...want);
};

async function expectReference(llm: Llm, options: FolderOptions & { readonly context?: number }): Promise<void> {
  const { config, weight } = folderParts(options);
  expect(llm.config).toEqual(config);
  const reference = llmReference(config, weight, { context: options.context });
  const want = reference.forward(PROMPT);
  expect(apart(await llm.logits(PROMPT, { all: true }), want)).toBeLessThan(BOUND);
  llm.reset();
  let logits = want.subarray(-config.vocabulary);
  let tokens = 0;
  for await (const { id } of llm.generate(PROMPT, { maxTokens: 12 })) {
    expect(logits[id]!).toBeGreaterThanOrEqual(Math.max(...logits) - 2 * BOUND * Math.hypot(...logits));
    logits = reference.forward([id]);
    tokens++;
  }
  expect(tokens).toBe(12);
}

test.each(FOLDERS)('$type $format', async (options) => {
  const files = filesOf(folderParts(options));
  expect([...files.values()].reduce((sum, { length }) => sum + length, 0)).toBeLessThan(2_000_000);
  const { context } = options;
  const llm = await Llm.load(asFiles(files), { device, kv: 'f32', ...(context && { context }) });
  try {
    await expectReference(llm, options);
    const { notes } = llm.explain();
    const said = (part: string): boolean => notes.some((note) => note.includes(part));
    expect(said('gate and up are two products in layers 0, 1')).toBe(['GPTQ act-order', 'ModelOpt int4'].includes(options.format));
    expect(said('int8 in groups of 32: model.embed_tokens.weight')).toBe(options.format !== 'MLX');
  } finally {
    llm.destroy();
  }
});

const C_ATTN = { qkv: 'self_attn.c_attn.weight', qkvBias: 'self_attn.c_attn.bias' };
const MLC: readonly FolderOptions[] = [
  { type: 'llama', format: 'MLC q4f16_1', joined: {}, json: { rope_scaling: LLAMA3 }, shards: 3 },
  { type: 'mistral', format: 'MLC q4f16_0', joined: {} },
  { type: 'qwen2', format: 'MLC q4f16_1', joined: C_ATTN, tied: true },
  { type: 'qwen3', format: 'MLC q4f16_1', joined: C_ATTN },
];

test.each(MLC)('$type of an MLC folder, $format', async (options) => {
  const llm = await Llm.load(asFiles(mlcFilesOf(folderParts(options))), { device, kv: 'f32' });
  try {
    await expectReference(llm, options);
    const { stops } = await llm.tokenizer();
    expect([...stops].sort()).toEqual([257, 258]);
    expect(await llm.render([{ role: 'user', content: 'hi' }])).toBe('<|turn|>hi<|turn|>');
  } finally {
    llm.destroy();
  }
});

test.each(['GPTQ act-order', 'ModelOpt int4'] as const)(
  'where norms take no dispatch, orders and scales of inputs do not matter: %s',
  {
    timeout: 300_000,
  },
  async (format) => {
    const own = await requestDevice({ gpu });
    Object.defineProperty(own, 'adapterInfo', { value: { vendor: 'none', architecture: '', device: '', description: '' } });
    const options = { type: 'qwen2', format } as const;
    const { config, weight } = folderParts(options);
    const llm = await Llm.load(asFiles(filesOf(folderParts(options))), { device: own, kv: 'f32' });
    expect(llm.explain().fusedNorms).toBe(true);
    const reference = llmReference(config, weight);
    let logits = reference.forward([3]);
    for await (const { id } of llm.generate([3], { maxTokens: 8 })) {
      expect(logits[id]!).toBeGreaterThanOrEqual(Math.max(...logits) - 2 * BOUND * Math.hypot(...logits));
      logits = reference.forward([id]);
    }
    llm.destroy();
    own.destroy();
  },
);

describe('biases that an architecture does not have', () => {
  const loaded = (value: number) => {
    const parts = folderParts({ type: 'llama', format: 'GPTQ' });
    const bias = f16('model.layers.1.self_attn.o_proj.bias', [128], new Float32Array(128).fill(value));
    return Llm.load(asFiles(filesOf({ ...parts, tensors: [...parts.tensors, bias] })), { device, kv: 'f32' });
  };

  test('are left out where they are zeros', async () => {
    const llm = await loaded(0);
    await expectReference(llm, { type: 'llama', format: 'GPTQ' });
    llm.destroy();
  });

  test('are refused elsewhere', async () => {
    await expect(loaded(0.5)).rejects.toThrow(UnsupportedError);
    await expect(loaded(0.5)).rejects.toThrow(/o_proj.bias: llama has no such bias: expected zeros, got 0.5/);
  });
});

test('a conversation is that of the folder’s tokenizer, template and stop ids', async () => {
  const llm = await Llm.load(asFiles(filesOf(folderParts({ type: 'llama', format: 'GPTQ' }))), { device, kv: 'f32' });
  const tokenizer = await llm.tokenizer();
  expect([...tokenizer.stops].sort()).toEqual([257, 258]);
  const prompt = tokenizer.encode('<|turn|>hi<|turn|>', { special: true });
  expect(prompt).toEqual([258, 104, 105, 258]);
  const ids: number[] = [];
  for await (const piece of llm.chat([{ role: 'user', content: 'hi' }], { maxTokens: 5 })) ids.push(...piece.ids);
  const want: number[] = [];
  for await (const { id } of llm.generate(prompt, { maxTokens: 5, stops: [257, 258] })) want.push(id);
  expect(ids).toEqual(want);
  llm.destroy();
});
