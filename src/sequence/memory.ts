// The buffers of a sequence: their sizes, and how the cache grows. Pure.
import { attentionOfLayer } from '../llm/attention-config.js';
import type { Config } from '../llm/config.js';
import { FINE } from '../llm/rope.js';
import { attendDispatches, cacheBytes, FACTOR_BYTES, type Heads, KV_BYTES, type KvDType, paddedWidth } from '../llm-kernels/attention.js';
import { quadBytes } from '../llm-kernels/checks.js';
import { stateBytes } from '../llm-kernels/state.js';
import type { CodeBits } from '../problem/code-width.js';
import { sortedWords } from '../problem/experts.js';
import { pitchWords } from '../problem/x-codes.js';

/** Numbers of rows of a prompt that are recorded; a prompt is cut into them. The last may have rows of padding. */
export const CLASSES = [1, 4, 16, 64] as const;
export const MOST_ROWS = 64;
/**
 * Those of rows that are multiplied as integers. matmul-dot4 has k in more slices for one row, and adds in another order: without that class a
 * row's numbers do not depend on the chunk that it is in.
 */
export const INTEGER_CLASSES = CLASSES.slice(1);
/** Positions of the cache at first; it doubles. */
const FIRST_CAPACITY = 256;
/** What a chunk costs beside its rows, in rows: GPUs read the weights for any number; software adapters are bound by the products. */
const FIXED_ROWS = { gpu: 64, software: 4 };
/** A buffer's parts begin at multiples of it: `minStorageBufferOffsetAlignment` of any device. */
const ALIGNMENT = 256;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * Positions that a layer's cache holds of `capacity`: of one with a window a ring, in which the window of a chunk's first row is still there when all
 * of the chunk's rows are.
 */
export function slotsOf(config: Config, capacity: number, layer: number): number {
  const { window = Infinity } = attentionOfLayer(config, layer);
  return Math.min(capacity, window + MOST_ROWS);
}

/** A layer's attention. @param capacity positions of a sequence, which a layer with a window holds fewer of */
export function headsOf(config: Config, kv: KvDType, capacity: number, layer = 0): Heads {
  const { heads, kvHeads, headWidth, rope, qkNorms, epsilon, scoreScale, scoreCap, sinks } = config;
  const { window, rope: turns } = attentionOfLayer(config, layer);
  return {
    ...{ heads, kvHeads, width: headWidth, rope: rope.kind, rotary: turns ? rope.width : 0, kv },
    ...{ window, sinks, cap: scoreCap, capacity: slotsOf(config, capacity, layer), positions: capacity },
    ...(scoreScale !== undefined && { scale: scoreScale }),
    ...(qkNorms && { normEpsilon: epsilon }),
  };
}

/** Where the twin of the residual begins in `stream`, in bytes. */
export const twinOffset = ({ width }: Pick<Config, 'width'>): number => aligned(4 * width);

/** Numbers of a row of q, k and v side by side. */
export const qkvWidth = ({ heads, kvHeads, headWidth }: Pick<Config, 'heads' | 'kvHeads' | 'headWidth'>): number =>
  (heads + 2 * kvHeads) * headWidth;

/**
 * Bytes of the buffers that no growth changes, by name. `stream` has the residual of a token and its twin; `x`, `h`, `qkv`, `q`, `att` and `act`
 * have rows of a prompt, and the first row of all but `x` is a token's. `up` is for layers whose gate and up are two products.
 * Of experts: `expertIds` and `expertWeights` of rows, `act` of each pair of a row and an expert, and `tokenPairs` and `rowPairs`, the pairs in the order
 * of their experts.
 * @param apart has the model such layers?
 */
export function bufferSizes(config: Config, context: number, apart = false) {
  const { width, heads, headWidth, feedForward, vocabulary, rope, localRope, experts } = config;
  const rows = 4 * MOST_ROWS;
  const ofExperts = experts && {
    expertIds: rows * experts.top,
    expertWeights: rows * experts.top,
    tokenPairs: 4 * sortedWords(experts.top, experts.count),
    rowPairs: 4 * sortedWords(MOST_ROWS * experts.top, experts.count),
  };
  const { padded } = paddedWidth(headsOf(config, 'f32', 1));
  const angles = 4 * rope.width * (FINE + Math.ceil(context / FINE));
  return {
    stream: twinOffset(config) + 4 * width,
    x: rows * width,
    h: rows * width,
    qkv: rows * qkvWidth(config),
    q: rows * heads * padded,
    att: rows * heads * headWidth,
    act: rows * (experts?.top ?? 1) * feedForward,
    ...ofExperts,
    ...(apart && { up: rows * feedForward }),
    ids: rows,
    logits: quadBytes(vocabulary),
    state: stateBytes(context),
    now: 16,
    clamped: 4,
    angles,
    localAngles: localRope ? angles : 0,
  } as const;
}

type Read = 'h' | 'att' | 'act';
/** The buffer of what a product of a prompt reads as int8 codes, which lie as weights held in so many bits want them. */
export type CodesName = `codes.${Read}.${CodeBits}`;
/** By product, and by matrix. Products with experts take no codes. */
const READ: Readonly<Record<string, Read>> = {
  ...{ q: 'h', k: 'h', v: 'h', qkv: 'h', o: 'att' },
  ...{ gate: 'h', up: 'h', gateUp: 'h', gateAndUp: 'h', down: 'act' },
};

