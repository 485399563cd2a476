// The kernels of shaders/llm against float64: drawn shapes within derived bounds, exact cases in every bit, NaN, sequences that have ended.
import { afterAll, describe, expect, test } from 'vitest';
import { encode16 } from '../../src/dtype.js';
import { capsOf } from '../../src/gpu/device.js';
import { requestDevice } from '../../src/index.js';
import { attendDispatches, attendRowsDispatch, cacheBytes, type Heads, ropeDispatch, WIDTHS } from '../../src/llm/attention.js';
import { rmsDispatch } from '../../src/llm/rms.js';
import type { LlmDispatch } from '../../src/llm/shaders.js';
import { random } from '../cases/data.js';
import { gpu } from '../support/dawn.js';
import {
  type Angles,
  anglesOf,
  asFloats,
  attention,
  type Bounded,
  type Chains,
  outside,
  POISON,
  putRow,
  rms,
  rowOf,
  runLlm,
  turnedHead,
} from '../support/llm-kernels.js';

const device = await requestDevice({ gpu });
const caps = capsOf(device);
const errors: string[] = [];
device.addEventListener('uncapturederror', ({ error }) => errors.push(error.message));
afterAll(() => {
  expect(errors).toEqual([]);
  device.destroy();
});

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
}
function layerOf(next: Next, { base = 10000, ...of }: Heads & { readonly base?: number }): Layer {
  const rotary = of.rotary ?? of.width;
  const scale = Math.fround(of.scale ?? 1 / Math.sqrt(of.width));
  const norms = of.normEpsilon === undefined ? undefined : floats(2 * of.width, () => 0.5 + next());
  return { of, rotary, scale, angles: anglesOf(rotary, base, of.capacity), norms };
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

/** Bytes of a cache with drawn keys and values at positions below `filled`, and poison elsewhere. */
function drawnCache(next: Next, of: Heads, filled: number): { readonly k: ArrayBuffer; readonly v: ArrayBuffer } {
  const make = (what: 'k' | 'v'): ArrayBuffer => {
    const bytes = new Uint32Array(cacheBytes(of) / 4).fill(POISON).buffer;
    const elements = of.kv === 'f16' ? new Uint16Array(bytes) : new Float32Array(bytes);
    for (let head = 0; head < of.kvHeads; head++)
      for (let position = 0; position < filled; position++) {
        const row = floats(of.width, () => normal(next));
        putRow(of, elements, what, [head, position], of.kv === 'f16' ? encode16(row, 'float16') : row);
      }
    return bytes;
  };
  return { k: make('k'), v: make('v') };
}

/** Half a step of what a cache holds. */
const heldStep = ({ kv }: Heads, x: number): number => (kv === 'f16' ? Math.max(2 ** -25, Math.abs(x) * 2 ** -11) : 0);

interface Rows {
  readonly qkv: Float32Array;
  readonly position: number;
  readonly rows: number;
}
const headOf = ({ heads, kvHeads, width }: Heads, qkv: Float32Array, row: number, head: number): Float32Array => {
  const at = (row * (heads + 2 * kvHeads) + head) * width;
  return qkv.subarray(at, at + width);
};

/** Faults of a cache after rows of keys and values have come to it: other positions keep their bits. */
function cacheFaults(
  layer: Layer,
  before: { k: ArrayBuffer; v: ArrayBuffer },
  after: { k: ArrayBuffer; v: ArrayBuffer },
  rows: Rows,
): string[] {
  const { of } = layer;
  const faults: string[] = [];
  const [k, v] = [asFloats(of, after.k), asFloats(of, after.v)];
  const kept = { k: asFloats(of, before.k).slice(), v: asFloats(of, before.v).slice() };
  for (let row = 0; row < rows.rows; row++)
    for (let head = 0; head < of.kvHeads; head++) {
      const place = [head, rows.position + row] as const;
      const key = turned(layer, headOf(of, rows.qkv, row, of.heads + head), 'k', place[1]);
      key.value.forEach((x, i) => {
        key.bound[i]! += heldStep(of, x);
      });
      const value = headOf(of, rows.qkv, row, of.heads + of.kvHeads + head);
      const got = { k: rowOf(of, k, 'k', place), v: rowOf(of, v, 'v', place) };
      faults.push(...outside(got.k, key).map((fault) => `key ${place}${fault}`));
      faults.push(...outside(got.v, { value: Float64Array.from(value), bound: Float64Array.from(value, (x) => heldStep(of, x)) }));
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
  for (let kv = 0; kv < of.kvHeads; kv++) {
    const keys = Array.from({ length: position + 1 }, (_, t) => rowOf(of, k, 'k', [kv, t]));
    const values = Array.from({ length: position + 1 }, (_, t) => rowOf(of, v, 'v', [kv, t]));
    for (let head = kv * group; head < (kv + 1) * group; head++) {
      const q = turned(layer, headOf(of, rows.qkv, row, head), 'q', position);
      const wanted = attention(q, { keys, values, chains: rows.chains, held16: of.kv === 'f16' });
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

const chainsOf = ({ params }: LlmDispatch, splits: number): Chains => ({
  lanes: params.LANES!,
  tile: [2048, 1024, 512, 512][params.QUERIES! - 1] ?? 256,
  splits,
});

const givenOf = ({ of, angles, norms }: Layer, qkv: Float32Array<ArrayBuffer>, cache: { k: ArrayBuffer; v: ArrayBuffer }) => ({
  qkv,
  angles: angles.table,
  k_cache: cache.k,
  v_cache: cache.v,
  ...(norms && { norms }),
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
  const met = { k: asFloats(of, after.k), v: asFloats(of, after.v), att: new Float32Array(got.att!), row: 0, chains };
  return [...cacheFaults(layer, before, after, rows), ...attentionFaults(layer, { ...rows, ...met })];
}

/** Drawn heads: `i` goes through groups, ropes, norms and caches. */
function drawnHeads(next: Next, i: number, capacity: number): Heads & { base: number } {
  const group = 1 + (i % 8);
  const kvHeads = group > 4 ? 1 : 1 + Math.floor(next() * 3);
  const width = WIDTHS[i % WIDTHS.length]!;
  const rope = pickOf(next, ['pairs', 'halves'] as const);
  const normEpsilon = next() < 0.5 ? undefined : 1e-6;
  const part = next() < 0.25 ? { rotary: width / 2 - ((width / 2) % 8) } : {};
  const kv = pickOf(next, ['f32', 'f16'] as const);
  return {
    heads: group * kvHeads,
    kvHeads,
    width,
    rope,
    kv,
    capacity,
    base: pickOf(next, [10000, 1e6]),
    ...part,
    ...(normEpsilon && { normEpsilon }),
  };
}

describe('one token', () => {
  const POSITIONS = [0, 1, 2, 63, 64, 65, 127, 255, 256, 257, 300, 511];
  test.each(Array.from({ length: 48 }, (_, i) => i))('drawn %i', async (i) => {
    const next = random(`token ${i}`);
    const position = POSITIONS[i % POSITIONS.length]!;
    const heads = drawnHeads(next, i, position + 1 + Math.floor(next() * 4));
    const software = i % 3 > 0;
    const splits = next() < 0.3 ? 2 + Math.floor(next() * 5) : 1;
    expect(
      await tokenFaults(`token ${i}`, heads, { software, position, splits }),
      JSON.stringify({ heads, position, software, splits }),
    ).toEqual([]);
  });
  test.each([
    { position: 2047, width: 64, group: 7, software: true },
    { position: 2047, width: 64, group: 2, software: false },
    { position: 2048, width: 128, group: 4, software: true },
    { position: 2048, width: 64, group: 1, software: false },
    { position: 4099, width: 32, group: 3, software: false },
    { position: 2600, width: 32, group: 1, software: false, splits: 1 }, // more than a tile
  ])('at position $position, $width, $group heads to one', async ({ position, width, group, ...how }) => {
    for (const kv of ['f32', 'f16'] as const) {
      const heads: Heads = { heads: group, kvHeads: 1, width, rope: 'halves', kv, capacity: position + 5 };
      expect(await tokenFaults(`long ${position} ${kv}`, heads, { ...how, position })).toEqual([]);
    }
  });
});

describe('rows of a prompt', () => {
  const caseOf = (i: number) => {
    const next = random(`rows ${i}`);
    const rows = 1 + Math.floor(next() * 40);
    const position = [0, 0, 1, 100, 250, 256][i % 6]!;
    const heads = drawnHeads(next, i, position + rows + Math.floor(next() * 4));
    return { next, heads, rows, position, valid: next() < 0.5 ? rows : 1 + Math.floor(next() * rows) };
  };
  test.each(Array.from({ length: 36 }, (_, i) => i))('drawn %i', async (i) => {
    const { next, heads, rows, position, valid } = caseOf(i);
    const layer = layerOf(next, heads);
    const { of } = layer;
    const rope = ropeDispatch(of, { rows, caps });
    const attend = attendRowsDispatch(of, { rows });
    const qkv = floats(rows * (of.heads + 2 * of.kvHeads) * of.width, () => normal(next));
    const before = drawnCache(next, of, position);
    const got = await runLlm(device, [rope, attend], { running: 1, position, rows: valid }, givenOf(layer, qkv, before));
    const after = { k: got.k_cache!, v: got.v_cache! };
    const given = { qkv, position, rows: valid };
    const faults = cacheFaults(layer, before, after, given);
    const [k, v, att, q] = [asFloats(of, after.k), asFloats(of, after.v), new Float32Array(got.att!), new Float32Array(got.q!)];
    for (let row = 0; row < valid; row++) {
      for (let head = 0; head < of.heads; head++) {
        const at = (row * of.heads + head) * of.width;
        faults.push(...outside(q.subarray(at, at + of.width), turned(layer, headOf(of, qkv, row, head), 'q', position + row)));
      }
      faults.push(...attentionFaults(layer, { ...given, k, v, att, row, chains: chainsOf(attend, 1) }));
    }
    // Rows that are padding write nothing.
    for (const words of [new Uint32Array(got.att!), new Uint32Array(got.q!)])
      expect(words.subarray(valid * of.heads * of.width).every((word) => word === POISON)).toBe(true);
    expect(faults.slice(0, 5), JSON.stringify({ heads, rows, valid, position })).toEqual([]);
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
