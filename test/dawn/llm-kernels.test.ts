// The kernels of shaders/llm against float64: drawn shapes within derived bounds, exact cases in every bit, NaN, sequences that have ended.
import '../support/quick-compiler.js';

import { describe, expect, test } from 'vitest';
import { encode16 } from '../../src/dtype.js';
import { capsOf } from '../../src/gpu/device.js';
import {
  attendDispatches,
  attendRowsDispatch,
  cacheBytes,
  type Heads,
  paddedWidth,
  ropeDispatch,
} from '../../src/llm-kernels/attention.js';
import { gluDispatch } from '../../src/llm-kernels/glu.js';
import { pickDispatch } from '../../src/llm-kernels/pick.js';
import { rmsDispatch } from '../../src/llm-kernels/rms.js';
import type { LlmDispatch } from '../../src/llm-kernels/shaders.js';
import { stateBytes } from '../../src/llm-kernels/state.js';
import { gated } from '../../src/reference/glu.js';
import { random } from '../cases/data.js';
import {
  type Angles,
  anglesOf,
  asFloats,
  attention,
  type Bounded,
  type Chains,
  codesOf,
  llmDevice,
  outside,
  POISON,
  putRow,
  queryOf,
  rms,
  rowOf,
  runLlm,
  turnedHead,
} from '../support/llm-kernels.js';

const device = await llmDevice();
const caps = capsOf(device);

type Next = () => number;
const normal = (next: Next): number => 1.7 * (next() + next() + next() + next() - 2);
const floats = (length: number, make: (i: number) => number): Float32Array<ArrayBuffer> => Float32Array.from({ length }, (_, i) => make(i));
const pickOf = <T>(next: Next, list: readonly T[]): T => list[Math.floor(next() * list.length)]!;

/** What a layer's kernels read beside q, k and v. */
interface Layer {
  readonly of: Heads;
  readonly rotary: number;
  readonly scale: number;
  readonly angles: Angles;
  readonly norms: Float32Array<ArrayBuffer> | undefined;
  readonly sinks: Float32Array<ArrayBuffer> | undefined;
}
function layerOf(next: Next, { base = 10000, ...of }: Heads & { readonly base?: number }): Layer {
  const rotary = of.rotary ?? of.width;
  const scale = Math.fround(of.scale ?? 1 / Math.sqrt(of.width));
  const norms = of.normEpsilon === undefined ? undefined : floats(2 * of.width, () => 0.5 + next());
  const sinks = of.sinks ? floats(of.heads, () => 3 * normal(next)) : undefined; // of some heads far above and below all scores
  return { of, rotary, scale, angles: anglesOf(rotary, base, of.positions ?? of.capacity), norms, sinks };
}

/** A query's or key's head in float64. */
const turned = ({ of, rotary, scale, angles, norms }: Layer, x: Float32Array, what: 'q' | 'k', position: number): Bounded =>
  turnedHead(x, {
    rope: of.rope,
    rotary,
    norm: norms?.subarray(what === 'q' ? 0 : of.width, what === 'q' ? of.width : 2 * of.width),
    epsilon: Math.fround(of.normEpsilon ?? 0),
    scale: what === 'q' ? scale : 1,
    angle: (i) => angles.angle(position, i),
  });

/** Bytes of a cache with drawn keys and values at positions below `filled`, the last of them if it is a ring, and poison elsewhere. */
function drawnCache(next: Next, of: Heads, filled: number): { readonly k: ArrayBuffer; readonly v: ArrayBuffer } {
  const make = (what: 'k' | 'v'): ArrayBuffer => {
    const bytes = new Uint32Array(cacheBytes(of) / 4).fill(POISON).buffer;
    const int8 = of.kv === 'q8' ? codesOf(of, bytes) : undefined;
    const elements = int8?.codes ?? (of.kv === 'f16' ? new Uint16Array(bytes) : new Float32Array(bytes));
    for (let head = 0; head < of.kvHeads; head++)
      for (let position = Math.max(0, filled - of.capacity); position < filled; position++) {
        const row = floats(of.width, () => normal(next));
        if (int8) {
          const factor = Math.fround(Math.max(...row.map(Math.abs)) / 127);
          int8.factors[int8.at(head, position)] = factor;
          putRow(
            of,
            elements,
            what,
            [head, position],
            row.map((x) => Math.round(x / factor)),
          );
        } else putRow(of, elements, what, [head, position], of.kv === 'f16' ? encode16(row, 'float16') : row);
      }
    return bytes;
  };
  return { k: make('k'), v: make('v') };
}

/** Half a step of what a cache holds of a row, whose values may be off by `bound`. */
function heldSteps({ kv }: Heads, { value, bound }: Bounded): Float64Array {
  if (kv !== 'q8') return value.map((x) => (kv === 'f16' ? Math.max(2 ** -25, Math.abs(x) * 2 ** -11) : 0));
  const factor = Math.max(...value.map((x, i) => Math.abs(x) + bound[i]!)) / 127;
  // The quotient of at most 127 is off by 4 roundings, so a code may be the next one; factor and product are rounded.
  return value.map((x) => factor * (0.5 + 127 * 4 * 2 ** -24) + Math.abs(x) * 2 ** -22);
}

