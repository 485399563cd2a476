// How a whole model chooses ids: as the CPU does from its logits, whatever the tokens of a submit and what is kept of the call before; by a
// function of the caller's; wrong options.
import '../support/quick-compiler.js';

import { afterAll, describe, expect, test, vi } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { ArgumentError } from '../../src/index.js';
import { type Candidate, type GenerateOptions, GpuError, Llm } from '../../src/llm.js';
import { countsOf } from '../../src/llm-kernels/sampling.js';
import { makeGguf } from '../support/files.js';
import { choiceFault } from '../support/llm-choice.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type ModelOptions, modelFile, modelParts } from '../support/model-file.js';

const device = await llmDevice();

const MODEL: ModelOptions = { architecture: 'llama', type: 'Q4_0', seed: 41, sizes: { layers: 2, feedForward: 256 } };
const PROMPT = Array.from({ length: 21 }, (_, i) => (i * 37 + 3) % 256);
const load = async (bytes = modelFile(MODEL)): Promise<Llm> =>
  Llm.load(await openGguf(await byteSource(bytes, { name: 'model.gguf' })), { device, kv: 'f32' });
const llm = await load();
const { vocabulary } = llm.config;
afterAll(() => llm.destroy());

async function idsOf(options: GenerateOptions, prompt: readonly number[] = PROMPT): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of llm.generate(prompt, options)) ids.push(id);
  return ids;
}

/** Why ids are not what the CPU chooses from the model's logits. */
async function faultsOf(
  ids: readonly number[],
  { bias, bans = [], penaltyWindow = Infinity, temperature = 0, seed = 0, ...how }: GenerateOptions,
) {
  const all = await llm.logits([...PROMPT, ...ids], { all: true });
  const added = new Float32Array(vocabulary);
  for (const [id, value] of bias ?? []) added[id] = value;
  for (const id of bans) added[id] = -Infinity;
  const faults: string[] = [];
  for (const [i, id] of ids.entries()) {
    const position = PROMPT.length + i;
    const counts = countsOf([...PROMPT, ...ids.slice(0, i)], { window: penaltyWindow, length: vocabulary });
    const row = all.subarray((position - 1) * vocabulary, position * vocabulary);
    const fault = choiceFault(row, { ...how, temperature, seed, position, bias: added, counts }, id);
    if (fault) faults.push(`${i}: ${fault}`);
  }
  return faults;
}

const WAYS: Readonly<Record<string, GenerateOptions>> = {
  topK: { temperature: 1.5, topK: 5, seed: 3 },
  topP: { temperature: 2, topP: 0.8, seed: 4 },
  minP: { temperature: 1, minP: 0.1, seed: 5 },
  'all three': { temperature: 1.2, topK: 100, topP: 0.9, minP: 0.01, seed: 6 },
  'greedy with penalties': { repetitionPenalty: 2, presencePenalty: -3, frequencyPenalty: -0.5 },
  'greedy with penalties of a window': { repetitionPenalty: 0.5, presencePenalty: -4, penaltyWindow: 3 },
  'drawn with penalties': { temperature: 1, frequencyPenalty: 2, penaltyWindow: 8, seed: 7 },
  'bias and bans': {
    bias: [
      [7, 2.5],
      [9, 1.5],
    ],
    bans: Array.from({ length: 200 }, (_, i) => i + 50),
  },
  'cut, with all': {
    temperature: 3,
    topK: 30,
    topP: 0.9,
    minP: 0.05,
    seed: 8,
    bans: [1, 2],
    bias: new Map([[3, 5]]),
    repetitionPenalty: 2,
    penaltyWindow: 4,
  },
};

