// Weighted sums of the pairs of a row: added to y, with a twin, recorded, and what is refused. run-experts.ts has the numbers of every kernel.
import { describe, expect, test } from 'vitest';
import { pairsWithin } from '../../src/experts/sort-pairs.js';
import type { QuantizedMatrix } from '../../src/formats.js';
import {
  ArgumentError,
  ExpertLayers,
  encodeExperts,
  forwardExperts,
  joinExperts,
  leaveExpertTwin,
  recordSteps,
  replay,
  sortPairs,
  Tensor,
  UnsupportedError,
} from '../../src/index.js';
import { sortedPairs } from '../../src/problem/experts.js';
import { random } from '../cases/data.js';
import { submitPass } from '../support/fresh-device.js';
import { llmDevice } from '../support/llm-kernels.js';

const device = await llmDevice();
const dtype = 'float32';
const [E, N, K, TOP] = [5, 16, 64, 2];
const next = random('sums');
const integer = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
/** Whole numbers from -8 to 7, all scales 1. */
const matrices = Array.from(
  { length: E },
  (): QuantizedMatrix => ({
    ...{ n: N, k: K, bits: 4, groupSize: 32, scaleDtype: 'float32' },
    codes: Uint32Array.from({ length: (N * K) / 8 }, () => integer(0, 2 ** 32 - 1)),
    scale: new Float32Array((N * K) / 32).fill(1),
  }),
);
const codeOf = (e: number, n: number, k: number): number => ((matrices[e]!.codes[(n * K + k) >> 3]! >>> (4 * (k % 8))) & 15) - 8;
const made = (caps: object = {}): ExpertLayers =>
  new ExpertLayers(device, { experts: E, inFeatures: K, outFeatures: N, bias: false, dtype, plan: { caps } }).loadMatrices(matrices);
const f32 = (data: ArrayLike<number>, shape: number[]) => Tensor.from(device, Float32Array.from(data), { shape, dtype });
const i32 = (data: ArrayLike<number>, shape: number[]) => Tensor.from(device, Int32Array.from(data), { shape, dtype: 'int32' });
const listOf = <T>(length: number, make: (i: number) => T): T[] => Array.from({ length }, (_, i) => make(i));
const numbersOf = async (tensor: Tensor) => [...((await tensor.read()) as Float32Array)];

const M = 3;
const ids = listOf(M * TOP, (i) => (i === 3 ? -1 : integer(0, E - 1)));
const weights = listOf(M * TOP, () => integer(-4, 4) / 2);
const xs = listOf(M * TOP * K, () => integer(-3, 3));
const before = listOf(M * N, () => integer(-50, 50));
const scales = listOf(N, (i) => 2 ** ((i % 5) - 2));
const want = listOf(M * N, (i) => {
  const [row, n] = [Math.floor(i / N), i % N];
  return listOf(TOP, (t) => {
    const pair = row * TOP + t;
    return ids[pair]! < 0 ? 0 : weights[pair]! * listOf(K, (k) => xs[pair * K + k]! * codeOf(ids[pair]!, n, k)).reduce((a, b) => a + b);
  }).reduce((a, b) => a + b);
});

/** y of M rows that holds `before`, and its twin behind it. */
function places(): { readonly y: Tensor; readonly twin: Tensor; readonly all: Tensor } {
  const all = f32([...before, ...before.map(() => 7)], [2 * M * N]);
  const at = (byteOffset: number) => Tensor.wrap(device, all.buffer, { shape: [M, N], dtype, byteOffset });
  return { y: at(0), twin: at(4 * M * N), all };
}
const sums = (rows: number): number[] => before.map((value, i) => (i < rows * N ? value + want[i]! : value));
const twins = (rows: number): number[] => before.map((value, i) => (i < rows * N ? (value + want[i]!) * scales[i % N]! : 7));

describe.each([
  ['a GPU', { software: false }],
  ['a software adapter', { software: true }],
])('on %s', (_, caps) => {
  test('forwardExperts gives rows of sums', async () => {
    const y = forwardExperts(made(caps), f32(xs, [M, TOP, K]), { ids: i32(ids, [M, TOP]), weights: f32(weights, [M, TOP]) });
    expect(y.shape).toEqual([M, N]);
    expect(await numbersOf(y)).toEqual(want);
  });

  test('y is added to, and has a twin, with one row and with more; recorded, too', { timeout: 300_000 }, async () => {
    const experts = made(caps);
    leaveExpertTwin(experts, f32(scales, [N]));
    leaveExpertTwin(experts, f32(scales, [N])); // again
    const [x, list, factors] = [f32(xs, [M, TOP, K]), i32(ids, [M, TOP]), f32(weights, [M, TOP])];
    for (const rows of [1, 3]) {
      const { y, twin, all } = places();
      const [own, ownTwin] = [head(y, rows), head(twin, rows)];
      submitPass(device, (pass) =>
        encodeExperts(
          pass,
          experts,
          head(x, rows),
          own,
          { ids: head(list, rows), weights: head(factors, rows) },
          { add: own, twin: ownTwin },
        ),
      );
      expect(await numbersOf(all)).toEqual([...sums(rows), ...twins(rows)]);
    }
    const sorted = sortPairs(list, E);
    for (const sort of [true, false]) {
      const { y, twin, all } = places();
      const routes = sort ? { sorted } : { ids: list };
      const steps = [...(sort ? [{ sort: sorted }] : []), { experts, x, y, ...routes, weights: factors, add: y, twin }];
      const recorded = recordSteps(device, steps as never, { rows: [1, 3] });
      submitPass(device, (pass) => replay(pass, recorded, 1));
      expect(await numbersOf(all)).toEqual([...sums(1), ...twins(1)]);
      device.queue.writeBuffer(all.buffer, 0, Float32Array.from(before));
      submitPass(device, (pass) => replay(pass, recorded, 3));
      expect(await numbersOf(all)).toEqual([...sums(3), ...twins(3)]);
      recorded.destroy();
    }
    sorted.sorted.destroy();
  });

  test('pairs in memory of the caller’s need no step that sorts, where tensors are recorded as they are', async () => {
    const experts = made(caps);
    const words = sortedPairs(ids, E);
    const within = pairsWithin(i32(ids, [M, TOP]), E, i32(new Int32Array(words.buffer), [words.length]));
    const { y } = places();
    const step = { experts, x: f32(xs, [M, TOP, K]), y, sorted: within, weights: f32(weights, [M, TOP]), add: y };
    const recorded = recordSteps(device, [step]);
    submitPass(device, (pass) => replay(pass, recorded));
    expect(await numbersOf(y)).toEqual(sums(3));
    expect(() => recordSteps(device, [step], { rows: [1] })).toThrow(/steps\[0\]\.sorted.*a step before/);
    recorded.destroy();
  });
});

