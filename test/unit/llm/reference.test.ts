// The float64 model against a second formulation on tiny sizes: lists of lists, no cache, attention by the whole masked matrix, rotations by
// complex numbers. And what must hold exactly: any chunks give the same numbers.
import { describe, expect, test } from 'vitest';
import { roundTo } from '../../../src/dtype.js';
import { ArgumentError } from '../../../src/errors.js';
import { attend, glu, type LlmSizes, llmReference, multiply, rmsNorm, rotate } from '../../../src/reference/llm.js';
import { drawOf } from '../../support/model-blocks.js';

// ------------------------------------------------------------------------------------------------------- second formulation

type Matrix = readonly (readonly number[])[];

const matrixOf = (values: Float64Array, columns: number): Matrix =>
  Array.from({ length: values.length / columns }, (_, row) => [...values.subarray(row * columns, (row + 1) * columns)]);
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, one, i) => sum + one * b[i]!, 0);
const times = (x: Matrix, w: Matrix): Matrix => x.map((row) => w.map((column) => dot(row, column)));
const plus = (x: Matrix, y: Matrix): Matrix => x.map((row, t) => row.map((one, i) => one + y[t]![i]!));
const columnsOf = (x: Matrix, begin: number, end: number): Matrix => x.map((row) => row.slice(begin, end));
const normed = (x: Matrix, w: readonly number[], epsilon: number): Matrix =>
  x.map((row) => row.map((one, i) => (one * w[i]!) / Math.sqrt(dot(row, row) / row.length + epsilon)));

/** (a + bi)·e^(iθ), θ = position · base^(-2i/w) / factor / divisor. */
function turned(row: readonly number[], position: number, rope: LlmSizes['rope'], divisors: readonly number[]): number[] {
  const out = [...row];
  const pairs = Array.from({ length: rope.width / 2 }, (_, i) => (rope.kind === 'pairs' ? [2 * i, 2 * i + 1] : [i, i + rope.width / 2]));
  pairs.forEach(([a, b], i) => {
    const [re, im] = [row[a!]!, row[b!]!];
    const length = Math.hypot(re, im);
    const angle = Math.atan2(im, re) + (position * Math.exp((-2 * i * Math.log(rope.base)) / rope.width)) / rope.factor / divisors[i]!;
    out[a!] = (rope.magnitude ?? 1) * length * Math.cos(angle);
    out[b!] = (rope.magnitude ?? 1) * length * Math.sin(angle);
  });
  return out;
}

function softmaxed(scores: readonly number[]): number[] {
  const sum = scores.reduce((all, one) => all + Math.exp(one), 0);
  return scores.map((one) => Math.exp(one) / sum);
}

