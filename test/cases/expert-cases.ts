// The table of experts: every kernel that takes many matrices, every way in which rows meet experts, and edges of ids. Tests on every engine
// share it.
import { decode16, type FloatDType, roundTo } from '../../src/dtype.js';
import { kernels } from '../../src/kernels/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { codebooksOf } from '../../src/kernels/operands.js';
import type { Accuracy } from '../../src/problem/accuracy.js';
import type { HostTensor } from '../../src/reference/reference.js';
import { referenceMatrix } from '../../src/reference/reference-matrix.js';
import type { ReferenceResult } from '../../src/reference/sums.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { random } from './data.js';
import { type MatrixCase, makeMatrix } from './matrix-cases.js';
import { whole } from './slice.js';

/** Which experts the pairs name. */
type Ids = 'any' | 'one' | 'outside' | 'distinct';

export interface ExpertCase
  extends Pick<
    MatrixCase,
    'name' | 'm' | 'n' | 'k' | 'bits' | 'groupSize' | 'shift' | 'scaleDtype' | 'dtype' | 'bias' | 'exact' | 'force' | 'caps'
  > {
  readonly experts: number;
  /** Experts of a row of x; or, with `own`, rows of x that each meet one. */
  readonly top: number;
  readonly own: boolean;
  /** any: some ids name no expert. one: all name the last one. outside: none names one. distinct: those of a row differ. */
  readonly ids: Ids;
  /** The pairs come sorted. */
  readonly sorted: boolean;
  /** A row of y is the weighted sum of a row's pairs. */
  readonly summed: boolean;
  /** y is added to what it holds. */
  readonly add: boolean;
}

const DEFAULT: Omit<ExpertCase, 'name'> = {
  experts: 5,
  top: 2,
  own: false,
  ids: 'any',
  sorted: false,
  summed: false,
  add: false,
  m: 7,
  n: 20,
  k: 96,
  bits: 4,
  groupSize: 32,
  shift: 'none',
  scaleDtype: 'float32',
  dtype: 'float32',
  bias: false,
  exact: true,
  force: undefined,
  caps: {},
};

function makeCase(change: Partial<Omit<ExpertCase, 'name'>>): ExpertCase {
  const c = { ...DEFAULT, ...change };
  const words = [
    `${c.experts} experts`,
    `${c.m} rows of ${c.top}`,
    c.own && 'each its own',
    c.ids,
    c.sorted && 'sorted',
    c.summed && 'summed',
    c.add && 'added',
    `${c.k}·${c.n}`,
    `${c.bits} bits`,
    c.groupSize < c.k ? `g${c.groupSize}` : 'no groups',
    c.shift !== 'none' && c.shift,
    `${c.scaleDtype} scales`,
    `${c.dtype} x`,
    c.bias && 'bias',
    c.exact ? 'exact' : 'random',
    c.force && variantId(c.force.kernel, c.force.tile ?? {}),
    ...Object.entries(c.caps).map(([name, value]) => `${name}=${value}`),
  ];
  return { ...c, name: words.filter(Boolean).join(' ') };
}

const ofEachRows = (tiles: readonly Params[]): Params[] => [
  ...new Map([...tiles].reverse().map((tile) => [`${tile.WIDTH} ${tile.HALF} ${tile.ROWS}`, tile])).values(),
];
const DTYPES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];
const SHIFTS = ['none', 'zero point', 'minimum', 'codebook', 'E2M1', 'E4M3'] as const;
const MEANING = { none: 'none', 'zero point': 'none', minimum: 'none', codebook: 'table', E2M1: 'e2m1', E4M3: 'e4m3' } as const;
const FLOATS_OF_8 = 'E4M3';

const everyKernel = kernels
  .filter(({ experts }) => experts)
  .flatMap((kernel, i) =>
    SHIFTS.filter((shift) => codebooksOf(kernel).includes(MEANING[shift])).map((shift, j) =>
      makeCase({
        shift,
        bits: shift === FLOATS_OF_8 || (MEANING[shift] === 'none' && (i + j) % 2 === 1) ? 8 : 4,
        scaleDtype: DTYPES[(i + j) % 3]!,
        dtype: DTYPES[(i + 2 * j + 1) % 3]!,
        bias: j % 2 === 0,
        sorted: (i + j) % 2 === 0,
        force: { kernel: kernel.name },
      }),
    ),
  );
/** A tile for each number of rows, which decides the list of blocks that is read; in `npm run test:all` every tile. */
const everyTile = kernels
  .filter(({ experts }) => experts)
  .flatMap(({ name, tiles, codebooks, excludes }) => {
    const taken = tiles.filter((tile) => !excludes?.({ BITS: 4, CODEBOOK: 0, ...tile }));
    return (whole ? taken : ofEachRows(taken)).map((tile, i) =>
      makeCase({
        m: 11,
        top: 3,
        n: 36,
        groupSize: tile.HALF === 1 ? 16 : 32,
        shift: codebooks && !codebooks.includes('none') ? 'codebook' : 'none',
        dtype: tile.TRICK === 1 ? 'float16' : DTYPES[i % 3]!,
        force: { kernel: name, tile },
      }),
    );
  });
