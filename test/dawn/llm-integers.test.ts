// Prompts whose rows are multiplied as integers (`innerPrecise: 1`): logits of a float64 forward that rounds rows as the kernel does, the same bits in
// whatever chunks, and tokens that round nothing.
import '../support/quick-compiler.js';

import { describe, expect, test } from 'vitest';
import { Llm } from '../../src/llm.js';
import { BLOCK } from '../../src/problem/code-width.js';
import { ROUNDING } from '../../src/problem/x-codes.js';
import { llmReference } from '../../src/reference/llm.js';
import { random } from '../cases/data.js';
import { apart, BOUNDS, idsOf } from '../cases/run-llm.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { watchCaches } from '../support/cache-bytes.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';
import { asFiles, filesOf, folderParts } from '../support/model-folder.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();
const alive = aliveBuffers(device);
const SIZES = { layers: 2, feedForward: 256 };
const MODELS: Readonly<Record<string, ModelOptions>> = {
  'llama Q4_0': { architecture: 'llama', seed: 71, sizes: SIZES },
  'qwen2 Q4_K_M': { architecture: 'qwen2', type: 'Q4_K', types: { 'v.0': 'Q6_K', 'down.0': 'Q6_K' }, tied: true, seed: 72, sizes: SIZES },
  'qwen3 Q8_0, gate and up apart': { architecture: 'qwen3', type: 'Q8_0', types: { up: 'Q4_0' }, seed: 73, sizes: SIZES },
  'gemma2 Q4_0': { architecture: 'gemma2', seed: 74, caps: { scores: 8, logits: 9 }, sizes: SIZES },
  'phi3 Q5_K': { architecture: 'phi3', type: 'Q5_K', seed: 75, sizes: SIZES },
  'qwen3moe Q4_0': { architecture: 'qwen3moe', seed: 76, sizes: { layers: 2, feedForward: 64 } },
};
const NAMES = Object.keys(MODELS);
const load = (options: ModelOptions, more: object = {}): Promise<Llm> =>
  Llm.load(modelFile(options), { device, kv: 'f32', context: 256, innerPrecise: 1, ...more });
const PROMPT = Array.from({ length: 45 }, (_, i) => (i * 37 + 3) % 256);

/** Products whose rows are rounded: not those with experts, nor the head, which has one row. */
const ROUNDED = /^(q|k|v|qkv|o|gate|up|gateUp|down)\.\d+$/;
type Round = (x: Float64Array, k: number, role: string) => Float64Array;
const ofProducts =
  (round: (x: Float64Array, k: number) => Float64Array): Round =>
  (x, k, role) =>
    ROUNDED.test(role) ? round(x, k) : x;

/** Each block of 32 numbers as `of` has it, which is told the largest of them. */
function byBlock(x: Float64Array, k: number, of: (value: number, largest: number) => number): Float64Array {
  const y = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += k)
    for (let begin = row; begin < row + k; begin += BLOCK) {
      const end = Math.min(begin + BLOCK, row + k);
      let largest = 0;
      for (let i = begin; i < end; i++) largest = Math.max(largest, Math.abs(x[i]!));
      for (let i = begin; i < end; i++) y[i] = of(x[i]!, largest);
    }
  return y;
}
/** As shaders/quantize-rows.wgsl: the step is largest / 127 of 16 bits of mantissa. */
function codes(x: Float64Array, k: number): Float64Array {
  const word = new Uint32Array(1);
  const float = new Float32Array(word.buffer);
  return byBlock(x, k, (value, largest) => {
    float[0] = Math.fround(largest) * Math.fround(1 / 127);
    word[0] = (word[0]! + 0x80) & 0xffffff00;
    return float[0] === 0 ? 0 : Math.round(value / float[0]) * float[0];
  });
}
/** Off by √K roundings of float32: more than what comes out of K additions mostly is. */
const off = (next: () => number, x: Float64Array, k: number): Float64Array =>
  x.map((value) => value * (1 + (2 * next() - 1) * Math.sqrt(k) * 2 ** -24));

const DRAWS = 4;

describe.each(NAMES)('%s', (name) => {
  const options = MODELS[name]!;

  test('logits are those of float64 with rounded rows, as near as codes at the edge of a step let them', async () => {
    const { config, weight } = await openedModel(modelFile(options));
    const forward = (roundInput: Round): Float64Array => llmReference(config, weight, { roundInput }).forward(PROMPT);
    const plain = forward((x) => x);
    const rounded = forward(ofProducts(codes));
    const llm = await load(options);
    const got = await llm.logits(PROMPT, { all: true });
    llm.destroy();
    // A number that float32 has on the other side of an edge is another code: a step of 1/127 of the largest, where float64 has none. Draws show how
    // far that carries.
    const flipped = Array.from({ length: DRAWS }, (_, i) => {
      const next = random(`${name} ${i}`);
      return apart(forward(ofProducts((x, k) => codes(off(next, x, k), k))) as never, rounded);
    });
    const distance = apart(got, rounded);
    expect(distance).toBeLessThan(Math.max(...flipped));
    // From float64 that rounds nothing it is as far as rows are that are off by anything up to xStep of docs/numerics.md.
    const drawn = Array.from({ length: DRAWS }, (_, i) => {
      const next = random(`${name} drawn ${i}`);
      const step = (x: Float64Array, k: number) => byBlock(x, k, (value, largest) => value + (2 * next() - 1) * ROUNDING[1] * largest);
      return apart(forward(ofProducts(step)) as never, plain);
    });
    const rounding = apart(got, plain);
    expect(Math.max(...flipped)).toBeLessThan(rounding / 1.2); // else the bound would not tell one from the other
    expect(rounding).toBeLessThan(2 * Math.max(...drawn));
    expect(rounding).toBeGreaterThan(Math.min(...drawn) / 2);
    if (process.env.ERRORS) console.log(name, { distance, flipped, rounding, drawn });
  });
});

