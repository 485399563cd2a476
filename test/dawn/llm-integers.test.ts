// Prompts whose rows are multiplied as integers (`innerPrecise: 1`): logits of a float64 forward that rounds rows as the kernel does, the same bits in
// whatever chunks, and tokens that round nothing.
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
/** Off by √K roundings of float32, as what comes out of K additions is. */
const off = (next: () => number, x: Float64Array, k: number): Float64Array =>
  x.map((value) => value * (1 + (2 * next() - 1) * Math.sqrt(k) * 2 ** -24));

const DRAWS = 4;
/** So many times the distance that draws have a model may have. */
const TIMES = 4;

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
    const bound = Math.max(BOUNDS.own, TIMES * Math.max(...flipped));
    expect(distance).toBeLessThan(bound);
    // From float64 that rounds nothing it is as far as rows are that are off by anything up to xStep of docs/numerics.md.
    const drawn = Array.from({ length: DRAWS }, (_, i) => {
      const next = random(`${name} drawn ${i}`);
      const step = (x: Float64Array, k: number) => byBlock(x, k, (value, largest) => value + (2 * next() - 1) * ROUNDING[1] * largest);
      return apart(forward(ofProducts(step)) as never, plain);
    });
    const rounding = apart(got, plain);
    expect(rounding).toBeLessThan(2 * Math.max(...drawn));
    expect(rounding).toBeGreaterThan(Math.min(...drawn) / 2);
    if (process.env.ERRORS) console.log(name, { distance, flipped, rounding, drawn });
  });
});