/** The first rows of a tensor. */
function head(tensor: Tensor, rows: number): Tensor {
  const { shape, dtype: of, byteOffset } = tensor;
  return Tensor.wrap(device, tensor.buffer, { shape: [rows, ...shape.slice(1)], dtype: of, byteOffset });
}

test('one row is one dispatch on a GPU, and one in each binding where there are several', () => {
  const count = (caps: object, rows: number) =>
    made(caps)
      .explain(rows, TOP, { summed: true })
      .dispatches.map(({ shader }) => shader);
  expect(count({ software: false }, 1)).toEqual(['sort-pairs', 'matmul-decode']);
  expect(count({ software: false, maxStorageBufferBindingSize: 1500 }, 1)).toEqual(['sort-pairs', ...listOf(3, () => 'matmul-decode')]);
  expect(count({ software: false }, 2).at(-1)).toBe('round-rows');
});

test('in several bindings each adds its experts, and the last leaves the twin', async () => {
  const experts = made({ software: false, maxStorageBufferBindingSize: 1500 });
  leaveExpertTwin(experts, f32(scales, [N]));
  const { y, twin, all } = places();
  const [own, ownTwin] = [head(y, 1), head(twin, 1)];
  for (const add of [own, undefined]) {
    const routes = { ids: i32(ids.slice(0, TOP), [1, TOP]), weights: f32(weights.slice(0, TOP), [1, TOP]) };
    submitPass(device, (pass) => encodeExperts(pass, experts, f32(xs.slice(0, TOP * K), [1, TOP, K]), own, routes, { add, twin: ownTwin }));
    const sum = want.slice(0, N).map((value, i) => value + (add ? before[i]! : 0));
    const got = await numbersOf(all);
    expect(got.slice(0, N)).toEqual(sum);
    expect(got.slice(M * N, M * N + N)).toEqual(sum.map((value, i) => value * scales[i]!));
  }
});

describe('refused', () => {
  const experts = made();
  const [x, list, factors] = [f32(xs, [M, TOP, K]), i32(ids, [M, TOP]), f32(weights, [M, TOP])];
  const { y, twin } = places();
  const encode =
    (routes: object, options: object = {}, into = y) =>
    () =>
      submitPass(device, (pass) => encodeExperts(pass, experts, x, into, { ids: list, weights: factors, ...routes }, options));
  test.each<[string, () => unknown, RegExp]>([
    ['weights of another shape', encode({ weights: f32(weights, [TOP, M]) }), /weights.*\(3, 2\).*\(2, 3\)/],
    ['weights of another dtype', encode({ weights: list }), /weights.*float32.*int32/],
    ['y of pairs beside weights', encode({}, {}, f32(new Float32Array(M * TOP * N), [M, TOP, N])), /y.*3 rows/],
    ['a twin that experts do not leave', encode({}, { twin }), /twin.*leaveExpertTwin/],
    ['add of another tensor', encode({}, { add: f32(before, [M, N]) }), /add.*buffer of y/],
    ['weights in y’s buffer', encode({ weights: Tensor.wrap(device, y.buffer, { shape: [M, TOP], dtype }) }), /y.*another buffer/],
    ['an unknown option', encode({}, { rowScale: factors }), /rowScale/],
    ['an unknown option of explain', () => experts.explain(1, TOP, { sum: true } as never), /sum/],
  ])('%s', (_, call, text) => {
    expect(call).toThrow(ArgumentError);
    expect(call).toThrow(text);
  });
  test('a gated linear unit, and its twin', () => {
    const unit = joinExperts([made(), made()], { glu: 'silu' });
    const call = () => forwardExperts(unit, x, { ids: list, weights: factors });
    expect(call).toThrow(ArgumentError);
    expect(call).toThrow(/weights: expected none beside a gated linear unit/);
    expect(() => leaveExpertTwin(unit, f32([...scales, ...scales], [2 * N]))).toThrow(UnsupportedError);
    expect(() => leaveExpertTwin(experts, f32(scales, [N / 2, 2]))).toThrow(/scale.*\(16\)/);
  });
});
