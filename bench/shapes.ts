// The table of sessions. A session has one matrix of weights for all its numbers of rows, so that a peer builds one model.
import { BITS, type Bits } from '../src/problem/code-width.js';
import type { AdapterKind, Cell } from './results.js';

/**
 * Additional contenders of a session beside the planner's choice, the peers, and (at M = 1 and M ≥ 128) the limits. With `wasm` the CPU
 * peer replaces the GPU peers and limits, since its threads would take cores from them.
 */
export type Extra = 'kernels' | 'without-subgroups' | 'dense' | 'wasm';

export interface Session extends Pick<Cell, 'k' | 'n' | 'bits' | 'group' | 'dtype' | 'offset'> {
  readonly rows: readonly number[];
  readonly extras: readonly Extra[];
}

type Row = readonly [
  bits: Bits,
  group: number,
  k: number,
  n: number,
  rows: readonly number[],
  options?: { offset?: boolean; extras?: Extra[] },
];

const MATRICES = {
  32: [
    [2048, 2048],
    [896, 4864],
    [4864, 896],
  ],
  128: [
    [2048, 2048],
    [4864, 896],
  ],
} as const;
/** Two and eight rows do not depend on the format, so one session has them. */
const EVERY_ROW = [1, 2, 4, 8, 16, 128];
const SOME_ROWS = [1, 4, 16, 128];
const EVERY: Extra[] = ['without-subgroups', 'kernels', 'dense'];

/** The grid of the targets. The first session also has every kernel and a dense product. */
const GRID: readonly Row[] = ([32, 128] as const).flatMap((group) =>
  BITS.flatMap((bits) =>
    MATRICES[group].map(([k, n], i): Row => {
      const plain = bits === 4 && group === 32;
      return [bits, group, k, n, plain ? EVERY_ROW : SOME_ROWS, plain && i === 0 ? { extras: EVERY } : {}];
    }),
  ),
);
/** Other products: small and large matrices, offsets, per-channel scales, many rows. */
const SPOTS: readonly Row[] = [
  [4, 32, 1024, 1024, [1, 16, 128]],
  [4, 32, 2048, 8192, [1, 4]],
  [4, 32, 1024, 1024, [1, 16], { offset: true }],
  [8, 32, 1024, 1024, [1, 16], { offset: true }],
  [4, 0, 1024, 1024, [1, 16]],
  [8, 0, 1024, 1024, [1, 16]],
  [4, 32, 1024, 1024, [512], { extras: [] }],
];
const QUICK: readonly Row[] = [
  [4, 32, 2048, 2048, [1, 4, 16, 128]],
  [8, 128, 4864, 896, [1, 4]],
];
/** For browsers, which have threads. It is the last session, since its threads stay. */
const WASM: Row = [4, 32, 2048, 2048, [1, 4, 16, 128], { extras: ['wasm'] }];

const session = ([bits, group, k, n, rows, { offset = false, extras = [] } = {}]: Row, dtype: Session['dtype']): Session => ({
  bits,
  group,
  k,
  n,
  dtype,
  rows,
  offset,
  extras,
});

export interface Selection {
  readonly mode: 'quick' | 'full';
  readonly kind: AdapterKind;
  readonly f16: boolean;
  /** Is the host a browser? It then has the wasm peer. */
  readonly browser: boolean;
}

/**
 * The sessions of one host. On lavapipe the two hosts share the work: the browser takes float16 and the wasm peer, Dawn takes float32.
 * A GPU runs both on either host.
 */
export function select({ mode, kind, f16, browser }: Selection): Session[] {
  const table = mode === 'quick' ? QUICK : [...GRID, ...SPOTS];
  const dtypes: Session['dtype'][] =
    kind === 'swiftshader' || !f16 ? ['float32'] : kind === 'gpu' ? ['float32', 'float16'] : browser ? ['float16'] : ['float32'];
  const wasm = browser && (mode === 'full' || kind === 'lavapipe') ? [session(WASM, 'float32')] : [];
  return [...dtypes.flatMap((dtype) => table.map((row) => session(row, dtype))), ...wasm];
}

/** Is a cell of this name part of the run? */
export const restrict = (sessions: readonly Session[], wanted: (session: Session, m: number) => boolean): Session[] =>
  sessions.map((one) => ({ ...one, rows: one.rows.filter((m) => wanted(one, m)) })).filter(({ rows }) => rows.length > 0);
