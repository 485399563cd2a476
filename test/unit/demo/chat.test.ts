// Pure parts of the panel "Chat": candidates of a token, and matrices in fewer bits.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { likeliest } from '../../../demo/panels/chat/jobs/look.js';
import { blocksOf, GROUP, inBits } from '../../../demo/panels/chat/jobs/requantized.js';
import { WORDS } from '../../../demo/panels/chat/step-words.js';
import { asFloats, dequantize, findLayers, openModel, readMatrix, readTensor } from '../../../src/formats.js';
import { ARCHITECTURE_NAMES } from '../../../src/llm/architectures.js';
import { type CodeBits, largestCode } from '../../../src/problem/code-width.js';
import { nameOf, tokenSteps } from '../../../src/sequence/step-plan.js';
import { GPU, LAVAPIPE } from '../../support/devices.js';
import { modelConfig } from '../../support/model-file.js';

test('every step of a token of any architecture has words, and there are words for nothing else', () => {
  const names = new Set(['choice']);
  for (const architecture of ARCHITECTURE_NAMES)
    for (const caps of [GPU, LAVAPIPE])
      for (const apart of [new Set<number>(), new Set([0])])
        for (const step of tokenSteps({ config: modelConfig({ architecture }), kv: 'f16', capacity: 4096, caps, apart }))
          names.add(nameOf(step));
  expect(Object.keys(WORDS).sort()).toEqual([...names].sort());
});

test('the likeliest ids come first, of equal ones the lower, and the chosen one is always among them', () => {
  const found = likeliest([0, 3, Math.log(2), 3, -Infinity], 2, 4);
  expect(found.map(({ id, rank }) => [id, rank])).toEqual([
    [1, 1],
    [3, 2],
    [4, 5],
  ]);
  const sum = 1 + 2 * Math.exp(3) + 2;
  expect(found[0]!.probability).toBeCloseTo(Math.exp(3) / sum, 12);
  expect(found[2]!.probability).toBe(0);
  expect(likeliest([1, 2], 20, 0).map(({ id }) => id)).toEqual([1, 0]);
});

const file = await openModel(new Uint8Array(readFileSync(join(import.meta.dirname, '../../../models/kjv.gguf'))));
const before = await findLayers(file);

test.each([8, 4] as const)('for %i bits the library is given the floats of the file', async (bits) => {
  const floats = await inBits(file, bits);
  const { layers } = await findLayers(floats);
  expect(layers).toEqual([]);
  for (const layer of before.layers.slice(0, 4)) {
    const info = floats.tensors.get(`${layer.name}.weight`)!;
    const whole = dequantize(await readMatrix(layer));
    expect(Buffer.compare(Buffer.from(asFloats(await readTensor(info)).buffer), Buffer.from(whole.buffer))).toBe(0);
    // A part that begins and ends inside of rows.
    const part = await info.source.read(4 * layer.k - 8, 12 * layer.k + 4);
    expect(new Float32Array(part.buffer)).toEqual(whole.slice(layer.k - 2, 3 * layer.k + 1));
  }
});

test.each([3, 2] as const)('in %i bits a matrix has so many values in a group, the ends of the grid among them', async (bits: CodeBits) => {
  const narrow = await inBits(file, bits);
  const { layers } = await findLayers(narrow);
  expect(layers.map(({ name }) => name).sort()).toEqual(before.layers.map(({ name }) => name).sort());
  const name = 'blk.1.ffn_down';
  const [was, is] = await Promise.all(
    [before.layers, layers].map(async (all) => dequantize(await readMatrix(all.find((one) => one.name === name)!))),
  );
  for (let begin = 0; begin < was!.length; begin += 7 * GROUP) {
    const [old, now] = [was!.subarray(begin, begin + GROUP), is!.subarray(begin, begin + GROUP)];
    expect(new Set(now).size).toBeLessThanOrEqual(largestCode(bits) + 1);
    const [least, most] = [Math.min(...old), Math.max(...old)];
    const step = (most - least) / largestCode(bits);
    // Half a step, and what halves round off the step and the least weight: 2^-11 of each, the step's as often as there are steps.
    const bound = step / 2 + 2 ** -11 * (Math.abs(least) + most - least) * 1.01;
    expect(Math.max(...old.map((w, i) => Math.abs(w - now[i]!)))).toBeLessThanOrEqual(bound);
  }
});

test('a group of equal weights is one code', () => {
  const bytes = blocksOf(new Float32Array(GROUP).fill(0.5), 2);
  expect([...bytes]).toEqual([0, 0, 0x00, 0x38, ...new Array(16).fill(0)]);
});
