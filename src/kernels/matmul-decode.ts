// Few rows of x on a GPU, in one dispatch: every byte of weights is read once, 16 at a time, k in slices of a workgroup so that many lanes read.
import { PRECISE } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { BLOCK, type CodeBits, widthOf } from '../problem/code-width.js';
import { groupWords, type Problem } from '../problem/problem.js';
import { CODEBOOKS } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import type { CostOf, Kernel } from './kernel.js';
import { prefersTrick, trickRefused, withTrick } from './lanes.js';
import { codesInLow, EXPERTS_SUMMED, operandBindings, operandUniforms, tableBytes, withinLimit } from './operands.js';

/** With more rows, registers hold fewer products for each of them than matmul-prefill's. */
const MAX_ROWS = 4;

interface Tile extends Params {
  readonly ROWS: number;
  readonly LANES: number;
  readonly SLICES: number;
  readonly UNROLL: number;
  readonly TRICK: number;
}

/** Most words of a step: of one block and one high word; with more rows of 16 k, since their x takes registers and the text grows. */
function longest(held: CodeBits, rows: number): number {
  const { low, high, inLow } = widthOf(held);
  return Math.min(high > 0 ? low / high : low, rows > 1 ? BLOCK / 2 / inLow : BLOCK);
}

/** And of one group, so that a step ends where it does. */
function mostOfStep({ weights }: Problem, rows: number): number {
  const words = groupWords(weights);
  return Math.min(longest(weights.held, rows), weights.groups > 1 ? words & -words : BLOCK);
}

/**
 * Words of a step. Half as many where registers would leave fewer than 12 waves on AMD, or spill on Intel: high parts of codes beside a zero
 * point or a minimum.
 */
function stepOf(problem: Problem, caps: Caps, rows: number): number {
  const { held, shift } = problem.weights;
  const most = mostOfStep(problem, rows);
  const crowded = rows === 1 && widthOf(held).high > 0 && (shift !== 'none' || caps.vendor === 'intel');
  return crowded && most * widthOf(held).inLow === BLOCK ? most / 2 : most;
}

/** Of a workgroup. They keep 4 kB in its memory for each row: 16 kB at most, the least that devices have. */
const INVOCATIONS = 256;
/** Lanes along n; each row of them is a slice of k. The widest first: they read the longest runs of memory. */
const WIDTHS = [64, 32, 16, 8];
/** With fewer lanes, neighbours read less than 256 bytes in one go: only where measuring finds it faster. */
const LEAST_WIDTH = 16;
/** Words of a step by rows, those of most formats first; steps of one word, for the few formats with such groups, have one width. */
const STEPS: Readonly<Record<number, readonly number[]>> = { 1: [4, 8, 2, 1], 2: [4, 2, 1], 4: [4, 2, 1] };

const tilesOf = (ROWS: number): Tile[] =>
  WIDTHS.filter((lanes) => ROWS === 1 || lanes === 64 || lanes === LEAST_WIDTH).flatMap((LANES) =>
    [0, 1].flatMap((TRICK) =>
      STEPS[ROWS]!.filter((UNROLL) => UNROLL > 1 || LANES === LEAST_WIDTH).map((UNROLL) => ({
        ROWS,
        LANES,
        SLICES: INVOCATIONS / LANES,
        UNROLL,
        TRICK,
      })),
    ),
  );
const TILES = [1, 2, 4].flatMap(tilesOf);

/** Why `tile` cannot run here; undefined if it can. */
const lacking = ({ ROWS, LANES, SLICES }: Tile, problem: Problem, caps: Caps): string | undefined =>
  withinLimit('maxComputeInvocationsPerWorkgroup', LANES * SLICES, caps) ??
  withinLimit('maxComputeWorkgroupStorageSize', 16 * SLICES * ROWS * LANES + tableBytes(problem), caps);

/** As wide as leaves enough workgroups to keep the device busy. */
function tileFor(problem: Problem, caps: Caps, { rows, trick }: { readonly rows: number; readonly trick: number }): Tile | undefined {
  const { m, weights } = problem;
  const step = stepOf(problem, caps, rows);
  const fits = TILES.filter((one) => one.ROWS === rows && one.TRICK === trick && one.UNROLL === step && !lacking(one, problem, caps));
  const busy = ({ LANES }: Tile): boolean => Math.ceil(m / rows) * Math.ceil(weights.n / (4 * LANES)) * INVOCATIONS >= caps.lanes;
  return fits.find((one) => one.LANES === LEAST_WIDTH || busy(one)) ?? fits[0];
}

export const matmulDecode: Kernel = {
  name: 'matmul-decode',
  bindings: operandBindings,
  uniforms: operandUniforms,
  experts: true,
  scalesRows: true,
  sumsPairs: true,
  codebooks: ['none', 'table', 'e2m1', 'e4m3'],
  excludes: ({ BITS, ROWS, UNROLL, TRICK, CODEBOOK, EXPERTS }) =>
    UNROLL! > longest(BITS as CodeBits, ROWS!) ||
    (TRICK === 1 && CODEBOOK !== CODEBOOKS.none) ||
    (EXPERTS === EXPERTS_SUMMED && ROWS !== 1),
  tiles: TILES,
  choose(problem, caps) {
    if (caps.software) return 'made for the coalesced loads of a GPU';
    const { m } = problem;
    if (m > MAX_ROWS) return `rows ${m}: from ${MAX_ROWS + 1} on, weights are better made floats once for more rows`;
    // Intel's 128 registers hold one row of four columns.
    const most = caps.vendor === 'intel' || m === 1 ? 1 : m === 2 ? 2 : 4;
    const trick = prefersTrick(problem, caps) ? 1 : 0;
    const tile = [4, 2, 1]
      .filter((rows) => rows <= most)
      .map((rows) => tileFor(problem, caps, { rows, trick }))
      .find((one) => one);
    if (!tile) return "no tile is within the device's limits";
    return {
      tile,
      why: `rows ${m}, a GPU: 16 bytes of weights a lane, read once for ${tile.ROWS}, k in ${tile.SLICES} slices of a workgroup`,
    };
  },
  fit(problem, caps, params) {
    const tile = params as Tile;
    const apart =
      tile.UNROLL > mostOfStep(problem, tile.ROWS) ? `UNROLL=${tile.UNROLL} words do not share a block, a group or a high word` : undefined;
    return apart ?? trickRefused(problem, tile) ?? lacking(tile, problem, caps) ?? { rows: tile.ROWS, quads: tile.LANES };
  },
  // Intel's registers spill with more rows.
  suits: (tile, caps) => !caps.software && (caps.vendor !== 'intel' || tile.ROWS === 1),
  accuracy: (_problem, params) => withTrick({ ...PRECISE, sumRun: params.UNROLL! * codesInLow(params.BITS!) }, params),
};

export const cost: CostOf = ({ BITS, ROWS, UNROLL }) => {
  const k = UNROLL! * codesInLow(BITS!);
  return { rows: ROWS!, columns: 4, k, around: 2 * INVOCATIONS * k };
};