interface Rows {
  readonly qkv: Float32Array;
  readonly position: number;
  readonly rows: number;
}
const headOf = ({ heads, kvHeads, width }: Heads, qkv: Float32Array, row: number, head: number): Float32Array => {
  const at = (row * (heads + 2 * kvHeads) + head) * width;
  return qkv.subarray(at, at + width);
};

/** A row of values as a cache holds it. */
function exactly(of: Heads, row: ArrayLike<number>): Bounded {
  const value = Float64Array.from(row);
  return { value, bound: heldSteps(of, { value, bound: new Float64Array(value.length) }) };
}

/** Faults of a cache after rows of keys and values have come to it: other positions keep their bits. */
function cacheFaults(
  layer: Layer,
  before: { k: ArrayBuffer; v: ArrayBuffer },
  after: { k: ArrayBuffer; v: ArrayBuffer },
  rows: Rows,
): string[] {
  const { of } = layer;
  const faults: string[] = [];
  const [k, v] = [asFloats(of, after.k, 'k'), asFloats(of, after.v, 'v')];
  const kept = { k: asFloats(of, before.k, 'k').slice(), v: asFloats(of, before.v, 'v').slice() };
  for (let row = 0; row < rows.rows; row++)
    for (let head = 0; head < of.kvHeads; head++) {
      const place = [head, rows.position + row] as const;
      const key = turned(layer, headOf(of, rows.qkv, row, of.heads + head), 'k', place[1]);
      heldSteps(of, key).forEach((step, i) => {
        key.bound[i]! += step;
      });
      const value = headOf(of, rows.qkv, row, of.heads + of.kvHeads + head);
      const got = { k: rowOf(of, k, 'k', place), v: rowOf(of, v, 'v', place) };
      faults.push(...outside(got.k, key).map((fault) => `key ${place}${fault}`));
      faults.push(...outside(got.v, exactly(of, value)));
      putRow(of, kept.k, 'k', place, got.k);
      putRow(of, kept.v, 'v', place, got.v);
    }
  for (const [what, now] of [
    ['k', k],
    ['v', v],
  ] as const)
    for (let i = 0; i < now.length; i++)
      if (!Object.is(kept[what][i], now[i])) {
        faults.push(`${what}[${i}] was ${kept[what][i]}, is ${now[i]}`);
        break;
      }
  return faults;
}

/** Faults of the attention of a row, given the cache that it met. */
function attentionFaults(layer: Layer, { k, v, att, row, ...rows }: Rows & AttentionGot): string[] {
  const { of } = layer;
  const position = rows.position + row;
  const group = of.heads / of.kvHeads;
  const faults: string[] = [];
  const length = Math.min(position + 1, of.window ?? Infinity);
  const begin = position + 1 - length;
  for (let kv = 0; kv < of.kvHeads; kv++) {
    const keys = Array.from({ length }, (_, t) => rowOf(of, k, 'k', [kv, begin + t]));
    const values = Array.from({ length }, (_, t) => rowOf(of, v, 'v', [kv, begin + t]));
    for (let head = kv * group; head < (kv + 1) * group; head++) {
      const q = turned(layer, headOf(of, rows.qkv, row, head), 'q', position);
      const wanted = attention(q, {
        keys,
        values,
        chains: rows.chains,
        kv: of.kv,
        cap: Math.fround(of.cap ?? 0),
        sink: layer.sinks?.[head],
      });
      const at = (row * of.heads + head) * of.width;
      faults.push(...outside(att.subarray(at, at + of.width), wanted).map((fault) => `row ${row} head ${head} ${fault}`));
    }
  }
  return faults;
}
interface AttentionGot {
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly att: Float32Array;
  readonly row: number;
  readonly chains: Chains;
}

const chainsOf = ({ params }: Pick<LlmDispatch, 'params'>, splits: number): Chains => ({
  lanes: params.LANES!,
  tile: [2048, 1024, 512, 512][params.QUERIES! - 1] ?? 256,
  splits,
  padded: params.E!,
});

const givenOf = ({ of, angles, norms, sinks }: Layer, qkv: Float32Array<ArrayBuffer>, cache: { k: ArrayBuffer; v: ArrayBuffer }) => ({
  qkv,
  angles: angles.table,
  k_cache: cache.k,
  v_cache: cache.v,
  ...(norms && { norms }),
  ...(sinks && { sinks }),
  ...(of.kv === 'f16' && { clamped: new Uint32Array(1) }),
});

/** One token of a layer with a drawn cache; returns its faults. */
async function tokenFaults(name: string, heads: Heads & { base?: number }, how: { software: boolean; position: number; splits?: number }) {
  const next = random(name);
  const layer = layerOf(next, heads);
  const { of } = layer;
  const { software, position, splits = position + 1 > 2048 ? undefined : 1 } = how;
  const dispatches = attendDispatches(of, { software, positions: position + 1, ...(splits && { splits }) });
  const qkv = floats((of.heads + 2 * of.kvHeads) * of.width, () => normal(next));
  const before = drawnCache(next, of, position);
  const got = await runLlm(device, dispatches, { running: 1, position, rows: 1 }, givenOf(layer, qkv, before));
  const after = { k: got.k_cache!, v: got.v_cache! };
  const rows = { qkv, position, rows: 1 };
  const chains = chainsOf(dispatches[0]!, dispatches[0]!.workgroups[1]);
  const met = { k: asFloats(of, after.k, 'k'), v: asFloats(of, after.v, 'v'), att: new Float32Array(got.att!), row: 0, chains };
  return [...cacheFaults(layer, before, after, rows), ...attentionFaults(layer, { ...rows, ...met })];
}

