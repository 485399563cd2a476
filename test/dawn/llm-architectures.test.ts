// Models of every architecture on a device: logits of float64 whatever the chunks, ids whatever the tokens of a submit, windows and their rings.
import { describe, expect, test } from 'vitest';
import type { Llm } from '../../src/llm.js';
import { llmReference } from '../../src/reference/llm.js';
import { llmDevice } from '../support/llm-kernels.js';
import { apart, idsOf, loadModel } from '../support/llm-run.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();

/** Relative distance of logits from float64. */
const BOUND = 1e-5;
const SIZES = { layers: 2, feedForward: 256 };
const SIX = { ...SIZES, layers: 6 };
/** Vocabularies of whole quads, and one that is none. */
const MODELS: Readonly<Record<string, ModelOptions>> = {
  'gemma3 Q4_0, linear, tied to Q6_K': {
    ...{ architecture: 'gemma3', types: { embedding: 'Q6_K' }, tied: true, seed: 51, sizes: { ...SIX, headWidth: 64 } },
    rope: { base: 1e6, factor: 8 },
  },
  'gemma3 Q8_0, heads of 256': { architecture: 'gemma3', type: 'Q8_0', seed: 52, window: 5, sizes: { ...SIZES, heads: 2, kvHeads: 1, headWidth: 256 } },
  'gemma2 Q4_K, with caps that bend': {
    ...{ architecture: 'gemma2', type: 'Q4_K', types: { embedding: 'Q6_K' }, tied: true, seed: 53, vocabulary: 262 },
    ...{ caps: { scores: 3, logits: 4 }, sizes: { ...SIZES, layers: 3, headWidth: 96 } },
  },
  'smollm3 Q8_0, tied': { architecture: 'smollm3', type: 'Q8_0', tied: true, seed: 54, rope: { base: 5e6 }, sizes: { ...SIZES, layers: 4 } },
  'phi3 Q4_K, Q6_K': { architecture: 'phi3', type: 'Q4_K', types: { qkv: 'Q6_K', down: 'Q6_K' }, seed: 55, sizes: { ...SIZES, kvHeads: 8 } },
  'phi3 Q4_0, LongRoPE of a part of heads of 80': {
    ...{ architecture: 'phi3', tied: true, seed: 56, window: 9, sizes: { ...SIZES, width: 320, heads: 4, headWidth: 80 } },
    rope: { width: 60, original: 1024, magnitude: 1.1875 },
  },
  'llama Q4_0 with a window and heads of 4': { architecture: 'llama', seed: 57, window: 7, sizes: { ...SIZES, headWidth: 4 } },
  'qwen3 Q4_0, heads of 50': { architecture: 'qwen3', seed: 58, sizes: { ...SIZES, headWidth: 50, heads: 16, kvHeads: 16 } },
};
const idsUpTo = (count: number): number[] => Array.from({ length: count }, (_, i) => (i * 37 + 3) % 256);
const PROMPT = idsUpTo(21);

/** Every id is the largest logit of float64, or as large within the bound; most are the only such. */
async function checkIds(ids: readonly number[], logits: Float64Array, next: (id: number) => Float64Array): Promise<void> {
  let sure = 0;
  for (const id of ids) {
    const [top, second] = [...logits].sort((a, b) => b - a) as [number, number];
    const margin = 2 * BOUND * Math.hypot(...logits);
    expect(logits[id]!).toBeGreaterThanOrEqual(top - margin);
    if (top - second > margin) sure++;
    logits = next(id);
  }
  expect(sure).toBeGreaterThan(0.7 * ids.length);
}

describe.each(Object.entries(MODELS))('%s', (_, options) => {
  test('logits are those of float64, whatever the chunks, and ids the same for any tokens of a submit', { timeout: 300_000 }, async () => {
    const bytes = modelFile(options);
    expect(bytes.length).toBeLessThan(2_000_000);
    const { config, weight } = await openedModel(bytes);
    const llm = await loadModel(device, options);
    const all = await llm.logits(PROMPT, { all: true });
    const reference = llmReference(config, weight);
    const want = reference.forward(PROMPT);
    for (let row = 0; row < PROMPT.length; row++) {
      const part = [row * config.vocabulary, (row + 1) * config.vocabulary] as const;
      expect(apart(all.subarray(...part), want.subarray(...part))).toBeLessThan(BOUND);
    }
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
    await checkIds(ids, want.subarray(-config.vocabulary), (id) => reference.forward([id]));
    expect(llm.explain().fusedNorms).toBe(false);
    llm.destroy();
  });
});
