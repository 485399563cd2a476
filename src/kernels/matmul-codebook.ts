// Weights whose codes are indices of 16 values: 5 to 8 rows of x on a GPU, any number of them on a software adapter without subgroups of 8.
import { ONE_SUM } from '../problem/accuracy.js';
import type { CostOf, Kernel } from './kernel.js';
import { codesInLow, operandBindings, operandUniforms, tableBytes, withinLimit } from './operands.js';
import { splitsOf } from './splits.js';

/** With more rows, looking each code up once for a tile of matmul-tiled is cheaper. */
const MAX_ROWS = 8;

export const matmulCodebook: Kernel = {
  name: 'matmul-codebook',
  bindings: operandBindings,
  uniforms: operandUniforms,
  experts: true,
  rounds: true,
  codebooks: ['table'],
  tiles: [1, 2, 4, 8].map((ROWS) => ({ ROWS, LANES: 64, TRICK: 0 })),
  choose(problem, caps) {
    if (!caps.software && problem.m > MAX_ROWS) return `rows ${problem.m}: codes are better looked up once for more than ${MAX_ROWS}`;
    const tile = this.tiles.find(({ ROWS }) => ROWS! >= problem.m) ?? this.tiles.at(-1)!;
    return { tile, why: `rows ${problem.m}, codes are indices: each is looked up once for ${tile.ROWS} rows in a lane's registers` };
  },
  fit: (problem, caps, tile) =>
    withinLimit('maxComputeInvocationsPerWorkgroup', tile.LANES!, caps) ??
    withinLimit('maxComputeWorkgroupStorageSize', tableBytes(problem), caps) ?? { rows: tile.ROWS!, quads: tile.LANES! },
  // A software adapter gains nothing by more workgroups, and loses by adding their sums.
  splits: (problem, caps, tile) =>
    caps.software ? 1 : splitsOf(problem, caps, { rows: tile.ROWS!, quads: tile.LANES!, lanes: tile.LANES! }),
  accuracy: () => ONE_SUM,
};

export const cost: CostOf = ({ BITS, ROWS }) => ({ rows: ROWS!, columns: 4, k: codesInLow(BITS!), around: 32 });