describe.each(Object.entries(WAYS))('%s', (name, way) => {
  const options = { ...way, maxTokens: 14 };
  test('chooses as the CPU does from the logits', async () => {
    llm.reset();
    const ids = await idsOf(options);
    expect(ids.length).toBe(14);
    const faults = await faultsOf(ids, way);
    expect(faults).toEqual([]);
    llm.reset();
    expect(ids).not.toEqual(await idsOf({ maxTokens: 14, ...(way.temperature && { temperature: way.temperature, seed: way.seed }) }));
  });
  test('chooses the same ids for any number of tokens of a submit, after anything', async () => {
    llm.reset();
    const want = await idsOf({ ...options, tokensPerSubmit: 1 });
    for (const tokensPerSubmit of [2, 3, 4, 5, 6, 7, 8]) {
      if (tokensPerSubmit % 2 === 0) llm.reset();
      else await idsOf({ temperature: 5, repetitionPenalty: 1.5, seed: tokensPerSubmit, maxTokens: 4 }); // counts and cache of others
      expect(await idsOf({ ...options, tokensPerSubmit }), `${name}, ${tokensPerSubmit}`).toEqual(want);
    }
    // Going on behind some of them counts them as before.
    if (way.temperature === undefined)
      expect(await idsOf({ ...way, maxTokens: 9 }, [...PROMPT, ...want.slice(0, 5)])).toEqual(want.slice(5));
  });
});

test('a choice is one dispatch, and nothing is made or written between tokens', async () => {
  for (const way of [{}, { temperature: 1 }, ...Object.values(WAYS)]) {
    const options = { ...way, maxTokens: 20, tokensPerSubmit: 4 };
    await idsOf({ ...options, maxTokens: 2 });
    const dispatches = vi.spyOn(GPUComputePassEncoder.prototype, 'dispatchWorkgroups');
    const writes = vi.spyOn(device.queue, 'writeBuffer');
    const buffers = vi.spyOn(device, 'createBuffer');
    const running = llm.generate(PROMPT, options);
    await running.next();
    const before = writes.mock.calls.length + buffers.mock.calls.length;
    for await (const _ of running);
    expect(writes.mock.calls.length + buffers.mock.calls.length).toBe(before);
    const count = dispatches.mock.calls.length;
    vi.restoreAllMocks();
    // One row of the prompt, its head and choice, and 19 tokens.
    const first = count - 19 * llm.explain().dispatchesPerToken;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(40);
    expect((count - first) % 19).toBe(0);
  }
});

test('memory of bias and counts is told', () => {
  expect(llm.explain().memory.logits).toBeGreaterThanOrEqual(3 * 4 * vocabulary);
});

