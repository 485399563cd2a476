// Many rows of x on a GPU, in registers and without barriers.
import { ONE_SUM } from '../problem/accuracy.js';
import { CODEBOOKS } from '../problem/weight-format.js';
import type { CostOf, Kernel } from './kernel.js';
import { trickRefused, withTrick } from './lanes.js';
import { codesInLow, operandBindings, operandUniforms, withinLimit } from './operands.js';
import { splitsOf } from './splits.js';

export const matmulPrefill: Kernel = {
  name: 'matmul-prefill',
  bindings: operandBindings,
  uniforms: operandUniforms,
  experts: true,
  rounds: true,
  codebooks: ['none', 'e2m1', 'e4m3'],
  excludes: ({ TRICK, CODEBOOK }) => TRICK === 1 && CODEBOOK !== CODEBOOKS.none,
  // 8 rows × 4 columns: 60 registers, 12 waves of 64 lanes on AMD. TRICK saves a tenth of the operations and costs two waves.
  tiles: [
    { ROWS: 8, LANES: 64, TRICK: 0 },
    { ROWS: 8, LANES: 64, TRICK: 1 },
    { ROWS: 4, LANES: 64, TRICK: 0 },
  ],
  choose(problem, caps) {
    if (caps.software) return 'made for the scalar registers of a GPU';
    if (caps.vendor === 'intel') return "Intel's registers hold fewer rows: x and weights through workgroup memory instead";
    const rows = problem.m <= 4 ? 4 : 8;
    const tile = this.tiles.find(({ ROWS, TRICK }) => ROWS === rows && TRICK === 0)!;
    return { tile, why: `rows ${problem.m}, a GPU: ${rows} × 4 of y in a lane's registers, x in scalar registers, no barrier` };
  },
  fit: (problem, caps, tile) =>
    trickRefused(problem, tile) ??
    withinLimit('maxComputeInvocationsPerWorkgroup', tile.LANES!, caps) ?? { rows: tile.ROWS!, quads: tile.LANES! },
  suits: (_tile, caps) => !caps.software && caps.vendor !== 'intel',
  splits: (problem, caps, tile) => splitsOf(problem, caps, { rows: tile.ROWS!, quads: tile.LANES!, lanes: tile.LANES! }),
  // One more multiply-add a weight dequantizes it.
  accuracy: (_problem, params) => withTrick(ONE_SUM, params),
};

export const cost: CostOf = ({ BITS, ROWS }) => ({
  rows: ROWS!,
  columns: 4,
  k: codesInLow(BITS!),
  around: 32,
  macs: 4 * (ROWS! + 1) * codesInLow(BITS!),
});