const ways = [
  makeCase({ ids: 'one', top: 1, m: 33 }),
  makeCase({ ids: 'outside', bias: true }),
  makeCase({ own: true, bias: true }),
  makeCase({ own: true, sorted: true, shift: 'zero point', exact: false, dtype: 'float16' }),
  makeCase({ experts: 1, top: 1, ids: 'one' }),
  makeCase({ experts: 300, m: 40, top: 8, n: 8, k: 32, ids: 'distinct' }), // more experts than lanes that sort them
  makeCase({ experts: 64, m: 130, top: 4, n: 12, k: 64, ids: 'distinct', sorted: true }), // more pairs than lanes
  makeCase({ m: 1, top: 4, ids: 'distinct', n: 260, k: 256, exact: false }),
  makeCase({ m: 64, top: 4, experts: 8, ids: 'distinct', n: 68, k: 160, exact: false, dtype: 'float16' }),
];
// Sums of pairs: by the kernel where y is one row, and else of rows in scratch memory.
const asGpu = { software: false } as const;
const sums = [
  ...kernels
    .filter(({ experts }) => experts)
    .map(({ name, codebooks }, i) =>
      makeCase({
        ...{ summed: true, add: i % 2 === 0, own: i % 3 === 0, bias: true, dtype: DTYPES[i % 3]!, force: { kernel: name } },
        shift: codebooks && !codebooks.includes('none') ? 'codebook' : 'none',
      }),
    ),
  ...DTYPES.map((dtype, i) => makeCase({ m: 3, n: 13, summed: true, add: i > 0, dtype, own: true, bias: true })), // rows of y are no whole quads
  ...[false, true].flatMap((own) =>
    SHIFTS.map((shift, i) =>
      makeCase({
        m: 1,
        top: 4,
        n: 260,
        k: 160,
        own,
        shift,
        bits: shift === FLOATS_OF_8 ? 8 : 4,
        summed: true,
        add: i % 2 === 0,
        bias: i % 3 === 0,
        dtype: DTYPES[i % 3]!,
        sorted: own,
        caps: asGpu,
      }),
    ),
  ),
  makeCase({ m: 1, top: 5, ids: 'outside', summed: true, add: true, bias: true, caps: asGpu }),
  makeCase({ m: 1, top: 8, experts: 40, ids: 'distinct', n: 132, k: 512, summed: true, own: true, exact: false, caps: asGpu }),
  makeCase({
    m: 1,
    top: 6,
    experts: 9,
    n: 20,
    k: 128,
    summed: true,
    own: true,
    bias: true,
    caps: { ...asGpu, maxStorageBufferBindingSize: 4096 },
  }),
  makeCase({ m: 1, top: 6, experts: 9, n: 20, k: 128, summed: true, add: true, caps: { ...asGpu, maxStorageBufferBindingSize: 4096 } }),
  makeCase({ m: 5, top: 3, n: 68, k: 160, summed: true, own: true, exact: false, dtype: 'float16' }),
];
const edges = DTYPES.flatMap((dtype, i) => [
  makeCase({ n: 13, k: 77, groupSize: 16, shift: SHIFTS[i]!, dtype, exact: false, bits: 8, bias: true }),
  makeCase({ n: 37, k: 200, groupSize: 200, shift: SHIFTS[i + 2]!, dtype, exact: false, sorted: true }),
]);
// Several matrices in a binding, and several bindings.
const bindings = [
  makeCase({ experts: 9, m: 7, n: 20, k: 128, caps: { maxStorageBufferBindingSize: 4096 } }),
  makeCase({
    experts: 9,
    m: 7,
    n: 20,
    k: 128,
    shift: 'minimum',
    scaleDtype: 'float16',
    bias: true,
    caps: { maxStorageBufferBindingSize: 4096 },
  }),
  // As a GPU would do it, made with the device at hand.
  ...[1, 6, 40].map((m) => makeCase({ m, n: 260, k: 512, exact: false, dtype: 'float16', caps: { software: false } })),
];

export const expertCases: readonly ExpertCase[] = [
  ...new Map([...everyKernel, ...everyTile, ...ways, ...sums, ...edges, ...bindings].map((c) => [c.name, c])).values(),
];

