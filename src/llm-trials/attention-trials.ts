// Trials of attention: of one token, of splits that are joined, of rows of a prompt. Pure.
import { attendDispatches, attendRowsDispatch, type Heads, paddedWidth, ropeDispatch } from '../llm-kernels/attention.js';
import type { Caps } from '../problem/caps.js';
import { attend, capped, rmsNorm, rotate } from '../reference/llm.js';
import type { Params } from '../wgsl/preprocess.js';
import { cacheOf, held, paddedPlace, wantedOf } from './cache-contents.js';
import { type Buffer, EPSILON, floatsOf, type LlmTrial, NEAR_CODES, noise, poison, trial, untouched, type Wanted } from './trial.js';

/** Positions that are in the cache, and that a row of 256 more angles turns: all go beyond what the table of low angles has. */
const [FILLED, CAPACITY, HIGH] = [5, 12, 768];

/** Rows meet so many positions, fewer than there are, and their scores end at a cap: both are uniforms, which no variant is without. */
const [WINDOW, CAP] = [4, 1.5];
const MEETS = { first: FILLED, window: WINDOW, cap: CAP };

/** Heads of a layer that a variant's params are of. */
function headsOf({ E, KV, ROPE, NORM, PAD, SINKS }: Params, group: number): Heads {
  const width = PAD === 1 ? E! - 2 : E!;
  const pairs = width / 2;
  return {
    ...{ heads: 2 * group, kvHeads: 2, width, rope: ROPE === 1 ? 'halves' : 'pairs', capacity: CAPACITY },
    kv: (['f32', 'f16', 'q8'] as const)[KV!]!,
    ...{ normEpsilon: NORM === 1 ? EPSILON : undefined, window: WINDOW, cap: CAP, sinks: SINKS === 1 },
    angles: { low: 0, high: CAPACITY * pairs },
  };
}
/** Angles of the positions that a trial has, behind them those of one row of 256. */
function anglesOf({ width }: Heads): Buffer {
  const pairs = width / 2;
  const turns = [...Array(CAPACITY).keys(), HIGH].flatMap((position) =>
    Array.from({ length: pairs }, (_, i) => position * BASE ** ((-2 * i) / width)),
  );
  return floatsOf(turns.flatMap((angle) => [Math.cos(angle), Math.sin(angle)]));
}
const BASE = 10_000;

/** Rows of q or k after their norm and their turn. @param first position of the first */
function turned({ width, rope, normEpsilon }: Heads, x: Float64Array, [count, first]: readonly [number, number], norm: Float64Array) {
  const normed = normEpsilon === undefined ? x : rmsNorm(x, norm, normEpsilon);
  return rotate(normed, { heads: count, headWidth: width }, { kind: rope, width, base: BASE, factor: 1 }, { first: HIGH + first });
}

/** What kernels of attention meet: rows of q, k and v, the cache before, and all of them in the cache after. */
function layer(heads: Heads, rows: number) {
  const { heads: h, kvHeads, width, kv } = heads;
  const [q, k, v] = [h, kvHeads, kvHeads].map((count, i) => noise(i, rows * count * width)) as [Float64Array, Float64Array, Float64Array];
  const norms = noise(5, 2 * width).map((value) => 1 + value / 8);
  const old = { k: noise(3, FILLED * kvHeads * width), v: noise(4, FILLED * kvHeads * width) };
  const fresh = { k: turned(heads, k, [kvHeads, FILLED], norms.subarray(width)), v };
  return {
    ...{ q, k, v, norms, old },
    turnedQ: turned(heads, q, [h, FILLED], norms.subarray(0, width)),
    /** With k and v as a cache holds them. */
    keys: Float64Array.from([...held(heads, old.k), ...held(heads, fresh.k)]),
    values: Float64Array.from([...held(heads, old.v), ...held(heads, fresh.v)]),
    caches: { k_cache: cacheOf(heads, 'k', old.k), v_cache: cacheOf(heads, 'v', old.v) },
    /** What k and v of these rows make of the cache. */
    wanted: {
      k_cache: wantedOf(heads, 'k', Float64Array.from([...untouched(old.k.length), ...fresh.k])),
      v_cache: wantedOf(heads, 'v', Float64Array.from([...untouched(old.v.length), ...fresh.v])),
      ...(kv === 'f16' && { clamped: { of: 'u32', values: Float64Array.of(7) } }),
    } satisfies Readonly<Record<string, Wanted>>,
    extras: {
      angles: anglesOf(heads),
      ...(heads.normEpsilon !== undefined && { norms: floatsOf(norms) }),
      ...(kv === 'f16' && { clamped: Uint32Array.of(7) }),
    },
  };
}