/** A kind of layer that has a variant of its own. Compiling one takes seconds: each serves several shapes. */
interface Kind extends Pick<Heads, 'width' | 'rope' | 'kv'> {
  readonly group: number;
  readonly normed: boolean;
  readonly software: boolean;
  readonly split: boolean;
  readonly capped: boolean;
  readonly windowed: boolean;
  readonly sinks: boolean;
}
const kind = (width: number, rope: Heads['rope'], kv: Heads['kv'], group: number, words = ''): Kind => ({
  ...{ width, rope, kv, group },
  normed: words.includes('norms'),
  software: words.includes('cpu'),
  split: words.includes('splits'),
  capped: words.includes('cap'),
  windowed: words.includes('window'),
  sinks: words.includes('sinks'),
});
const KINDS: readonly Kind[] = [
  kind(32, 'pairs', 'f32', 6),
  kind(64, 'halves', 'f16', 7, 'cpu'),
  kind(64, 'halves', 'f32', 2, 'splits'),
  kind(80, 'pairs', 'f16', 1, 'cpu norms'),
  kind(96, 'halves', 'f32', 3, 'cpu norms splits'),
  kind(128, 'halves', 'f16', 4, 'norms'),
  kind(128, 'pairs', 'f32', 4, 'cpu'),
  kind(256, 'halves', 'f32', 4, 'cpu norms'),
  kind(256, 'halves', 'f16', 8, 'splits'),
  kind(32, 'halves', 'f32', 8, 'cpu norms'),
  kind(32, 'pairs', 'f16', 5, 'cpu splits'),
  // No row above changes its place: other tests name them by it.
  kind(4, 'pairs', 'f32', 2),
  kind(4, 'halves', 'f16', 3, 'cpu norms'),
  kind(20, 'halves', 'f32', 4, 'cpu cap window norms'),
  kind(50, 'pairs', 'f32', 1, 'window splits norms'),
  kind(112, 'halves', 'f16', 4, 'window'),
  kind(222, 'halves', 'f32', 2, 'cpu cap window splits'),
  kind(256, 'halves', 'f32', 2, 'cpu cap window norms'),
  kind(64, 'pairs', 'f16', 3, 'cap window splits'),
  kind(64, 'halves', 'q8', 7, 'cpu'),
  kind(128, 'halves', 'q8', 2, 'norms splits'),
  kind(20, 'pairs', 'q8', 4, 'cpu cap window norms'),
  kind(80, 'halves', 'q8', 1, 'window'),
  kind(64, 'halves', 'f16', 8, 'window sinks'),
  kind(64, 'halves', 'f32', 8, 'cpu sinks norms'),
  kind(32, 'pairs', 'f16', 2, 'cpu splits sinks'),
];
const nameOf = ({ width, rope, kv, group, ...has }: Kind): string =>
  `${group} of ${width}, ${rope}, ${kv}${Object.entries(has)
    .map(([name, is]) => (is ? `, ${name}` : ''))
    .join('')}`;
/** Heads of a kind; of some a part turns. Of those with a window some have a ring of no more positions than rows need. */
const headsOf = (next: Next, { width, rope, kv, group, normed, capped, windowed, sinks }: Kind, positions: number, rows = 1): Made => {
  const kvHeads = 1 + Math.floor(next() * 3);
  const part =
    next() < 0.25 ? { rotary: width % 8 === 0 ? width / 2 - ((width / 2) % 8) : width - 2 * Math.ceil((next() * width) / 2) } : {};
  const window = windowed ? 1 + Math.floor(next() * next() * positions) : undefined;
  const capacity = window && next() < 0.7 ? Math.min(positions, window + rows - 1 + Math.floor(next() * 3)) : positions;
  const common = { width, rope, kv, kvHeads, heads: group * kvHeads, capacity, positions, base: next() < 0.5 ? 10000 : 1e6, window };
  return { ...common, ...part, ...(normed && { normEpsilon: 1e-6 }), ...(capped && { cap: 1 + 3 * next() }), ...(sinks && { sinks }) };
};
type Made = Heads & { readonly base: number };

