// Sequences that share weights: each goes on as a model of its own would, whatever the others do, and whichever ends first.
import '../support/quick-compiler.js';

import { describe, expect, test, vi } from 'vitest';
import { ArgumentError, DeviceLostError, requestDevice, UnsupportedError } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { idsOf } from '../cases/run-llm.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { gpu } from '../support/dawn.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';

const device = await llmDevice();
const alive = aliveBuffers(device);
const SIZES = { layers: 2, feedForward: 256 };
const MODELS = {
  llama: { architecture: 'llama', seed: 61, sizes: SIZES },
  /** Of its layers one has a window, whose ring of 76 slots the prompts below fill. */
  rings: { architecture: 'gemma2', seed: 62, sizes: SIZES },
  experts: { architecture: 'qwen3moe', seed: 63, sizes: SIZES },
} as const satisfies Readonly<Record<string, ModelOptions>>;
const files = new Map<string, Uint8Array<ArrayBuffer>>();
const load = (name: keyof typeof MODELS, more: object = {}): Promise<Llm> => {
  const bytes = files.get(name) ?? modelFile(MODELS[name]);
  files.set(name, bytes);
  return Llm.load(bytes, { device, kv: 'f32', ...more });
};
const promptOf = (length: number, salt = 5): readonly number[] => Array.from({ length }, (_, i) => (i * 91 + (i >> 4) + salt) % 256);
const GREEDY = { maxTokens: 6 };
const SAMPLED = { maxTokens: 6, temperature: 0.9, topK: 40, seed: 7, repetitionPenalty: 1.2 };

/** Turns of a conversation: the ids that each adds to what was said before, and how its answer is chosen. */
type Turns = readonly (readonly [ids: readonly number[], how: object])[];
async function talk(
  llm: Llm,
  said: readonly number[],
  turns: Turns,
): Promise<{ readonly said: readonly number[]; readonly answers: number[][] }> {
  const answers: number[][] = [];
  let all = said;
  for (const [ids, how] of turns) {
    const answer = await idsOf(llm, [...all, ...ids], how);
    answers.push(answer);
    all = [...all, ...ids, ...answer];
  }
  return { said: all, answers };
}
/** What a model of its own says and holds behind it all. */
async function alone(name: keyof typeof MODELS, more: object, turns: Turns) {
  const llm = await load(name, more);
  const { said, answers } = await talk(llm, [], turns);
  const logits = await llm.logits(said);
  llm.destroy();
  return { answers, logits };
}

const COMMON: Turns = [
  [promptOf(90), GREEDY],
  [[1, 2, 3], SAMPLED],
];
const OWN: readonly Turns[] = [
  [
    [[10, 11], SAMPLED],
    [[12], GREEDY],
  ],
  [
    [[20, 21, 22, 23], GREEDY],
    [[24], { ...SAMPLED, seed: 8 }],
  ],
];

test.each([
  ['llama', 'f32'],
  ['llama', 'f16'],
  ['llama', 'q8'],
  ['rings', 'f32'],
  ['rings', 'f16'],
  ['rings', 'q8'],
  ['experts', 'f16'],
] as const)('%s, %s: both say what two models of their own say, at the same time', async (name, kv) => {
  const want = [await alone(name, { kv }, [...COMMON, ...OWN[0]!]), await alone(name, { kv }, [...COMMON, ...OWN[1]!])];
  const parent = await load(name, { kv });
  const { said, answers } = await talk(parent, [], COMMON);
  const fork = await parent.fork();
  expect(fork).toMatchObject({ position: parent.position, context: parent.context, kv, config: parent.config });
  const { variants, capacity, notes } = parent.explain();
  expect(fork.explain()).toMatchObject({ variants, capacity, notes });
  const both = await Promise.all([talk(parent, said, OWN[0]!), talk(fork, said, OWN[1]!)]);
  for (const [i, llm] of [parent, fork].entries()) {
    expect([...answers, ...both[i]!.answers]).toEqual(want[i]!.answers);
    expect(await llm.logits(both[i]!.said)).toEqual(want[i]!.logits);
  }
  // Nothing of the parent's prompt was computed again: the last id of an answer, the turn's own, and the last of all for its logits.
  const own = both[1]!.said.length - said.length;
  expect(fork.stats.promptTokens).toBeLessThanOrEqual(own);
  parent.destroy();
  fork.destroy();
});

test('each goes back, resets and grows alone', async () => {
  const long = promptOf(250);
  const want = (await alone('llama', {}, [[long, { maxTokens: 20 }]])).answers[0]!;
  const parent = await load('llama');
  await idsOf(parent, long, { maxTokens: 1 });
  const fork = await parent.fork();
  expect(await idsOf(fork, long, { maxTokens: 20 })).toEqual(want); // its cache doubles
  expect([parent.explain().capacity, fork.explain().capacity]).toEqual([256, 512]);
  const second = await fork.fork();
  expect(second.explain().capacity).toBe(512);
  fork.reset();
  const other = [...long.slice(0, 100), 1, 2];
  const back = await idsOf(fork, other, GREEDY);
  expect(await idsOf(second, other, GREEDY)).toEqual(back);
  expect(second.stats.promptTokens).toBe(2); // the common part was there
  expect(await idsOf(parent, long, { maxTokens: 20 })).toEqual(want);
  for (const one of [parent, fork, second]) one.destroy();
});

