// Angles of two tables against float64, at every position up to 32,768.
import { expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.js';
import { angles, FINE, frequencies, ropeTables } from '../../../src/llm/rope.js';
import { yarnOf } from '../../../src/llm/yarn.js';
import { rotate } from '../../../src/reference/llm.js';

const ROPE = { kind: 'halves', width: 64, base: 10_000, factor: 1, divisors: false } as const;
const POSITIONS = 32_768;
/** Derived in rope.ts. */
const BOUND = 2e-7;

test('frequencies: base^(-2i/w), over the factor, over the divisors', () => {
  const plain = frequencies({ ...ROPE, width: 8, base: 16 });
  expect([...plain]).toEqual([1, 0.5, 0.25, 0.125]);
  expect([...frequencies({ ...ROPE, width: 8, base: 16, factor: 4 })]).toEqual([0.25, 0.125, 0.0625, 0.03125]);
  const scaled = { ...ROPE, width: 8, base: 16, factor: 2, divisors: true };
  expect([...frequencies(scaled, [1, 2, 4, 8])]).toEqual([0.5, 0.125, 0.03125, 0.0078125]);
  const long = { ...ROPE, width: 8, base: 16, original: 64 };
  expect([...frequencies(long, [1, 2, 4, 8])]).toEqual([1, 0.25, 0.0625, 0.015625]);
  expect(() => frequencies(long)).toThrow('divisors: expected 4 numbers, got 0');
  expect(() => frequencies(scaled)).toThrow('divisors: expected 4 numbers, got 0');
  expect(() => frequencies(scaled, [1, 2, 4])).toThrow('divisors: expected 4 numbers, got 3');
  expect(() => frequencies(ROPE, [1, 2, 4, 8])).toThrow('divisors: expected 0 numbers, got 4');
  for (const wrong of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => frequencies(scaled, [1, 2, wrong, 8])).toThrow(
      new FormatError({ field: 'ropeDivisors[2]' }, 'a number above 0', String(wrong)),
    );
});

test('YaRN: fast pairs as they are, slow ones over the factor, between them a ramp', () => {
  const { yarn, magnitude } = yarnOf(
    { factor: 4, original: 2 ** 12, fast: 2 ** 9 / Math.PI, slow: 1 / Math.PI, truncate: true },
    { base: 16, width: 8 },
  );
  expect(yarn).toEqual({ factor: 4, low: 2, high: 7 }); // 16^(2i/8) turns 2¹¹ / 2^i radians: 2⁹ after two pairs, beyond all pairs at the slow end
  expect(magnitude).toBe(1 + Math.log(4) / 10);
  const ramp = { factor: 4, low: 1, high: 3 };
  expect([...frequencies({ ...ROPE, width: 8, base: 16, yarn: ramp })]).toEqual([1, 0.5, 0.25 * (1 - 0.5 + 0.125), 0.125 / 4]);
  expect([...frequencies({ ...ROPE, width: 8, base: 16, yarn: { ...ramp, low: 2, high: 2 } })]).toEqual([1, 0.5, 0.25, 0.125 / 4]);
  expect(yarnOf({ factor: 0.5, original: 64, fast: 32, slow: 1, truncate: false }, { base: 16, width: 8 })).toEqual({
    yarn: { factor: 0.5, low: 0, high: (8 * Math.log(64 / (2 * Math.PI))) / (2 * Math.log(16)) },
    magnitude: 1,
  });
});

test.each([
  [64, 10_000],
  [128, 1e6],
  [256, 500_000],
  [80, 10_000],
])('w = %i, base %i: every position within 2e-7', (width, base) => {
  const perPosition = frequencies({ ...ROPE, width, base });
  const tables = ropeTables(perPosition, POSITIONS);
  expect(tables.pairs).toBe(width / 2);
  expect(tables.coarse).toHaveLength((POSITIONS / FINE) * width);
  expect(tables.fine).toHaveLength(FINE * width);
  let worst = 0;
  for (let position = 0; position < POSITIONS; position++) {
    const row = angles(tables, position);
    for (let i = 0; i < width / 2; i++) {
      const angle = position * perPosition[i]!;
      worst = Math.max(worst, Math.abs(row[2 * i]! - Math.cos(angle)), Math.abs(row[2 * i + 1]! - Math.sin(angle)));
    }
  }
  expect(worst).toBeLessThan(BOUND);
  expect(worst).toBeGreaterThan(BOUND / 10); // the tables are float32: an error of 0 would say that nothing was compared
});

test('angles computed in float32 are beyond the bound, so that the bound asks for something', () => {
  const position = 30_001;
  const errors = [...frequencies(ROPE)].map((each) => {
    const rounded = Math.fround(position * Math.fround(each));
    return Math.max(Math.abs(Math.cos(rounded) - Math.cos(position * each)), Math.abs(Math.sin(rounded) - Math.sin(position * each)));
  });
  expect(Math.max(...errors)).toBeGreaterThan(1000 * BOUND);
});

test('a magnitude is that of every row', () => {
  const perPosition = frequencies(ROPE);
  const [plain, large] = [ropeTables(perPosition, 600), ropeTables(perPosition, 600, 1.5)];
  for (const position of [0, 1, 255, 256, 599]) {
    const [one, other] = [angles(plain, position), angles(large, position)];
    one.forEach((value, i) => {
      expect(Math.abs(other[i]! - 1.5 * value)).toBeLessThan(1.5 * 2 * BOUND);
    });
  }
});

test('position 0 is no rotation, and rows of one table are exact', () => {
  const tables = ropeTables(frequencies(ROPE), 1000);
  expect(tables.coarse).toHaveLength(4 * 64); // 1000 positions are 4 rows
  const plain = angles(tables, 0);
  expect([...plain]).toEqual(Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 1 : 0)));
  for (const position of [-1, 1024, 1.5, Number.NaN])
    expect(() => angles(tables, position)).toThrow(`position: expected a whole number below 1024, got ${position}`);
  expect(angles(tables, 77)).toEqual(tables.fine.slice(77 * 64, 78 * 64));
  expect(angles(tables, 512)).toEqual(tables.coarse.slice(2 * 64, 3 * 64));
});

test('the reference rotates by these angles', () => {
  const rope = { kind: 'pairs', width: 64, base: 10_000, factor: 3, divisors: true } as const;
  const divisors = Float64Array.from({ length: 32 }, (_, i) => 1 + i / 4);
  const tables = ropeTables(frequencies(rope, divisors), 4096);
  const ones = Float64Array.from({ length: 64 }, (_, i) => 1 - (i % 2)); // each pair is 1 + 0i
  for (const position of [0, 1, 255, 256, 257, 4095]) {
    const turned = rotate(ones, { heads: 1, headWidth: 64 }, rope, { first: position, divisors });
    for (const [i, value] of angles(tables, position).entries()) expect(Math.abs(value - turned[i]!)).toBeLessThan(BOUND);
  }
});
