// Headers and tensors of models with experts, and the choice of experts in float64.
import { describe, expect, test } from 'vitest';
import { FormatError, UnsupportedError } from '../../../src/errors.js';
import { openGguf } from '../../../src/files/gguf.js';
import type { TensorFile } from '../../../src/files/tensor-file.js';
import { readConfig } from '../../../src/llm/config.js';
import { findTensors } from '../../../src/llm/model-tensors.js';
import { ggufModel } from '../../../src/model/gguf-model.js';
import { routed } from '../../../src/reference/llm.js';
import { estimateOf } from '../../../src/runtime/estimate.js';
import { type GgufValue, makeGguf } from '../../support/files.js';
import { type ModelOptions, modelConfig, modelParts } from '../../support/model-file.js';

type Parts = ReturnType<typeof modelParts>;
const sizes = { layers: 2, feedForward: 64 };
async function fileOf(options: Omit<ModelOptions, 'sizes'>, change: (parts: Parts) => void = () => {}): Promise<TensorFile> {
  const parts = modelParts({ ...options, sizes });
  change(parts);
  const bytes = makeGguf(parts.tensors, { metadata: parts.metadata });
  return openGguf({ name: 'm.gguf', size: bytes.length, read: async (begin, end) => bytes.slice(begin, end) });
}
const u32 = (value: number): GgufValue => ['UINT32', value];

describe('a header', () => {
  test('says how many experts there are, how many a row meets, and how wide one is', async () => {
    const options = { architecture: 'qwen3moe', experts: { count: 16, top: 4 } } as const;
    const config = readConfig(await fileOf(options));
    expect(config).toEqual(modelConfig({ ...options, sizes }));
    expect(config).toMatchObject({ experts: { count: 16, top: 4, scale: 1 }, feedForward: 64, qkNorms: true });
  });
  test('of llama may say so; its width is then an expert’s', async () => {
    const config = readConfig(await fileOf({ architecture: 'llama', experts: { count: 4, top: 2, scale: 2.5 } }));
    expect(config).toMatchObject({ architecture: 'llama', experts: { count: 4, top: 2, scale: 2.5 }, feedForward: 64 });
    expect(readConfig(await fileOf({ architecture: 'llama' })).experts).toBeUndefined();
  });
  test('may say what is so anyway', async () => {
    const neutral = Object.entries({
      expert_gating_func: u32(1),
      expert_group_count: u32(0),
      expert_shared_count: u32(0),
      expert_weights_norm: ['BOOL', 1],
      expert_weights_scale: ['FLOAT32', 0],
    } satisfies Record<string, GgufValue>);
    const file = await fileOf({ architecture: 'qwen3moe' }, ({ metadata }) => {
      for (const [key, value] of neutral) metadata.set(`qwen3moe.${key}`, value);
    });
    expect(readConfig(file).experts).toEqual({ count: 8, top: 2, scale: 1 });
  });

  test.each<[key: string, value: GgufValue | undefined, type: typeof FormatError | typeof UnsupportedError, rest: string]>([
    ['expert_count', undefined, FormatError, 'expected a whole number from 1 to 16777216, got nothing'],
    ['expert_count', u32(0), FormatError, 'expected a whole number from 1 to 16777216, got 0'],
    ['expert_count', u32(513), UnsupportedError, 'expected at most 512, got 513'],
    ['expert_used_count', undefined, FormatError, 'expected a whole number from 1 to 16777216, got nothing'],
    ['expert_used_count', u32(9), FormatError, 'expected at most expert_count, 8, got 9'],
    ['expert_feed_forward_length', u32(0), FormatError, 'expected a whole number from 1 to 16777216, got 0'],
    ['expert_weights_scale', ['FLOAT32', -1], FormatError, 'expected a number above 0, got -1'],
    ['expert_weights_norm', ['BOOL', 0], UnsupportedError, 'expected true, got false'],
    ['expert_gating_func', u32(2), UnsupportedError, 'expected 1, got 2'],
    ['expert_group_count', u32(4), UnsupportedError, 'expected 0 or 1, got 4'],
    ['expert_shared_count', u32(1), UnsupportedError, 'expected 0, got 1'],
    ['expert_shared_feed_forward_length', u32(64), UnsupportedError, 'expected 0, got 64'],
    ['leading_dense_block_count', u32(1), UnsupportedError, 'expected 0, got 1'],
    ['moe_every_n_layers', u32(2), UnsupportedError, 'expected 0 or 1, got 2'],
    ['expert_bias', u32(1), UnsupportedError, 'expected no such key, since it may change the result, got 1'],
  ])('qwen3moe.%s = %j', async (key, value, type, rest) => {
    const file = await fileOf({ architecture: 'qwen3moe' }, ({ metadata }) => {
      if (value) metadata.set(`qwen3moe.${key}`, value);
      else metadata.delete(`qwen3moe.${key}`);
    });
    expect(() => readConfig(file)).toThrow(type);
    expect(() => readConfig(file)).toThrow(`m.gguf: qwen3moe.${key}: ${rest}`);
  });
  test('of an architecture without experts may not', async () => {
    const file = await fileOf({ architecture: 'qwen3' }, ({ metadata }) => metadata.set('qwen3.expert_count', u32(8)));
    expect(() => readConfig(file)).toThrow('qwen3.expert_count: expected 0, got 8');
  });
});

