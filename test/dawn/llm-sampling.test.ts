// Choices among some ids, and of logits that are changed: equal to the CPU's, and samples of what they should be.
import '../support/quick-compiler.js';

import { describe, expect, test } from 'vitest';
import { type Choosing, pickDispatch } from '../../src/llm-kernels/pick.js';
import { adjusted, type Choice, countsOf, thresholdOf } from '../../src/llm-kernels/sampling.js';
import { FLAGS, STATE, stateBytes } from '../../src/llm-kernels/state.js';
import { random } from '../cases/data.js';
import { whole } from '../cases/slice.js';
import { choiceFault, drawn } from '../support/llm-choice.js';
import { llmDevice, POISON, runLlm } from '../support/llm-kernels.js';

const device = await llmDevice();

type Floats = Float32Array<ArrayBuffer>;
const paddedTo = (length: number, values: ArrayLike<number>): Floats => {
  const out = new Float32Array(length).fill(NaN);
  out.set(Array.from(values));
  return out;
};
const quads = (n: number): number => 4 * Math.ceil(n / 4);

interface Given {
  readonly logits: Floats;
  readonly how: Omit<Choice, 'position' | 'counts'>;
  /** Ids before: `counts` are theirs. */
  readonly ids?: readonly number[];
}

/** The id that the device chooses at the position behind `ids`, and the counts that it leaves. */
async function chosen({ logits, how, ids = [] }: Given) {
  const vocabulary = logits.length;
  const { bias, repetitionPenalty, presencePenalty, frequencyPenalty, penaltyWindow = Infinity } = how;
  const adjusts = bias ?? repetitionPenalty ?? presencePenalty ?? frequencyPenalty;
  const context = ids.length + 5;
  const choosing: Choosing = { ...how, vocabulary, context, limit: 9, stops: [], adjusting: adjusts === undefined ? undefined : how };
  const state = new Uint32Array(stateBytes(context) / 4).fill(POISON);
  state.set([0, 0, 0]);
  state.set(ids, STATE.list);
  const counts = countsOf(ids, { window: penaltyWindow, length: quads(vocabulary) });
  const given = {
    ...{ state, logits: paddedTo(quads(vocabulary), logits) },
    ...(adjusts !== undefined && { bias: paddedTo(quads(vocabulary), bias ?? new Float32Array(vocabulary)), counts }),
  };
  const got = await runLlm(device, [pickDispatch(choosing, 'logits')], { running: 1, position: ids.length - 1, rows: 1 }, given);
  const out = new Uint32Array(got.state!);
  return { id: out[STATE.id]!, flags: out[STATE.flags]!, counts: got.counts && new Uint32Array(got.counts), before: counts };
}
const choiceAt = ({ logits, how, ids = [] }: Given): Choice => ({
  ...how,
  position: ids.length,
  counts: countsOf(ids, { window: how.penaltyWindow ?? Infinity, length: logits.length }),
});
const faultOf = async (given: Given): Promise<string | undefined> => {
  const { id, flags } = await chosen(given);
  expect(flags).toBe(0);
  return choiceFault(given.logits, choiceAt(given), id);
};

type Next = () => number;
const normal = (next: Next): number => 1.7 * (next() + next() + next() + next() - 2);
/** Logits of every kind. */
const KINDS: Readonly<Record<string, (next: Next, i: number) => number>> = {
  'as models have them': (next) => 3 * normal(next),
  'with ties': (next) => Math.floor(6 * next()) / 2,
  'a bin apart': (next) => Math.floor(90 * next()) / 16,
  'all equal': () => 1.25,
  'all equal to 0, of both signs': (_, i) => (i % 3 === 0 ? -0 : 0),
  huge: (next) => (next() - 0.5) * 6.8e38,
  'of any magnitude': (next) => (next() - 0.5) * 10 ** (76 * next() - 38),
  subnormal: (next) => (next() - 0.5) * 2e-38,
  'some infinite': (next, i) => (i % 5 === 0 ? -Infinity : normal(next)),
  'one infinite': (next, i) => (i === 2 ? Infinity : normal(next)),
  'far below zero': (next) => -500 + normal(next),
  'close to each other': (next) => 20 + 1e-5 * next(),
};
const CUTS: readonly Omit<Choice, 'seed' | 'position'>[] = [
  { temperature: 1, topK: 1 },
  { temperature: 0.8, topK: 3 },
  { temperature: 1, topK: 40 },
  { temperature: 1, topP: 0.5 },
  { temperature: 0.7, topP: 0.9 },
  { temperature: 1.5, topP: 0.999 },
  { temperature: 1, topP: 0 },
  { temperature: 1, topP: 1e-9 },
  { temperature: 1, minP: 0.1 },
  { temperature: 2, minP: 1 },
  { temperature: 1, topK: 50, topP: 0.8 },
  { temperature: 0.6, topK: 20, topP: 0.95, minP: 0.05 },
  { temperature: 100, topK: 1000, topP: 0.7 },
  { temperature: 0.01, topP: 0.6 },
];