/** Sinks of heads, below and above their scores; none without. */
const sinksOf = ({ heads, sinks }: Heads): Float64Array | undefined => (sinks ? noise(6, heads) : undefined);
const givenSinks = (heads: Heads) => (heads.sinks ? { sinks: floatsOf(sinksOf(heads)!) } : {});

/** Sums over codes, each of which may be the next one. */
const near = ({ kv }: Heads): Pick<Wanted, 'near'> => (kv === 'q8' ? { near: NEAR_CODES.att } : {});

/** One token, alone or with its positions in two splits. */
export function ofToken(params: Params): LlmTrial {
  const software = params.LANES === 64;
  const heads = headsOf(params, software ? params.QUERIES! : 2);
  const { heads: h, kvHeads, width } = heads;
  const splits = params.SPLIT === 1 ? 2 : 1;
  const [dispatch] = attendDispatches(heads, { software, positions: CAPACITY, splits });
  const { q, k, v, turnedQ, keys, values, caches, wanted, extras } = layer(heads, 1);
  const result =
    splits === 1
      ? {
          att: {
            of: 'f32',
            values: attend(turnedQ, { keys, values }, { heads: h, kvHeads, headWidth: width }, { ...MEETS, sinks: sinksOf(heads) }),
            ...near(heads),
          } as const,
        }
      : { parts: { of: 'f32', values: partsOf(heads, turnedQ, { keys, values, splits }), ...near(heads) } as const };
  return trial(
    dispatch!,
    { running: 1, position: FILLED, rows: 1 },
    {
      given: {
        ...{ qkv: floatsOf([...q, ...k, ...v]), ...caches, ...extras, ...givenSinks(heads) },
        ...Object.fromEntries(Object.entries(result).map(([name, { values }]) => [name, poison(4 * values.length)])),
      },
      wanted: { ...wanted, ...result },
    },
  );
}

/** Sums of values, of weights, and the top of each head, for each split of the positions. */
function partsOf(
  of: Heads,
  q: Float64Array,
  { keys, values, splits }: { readonly keys: Float64Array; readonly values: Float64Array; readonly splits: number },
): Float64Array {
  const { heads, kvHeads, width } = of;
  const { padded } = paddedWidth(of);
  const length = keys.length / (kvHeads * width);
  const begin = Math.max(0, length - WINDOW);
  const span = Math.ceil((length - begin) / splits);
  const out: number[] = [];
  for (let split = 0; split < splits; split++)
    for (let head = 0; head < heads; head++) {
      const at = Math.floor(head / (heads / kvHeads)) * width;
      const positions = Array.from(
        { length: Math.min(span, length - begin - split * span) },
        (_, i) => (begin + split * span + i) * kvHeads * width + at,
      );
      const scores = positions.map((place) => {
        let sum = 0;
        for (let i = 0; i < width; i++) sum += q[head * width + i]! * keys[place + i]!;
        return capped(sum / Math.sqrt(width), CAP);
      });
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      for (let i = 0; i < width; i++) out.push(positions.reduce((sum, place, t) => sum + weights[t]! * values[place + i]!, 0));
      for (let i = width; i < padded; i++) out.push(0);
      out.push(
        weights.reduce((a, b) => a + b, 0),
        top,
      );
    }
  return Float64Array.from(out);
}