describe('one token', () => {
  const POSITIONS = [0, 1, 2, 63, 64, 127, 255, 256, 257, 300, 511];
  test.each(KINDS.map((one) => [nameOf(one), one] as const))('%s', async (name, one) => {
    for (let i = 0; i < 6; i++) {
      const next = random(`${name} ${i}`);
      const position = i === 0 ? 0 : i === 1 ? 257 : pickOf(next, POSITIONS);
      const heads = headsOf(next, one, position + 1 + Math.floor(next() * 4));
      const how = { software: one.software, position, splits: one.split ? 2 + Math.floor(next() * 5) : 1 };
      expect(await tokenFaults(`${name} ${i}`, heads, how), JSON.stringify({ heads, how })).toEqual([]);
    }
  });
  test.each([
    [0, 2046, 1],
    [0, 2047, 1],
    [0, 2048, 1], // the tile is full
    [0, 2600, 1],
    [2, 2048, undefined],
    [2, 4099, undefined],
    [10, 2048, undefined],
    [10, 2303, undefined],
  ] as const)('kind %i at position %i', async (at, position, splits) => {
    const { software, group, width, rope, kv } = KINDS[at]!;
    const heads: Heads = { width, rope, kv, heads: group, kvHeads: 1, capacity: position + 5 };
    expect(await tokenFaults(`long ${at} ${position}`, heads, { software, position, ...(splits && { splits }) })).toEqual([]);
  });
});

/** Rows of q, k and v side by side → q of all rows, then k, then v, each with room for `apart` rows; NaN where there is none. */
function laidApart({ heads, kvHeads, width }: Heads, qkv: Float32Array, apart: number): Float32Array<ArrayBuffer> {
  const pitch = (heads + 2 * kvHeads) * width;
  const out = new Float32Array(apart * pitch).fill(NaN);
  for (let row = 0; row < qkv.length / pitch; row++) {
    let [from, to] = [row * pitch, 0];
    for (const n of [heads, kvHeads, kvHeads].map((count) => count * width)) {
      out.set(qkv.subarray(from, from + n), to + row * n);
      from += n;
      to += apart * n;
    }
  }
  return out;
}

describe('rows of a prompt', () => {
  const ROW_KINDS: readonly Kind[] = [
    kind(64, 'halves', 'f32', 7),
    kind(128, 'halves', 'f16', 4, 'norms'),
    kind(80, 'pairs', 'f32', 2, 'norms'),
    kind(96, 'pairs', 'f16', 1),
    kind(256, 'halves', 'f32', 8, 'norms'),
    kind(32, 'pairs', 'f16', 3),
    kind(4, 'halves', 'f32', 2, 'norms'),
    kind(20, 'pairs', 'f16', 2, 'norms window'),
    kind(50, 'halves', 'f32', 4, 'window cap'),
    kind(118, 'halves', 'f32', 3, 'norms cap window'),
    kind(256, 'halves', 'f32', 4, 'norms window'),
    kind(64, 'pairs', 'f16', 3, 'cap window'),
    kind(64, 'halves', 'q8', 7),
    kind(80, 'pairs', 'q8', 2, 'norms'),
    kind(20, 'halves', 'q8', 1, 'norms cap window'),
    kind(64, 'halves', 'f16', 8, 'window sinks'),
    kind(96, 'halves', 'q8', 2, 'sinks'),
  ];
  test.each(ROW_KINDS.map((one) => [nameOf(one), one] as const))('%s', async (name, one) => {
    for (let i = 0; i < 6; i++) {
      const next = random(`rows ${name} ${i}`);
      const rows = 1 + Math.floor(next() * 30);
      const valid = i % 2 === 0 ? rows : 1 + Math.floor(next() * rows);
      const position = [0, 0, 1, 100, 250, 256][i]!;
      const layer = layerOf(next, headsOf(next, one, position + rows + Math.floor(next() * 4), rows));
      const { of } = layer;
      const { padded } = paddedWidth(of);
      const apart = i % 3 === 0 ? undefined : rows + (i % 2); // q, k and v side by side, or one behind the other
      const dispatches = [ropeDispatch(of, { rows, caps, apart }), attendRowsDispatch(of, { rows })];
      const qkv = floats(rows * (of.heads + 2 * of.kvHeads) * of.width, () => normal(next));
      const laid = apart === undefined ? qkv : laidApart(of, qkv, apart);
      const before = drawnCache(next, of, position);
      const got = await runLlm(device, dispatches, { running: 1, position, rows: valid }, givenOf(layer, laid, before));
      const after = { k: got.k_cache!, v: got.v_cache! };
      const given = { qkv, position, rows: valid };
      const faults = cacheFaults(layer, before, after, given);
      const [k, v, att, q] = [asFloats(of, after.k, 'k'), asFloats(of, after.v, 'v'), new Float32Array(got.att!), new Float32Array(got.q!)];
      for (let row = 0; row < valid; row++) {
        for (let head = 0; head < of.heads; head++) {
          const at = (row * of.heads + head) * padded;
          const query = queryOf(of, q.subarray(at, at + padded));
          faults.push(...outside(query, turned(layer, headOf(of, qkv, row, head), 'q', position + row)));
        }
        faults.push(...attentionFaults(layer, { ...given, k, v, att, row, chains: chainsOf(dispatches[1]!, 1) }));
      }
      expect(faults.slice(0, 5), JSON.stringify({ of, rows, valid, position })).toEqual([]);
      // Rows that are padding write nothing.
      for (const [bytes, width] of [[got.att!, of.width] as const, [got.q!, padded] as const])
        expect(new Uint32Array(bytes).subarray(valid * of.heads * width).every((word) => word === POISON)).toBe(true);
    }
  });
});

