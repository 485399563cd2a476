// Noise that draws tokens: finite for every hash, uncorrelated, and a sample of the softmax.
import { expect, test } from 'vitest';
import { draw, gumbel, hashOf, largest } from '../../src/llm-kernels/noise.js';
import { random } from '../cases/data.js';

test('the hashes at both ends give finite noise, which grows as the hash falls', () => {
  const least = Array.from({ length: 2 ** 12 }, (_, i) => gumbel(i));
  const most = Array.from({ length: 2 ** 12 }, (_, i) => gumbel(2 ** 32 - 1 - i));
  expect([...least, ...most].every(Number.isFinite)).toBe(true);
  for (let i = 1; i < 2 ** 12; i++) {
    expect(least[i]!).toBeLessThan(least[i - 1]!);
    expect(most[i]!).toBeGreaterThan(most[i - 1]!);
  }
  expect(least[0]).toBeCloseTo(33 * Math.log(2), 6); // −log(2⁻³³)
  expect(most[0]).toBeCloseTo(-Math.log(33 * Math.log(2)), 6);
});

/** Pearson's r of two lists. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (list: readonly number[]) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const [x, y] = [mean(a), mean(b)];
  const products = (p: readonly number[], q: readonly number[]) =>
    mean(p.map((v, i) => (v - (p === a ? x : y)) * (q[i]! - (q === a ? x : y))));
  return products(a, b) / Math.sqrt(products(a, a) * products(b, b));
}

test('hashes of neighbouring ids, positions and seeds are uncorrelated, and so are their low bits', () => {
  const count = 40_000;
  const list = (seed: number, position: number, first: number) =>
    Array.from({ length: count }, (_, i) => hashOf(seed, position + Math.floor(i / 200), first + (i % 200)) / 2 ** 32);
  const own = list(1, 100, 0);
  const most = 4.5 / Math.sqrt(count); // 4.5 standard deviations
  for (const other of [list(1, 100, 1), list(1, 101, 0), list(2, 100, 0), list(1, 356, 0), list(1, 100, 32000)]) {
    expect(Math.abs(correlation(own, other))).toBeLessThan(most);
    const low = (values: readonly number[]) => values.map((v) => (v * 2 ** 32) % 256);
    expect(Math.abs(correlation(low(own), low(other)))).toBeLessThan(most);
  }
  // Uniform over 64 intervals: χ² of 63 degrees of freedom is above 120 once in 10⁵.
  const counts = new Array<number>(64).fill(0);
  for (const v of own) counts[Math.floor(v * 64)]!++;
  expect(counts.reduce((sum, n) => sum + (n - count / 64) ** 2 / (count / 64), 0)).toBeLessThan(120);
});

test('10⁵ draws from 50 logits are a sample of their softmax', () => {
  const next = random('softmax');
  const logits = Array.from({ length: 50 }, () => 3 * (next() + next() - 1));
  const temperature = 0.8;
  const counts = new Array<number>(50).fill(0);
  const draws = 100_000;
  for (let position = 0; position < draws; position++) counts[draw(logits, { temperature, seed: 7, position })!]!++;
  const weights = logits.map((z) => Math.exp(z / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  const squares = counts.reduce((total, n, i) => total + (n - (draws * weights[i]!) / sum) ** 2 / ((draws * weights[i]!) / sum), 0);
  expect(squares).toBeLessThan(95); // 49 degrees of freedom: p > 1e-4
});

test('the largest: the lowest id of several, none where one is NaN', () => {
  expect(largest([1, 3, 2, 3])).toBe(1);
  expect(largest([-Infinity, -Infinity])).toBe(0);
  expect(largest([0, -0])).toBe(0);
  expect(largest([5, NaN, 9])).toBeUndefined();
  expect(largest([NaN])).toBeUndefined();
});