describe('tensors', () => {
  const find = (file: TensorFile) => findTensors(file, readConfig(file), 'gguf');
  test('have an axis of experts in front', async () => {
    const found = find(await fileOf({ architecture: 'qwen3moe' }));
    const shapes = (['router', 'gates', 'ups', 'downs'] as const).map((part) => found.get(`${part}.1`)!.shape);
    expect(shapes).toEqual([
      [8, 256],
      [8, 64, 256],
      [8, 64, 256],
      [8, 256, 64],
    ]);
    expect(found.has('gate.1')).toBe(false);
  });
  test.each<[string, (tensor: Parts['tensors'][number]) => object | undefined, typeof FormatError | typeof UnsupportedError, string]>([
    ['blk.1.ffn_up_exps.weight', () => undefined, FormatError, 'expected (8, 64, 256), got no such tensor'],
    ['blk.0.ffn_down_exps.weight', () => ({ shape: [8, 64, 256] }), FormatError, 'expected (8, 256, 64), got (8, 64, 256)'],
    ['blk.0.ffn_gate_inp.weight', () => ({ shape: [256, 8] }), FormatError, 'expected (8, 256), got (256, 8)'],
    ['blk.0.ffn_gate_inp.weight', () => ({ dtype: 'Q8_0', bytes: new Uint8Array(8 * 8 * 34) }), FormatError, 'F32, F16, BF16, got Q8_0'],
  ])('%s', async (name, change, type, text) => {
    const file = await fileOf({ architecture: 'qwen3moe' }, (parts) => {
      const at = parts.tensors.findIndex((one) => one.name === name);
      const changed = change(parts.tensors[at]!);
      parts.tensors.splice(at, 1, ...(changed ? [{ ...parts.tensors[at]!, ...changed }] : []));
    });
    expect(() => find(file)).toThrow(type);
    expect(() => find(file)).toThrow(text);
  });
  test('of other parts are refused: a bias of experts, a shared expert', async () => {
    for (const name of ['blk.0.exp_probs_b.bias', 'blk.0.ffn_up_shexp.weight']) {
      const file = await fileOf({ architecture: 'qwen3moe' }, ({ tensors }) => {
        tensors.push({ name, dtype: 'F32', shape: [8], bytes: new Uint8Array(32) });
      });
      expect(() => find(file)).toThrow(`${name}: expected no such tensor in qwen3moe`);
    }
  });
});

describe('the choice', () => {
  const of = (z: readonly number[], top: number, scale = 1) => routed(Float64Array.from(z), { top, scale });
  test('is of the largest, and its weights are their part of the softmax over all', () => {
    const z = [0.5, 3, -1, 2, 2.5];
    const all = z.map(Math.exp);
    const chosen = [1, 4, 3];
    const sum = chosen.reduce((a, id) => a + all[id]!, 0);
    const got = of(z, 3, 2);
    expect(got.map(({ id }) => id)).toEqual(chosen);
    for (const { id, weight } of got) expect(weight).toBeCloseTo((2 * all[id]!) / sum, 14);
  });
  test('is of the lowest ids where several are as large', () => {
    expect(of([1, 2, 2, 1, 2], 4).map(({ id }) => id)).toEqual([1, 2, 4, 0]);
    expect(of([-0, 0], 1)).toEqual([{ id: 0, weight: 1 }]);
  });
  test('has no weights where one is NaN, or the largest is no number', () => {
    for (const z of [[1, Number.NaN, 0], [1, Number.POSITIVE_INFINITY, 0], new Array(3).fill(Number.NEGATIVE_INFINITY)])
      expect(of(z, 2).every(({ weight }) => Number.isNaN(weight))).toBe(true);
    expect(of([1, Number.NEGATIVE_INFINITY], 2)).toEqual([
      { id: 0, weight: 1 },
      { id: 1, weight: 0 },
    ]);
  });
});

test('the estimate of memory has the experts, and gates and ups of a layer twice while they are loaded', async () => {
  const options = { context: 256, kv: 'f16', wide: false } as const;
  const few = estimateOf(await ggufModel(await fileOf({ architecture: 'qwen3moe', experts: { count: 8 } })), options);
  const many = estimateOf(await ggufModel(await fileOf({ architecture: 'qwen3moe', experts: { count: 40 } })), options);
  const [matrix, layers] = [64 * 256 * 0.5625, 2]; // Q4_0: 4.5 bits
  const router = 4 * 256;
  const biases = 4 * (64 + 64 + 256);
  expect(many.weights - few.weights).toBe(32 * layers * (3 * matrix + router + biases));
  // What is on its way is as much as all weights here.
  expect(many.loading - few.loading - (many.weights - few.weights)).toBeGreaterThan(32 * 2 * matrix);
});