/** Logits of every position, all at once. */
function secondModel(sizes: LlmSizes, weight: (role: string) => Float64Array, ids: readonly number[]): Matrix {
  const { width: d, heads, kvHeads, headWidth: e, feedForward: f, epsilon, windows, noRopeEvery = 0 } = sizes;
  const { scoreScale = 1 / Math.sqrt(e), scoreCap = Infinity, logitCap = Infinity } = sizes;
  const capped = (x: number, cap: number): number => (cap === Infinity ? x : cap * (1 - 2 / (Math.exp((2 * x) / cap) + 1)));
  const vector = (role: string): number[] => [...weight(role)];
  const role = sizes.rope.original === undefined ? (sizes.rope.divisors ? 'ropeDivisors' : undefined) : 'ropeShort';
  const divisors = role ? vector(role) : Array(sizes.rope.width / 2).fill(1);
  const embedding = matrixOf(weight('embedding'), d);
  let x: Matrix = ids.map((id) => embedding[id]!.map((one) => one * (sizes.embeddingScale ?? 1)));
  const added = (y: Matrix, norm: string): Matrix => plus(x, sizes.postNorms ? normed(y, vector(norm), epsilon) : y);
  for (let layer = 0; layer < sizes.layers; layer++) {
    const everywhere = !windows || (windows.every > 0 && (layer + 1) % windows.every === 0);
    const rope = (!everywhere && sizes.localRope) || sizes.rope;
    const turns = noRopeEvery === 0 || (layer + 1) % noRopeEvery !== 0;
    const of = (part: string): string => `${part}.${layer}`;
    const h = normed(x, vector(of('attentionNorm')), epsilon);
    const projected = (part: 'q' | 'k' | 'v'): Matrix => {
      const joined = sizes.joined ? matrixOf(weight(of('qkv')), d) : [];
      const [begin, end] = { q: [0, heads], k: [heads, heads + kvHeads], v: [heads + kvHeads, heads + 2 * kvHeads] }[part] as [
        number,
        number,
      ];
      const y = times(h, sizes.joined ? joined.slice(begin * e, end * e) : matrixOf(weight(of(part)), d));
      return sizes.biases.includes(`${part}Bias`) ? y.map((row) => row.map((one, i) => one + vector(of(`${part}Bias`))[i]!)) : y;
    };
    const headOf = (part: 'q' | 'k', y: Matrix, head: number): Matrix => {
      const own = columnsOf(y, head * e, (head + 1) * e);
      const scaled = sizes.qkNorms ? normed(own, vector(of(`${part}Norm`)), epsilon) : own;
      return turns ? scaled.map((row, position) => turned(row, position, rope, divisors)) : scaled;
    };
    const [q, k, v] = [projected('q'), projected('k'), projected('v')];
    const outputs = Array.from({ length: heads }, (_, head) => {
      const group = Math.floor((head * kvHeads) / heads);
      const scores = times(headOf('q', q, head), headOf('k', k, group));
      const own = columnsOf(v, group * e, (group + 1) * e);
      return scores.map((row, t) => {
        const seen = (p: number): boolean => p <= t && (everywhere || t - p < windows!.size);
        const shares = softmaxed(row.map((one, p) => (seen(p) ? capped(one * scoreScale, scoreCap) : Number.NEGATIVE_INFINITY)));
        return own[0]!.map((_, i) => shares.reduce((sum, share, p) => sum + share * own[p]![i]!, 0));
      });
    });
    const attended = x.map((_, t) => outputs.flatMap((head) => head[t]!));
    x = added(times(attended, matrixOf(weight(of('o')), heads * e)), of('postAttentionNorm'));
    const h2 = normed(x, vector(of('feedForwardNorm')), epsilon);
    const both = sizes.joined ? times(h2, matrixOf(weight(of('gateUp')), d)) : [];
    const [gate, up] = sizes.joined
      ? [columnsOf(both, 0, f), columnsOf(both, f, 2 * f)]
      : [times(h2, matrixOf(weight(of('gate')), d)), times(h2, matrixOf(weight(of('up')), d))];
    // z Φ(z) by its approximation with tanh, as a sigmoid
    const gelu = (z: number): number => z / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));
    const activate = (z: number): number => (sizes.activation === 'gelu_tanh' ? gelu(z) : z / (1 + Math.exp(-z)));
    const act = gate.map((row, t) => row.map((z, i) => activate(z) * up[t]![i]!));
    x = added(times(act, matrixOf(weight(of('down')), f)), of('postFeedForwardNorm'));
  }
  const logits = times(normed(x, vector('outputNorm'), epsilon), sizes.tied ? embedding : matrixOf(weight('head'), d));
  return logits.map((row) => row.map((one) => capped(one, logitCap)));
}

// ------------------------------------------------------------------------------------------------------------------- models

const PLAIN: LlmSizes = {
  layers: 2,
  width: 6,
  heads: 4,
  kvHeads: 2,
  headWidth: 4,
  feedForward: 10,
  vocabulary: 11,
  epsilon: 1e-3,
  rope: { kind: 'pairs', width: 4, base: 100, factor: 1, divisors: false },
  tied: false,
  biases: [],
  qkNorms: false,
};
const MODELS: Readonly<Record<string, LlmSizes>> = {
  pairs: PLAIN,
  halves: { ...PLAIN, rope: { ...PLAIN.rope, kind: 'halves' } },
  'one key head': { ...PLAIN, kvHeads: 1, headWidth: 6, rope: { ...PLAIN.rope, width: 6 } },
  'a key head for each query head': { ...PLAIN, kvHeads: 4, layers: 3 },
  'part of a head is rotated': { ...PLAIN, headWidth: 6, rope: { ...PLAIN.rope, kind: 'halves' } },
  'biases, tied': { ...PLAIN, biases: ['qBias', 'kBias', 'vBias'], tied: true },
  'norms of q and k': { ...PLAIN, qkNorms: true, rope: { ...PLAIN.rope, kind: 'halves' } },
  'linear scaling and divisors': { ...PLAIN, rope: { ...PLAIN.rope, factor: 3, divisors: true } },
  'windows in all layers': { ...PLAIN, windows: { size: 3, every: 0 } },
  'windows, two rotations': { ...PLAIN, layers: 3, windows: { size: 2, every: 3 }, localRope: { ...PLAIN.rope, base: 7 } },
  'a layer without rotation': { ...PLAIN, layers: 3, noRopeEvery: 2 },
  'a scale and caps': { ...PLAIN, scoreScale: 0.3, scoreCap: 2, logitCap: 5 },
  'norms behind, gelu, scaled embedding': { ...PLAIN, postNorms: true, activation: 'gelu_tanh', embeddingScale: Math.sqrt(6) },
  'joined weights': { ...PLAIN, joined: true },
  LongRoPE: { ...PLAIN, rope: { ...PLAIN.rope, original: 4, magnitude: 1.5 } },
};
const IDS = [3, 7, 3, 0, 10, 5, 5, 1, 9];

