// x · inputScale as the reference has it: the interval that it adds holds a float32 product, and what devices that flush subnormals make.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { scaledX } from '../../src/reference/bound.js';
import { referenceMatrix } from '../../src/reference/reference-matrix.js';

const LEAST = 2 ** -126;

test('a product is exact, off by a rounding, lost, or infinite', () => {
  expect(scaledX(3, 0.5)).toEqual([1.5, 2 ** -24 * 1.5]);
  expect(scaledX(0, 7)).toEqual([0, 0]);
  expect(scaledX(-0, 7)[0]).toBe(-0);
  expect(scaledX(1 + 2 ** -23, 1 + 2 ** -23)).toEqual([1 + 2 ** -22 + 2 ** -46, 2 ** -24 * (1 + 2 ** -22 + 2 ** -46)]);
  // A device may take x, the scale, or their product for 0.
  expect(scaledX(2 ** -130, 2 ** 20)).toEqual([2 ** -110, 2 ** -110]);
  expect(scaledX(2 ** 20, -(2 ** -130))).toEqual([-(2 ** -110), 2 ** -110]);
  expect(scaledX(2 ** -70, 2 ** -70)).toEqual([2 ** -140, 2 ** -140]);
  expect(scaledX(2 ** 127, 2)).toEqual([Number.POSITIVE_INFINITY, 0]);
  expect(scaledX(2 ** 127, -2)).toEqual([Number.NEGATIVE_INFINITY, 0]);
  expect(scaledX(Number.NEGATIVE_INFINITY, -2)).toEqual([Number.POSITIVE_INFINITY, 0]);
  expect(scaledX(Number.POSITIVE_INFINITY, 0)).toEqual([Number.NaN, 0]);
});

test('every float32 product is within it, flushed or not', () => {
  const flush = (value: number): number => (Math.abs(value) < LEAST ? 0 : value);
  const seen = { lost: 0, infinite: 0, plain: 0 };
  const floats = fc.float({ noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(floats, floats, (x, s) => {
      const [value, slack] = scaledX(x, s);
      for (const product of [Math.fround(x * s), flush(Math.fround(flush(x) * flush(s)))]) {
        if (Number.isFinite(value)) expect(Math.abs(product - value)).toBeLessThanOrEqual(slack);
        else expect(product).toBe(value);
      }
      seen[!Number.isFinite(value) ? 'infinite' : slack === Math.abs(value) && value !== 0 ? 'lost' : 'plain']++;
    }),
    { numRuns: 2000, seed: 1 },
  );
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(10);
});

describe('referenceMatrix', () => {
  const k = 8;
  const matrix: QuantizedMatrix = {
    n: 1,
    k,
    bits: 4,
    codes: packCodes([9, 8, 8, 8, 8, 8, 8, 9], 1, k, 4), // weights 1, 0 …, 1
    groupSize: k,
    scale: Float32Array.of(1),
    scaleDtype: 'float32',
  };
  const x = (values: readonly number[]) => ({
    data: Float32Array.from({ length: k }, (_, i) => values[i] ?? 0),
    shape: [1, k],
    dtype: 'float32' as const,
  });
  const scales = (first: number, last = 1) => Float32Array.from({ length: k }, (_, i) => (i === 0 ? first : i === k - 1 ? last : 1));

  test('the interval holds the product before and after it is rounded', () => {
    const factor = 1 + 2 ** -23;
    const { exact, low, high } = referenceMatrix(x([factor]), { ...matrix, inputScale: scales(factor) });
    expect(exact[0]).toBe(factor * factor);
    expect(low[0]!).toBeLessThanOrEqual(Math.fround(factor * factor));
    expect(high[0]!).toBeGreaterThanOrEqual(factor * factor);
    const without = referenceMatrix(x([Math.fround(factor * factor)]), matrix);
    expect(high[0]! - low[0]!).toBeGreaterThanOrEqual(without.high[0]! - without.low[0]!);
  });
  test('what a device may flush is in it', () => {
    const { low, high } = referenceMatrix(x([2 ** -130]), { ...matrix, inputScale: scales(2 ** 120) });
    expect(low[0]!).toBeLessThanOrEqual(0);
    expect(high[0]!).toBeGreaterThanOrEqual(2 ** -10);
  });
  test('a product beyond float32 is infinite, whatever the sum of the others would be', () => {
    const { data } = referenceMatrix(x([3e38, 0, 0, 0, 0, 0, 0, 1]), { ...matrix, inputScale: scales(2) });
    expect(data[0]).toBe(Number.POSITIVE_INFINITY);
    // The weight of input 1 is 0: ∞ · 0.
    const ofZero = { ...matrix, inputScale: Float32Array.of(1, 2, 1, 1, 1, 1, 1, 1) };
    expect(referenceMatrix(x([0, 3e38]), ofZero).data[0]).toBe(Number.NaN);
  });
  test('a permutation moves the scaled inputs', () => {
    const permutation = Uint32Array.of(1, 0, 2, 3, 4, 5, 6, 7); // the weight 1 of column 0 is that of input 1
    const inputScale = Float32Array.of(0, 4, 1, 1, 1, 1, 1, -2);
    expect(referenceMatrix(x([100, 3, 0, 0, 0, 0, 0, 5]), { ...matrix, permutation, inputScale }).data[0]).toBe(12 - 10);
  });
  test('where a kernel rounds x to codes, their step follows the scaled x', () => {
    const accuracy = { weightStep: 0, xStep: 0.004, xRun: 8, codeBias: 0, sumRun: 32 } as never;
    const wide = referenceMatrix(x([1, 1]), { ...matrix, inputScale: scales(1000) }, { accuracy });
    const narrow = referenceMatrix(x([1, 1]), matrix, { accuracy });
    const width = ({ low, high }: typeof wide) => high[0]! - low[0]!;
    expect(width(wide)).toBeGreaterThan(900 * width(narrow));
  });
});
