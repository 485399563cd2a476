// Sequences of a language model where they are easily wrong: at the borders of the cache's sizes, behind a stop, when callers go away, and on
// another device after theirs is lost.
import { describe, expect, test, vi } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { ArgumentError, DeviceLostError, requestDevice } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { llmReference } from '../../src/reference/llm.js';
import { apart, BOUNDS, idsOf } from '../cases/run-llm.js';
import { sliced, whole } from '../cases/slice.js';
import { watchCaches } from '../support/cache-bytes.js';
import { gpu } from '../support/dawn.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();
const MODEL: ModelOptions = { architecture: 'llama', seed: 61, sizes: { layers: 2, feedForward: 256 } };
const bytes = modelFile(MODEL);
const load = async (more: object = {}): Promise<Llm> =>
  Llm.load(await openGguf(await byteSource(bytes, { name: 'model.gguf' })), { device, kv: 'f32', ...more });
const promptOf = (length: number): readonly number[] => Array.from({ length }, (_, i) => (i * 91 + (i >> 4) + 5) % 256);
const PROMPT = promptOf(21);

// ---------------------------------------------------------------------------------------------------------------- borders

const EACH = [2, 3, 4, 5, 6, 7, 8] as const;
const LENGTHS = [255, 256, 257, 511, 512, 513] as const;
const TOKENS = 10;

const fresh = async (length: number, options: object): Promise<number[]> => {
  const llm = await load(); // whose cache has 256 positions
  const ids = await idsOf(llm, promptOf(length), { maxTokens: TOKENS, ...options });
  llm.destroy();
  return ids;
};

test.each(whole ? LENGTHS : [511])('behind a prompt of %i ids, ids are those of float64', async (length) => {
  const prompt = promptOf(length);
  const { config, weight } = await openedModel(bytes);
  const reference = llmReference(config, weight);
  let logits: Float64Array = reference.forward(prompt).slice(-config.vocabulary);
  const llm = await load();
  const ids = await idsOf(llm, prompt, { maxTokens: TOKENS, tokensPerSubmit: 8 });
  let sure = 0;
  for (const id of ids) {
    const margin = 2 * BOUNDS.own * Math.hypot(...logits);
    const [top, second] = [...logits].sort((a, b) => b - a) as [number, number];
    expect(logits[id]!).toBeGreaterThanOrEqual(top - margin);
    if (top - second > margin) sure++;
    logits = reference.forward([id]);
  }
  expect(sure).toBeGreaterThan(0.8 * TOKENS);
  expect(apart(await llm.logits([...prompt, ...ids]), logits)).toBeLessThan(BOUNDS.own);
  // A second turn begins where the first ended, in the grown cache.
  const turn = [...prompt, ...ids, 1, 2, 3];
  const second = await idsOf(llm, turn, { maxTokens: 4 });
  llm.reset();
  expect(await idsOf(llm, turn, { maxTokens: 4 })).toEqual(second);
  llm.destroy();
});

/** By prompt and temperature: ids with one token a submit. */
const wanted = new Map<string, Promise<number[]>>();
test.each(
  sliced(
    LENGTHS.flatMap((length) =>
      EACH.flatMap((tokensPerSubmit) => [0, 0.8].map((temperature) => ({ length, tokensPerSubmit, temperature }))),
    ),
  ),
)('behind $length ids, they are the same by $tokensPerSubmit a submit, temperature $temperature', async ({ length, ...how }) => {
  const sampled = { ...how, seed: 5 };
  const key = `${length} ${how.temperature}`;
  let one = wanted.get(key);
  if (!one) wanted.set(key, (one = fresh(length, { ...sampled, tokensPerSubmit: 1 })));
  const want = await one;
  expect(want.length).toBe(TOKENS);
  expect(await fresh(length, sampled)).toEqual(want);
});

// ------------------------------------------------------------------------------------------------------------- behind a stop

test.each(['f32', 'f16'] as const)('a stop inside a submit of eight leaves the bytes of the cache as one of one does: %s', async (kv) => {
  const some = await load({ kv });
  const ids = await idsOf(some, PROMPT, { maxTokens: 12 });
  some.destroy();
  const at = 4; // the first id is a submit of its own, so that this is the fourth of eight
  const stop = ids.findIndex((id, i) => i >= at && ids.indexOf(id) === i);
  const after = [];
  for (const tokensPerSubmit of [1, 8]) {
    const caches = watchCaches(device);
    const llm = await load({ kv });
    caches.stop();
    const got = await idsOf(llm, PROMPT, { stops: [ids[stop]!], tokensPerSubmit });
    expect(got).toEqual(ids.slice(0, stop + 1));
    expect(llm.position).toBe(PROMPT.length + stop);
    const { bytes: all, held } = await caches.read(llm.config, kv);
    // The last position has numbers, and the next has none: not even those of tokens behind the stop.
    for (let layer = 0; layer < llm.config.layers; layer++)
      for (const what of ['k', 'v'] as const) {
        expect(held(what, layer)(0, llm.position - 1, 3)).not.toBe(0);
        for (let i = 0; i < llm.config.headWidth; i++) expect(held(what, layer)(1, llm.position, i)).toBe(0);
      }
    after.push(all);
    llm.destroy();
  }
  const [one, eight] = after;
  expect(one!.size).toBe(4);
  for (const [name, buffer] of one!) expect(new Uint8Array(eight!.get(name)!), name).toEqual(new Uint8Array(buffer));
});

