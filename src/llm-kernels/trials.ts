// The self-test of the kernels of shaders/llm as data: for each variant a small case whose numbers are known, and the judgement of what it
// left. A variant that gives wrong numbers on a device then ends in an error, and not in a text that is wrong. Pure.
import { decode16, encode16, roundTo } from '../dtype.js';
import { variantId } from '../kernels/kernel.js';
import type { Caps } from '../problem/caps.js';
import { sortedPairs } from '../problem/experts.js';
import { attend, glu, multiply, rmsNorm, rotate, routed } from '../reference/llm.js';
import type { Params } from '../wgsl/preprocess.js';
import { attendDispatches, attendRowsDispatch, cacheBytes, type Heads, paddedWidth, ropeDispatch } from './attention.js';
import { capDispatch } from './cap.js';
import { gluDispatch } from './glu.js';
import { hashOf } from './noise.js';
import { CANDIDATES, candidatesDispatch, FLAGS, MOST_CANDIDATES, pickDispatch, STATE, stateBytes } from './pick.js';
import { normAddDispatch, rmsDispatch, routeDispatch } from './rms.js';
import { adjusted, choiceOf } from './sampling.js';
import { type LlmDispatch, type Step, stepWords } from './shaders.js';

type Buffer = Uint32Array<ArrayBuffer>;
/** What a buffer is to hold, number by number; NaN: what it held before, in every bit. */
interface Wanted {
  /** q8: codes, and behind them their factors as f32. */
  readonly of: 'f32' | 'f16' | 'u32' | 'q8';
  readonly values: Float64Array;
  /** How many of the numbers are codes of q8. */
  readonly codes?: number;
  /** How near to 1 + |value|, instead of NEAR. */
  readonly near?: number;
}

/** A case of a variant. */
export interface LlmTrial {
  readonly variant: string;
  readonly dispatch: LlmDispatch;
  /** The contents of each buffer but `params`, by name; what is written is full of poison. */
  readonly given: Readonly<Record<string, Buffer>>;
  /** Of the buffers that are written. */
  readonly wanted: Readonly<Record<string, Wanted>>;
}

/** Where a variant failed, as reports of self-tests say it. */
export interface LlmFault {
  readonly where: string;
  readonly expected: string;
  readonly got: string;
}

/** As floats NaN, as halves one NaN of two. */
const POISON = 0x7fc0dead;
/** Relative to 1 + |value|: sums here are short, and what a wrong kernel makes is far off. Of halves their own rounding comes to it. */
const NEAR = { f32: 1e-4, f16: 1e-4 + 2 ** -11, u32: 0, q8: 1e-4 } as const;
/** A quotient next to a half may become either code, and attention's sums then differ by so much. */
const NEAR_CODES = { code: 1, att: 2e-2 } as const;

/** The case of a variant; undefined for a shader or a param that has none here. */
export function trialOf({ shader, params }: Pick<LlmDispatch, 'shader' | 'params'>, caps: Caps): LlmTrial | undefined {
  const made = MAKERS[shader.name]?.(params, caps);
  return made?.variant === variantId(shader.name, params) ? made : undefined;
}

/** The first fault of what a trial left in a buffer. */
export function judgeTrial({ given, wanted }: LlmTrial, name: string, left: Buffer): LlmFault | undefined {
  const { of, values, codes = 0, near = NEAR[of] } = wanted[name]!;
  const [got, before] = [numbersOf(left, of, codes), numbersOf(given[name]!, of, codes)];
  const [bits, bitsBefore] = [bitsOf(left, of, codes), bitsOf(given[name]!, of, codes)];
  for (let i = 0; i < got.length; i++) {
    const value = values[i]!;
    const where = `${name}[${i}]`;
    if (Number.isNaN(value)) {
      if (bits[i] !== bitsBefore[i]) return { where, expected: `${before[i]} as before`, got: String(got[i]) };
    } else if (!(Math.abs(got[i]! - value) <= (i < codes ? NEAR_CODES.code : near * (1 + Math.abs(value))))) {
      return { where, expected: String(value), got: String(got[i]) };
    }
  }
  return undefined;
}

