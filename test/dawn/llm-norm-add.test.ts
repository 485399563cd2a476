// llm/norm-add and llm/cap against float64: within derived bounds, exact cases in every bit, NaN, sequences that have ended.
import { describe, expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { capDispatch } from '../../src/llm-kernels/cap.js';
import { normAddDispatch } from '../../src/llm-kernels/rms.js';
import { random } from '../cases/data.js';
import { type Bounded, capped, llmDevice, outside, rms, runLlm } from '../support/llm-kernels.js';

const device = await llmDevice();
const U = 2 ** -24;
const floats = (length: number, make: (i: number) => number): Float32Array<ArrayBuffer> => Float32Array.from({ length }, (_, i) => make(i));
const now = (rows: number) => ({ running: 1, position: 3, rows });

interface Layer {
  readonly h: Float32Array<ArrayBuffer>;
  readonly x: Float32Array<ArrayBuffer>;
  readonly weight: Float32Array<ArrayBuffer>;
  readonly next: Float32Array<ArrayBuffer>;
}

/** x and h afterwards, in float64. */
function normAdded({ h, x, weight, next }: Layer, { epsilon, scale }: { readonly epsilon: number; readonly scale: number }) {
  const width = weight.length;
  const norm = rms(h, weight, epsilon);
  const sum: Bounded = { value: norm.value.map((n, i) => n + scale * x[i]!), bound: new Float64Array(h.length) };
  sum.value.forEach((value, i) => {
    // WGSL lets fma round its product.
    sum.bound[i] = norm.bound[i]! + U * (Math.abs(scale * x[i]!) + Math.abs(value) + norm.bound[i]!) + 2 ** -149;
  });
  const after = rms(sum.value, next, epsilon);
  for (let row = 0; row < h.length / width; row++) {
    // The factor is that of x with its errors: d(1 / √Σx²) is Σ x·dx / Σx², relative.
    let [moved, squares] = [0, epsilon * width];
    for (let i = row * width; i < (row + 1) * width; i++) {
      moved += Math.abs(sum.value[i]!) * sum.bound[i]!;
      squares += sum.value[i]! ** 2;
    }
    for (let i = row * width; i < (row + 1) * width; i++) {
      const own = Math.abs(after.value[i]! / sum.value[i]!) * sum.bound[i]!;
      after.bound[i]! += 1.01 * (own + (Math.abs(after.value[i]!) * moved) / squares);
    }
  }
  return { sum, after };
}

describe('a norm, a sum and the next norm', () => {
  test.each([4, 64, 252, 256, 260, 1000, 2304])('of %i', async (width) => {
    const draw = random(`norm-add ${width}`);
    const normal = () => 1.7 * (draw() + draw() + draw() + draw() - 2);
    const rows = 1 + Math.floor(draw() * 6);
    const valid = Math.max(1, rows - 1);
    const layer: Layer = {
      h: floats(rows * width, () => 30 * normal()),
      x: floats(rows * width, () => 3 * normal()),
      weight: floats(width, normal),
      next: floats(width, normal),
    };
    for (const scale of [1, Math.fround(Math.sqrt(width))]) {
      const got = await runLlm(device, [normAddDispatch({ rows, width, epsilon: 1e-6, scale })], now(valid), { ...layer });
      const part = { ...layer, h: layer.h.subarray(0, valid * width), x: layer.x.subarray(0, valid * width) };
      const { sum, after } = normAdded(part, { epsilon: Math.fround(1e-6), scale });
      expect(outside(new Float32Array(got.x!), sum)).toEqual([]);
      expect(outside(new Float32Array(got.h!), after)).toEqual([]);
      for (const name of ['x', 'h'] as const) // padding stays
        expect(new Float32Array(got[name]!).subarray(valid * width)).toEqual(layer[name].subarray(valid * width));
    }
  });

  const exact: Layer = {
    h: floats(2 * 64, (i) => (i % 13) - 6),
    x: floats(2 * 64, (i) => (i % 7) - 3),
    weight: floats(64, () => 2 ** 30),
    next: floats(64, (i) => 2 ** 30 * (1 + (i % 2))),
  };
  test('whose factors are powers of two', async () => {
    const dispatch = normAddDispatch({ rows: 2, width: 64, epsilon: 2 ** 60, scale: 3 });
    const got = await runLlm(device, [dispatch], now(2), { ...exact });
    const x = floats(128, (i) => 3 * exact.x[i]! + exact.h[i]!);
    expect(new Float32Array(got.x!)).toEqual(x);
    expect(new Float32Array(got.h!)).toEqual(x.map((one, i) => one * (1 + (i % 2))));
  });

  test('a NaN of h is in its row', async () => {
    const h = exact.h.map((one, i) => (i === 70 ? NaN : one));
    const got = await runLlm(device, [normAddDispatch({ rows: 2, width: 64, epsilon: 1, scale: 1 })], now(2), { ...exact, h });
    for (const name of ['x', 'h']) {
      const y = new Float32Array(got[name]!);
      expect([y.subarray(0, 64).some(Number.isNaN), y.subarray(64).every(Number.isNaN)]).toEqual([false, true]);
    }
  });

  test('of a sequence that has ended writes nothing', async () => {
    const step = { running: 0, position: 3, rows: 2 };
    const got = await runLlm(device, [normAddDispatch({ rows: 2, width: 64, epsilon: 1, scale: 1 })], step, { ...exact });
    expect([new Float32Array(got.x!), new Float32Array(got.h!)]).toEqual([exact.x, exact.h]);
  });
});

describe('a cap', () => {
  const caps = capsOf(device);
  const run = async (z: Float32Array<ArrayBuffer>, cap: number, running = 1) => {
    const got = await runLlm(device, [capDispatch({ vocabulary: z.length, cap }, caps)], { running, position: 0, rows: 1 }, { z });
    return new Float32Array(got.z!);
  };
  test.each([1, 30, 50])('of %i bends numbers of any size, as far as the derivation allows', async (cap) => {
    const draw = random(`cap ${cap}`);
    const z = floats(40_000, () => (draw() < 0.5 ? -1 : 1) * cap * 2 ** (40 * draw() - 32));
    // On either side of where one formula takes over.
    for (let i = 0; i < 2000; i++) z[i] = Math.fround(cap * 0.625 * (1 + (i - 1000) * 2 ** -22));
    const wanted = Array.from(z, (one) => capped(one, cap));
    const all = { value: Float64Array.from(wanted, ({ value }) => value), bound: Float64Array.from(wanted, ({ bound }) => bound) };
    expect(outside(await run(z, cap), all)).toEqual([]);
  });
  test('keeps what has no size or sign, ends at what has the largest', async () => {
    const z = Float32Array.of(0, -0, 1e30, -1e30, Infinity, -Infinity, NaN, 3e38);
    expect([...(await run(z, 32))]).toEqual([0, expect.closeTo(0, 30), 32, -32, 32, -32, NaN, 32]);
  });
  test('of a sequence that has ended writes nothing', async () => {
    const z = Float32Array.of(1, 2, 3, 4);
    expect(await run(z, 1, 0)).toEqual(z);
  });
});
