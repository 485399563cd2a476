// Experts whose product ends in a gated linear unit: equal to a layer of gate and up for each expert, in every bit, whatever lies between
// matrices in memory and however many bindings they take.
import { describe, expect, test } from 'vitest';
import { importGguf, type QuantizedMatrix } from '../../src/formats.js';
import {
  ArgumentError,
  ExpertLayers,
  forwardExperts,
  joinExperts,
  joinGateUp,
  LinearWeightQuant,
  Tensor,
  UnsupportedError,
} from '../../src/index.js';
import { random } from '../cases/data.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type BlockType, drawOf, randomBlocks } from '../support/model-blocks.js';

const device = await llmDevice();
const dtype = 'float32';
const [E, M, TOP] = [5, 6, 2];
interface Form {
  readonly k: number;
  readonly n: number;
  readonly caps?: object;
  readonly bias?: boolean;
  readonly glu?: 'silu' | 'gelu_tanh' | 'swiglu_oai';
}
const plan = (caps: object) => ({ selfTest: false, caps });
const numbersOf = async (tensor: Tensor) => (await tensor.read()) as Float32Array;
const tensor = (data: Float32Array | Int32Array, shape: number[]) =>
  Tensor.from(device, data, { shape, dtype: data instanceof Float32Array ? dtype : 'int32' });

/** Matrices of a block type for each expert. */
const matricesOf = (type: BlockType, { n, k }: Form, what: string): QuantizedMatrix[] =>
  Array.from({ length: E }, (_, e) => {
    const bytes = randomBlocks(type, { n, k }, () => 1 / Math.sqrt(k), drawOf(`${what} ${e}`));
    return importGguf({ name: what, dtype: type, shape: [n, k], bytes });
  });

async function compare(type: BlockType, form: Form): Promise<ExpertLayers> {
  const { n, k, caps = {}, bias = false, glu = 'silu' } = form;
  const next = random(`${type} ${n} ${k}`);
  const floats = (length: number) => Float32Array.from({ length }, () => 2 * next() - 1);
  const sizes = { inFeatures: k, outFeatures: n, bias, dtype, plan: plan(caps) } as const;
  const sides = ['gate', 'up'].map((what) => ({ matrices: matricesOf(type, form, what), biases: floats(E * n) }));
  const [gates, ups] = sides.map(({ matrices, biases }) =>
    new ExpertLayers(device, { experts: E, ...sizes }).loadMatrices(matrices, bias ? { bias: tensor(biases, [E, n]) } : {}),
  );
  const both = joinExperts([gates!, ups!], { glu });
  const x = tensor(floats(M * k), [M, k]);
  const ids = Int32Array.from({ length: M * TOP }, () => Math.floor(next() * (E + 2)) - 1);
  const y = forwardExperts(both, x, { ids: tensor(ids, [M, TOP]) });
  expect(y.shape).toEqual([M, TOP, n]);
  const got = await numbersOf(y);
  const want = new Float32Array(got.length);
  for (let e = 0; e < E; e++) {
    const [gate, up] = sides.map(({ matrices, biases }) =>
      new LinearWeightQuant(device, sizes).loadMatrix(
        matrices[e]!,
        bias ? { bias: tensor(biases.slice(e * n, (e + 1) * n), [n]) } : undefined,
      ),
    );
    const own = await numbersOf(joinGateUp([gate!, up!], { glu }).forward(x));
    ids.forEach((id, pair) => {
      const row = Math.floor(pair / TOP);
      if (id === e) want.set(own.subarray(row * n, (row + 1) * n), pair * n);
    });
  }
  expect(Math.hypot(...want)).toBeGreaterThan(0.1);
  expect(got).toEqual(want);
  return both;
}

describe('equal a layer for each expert', () => {
  const software = { software: true };
  test.each<[BlockType, Form]>([
    ['Q4_0', { n: 12, k: 96 }], // matrices do not end at 256 bytes
    ['Q4_0', { n: 64, k: 64, bias: true, glu: 'swiglu_oai' }],
    ['Q8_0', { n: 10, k: 64, bias: true, glu: 'gelu_tanh' }],
    ['Q4_K', { n: 12, k: 512 }],
    ['Q6_K', { n: 20, k: 256 }],
  ])('%s %j', async (type, form) => {
    await compare(type, { ...form, caps: software });
  });

  test('in several bindings, of which the unit has more than gate and up', async () => {
    const both = await compare('Q8_0', { n: 12, k: 64, bias: true, caps: { ...software, maxStorageBufferBindingSize: 3840 } });
    expect(both.loaded.packed.slabs.map(({ experts }) => experts)).toEqual([
      { begin: 0, count: 2 },
      { begin: 2, count: 2 },
      { begin: 4, count: 1 },
    ]);
  });
});

describe('refused', () => {
  const made = (n: number, more: object = {}) => {
    const form = { n, k: 64 };
    const options = { experts: E, inFeatures: 64, outFeatures: n, bias: false, dtype, plan: plan({}), ...more } as const;
    return new ExpertLayers(device, options).loadMatrices(matricesOf('Q4_0', form, 'gate').slice(0, options.experts));
  };
  const join = (experts: ExpertLayers[], options: object = { glu: 'silu' }) => joinExperts(experts, options as { glu: 'silu' });
  test.each<[string, () => unknown, new (...of: never[]) => Error, RegExp]>([
    ['another number of experts', () => join([made(8), made(8, { experts: 3 })]), ArgumentError, /experts\[1\].*5 experts.*3/],
    ['another shape', () => join([made(8), made(12)]), ArgumentError, /\(8, 64\).*\(12, 64\)/],
    ['an odd number of columns', () => join([made(7), made(7)]), UnsupportedError, /7 columns/],
    ['none', () => join([]), ArgumentError, /gates and ups/],
    ['three', () => join([made(8), made(8), made(8)]), ArgumentError, /3 of them/],
    ['another activation', () => join([made(8), made(8)], { glu: 'relu' }), ArgumentError, /glu/],
    ['experts that are joined', () => join([join([made(8), made(8)])]), UnsupportedError, /a gated linear unit/],
    ['another dtype', () => join([made(8), made(8, { dtype: 'float16' })]), UnsupportedError, /dtype differs/],
  ])('%s', (_, call, type, text) => {
    expect(call).toThrow(type);
    expect(call).toThrow(text);
  });
  test('what is joined is destroyed', () => {
    const [gates, ups] = [made(8), made(8)];
    join([gates, ups]);
    for (const experts of [gates, ups]) expect(() => experts.explain(1, 1)).toThrow(/destroyed/);
  });
});
