// Models of every architecture on a device: logits of float64 whatever the chunks, ids whatever the tokens of a submit, windows and their rings.
import '../support/quick-compiler.js';

import { describe, expect, test } from 'vitest';
import { requestDevice } from '../../src/index.js';
import type { Llm } from '../../src/llm.js';
import { llmReference } from '../../src/reference/llm.js';
import { gpu } from '../support/dawn.js';
import { llmDevice } from '../support/llm-kernels.js';
import { apart, BOUND, checkIds, checkRows, idsOf, loadModel } from '../support/llm-run.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();

const SIZES = { layers: 2, feedForward: 256 };
const SIX = { ...SIZES, layers: 6 };
/** Vocabularies of whole quads, and one that is none. */
const MODELS: Readonly<Record<string, ModelOptions>> = {
  'gemma3 Q4_0, linear, tied to Q6_K': {
    ...{ architecture: 'gemma3', types: { embedding: 'Q6_K' }, tied: true, seed: 51, sizes: { ...SIX, headWidth: 64 } },
    rope: { base: 1e6, factor: 8 },
  },
  'gemma3 Q8_0, heads of 256': {
    architecture: 'gemma3',
    type: 'Q8_0',
    seed: 52,
    window: 5,
    sizes: { ...SIZES, heads: 2, kvHeads: 1, headWidth: 256 },
  },
  'gemma2 Q4_K, with caps that bend': {
    ...{ architecture: 'gemma2', type: 'Q4_K', types: { embedding: 'Q6_K' }, tied: true, seed: 53, vocabulary: 262 },
    ...{ caps: { scores: 3, logits: 4 }, sizes: { ...SIZES, layers: 3, headWidth: 96 } },
  },
  'smollm3 Q8_0, tied': {
    architecture: 'smollm3',
    type: 'Q8_0',
    tied: true,
    seed: 54,
    rope: { base: 5e6 },
    sizes: { ...SIZES, layers: 4 },
  },
  'phi3 Q4_K, Q6_K': {
    architecture: 'phi3',
    type: 'Q4_K',
    types: { qkv: 'Q6_K', down: 'Q6_K' },
    seed: 55,
    sizes: { ...SIZES, kvHeads: 8 },
  },
  'phi3 Q4_0, LongRoPE of a part of heads of 80': {
    ...{ architecture: 'phi3', tied: true, seed: 56, window: 9, sizes: { ...SIZES, width: 320, heads: 4, headWidth: 80 } },
    rope: { width: 60, original: 1024, magnitude: 1.1875 },
  },
  'llama Q4_0 with a window and heads of 4': { architecture: 'llama', seed: 57, window: 7, sizes: { ...SIZES, headWidth: 4 } },
  'qwen3 Q4_0, heads of 50': { architecture: 'qwen3', seed: 58, sizes: { ...SIZES, headWidth: 50, heads: 16, kvHeads: 16 } },
};
const idsUpTo = (count: number): number[] => Array.from({ length: count }, (_, i) => (i * 37 + 3) % 256);
const PROMPT = idsUpTo(21);

describe.each(Object.entries(MODELS))('%s', (_, options) => {
  test('logits are those of float64, whatever the chunks, and ids the same for any tokens of a submit', { timeout: 300_000 }, async () => {
    const bytes = modelFile(options);
    expect(bytes.length).toBeLessThan(2_000_000);
    const { config, weight } = await openedModel(bytes);
    const llm = await loadModel(device, options);
    const reference = llmReference(config, weight);
    const want = reference.forward(PROMPT);
    checkRows(await llm.logits(PROMPT, { all: true }), want, config.vocabulary);
    for (const cuts of [[1, 2, 3, 4, 5], [20], [4, 20]]) {
      llm.reset();
      for (const cut of cuts) await llm.logits(PROMPT.slice(0, cut));
      expect(apart(await llm.logits(PROMPT), want.subarray(-config.vocabulary))).toBeLessThan(BOUND);
    }
    llm.reset();
    const ids = await idsOf(llm, PROMPT, { maxTokens: 24, tokensPerSubmit: 1 });
    for (const tokensPerSubmit of [3, 8]) {
      llm.reset();
      expect(await idsOf(llm, PROMPT, { maxTokens: 24, tokensPerSubmit })).toEqual(ids);
    }
    checkIds(ids, want.subarray(-config.vocabulary), (id) => reference.forward([id]));
    expect(llm.explain().fusedNorms).toBe(false);
    llm.destroy();
  });
});

