// Where the time of a token goes: parts are the dispatches of the plan, times are those of the clock or less, and the sequence goes on as before.
import { expect, test } from 'vitest';
import { ArgumentError, UnsupportedError, wantedFeatures } from '../../src/index.js';
import type { LlmProfile } from '../../src/llm.js';
import { gpu } from '../support/dawn.js';
import { llmDevice } from '../support/llm-kernels.js';
import { idsOf, loadModel } from '../support/llm-run.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();
const SIZES = { layers: 2, feedForward: 256 };
const DENSE: ModelOptions = { architecture: 'llama', type: 'Q4_0', seed: 61, sizes: SIZES };
const EXPERTS: ModelOptions = { architecture: 'qwen3moe', type: 'Q4_0', seed: 62, sizes: { ...SIZES, headWidth: 64 } };
const PROMPT = [3, 1, 4, 1, 5, 9, 2, 6];

/** Dispatches of the parts by shader, as `explain` counts them. */
function variantsOf({ parts }: LlmProfile): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { shader, dispatches } of parts) counts[shader] = (counts[shader] ?? 0) + dispatches;
  return counts;
}

test.each([
  ['dense', DENSE, ['embedding', 'qkv', 'o', 'gateUp', 'down', 'head', 'choice']],
  ['experts', EXPERTS, ['embedding', 'qkv', 'o', 'route', 'experts gateUp', 'experts down', 'head', 'choice']],
] as const)('%s: the parts are what a token dispatches, and their times are within those of the clock', async (_, options, names) => {
  const llm = await loadModel(device, options);
  const plain = await idsOf(llm, PROMPT, { maxTokens: 12 });
  const began = performance.now();
  const profile = await llm.profile({ tokens: 4 });
  const wall = performance.now() - began;
  expect(profile).toMatchObject({ tokens: 4, position: PROMPT.length + 11 });
  const { variants, dispatchesPerToken } = llm.explain();
  const { 'llm/pick': choices, ...others } = variants;
  const { [profile.parts.at(-1)!.shader]: chosen, ...own } = variantsOf(profile);
  expect(chosen).toBe(choices);
  expect(own).toEqual(others);
  expect(profile.parts.reduce((sum, { dispatches }) => sum + dispatches, 0)).toBe(dispatchesPerToken);
  expect(profile.parts.map(({ of }) => of)).toEqual(expect.arrayContaining([...names]));
  expect(profile.parts[0]!.of).toBe('embedding');
  expect(profile.parts.at(-1)!.of).toBe('choice');
  expect(new Set(profile.parts.map(({ of, shader }) => `${of} ${shader}`)).size).toBe(profile.parts.length);
  for (const { ms } of profile.parts) expect(ms).toBeGreaterThanOrEqual(0);
  const sum = profile.parts.reduce((all, { ms }) => all + ms, 0);
  expect(sum).toBeGreaterThan(0);
  expect(sum).toBeLessThanOrEqual(profile.passesMs * (1 + 1e-9));
  expect(profile.ms).toBeGreaterThan(0);
  expect(profile.tokens * (profile.ms + profile.passesMs)).toBeLessThanOrEqual(wall);

  // The sequence is where it was: what it had is not computed again, and it goes on as it would have.
  expect(llm.position).toBe(PROMPT.length + 11);
  const { promptTokens } = llm.stats;
  const [next] = await idsOf(llm, [...PROMPT, ...plain], { maxTokens: 1 });
  expect(llm.stats.promptTokens).toBe(promptTokens + 1);
  llm.reset();
  expect(await idsOf(llm, PROMPT, { maxTokens: 13 })).toEqual([...plain, next]);
  llm.destroy();
});

test('the choice is the one that is asked for, and a model that has said nothing has times, too', async () => {
  const llm = await loadModel(device, DENSE);
  const profile = await llm.profile({ tokens: 1, temperature: 1, topP: 0.9 });
  expect(profile.position).toBe(0);
  expect(profile.parts.at(-1)).toMatchObject({ of: 'choice', dispatches: 1, shader: expect.stringMatching(/^llm\/pick\[.*CUT/) });
  llm.destroy();
});

test('a full context: the last id gives its place', async () => {
  const llm = await loadModel(device, DENSE, { context: 16 });
  await llm.logits(Array.from({ length: 16 }, (_, i) => i));
  expect((await llm.profile({ tokens: 1 })).position).toBe(15);
  expect(llm.position).toBe(15);
  llm.destroy();
});

test('wrong use: options, a call that is under way, an abort, a device without timestamps', async () => {
  const llm = await loadModel(device, DENSE);
  await expect(llm.profile({ tokens: 0 })).rejects.toThrow(ArgumentError);
  await expect(llm.profile({ tokens: 1025 })).rejects.toThrow('tokens: expected a whole number from 1 to 1024, got 1025');
  await expect(llm.profile({ sampler: () => 0 } as never)).rejects.toThrow(ArgumentError);
  const first = llm.profile({ tokens: 1 });
  await expect(llm.profile()).rejects.toThrow('one call at a time');
  await first;
  await expect(llm.profile({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  const ids = await idsOf(llm, PROMPT, { maxTokens: 3 });
  expect(ids).toHaveLength(3);
  llm.destroy();
  await expect(llm.profile()).rejects.toThrow('a destroyed one');

  const adapter = (await gpu.requestAdapter())!;
  const wanted = wantedFeatures.filter((name) => name !== 'timestamp-query' && adapter.features.has(name));
  const plain = await adapter.requestDevice({ requiredFeatures: wanted as GPUFeatureName[] });
  const other = await loadModel(plain, DENSE);
  await expect(other.profile()).rejects.toThrow(new UnsupportedError('profile', ['the device has no timestamp-query']));
  expect(await idsOf(other, PROMPT, { maxTokens: 3 })).toEqual(ids);
  other.destroy();
  plain.destroy();
});

test('bytes that a token reads: the matrices that it is multiplied with, and the positions before it', async () => {
  const llm = await loadModel(device, DENSE); // keys and values are float32
  const { file, config } = await openedModel(modelFile(DENSE));
  const bytes = (take: (name: string) => boolean): number =>
    [...file.tensors].reduce((sum, [name, { begin, end, shape }]) => sum + (shape.length === 2 && take(name) ? end - begin : 0), 0);
  const { reads, memory } = llm.explain();
  expect(memory.weights).toBe(bytes(() => true));
  expect(reads.weights).toBe(bytes((name) => name !== 'token_embd.weight'));
  const position = 2 * config.layers * config.kvHeads * config.headWidth * 4;
  expect(reads.cache).toBe(position);
  await llm.logits(PROMPT);
  expect(llm.explain().reads.cache).toBe(position * (PROMPT.length + 1));
  llm.destroy();

  const many = await loadModel(device, EXPERTS);
  const opened = await openedModel(modelFile(EXPERTS));
  let want = 0;
  for (const [name, { begin, end, shape }] of opened.file.tensors) {
    if (name.includes('_exps')) want += (end - begin) * (opened.config.experts!.top / opened.config.experts!.count);
    else if (shape.length === 2 && !/token_embd|gate_inp/.test(name)) want += end - begin;
  }
  expect(many.explain().reads.weights).toBe(want);
  many.destroy();
});
