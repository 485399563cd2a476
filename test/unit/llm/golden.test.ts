// The float64 model against llama.cpp's logits for the same files (scripts/goldens/llm.mjs).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { roundTo } from '../../../src/dtype.js';
import { architectureOf } from '../../../src/llm/architectures.js';
import { type Role, tensorName } from '../../../src/llm/names.js';
import { type LlmOptions, type LlmSizes, llmReference } from '../../../src/reference/llm.js';
import { GOLDEN_IDS, GOLDEN_MODELS, GOLDEN_ROWS, isFloat32 } from '../../cases/llm-models.js';
import { modelFile } from '../../support/model-file.js';
import { type OpenedModel, openedModel } from '../../support/model-weights.js';

/** The last rows of logits that llama.cpp gave. */
function goldenOf(name: string): Float64Array {
  const text = readFileSync(join(import.meta.dirname, '../../fixtures/llm', `${name}.json`), 'utf8');
  const bytes = Uint8Array.from(Buffer.from((JSON.parse(text) as { logits: string }).logits, 'base64'));
  return Float64Array.from(new Float32Array(bytes.buffer));
}

function lastRows(sizes: LlmSizes, { weight }: OpenedModel, options?: LlmOptions): Float64Array {
  return llmReference(sizes, weight, options)
    .forward(GOLDEN_IDS)
    .slice(-GOLDEN_ROWS * sizes.vocabulary);
}

/** ‖a - b‖ / ‖b‖ */
function distance(a: Float64Array, b: Float64Array): number {
  expect(a).toHaveLength(b.length);
  let [difference, norm] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Codes of 8 bits for each block of x, with a float16 step beside blocks of 32 and a float32 step beside blocks of 256. */
function in8Bits(x: Float64Array, block: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += block) {
    let largest = 0;
    for (let i = at; i < at + block; i++) largest = Math.max(largest, Math.abs(x[i]!));
    const step = largest / 127;
    const held = block === 32 ? roundTo(step, 'float16') : step;
    for (let i = at; i < at + block; i++) y[i] = step === 0 ? 0 : Math.round(x[i]! / step) * held;
  }
  return y;
}

/** gelu as llama.cpp's CPU has it: a table of halves by halves, and none beyond ±10. */
function geluTable(z: number): number {
  if (z <= -10) return 0;
  if (z >= 10) return z;
  const x = roundTo(z, 'float16');
  return roundTo((x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * x * (1 + 0.044715 * x * x))), 'float16');
}
const activationOf = ({ config }: OpenedModel): LlmOptions => (config.activation === 'gelu_tanh' ? { activate: geluTable } : {});

/** What llama.cpp's CPU rounds: the input of a product by the type of its weights, keys and values to float16. */
function likeLlama({ file, config, weight }: OpenedModel): LlmOptions {
  const half = (value: number): number => roundTo(value, 'float16');
  const roundInput = (x: Float64Array, _k: number, role: string): Float64Array => {
    const { dtype } = file.tensors.get(tensorName(role as Role, 'gguf', { own: architectureOf(config.architecture).names })!)!;
    if (dtype === 'F32') return x; // a router
    return dtype === 'F16' ? x.map(half) : in8Bits(x, dtype.endsWith('_K') ? 256 : 32);
  };
  return { roundCache: half, roundInput, ...activationOf({ config, file, weight }) };
}

const models = Object.entries(GOLDEN_MODELS);
const closely = models.filter(([, options]) => isFloat32(options));
const within = models.filter(([, options]) => !isFloat32(options));

/** The bound for float32 arithmetic on such a model; 3e-7 to 6e-6 were measured, and a wrong rule is off by more than 0.05. */
const FLOAT32 = 1e-5;
/** With the table of gelu: a gate that is within float32's rounding of the border of two halves becomes the other, a step of 2⁻¹¹. 1.3e-5 was measured. */
const FLOAT32_TABLE = 3e-5;

