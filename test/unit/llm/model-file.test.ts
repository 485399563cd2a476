// The writer of small models: sizes, variances, the same file twice, and a decoder that agrees with src/formats.
import { describe, expect, test } from 'vitest';
import { readTensor } from '../../../src/files/open-file.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { findTensors } from '../../../src/llm/model-tensors.js';
import { matrixName, type Role } from '../../../src/llm/names.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { llmReference } from '../../../src/reference/llm.js';
import { type BlockType, drawOf, randomBlocks } from '../../support/model-blocks.js';
import { modelFile } from '../../support/model-file.js';
import { openedModel } from '../../support/model-weights.js';

const TYPES: readonly BlockType[] = ['Q4_0', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K', 'F16'];

test('a file is below 2 MB but of float weights, and the same for the same options', () => {
  for (const type of TYPES.slice(0, 4)) expect(modelFile({ architecture: 'qwen3', type }).length).toBeLessThan(2_000_000);
  const [a, b] = [7, 7].map((seed) => modelFile({ architecture: 'llama', seed }));
  expect(a).toEqual(b);
  expect(a).not.toEqual(modelFile({ architecture: 'llama', seed: 8 }));
});

test.each(TYPES)('%s: weights have the deviation that was asked for, and no large mean', async (type) => {
  const { weight } = await openedModel(modelFile({ architecture: 'llama', type }));
  const w = weight('up.1'); // 512 · 256 weights of deviation 1.5 / √256
  const mean = w.reduce((sum, one) => sum + one, 0) / w.length;
  const deviation = Math.sqrt(w.reduce((sum, one) => sum + one * one, 0) / w.length);
  expect(deviation / (1.5 / 16)).toBeGreaterThan(0.94);
  expect(deviation / (1.5 / 16)).toBeLessThan(1.06);
  expect(Math.abs(mean) / deviation).toBeLessThan(0.05);
});

test('blocks have the deviation of their row', () => {
  const bytes = randomBlocks('F32', { n: 3, k: 64 }, (row) => row, drawOf('rows'));
  const values = new Float32Array(bytes.slice().buffer);
  expect(values.subarray(0, 64).every((value) => value === 0)).toBe(true);
  const largest = [1, 2].map((row) => Math.max(...values.subarray(64 * row, 64 * row + 64)));
  expect(largest[0]).toBeGreaterThan(1);
  expect(largest[0]).toBeLessThan(5);
  expect(largest[1]).toBeGreaterThan(2);
});

test.each(TYPES.slice(0, 4))('%s: the weights are those that findLayers reads', async (type) => {
  const { file, config, weight } = await openedModel(modelFile({ architecture: 'qwen2', type, tied: true, weights: 'heavy' }));
  const { layers } = await findLayers(file);
  const matrices = [...findTensors(file, config, 'gguf')].filter(([, { shape }]) => shape.length === 2);
  expect(layers).toHaveLength(matrices.length);
  for (const role of ['embedding', 'k.0', 'down.2'] satisfies Role[]) {
    const layer = layers.find(({ name }) => name === matrixName(role, 'gguf'))!;
    expect(Float64Array.from(dequantize(await readMatrix(layer)))).toEqual(weight(role));
  }
});

describe('heavy models', () => {
  test('have one huge number in the residual behind layer 0', async () => {
    const { config, weight } = await openedModel(modelFile({ architecture: 'llama', weights: 'heavy' }));
    // A head of ones shows nothing; the identity behind one layer shows the normalised residual.
    const d = config.width;
    const eye = Float64Array.from({ length: d * d }, (_, i) => (i % (d + 1) === 0 ? 1 : 0));
    const shown: Readonly<Record<string, Float64Array>> = { outputNorm: new Float64Array(d).fill(1), head: eye, embedding: eye };
    const residual = llmReference({ ...config, layers: 1, vocabulary: d }, (role) => shown[role] ?? weight(role)).forward([1, 20, 3]);
    const largest = [0, 1, 2].map((row) => residual.subarray(row * d, (row + 1) * d)).map((x) => Math.max(...x.map(Math.abs)) / rest(x));
    expect(Math.max(...largest)).toBeGreaterThan(20);
  });

  /** The median magnitude. */
  const rest = (x: Float64Array): number => x.map(Math.abs).sort()[x.length / 2]!;

  test('have blocks whose scales differ a hundredfold', async () => {
    const { file } = await openedModel(modelFile({ architecture: 'llama', type: 'Q8_0', weights: 'heavy' }));
    const { bytes } = await readTensor(file.tensors.get('blk.1.ffn_up.weight')!);
    const view = new DataView(bytes.buffer);
    const exponents = Array.from({ length: bytes.length / 34 }, (_, i) => view.getUint16(34 * i, true) >> 10);
    expect(Math.max(...exponents) - Math.min(...exponents)).toBeGreaterThanOrEqual(6);
  });
});

test.each([259, 1024, 1043])('a vocabulary of %i: every token once, bytes first, a merge for each pair', async (vocabulary) => {
  const { file, config } = await openedModel(modelFile({ architecture: 'llama', vocabulary, tied: true }));
  expect(config.vocabulary).toBe(vocabulary);
  const [tokens, merges, types] = ['tokens', 'merges', 'token_type'].map((key) => file.metadata[`tokenizer.ggml.${key}`]);
  if (vocabulary > 1024) return expect(tokens).toMatchObject({ of: 'STRING', length: vocabulary }); // not kept in memory
  expect(new Set(tokens as string[]).size).toBe(vocabulary);
  expect((tokens as string[])['A'.charCodeAt(0)]).toBe('A');
  expect((tokens as string[])[32]).toBe('\u0120');
  expect((merges as string[]).map((merge) => merge.replace(' ', ''))).toEqual((tokens as string[]).slice(259));
  expect((types as number[]).slice(255, 260)).toEqual(vocabulary > 259 ? [1, 3, 3, 3, 1] : [1, 3, 3, 3]);
});

test.each([258, 22996])('a vocabulary of %i is refused', (vocabulary) =>
  expect(() => modelFile({ architecture: 'llama', vocabulary })).toThrow('a vocabulary of 259 to 22995'),
);