function numbersOf(words: Buffer, of: Wanted['of'], codes: number): ArrayLike<number> {
  if (of === 'q8') return [...new Int8Array(words.buffer, 0, codes), ...new Float32Array(words.buffer, codes)];
  return of === 'u32' ? words : of === 'f32' ? new Float32Array(words.buffer) : decode16(new Uint16Array(words.buffer), 'float16');
}
const bitsOf = (words: Buffer, of: Wanted['of'], codes: number): ArrayLike<number> =>
  of === 'q8'
    ? [...new Uint8Array(words.buffer, 0, codes), ...words.subarray(codes / 4)]
    : of === 'f16'
      ? new Uint16Array(words.buffer)
      : words;

// --------------------------------------------------------------------------------------------------------------- contents

const poison = (bytes: number): Buffer => new Uint32Array(bytes / 4).fill(POISON);
const floatsOf = (values: ArrayLike<number>): Buffer => new Uint32Array(Float32Array.from(values).buffer);
/** Eighths from -2 to 2, which look like noise; a half holds each. */
const noise = (salt: number, length: number): Float64Array => Float64Array.from({ length }, (_, i) => ((hashOf(salt, i, 7) % 33) - 16) / 8);
const untouched = (length: number): Float64Array => new Float64Array(length).fill(NaN);

/** Where element i of a head is in its padded form. Keys whose halves turn have both halves of pairs in whole quads. */
function paddedPlace({ width, rope }: Heads, what: 'k' | 'v', i: number): number {
  const half = width / 2;
  return what === 'v' || rope === 'pairs' || i < half ? i : i + 4 * Math.ceil(half / 4) - half;
}

/**
 * Keys and values by position and head of the cache, (P, V·e), in the layout of a cache; 0 is what pads.
 * @param rows as many as the positions that it holds; NaN: those are not to be there
 */
function laidOut(heads: Heads, what: 'k' | 'v', rows: Float64Array): Float64Array {
  const { kvHeads, width, capacity } = heads;
  const { padded } = paddedWidth(heads);
  const out = untouched(kvHeads * padded * capacity);
  const pitch = kvHeads * width;
  for (let position = 0; position < rows.length / pitch; position++)
    for (let head = 0; head < kvHeads; head++) {
      const row = rows.subarray(position * pitch + head * width, position * pitch + (head + 1) * width);
      if (Number.isNaN(row[0])) continue;
      const place = (i: number): number =>
        what === 'k' ? 4 * (((head * padded) / 4 + (i >> 2)) * capacity + position) + (i & 3) : (head * capacity + position) * padded + i;
      for (let i = 0; i < padded; i++) out[place(i)] = 0;
      for (let i = 0; i < width; i++) out[place(paddedPlace(heads, what, i))] = row[i]!;
    }
  return out;
}

/** The factor of a head of a position, as a cache of int8 has it. */
const factorOf = (row: Float64Array): number => Math.fround(Math.max(...row.map(Math.abs)) / 127);
/** Rows as a cache holds them. */
function held({ kv, width }: Heads, rows: Float64Array): Float64Array {
  if (kv === 'f16') return rows.map((value) => roundTo(value, 'float16'));
  if (kv === 'f32') return rows;
  return rows.map((value, at) => {
    const begin = at - (at % width);
    const factor = factorOf(rows.subarray(begin, begin + width));
    return Math.round(value / factor) * factor;
  });
}
/** Codes of rows, laid out, and their factors behind them. */
function codesOf(heads: Heads, what: 'k' | 'v', rows: Float64Array): { readonly codes: number; readonly values: Float64Array } {
  const { kvHeads, width, capacity } = heads;
  const factors = untouched(kvHeads * capacity);
  const codes = rows.map((value, at) => {
    const begin = at - (at % width);
    const factor = factorOf(rows.subarray(begin, begin + width));
    const [position, head] = [Math.floor(begin / (kvHeads * width)), (begin / width) % kvHeads];
    factors[head * capacity + position] = factor;
    return Math.round(value / factor);
  });
  const laid = laidOut(heads, what, codes);
  return { codes: laid.length, values: Float64Array.from([...laid, ...factors]) };
}
/** What rows are to make of a cache. */
function wantedOf(heads: Heads, what: 'k' | 'v', rows: Float64Array): Wanted {
  return heads.kv === 'q8' ? { of: 'q8', ...codesOf(heads, what, rows) } : { of: heads.kv, values: laidOut(heads, what, rows) };
}