/** Sizes with each of their rules left out or exchanged. */
function wrongRules(config: LlmSizes): Readonly<Record<string, LlmSizes>> {
  const { rope, windows, localRope, scoreCap, logitCap, noRopeEvery, postNorms, activation, embeddingScale, sinks, biases } = config;
  const turned = { ...rope, kind: rope.kind === 'pairs' ? 'halves' : 'pairs' } as const;
  return {
    kind: { ...config, rope: turned, localRope: localRope && { ...localRope, kind: turned.kind } },
    ...((rope.factor !== 1 || rope.divisors) && { scaling: { ...config, rope: { ...rope, factor: 1, divisors: false } } }),
    ...(rope.original && { original: { ...config, rope: { ...rope, original: undefined } } }),
    ...(rope.magnitude && { magnitude: { ...config, rope: { ...rope, magnitude: 1 } } }),
    ...(windows && {
      'no window': { ...config, windows: undefined },
      'longer window': { ...config, windows: { ...windows, size: windows.size + 1 } },
      'other layers': { ...config, windows: { ...windows, every: windows.every === 2 ? 3 : 2 } },
    }),
    ...(localRope && { 'one rotation': { ...config, localRope: undefined } }),
    ...(scoreCap && { 'scores without a cap': { ...config, scoreCap: undefined } }),
    ...(logitCap && { 'logits without a cap': { ...config, logitCap: undefined } }),
    ...(noRopeEvery && { 'all rotate': { ...config, noRopeEvery: undefined } }),
    ...(postNorms && { 'no norms behind': { ...config, postNorms: false } }),
    ...(activation && { activation: { ...config, activation: 'silu' } }),
    ...(rope.yarn && { 'no ramp': { ...config, rope: { ...rope, yarn: { ...rope.yarn, low: rope.yarn.high } } } }),
    ...(sinks && { 'no sinks': { ...config, sinks: false } }),
    ...Object.fromEntries(biases.map((bias) => [`no ${bias}`, { ...config, biases: biases.filter((one) => one !== bias) }])),
    ...(embeddingScale && { 'embedding as it is': { ...config, embeddingScale: 1 } }),
  };
}

test.each(closely)('%s: logits in float32 are within the bound, and those of a wrong rule far away', async (name, options) => {
  const model = await openedModel(modelFile(options));
  const { config } = model;
  const golden = goldenOf(name);
  expect(distance(golden, lastRows(config, model, activationOf(model)))).toBeLessThan(
    config.activation === undefined ? FLOAT32 : FLOAT32_TABLE,
  );
  for (const [rule, wrong] of Object.entries(wrongRules(config)))
    expect(distance(golden, lastRows(wrong, model)), rule).toBeGreaterThan(rule === 'kind' ? 0.1 : 0.05);
});

test('both scalings of positions are among them', () => {
  expect(closely.filter(([, { rope }]) => rope?.divisors === true)).toHaveLength(1);
  expect(closely.filter(([, { rope }]) => (rope?.factor ?? 1) !== 1)).toHaveLength(2);
});

test.each(within)('%s: logits are as near as those of a model that rounds alike, and so is the best token', async (name, options) => {
  const model = await openedModel(modelFile(options));
  const { config } = model;
  const [golden, truth] = [goldenOf(name), lastRows(config, model)];
  const rounding = distance(lastRows(config, model, likeLlama(model)), truth);
  expect(rounding).toBeLessThan(0.07);
  expect(distance(golden, truth)).toBeLessThan(2 * rounding);
  for (let row = 0; row < GOLDEN_ROWS; row++) {
    const of = (y: Float64Array): Float64Array => y.subarray(row * config.vocabulary, (row + 1) * config.vocabulary);
    const [best, second] = [...of(truth)].sort((a, b) => b - a) as [number, number];
    const moved = Math.max(...of(golden).map((value, i) => Math.abs(value - of(truth)[i]!)));
    if (best - second > 2 * moved) expect(of(golden).indexOf(Math.max(...of(golden)))).toBe(of(truth).indexOf(best));
  }
});
