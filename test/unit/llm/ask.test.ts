// The ids that a function of the caller's chooses, on a runner that is none: the end of its wait.
import { expect, test } from 'vitest';
import { askForIds } from '../../../src/runtime/ask.js';
import type { Runner } from '../../../src/sequence/runner.js';

const runner = {
  offer: async () => {},
  reserve: async () => {},
  offered: async () => ({ candidates: [{ id: 3, logit: 1 }], clamped: 0 }),
} as unknown as Runner;
const stats = () => ({ loadMs: 0, promptTokens: 0, promptMs: 0, tokens: 0, decodeMs: 0, submits: 0, clamped: 0 });
const choosing = { vocabulary: 8, context: 16, limit: 4, stops: [], temperature: 0, seed: 0 };

test.each(['while it is called', 'later'])('a signal that comes %s ends the wait for a function that never answers', async (when) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const sampler = (): Promise<number> => {
    if (when === 'later') setTimeout(() => controller.abort(reason));
    else controller.abort(reason);
    return new Promise(() => {});
  };
  const { signal } = controller;
  const ids = askForIds(
    runner,
    { ...choosing, sampler },
    { prompt: [1], under: [], stats: stats(), signal, took() {}, check: () => signal.throwIfAborted() },
  );
  await expect(ids.next()).rejects.toBe(reason);
});

test('ids come up to the limit, with the reason', async () => {
  const taken: number[] = [];
  const got: unknown[] = [];
  const sequence = { prompt: [1], under: [], stats: stats(), took: (id: number) => void taken.push(id), check() {} };
  for await (const id of askForIds(runner, { ...choosing, limit: 2, sampler: ([first]) => first!.id }, sequence)) got.push(id);
  expect(got).toEqual([{ id: 3 }, { id: 3, reason: 'length' }]);
  expect(taken).toEqual([3]);
});