describe('a sampler', () => {
  const best = (candidates: readonly Candidate[]): number => candidates[0]!.id;
  test('is given the 64 largest logits in order, after bias, penalties and bans', async () => {
    const way = { ...WAYS['greedy with penalties']!, bans: [5, 6], bias: [[9, 3]] as const };
    const seen: (readonly Candidate[])[] = [];
    const ids = await idsOf({
      ...way,
      maxTokens: 6,
      sampler: (candidates) => {
        seen.push(candidates);
        return candidates[seen.length % 3]!.id;
      },
    });
    expect(ids).toEqual(seen.map((candidates, i) => candidates[(i + 1) % 3]!.id));
    const all = await llm.logits([...PROMPT, ...ids], { all: true });
    for (const [i, candidates] of seen.entries()) {
      const row = all.subarray((PROMPT.length + i - 1) * vocabulary, (PROMPT.length + i) * vocabulary);
      const counts = countsOf([...PROMPT, ...ids.slice(0, i)], { window: Infinity, length: vocabulary });
      const z = Array.from(row, (logit, id) => {
        const biased = logit + (id === 9 ? 3 : 0);
        if (id === 5 || id === 6) return -Infinity;
        return counts[id] === 0 ? biased : (biased < 0 ? biased * 2 : biased / 2) + 3 + 0.5 * counts[id]!;
      });
      const order = [...z.keys()].sort((a, b) => z[b]! - z[a]!);
      expect(candidates.length).toBe(64);
      for (const [j, { id, logit }] of candidates.entries()) {
        expect(logit).toBeCloseTo(z[id]!, 3);
        expect(logit).toBeCloseTo(z[order[j]!]!, 3);
      }
      expect(candidates.map(({ logit }) => logit)).toEqual(candidates.map(({ logit }) => logit).sort((a, b) => b - a));
      expect(new Set(candidates.map(({ id }) => id)).size).toBe(64);
    }
  });
  test('that takes the first is greedy, with penalties of any window, at once or later', async () => {
    for (const way of [{}, WAYS['greedy with penalties']!, WAYS['greedy with penalties of a window']!, WAYS['bias and bans']!]) {
      llm.reset();
      const want = await idsOf({ ...way, maxTokens: 12 });
      llm.reset();
      expect(await idsOf({ ...way, maxTokens: 12, sampler: best })).toEqual(want);
      expect(await idsOf({ ...way, maxTokens: 12, sampler: async (candidates) => best(candidates) })).toEqual(want);
      expect(await idsOf({ ...way, maxTokens: 12 })).toEqual(want);
    }
  });
  test('has fewer candidates where fewer ids are not banned', async () => {
    const bans = Array.from({ length: vocabulary - 3 }, (_, i) => i);
    let count = 0;
    const ids = await idsOf({
      bans,
      maxTokens: 3,
      sampler: (candidates) => {
        count = candidates.length;
        return candidates.at(-1)!.id;
      },
    });
    expect(count).toBe(3);
    expect(ids.every((id) => id >= vocabulary - 3)).toBe(true);
  });
  test('ends at a stop id, at the limit, with the context, and by its own error; the model goes on', async () => {
    const want = await idsOf({ maxTokens: 12 });
    const at = want.indexOf(want[4]!);
    const got = [];
    for await (const one of llm.generate(PROMPT, { maxTokens: 12, stops: [want[4]!], sampler: best })) got.push(one);
    expect(got.at(-1)).toEqual({ id: want[4], reason: 'stop' });
    expect(got.length).toBe(at + 1);
    const reasons = [];
    for await (const { reason } of llm.generate(PROMPT, { maxTokens: 2, sampler: best })) reasons.push(reason);
    expect(reasons).toEqual([undefined, 'length']);
    const failing = idsOf({
      maxTokens: 5,
      sampler: () => {
        throw new RangeError('no id fits');
      },
    });
    await expect(failing).rejects.toThrow(RangeError);
    await expect(idsOf({ maxTokens: 5, sampler: async () => Promise.reject(new RangeError('later')) })).rejects.toThrow('later');
    for (const wrong of [vocabulary, -1, 1.5, undefined, '3', 8])
      await expect(idsOf({ maxTokens: 5, bans: [8], sampler: () => wrong as number })).rejects.toThrow(/what sampler returns: expected/);
    const abort = new AbortController();
    const aborted = idsOf({
      maxTokens: 5,
      signal: abort.signal,
      sampler: (candidates) => {
        abort.abort(new Error('enough'));
        return best(candidates);
      },
    });
    await expect(aborted).rejects.toThrow('enough');
    const waiting = new AbortController();
    const never = new Promise<number>(() => {});
    const unanswered = idsOf({
      signal: waiting.signal,
      sampler: () => {
        setTimeout(() => waiting.abort(new Error('too long')), 5);
        return never;
      },
    });
    await expect(unanswered).rejects.toThrow('too long');
    llm.reset();
    expect(await idsOf({ maxTokens: 12 })).toEqual(want);
    // An id that is none of the candidates.
    const forced = await idsOf({ maxTokens: 3, sampler: () => 77 });
    expect(forced).toEqual([77, 77, 77]);
    expect((await idsOf({ maxTokens: 1 }, [...PROMPT, 77, 77])).length).toBe(1);
  });
  test('is not asked where logits are NaN', async () => {
    const { metadata, tensors } = modelParts(MODEL);
    const huge = tensors.map((one) =>
      one.name === 'output_norm.weight' ? { ...one, bytes: new Uint8Array(new Float32Array(256).fill(3e38).buffer) } : one,
    );
    const broken = await load(makeGguf(huge, { metadata }));
    const sampler = vi.fn(best);
    await expect(async () => {
      for await (const _ of broken.generate(PROMPT, { maxTokens: 3, sampler }));
    }).rejects.toThrow(GpuError);
    expect(sampler).not.toHaveBeenCalled();
    broken.destroy();
  });
});

