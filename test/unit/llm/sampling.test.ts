// The choice of ids on the CPU, which the kernels are held against: cases that can be checked by hand, and samples of what they should be.
import { describe, expect, test } from 'vitest';
import { pickDispatch } from '../../../src/llm-kernels/pick.js';
import {
  ALL,
  adjusted,
  type Choice,
  choiceOf,
  countsOf,
  cuts,
  cutUniforms,
  penaltyUniforms,
  thresholdOf,
  valuesOf,
} from '../../../src/llm-kernels/sampling.js';
import { random } from '../../cases/data.js';

const ln = Math.log;
/** Of probabilities 0.4, 0.3, 0.2, 0.1. */
const LOGITS = Float32Array.of(ln(0.2), ln(0.4), ln(0.1), ln(0.3));
const kept = (logits: ArrayLike<number>, how: Omit<Choice, 'seed' | 'position'>): number[] =>
  [...valuesOf(logits, { seed: 1, position: 1, ...how })!.entries()].flatMap(([id, value]) => (value > -Infinity ? [id] : []));

test.each([
  [{ topK: 1 }, [1]],
  [{ topK: 2 }, [1, 3]],
  [{ topK: 4 }, [0, 1, 2, 3]],
  [{ topK: 9 }, [0, 1, 2, 3]],
  [{ topP: 0 }, [1]],
  [{ topP: 0.39 }, [1]],
  [{ topP: 0.41 }, [1, 3]],
  [{ topP: 0.71 }, [0, 1, 3]],
  [{ topP: 0.91 }, [0, 1, 2, 3]],
  [{ minP: 1 }, [1]],
  [{ minP: 0.74 }, [1, 3]],
  [{ minP: 0.26 }, [0, 1, 3]],
  // Of 0.4 and 0.3 the first has 0.57.
  [{ topK: 2, topP: 0.5 }, [1]],
  [{ topK: 2, topP: 0.6 }, [1, 3]],
  [{ topK: 3, topP: 0.6, minP: 0.9 }, [1]],
] as const)('%j of 0.2, 0.4, 0.1, 0.3 keeps %j', (cut, want) => {
  expect(kept(LOGITS, { temperature: 1, ...cut })).toEqual(want);
});

test('the temperature comes before top-p and min-p', () => {
  // At ½ probabilities are as 4, 16, 1, 9.
  expect(kept(LOGITS, { temperature: 0.5, topP: 0.52 })).toEqual([1]);
  expect(kept(LOGITS, { temperature: 0.5, minP: 0.5 })).toEqual([1, 3]);
  expect(kept(LOGITS, { temperature: 0.5, minP: 0.6 })).toEqual([1]);
});

test('ties at the threshold are kept', () => {
  const logits = [1, 3, 2, 2, 2, 0];
  expect(kept(logits, { temperature: 1, topK: 2 })).toEqual([1, 2, 3, 4]);
  expect(kept(logits, { temperature: 1, topP: 0.6 })).toEqual([1, 2, 3, 4]);
  expect(kept(logits, { temperature: 1, topP: 1e-9 })).toEqual([1]);
  expect(kept(new Array(5).fill(7), { temperature: 1, topK: 1 })).toEqual([0, 1, 2, 3, 4]);
});

test('a cut draws the id of the same seed without it, where it is kept', () => {
  let same = 0;
  for (let position = 0; position < 200; position++) {
    const how = { temperature: 1, seed: 5, position };
    const free = choiceOf(LOGITS, how)!;
    if (free !== 2) {
      expect(choiceOf(LOGITS, { ...how, topK: 3 })).toBe(free);
      same++;
    } else expect(choiceOf(LOGITS, { ...how, topK: 3 })).not.toBe(2);
  }
  expect(same).toBeGreaterThan(150);
  expect(same).toBeLessThan(200);
});

test.each([
  ['top-k', { topK: 3 }, [1, 3, 0]],
  ['top-p', { topP: 0.65 }, [1, 3]],
  ['min-p', { minP: 0.4 }, [1, 3, 0]],
] as const)('draws with %s have the probabilities of what is kept', (_, cut, ids) => {
  const draws = 20_000;
  const counts = new Array<number>(4).fill(0);
  for (let position = 0; position < draws; position++) counts[choiceOf(LOGITS, { temperature: 1, seed: 3, position, ...cut })!]!++;
  const sum = (ids as readonly number[]).reduce((total, id) => total + Math.exp(LOGITS[id]!), 0);
  for (const [id, count] of counts.entries()) {
    const p = (ids as readonly number[]).includes(id) ? Math.exp(LOGITS[id]!) / sum : 0;
    expect(Math.abs(count - draws * p)).toBeLessThanOrEqual(4.5 * Math.sqrt(draws * p * (1 - p)));
  }
});