describe.each(NAMES)('%s', (name) => {
  const options = MODELS[name]!;

  test('logits are the same bits in whatever chunks', async () => {
    for (const kv of name === NAMES[0] ? (['f32', 'f16', 'q8'] as const) : (['f16'] as const)) {
      const llm = await load(options, { kv });
      const all = await llm.logits(PROMPT, { all: true }); // chunks of 16, or of one of 64 with padding
      const { vocabulary } = llm.config;
      const rowOf = (row: number): Float32Array => all.subarray(row * vocabulary, (row + 1) * vocabulary);
      // Prompts that are read before, one after the other: the next one's rows are a chunk of another length.
      for (const cuts of [[1, 2, 3, 7], [20, 21], [44], [4, 19, 36]]) {
        llm.reset();
        for (const cut of [...cuts, PROMPT.length]) expect(await llm.logits(PROMPT.slice(0, cut))).toEqual(rowOf(cut - 1));
      }
      llm.destroy();
    }
  });
});

test('tokens behind such a prompt are those of float64 from the keys and values that it left', async () => {
  const options = MODELS['qwen2 Q4_K_M']!;
  const { config, weight } = await openedModel(modelFile(options));
  const caches = watchCaches(device);
  const llm = await load(options);
  caches.stop();
  const ids = await idsOf(llm, PROMPT, { maxTokens: 24, tokensPerSubmit: 8 });
  const { held } = await caches.read(config, 'f32');
  const reference = llmReference(config, weight);
  reference.forward(PROMPT);
  const pitch = config.kvHeads * config.headWidth;
  reference.cache.forEach((own, layer) => {
    for (const [what, numbers] of [
      ['k', own.keys],
      ['v', own.values],
    ] as const)
      numbers.forEach((_, i) => {
        numbers[i] = held(what, layer)(Math.floor((i % pitch) / config.headWidth), Math.floor(i / pitch), i % config.headWidth);
      });
  });
  let sure = 0;
  for (const [i, id] of ids.slice(0, -1).entries()) {
    const logits = reference.forward([id]);
    const margin = 2 * BOUNDS.own * Math.hypot(...logits);
    const [top, second] = [...logits].sort((a, b) => b - a) as [number, number];
    expect(logits[ids[i + 1]!]!).toBeGreaterThanOrEqual(top - margin);
    if (top - second > margin) sure++;
  }
  expect(sure).toBeGreaterThan(20);
  // And of the same dispatches as without.
  const plain = await load(options, { innerPrecise: 0 });
  const { variants, notes } = plain.explain();
  expect(llm.explain().variants).toEqual(variants);
  expect(notes).toEqual([]);
  plain.destroy();
  llm.destroy();
});

describe('products that take no integers', () => {
  test.each([
    ['inputs in an order of their own', 'GPTQ act-order', ['qkv', 'o', 'gateAndUp', 'down']],
    ['codes of a table', 'NF4', ['qkv', 'o', 'gateUp', 'down']],
    ['codes that are floats', 'MXFP4', ['qkv', 'o', 'gateUp', 'down']],
  ] as const)('%s: logits are those without, and notes say so', async (_, format, products) => {
    const files = asFiles(filesOf(folderParts({ type: 'llama', format, sizes: { layers: 1, feedForward: 256 } })));
    const [llm, plain] = [
      await Llm.load(files, { device, context: 256, innerPrecise: 1 }),
      await Llm.load(files, { device, context: 256 }),
    ];
    const prompt = PROMPT.slice(0, 16);
    expect(await llm.logits(prompt)).toEqual(await plain.logits(prompt));
    const names = products.map((product) => `${product}.0`);
    const [note] = llm.explain().notes.filter((one) => one.startsWith('rows of prompts are not rounded to integers for '));
    expect(
      note!
        .replace(/.* for /, '')
        .split(', ')
        .sort(),
    ).toEqual([...names].sort());
    llm.destroy();
    plain.destroy();
  });

  test('those with experts', async () => {
    const llm = await load(MODELS['qwen3moe Q4_0']!);
    expect(llm.explain().notes).toContain('rows of prompts are not rounded to integers for gateUp.0, down.0, gateUp.1, down.1');
    expect(llm.explain().notes).toContain('this adapter makes integer products one by one: prompts are faster with innerPrecise 0');
    llm.destroy();
  });
});

test.each(NAMES)('memory of codes is told before, and freed: %s', async (name) => {
  const file = modelFile(MODELS[name]!);
  const how = { device, context: 256, kv: 'f32' } as const;
  const [told, without] = [await Llm.estimate(file, { ...how, innerPrecise: 1 }), await Llm.estimate(file, how)];
  expect(told.rows).toBeGreaterThan(without.rows);
  const plain = await Llm.load(file, how);
  expect(plain.explain().memory.rows).toBe(without.rows);
  const bytes = alive.bytes();
  plain.destroy();
  const llm = await Llm.load(file, { ...how, innerPrecise: 1 });
  expect(llm.explain().memory.rows).toBe(told.rows);
  expect(alive.bytes() - bytes).toBe(told.rows - without.rows);
  llm.destroy();
  expect(alive.labels()).toEqual([]);
});

test('other numbers are refused', async () => {
  const file = modelFile(MODELS[NAMES[0]!]!);
  for (const innerPrecise of [2, true, '1'])
    await expect(Llm.load(file, { innerPrecise } as never)).rejects.toThrow(/^innerPrecise: expected /);
});