// ------------------------------------------------------------------------------------------------------- callers that go away

describe('a caller that goes away leaves the model as good as before', () => {
  const long = promptOf(300);

  test('before the first id, and while one is on its way', async () => {
    const llm = await load();
    const want = await idsOf(llm, PROMPT, { maxTokens: 8 });
    llm.reset();
    const never = llm.generate(PROMPT, { maxTokens: 8 });
    expect(await never.return()).toEqual({ done: true, value: undefined });
    expect(await never.next()).toEqual({ done: true, value: undefined });
    const early = llm.generate(PROMPT, { maxTokens: 8, tokensPerSubmit: 8 });
    const [first, ended] = await Promise.all([early.next(), early.return()]);
    expect([first.value, ended.done]).toEqual([{ id: want[0] }, true]);
    expect(await idsOf(llm, PROMPT, { maxTokens: 8 })).toEqual(want);
    // Many iterators, of which only the last is used.
    for (let i = 0; i < 3; i++) llm.generate(long);
    expect(await idsOf(llm, PROMPT, { maxTokens: 8 })).toEqual(want);
    llm.destroy();
  });

  test('by a signal: before, and within the prompt, of which the part that is done is kept', async () => {
    const llm = await load();
    const want = await idsOf(llm, long, { maxTokens: 4 });
    llm.reset();
    await expect(idsOf(llm, long, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
    expect(llm.position).toBe(0);
    const abort = new AbortController();
    // What the prompt waits for behind each of its chunks.
    const done = device.queue.onSubmittedWorkDone.bind(device.queue);
    const waits = vi.spyOn(device.queue, 'onSubmittedWorkDone').mockImplementation(() => {
      if (llm.position > 0) abort.abort(new Error('within'));
      return done();
    });
    await expect(llm.generate(long, { maxTokens: 4, signal: abort.signal }).next()).rejects.toThrow('within');
    waits.mockRestore();
    expect(llm.position).toBeGreaterThan(0);
    expect(llm.position).toBeLessThan(long.length);
    const { promptTokens } = llm.stats;
    const kept = llm.position;
    expect(await idsOf(llm, long, { maxTokens: 4 })).toEqual(want);
    expect(llm.stats.promptTokens - promptTokens).toBe(long.length - kept);
    llm.destroy();
  });

  test('a model that is destroyed within a prompt, or while logits are read, ends the call', async () => {
    for (const call of [(llm: Llm) => llm.generate(long).next(), (llm: Llm) => llm.logits(long), (llm: Llm) => llm.prepare()]) {
      const llm = await load();
      const running = call(llm);
      llm.destroy();
      await expect(running).rejects.toThrow(ArgumentError);
    }
  });
});

test('a prompt as long as the context has one id behind it, and none asked for runs nothing', async () => {
  const llm = await load({ context: PROMPT.length });
  const got = [];
  for await (const one of llm.generate(PROMPT)) got.push(one);
  expect(got).toEqual([{ id: (await idsOf(llm, PROMPT, { maxTokens: 1 }))[0], reason: 'length' }]);
  expect(llm.position).toBe(PROMPT.length);
  const { submits, promptTokens } = llm.stats;
  expect(await idsOf(llm, PROMPT.slice(0, 3), { maxTokens: 0 })).toEqual([]);
  expect(llm.stats).toMatchObject({ submits, promptTokens });
  expect(llm.position).toBe(PROMPT.length); // kept
  expect(() => llm.generate([...PROMPT, 1])).toThrow(ArgumentError);
  llm.destroy();
});

test('a text whose device is lost goes on behind its ids on a new one, greedy or sampled', async () => {
  for (const how of [{}, { temperature: 1.1, seed: 9 }]) {
    const whole = await load();
    const want = await idsOf(whole, PROMPT, { ...how, maxTokens: 16 });
    whole.destroy();
    const own = await requestDevice({ gpu });
    const lost = await load({ device: own });
    const seen: number[] = [];
    await expect(async () => {
      for await (const { id } of lost.generate(PROMPT, { ...how, maxTokens: 16 })) {
        seen.push(id);
        if (seen.length === 5) own.destroy();
      }
    }).rejects.toThrow(DeviceLostError);
    lost.destroy();
    expect(seen).toEqual(want.slice(0, seen.length));
    const again = await load();
    expect(await idsOf(again, [...PROMPT, ...seen], { ...how, maxTokens: 16 - seen.length })).toEqual(want.slice(seen.length));
    again.destroy();
  }
});