describe('logits are changed', () => {
  const bias = Float32Array.of(0, 1, -Infinity, 0, 0);
  const counts = [0, 2, 1, 1, 3];
  test('by the bias, then the penalties, then bans', () => {
    const penalties = { repetitionPenalty: 2, presencePenalty: 0.5, frequencyPenalty: 0.25 };
    expect([...adjusted([1, 2, 9, -4, 8], { bias, ...penalties }, counts)]).toEqual([1, 0.5, -Infinity, -8.75, 2.75]);
    expect([...adjusted([1, 2, 9, -4, 8], penalties)]).toEqual([1, 2, 9, -4, 8]);
  });
  test('at temperature 0, too', () => {
    const how = { temperature: 0, seed: 0, position: 0 };
    expect(choiceOf([1, 2, 9, -4, 8], how)).toBe(2);
    expect(choiceOf([1, 2, 9, -4, 8], { ...how, bias })).toBe(4);
    expect(choiceOf([1, 2, 9, -4, 8], { ...how, bias, presencePenalty: 6, counts })).toBe(4);
    expect(choiceOf([1, 2, 9, -4, 8], { ...how, bias, frequencyPenalty: 3, counts })).toBe(0);
  });
  test('so that no banned id is chosen where all others are −∞', () => {
    const logits = new Array(3).fill(-Infinity);
    expect(choiceOf(logits, { temperature: 0, seed: 0, position: 0, bias: Float32Array.of(-Infinity, 0, 0) })).toBe(1);
  });
  test('a NaN makes no id', () => {
    expect(choiceOf([1, NaN], { temperature: 1, seed: 0, position: 0, topK: 1 })).toBeUndefined();
  });
});

test('counts of the last ids', () => {
  expect([...countsOf([1, 2, 1, 3], { window: Infinity, length: 5 })]).toEqual([0, 2, 1, 1, 0]);
  expect([...countsOf([1, 2, 1, 3], { window: 2, length: 5 })]).toEqual([0, 1, 0, 1, 0]);
});

test('the threshold is the smallest set that has p, whatever the order', () => {
  const next = random('threshold');
  for (let i = 0; i < 50; i++) {
    const logits = Float32Array.from({ length: 200 }, () => 4 * (next() + next() - 1));
    const topP = next();
    const temperature = 0.2 + 2 * next();
    const threshold = thresholdOf(logits, { topP, temperature });
    const weights = Array.from(logits, (z) => Math.exp(z / temperature));
    const all = weights.reduce((a, b) => a + b, 0);
    const above = weights.reduce((sum, weight, id) => sum + (logits[id]! > threshold ? weight : 0), 0);
    const through = weights.reduce((sum, weight, id) => sum + (logits[id]! >= threshold ? weight : 0), 0);
    expect(above / all).toBeLessThan(topP + 1e-5);
    expect(through / all).toBeGreaterThan(topP - 1e-5);
  }
});

describe('what the kernel is told', () => {
  const how = { vocabulary: 100, context: 10, limit: 1, stops: [], seed: 0 };
  test('is a cut only where something is cut, and at a temperature', () => {
    expect(cuts({}, 100)).toBe(false);
    expect(cuts({ topK: 100, topP: 1, minP: 0 }, 100)).toBe(false);
    for (const cut of [{ topK: 99 }, { topP: 0.999 }, { minP: 1e-6 }]) {
      expect(cuts(cut, 100)).toBe(true);
      expect(pickDispatch({ ...how, temperature: 1, ...cut }).params).toEqual({ NOISE: 1, LOGITS: 1, ADJUST: 0, CUT: 1 });
      expect(pickDispatch({ ...how, temperature: 0, ...cut }).params).toEqual({ NOISE: 0, LOGITS: 0, ADJUST: 0, CUT: 0 });
    }
    expect(pickDispatch({ ...how, temperature: 0, adjusting: {} }).params).toEqual({ NOISE: 0, LOGITS: 1, ADJUST: 1, CUT: 0 });
  });
  test('is finite, whatever the temperature', () => {
    for (const temperature of [2 ** -126, 1e-30, 0.01, 1, 100, 1e30, 3e38]) {
      const { steps, step, rounds, top_p, top_k, least } = cutUniforms(
        { topK: 3, topP: 0.5, minP: 1e-300 },
        { vocabulary: 100, temperature },
      );
      expect(steps * step).toBe(1);
      expect([Math.fround(steps), Math.fround(step)]).toEqual([steps, step]);
      expect([rounds, top_p, top_k]).toEqual([10, 2 ** 31, 3]);
      expect(Math.fround(least)).toBeGreaterThan(-Infinity);
      // The bins of the first histogram hold all that weighs something.
      if (temperature > 1e-20 && temperature < 1e20) expect(511 * step).toBeGreaterThanOrEqual(28 * temperature);
    }
    expect(cutUniforms({ topP: 1 - 2 ** -40 }, { vocabulary: 9, temperature: 1 }).top_p).toBe(ALL - 1);
    expect(cutUniforms({}, { vocabulary: 9, temperature: 1 })).toMatchObject({ top_p: ALL, top_k: 0, rounds: 0 });
    expect(penaltyUniforms({ penaltyWindow: 10 ** 12 }, 50).window).toBe(51);
  });
});
