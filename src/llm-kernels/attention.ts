// Attention as dispatches: of one token, and of rows of a prompt. Pure.
//
// The cache of a layer is two runs of bytes, which may be parts of one buffer. P is `capacity`, a position a key of each head:
//
//   K  [V, e / 4, P] quads      V  [V, P, e / 4] quads      a quad: four float32, four float16 in two u32, or four int8 in one
//
// Behind codes of int8 lie the factors of their positions: [V, P] float32.
//
// e is the kernel's width here: heads of another are padded (shaders/llm/inputs.wgsl). A cache of another capacity is laid out anew: V heads
// of V, V · e / 4 runs of K. A layer whose queries meet a window of positions may have a cache of fewer, a ring: position p is at p mod P.
import { ArgumentError, UnsupportedError } from '../errors.js';
import { grid } from '../plan/dispatch.js';
import type { Caps } from '../problem/caps.js';
import type { Params } from '../wgsl/preprocess.js';
import { checkWhole } from './checks.js';
import { attend, attendJoin, attendRows, type LlmDispatch, ropeRows, uniformsOf } from './shaders.js';

/** Widths of heads that kernels are written for; others up to the largest are padded. */
export const WIDTHS: readonly number[] = [32, 64, 80, 96, 128, 256];
/** The most queries of a workgroup of a token. */
const MOST_QUERIES = 8;
/** Most floats of a workgroup's queries: 4 KiB of 16 KiB of workgroup memory. */
const MOST_FLOATS = 1024;
/** Positions up to which a head is one workgroup's. */
export const WHOLE = 2048;
/** Positions of a split, where there are splits. */
const SPLIT = 512;
const MOST_SPLITS = 64;
/** Of llm/rope-rows. */
const ROPE_LANES = 128;
/** Beyond all positions. */
const MOST_WINDOW = 2 ** 31;

/** What the cache of keys and values holds. q8: int8, with a factor for each position of a head. */
export type KvDType = 'f32' | 'f16' | 'q8';
const KV: Readonly<Record<KvDType, number>> = { f32: 0, f16: 1, q8: 2 };
/** Bytes of an element of the cache. */
export const KV_BYTES: Readonly<Record<KvDType, number>> = { f32: 4, f16: 2, q8: 1 };
/** Bytes of the factor of a position of a head. */
export const FACTOR_BYTES: Readonly<Record<KvDType, number>> = { f32: 0, f16: 0, q8: 4 };

/** The heads of a layer, as plain numbers. */
export interface Heads {
  /** H: heads of queries. */
  readonly heads: number;
  /** V: heads of keys and values. */
  readonly kvHeads: number;
  /** e: elements of a head; even. */
  readonly width: number;
  /** Which elements turn together: neighbours, or i and i + rotary / 2. */
  readonly rope: 'pairs' | 'halves';
  /** Elements that turn, from the first on; even. Default all. */
  readonly rotary?: number;
  /** q and k have norms of their own, with this epsilon. */
  readonly normEpsilon?: number | undefined;
  /** Of q · k. Default 1 / √e. */
  readonly scale?: number;
  /** Scores are cap · tanh(score / cap). Default: they are not. */
  readonly cap?: number | undefined;
  /** Has each head of queries a score beside those of its keys, and no value with it? Default: no. */
  readonly sinks?: boolean | undefined;
  /** A query meets the key of its own position and those of window - 1 before. Default all. */
  readonly window?: number | undefined;
  /** What the cache holds. */
  readonly kv: KvDType;
  /** P: positions of the cache. Fewer than a sequence has, if it is a ring: as many as a window, and the rows of a dispatch. */
  readonly capacity: number;
  /** Positions of a sequence, which there are angles for. Default P. */
  readonly positions?: number;
  /**
   * The first pair of each table in the buffer of angles, (cos, sin) float32 of rotary / 2 angles a row: `low` has 256 rows, those of
   * positions 0 … 255; `high` has those of positions 0, 256, 512, … Default 0, and behind `low`.
   */
  readonly angles?: { readonly low: number; readonly high: number };
}

