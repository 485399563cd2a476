// llm/route against float64: drawn sizes within derived bounds, ties, NaN, padding, sequences that have ended, and pairs in their order.
import { describe, expect, test } from 'vitest';
import { ArgumentError } from '../../src/errors.js';
import { routeDispatch } from '../../src/llm-kernels/rms.js';
import { sortedPairs } from '../../src/problem/experts.js';
import { routed } from '../../src/reference/llm.js';
import { random } from '../cases/data.js';
import { llmDevice, outside, POISON, rms, runLlm } from '../support/llm-kernels.js';

const device = await llmDevice();
const U = 2 ** -24;
const epsilon = Math.fround(1e-6);

interface Sizes {
  readonly count: number;
  readonly top: number;
  readonly width: number;
  readonly rows?: number;
  readonly valid?: number;
  readonly scale?: number;
}
interface Drawn {
  readonly x: Float32Array<ArrayBuffer>;
  readonly weight: Float32Array<ArrayBuffer>;
  readonly router: Float32Array<ArrayBuffer>;
  /** (E) */
  readonly biases: Float32Array<ArrayBuffer>;
}
function drawn({ count, width, rows = 1 }: Sizes): Drawn {
  const next = random(`${count} ${width} ${rows}`);
  const floats = (length: number, size: number) => Float32Array.from({ length }, () => size * (next() + next() + next() - 1.5));
  const [x, weight, router] = [floats(rows * width, 4), floats(width, 1), floats(count * width, 3 / Math.sqrt(width))];
  return { x, weight, router, biases: floats(count, 2) };
}
async function run(
  { count, top, width, rows = 1, valid = rows, scale = 1 }: Sizes,
  { biases, ...given }: Drawn,
  { sorted = false, running = 1 } = {},
) {
  const dispatch = routeDispatch({ count, top, scale }, { rows, width, epsilon, sorted });
  const got = await runLlm(
    device,
    [dispatch],
    { running, position: 3, rows: valid },
    { ...given, router: withBiases(given.router, biases) },
  );
  return {
    h: new Float32Array(got.h!),
    words: Object.values({ h: got.h!, weights: got.weights!, ids: got.ids ?? got.sorted! }).map((bytes) => new Uint32Array(bytes)),
    weights: new Float32Array(got.weights!),
    ids: new Int32Array(got.ids ?? new ArrayBuffer(0)),
    sorted: new Uint32Array(got.sorted ?? new ArrayBuffer(0)),
  };
}

/** A router with its biases behind it, in whole quads. */
function withBiases(router: Float32Array, biases: Float32Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(router.length + 4 * Math.ceil(biases.length / 4)).fill(NaN);
  out.set(router);
  out.set(biases, router.length);
  return out;
}

/** Products of a row with the router in float64, and how far the kernel's may be from them: each of its lanes adds up a part, in chains of four. */
function logitsOf(h: Float32Array, { router, biases }: Drawn, count: number) {
  const width = h.length;
  const z = new Float64Array(count);
  const bound = new Float64Array(count);
  for (let expert = 0; expert < count; expert++) {
    for (let i = 0; i < width; i++) {
      const term = h[i]! * router[expert * width + i]!;
      z[expert]! += term;
      bound[expert]! += Math.abs(term) * (width / 4 + 256 + 4) * U;
    }
    z[expert]! += biases[expert]!;
    bound[expert]! += Math.abs(biases[expert]!) * 257 * U; // it comes first
  }
  return { z, bound };
}

const SIZES: readonly Sizes[] = [
  { count: 8, top: 2, width: 256, rows: 5, valid: 4 },
  { count: 128, top: 8, width: 260, rows: 3 },
  { count: 5, top: 5, width: 4, rows: 64, valid: 61 },
  { count: 1, top: 1, width: 64 },
  { count: 60, top: 4, width: 1000, rows: 2, scale: 2.5 },
  { count: 257, top: 3, width: 64, rows: 2 },
  { count: 512, top: 10, width: 36, rows: 2 },
];