describe('norms of rows', () => {
  test.each([4, 8, 64, 252, 256, 260, 896, 1000, 2048, 4096])('of %i', async (width) => {
    const next = random(`rms ${width}`);
    const rows = 1 + Math.floor(next() * 6);
    const valid = Math.max(1, rows - 1);
    const x = floats(rows * width, () => 30 * normal(next));
    const weight = floats(width, () => normal(next));
    const epsilon = 1e-6;
    const got = await runLlm(device, [rmsDispatch({ rows, width, epsilon })], { running: 1, position: 3, rows: valid }, { x, weight });
    const y = new Float32Array(got.y!);
    expect(outside(y, rms(x.subarray(0, valid * width), weight, Math.fround(epsilon)))).toEqual([]);
    expect(new Uint32Array(got.y!).subarray(valid * width).every((word) => word === POISON)).toBe(true);
  });
});

test.each(['silu', 'gelu_tanh', 'swiglu_oai'] as const)('gated linear units of two products: %s', async (glu) => {
  const next = random(`glu ${glu}`);
  for (const width of [1, 3, 64, 65, 200]) {
    const rows = 4;
    const valid = 3;
    const act = floats(rows * width, (i) => (i === 0 ? -200 : 4 * normal(next)));
    const up = floats(rows * width, () => 4 * normal(next));
    const dispatch = gluDispatch({ rows, width, glu });
    const got = new Float32Array((await runLlm(device, [dispatch], { running: 1, position: 3, rows: valid }, { act, up })).act!);
    const exact = Array.from(act.subarray(0, valid * width), (gate, i) => gated(glu, { gate, up: up[i]! }));
    const want = { value: Float64Array.from(exact, ([value]) => value), bound: Float64Array.from(exact, ([, bound]) => bound) };
    expect(outside(got.subarray(0, valid * width), want)).toEqual([]);
    expect(got.subarray(valid * width)).toEqual(act.subarray(valid * width)); // padding
    const ended = await runLlm(device, [dispatch], { running: 0, position: 3, rows: valid }, { act, up });
    expect(new Float32Array(ended.act!)).toEqual(act);
  }
});

/** Heads of a kind of KINDS, two of the cache. */
const plainHeads = (at: number, capacity: number): Heads => {
  const { width, rope, kv, group, normed } = KINDS[at]!;
  return { ...{ width, rope, kv, capacity, kvHeads: 2, heads: 2 * group }, ...(normed && { normEpsilon: 1e-6 }) };
};
/** One token with a cache of the caller's: att and the cache. */
async function token(
  of: Heads,
  given: { qkv: Float32Array<ArrayBuffer>; cache: { k: ArrayBuffer; v: ArrayBuffer }; table?: Float32Array<ArrayBuffer> },
  how: { at: number; position: number; splits?: number; running?: number },
) {
  const { at, position, splits = 1, running = 1 } = how;
  const layer = layerOf(random('plain'), of);
  const dispatches = attendDispatches(of, { software: KINDS[at]!.software, positions: position + 1, splits });
  const all = { ...givenOf(layer, given.qkv, given.cache), ...(given.table && { angles: given.table }) };
  const got = await runLlm(device, dispatches, { running, position, rows: 1 }, all);
  return { got, all, att: new Float32Array(got.att!), k: asFloats(of, got.k_cache!, 'k'), v: asFloats(of, got.v_cache!, 'v') };
}
const sizeOf = ({ heads, kvHeads, width }: Heads): number => (heads + 2 * kvHeads) * width;
/** A quarter turn for each position and each 256 of them: entries are 0, 1 and -1. */
const quarterTurns = (rotary: number, capacity: number): Float32Array<ArrayBuffer> => {
  const pairs = rotary / 2;
  const quarter = [1, 0, -1, 0];
  return floats(2 * pairs * (256 + Math.ceil(capacity / 256)), (i) => {
    const row = Math.floor(i / (2 * pairs));
    const turns = row < 256 ? row : row - 256;
    return quarter[(turns + (i % 2 === 0 ? 0 : 3)) % 4]!;
  });
};

