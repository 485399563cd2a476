// What a language model leaves on its device: nothing, however it ends, and however often.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { requestDevice } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { gpu } from '../support/dawn.js';

const bytes = new Uint8Array(readFileSync(join(import.meta.dirname, '../../models/kjv.gguf')));
const device = await requestDevice({ gpu });
afterAll(() => device.destroy());

const alive = aliveBuffers(device);

/** A model's life: text, a longer cache, logits, a call that ends early. */
async function life(): Promise<void> {
  const llm = await Llm.load(bytes, { device });
  for await (const _ of llm.generate([1, 2, 3], { maxTokens: 20 }));
  for await (const _ of llm.generate(
    Array.from({ length: 200 }, (_, i) => i % 9),
    { maxTokens: 40 },
  ))
    if (llm.position > 210) break;
  await llm.logits([5, 6, 7, 8], { all: true });
  expect(alive.labels().length).toBeGreaterThan(20);
  llm.destroy();
}

test('after destroy no buffer lives', async () => {
  for (let i = 0; i < 5; i++) {
    await life();
    expect(alive.labels()).toEqual([]);
  }
});

test('after a load that ends early no buffer lives', async () => {
  for (const done of [0, 100_000, 1_000_000]) {
    const controller = new AbortController();
    const onProgress = (progress: { readonly done: number }): void => {
      if (progress.done >= done) controller.abort(new Error('enough'));
    };
    await expect(Llm.load(bytes, { device, onProgress, signal: controller.signal })).rejects.toThrow('enough');
    expect(alive.labels()).toEqual([]);
  }
});