test.each(SIZES)('%j', async (sizes) => {
  const { count, top, width, rows = 1, valid = rows, scale = 1 } = sizes;
  const given = drawn(sizes);
  const got = await run(sizes, given);
  expect(outside(got.h, rms(given.x.subarray(0, valid * width), given.weight, epsilon))).toEqual([]);
  for (let row = 0; row < valid; row++) {
    const { z, bound } = logitsOf(got.h.subarray(row * width, (row + 1) * width), given, count);
    const ids = [...got.ids.subarray(row * top, (row + 1) * top)];
    expect(new Set(ids).size).toBe(top);
    const order = [...z].sort((a, b) => b - a);
    const most = Math.max(...bound);
    ids.forEach((id, rank) => {
      expect(Math.abs(z[id]! - order[rank]!)).toBeLessThanOrEqual(2 * most);
    });
    // The softmax of the chosen. exp is good to 3 + 2 |z| ULP.
    const shares = ids.map((id) => Math.exp(z[id]! - order[0]!));
    const sum = shares.reduce((a, b) => a + b, 0);
    const slack = 4 * most + (2 * (3 + 2 * (order[0]! - z[ids.at(-1)!]!)) + top + 8) * 2 * U;
    const want = Float64Array.from(shares, (share) => (scale * share) / sum);
    expect(outside(got.weights.subarray(row * top, (row + 1) * top), { value: want, bound: want.map((one) => one * slack) })).toEqual([]);
  }
  for (let row = valid; row < rows; row++) {
    expect([...got.ids.subarray(row * top, (row + 1) * top)]).toEqual(new Array(top).fill(-1));
    expect([...got.weights.subarray(row * top, (row + 1) * top)]).toEqual(new Array(top).fill(0));
    expect(got.words[0]!.subarray(row * width, (row + 1) * width).every((word) => word === POISON)).toBe(true);
  }
});

test.each(SIZES.map((sizes) => ({ ...sizes, rows: 1, valid: 1 })))('sorted: %j', async (sizes) => {
  const given = drawn(sizes);
  const [plain, sorted] = [await run(sizes, given), await run(sizes, given, { sorted: true })];
  expect(sorted.weights).toEqual(plain.weights);
  const own = 4 * (sizes.count + 2); // a list that only sort-pairs reads follows
  const want = sortedPairs(plain.ids, sizes.count).fill(POISON, own, own + sizes.count + 2);
  expect(sorted.sorted).toEqual(want);
});

describe('no order of its own', () => {
  const sizes = { count: 12, top: 3, width: 64 };
  test('the lowest ids where several are as good, and equal weights', async () => {
    const got = await run(sizes, { ...drawn(sizes), router: new Float32Array(12 * 64), biases: new Float32Array(12).fill(0.5) });
    expect([...got.ids]).toEqual([0, 1, 2]);
    expect(new Set(got.weights).size).toBe(1);
    expect(Math.abs(got.weights[0]! - 1 / 3)).toBeLessThan(4 * U);
    const given = drawn(sizes);
    const { z } = logitsOf((await run(sizes, given)).h, given, 12);
    const best = routed(z, { ...sizes, scale: 1 })[0]!.id;
    const copy = best === 11 ? 4 : 11;
    given.router.copyWithin(copy * 64, best * 64, (best + 1) * 64);
    given.biases.copyWithin(copy, best, best + 1);
    expect([...(await run(sizes, given)).ids.subarray(0, 2)]).toEqual([Math.min(best, copy), Math.max(best, copy)]);
  });

  test.each<[string, (given: Drawn) => void]>([
    ['a NaN in the row', ({ x }) => x.fill(Number.NaN, 5, 6)],
    ['a NaN in the router', ({ router }) => router.fill(Number.NaN, 200, 201)],
    ['an infinity', ({ router }) => router.fill(Number.POSITIVE_INFINITY, 0, 1)],
    ['infinities of both signs', ({ weight }) => weight.fill(3e38)],
  ])('%s: NaN weights, and ids of experts', async (_, change) => {
    const given = drawn(sizes);
    change(given);
    const got = await run(sizes, given);
    expect([...got.weights]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    expect(new Set(got.ids).size).toBe(3);
    expect(got.ids.every((id) => id >= 0 && id < 12)).toBe(true);
    const { sorted } = await run(sizes, given, { sorted: true });
    expect([...sorted.subarray(-3)].sort()).toEqual([0, 1, 2]);
  });
});

test.each([false, true])('a sequence that has ended: nothing is written (sorted: %s)', async (sorted) => {
  const sizes = { count: 12, top: 3, width: 64 };
  const { words } = await run(sizes, drawn(sizes), { sorted, running: 0 });
  for (const all of words) expect(all.every((word) => word === POISON)).toBe(true);
});

test('sizes that there is no kernel for are refused by name', () => {
  const how = { rows: 1, width: 64, epsilon, sorted: false };
  const wrong: readonly [object, object, string][] = [
    [{ count: 513 }, {}, 'count: expected a whole number from 1 to 512'],
    [{ top: 9 }, {}, 'top: expected a whole number from 1 to 8'],
    [{ top: 0 }, {}, 'top'],
    [{ scale: Number.NaN }, {}, 'scale'],
    [{}, { width: 66 }, 'width: expected a multiple of 4'],
    [{}, { rows: 0 }, 'rows'],
    [{}, { rows: 2, sorted: true }, 'rows: expected 1'],
  ];
  for (const [of, more, message] of wrong) {
    const call = () => routeDispatch({ count: 8, top: 2, scale: 1, ...of }, { ...how, ...more });
    expect(call).toThrow(ArgumentError);
    expect(call).toThrow(message);
  }
});
