// Answers that go on where the context is full: what is chosen behind a slide is what a fresh sequence chooses behind the ids that stay.
import { afterEach, describe, expect, test } from 'vitest';
import { ArgumentError, Llm, LlmWorker } from '../../src/llm.js';
import type { GenerateOptions } from '../../src/runtime/options.js';
import { gpu } from '../support/dawn.js';
import { llmDevice } from '../support/llm-kernels.js';
import { idsOf, loadModel } from '../support/llm-run.js';
import { channelWorker, closeChannels } from '../support/llm-worker.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';
import { asFiles, filesOf, folderParts } from '../support/model-folder.js';

const device = await llmDevice();
Object.defineProperty(globalThis.navigator ?? Object.defineProperty(globalThis, 'navigator', { value: {} }).navigator, 'gpu', {
  value: gpu,
  configurable: true,
});
afterEach(closeChannels);

const [CONTEXT, KEEP, COUNT] = [24, 5, 50];
const MODEL: ModelOptions = { architecture: 'llama', seed: 61, sizes: { layers: 1, feedForward: 256 } };
/** Rings and positions of all: windows of 12 lose what they met. */
const WINDOWS: ModelOptions = { architecture: 'gemma2', seed: 62, sizes: { layers: 2, feedForward: 256 } };
const PROMPT = Array.from({ length: 11 }, (_, i) => (i * 37 + 3) % 256);

/** The same by sequences that are empty before, each of which ends where there is no more room. */
async function byHand(llm: Llm, prompt: readonly number[], { count = COUNT, keep = KEEP, ...how }: GenerateOptions & { count?: number }) {
  const answer: number[] = [];
  let ids = [...prompt];
  for (;;) {
    if (ids.length > CONTEXT) ids = [...ids.slice(0, keep), ...ids.slice(ids.length - Math.floor((CONTEXT - keep) / 2))];
    llm.reset();
    const own = await idsOf(llm, ids, { ...how, maxTokens: Math.min(count - answer.length, CONTEXT + 1 - ids.length) });
    answer.push(...own);
    if (answer.length === count) return answer;
    ids.push(...own);
  }
}

describe.each([
  ['positions of all', MODEL],
  ['windows', WINDOWS],
] as const)('%s', (_, model) => {
  test.each<[string, GenerateOptions]>([
    ['the largest logits', {}],
    ['draws with penalties', { temperature: 0.9, topP: 0.9, seed: 7, repetitionPenalty: 1.3, penaltyWindow: 9 }],
    ['a sampler of the host', { sampler: (candidates) => candidates[1]!.id, frequencyPenalty: 0.5 }],
  ])('%s: every id is that of a fresh sequence of the ids that stay', async (_, how) => {
    const llm = await loadModel(device, model, { context: CONTEXT });
    const want = await byHand(llm, PROMPT, how);
    for (const tokensPerSubmit of how.sampler ? [undefined] : [undefined, 1, 3, 8]) {
      llm.reset();
      const all = { ...how, tokensPerSubmit, maxTokens: COUNT, overflow: 'slide', keep: KEEP } as const;
      expect(await idsOf(llm, PROMPT, all)).toEqual(want);
      expect(llm.position).toBeLessThanOrEqual(CONTEXT);
    }
    llm.destroy();
  });
});

