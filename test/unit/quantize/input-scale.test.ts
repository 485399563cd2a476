// AWQ's search: it is what quantizing weights that were scaled by hand gives, its result is no worse than without, and the report describes it.
import { describe, expect, test } from 'vitest';
import { dequantize } from '../../../src/problem/matrix.js';
import type { QuantizeOptions } from '../../../src/quantize/options.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { expectArgument } from '../../support/expect-errors.js';
import { correlated, normals, outputLoss, secondMoments } from '../../support/normal-weights.js';

const [n, k] = [24, 96];
/** Inputs that are large have smaller weights, so that there is something to gain with every method. */
const w = normals('search', n * k).map((value, i) => 0.02 * value * (i % 32 === 5 ? 0.2 : 1));
const x = correlated('search x', 4 * k, k);
const mean = (of: (value: number) => number): Float32Array =>
  Float32Array.from({ length: k }, (_, i) => {
    let sum = 0;
    for (let row = 0; row < 4 * k; row++) sum += of(x[row * k + i]!);
    return sum / (4 * k);
  });
const meanSquare = mean((value) => value * value);
const meanAbs = mean(Math.abs);
const hessian = Float32Array.from(secondMoments(x, k));
const base = { n, k, bits: 4, groupSize: 32 } as const;
const searched = (options: Partial<QuantizeOptions>, weights: Float32Array = w) =>
  quantize(weights, { ...base, inputScale: 'search', ...options } as QuantizeOptions);

const weighted = (made: Float32Array, importance: Float32Array): number =>
  made.reduce((sum, value, i) => sum + importance[i % k]! * (value - w[i]!) ** 2, 0);

describe.each(['minmax', 'mse', 'hqq'] as const)('%s', (method) => {
  test('is the best of 20 ratios, each made of weights that were scaled by hand', () => {
    const sizes = Float64Array.from(meanSquare, Math.sqrt);
    const tries = Array.from({ length: 20 }, (_, i) => {
      const scales = sizes.map((size) => Math.max(1e-4, size ** (i / 20)));
      const middle = Math.sqrt(Math.max(...scales) * Math.min(...scales));
      const inverse = Float32Array.from(scales, (scale) => middle / scale);
      const { matrix } = quantize(
        w.map((value, j) => value / inverse[j % k]!),
        { ...base, method, activations: { meanSquare: meanSquare.map((value, j) => value * inverse[j]! ** 2) } },
      );
      const made = dequantize({ ...matrix, inputScale: inverse });
      return { matrix, inverse, error: weighted(made, meanSquare) };
    });
    const best = tries.reduce((a, b) => (b.error < a.error ? b : a));
    expect(tries.indexOf(best)).toBeGreaterThan(0);
    const { matrix } = searched({ method, activations: { meanSquare } });
    expect(matrix.inputScale).toEqual(best.inverse);
    expect(weighted(dequantize(matrix), meanSquare)).toBeLessThan(tries[0]!.error);
    // Their importance is rounded to float32, that of the search is not: nearly all codes and scales agree.
    const alike = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).filter((value, i) => value === b[i]).length / a.length;
    expect(alike(matrix.scale, best.matrix.scale)).toBeGreaterThan(0.95);
    expect(alike(matrix.codes, best.matrix.codes)).toBeGreaterThan(0.95);
  });

  test.each(['x', 'hessian'] as const)('with %s the loss of the outputs, with feedback, falls', (name) => {
    const activations = { [name]: name === 'x' ? x : hessian, damp: 0 };
    const made = searched({ method, activations }).matrix;
    const without = quantize(w, { ...base, method, activations }).matrix;
    expect(without.inputScale).toBeUndefined();
    expect(made.inputScale).toBeDefined();
    const moments = secondMoments(x, k);
    expect(outputLoss(w, dequantize(made), moments, k)).toBeLessThan(outputLoss(w, dequantize(without), moments, k));
  });
});