describe('exact cases', () => {
  test.each([0, 1, 2, 6, 10, 11, 15, 16])('kind %i: queries of 0 give the mean of 256 values', async (at) => {
    const of = plainHeads(at, 260);
    const next = random(`mean ${at}`);
    const integer = () => Math.floor(next() * 17) - 8;
    const cache = drawnCache(next, of, 255);
    const v = asFloats(of, cache.v, 'v').map((x) => (Number.isNaN(x) ? x : Math.round(x)));
    const bytes = of.kv === 'f16' ? encode16(v, 'float16').buffer : v.buffer;
    const qkv = floats(sizeOf(of), (i) => (i < of.heads * of.width ? 0 : integer()));
    const { att, v: after } = await token(
      of,
      { qkv, cache: { k: cache.k, v: bytes as ArrayBuffer } },
      { at, position: 255, splits: KINDS[at]!.split ? 4 : 1 },
    );
    const group = of.heads / of.kvHeads;
    const means = Array.from({ length: of.kvHeads }, (_, head) => {
      const values = Array.from({ length: 256 }, (_, t) => rowOf(of, after, 'v', [head, t]));
      return values.reduce((sum, value) => sum.map((x, i) => x + value[i]!)).map((x) => x / 256);
    });
    const wanted = floats(of.heads * of.width, (i) => means[Math.floor(i / of.width / group)]![i % of.width]!);
    expect(att).toEqual(wanted);
  });

  test.each([0, 1, 2, 6, 11, 15, 16])('kind %i: position 0 neither turns nor weighs', async (at) => {
    const of = plainHeads(at, 3);
    const next = random(`first ${at}`);
    const qkv = floats(sizeOf(of), () => Math.round(8 * normal(next)) / 8 + 1 / 16);
    const { att, k, v } = await token(of, { qkv, cache: drawnCache(next, of, 0) }, { at, position: 0, splits: KINDS[at]!.split ? 2 : 1 });
    for (let head = 0; head < of.kvHeads; head++) {
      expect([...rowOf(of, k, 'k', [head, 0])]).toEqual([...headOf(of, qkv, 0, of.heads + head)]);
      expect([...rowOf(of, v, 'v', [head, 0])]).toEqual([...headOf(of, qkv, 0, of.heads + of.kvHeads + head)]);
    }
    const group = of.heads / of.kvHeads;
    const wanted = floats(att.length, (i) => headOf(of, qkv, 0, of.heads + of.kvHeads + Math.floor(i / of.width / group))[i % of.width]!);
    expect(att).toEqual(wanted);
  });

  test.each([
    [0, 1],
    [0, 258],
    [0, 515],
    [1, 3],
    [6, 257],
    [11, 258],
    [15, 3],
    [16, 257],
  ])('kind %i: tables of quarter turns at position %i', async (at, position) => {
    const of = plainHeads(at, position + 2);
    const next = random(`quarter ${at} ${position}`);
    const qkv = floats(sizeOf(of), () => Math.round(8 * normal(next)) / 8 + 1 / 16);
    const cache = drawnCache(next, of, position);
    const table = quarterTurns(of.width, of.capacity);
    const { k } = await token(of, { qkv, cache, table }, { at, position });
    const turns = (Math.floor(position / 256) + (position % 256)) % 4;
    const half = of.width / 2;
    const rows = await runLlm(
      device,
      [ropeDispatch({ ...of, scale: 1 }, { rows: 1, caps })],
      { running: 1, position, rows: 1 },
      {
        ...givenOf(layerOf(next, of), qkv, cache),
        angles: table,
      },
    );
    for (let head = 0; head < of.kvHeads; head++) {
      const x = headOf(of, qkv, 0, of.heads + head);
      const wanted = Array.from(x, (own, i) => {
        const pairs = of.rope === 'pairs';
        const first = pairs ? i % 2 === 0 : i < half;
        const other = x[pairs ? i ^ 1 : (i + half) % of.width]!;
        return [own, first ? -other : other, -own, first ? other : -other][turns]!;
      });
      expect([...rowOf(of, k, 'k', [head, position])]).toEqual(wanted);
      expect([...rowOf(of, asFloats(of, rows.k_cache!, 'k'), 'k', [head, position])]).toEqual(wanted);
    }
  });

  test.each([0, 2])('kind %i: of scores of ±1e36 the largest takes all', async (at) => {
    const of = { ...plainHeads(at, 80), scale: 1 };
    const next = random(`huge ${at}`);
    for (const winner of [0, 5, 63, 70]) {
      const position = 70;
      const cache = drawnCache(next, of, position);
      const k = new Float32Array(cache.k).map((x) => (Number.isNaN(x) ? x : 0));
      for (let head = 0; head < 2; head++)
        for (let t = 0; t < position; t++) putRow(of, k, 'k', [head, t], [t === winner ? 1e18 : -1e18, ...new Array(of.width - 1).fill(0)]);
      const identity = floats(anglesOf(of.width, 10000, of.capacity).table.length, (i) => (i % 2 === 0 ? 1 : 0));
      const qkv = floats(sizeOf(of), (i) => {
        const head = Math.floor(i / of.width);
        if (head >= of.heads + of.kvHeads) return normal(next);
        if (i % of.width > 0) return 0;
        return head < of.heads ? 1e18 : winner === position ? 1e18 : -1e18;
      });
      const { att, v } = await token(
        of,
        { qkv, cache: { k: k.buffer, v: cache.v }, table: identity },
        { at, position, splits: KINDS[at]!.split ? 3 : 1 },
      );
      const group = of.heads / of.kvHeads;
      for (let head = 0; head < of.heads; head++)
        expect([...att.subarray(head * of.width, (head + 1) * of.width)]).toEqual([
          ...rowOf(of, v, 'v', [Math.floor(head / group), winner]),
        ]);
    }
  });

  /** Integers for values, at positions 44 … 299; keys of any size. */
  const window = (at: number) => {
    const of: Heads = { ...plainHeads(at, 257), window: 256, positions: 302, cap: 2, scale: 1 };
    const next = random(`window ${at}`);
    const cache = drawnCache(next, of, 299);
    const integers = asFloats(of, cache.v, 'v').map((x) => (Number.isNaN(x) ? x : Math.round(4 * x)));
    const v = (of.kv === 'f16' ? encode16(integers, 'float16').buffer : integers.buffer) as ArrayBuffer;
    return { of, next, cache: { k: cache.k, v } };
  };
  const meansOf = (of: Heads, v: Float32Array): Float32Array =>
    floats(of.heads * of.width, (i) => {
      const head = Math.floor(Math.floor(i / of.width) / (of.heads / of.kvHeads));
      let sum = 0;
      for (let t = 44; t < 300; t++) sum += rowOf(of, v, 'v', [head, t])[i % of.width]!;
      return sum / 256;
    });
  test.each([0, 1, 2, 11, 15, 16])('kind %i: a window of 256 positions in a ring has the mean of those, and of no other', async (at) => {
    const { of, next, cache } = window(at);
    const qkv = floats(sizeOf(of), (i) => (i < of.heads * of.width ? 0 : Math.floor(next() * 9) - 4));
    const how = { at, position: 299, splits: KINDS[at]!.split ? 4 : 1 };
    const { att, v } = await token(of, { qkv, cache }, how);
    expect(att).toEqual(meansOf(of, v));
    // The other kernels, with the row in the ring.
    const given = givenOf(layerOf(random('plain'), of), qkv, cache);
    const rows = [ropeDispatch(of, { rows: 1, caps }), attendRowsDispatch(of, { rows: 1 })];
    const got = await runLlm(device, rows, { running: 1, position: 299, rows: 1 }, given);
    expect(new Float32Array(got.att!)).toEqual(meansOf(of, v));
  });
  test.each([0, 2, 11])('kind %i: huge scores of all sizes end at one cap', async (at) => {
    const { of, next, cache } = window(at);
    const k = new Float32Array(cache.k).map((x) => (Number.isNaN(x) ? x : 0));
    for (let head = 0; head < 2; head++)
      for (let t = 299 - 256; t < 299; t++) putRow(of, k, 'k', [head, t], [1e12 * (1 + next()), ...new Array(of.width - 1).fill(0)]);
    const table = floats(anglesOf(of.width, 10000, 302).table.length, (i) => (i % 2 === 0 ? 1 : 0));
    const qkv = floats(sizeOf(of), (i) => {
      const head = Math.floor(i / of.width);
      return head >= of.heads + of.kvHeads ? Math.floor(next() * 9) - 4 : i % of.width === 0 ? 1e9 : 0;
    });
    const how = { at, position: 299, splits: KINDS[at]!.split ? 4 : 1 };
    const { att, v } = await token(of, { qkv, cache: { k: k.buffer, v: cache.v }, table }, how);
    expect(att).toEqual(meansOf(of, v));
  });

  test('a norm whose factor is a power of two', async () => {
    const x = floats(2 * 64, (i) => (i % 13) - 6);
    const given = { x, weight: floats(64, () => 2 ** 30) };
    const got = await runLlm(device, [rmsDispatch({ rows: 2, width: 64, epsilon: 2 ** 60 })], { running: 1, position: 0, rows: 2 }, given);
    expect(new Float32Array(got.y!)).toEqual(x);
  });
});