describe('a sequence that slides', () => {
  const how = { overflow: 'slide', keep: KEEP } as const;

  test('says only at its end why it ends, stops at stop ids, and takes prompts that are too long', async () => {
    const llm = await loadModel(device, MODEL, { context: CONTEXT });
    const want = await byHand(llm, PROMPT, {});
    const reasons: (string | undefined)[] = [];
    for await (const { reason } of llm.generate(PROMPT, { ...how, maxTokens: COUNT })) reasons.push(reason);
    expect(reasons.filter((one) => one !== undefined)).toEqual(['length']);
    expect(reasons.at(-1)).toBe('length');
    const stop = want.at(-1)!;
    const end = want.indexOf(stop) + 1;
    expect(await idsOf(llm, PROMPT, { ...how, maxTokens: COUNT + 9, stops: [stop] })).toEqual(want.slice(0, end));
    const long = [...PROMPT, ...want];
    expect(await idsOf(llm, long, { ...how, maxTokens: 20 })).toEqual(await byHand(llm, long, { count: 20 }));
    llm.destroy();
  });

  test('ends with the context by default, where longer prompts are refused', async () => {
    const llm = await loadModel(device, MODEL, { context: CONTEXT });
    const room = CONTEXT + 1 - PROMPT.length;
    for (const options of [{ maxTokens: COUNT }, { maxTokens: COUNT, overflow: 'end' }, { overflow: 'slide' }] as const)
      expect((await idsOf(llm, PROMPT, options)).length).toBe(room);
    const long = Array.from({ length: CONTEXT + 1 }, (_, i) => i);
    expect(() => llm.generate(long)).toThrow(`ids: expected at most ${CONTEXT}, the context, got ${CONTEXT + 1} ids`);
    expect(() => llm.generate(PROMPT, { overflow: 'slide', keep: CONTEXT - 1 })).toThrow(ArgumentError);
    expect(() => llm.generate(PROMPT, { keep: 1 })).toThrow(ArgumentError);
    expect(() => llm.generate(PROMPT, { overflow: 'roll' as 'slide' })).toThrow(ArgumentError);
    llm.destroy();
  });

  test('is left early, or aborted, as good as before', async () => {
    const llm = await loadModel(device, MODEL, { context: CONTEXT });
    const want = await byHand(llm, PROMPT, {});
    let seen = 0;
    for await (const _ of llm.generate(PROMPT, { ...how, maxTokens: COUNT, tokensPerSubmit: 3 })) if (++seen === 30) break;
    expect(await idsOf(llm, PROMPT, { ...how, maxTokens: COUNT })).toEqual(want);
    const abort = new AbortController();
    const running = async (): Promise<void> => {
      for await (const _ of llm.generate(PROMPT, { ...how, maxTokens: COUNT, signal: abort.signal }))
        if (++seen === 70) abort.abort(new Error('enough'));
    };
    await expect(running()).rejects.toThrow('enough');
    expect(await idsOf(llm, PROMPT, { ...how, maxTokens: COUNT })).toEqual(want);
    llm.destroy();
  });

  test('keeps the system messages of a conversation', async () => {
    const parts = folderParts({ type: 'llama', format: 'GPTQ', sizes: { layers: 1 } });
    const llm = await Llm.load(asFiles(filesOf(parts)), { device, kv: 'f32', context: CONTEXT });
    const messages = [
      { role: 'system', content: 'ab' },
      { role: 'user', content: 'hi' },
    ];
    const prompt = (await llm.tokenizer()).encode(await llm.render(messages), { special: true });
    const stops = [257, 258];
    const bans = stops; // so that it does not end
    const got: number[] = [];
    for await (const { ids } of llm.chat(messages, { maxTokens: COUNT, overflow: 'slide', bans })) got.push(...ids);
    expect(prompt.slice(0, 3)).toEqual([258, 97, 98]);
    expect(got).toEqual(await byHand(llm, prompt, { keep: 3, stops, bans }));
    expect(got).not.toEqual(await byHand(llm, prompt, { keep: 0, stops, bans }));
    llm.destroy();
  });

  test('does so in a worker', async () => {
    const llm = await loadModel(device, MODEL, { context: CONTEXT });
    const want = await byHand(llm, PROMPT, {});
    llm.destroy();
    const inWorker = await LlmWorker.load(modelFile(MODEL), { worker: () => channelWorker(), context: CONTEXT, kv: 'f32' });
    const got: number[] = [];
    for await (const { id } of inWorker.generate(PROMPT, { ...how, maxTokens: COUNT })) got.push(id);
    expect(got).toEqual(want);
    inWorker.destroy();
  });
});