/** Weights that are drawn when they are first asked for, of any length that the sizes ask for. */
function weightsOf({ width: d, heads, kvHeads, headWidth: e, feedForward: f, vocabulary, rope }: LlmSizes) {
  const lengths: Readonly<Record<string, number>> = {
    embedding: vocabulary * d,
    head: vocabulary * d,
    outputNorm: d,
    ropeDivisors: rope.width / 2,
    ropeShort: rope.width / 2,
    ropeLong: rope.width / 2,
    attentionNorm: d,
    postAttentionNorm: d,
    postFeedForwardNorm: d,
    qkv: (heads + 2 * kvHeads) * e * d,
    gateUp: 2 * f * d,
    feedForwardNorm: d,
    q: heads * e * d,
    k: kvHeads * e * d,
    v: kvHeads * e * d,
    qBias: heads * e,
    kBias: kvHeads * e,
    vBias: kvHeads * e,
    qNorm: e,
    kNorm: e,
    o: d * heads * e,
    gate: f * d,
    up: f * d,
    down: d * f,
  };
  const made = new Map<string, Float64Array>();
  return (role: string): Float64Array => {
    const draw = drawOf(role);
    const length = lengths[role.split('.')[0]!]!;
    if (!made.has(role))
      made.set(
        role,
        Float64Array.from({ length }, () => (/^rope/.test(role) ? 1 + draw.below(8) : draw.normal())),
      );
    return made.get(role)!;
  };
}

describe.each(Object.entries(MODELS))('%s', (_, sizes) => {
  const weight = weightsOf(sizes);
  const logits = llmReference(sizes, weight).forward(IDS);

  test('equals the second formulation', () => {
    const second = secondModel(sizes, weight, IDS).flat();
    expect(logits).toHaveLength(second.length);
    const largest = Math.max(...second.map(Math.abs));
    for (const [i, value] of logits.entries()) expect(Math.abs(value - second[i]!)).toBeLessThan(1e-12 * largest);
  });

  test.each([[[1, 1, 1, 1, 1, 1, 1, 1, 1]], [[4, 5]], [[2, 1, 6]], [[0, 8, 0, 1]]])('chunks of %j give the same numbers', (chunks) => {
    const model = llmReference(sizes, weight);
    const rows = chunks.flatMap((length) => [...model.forward(IDS.slice(model.position(), model.position() + length))]);
    expect(model.position()).toBe(IDS.length);
    expect(rows).toEqual([...logits]);
  });

  test('a later token changes no earlier row', () => {
    const changed = llmReference(sizes, weight).forward([...IDS.slice(0, -1), 2]);
    const row = sizes.vocabulary * (IDS.length - 1);
    expect(changed.subarray(0, row)).toEqual(logits.subarray(0, row));
    expect(changed.subarray(row)).not.toEqual(logits.subarray(row));
  });
});

test.each([false, true])('every weight matters: a change of any of them changes the logits (joined: %s)', (joined) => {
  const rope = joined ? { ...PLAIN.rope, original: 4 } : { ...PLAIN.rope, divisors: true };
  const sizes: LlmSizes = { ...PLAIN, biases: ['qBias', 'kBias', 'vBias'], qkNorms: true, postNorms: true, joined, rope };
  const weight = weightsOf(sizes);
  const asked = new Set<string>();
  const watched = (role: string): Float64Array => {
    asked.add(role);
    return weight(role);
  };
  const logits = llmReference(sizes, watched).forward(IDS);
  expect(asked.size).toBe(2 * (joined ? 13 : 16) + 4);
  for (const role of asked) {
    const other = llmReference(sizes, (own) => (own === role ? weight(own).map((one) => 1.5 * one + 0.25) : weight(own))).forward(IDS);
    expect(other, role).not.toEqual(logits);
  }
});