describe('rings of windows', () => {
  /** A model of windows and of all positions, whose rings have 12 + 64 slots. */
  const OPTIONS: ModelOptions = { architecture: 'gemma2', seed: 59, caps: { scores: 8, logits: 9 }, sizes: SIZES };
  const LONG = Array.from({ length: 300 }, (_, i) => (i * 53 + (i >> 4)) % 256);
  /** Logits behind ids, from an empty cache. */
  const logitsOf = async (bytes: Uint8Array<ArrayBuffer>, ids: readonly number[]): Promise<Float64Array> => {
    const { config, weight } = await openedModel(bytes);
    return llmReference(config, weight).forward(ids).subarray(-config.vocabulary);
  };
  /** It is near float64, and has computed so many rows. */
  async function checkLogits(llm: Llm, ids: readonly number[], rows: number): Promise<void> {
    const before = llm.stats.promptTokens;
    const got = await llm.logits(ids);
    expect(apart(got, await logitsOf(modelFile(OPTIONS), ids))).toBeLessThan(BOUND);
    expect(llm.stats.promptTokens - before).toBe(rows);
  }

  test('go round while a prompt is read and ids are chosen; going back by more than they hold computes the prompt again', async () => {
    const { config, weight } = await openedModel(modelFile(OPTIONS));
    const llm = await loadModel(device, OPTIONS);
    await checkLogits(llm, LONG, 300);
    const ids = await idsOf(llm, LONG, { maxTokens: 90, tokensPerSubmit: 8 });
    const reference = llmReference(config, weight);
    checkIds(ids, reference.forward(LONG).subarray(-config.vocabulary), (id) => reference.forward([id]));
    llm.reset();
    expect(await idsOf(llm, LONG, { maxTokens: 90, tokensPerSubmit: 1 })).toEqual(ids);
    const all = [...LONG, ...ids];
    await checkLogits(llm, [...all.slice(0, 340), 7], 1); // 389 positions were written, 340 is among the last 64
    await checkLogits(llm, [...all.slice(0, 330), 7], 1); // written were 389 at most: 330 meets 319 … 329, and 313 … are there
    await checkLogits(llm, [...all.slice(0, 300), 7], 301);
    await checkLogits(llm, [...all.slice(0, 299), 8, 9], 2);
    // The ring has not grown with the sequence.
    const bytes = (slots: number): number => 2 * config.kvHeads * 32 * slots * 4;
    expect(llm.explain().memory.cache).toBe(bytes(76) + bytes(512));
    llm.destroy();
  });

  test('an early end leaves what was computed in vain out of the next sequence', async () => {
    const llm = await loadModel(device, OPTIONS);
    const want = await idsOf(llm, LONG, { maxTokens: 24 });
    llm.reset();
    for await (const { id } of llm.generate(LONG, { maxTokens: 60, tokensPerSubmit: 8 })) {
      expect(id).toBe(want[0]);
      break;
    }
    expect(await idsOf(llm, LONG, { maxTokens: 24, tokensPerSubmit: 8 })).toEqual(want);
    llm.destroy();
  });

  test('grow up to their window, with what they have', async () => {
    const options = { ...OPTIONS, window: 236 }; // a ring of 300
    const { config, weight } = await openedModel(modelFile(options));
    const llm = await loadModel(device, options);
    const prompt = LONG.slice(0, 250);
    const ids = await idsOf(llm, prompt, { maxTokens: 80, tokensPerSubmit: 4 });
    const reference = llmReference(config, weight);
    checkIds(ids, reference.forward(prompt).subarray(-config.vocabulary), (id) => reference.forward([id]));
    expect(llm.explain().capacity).toBe(512);
    llm.destroy();
  });
});

test('LongRoPE has the divisors of its context', async () => {
  const options = MODELS['phi3 Q4_0, LongRoPE of a part of heads of 80']!;
  const { config, weight } = await openedModel(modelFile(options));
  const [short, long] = [await loadModel(device, options), await loadModel(device, options, { context: 1025 })];
  expect(short.context).toBe(1024);
  const got = [await short.logits(PROMPT), await long.logits(PROMPT)];
  const want = [1024, 1025].map((context) => llmReference(config, weight, { context }).forward(PROMPT).subarray(-config.vocabulary));
  for (const [i, logits] of got.entries()) expect(apart(logits, want[i]!)).toBeLessThan(BOUND);
  expect(apart(got[0]!, want[1]!)).toBeGreaterThan(0.01);
  short.destroy();
  long.destroy();
});

test('on a device that says it is a GPU: seven dispatches a layer with norms behind products, five without', {
  timeout: 300_000 /* it compiles GPUs' texts */,
}, async () => {
  const own = await requestDevice({ gpu });
  Object.defineProperty(own, 'adapterInfo', { value: { vendor: 'none', architecture: '', device: '', description: '' } });
  for (const [name, layer, more] of [
    ['gemma2 Q4_K, with caps that bend', 7, 5], // ids gathered; the first norm; the head; the cap; the choice
    ['phi3 Q4_0, LongRoPE of a part of heads of 80', 5, 4],
  ] as const) {
    const options = { ...MODELS[name]!, vocabulary: 264, window: 3 };
    const { config, weight } = await openedModel(modelFile(options));
    const llm = await loadModel(own, options);
    expect(llm.explain()).toMatchObject({ fusedNorms: layer === 5, dispatchesPerToken: layer * config.layers + more });
    const reference = llmReference(config, weight);
    const prompt = [3]; // software adapters take minutes to compile the kernels of many rows
    const ids = await idsOf(llm, prompt, { maxTokens: 16 });
    checkIds(ids, reference.forward(prompt), (id) => reference.forward([id]));
    llm.destroy();
  }
  own.destroy();
});
