// What float matrices become is asked of every load: of experts, too, and of the estimate of memory.
import { expect, test, vi } from 'vitest';
import { ArgumentError } from '../../../src/errors.js';
import { openModel } from '../../../src/files/open-file.js';
import { ggufModel } from '../../../src/model/gguf-model.js';
import { estimateOf } from '../../../src/runtime/estimate.js';
import { loadExpertsOf, teller } from '../../../src/sequence/expert-weights.js';
import { type ModelOptions, modelFile } from '../../support/model-file.js';

const asked = vi.hoisted((): unknown[] => []);
vi.mock('../../../src/experts/load-experts.js', () => ({
  loadExperts: async (_device: unknown, _source: unknown, { quantize }: { quantize?: unknown }) => {
    asked.push(quantize);
    return { destroy() {} };
  },
}));
vi.mock('../../../src/experts/join-experts.js', () => ({ joinExperts: () => ({ destroy() {} }) }));

const modelOf = async (options: ModelOptions) => ggufModel(await openModel(modelFile(options)));
const options = { context: 256, kv: 'f16', wide: false } as const;

test('experts of floats become what is asked for; codes stay as they are', async () => {
  const load = async (type: ModelOptions['type']) => {
    asked.length = 0;
    const model = await modelOf({ architecture: 'qwen3moe', type });
    await loadExpertsOf({} as GPUDevice, model, { keep: new Set(), told: teller(1, undefined), quantize: 'int4', signal: undefined });
    return [...asked];
  };
  const [floats, codes] = [await load('F16'), await load('Q4_0')];
  expect(floats.length).toBe(9); // three matrices of three layers
  expect(new Set(floats)).toEqual(new Set(['int4']));
  expect(new Set(codes)).toEqual(new Set([undefined]));
});

test.each(['llama', 'qwen3moe'] as const)('the estimate of %s is of what floats become', async (architecture) => {
  const floats = await modelOf({ architecture, type: 'F16' });
  const [eight, four, said] = [undefined, 'int4', { bits: 4, groupSize: 32 }].map(
    (quantize) => estimateOf(floats, { ...options, quantize: quantize as never }).weights,
  ) as [number, number, number];
  expect(four).toBe(said);
  expect(estimateOf(floats, { ...options, quantize: 'int8' }).weights).toBe(eight);
  expect(four / eight).toBeGreaterThan(0.5);
  expect(four / eight).toBeLessThan(0.75);
  const codes = await modelOf({ architecture, type: 'Q4_0' });
  expect(estimateOf(codes, { ...options, quantize: 'int4' })).toEqual(estimateOf(codes, options));
});

test('what floats cannot become is refused before weights are read', async () => {
  const floats = await modelOf({ architecture: 'llama', type: 'F16' });
  for (const quantize of ['int5', { bits: 4, groupSize: 7 }])
    expect(() => estimateOf(floats, { ...options, quantize: quantize as never })).toThrow(ArgumentError);
});
