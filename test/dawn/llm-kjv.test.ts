// The model that comes with the package, from its file to text: its logits are those of a float64 forward (scripts/model/forward.py).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { requestDevice } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { gpu } from '../support/dawn.js';

const root = join(import.meta.dirname, '../..');
const golden = JSON.parse(readFileSync(join(root, 'test/fixtures/llm/kjv-logits.json'), 'utf8')) as {
  readonly prompt: string;
  readonly ids: readonly number[];
  readonly norm: number;
  readonly top: readonly (readonly [id: number, logit: number])[];
};
const file = new Blob([readFileSync(join(root, 'models/kjv.gguf'))]);
const device = await requestDevice({ gpu });
afterAll(() => device.destroy());

test.each([
  ['f32', 1e-5],
  ['f16', 2e-3],
] as const)('its logits with a cache of %s are within %f of float64', async (kv, bound) => {
  const llm = await Llm.load(file, { device, kv });
  const logits = await llm.logits([...golden.ids]);
  const apart = Math.hypot(...golden.top.map(([id, logit]) => logits[id]! - logit));
  expect(apart / golden.norm).toBeLessThan(bound);
  expect(Math.abs(Math.hypot(...logits) - golden.norm) / golden.norm).toBeLessThan(bound);
  llm.destroy();
});

test('it goes on in words of its text', async () => {
  const llm = await Llm.load(file, { device });
  const read = async (options: object): Promise<string> => {
    let text = '';
    for await (const piece of llm.complete(golden.prompt, { maxTokens: 40, ...options })) text += piece.text;
    return text;
  };
  const [greedy, again, drawn, same, other] = [
    await read({}),
    await read({}),
    await read({ temperature: 0.8, seed: 5 }),
    await read({ temperature: 0.8, seed: 5 }),
    await read({ temperature: 0.8, seed: 6 }),
  ];
  expect(greedy.length).toBeGreaterThan(40);
  expect(again).toBe(greedy);
  expect(same).toBe(drawn);
  expect(new Set([greedy, drawn, other]).size).toBe(3);
  expect(greedy).toMatch(/\b(the|and|of)\b/);
  llm.destroy();
});