/** The codes of products, or of matrices, whose weights are held in so many bits. */
export const codesOf = (all: Iterable<readonly [name: string, held: CodeBits]>): ReadonlySet<CodesName> =>
  new Set(
    Array.from(all, ([name, held]) => [READ[name.split('.')[0]!], held] as const).flatMap(([read, held]) =>
      read ? (`codes.${read}.${held}` as const) : [],
    ),
  );

/** Words of a row of codes. */
export function codesPitch({ width, heads, headWidth, feedForward }: Config, name: CodesName): number {
  const of: Readonly<Record<Read, number>> = { h: width, att: heads * headWidth, act: feedForward };
  return pitchWords(of[name.split('.')[1] as Read], 1);
}
/** Bytes of the codes of a prompt's rows. */
export const codesBytes = (config: Config, name: CodesName): number => 4 * MOST_ROWS * codesPitch(config, name);

/** Bytes of the cache of a layer, and of the parts that its attention shares with others. @throws ArgumentError, UnsupportedError */
export function cacheSizes(
  config: Config,
  kv: KvDType,
  capacity: number,
  layer = 0,
): { readonly k: number; readonly v: number; readonly parts: number } {
  const heads = headsOf(config, kv, capacity, layer);
  const { bytes } = attendDispatches(heads, { software: false, positions: capacity })[0]!;
  return { k: cacheBytes(heads), v: cacheBytes(heads), parts: bytes.parts ?? 0 };
}

/** Bytes of the cache of all layers, and of the parts. @throws ArgumentError, UnsupportedError */
export function cacheTotal(config: Config, kv: KvDType, capacity: number): { readonly cache: number; readonly parts: number } {
  const all = Array.from({ length: config.layers }, (_, layer) => cacheSizes(config, kv, capacity, layer));
  return { cache: all.reduce((sum, { k, v }) => sum + k + v, 0), parts: Math.max(...all.map(({ parts }) => parts)) };
}

/** Bytes of keys and values that the query behind so many positions meets, its own among them. @throws ArgumentError, UnsupportedError */
export function cacheRead(config: Config, kv: KvDType, position: number): number {
  let sum = 0;
  for (let layer = 0; layer < config.layers; layer++) {
    const heads = headsOf(config, kv, position + 1, layer);
    sum += 2 * cacheBytes({ ...heads, capacity: Math.min(heads.capacity, heads.window ?? Infinity) });
  }
  return sum;
}

/**
 * Does every layer still have what the query of a position meets before it, after positions below `written` went into the cache? Rings have lost
 * the first of them.
 */
export function keeps(
  config: Config,
  position: number,
  { capacity, written }: { readonly capacity: number; readonly written: number },
): boolean {
  for (let layer = 0; layer < config.layers; layer++) {
    const { window } = attentionOfLayer(config, layer);
    if (window !== undefined && Math.max(0, position + 1 - window) < written - slotsOf(config, capacity, layer)) return false;
  }
  return true;
}

/** Positions of a cache that has room for so many. */
export function capacityFor(positions: number, context: number): number {
  let capacity = FIRST_CAPACITY;
  while (capacity < positions) capacity *= 2;
  return Math.min(capacity, context);
}

/** A copy from one layout of the cache to another, in bytes. */
export interface Run {
  readonly from: number;
  readonly to: number;
  readonly size: number;
}

/** The runs that bring the first `used` positions of a layer's K, or of V, to a cache of more slots. A ring that was full stays as it is. */
export function growth(
  config: Config,
  what: 'k' | 'v',
  { kv, from, to, used }: { readonly kv: KvDType; readonly from: number; readonly to: number; readonly used: number },
): readonly Run[] {
  const { kvHeads } = config;
  const { padded } = paddedWidth(headsOf(config, kv, 1));
  const number = KV_BYTES[kv];
  // K lies quad by quad, V head by head.
  const [runs, position] = what === 'k' ? [(kvHeads * padded) / 4, 4 * number] : [kvHeads, padded * number];
  if (used === 0) return [];
  const run = (i: number, bytes: number, begin: number): Run => ({
    from: from * (begin + i * bytes),
    to: to * (begin + i * bytes),
    size: used * bytes,
  });
  const factor = FACTOR_BYTES[kv];
  return [
    ...Array.from({ length: runs }, (_, i) => run(i, position, 0)),
    ...(factor > 0 ? Array.from({ length: kvHeads }, (_, i) => run(i, factor, kvHeads * padded * number)) : []),
  ];
}

/** How a prompt of so many rows is cut: the rows of each chunk, and the class that runs it. The cheapest of all ways. */
export function chunksOf(
  rows: number,
  { software }: { readonly software: boolean },
  classes: readonly number[] = CLASSES,
): readonly { readonly rows: number; readonly of: number }[] {
  const fixed = software ? FIXED_ROWS.software : FIXED_ROWS.gpu;
  const full = Array.from({ length: Math.max(0, Math.floor(rows / MOST_ROWS) - 1) }, () => ({ rows: MOST_ROWS, of: MOST_ROWS }));
  const left = rows - full.length * MOST_ROWS;
  const cost = new Float64Array(left + 1).fill(Infinity);
  const first = new Int32Array(left + 1);
  cost[0] = 0;
  for (let n = 1; n <= left; n++)
    for (const of of classes) {
      const price = fixed + of + cost[Math.max(0, n - of)]!;
      if (price <= cost[n]!) [cost[n], first[n]] = [price, of];
    }
  const chunks: { readonly rows: number; readonly of: number }[] = [...full];
  for (let n = left; n > 0; ) {
    const of = first[n]!;
    chunks.push({ rows: Math.min(of, n), of });
    n -= Math.min(of, n);
  }
  return chunks;
}