/** Which kernels suit an adapter. */
export interface Lanes {
  /** Is it the CPU? Then K and V are read once for all queries of a head; GPUs have more workgroups instead, and caches. */
  readonly software: boolean;
}

/** A head's settings, defaults filled in. */
interface Known extends Required<Omit<Heads, 'normEpsilon' | 'cap' | 'window' | 'sinks'>> {
  readonly group: number;
  readonly normEpsilon: number | undefined;
  /** 0: none. */
  readonly cap: number;
  /** MOST_WINDOW: none. */
  readonly window: number;
  readonly sinks: boolean;
  /** Elements that kernels have, and of these the ones that turn or pad those that do. */
  readonly padded: number;
  readonly turning: number;
}

const quads = (elements: number): number => 4 * Math.ceil(elements / 4);

/** The widths of kernels for heads of such a width. @throws ArgumentError, UnsupportedError for widths of heads that no kernel has */
export function paddedWidth({ width, rope, rotary = width }: Pick<Heads, 'width' | 'rope' | 'rotary'>): {
  readonly padded: number;
  readonly turning: number;
} {
  checkWhole('width', width);
  checkWhole('rotary', rotary, { least: 0 });
  if (rotary > width || rotary % 2 !== 0) throw new ArgumentError('rotary', `an even number, at most ${width}`, String(rotary));
  const turning = rope === 'halves' ? 2 * quads(rotary / 2) : rotary;
  const needed = turning + width - rotary;
  const padded = WIDTHS.find((one) => one >= needed);
  const largest = WIDTHS.at(-1)!;
  if (width % 2 !== 0 || padded === undefined)
    throw new UnsupportedError('attention', [`heads of ${width} elements; there are kernels for even numbers up to ${largest}`]);
  return { padded, turning };
}

/** @throws ArgumentError, UnsupportedError for widths of heads that no kernel has */
function known(given: Heads): Known {
  const {
    heads,
    kvHeads,
    width,
    rope,
    rotary = width,
    normEpsilon,
    kv,
    capacity,
    positions = capacity,
    cap = 0,
    window,
    sinks = false,
  } = given;
  for (const [name, value] of Object.entries({ heads, kvHeads, capacity, positions, window: window ?? 1 })) checkWhole(name, value);
  if (heads % kvHeads !== 0) throw new ArgumentError('heads', `a multiple of kvHeads ${kvHeads}`, String(heads));
  const { padded, turning } = paddedWidth(given);
  const { scale = 1 / Math.sqrt(width), angles = { low: 0, high: 128 * rotary } } = given;
  for (const [name, value] of Object.entries({ scale, normEpsilon: normEpsilon ?? 0 }))
    if (!Number.isFinite(value)) throw new ArgumentError(name, 'a finite number', String(value));
  if (!(cap >= 0) || !Number.isFinite(cap)) throw new ArgumentError('cap', 'a finite number of at least 0', String(cap));
  checkWhole('angles.low', angles.low, { least: 0 });
  checkWhole('angles.high', angles.high, { least: 0 });
  if (positions > capacity && (window ?? Infinity) > capacity)
    throw new ArgumentError('capacity', `at least the window, ${window}, or the ${positions} positions`, String(capacity));
  const numbers = { heads, kvHeads, group: heads / kvHeads, width, rotary, normEpsilon, scale, capacity, positions };
  return { ...numbers, rope, kv, angles, padded, turning, cap, sinks, window: Math.min(window ?? MOST_WINDOW, MOST_WINDOW) };
}

/** Bytes of K, and of V, of a layer. @throws ArgumentError, UnsupportedError */
export function cacheBytes(given: Heads): number {
  const { kvHeads, padded, kv, capacity } = known(given);
  return kvHeads * capacity * (padded * KV_BYTES[kv] + FACTOR_BYTES[kv]);
}

/** Bytes of the angles that the positions need. Without any a binding has one nevertheless. */
const angleBytes = ({ rotary, positions, angles: { low, high } }: Known): number =>
  8 * Math.max(1, low + 128 * rotary, high + (rotary / 2) * Math.ceil(positions / 256));