/** A cache with those rows, and poison elsewhere. */
function cacheOf(heads: Heads, what: 'k' | 'v', rows: Float64Array): Buffer {
  const out = poison(cacheBytes(heads));
  if (heads.kv === 'q8') {
    const { codes, values } = codesOf(heads, what, rows);
    const [bytes, factors] = [new Int8Array(out.buffer, 0, codes), new Float32Array(out.buffer, codes)];
    values.forEach((value, i) => {
      if (Number.isNaN(value)) return;
      if (i < codes) bytes[i] = value;
      else factors[i - codes] = value;
    });
    return out;
  }
  const values = laidOut(heads, what, rows);
  const halves = new Uint16Array(out.buffer);
  const floats = new Float32Array(out.buffer);
  const bits = encode16(Float32Array.from(values), 'float16');
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    if (heads.kv === 'f16') halves[i] = bits[i]!;
    else floats[i] = values[i]!;
  }
  return out;
}

// ------------------------------------------------------------------------------------------------------------- attention

const EPSILON = 2 ** -10;
/** Positions that are in the cache, and that a row of 256 more angles turns: all go beyond what the table of low angles has. */
const [FILLED, CAPACITY, HIGH] = [5, 12, 768];

/** Heads of a layer that a variant's params are of. */
function headsOf({ E, KV, ROPE, NORM, PAD }: Params, group: number): Heads {
  const width = PAD === 1 ? E! - 2 : E!;
  const pairs = width / 2;
  return {
    ...{ heads: 2 * group, kvHeads: 2, width, rope: ROPE === 1 ? 'halves' : 'pairs', capacity: CAPACITY },
    kv: (['f32', 'f16', 'q8'] as const)[KV!]!,
    normEpsilon: NORM === 1 ? EPSILON : undefined,
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

const trial = (
  dispatch: LlmDispatch,
  now: Step,
  { given, wanted }: { readonly given: Readonly<Record<string, Buffer>>; readonly wanted: Readonly<Record<string, Wanted>> },
): LlmTrial => ({ variant: variantId(dispatch.shader.name, dispatch.params), dispatch, given: { now: stepWords(now), ...given }, wanted });

/** Sums over codes, each of which may be the next one. */
const near = ({ kv }: Heads): Pick<Wanted, 'near'> => (kv === 'q8' ? { near: NEAR_CODES.att } : {});

/** One token, alone or with its positions in two splits. */
function ofToken(params: Params): LlmTrial {
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
            values: attend(turnedQ, { keys, values }, { heads: h, kvHeads, headWidth: width }, { first: FILLED }),
            ...near(heads),
          } as const,
        }
      : { parts: { of: 'f32', values: partsOf(heads, turnedQ, { keys, values, splits }), ...near(heads) } as const };
  return trial(
    dispatch!,
    { running: 1, position: FILLED, rows: 1 },
    {
      given: {
        ...{ qkv: floatsOf([...q, ...k, ...v]), ...caches, ...extras },
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
  const span = Math.ceil(length / splits);
  const out: number[] = [];
  for (let split = 0; split < splits; split++)
    for (let head = 0; head < heads; head++) {
      const at = Math.floor(head / (heads / kvHeads)) * width;
      const positions = Array.from({ length: Math.min(span, length - split * span) }, (_, i) => (split * span + i) * kvHeads * width + at);
      const scores = positions.map((place) => {
        let sum = 0;
        for (let i = 0; i < width; i++) sum += q[head * width + i]! * keys[place + i]!;
        return sum / Math.sqrt(width);
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
function ofJoin({ E }: Params): LlmTrial {
  const [heads, splits, pitch] = [2, 3, E! + 2];
  const parts = noise(1, splits * heads * pitch).map((value, i) => (i % pitch === E! ? 3 + value : value));
  const heads1: Heads = { heads, kvHeads: 1, width: E!, kv: 'f32', rope: 'pairs', capacity: CAPACITY };
  const dispatch = attendDispatches(heads1, { software: true, positions: CAPACITY, splits })[1]!;
  const position = 3; // four keys: two a split
  const at = (split: number, head: number, i: number): number => parts[(split * heads + head) * pitch + i]!;
  const att = Array.from({ length: heads * E! }, (_, i) => {
    const head = Math.floor(i / E!);
    const shrink = [0, 1].map((split) => Math.exp(at(split, head, E! + 1)));
    const sum = (of: number): number => shrink[0]! * at(0, head, of) + shrink[1]! * at(1, head, of);
    return sum(i % E!) / sum(E!);
  });
  return trial(
    dispatch,
    { running: 1, position, rows: 1 },
    {
      given: { parts: floatsOf(parts), att: poison(4 * att.length) },
      wanted: { att: { of: 'f32', values: Float64Array.from(att) } },
    },
  );
}

/** Rows of a prompt: so many, and one more that is padding. */
const ROWS = 5;

function ofRopeRows(params: Params, caps: Caps): LlmTrial {
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

function ofAttendRows(params: Params): LlmTrial {
  const heads = headsOf({ ...params, ROPE: 0, NORM: 0 }, 2);
  const { heads: h, kvHeads, width } = heads;
  const { q, keys, values } = layer(heads, ROWS);
  const att = attend(
    q.map((value) => value * Math.sqrt(width)),
    { keys, values },
    { heads: h, kvHeads, headWidth: width },
    { first: FILLED },
  );
  return trial(
    attendRowsDispatch(heads, { rows: ROWS + 1 }),
    { running: 1, position: FILLED, rows: ROWS },
    {
      given: {
        q: floatsOf([...q, ...noise(9, h * width)]),
        ...{ k_cache: cacheOf(heads, 'k', keys), v_cache: cacheOf(heads, 'v', values), att: poison(4 * (att.length + h * width)) },
      },
      wanted: { att: { of: 'f32', values: Float64Array.from([...att, ...untouched(h * width)]), ...near(heads) } },
    },
  );
}

// ------------------------------------------------------------------------------------------------------ norms, and the choice

function ofRms(): LlmTrial {
  const [rows, width] = [3, 264]; // more quads than lanes, and no whole number of them
  const [x, weight] = [noise(1, rows * width), noise(2, width)];
  const y = rmsNorm(x, weight, EPSILON);
  y.fill(NaN, (rows - 1) * width);
  return trial(
    rmsDispatch({ rows, width, epsilon: EPSILON }),
    { running: 1, position: 0, rows: rows - 1 },
    {
      given: { x: floatsOf(x), weight: floatsOf(weight), y: poison(4 * rows * width) },
      wanted: { y: { of: 'f32', values: y } },
    },
  );
}

function ofNormAdd(): LlmTrial {
  const [rows, width, scale] = [3, 264, 0.5];
  const [h, x, weight, next] = [1, 2, 3, 4].map((salt) => noise(salt, salt < 3 ? rows * width : width)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const normed = rmsNorm(h, weight, EPSILON);
  const sum = x.map((value, i) => scale * value + normed[i]!);
  const again = rmsNorm(sum, next, EPSILON);
  for (const values of [sum, again]) values.fill(NaN, (rows - 1) * width);
  return trial(
    normAddDispatch({ rows, width, epsilon: EPSILON, scale }),
    { running: 1, position: 0, rows: rows - 1 },
    {
      given: { h: floatsOf(h), x: floatsOf(x), weight: floatsOf(weight), next: floatsOf(next) },
      wanted: { x: { of: 'f32', values: sum }, h: { of: 'f32', values: again } },
    },
  );
}

function ofGlu(): LlmTrial {
  const [rows, width] = [3, 70]; // more than lanes, and no whole number of them
  const [gate, up] = [noise(1, rows * width), noise(2, rows * width)];
  const act = glu(gate, up);
  act.fill(NaN, (rows - 1) * width);
  return trial(
    gluDispatch({ rows, width, glu: 'silu' }),
    { running: 1, position: 0, rows: rows - 1 },
    { given: { act: floatsOf(gate), up: floatsOf(up) }, wanted: { act: { of: 'f32', values: act } } },
  );
}

/** Two rows and a padded one, or one row whose pairs are sorted; more experts than groups of four. */
function ofRoute({ SORTED }: Params): LlmTrial {
  const [width, count, top, scale] = [264, 13, 3, 1.5];
  const sorted = SORTED === 1;
  const [rows, valid] = sorted ? [1, 1] : [3, 2];
  const [x, weight, router] = [noise(1, rows * width), noise(2, width), noise(3, count * width)];
  const h = rmsNorm(x, weight, EPSILON);
  const chosen = Array.from({ length: valid }, (_, row) =>
    routed(multiply(h.subarray(row * width, (row + 1) * width), router.map(inSixteenths), width), { top, scale }),
  ).flat();
  h.fill(NaN, valid * width);
  const padding = new Array<number>((rows - valid) * top);
  const ids = [...chosen.map(({ id }) => id), ...padding.fill(2 ** 32 - 1)];
  const weights = [...chosen.map((one) => one.weight), ...padding.fill(0)];
  const pairs = Float64Array.from(sortedPairs(ids.slice(0, top), count));
  pairs.fill(NaN, 4 * (count + 2), 5 * (count + 2)); // a list of sort-pairs'
  return trial(
    routeDispatch({ count, top, scale }, { rows, width, epsilon: EPSILON, sorted }),
    { running: 1, position: 0, rows: valid },
    {
      given: {
        ...{ x: floatsOf(x), weight: floatsOf(weight), router: floatsOf(router.map(inSixteenths)) },
        ...{ h: poison(4 * rows * width), weights: poison(4 * rows * top) },
        ...(sorted ? { sorted: poison(4 * pairs.length) } : { ids: poison(4 * rows * top) }),
      },
      wanted: {
        h: { of: 'f32', values: h },
        weights: { of: 'f32', values: Float64Array.from(weights) },
        ...(sorted ? { sorted: { of: 'u32', values: pairs } } : { ids: { of: 'u32', values: Float64Array.from(ids) } }),
      },
    },
  );
}
/** So that weights are no zeros. */
const inSixteenths = (value: number): number => value / 16;

function ofCap(_: Params, caps: Caps): LlmTrial {
  const [vocabulary, cap] = [271, 1.5]; // more quads than lanes, and no whole number of them
  const z = noise(1, 4 * Math.ceil(vocabulary / 4));
  return trial(
    capDispatch({ vocabulary, cap }, caps),
    { running: 1, position: 0, rows: 1 },
    { given: { z: floatsOf(z) }, wanted: { z: { of: 'f32', values: z.map((value) => cap * Math.tanh(value / cap)) } } },
  );
}

/** A vocabulary of no whole quads whose padding is larger than all words; two of them are as large. */
function ofPick({ NOISE, LOGITS, ADJUST, CUT }: Params): LlmTrial {
  const [vocabulary, context, position, count] = [VOCABULARY, 16, 5, 3];
  const { logits, adjusting, counts } = wordsOf(ADJUST);
  const cut = CUT === 1 ? { topK: 90, topP: 0.75, minP: 0.01 } : {};
  const how = { ...{ vocabulary, context, limit: 9, seed: 4, temperature: NOISE === 1 ? 1.5 : 0 }, adjusting, ...cut };
  const id = choiceOf(logits.subarray(0, vocabulary), { ...how, ...adjusting, counts, position: position + 1 })!;
  const stops = [2, id];
  const state = poison(stateBytes(context));
  state[STATE.count] = count;
  const after = untouched(state.length);
  const words: readonly (readonly [number, number])[] = [
    [STATE.count, count + 1],
    [STATE.flags, FLAGS.stopped],
    [STATE.id, id],
    [STATE.ring + count, id],
    [STATE.list + position + 1, id],
  ];
  for (const [at, value] of words) after[at] = value;
  const dispatch = pickDispatch({ ...how, stops }, LOGITS === 1 ? 'logits' : 'best');
  return trial(
    dispatch,
    { running: 1, position, rows: 1 },
    {
      given: {
        ...{ state, ...(LOGITS === 1 ? { logits: floatsOf(logits) } : { best: bestOf(logits, vocabulary) }) },
        ...(adjusting && { bias: floatsOf(adjusting.bias), counts: Uint32Array.from(counts) }),
      },
      wanted: {
        state: { of: 'u32', values: after },
        now: { of: 'u32', values: Float64Array.of(0, position + 1, 1) },
        ...(adjusting && { counts: { of: 'u32', values: Float64Array.from(counts, (times, at) => times + (at === id ? 1 : 0)) } }),
      },
    },
  );
}

const VOCABULARY = 1003;
/** Logits, of which two are the largest and as large, but for those of padding; and what changes them. */
function wordsOf(adjust: number | undefined) {
  const logits = noise(1, 1004);
  for (const [at, value] of [
    [700, 3],
    [901, 3],
    [VOCABULARY, 99],
  ] as const)
    logits[at] = value;
  const bias = Float32Array.from(noise(2, 1004));
  bias[700] = -Infinity; // a ban
  const counts = Uint32Array.from({ length: 1004 }, (_, i) => (i % 5 === 0 && i < VOCABULARY ? 2 : 0));
  const adjusting = { bias, repetitionPenalty: 1.25, presencePenalty: 0.5, frequencyPenalty: 0.25 };
  return { logits, counts, adjusting: adjust === 1 ? adjusting : undefined };
}

/** The largest logits: those above the last first, by id, and of those that are as large the lowest ids. */
function ofCandidates({ ADJUST }: Params): LlmTrial {
  const { logits, adjusting, counts } = wordsOf(ADJUST);
  const words = adjusted(logits.subarray(0, VOCABULARY), adjusting ?? {}, adjusting && counts);
  const ids = [...words.keys()].sort((a, b) => words[b]! - words[a]! || a - b).slice(0, MOST_CANDIDATES);
  const last = words[ids.at(-1)!]!;
  const inOrder = [ids.filter((id) => words[id]! > last), ids.filter((id) => words[id] === last)].flatMap((some) =>
    some.sort((a, b) => a - b),
  );
  const pairs = inOrder.flatMap((id) => [floatsOf([words[id]!])[0]!, id]);
  return trial(
    candidatesDispatch({ vocabulary: VOCABULARY, context: 16, adjusting }),
    { running: 1, position: 5, rows: 1 },
    {
      given: {
        ...{ logits: floatsOf(logits), candidates: poison(CANDIDATES.bytes) },
        ...(adjusting && { bias: floatsOf(adjusting.bias), counts: Uint32Array.from(counts) }),
      },
      wanted: { candidates: { of: 'u32', values: Float64Array.of(MOST_CANDIDATES, 0, 0, 0, ...pairs) } },
    },
  );
}

/** The largest of every four, and its id; padded to two pairs. */
function bestOf(logits: Float64Array, vocabulary: number): Buffer {
  const pairs = Array.from({ length: 2 * Math.ceil(vocabulary / 8) }, (_, quad) => {
    const four = [0, 1, 2, 3].map((i) => 4 * quad + i).filter((id) => id < vocabulary);
    const id = four.reduce((best, one) => (logits[one]! > logits[best]! ? one : best), four[0] ?? vocabulary);
    return [new Uint32Array(Float32Array.of(logits[id] ?? 99).buffer)[0]!, id];
  });
  return Uint32Array.from(pairs.flat());
}

const MAKERS: Readonly<Record<string, (params: Params, caps: Caps) => LlmTrial>> = {
  'llm/attend': ofToken,
  'llm/attend-join': ofJoin,
  'llm/rope-rows': ofRopeRows,
  'llm/attend-rows': ofAttendRows,
  'llm/rms-rows': ofRms,
  'llm/glu-rows': ofGlu,
  'llm/norm-add': ofNormAdd,
  'llm/route': ofRoute,
  'llm/cap': ofCap,
  'llm/pick': ofPick,
  'llm/candidates': ofCandidates,
};
