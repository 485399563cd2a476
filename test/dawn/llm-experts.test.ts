// Models with experts on a device: logits and ids of the float64 reference, whatever the chunks and the tokens of a submit; dispatches; routes
// that cannot be; what is freed.
import { describe, expect, test, vi } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { requestDevice } from '../../src/index.js';
import { GpuError, Llm } from '../../src/llm.js';
import { llmReference } from '../../src/reference/llm.js';
import { gpu } from '../support/dawn.js';
import { makeGguf } from '../support/files.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type ModelOptions, modelFile, modelParts } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();
const BOUND = 1e-5;
const sizes = { layers: 2, feedForward: 64 };
const MODELS: Readonly<Record<string, ModelOptions>> = {
  'qwen3moe Q4_0, 2 of 8': { architecture: 'qwen3moe', seed: 41, sizes: { ...sizes, headWidth: 64 } },
  'qwen3moe Q4_K, Q6_K and Q8_0, 3 of 5': {
    architecture: 'qwen3moe',
    type: 'Q4_K',
    types: { downs: 'Q6_K', v: 'Q8_0', head: 'Q6_K' },
    seed: 42,
    experts: { count: 5, top: 3 },
    sizes: { ...sizes, feedForward: 256 },
  },
  'llama Q8_0, 1 of 12, scaled': {
    architecture: 'llama',
    type: 'Q8_0',
    tied: true,
    seed: 43,
    experts: { count: 12, top: 1, scale: 2.5 },
    sizes,
  },
  'llama Q4_0, all of 4': { architecture: 'llama', seed: 44, experts: { count: 4, top: 4 }, sizes },
};
const PROMPT = Array.from({ length: 21 }, (_, i) => (i * 37 + 3) % 256);

async function load(parts: Uint8Array<ArrayBuffer>, more: object = {}): Promise<Llm> {
  const file = await openGguf(await byteSource(parts, { name: 'model.gguf' }));
  return Llm.load(file, { device, kv: 'f32', ...more });
}
async function generated(llm: Llm, prompt: readonly number[], options: object): Promise<number[]> {
  const out: number[] = [];
  for await (const { id } of llm.generate(prompt, options)) out.push(id);
  return out;
}
const distance = (got: ArrayLike<number>, want: Float64Array): number =>
  Math.hypot(...want.map((value, i) => got[i]! - value)) / Math.hypot(...want);

describe.each(Object.entries(MODELS))('%s', (_, options) => {
  test('logits of float64 by any chunks, and greedy ids by any tokens of a submit', async () => {
    const bytes = modelFile(options);
    expect(bytes.length).toBeLessThan(2_000_000);
    const { config, weight } = await openedModel(bytes);
    const llm = await load(bytes);
    const reference = llmReference(config, weight);
    const want = reference.forward(PROMPT);
    for (const cuts of [[], [1, 2, 6, 7], [4, 20]]) {
      llm.reset();
      for (const cut of cuts) await llm.logits(PROMPT.slice(0, cut));
      expect(distance(await llm.logits(PROMPT), want.subarray(-config.vocabulary))).toBeLessThan(BOUND);
    }
    const rows = await llm.logits(PROMPT, { all: true });
    for (let at = 0; at < want.length; at += config.vocabulary)
      expect(distance(rows.subarray(at, at + config.vocabulary), want.subarray(at, at + config.vocabulary))).toBeLessThan(BOUND);

    const ids = await generated(llm, PROMPT, { maxTokens: 20, tokensPerSubmit: 1 });
    for (let tokensPerSubmit = 2; tokensPerSubmit <= 8; tokensPerSubmit++) {
      llm.reset();
      expect(await generated(llm, PROMPT, { maxTokens: 20, tokensPerSubmit })).toEqual(ids);
    }
    let logits = want.subarray(-config.vocabulary);
    for (const id of ids) {
      expect(logits[id]!).toBeGreaterThanOrEqual(Math.max(...logits) - 2 * BOUND * Math.hypot(...logits));
      logits = reference.forward([id]);
    }
    expect(distance(await llm.logits([...PROMPT, ...ids]), logits)).toBeLessThan(BOUND);
    llm.destroy();
  });
});
