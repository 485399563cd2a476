// Models with experts on a device: logits and ids of the float64 reference, whatever the chunks and the tokens of a submit; dispatches; routes
// that cannot be; what is freed.
import '../support/quick-compiler.js';

import { describe, expect, test, vi } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { requestDevice } from '../../src/index.js';
import { GpuError, Llm } from '../../src/llm.js';
import { type LlmReference, llmReference } from '../../src/reference/llm.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { gpu } from '../support/dawn.js';
import { makeGguf } from '../support/files.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type ModelOptions, modelFile, modelParts } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();
const alive = aliveBuffers(device);
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
  'gpt-oss MXFP4 and Q8_0, 4 of 8': {
    ...{ architecture: 'gpt-oss', type: 'Q8_0', types: { gates: 'MXFP4', ups: 'MXFP4', downs: 'MXFP4' }, seed: 45 },
    ...{ experts: { top: 4 }, rope: { base: 150_000 }, sizes: { ...sizes, headWidth: 64, feedForward: 96 } },
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

/** Each id is the best, or as good as it, behind those before. @returns the logits behind the last */
function follow(reference: LlmReference, first: Float64Array, ids: readonly number[]): Float64Array {
  let behind = first;
  for (const id of ids) {
    const slack = 2 * BOUND * Math.hypot(...behind);
    expect(Math.max(...behind) - behind[id]!).toBeLessThanOrEqual(slack);
    behind = reference.forward([id]);
  }
  return behind;
}

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
    const last = follow(reference, want.subarray(-config.vocabulary), ids);
    expect(distance(await llm.logits([...PROMPT, ...ids]), last)).toBeLessThan(BOUND);
    llm.destroy();
  });
});

test('on a device that says it is a GPU a layer takes six dispatches', { timeout: 300_000 /* it compiles GPUs' texts */ }, async () => {
  const own = await requestDevice({ gpu });
  Object.defineProperty(own, 'adapterInfo', { value: { vendor: 'none', architecture: '', device: '', description: '' } });
  for (const name of ['qwen3moe Q4_0, 2 of 8', 'llama Q8_0, 1 of 12, scaled', 'gpt-oss MXFP4 and Q8_0, 4 of 8']) {
    const bytes = modelFile({ ...MODELS[name]!, vocabulary: 264 });
    const { config, weight } = await openedModel(bytes);
    const llm = await load(bytes, { device: own });
    // Rows of ids are gathered; the first norm; the head; the choice.
    expect(llm.explain()).toMatchObject({ fusedNorms: true, dispatchesPerToken: 6 * config.layers + 4 });
    expect(llm.explain().variants).toMatchObject({ 'llm/route[SORTED=1]': config.layers });
    const prompt = [3]; // software adapters take minutes to compile the kernels of many rows
    const reference = llmReference(config, weight);
    follow(reference, reference.forward(prompt), await generated(llm, prompt, { maxTokens: 12 }));
    llm.destroy();
  }
  own.destroy();
});

describe('a model with experts', () => {
  const options = MODELS['qwen3moe Q4_0, 2 of 8']!;
  /** With the numbers of a tensor of floats changed. */
  const changed = (name: string, change: (values: Float32Array) => void): Uint8Array<ArrayBuffer> => {
    const { metadata, tensors } = modelParts(options);
    const all = tensors.map((one) => {
      if (one.name !== name) return one;
      const values = new Float32Array(one.bytes.slice().buffer);
      change(values);
      return { ...one, bytes: new Uint8Array(values.buffer) };
    });
    return makeGguf(all, { metadata });
  };

  test('says NaN where products with a router are, in a prompt and behind it', async () => {
    const llm = await load(changed('blk.1.ffn_norm.weight', (values) => values.fill(3e38))); // z of infinities of both signs
    await expect(generated(llm, PROMPT, { maxTokens: 3 })).rejects.toThrow(GpuError);
    expect((await llm.logits(PROMPT)).every(Number.isNaN)).toBe(true);
    llm.destroy();
  });

  test('takes the lowest of experts that are as good', async () => {
    // Of expert 5's row and its copy in 1 the copy is taken; of zeros the lowest.
    for (const change of [(values: Float32Array) => values.copyWithin(256, 5 * 256, 6 * 256), (values: Float32Array) => values.fill(0)]) {
      const bytes = changed('blk.0.ffn_gate_inp.weight', change);
      const { config, weight } = await openedModel(bytes);
      const llm = await load(bytes);
      const want = llmReference(config, weight).forward(PROMPT);
      const got = await llm.logits(PROMPT, { all: true });
      expect(distance(got, want)).toBeLessThan(BOUND);
      llm.destroy();
    }
  });

  test('makes nothing and writes nothing between tokens, and stops within a submit', async () => {
    const llm = await load(modelFile(options));
    const want = await generated(llm, PROMPT, { maxTokens: 12 });
    const spies = [...(['createBuffer', 'createBindGroup', 'createShaderModule'] as const).map((name) => vi.spyOn(device, name))];
    const writes = vi.spyOn(device.queue, 'writeBuffer');
    const running = llm.generate(PROMPT, { maxTokens: 12, tokensPerSubmit: 4, stops: [want[5]!] });
    const first = await running.next();
    const before = [...spies, writes].map(({ mock }) => mock.calls.length);
    const got = [first.value!.id];
    for await (const { id } of running) got.push(id);
    expect([...spies, writes].map(({ mock }) => mock.calls.length)).toEqual(before);
    vi.restoreAllMocks();
    const end = want.indexOf(want[5]!) + 1;
    expect(got).toEqual(want.slice(0, end));
    expect(await generated(llm, [...PROMPT, ...got], { maxTokens: 12 - end })).toEqual(want.slice(end));
    llm.destroy();
  });

  test('of floats becomes int8, tells of its load, and frees all', async () => {
    const told: { phase: string; done: number; total: number }[] = [];
    const bytes = modelFile({ ...options, type: 'Q8_0', types: { ups: 'F16', gates: 'F16', downs: 'F32' } });
    const llm = await load(bytes, { onProgress: (progress: (typeof told)[number]) => told.push(progress) });
    expect(llm.explain().notes.join()).toContain('blk.0.ffn_gate_exps.weight');
    expect((await generated(llm, PROMPT, { maxTokens: 3 })).length).toBe(3);
    const { weights } = llm.explain().memory;
    for (const phase of ['read', 'pack']) {
      const of = told.filter((one) => one.phase === phase);
      expect(of.at(-1)).toMatchObject({ done: weights, total: weights });
      expect(of.every(({ done }, i) => i === 0 || done >= of[i - 1]!.done)).toBe(true);
    }
    llm.destroy();
    const abort = new AbortController();
    const onProgress = ({ done }: { done: number }): void => {
      if (done > 0.8 * weights) abort.abort(new Error('enough'));
    };
    await expect(load(bytes, { onProgress, signal: abort.signal })).rejects.toThrow('enough');
    await expect(load(changed('blk.0.ffn_gate_inp.weight', () => {}).subarray(0, 300_000))).rejects.toThrow();
    expect(alive.labels()).toEqual([]);
  });
});