const textOf = ({ padded, kv }: Known): Params => ({ E: padded, KV: KV[kv] });
const turnText = ({ rope, normEpsilon, ...of }: Known): Params => ({
  ROPE: rope === 'halves' ? 1 : 0,
  NORM: normEpsilon === undefined ? 0 : 1,
  PAD: isPadded(of) ? 1 : 0,
});
/** Of what divides by the sum of all weights. */
const sinkText = ({ sinks }: Known, divides = true): Params => ({ SINKS: sinks && divides ? 1 : 0 });
const sinkBytes = ({ sinks, heads }: Known): Readonly<Record<string, number>> => (sinks ? { sinks: 4 * heads } : {});
/** Is there more than whole quads of pairs and of a head? */
const isPadded = ({ width, padded, turning, rotary }: Pick<Known, 'width' | 'padded' | 'turning' | 'rotary'>): boolean =>
  padded !== width || turning !== rotary || rotary % 4 !== 0;
/** Where q, k and v of rows lie, in heads: side by side in each row, or those of `apart` rows one behind the other. */
function placesOf({ heads, kvHeads }: Known, apart: number | undefined) {
  const row = heads + 2 * kvHeads;
  return apart === undefined
    ? { q_pitch: row, kv_pitch: row, k_begin: heads, v_begin: heads + kvHeads }
    : { q_pitch: heads, kv_pitch: kvHeads, k_begin: apart * heads, v_begin: apart * (heads + kvHeads) };
}
/** What a kernel of `lanes` lanes is told of the layer. */
const uniforms = (
  of: Known,
  lanes: number,
  { splits = 1, apart }: { readonly splits?: number; readonly apart?: number | undefined } = {},
) => {
  const { heads, group, capacity, width, padded, rotary, turning, angles, scale, cap, window, normEpsilon = 0 } = of;
  return {
    ...placesOf(of, apart),
    ...{ heads, group, capacity, splits, scale, cap, window, width },
    ...{ quads: padded / 4, parts: lanes / 8, slices: Math.floor(lanes / (padded / 4)) },
    ...{ rotary: turning, pairs: rotary / 2, low_base: angles.low, high_base: angles.high, epsilon: normEpsilon },
  };
};

/** Buffers that the dispatches of a token and of rows of a prompt read or write alike. */
const sharedBytes = (of: Known, rows: number): Readonly<Record<string, number>> => ({
  qkv: 4 * rows * (of.heads + 2 * of.kvHeads) * of.width,
  angles: angleBytes(of),
  k_cache: cacheBytes(of),
  v_cache: cacheBytes(of),
  ...(of.normEpsilon !== undefined && { norms: 8 * of.width }),
  ...(of.kv === 'f16' && { clamped: 4 }),
});

/** The most queries of a group that a workgroup may take at once: a divisor of the group, so that no workgroup has those of two heads. */
function queriesOf({ group, padded }: Known, software: boolean): number {
  if (!software) return 1;
  const most = Math.min(MOST_QUERIES, MOST_FLOATS / padded);
  for (let count = Math.floor(most); count > 1; count--) if (group % count === 0) return count;
  return 1;
}

/** Splits of the positions so that `positions` of them are no workgroup's alone. */
export const splitsOf = (positions: number): number => (positions <= WHOLE ? 1 : Math.min(MOST_SPLITS, Math.ceil(positions / SPLIT)));

/**
 * The attention of one token: q, k and v of its row side by side → att [H, e], and the cache's new position. One dispatch, and another that
 * joins splits.
 *
 * Bindings: `qkv` [H + 2V, e] float32; `angles`; `k_cache`, `v_cache`; `norms` [2, e] float32, those of q, then those of k; `clamped` one
 * u32, which counts values that no half can hold; `sinks` [H] float32; `att`, or `parts` where there are splits, which then `att` is made of.
 * @param options.positions the largest length that the dispatches are for, the new position included
 * @param options.splits workgroups that share a head. Default one up to 2,048 positions
 * @throws ArgumentError, UnsupportedError
 */