// --------------------------------------------------------------------------------------------------------------- operations

test('products, norms and gates, worked by hand', () => {
  expect([...multiply(Float64Array.of(1, 2, 3, 4), Float64Array.of(1, 0, 0, 1, 5, 6), 2)]).toEqual([1, 2, 17, 3, 4, 39]);
  const w = Float64Array.of(1, 10, 1, 1, 1, 1, 1, 4); // squares of the first row have the mean 4, those of the second 1
  expect([...rmsNorm(Float64Array.of(5, 2, 1, 1, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2), w, 0)]).toEqual([
    2.5, 10, 0.5, 0.5, 0.5, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 8,
  ]);
  expect([...rmsNorm(Float64Array.of(0, 0), Float64Array.of(1, 1), 4)]).toEqual([0, 0]);
  expect(rmsNorm(Float64Array.of(3, 4), Float64Array.of(1, 2), 2 ** 60)[1]).toBe(8 * 2 ** -30);
  expect([...glu(Float64Array.of(0, -1000, 1000), Float64Array.of(5, 5, 5))]).toEqual([0, -0, 5000]);
  expect(glu(Float64Array.of(Math.log(3)), Float64Array.of(4))[0]).toBeCloseTo(3 * Math.log(3), 14);
});

test('rotations: a quarter turn by hand, none at position 0, and numbers beyond w stay', () => {
  const heads = { heads: 1, headWidth: 6 };
  const rope = { kind: 'pairs', width: 4, base: 16, factor: 1 } as const; // pair 1 turns by 1/4 a position
  const x = Float64Array.of(1, 2, 3, 4, 5, 6);
  expect(rotate(x, heads, rope, { first: 0 })).toEqual(x);
  const quarter = { ...rope, factor: 2 / Math.PI }; // position 1 is a quarter turn of pair 0, and a sixteenth of pair 1
  const close = (y: Float64Array, expected: readonly number[]): void => {
    for (const [i, value] of y.entries()) expect(value).toBeCloseTo(expected[i]!, 14);
  };
  const [c, s] = [Math.cos(Math.PI / 8), Math.sin(Math.PI / 8)];
  close(rotate(x, heads, quarter, { first: 1 }), [-2, 1, 3 * c - 4 * s, 3 * s + 4 * c, 5, 6]);
  close(rotate(x, heads, { ...quarter, kind: 'halves' }, { first: 1 }), [-3, 2 * c - 4 * s, 1, 2 * s + 4 * c, 5, 6]);
  close(rotate(x, heads, quarter, { first: 1, divisors: Float64Array.of(1, 1 / 4) }), [-2, 1, -4, 3, 5, 6]);
});

test('divisors of LongRoPE are those of the room for positions', () => {
  const sizes: LlmSizes = { ...PLAIN, rope: { ...PLAIN.rope, original: 4 } };
  const weight = weightsOf(sizes);
  const logits = (context?: number, only = weight) => llmReference(sizes, only, { context }).forward(IDS);
  const without = (role: string) => (asked: string) => (asked === role ? expect.fail(`${role} was asked for`) : weight(asked));
  expect(logits(4, without('ropeLong'))).toEqual(logits());
  expect(logits(5, without('ropeShort'))).not.toEqual(logits());
});

test('an activation that there is none of is refused', () => {
  expect(() => llmReference({ ...PLAIN, activation: 'relu' }, weightsOf(PLAIN))).toThrow(
    'activation: expected silu or gelu_tanh or swiglu_oai, got relu',
  );
});

test('the product of rotated heads depends on the distance of their positions', () => {
  const rope = { kind: 'halves', width: 64, base: 10_000, factor: 1 } as const;
  const draw = drawOf('heads');
  const [q, k] = [0, 1].map(() => Float64Array.from({ length: 64 }, draw.normal)) as [Float64Array, Float64Array];
  const at = (x: Float64Array, first: number): number[] => [...rotate(x, { heads: 1, headWidth: 64 }, rope, { first })];
  expect(dot(at(q, 30_007), at(k, 30_000))).toBeCloseTo(dot(at(q, 7), at(k, 0)), 9);
  expect(Math.abs(dot(at(q, 8), at(k, 0)) - dot(at(q, 7), at(k, 0)))).toBeGreaterThan(0.1);
});