test('wrong options are refused by their names', () => {
  const sampler = (): number => 0;
  const wrong: readonly [object, string][] = [
    [{ topK: 0 }, 'topK: expected a whole number of at least 1'],
    [{ topK: 2.5 }, 'topK'],
    [{ topP: -0.1 }, 'topP: expected a number from 0 to 1'],
    [{ topP: 1.1 }, 'topP'],
    [{ topP: NaN }, 'topP'],
    [{ minP: '0.1' }, 'minP'],
    [{ minP: 2 }, 'minP'],
    [{ repetitionPenalty: 0 }, 'repetitionPenalty: expected a number above 0'],
    [{ repetitionPenalty: 1e-40 }, 'repetitionPenalty'],
    [{ presencePenalty: Infinity }, 'presencePenalty'],
    [{ frequencyPenalty: 1e39 }, 'frequencyPenalty'],
    [{ penaltyWindow: 0 }, 'penaltyWindow'],
    [{ bias: { 3: 1 } }, 'bias: expected an array'],
    [{ bias: [3, 1] }, 'bias[0]: expected an array'],
    [{ bias: [[3]] }, 'bias[0]: expected an id and a number'],
    [{ bias: [[vocabulary, 1]] }, 'bias[0][0]'],
    [
      {
        bias: [
          [1, 1],
          [1, 2],
        ],
      },
      'bias[1][0]: expected an id that was not given before',
    ],
    [{ bias: new Map([[1, -Infinity]]) }, 'bias[0][1]: expected a finite number'],
    [{ bans: [vocabulary] }, 'bans[0]'],
    [{ bans: 3 }, 'bans: expected an array'],
    [{ bans: Array.from({ length: vocabulary }, (_, i) => i) }, 'bans: expected at least one id that is not banned'],
    [{ sampler: 3 }, 'sampler: expected a function'],
    [{ sampler, temperature: 1 }, 'temperature: expected nothing beside sampler'],
    [{ sampler, topK: 3 }, 'topK'],
    [{ sampler, tokensPerSubmit: 2 }, 'tokensPerSubmit: expected 1 beside sampler'],
  ];
  for (const [options, message] of wrong) {
    expect(() => llm.generate(PROMPT, options), message).toThrow(ArgumentError);
    expect(() => llm.generate(PROMPT, options), message).toThrow(message);
  }
});

test('buffers of penalties that were refused once are made anew', async () => {
  const own = await load();
  const create = device.createBuffer.bind(device);
  const refused = vi
    .spyOn(device, 'createBuffer')
    .mockImplementation((init) => create(/bias|counts/.test(init.label ?? '') ? { ...init, usage: 0x1 | 0x2 } : init)); // MAP_READ | MAP_WRITE
  const ids = async (): Promise<number[]> => {
    const out: number[] = [];
    for await (const { id } of own.generate(PROMPT, { maxTokens: 3, bans: [1] })) out.push(id);
    return out;
  };
  await expect(ids()).rejects.toThrow(GpuError);
  expect(refused.mock.calls.some(([{ label }]) => /bias/.test(label ?? ''))).toBe(true);
  refused.mockRestore();
  expect(await ids()).toEqual(await idsOf({ maxTokens: 3, bans: [1] }));
  own.destroy();
});

test('a cache is only of URLs, and says so', async () => {
  const own = await Llm.load(modelFile(MODEL), { device, cache: true });
  expect(own.stats.cache?.off).toBe('only models of URLs are kept');
  own.destroy();
});
