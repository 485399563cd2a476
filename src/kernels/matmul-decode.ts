// Few rows of x on a GPU: every byte of weights is read once, 16 at a time, k in slices and splits so that the whole device reads.
import { PRECISE } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { type CodeBits, widthOf } from '../problem/code-width.js';
import { groupWords, type Problem } from '../problem/problem.js';
import { CODEBOOKS, hasUnits } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import type { Binding, CostOf, Kernel } from './kernel.js';
import { prefersTrick, trickRefused, withTrick } from './lanes.js';
import { codesInLow, operandBindings, operandUniforms, tableBytes, withinLimit } from './operands.js';
import { splitsOf } from './splits.js';

/** With more rows, registers hold fewer products for each of them than matmul-prefill's. */
const MAX_ROWS = 4;

interface Tile extends Params {
  readonly ROWS: number;
  readonly LANES: number;
  readonly SLICES: number;
  readonly UNROLL: number;
  readonly TRICK: number;
}

/** Most words in flight: as many as leave 12 waves of 64 lanes (AMD) at one row, 8 at four. Sums of bytes need more registers than halves. */
const UNROLLS: Readonly<Record<number, readonly [number, number]>> = { 1: [4, 4], 2: [2, 4], 4: [1, 2] };
/** More words leave fewer waves where they are bytes of whole codes, or where units of scales and minima take registers beside high parts. */
const FEWER = 2;

const tilesOf = (ROWS: number, LANES: number, SLICES: number): Tile[] =>
  [0, 1].flatMap((TRICK) =>
    [4, 2, 1].filter((UNROLL) => UNROLL <= UNROLLS[ROWS]![TRICK]!).map((UNROLL) => ({ ROWS, LANES, SLICES, UNROLL, TRICK })),
  );

/** Low words under a high word; all of them where there is none. */
function sharing(held: CodeBits): number {
  const { low, high } = widthOf(held);
  return high > 0 ? low / high : low;
}

/** Words in flight for a problem: those of a high word and of a group, so that none are taken one by one. */
function inFlight({ weights }: Problem, { ROWS, TRICK }: Pick<Tile, 'ROWS' | 'TRICK'>): number {
  const { held, scaleDtype, shift } = weights;
  const bytes = TRICK === 0 && widthOf(held).high === 0;
  const registers = hasUnits(scaleDtype) && shift === 'minimum' && widthOf(held).high > 0;
  const most = Math.min(UNROLLS[ROWS]![TRICK]!, bytes || registers ? FEWER : 4, sharing(held));
  return weights.groups > 1 ? Math.min(most, largestPower(groupWords(weights))) : most;
}
const largestPower = (words: number): number => 2 ** Math.floor(Math.log2(words));

// Slices: with a row of lanes as long as the longest subgroup, a subgroup has one of them. The sums of all slices and rows take 16 kB of
// workgroup memory or less, the least that devices have.
const SLICED = [...tilesOf(1, 32, 8), ...tilesOf(1, 64, 8), ...tilesOf(2, 64, 4), ...tilesOf(4, 64, 4)];
// Without subgroups there is one slice, whose address of x is uniform as it is: splits alone share k out.
const WHOLE = [...tilesOf(1, 64, 1), ...tilesOf(2, 64, 1), ...tilesOf(4, 64, 1)];

/** Why `tile` cannot run here; undefined if it can. */
const lacking = ({ ROWS, LANES, SLICES }: Tile, problem: Problem, caps: Caps): string | undefined =>
  (SLICES > 1 && !caps.subgroups ? 'SLICES above 1 need the feature subgroups' : undefined) ??
  withinLimit('maxComputeInvocationsPerWorkgroup', LANES * SLICES, caps) ??
  withinLimit('maxComputeWorkgroupStorageSize', 16 * SLICES * ROWS * LANES + tableBytes(problem), caps);

const X_SUMS: Binding = { name: 'x_sums', binding: 8, access: 'read', when: ({ CODEBOOK }) => CODEBOOK === CODEBOOKS.none };

export const matmulDecode: Kernel = {
  name: 'matmul-decode',
  bindings: [...operandBindings, X_SUMS].sort((a, b) => a.binding - b.binding),
  uniforms: operandUniforms,
  experts: true,
  before: 'sum-rows',
  codebooks: ['none', 'table', 'e2m1', 'e4m3'],
  excludes: ({ BITS, UNROLL, TRICK, CODEBOOK }) => UNROLL! > sharing(BITS as CodeBits) || (TRICK === 1 && CODEBOOK !== CODEBOOKS.none),
  needs: ({ SLICES }) => (SLICES! > 1 ? ['subgroups'] : []),
  tiles: [...SLICED, ...WHOLE],
  choose(problem, caps) {
    if (caps.software) return 'made for the coalesced loads and scalar registers of a GPU';
    if (problem.m > MAX_ROWS) return `rows ${problem.m}: from ${MAX_ROWS + 1} on, weights are better made floats once for more rows`;
    const intel = caps.vendor === 'intel';
    // Intel's 128 registers hold one row of four columns, or none without spilling; slices cost it registers too.
    const rows = intel || problem.m === 1 ? 1 : problem.m === 2 ? 2 : 4;
    const trick = prefersTrick(problem, caps) ? 1 : 0;
    const unroll = inFlight(problem, { ROWS: rows, TRICK: trick });
    const subgroup = Math.min(64, caps.maxSubgroupSize);
    const tile = [...(intel ? [] : SLICED.filter(({ LANES }) => LANES >= subgroup)), ...WHOLE].find(
      (one) => one.ROWS === rows && one.TRICK === trick && one.UNROLL === unroll && !lacking(one, problem, caps),
    );
    if (!tile) return `no tile of ${rows} rows is within the device's limits`;
    const slices = tile.SLICES > 1 ? `, k in ${tile.SLICES} slices of a workgroup` : '';
    return { tile, why: `rows ${problem.m}, a GPU: 16 bytes of weights a lane, read once for ${rows}${slices}` };
  },
  fit(problem, caps, params) {
    const tile = params as Tile;
    const apart =
      tile.UNROLL > sharing(problem.weights.held) ? `UNROLL=${tile.UNROLL} words do not share a block or a high word` : undefined;
    return apart ?? trickRefused(problem, tile) ?? lacking(tile, problem, caps) ?? { rows: tile.ROWS, quads: tile.LANES };
  },
  // Intel's registers spill with slices or more rows.
  suits: (tile, caps) => !caps.software && (caps.vendor !== 'intel' || (tile.ROWS === 1 && tile.SLICES === 1)),
  splits(problem, caps, params) {
    const { ROWS, LANES, SLICES } = params as Tile;
    return splitsOf(problem, caps, { rows: ROWS, quads: LANES, lanes: LANES * SLICES, slices: SLICES });
  },
  accuracy: (_problem, params) => withTrick(PRECISE, params),
};

export const cost: CostOf = ({ BITS, ROWS, UNROLL }) => ({ rows: ROWS!, columns: 4, k: UNROLL! * codesInLow(BITS!), around: 32 });
