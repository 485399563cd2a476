// LlmWorker over a channel of messages, which clone what they carry as a Worker's do: its text, errors, signals and functions are those of an Llm.
// e2e/llm-worker.spec.ts starts a real Worker.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ArgumentError, DeviceLostError, FormatError, Llm, LlmWorker, type Piece, type Progress, UnsupportedError } from '../../src/llm.js';
import { WINDOW } from '../../src/llm-worker/messages.js';
import { gpu } from '../support/dawn.js';
import { channelWorker, closeChannels } from '../support/llm-worker.js';

Object.defineProperty(globalThis.navigator ?? Object.defineProperty(globalThis, 'navigator', { value: {} }).navigator, 'gpu', {
  value: gpu,
  configurable: true,
});
const bytes = new Uint8Array(readFileSync(join(import.meta.dirname, '../../models/kjv.gguf')));
const PROMPT = 'In the beginning ';

/** The messages that went to the page. */
const told: unknown[] = [];
const worker = (): Worker => channelWorker((message) => void told.push(message));
afterEach(() => {
  closeChannels();
  told.length = 0;
});

async function textOf(pieces: AsyncIterable<Piece>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece.text;
  return text;
}

test('text, ids, logits and figures are those of an Llm', async () => {
  const llm = await Llm.load(bytes);
  const told: Progress[] = [];
  const inWorker = await LlmWorker.load(bytes, { worker, onProgress: (progress) => void told.push(progress) });
  expect(inWorker).toMatchObject({ config: llm.config, context: llm.context, kv: llm.kv });
  const options = { maxTokens: 40, temperature: 0.8, seed: 3 };
  expect(await textOf(inWorker.complete(PROMPT, options))).toBe(await textOf(llm.complete(PROMPT, options)));
  const ids = await inWorker.encode(PROMPT);
  expect(ids).toEqual((await llm.tokenizer()).encode(PROMPT));
  expect(await inWorker.decode(ids)).toBe(PROMPT);
  expect(await inWorker.hasTemplate()).toBe(false);
  await expect(inWorker.render([{ role: 'user', content: 'Why?' }])).rejects.toThrow(UnsupportedError);
  expect(await inWorker.position()).toBe(llm.position);
  expect(await inWorker.logits(ids)).toEqual(await llm.logits(ids));
  expect(await inWorker.explain()).toEqual(llm.explain());
  const kinds = async (one: Llm | LlmWorker) => (await one.profile({ tokens: 1 })).parts.map(({ ms: _, ...kind }) => kind);
  expect(await kinds(inWorker)).toEqual(await kinds(llm));
  await expect(inWorker.profile({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  expect((await inWorker.stats()).tokens).toBe(llm.stats.tokens);
  await inWorker.reset();
  expect(await inWorker.position()).toBe(0);
  expect(told.length).toBeGreaterThan(0);
  inWorker.destroy();
  llm.destroy();
});

test('a sampler of the page chooses, with bias and bans, and its error ends the answer', async () => {
  const llm = await LlmWorker.load(bytes, { worker });
  const how = { maxTokens: 8, bias: new Map([[40, 2]]), bans: [3, 4], repetitionPenalty: 1.5 };
  const want = await textOf(llm.complete(PROMPT, how));
  expect(await textOf(llm.complete(PROMPT, { ...how, sampler: ([first]) => first!.id }))).toBe(want);
  const failing = (): never => {
    throw new RangeError('no id fits');
  };
  await expect(textOf(llm.complete(PROMPT, { sampler: failing }))).rejects.toThrow('no id fits');
  expect(await textOf(llm.complete(PROMPT, how))).toBe(want);
  llm.destroy();
});

test('errors keep their class and their fields', async () => {
  const bad = bytes.slice();
  bad[0] = 0;
  await expect(LlmWorker.load(bad, { worker })).rejects.toThrow(FormatError);
  await expect(LlmWorker.load(bytes, { worker, context: 0 })).rejects.toMatchObject({ name: 'ArgumentError', argument: 'context' });
  await expect(LlmWorker.load(bytes, { worker, device: {} } as never)).rejects.toThrow('device: expected none');
  await expect(LlmWorker.load(bytes, { worker: 3 } as never)).rejects.toThrow(ArgumentError);
  await expect(LlmWorker.load(bytes)).rejects.toThrow('LlmWorker: there are no Workers here');
  const refusing = (): never => {
    throw new Error('no');
  };
  await expect(LlmWorker.load(bytes, { worker: refusing })).rejects.toThrow(UnsupportedError);
  const llm = await LlmWorker.load(bytes, { worker });
  await expect(textOf(llm.complete(PROMPT, { maxTokens: -1 }))).rejects.toMatchObject({ argument: 'maxTokens' });
  await expect(llm.logits([1, 5000])).rejects.toThrow(ArgumentError);
  await expect(textOf(llm.chat([{ role: 'user', content: 'Why?' }]))).rejects.toThrow(UnsupportedError); // it has no template
  expect(await textOf(llm.complete(PROMPT, { maxTokens: 3 }))).not.toBe('');
  llm.destroy();
});

test('the worker is a few pieces ahead and no more, and a loop that ends early leaves the model free', async () => {
  const llm = await LlmWorker.load(bytes, { worker });
  const pieces = llm.generate(await llm.encode(PROMPT), { maxTokens: 100 });
  await pieces.next();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const sent = told.filter((message) => (message as { kind: string }).kind === 'piece').length;
  expect(sent).toBeGreaterThan(1);
  expect(sent).toBeLessThanOrEqual(WINDOW);
  await pieces.return();
  expect(await textOf(llm.complete(PROMPT, { maxTokens: 3 }))).not.toBe('');
  llm.destroy();
});

test('a signal ends a call with its own reason', async () => {
  const llm = await LlmWorker.load(bytes, { worker });
  const reason = { mine: true };
  const controller = new AbortController();
  const reading = (async () => {
    for await (const _ of llm.complete(PROMPT, { maxTokens: 200, signal: controller.signal })) controller.abort(reason);
  })();
  await expect(reading).rejects.toBe(reason);
  await expect(textOf(llm.complete(PROMPT, { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
  await expect(LlmWorker.load(bytes, { worker, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(await textOf(llm.complete(PROMPT, { maxTokens: 3 }))).not.toBe('');
  llm.destroy();
});

test('calls after destroy, and those under way, end with an ArgumentError; those of a worker that died with a DeviceLostError', async () => {
  const llm = await LlmWorker.load(bytes, { worker });
  const under = textOf(llm.complete(PROMPT, { maxTokens: 200 }));
  const refused = expect(under).rejects.toThrow(ArgumentError);
  llm.destroy();
  await refused;
  await expect(llm.logits([1])).rejects.toThrow('llm: expected a live LlmWorker, got a destroyed one');
  let died: Worker | undefined;
  const other = await LlmWorker.load(bytes, { worker: () => (died = worker()) });
  const lost = expect(textOf(other.complete(PROMPT, { maxTokens: 200 }))).rejects.toThrow(DeviceLostError);
  died!.onerror!.call(died!, { message: 'out of memory' } as ErrorEvent);
  await lost;
  await expect(other.logits([1])).rejects.toThrow('out of memory');
});

test('a fork goes on by itself, and the last of both ends the worker', async () => {
  let ended = 0;
  const watched = (): Worker => {
    const own = worker();
    const end = own.terminate.bind(own);
    own.terminate = () => {
      ended++;
      end();
    };
    return own;
  };
  const how = { maxTokens: 12, temperature: 0.8, seed: 3 };
  const llm = await Llm.load(bytes);
  const ids = (await llm.tokenizer()).encode(PROMPT);
  const want = [await textOf(llm.complete(PROMPT, how)), await textOf(llm.complete(PROMPT, { ...how, seed: 4 }))];
  const logits = await llm.logits(ids);
  llm.destroy();
  for (const first of [0, 1]) {
    ended = 0;
    const parent = await LlmWorker.load(bytes, { worker: watched });
    expect(await textOf(parent.complete(PROMPT, how))).toBe(want[0]);
    const fork = await parent.fork();
    expect(fork).toMatchObject({ config: parent.config, context: parent.context, kv: parent.kv });
    expect(await fork.position()).toBe(await parent.position());
    // Both at once, and nothing of the prompt is computed again but its last id.
    const both = await Promise.all([textOf(parent.complete(PROMPT, { ...how, seed: 4 })), textOf(fork.complete(PROMPT, how))]);
    expect(both).toEqual([want[1], want[0]]);
    expect((await fork.stats()).promptTokens).toBe(1);
    const all = [parent, fork];
    const [gone, left] = [all[first]!, all[1 - first]!];
    const under = expect(textOf(gone.complete(PROMPT, { maxTokens: 200 }))).rejects.toThrow(ArgumentError);
    const other = textOf(left.complete(PROMPT, how));
    gone.destroy();
    gone.destroy();
    await under;
    expect(await other).toBe(want[0]);
    await expect(gone.position()).rejects.toThrow('llm: expected a live LlmWorker, got a destroyed one');
    await expect(gone.fork()).rejects.toThrow(ArgumentError);
    expect(await left.logits(ids)).toEqual(logits);
    expect(ended).toBe(0);
    left.destroy();
    expect(ended).toBe(1);
    await expect(left.fork()).rejects.toThrow(ArgumentError);
  }
});