export function attendDispatches(
  given: Heads,
  { software, positions, splits: asked }: Lanes & { readonly positions: number; readonly splits?: number },
): readonly LlmDispatch[] {
  const of = known(given);
  checkWhole('positions', positions);
  if (positions > of.positions) throw new ArgumentError('positions', `at most the cache's ${of.positions}`, String(positions));
  const { heads, width, padded, window } = of;
  const splits = asked ?? splitsOf(Math.min(positions, window));
  checkWhole('splits', splits);
  const QUERIES = queriesOf(of, software);
  const LANES = software ? 64 : 256;
  const att = 4 * heads * width;
  const parts = 4 * splits * heads * (padded + 2);
  const first: LlmDispatch = {
    shader: attend,
    params: { ...textOf(of), ...turnText(of), ...sinkText(of, splits === 1), QUERIES, LANES, SPLIT: splits > 1 ? 1 : 0 },
    workgroups: [heads / QUERIES, splits],
    uniforms: uniformsOf(attend, uniforms(of, LANES, { splits })),
    bytes: { ...sharedBytes(of, 1), ...(splits > 1 ? { parts } : { att, ...sinkBytes(of) }) },
  };
  if (splits === 1) return [first];
  const join: LlmDispatch = {
    shader: attendJoin,
    params: { E: padded, ...sinkText(of) },
    workgroups: [heads, 1],
    uniforms: uniformsOf(attendJoin, { heads, splits, width, window }),
    bytes: { parts, att, ...sinkBytes(of) },
  };
  return [first, join];
}

/** Rows go into the cache before any of them meets it: a ring then still has the first one's window. @throws ArgumentError */
function checkRing({ capacity, positions, window }: Known, rows: number): void {
  if (positions > capacity && rows + window - 1 > capacity)
    throw new ArgumentError('rows', `at most ${capacity - window + 1}, beside a window of ${window} positions`, String(rows));
}

/**
 * Rows of a prompt, after their product: q and k normed and rotated, q scaled; k and v into the cache.
 * Bindings: as those of a token, with `qkv` [rows, H + 2V, e], and `q` [rows, H, padded e] float32 for llm/attend-rows.
 * @param options.apart `qkv` is instead q [apart, H, e], then k and v [apart, V, e]: as one dispatch of several products leaves rows
 * @throws ArgumentError, UnsupportedError
 */
export function ropeDispatch(
  given: Heads,
  { rows, caps, apart }: { readonly rows: number; readonly caps: Caps; readonly apart?: number | undefined },
): LlmDispatch {
  const of = known(given);
  checkWhole('rows', rows);
  if (apart !== undefined) checkWhole('apart', apart, { least: rows });
  const { heads, kvHeads, padded } = of;
  checkRing(of, rows);
  const inWorkgroup = Math.floor(ROPE_LANES / (padded / 4));
  return {
    shader: ropeRows,
    params: { ...textOf(of), ...turnText(of) },
    workgroups: grid(caps, { what: ropeRows.name, workgroups: Math.ceil((rows * (heads + 2 * kvHeads)) / inWorkgroup) }),
    uniforms: uniformsOf(ropeRows, uniforms(of, ROPE_LANES, { apart })),
    bytes: { ...sharedBytes(of, apart ?? rows), q: 4 * rows * heads * padded },
  };
}

/**
 * The attention of rows of a prompt, each with the positions up to its own. Bindings: `q` of llm/rope-rows, `k_cache`,
 * `v_cache`, `sinks`, `att` [rows, H, e].
 * @throws ArgumentError, UnsupportedError
 */
export function attendRowsDispatch(given: Heads, { rows }: { readonly rows: number }): LlmDispatch {
  const of = known(given);
  checkWhole('rows', rows);
  const { heads, kvHeads, group, width, padded } = of;
  checkRing(of, rows);
  const QUERIES = padded <= 128 ? 8 : 4;
  const LANES = 64;
  return {
    shader: attendRows,
    params: { ...textOf(of), ...sinkText(of), QUERIES, LANES },
    workgroups: [Math.ceil((rows * group) / QUERIES), kvHeads],
    uniforms: uniformsOf(attendRows, uniforms(of, LANES)),
    bytes: {
      q: 4 * rows * heads * padded,
      k_cache: cacheBytes(of),
      v_cache: cacheBytes(of),
      att: 4 * rows * heads * width,
      ...sinkBytes(of),
    },
  };
}