/** Parts of three splits, of which the last has no position. */
export function ofJoin({ E, SINKS }: Params): LlmTrial {
  const [heads, splits, pitch] = [2, 3, E! + 2];
  const parts = noise(1, splits * heads * pitch).map((value, i) => (i % pitch === E! ? 3 + value : value));
  const heads1: Heads = { heads, kvHeads: 1, width: E!, kv: 'f32', rope: 'pairs', capacity: CAPACITY, sinks: SINKS === 1 };
  const dispatch = attendDispatches(heads1, { software: true, positions: CAPACITY, splits })[1]!;
  const position = 3; // four keys: two a split
  const at = (split: number, head: number, i: number): number => parts[(split * heads + head) * pitch + i]!;
  const att = Array.from({ length: heads * E! }, (_, i) => {
    const head = Math.floor(i / E!);
    const shrink = [0, 1].map((split) => Math.exp(at(split, head, E! + 1)));
    const sum = (of: number): number => shrink[0]! * at(0, head, of) + shrink[1]! * at(1, head, of);
    const sink = sinksOf(heads1)?.[head];
    return sum(i % E!) / (sum(E!) + (sink === undefined ? 0 : Math.exp(sink)));
  });
  return trial(
    dispatch,
    { running: 1, position, rows: 1 },
    {
      given: { parts: floatsOf(parts), att: poison(4 * att.length), ...givenSinks(heads1) },
      wanted: { att: { of: 'f32', values: Float64Array.from(att) } },
    },
  );
}

/** Rows of a prompt: so many, and one more that is padding. */
const ROWS = 5;

export function ofRopeRows(params: Params, caps: Caps): LlmTrial {
  const heads = headsOf(params, 2);
  const { heads: h, width } = heads;
  const apart = ROWS + 1;
  const { q, k, v, turnedQ, caches, wanted, extras } = layer(heads, ROWS);
  const room = (values: Float64Array): Float64Array =>
    Float64Array.from({ length: (values.length / ROWS) * apart }, (_, i) => values[i] ?? 1);
  const { padded } = paddedWidth(heads);
  const scaled = new Float64Array(ROWS * h * padded);
  turnedQ.forEach((value, at) => {
    scaled[Math.floor(at / width) * padded + paddedPlace(heads, 'k', at % width)] = value / Math.sqrt(width);
  });
  return trial(
    ropeDispatch(heads, { rows: apart, caps, apart }),
    { running: 1, position: FILLED, rows: ROWS },
    {
      given: { qkv: floatsOf([...room(q), ...room(k), ...room(v)]), q: poison(4 * apart * h * padded), ...caches, ...extras },
      wanted: { ...wanted, q: { of: 'f32', values: Float64Array.from([...scaled, ...untouched(h * padded)]) } },
    },
  );
}

export function ofAttendRows(params: Params): LlmTrial {
  const heads = headsOf({ ...params, ROPE: 0, NORM: 0 }, 2);
  const { heads: h, kvHeads, width } = heads;
  const { q, keys, values } = layer(heads, ROWS);
  const att = attend(
    q.map((value) => value * Math.sqrt(width)),
    { keys, values },
    { heads: h, kvHeads, headWidth: width },
    { ...MEETS, sinks: sinksOf(heads) },
  );
  return trial(
    attendRowsDispatch(heads, { rows: ROWS + 1 }),
    { running: 1, position: FILLED, rows: ROWS },
    {
      given: {
        q: floatsOf([...q, ...noise(9, h * width)]),
        ...{
          k_cache: cacheOf(heads, 'k', keys),
          v_cache: cacheOf(heads, 'v', values),
          att: poison(4 * (att.length + h * width)),
          ...givenSinks(heads),
        },
      },
      wanted: { att: { of: 'f32', values: Float64Array.from([...att, ...untouched(h * width)]), ...near(heads) } },
    },
  );
}