test('a fork knows which positions its rings have, as its parent does', async () => {
  const long = promptOf(150);
  const parent = await load('rings'); // of 76 slots: positions from 74 on, and a window of 12
  await parent.logits(long);
  for (const [back, computed] of [
    [140, 1],
    [85, 1], // its window begins at 74
    [84, 85],
  ] as const) {
    const fork = await parent.fork();
    const ids = [...long.slice(0, back), 7];
    const logits = await fork.logits(ids);
    expect(fork.stats.promptTokens).toBe(computed);
    fork.destroy();
    const llm = await load('rings');
    await llm.logits(long);
    const { promptTokens } = llm.stats;
    expect(await llm.logits(ids)).toEqual(logits);
    expect(llm.stats.promptTokens - promptTokens).toBe(computed);
    llm.destroy();
  }
  parent.destroy();
});

test('prompts of integers stay so', async () => {
  const parent = await load('llama', { innerPrecise: 1 });
  const want = await parent.logits(promptOf(40));
  parent.reset();
  await parent.logits(promptOf(20));
  const fork = await parent.fork();
  parent.destroy();
  expect(await fork.logits(promptOf(40))).toEqual(want);
  expect(fork.stats.promptTokens).toBe(20);
  fork.destroy();
});

describe('memory', () => {
  test.each([[[0, 1, 2]], [[2, 1, 0]], [[1, 0, 2]]])('weights live until the last ends, in the order %j', async (order) => {
    const want = await alone('llama', {}, [[promptOf(20), GREEDY]]);
    const first = await load('llama');
    await idsOf(first, promptOf(20), { maxTokens: 1 });
    const before = alive.bytes();
    const second = await first.fork();
    const { cache, rows, logits } = second.explain().memory;
    const added = alive.bytes() - before;
    expect(added).toBeLessThan(1.1 * (cache + rows + logits)); // no weights, and recordings are small
    const all = [first, second, await second.fork()];
    for (const [i, at] of order.entries()) {
      expect(await idsOf(all[at]!, promptOf(20), GREEDY)).toEqual(want.answers[0]);
      all[at]!.destroy();
      all[at]!.destroy();
      if (i < 2) expect(alive.bytes()).toBeGreaterThan(0);
      await expect(all[at]!.logits([1])).rejects.toThrow(ArgumentError);
      await expect(all[at]!.fork()).rejects.toThrow(ArgumentError);
    }
    expect(alive.labels()).toEqual([]);
  });

  test('without any for a second cache the first goes on', async () => {
    const llm = await load('llama');
    const [want] = (await talk(llm, [], [[promptOf(20), GREEDY]])).answers;
    const { position } = llm;
    const before = alive.labels();
    vi.spyOn(device, 'createBuffer').mockImplementation(() => {
      throw new RangeError('the end of memory');
    });
    await expect(llm.fork()).rejects.toThrow(UnsupportedError);
    vi.restoreAllMocks();
    expect(alive.labels()).toEqual(before);
    expect(llm.position).toBe(position);
    const { promptTokens } = llm.stats;
    expect(await idsOf(llm, promptOf(20), GREEDY)).toEqual(want);
    expect(llm.stats.promptTokens - promptTokens).toBe(1);
    llm.destroy();
    expect(alive.labels()).toEqual([]);
  });

  test('a parent that is destroyed meanwhile ends the fork', async () => {
    const llm = await load('llama');
    const forking = llm.fork();
    await expect(llm.generate([1, 2]).next()).rejects.toThrow('one call at a time');
    llm.destroy();
    await expect(forking).rejects.toThrow(ArgumentError);
    expect(alive.labels()).toEqual([]);
  });
});

test('a call under way is not forked, and a signal ends the call of one alone', async () => {
  const llm = await load('llama');
  const answer = llm.generate(promptOf(20), { maxTokens: 8 });
  await answer.next();
  await expect(llm.fork()).rejects.toThrow(ArgumentError);
  await answer.return();
  const fork = await llm.fork();
  const controller = new AbortController();
  const mine = new Error('mine');
  const ended = (async () => {
    for await (const _ of fork.generate(promptOf(20), { signal: controller.signal })) controller.abort(mine);
  })();
  const want = idsOf(llm, promptOf(20), { maxTokens: 12 });
  await expect(ended).rejects.toBe(mine);
  const ids = await want;
  expect(await idsOf(fork, promptOf(20), { maxTokens: 12 })).toEqual(ids);
  llm.destroy();
  fork.destroy();
});

test('a lost device ends the calls of both', async () => {
  const own = await requestDevice({ gpu });
  const llm = await load('llama', { device: own });
  await idsOf(llm, promptOf(20), GREEDY);
  const fork = await llm.fork();
  const calls = [llm, fork].map((one) => idsOf(one, promptOf(40), { maxTokens: 200 }));
  own.destroy();
  for (const call of calls) await expect(call).rejects.toThrow(DeviceLostError);
  for (const one of [llm, fork]) {
    await expect(one.logits([1, 2])).rejects.toThrow(DeviceLostError);
    await expect(one.fork()).rejects.toThrow(DeviceLostError);
    one.destroy();
  }
});

test('a device of its own lives as long as one of them', async () => {
  const own = await requestDevice({ gpu });
  const lost = vi.fn();
  void own.lost.then(lost);
  const adapter = { requestDevice: async () => own, features: own.features, limits: own.limits, info: own.adapterInfo };
  vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => adapter, wgslLanguageFeatures: gpu.wgslLanguageFeatures } });
  try {
    const llm = await load('llama', { device: undefined });
    const fork = await llm.fork();
    llm.destroy();
    expect((await idsOf(fork, promptOf(20), GREEDY)).length).toBe(6);
    expect(lost).not.toHaveBeenCalled();
    fork.destroy();
    await own.lost;
  } finally {
    vi.unstubAllGlobals();
  }
});