describe('NaN', () => {
  test.each([0, 1, 2])('kind %i: goes where it came from', async (at) => {
    const of = plainHeads(at, 70);
    const group = of.heads / of.kvHeads;
    const next = random(`nan ${at}`);
    const qkv = floats(sizeOf(of), () => normal(next));
    const position = 66;
    const splits = KINDS[at]!.split ? 3 : 1;
    const nanHeads = (att: Float32Array): number[] =>
      Array.from({ length: of.heads }, (_, head) => att.subarray(head * of.width, (head + 1) * of.width).filter(Number.isNaN).length);
    const only = (has: (head: number) => boolean, count: number) => Array.from({ length: of.heads }, (_, head) => (has(head) ? count : 0));
    // In a query: that head. In a key, old or new: all heads that it serves. In a value: their columns.
    const ofQuery = await token(
      of,
      { qkv: qkv.map((x, i) => (i === 3 ? NaN : x)), cache: drawnCache(next, of, position) },
      { at, position, splits },
    );
    expect(nanHeads(ofQuery.att)).toEqual(only((head) => head === 0, of.width));
    const inKey = (of.heads + 1) * of.width + 2;
    const ofKey = await token(
      of,
      { qkv: qkv.map((x, i) => (i === inKey ? NaN : x)), cache: drawnCache(next, of, position) },
      { at, position, splits },
    );
    expect(nanHeads(ofKey.att)).toEqual(only((head) => head >= group, of.width));
    expect(Number.isNaN(rowOf(of, ofKey.k, 'k', [1, position])[2])).toBe(true);
    for (const [what, count] of [
      ['k', of.width],
      ['v', 1],
    ] as const) {
      const cache = drawnCache(next, of, position);
      const elements = of.kv === 'f16' ? new Uint16Array(cache[what]) : new Float32Array(cache[what]);
      const row = rowOf(of, asFloats(of, cache[what], what), what, [1, 9]).map((x, i) => (i === 5 ? NaN : x));
      putRow(of, elements, what, [1, 9], of.kv === 'f16' ? encode16(row, 'float16') : row);
      const { att } = await token(of, { qkv, cache }, { at, position, splits });
      expect(nanHeads(att), what).toEqual(only((head) => head >= group, count));
    }
  });
});