describe('cuts', () => {
  test.each([1, 2, 4, 5, 50, 1021, 4096])('of %i ids choose as the CPU does, whatever the logits', async (vocabulary) => {
    const faults: string[] = [];
    for (const [kind, make] of Object.entries(KINDS))
      for (const [i, cut] of CUTS.entries()) {
        const next = random(`${kind} ${vocabulary} ${i}`);
        const logits = Float32Array.from({ length: vocabulary }, (_, id) => make(next, id));
        const fault = await faultOf({ logits, how: { ...cut, seed: Math.floor(next() * 2 ** 32) }, ids: new Array(1 + i).fill(0) });
        if (fault) faults.push(`${kind}, ${JSON.stringify(cut)}: ${fault}`);
      }
    expect(faults).toEqual([]);
  });
  test.each([32000, 152064, 151937])('of %i ids choose as the CPU does', async (vocabulary) => {
    const faults: string[] = [];
    for (const [i, cut] of CUTS.entries()) {
      const next = random(`large ${vocabulary} ${i}`);
      const kind = Object.values(KINDS)[i % 6]!;
      const logits = Float32Array.from({ length: vocabulary }, (_, id) => kind(next, id));
      const fault = await faultOf({ logits, how: { ...cut, seed: i }, ids: [0] });
      if (fault) faults.push(`${JSON.stringify(cut)}: ${fault}`);
    }
    expect(faults).toEqual([]);
  });
  test('keep as many ids as they say: all draws of few ids, and none that is cut', async () => {
    const next = random('kept');
    const logits = Float32Array.from({ length: 301 }, () => Math.floor(40 * next()) / 8); // with ties at every threshold
    for (const cut of [{ topK: 7 }, { topK: 30 }, { topP: 0.25 }, { topP: 0.5, topK: 100 }]) {
      const kept = [...logits.keys()].filter((id) => logits[id]! >= thresholdOf(logits, { ...cut, temperature: 4 }));
      expect(kept.length).toBeGreaterThanOrEqual((cut.topK ?? 0) ? Math.min(7, kept.length) : 1);
      const how: Choosing = { vocabulary: 301, context: 1, limit: 1000, stops: [], seed: 4, temperature: 4, ...cut };
      const ids = await drawn(device, how, paddedTo(304, logits));
      expect([...new Set(ids)].sort((a, b) => a - b)).toEqual(kept);
    }
  });
  test.each(['topK', 'topP', 'minP'] as const)('draws with %s are a sample of what is kept', async (name) => {
    const next = random('softmax of some');
    const logits = Float32Array.from({ length: 50 }, () => 3 * (next() + next() - 1));
    const temperature = 0.8;
    const cut = { topK: { topK: 20 }, topP: { topP: 0.8 }, minP: { minP: 0.2 } }[name];
    const draws = whole ? 100_000 : 20_000;
    const ids = await drawn(
      device,
      { vocabulary: 50, context: 1, limit: draws, stops: [], seed: 7, temperature, ...cut },
      paddedTo(52, logits),
    );
    const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!);
    const weights = order.map((id) => Math.exp(logits[id]! / temperature));
    const all = weights.reduce((a, b) => a + b, 0);
    let above = 0;
    const kept = order.filter((_, i) => {
      const is = { topK: i < 20, topP: above < 0.8 * all, minP: weights[i]! >= 0.2 * weights[0]! }[name];
      above += weights[i]!;
      return is;
    });
    expect(kept.length).toBeGreaterThan(5);
    expect(kept.length).toBeLessThan(45);
    const counts = new Array<number>(50).fill(0);
    for (const id of ids) counts[id]!++;
    expect(counts.reduce((sum, n, id) => sum + (kept.includes(id) ? 0 : n), 0)).toBe(0);
    const sum = kept.reduce((total, id) => total + Math.exp(logits[id]! / temperature), 0);
    const squares = kept.reduce((total, id) => {
      const expected = (draws * Math.exp(logits[id]! / temperature)) / sum;
      return total + (counts[id]! - expected) ** 2 / expected;
    }, 0);
    // Wilson and Hilferty: the normal deviate of χ²; 3.72 is p = 1e-4.
    const degrees = kept.length - 1;
    const deviate = ((squares / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / Math.sqrt(2 / (9 * degrees));
    expect(deviate).toBeLessThan(3.72);
  });
  test('by NaN it ends, whichever id has it', async () => {
    for (const how of [{ topK: 2 }, { topP: 0.5 }, { minP: 0.5 }, { bias: new Float32Array(300) }])
      for (const at of [0, 299, 150]) {
        const logits = Float32Array.from({ length: 300 }, (_, id) => (id === at ? NaN : id));
        expect((await chosen({ logits, how: { temperature: 1, seed: 1, ...how }, ids: [1] })).flags).toBe(FLAGS.notANumber);
      }
  });
});

describe('logits that are changed', () => {
  const banning = (vocabulary: number, ...ids: number[]): Floats => {
    const bias = new Float32Array(vocabulary);
    for (const id of ids) bias[id] = -Infinity;
    return bias;
  };
  test('by penalties and bias that are exact choose as the CPU does, greedily, drawn and cut', async () => {
    const faults: string[] = [];
    for (const vocabulary of [1, 4, 6, 50, 1021])
      for (let i = 0; i < 24; i++) {
        const next = random(`changed ${vocabulary} ${i}`);
        const logits = Float32Array.from({ length: vocabulary }, () => Math.round(64 * normal(next)) / 16);
        const bias = Float32Array.from({ length: vocabulary }, (_, id) =>
          next() < 0.2 && id !== 3 % vocabulary ? -Infinity : Math.floor(8 * next()) / 4,
        );
        const ids = Array.from({ length: 40 }, () => Math.floor(next() * Math.min(vocabulary, 20)));
        const how = {
          ...[{ temperature: 0 }, { temperature: 0.5 }, { temperature: 2, topK: 7, topP: 0.75 }, { temperature: 1, minP: 0.25 }][i % 4]!,
          ...{
            seed: i,
            bias: i % 3 === 0 ? undefined : bias,
            repetitionPenalty: [1, 2, 0.5][i % 3]!,
            presencePenalty: [0, 0.5, -1][(i >> 1) % 3]!,
          },
          ...{ frequencyPenalty: [0, 0.25, -0.125][(i >> 2) % 3]!, penaltyWindow: [undefined, 1, 10, 40, 100][i % 5] },
        };
        const fault = await faultOf({ logits, how, ids });
        if (fault) faults.push(`${vocabulary}, ${i}: ${fault}`);
      }
    expect(faults).toEqual([]);
  });
  test('by penalties that are not exact choose the largest within a rounding', async () => {
    for (let i = 0; i < 12; i++) {
      const next = random(`rounded ${i}`);
      const logits = Float32Array.from({ length: 333 }, () => normal(next));
      const ids = Array.from({ length: 200 }, () => Math.floor(next() * 333));
      const how = { temperature: 0, seed: 0, repetitionPenalty: 1 + next(), presencePenalty: next() - 0.5, frequencyPenalty: next() / 3 };
      const given = { logits, how, ids };
      const { id } = await chosen(given);
      const z = adjusted(logits, how, choiceAt(given).counts);
      expect(z[id]!).toBeGreaterThanOrEqual(Math.max(...z) - 16 * 2 ** -24);
      expect(z).not.toEqual(logits);
    }
  });
  test('by a ban are never chosen, even if all others are lower, infinite, or padding', async () => {
    for (const how of [
      { temperature: 0 },
      { temperature: 1 },
      { temperature: 1, topK: 3 },
      { temperature: 1, topP: 0.5 },
      { temperature: 1, minP: 0.5 },
    ])
      for (const rest of [-1e30, -Infinity, -3e38, 0]) {
        const logits = new Float32Array(7).fill(50);
        logits[5] = logits[2] = rest;
        for (let seed = 0; seed < 4; seed++) {
          const { id } = await chosen({ logits, how: { seed, ...how, bias: banning(7, 0, 1, 3, 4, 6) }, ids: [1] });
          expect([2, 5]).toContain(id);
        }
      }
  });
  test('ids enter the window and leave it', async () => {
    for (const [penaltyWindow, gone] of [
      [3, 4],
      [5, 1],
      [6, undefined],
      [100, undefined],
      [undefined, undefined],
    ]) {
      const ids = [1, 2, 4, 2, 6];
      const { id, counts, before } = await chosen({
        logits: Float32Array.of(0, 0, 9, 0, 0, 0, 0, 1),
        how: { temperature: 0, seed: 0, presencePenalty: 0.5, penaltyWindow },
        ids,
      });
      expect(id).toBe(2);
      before[2]!++;
      if (gone !== undefined) before[gone]!--;
      expect(counts).toEqual(before);
      expect(counts).toEqual(countsOf([...ids, id], { window: penaltyWindow ?? Infinity, length: 8 }));
    }
  });
});