test('attention: equal scores give the mean of the values that a query sees, and a group of heads shares keys', () => {
  const heads = { heads: 4, kvHeads: 2, headWidth: 1 };
  const values = Float64Array.of(1, 10, 2, 20, 6, 60, 7, 70);
  const keys = new Float64Array(8);
  const means = attend(Float64Array.of(9, 9, 9, 9, 9, 9, 9, 9), { keys, values }, heads, { first: 2 }); // positions 2 and 3
  expect([...means]).toEqual([3, 3, 30, 30, 4, 4, 40, 40]);
  const windowed = attend(new Float64Array(8), { keys, values }, heads, { first: 2, window: 2 });
  expect([...windowed]).toEqual([4, 4, 40, 40, 6.5, 6.5, 65, 65]);
  // A cap bends scores: e^2 to 1 becomes e^(cap tanh(2 / cap)) to 1.
  const [bent] = attend(
    Float64Array.of(1),
    { keys: Float64Array.of(2, 0), values: Float64Array.of(1, 0) },
    { heads: 1, kvHeads: 1, headWidth: 1 },
    { first: 1, scale: 1, cap: 1 },
  );
  expect(bent).toBeCloseTo(1 / (1 + Math.exp(-Math.tanh(2))), 14);
  // A score that is far above the others takes all, and nothing overflows.
  const sharp = attend(
    Float64Array.of(1e3, 1e3, 0, -1e3),
    { keys: Float64Array.of(0, 0, 1, 1, 2, 2), values: values.subarray(0, 6) },
    heads,
    { first: 2 },
  );
  expect([...sharp]).toEqual([6, 6, 30, 10]);
});

// ------------------------------------------------------------------------------------------------------------------ options

test('keys and values are rounded as they go into the cache, and nothing else is', () => {
  const weight = weightsOf(PLAIN);
  const half = (value: number): number => roundTo(value, 'float16');
  const [plain, rounded] = [llmReference(PLAIN, weight), llmReference(PLAIN, weight, { roundCache: half })];
  const [a, b] = [plain.forward(IDS), rounded.forward(IDS)];
  expect(rounded.cache).toHaveLength(2);
  for (const part of ['keys', 'values'] as const) {
    expect(rounded.cache[0]![part]).toHaveLength(IDS.length * 2 * 4);
    expect(rounded.cache[0]![part]).toEqual(plain.cache[0]![part].map(half)); // what goes into layer 0 is not rounded yet
    expect(rounded.cache[1]![part]).toEqual(rounded.cache[1]![part].map(half));
    expect(plain.cache[1]![part]).not.toEqual(plain.cache[1]![part].map(half));
  }
  const moved = Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
  expect(moved).toBeGreaterThan(1e-6);
  expect(moved).toBeLessThan(0.1);
});

test('what a product reads can be rounded: rows of K numbers by the role of the weight', () => {
  const weight = weightsOf(PLAIN);
  const seen: [string, number, number][] = [];
  const roundInput = (x: Float64Array, k: number, role: string): Float64Array => {
    seen.push([role, k, x.length]);
    return role === 'head' ? x.map((value) => 2 * value) : x;
  };
  const logits = llmReference({ ...PLAIN, layers: 1 }, weight, { roundInput }).forward([1, 2, 3]);
  expect(logits).toEqual(
    llmReference({ ...PLAIN, layers: 1 }, weight)
      .forward([1, 2, 3])
      .map((value) => 2 * value),
  );
  expect(seen).toEqual([
    ['q.0', 6, 18],
    ['k.0', 6, 18],
    ['v.0', 6, 18],
    ['o.0', 16, 48],
    ['gate.0', 6, 18],
    ['up.0', 6, 18],
    ['down.0', 10, 30],
    ['head', 6, 18],
  ]);
});

test('ids outside of the vocabulary and weights of another length are refused, and nothing is taken', () => {
  const weight = weightsOf(PLAIN);
  const model = llmReference(PLAIN, weight);
  for (const id of [-1, 11, 1.5, Number.NaN])
    expect(() => model.forward([3, id])).toThrow(new ArgumentError('ids[1]', 'a whole number from 0 to 10', String(id)));
  expect(model.position()).toBe(0);
  expect(model.forward([])).toHaveLength(0);
  expect(model.forward(IDS)).toEqual(llmReference(PLAIN, weight).forward(IDS));
  const short = llmReference(PLAIN, (role) => (role === 'up.1' ? weight(role).subarray(1) : weight(role)));
  expect(() => short.forward([1])).toThrow(new ArgumentError('weight(up.1)', '60 numbers', '59'));
});