describe('a sequence that has ended', () => {
  const same = (got: Readonly<Record<string, ArrayBuffer>>, given: Readonly<Record<string, ArrayBuffer | ArrayBufferView>>) => {
    for (const [name, bytes] of Object.entries(got)) {
      const before = given[name];
      const words = new Uint32Array(bytes);
      if (before === undefined) expect([name, words.every((word) => word === POISON)]).toEqual([name, true]);
      else expect([name, words]).toEqual([name, new Uint32Array(before instanceof ArrayBuffer ? before : before.buffer)]);
    }
  };
  test.each([1, 2])('kind %i: a token writes nothing', async (at) => {
    const of = plainHeads(at, 12);
    const next = random(`ended ${at}`);
    const cache = drawnCache(next, of, 5);
    const how = { at, position: 5, splits: KINDS[at]!.split ? 2 : 1, running: 0 };
    const { got, all } = await token(of, { qkv: floats(sizeOf(of), () => normal(next)), cache }, how);
    same(got, { ...all, now: Uint32Array.of(0, 5, 1) });
  });
  test('that ends inside a submit: tokens behind it leave the cache as it is', async () => {
    const of = plainHeads(2, 12);
    const next = random('inside');
    const given = {
      ...givenOf(
        layerOf(next, of),
        floats(sizeOf(of), () => normal(next)),
        drawnCache(next, of, 5),
      ),
      best: Uint32Array.of(0x3f800000, 6, POISON, POISON),
      state: new Uint32Array(stateBytes(12) / 4),
    };
    // The two kernels see `now` as storage and as a uniform, in one pass.
    const choosing = { vocabulary: 8, context: 12, limit: 2, stops: [], temperature: 0, seed: 0 };
    const ended = { ...pickDispatch(choosing), bytes: { best: 16, state: stateBytes(12) } };
    const round = [...attendDispatches(of, { software: false, positions: 12, splits: 2 }), ended];
    const left = async (rounds: number) =>
      await runLlm(device, new Array(rounds).fill(round).flat(), { running: 1, position: 5, rows: 1 }, given);
    const [one, two, eight] = [await left(1), await left(2), await left(8)];
    expect(new Uint32Array(two.now!)).toEqual(Uint32Array.of(0, 7, 1));
    expect(eight).toEqual(two);
    expect(new Uint32Array(two.k_cache!)).not.toEqual(new Uint32Array(one.k_cache!)); // the second token wrote a position of its own
  });
  test('rows and norms write nothing', async () => {
    const of: Heads = { heads: 6, kvHeads: 2, width: 32, rope: 'pairs', kv: 'f16', capacity: 9 };
    const next = random('ended rows');
    const given = {
      ...givenOf(
        layerOf(next, of),
        floats(3 * sizeOf(of), () => normal(next)),
        drawnCache(next, of, 0),
      ),
      x: floats(3 * 64, () => 1),
      weight: floats(64, () => 1),
    };
    const dispatches = [
      ropeDispatch(of, { rows: 3, caps }),
      attendRowsDispatch(of, { rows: 3 }),
      rmsDispatch({ rows: 3, width: 64, epsilon: 1e-6 }),
    ];
    same(await runLlm(device, dispatches, { running: 0, position: 0, rows: 3 }, given), { ...given, now: Uint32Array.of(0, 0, 3) });
  });
});

describe('halves', () => {
  test('values beyond are clamped and counted once, Inf and NaN stay', async () => {
    const values = [65504, 65505, 65519.99, 70000, -1e6, 3e38, Infinity, -Infinity, NaN, 1e-7];
    const held = [65504, 65504, 65504, 65504, -65504, 65504, Infinity, -Infinity, NaN, 2 ** -23];
    const heads = plainHeads(5, 4); // four workgroups to a head of the cache
    const { width } = heads;
    const qkv = floats(sizeOf(heads), (i) => {
      const [head, column] = [Math.floor(i / width), i % width];
      return head >= heads.heads + heads.kvHeads && column < values.length ? values[column]! : 0.25;
    });
    const layer = layerOf(random('halves'), heads);
    const given = () => givenOf(layer, qkv, drawnCache(random('halves'), heads, 0));
    const now = { running: 1, position: 0, rows: 1 };
    for (const dispatches of [attendDispatches(heads, { software: false, positions: 1 }), [ropeDispatch(heads, { rows: 1, caps })]]) {
      const got = await runLlm(device, dispatches, now, given());
      const v = asFloats(heads, got.v_cache!, 'v');
      for (let head = 0; head < 2; head++) expect([...rowOf(heads, v, 'v', [head, 0])].slice(0, values.length)).toEqual(held);
      expect(new Uint32Array(got.clamped!)).toEqual(Uint32Array.of(2 * 5));
    }
  });
});