/** Ids of pairs, (m, top). */
export function idsOf({ name, ids, m, top, experts }: ExpertCase): Int32Array<ArrayBuffer> {
  const next = random(`${name} ids`);
  const below = (count: number): number => Math.floor(next() * count);
  const outside = [-1, experts, experts + 1, -(2 ** 31), 2 ** 31 - 1];
  const row = (): number[] => {
    const all = Array.from({ length: experts }, (_, e) => e);
    return Array.from({ length: top }, () => all.splice(below(all.length), 1)[0]!);
  };
  const list = Array.from({ length: m }, () =>
    ids === 'distinct'
      ? row()
      : Array.from({ length: top }, () =>
          ids === 'one' ? experts - 1 : ids === 'outside' || below(6) === 0 ? outside[below(outside.length)]! : below(experts),
        ),
  );
  return Int32Array.from(list.flat());
}

/** x and the experts' matrices and biases. */
export function makeExperts(c: ExpertCase) {
  const one = { ...c, innerPrecise: 0, weightRounding: 'none', int8: false, permuted: false, scaled: false } as const;
  const rows = c.own ? c.m * c.top : c.m;
  const made = Array.from({ length: c.experts }, (_, e) => makeMatrix({ ...one, m: e === 0 ? rows : 1, name: `${c.name} ${e}` }));
  const { codebook } = made[0]!.matrix; // experts share it
  const matrices = made.map(({ matrix }) => (codebook ? { ...matrix, codebook } : matrix));
  return { x: made[0]!.x, matrices, biases: made.map(({ tensors }) => tensors.bias) };
}

/** The reference's y of every pair, (m, top, n); zeros without an expert. */
export function expectedOf(
  c: ExpertCase,
  { x, matrices, biases }: ReturnType<typeof makeExperts>,
  { ids, accuracy }: { readonly ids: Int32Array; readonly accuracy: Accuracy },
): ReferenceResult {
  const { n, k, top, own, dtype } = c;
  const parts = { data: new Float32Array(ids.length * n), low: new Float32Array(ids.length * n), high: new Float32Array(ids.length * n) };
  const exact = new Float64Array(ids.length * n);
  for (const [pair, id] of ids.entries()) {
    const matrix = matrices[id];
    if (!matrix) continue;
    const row = own ? pair : Math.floor(pair / top);
    const data = (x.data as Float32Array | Uint16Array).slice(row * k, (row + 1) * k);
    const outputDtype = c.summed ? 'float32' : dtype;
    const want = referenceMatrix({ data, shape: [1, k], dtype } as HostTensor, matrix, { bias: biases[id], accuracy, outputDtype });
    for (const name of ['data', 'low', 'high'] as const) parts[name].set(want[name] as Float32Array, pair * n);
    exact.set(want.exact, pair * n);
  }
  return { ...parts, exact, shape: [c.m, top, n], dtype };
}

/** Weights of pairs: powers of two, so that sums are exact; or any. */
export function weightsOf({ name, m, top, exact }: ExpertCase): Float32Array<ArrayBuffer> {
  const next = random(`${name} weights`);
  return Float32Array.from({ length: m * top }, () => (exact ? [1, 2, 0.5, -1][Math.floor(4 * next())]! : next() - 0.3));
}

/** Weighted sums of the pairs of each row, (m, n), and what they are added to; and how far a float32 kernel may be from them. */
export function sumsOf(c: ExpertCase, pairs: ReferenceResult, weights: Float32Array, residual: HostTensor | undefined): ReferenceResult {
  const { m, n, top, dtype } = c;
  const exact = new Float64Array(m * n);
  const bound = new Float64Array(m * n);
  const before = residual && numbersOf(residual);
  for (let i = 0; i < m * n; i++) {
    const column = i % n;
    let size = 0;
    for (let t = 0; t < top; t++) {
      const pair = Math.floor(i / n) * top + t;
      const at = pair * n + column;
      const weight = weights[pair]!;
      exact[i]! += weight * pairs.exact[at]!;
      bound[i]! += Math.abs(weight) * Math.max(pairs.high[at]! - pairs.exact[at]!, pairs.exact[at]! - pairs.low[at]!);
      size += Math.abs(weight * pairs.exact[at]!);
    }
    exact[i]! += before?.[i] ?? 0;
    // Each term is rounded when it is made and whenever another is added; a kernel that sums pairs rounds each sum of a slice, too.
    bound[i]! = 1.01 * bound[i]! + 2 ** -24 * (top + 8) * (size + bound[i]! + Math.abs(before?.[i] ?? 0));
  }
  const of = (slack: number) => Float32Array.from(exact, (sum, i) => roundTo(sum + slack * bound[i]!, dtype));
  return { data: of(0), low: of(-1), high: of(1), exact, shape: [m, n], dtype };
}
const numbersOf = ({ data, dtype }: HostTensor): ArrayLike<number> =>
  dtype === 'float32' ? (data as Float32Array) : decode16(data as Uint16Array, dtype as 'float16');