test.each(['tensor', 'channel'] as const)('mode %s', (mode) => {
  const options = { mode, groupSize: undefined, method: 'mse', activations: { meanSquare } } as const;
  const { matrix } = searched(options);
  const without = quantize(w, { ...base, ...options }).matrix;
  expect(matrix.inputScale).toBeDefined();
  expect(weighted(dequantize(matrix), meanSquare)).toBeLessThan(weighted(dequantize(without), meanSquare));
  if (mode === 'tensor') expect(new Set(matrix.scale).size).toBe(1);
});

test('sizes are means of |x|, whatever they come from', () => {
  const scales = [{ meanAbs }, { meanSquare: meanAbs.map((value) => value * value) }].map(
    (activations) => searched({ activations }).matrix.inputScale!,
  );
  expect(scales[0]!.every((value, i) => Math.abs(value / scales[1]![i]! - 1) < 1e-6)).toBe(true);
  // An input twice as large has a smaller scale: each is the size of its input to one power.
  const [first, ...powers] = Array.from(scales[0]!, (value, i) => [Math.log(value), Math.log(meanAbs[i]!)] as const);
  const slope = (a: readonly [number, number]) => (a[0] - first![0]) / (a[1] - first![1]);
  for (const power of powers) expect(slope(power)).toBeCloseTo(slope(powers[0]!), 3);
  expect(slope(powers[0]!)).toBeLessThan(0);
});

test('inputs of one size need no scales: there are none', () => {
  const { matrix, report } = searched({ activations: { meanAbs: new Float32Array(k).fill(3) } });
  const plain = quantize(w, { ...base, activations: { meanAbs: new Float32Array(k).fill(3) } });
  expect(matrix).toEqual(plain.matrix);
  expect('inputScale' in matrix).toBe(false);
  expect(report).toEqual(plain.report);
});

test('an input that is always 0 has a finite scale', () => {
  const dead = meanAbs.map((value, i) => (i === 7 ? 0 : value));
  const { inputScale } = searched({ method: 'mse', activations: { meanAbs: dead } }).matrix;
  expect(inputScale!.every((value) => Number.isFinite(value) && value > 0)).toBe(true);
});

test('the report describes the weights that x is multiplied by', () => {
  const { matrix, report } = searched({ method: 'mse', activations: { meanSquare } });
  const errors = dequantize(matrix).map((value, i) => Math.abs(value - w[i]!));
  expect(Math.fround(report.maxError)).toBe(errors.reduce((a, b) => Math.max(a, b)));
  expect(report.rmse).toBeCloseTo(Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / (n * k)), 9);
  const plain = quantize(w, { ...base, method: 'mse' }).report;
  expect(report.bytes).toBe(plain.bytes + 4 * k);
});

test('weights of 16 bits, and memory of the caller, stay as they are', () => {
  const bits = Uint16Array.from(w, (_, i) => 0x2000 + (i % 512));
  const before = bits.slice();
  expect(searched({ activations: { meanSquare } }, bits as never).matrix.inputScale).toBeDefined();
  expect(bits).toEqual(before);
  const copy = w.slice();
  searched({ activations: { meanSquare } }, copy);
  expect(copy).toEqual(w);
});

test('many rows: the search looks at some, and all are scaled', () => {
  const tall = normals('tall', 300 * k);
  const { matrix } = searched({ n: 300, method: 'mse', activations: { meanSquare } }, tall);
  const without = quantize(tall, { ...base, n: 300, method: 'mse', activations: { meanSquare } }).matrix;
  const loss = (made: Float32Array) => made.reduce((sum, value, i) => sum + meanSquare[i % k]! * (value - tall[i]!) ** 2, 0);
  expect(loss(dequantize(matrix))).toBeLessThan(loss(dequantize(without)));
});

test('refusals', () => {
  expectArgument(() => searched({}), 'activations', "some, for inputScale 'search'", 'none');
  expectArgument(() => searched({ inputScale: 'awq' as never, activations: { meanSquare } }), 'inputScale', 'search', '"awq"');
  const huge = w.map((value, i) => (i === 5 * k + 3 ? Number.NaN : value));
  expectArgument(() => searched({ activations: { meanSquare } }, huge), 'weights[5, 3]', 'a finite number', 'NaN');
});
