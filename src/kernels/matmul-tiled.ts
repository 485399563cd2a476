// Many rows on a GPU with few registers: x and dequantized weights pass through workgroup memory.
import { ONE_SUM } from '../problem/accuracy.js';
import type { Problem } from '../problem/problem.js';
import type { CostOf, Kernel } from './kernel.js';
import { operandBindings, operandUniforms, tableBytes, withinLimit } from './operands.js';
import { splitsOf } from './splits.js';

const SIDE = 16;
const LANES = SIDE * SIDE;
const TILE_K = 32;
/** The tiles of x (16·ROWS rows of 32 k) and of w (32 k of 16 quads): 16 kB, the least that devices have, at 4 rows a lane; and a table. */
const workgroupBytes = (rows: number, problem: Problem): number => 4 * TILE_K * SIDE * rows + 16 * TILE_K * SIDE + tableBytes(problem);

export const matmulTiled: Kernel = {
  name: 'matmul-tiled',
  bindings: operandBindings,
  uniforms: operandUniforms,
  rounds: true,
  codebooks: ['none', 'table', 'e2m1', 'e4m3'],
  // 4 rows × 4 columns a lane are what Intel's 128 registers hold; 8 × 4 spill.
  tiles: [{ ROWS: 1 }, { ROWS: 2 }, { ROWS: 4 }],
  choose(problem, caps) {
    if (caps.software) return 'barriers and workgroup memory cost more than they save on a software adapter';
    const wanted = problem.m <= SIDE ? 1 : problem.m <= 2 * SIDE ? 2 : 4;
    const rows = workgroupBytes(wanted, problem) <= caps.maxComputeWorkgroupStorageSize ? wanted : Math.min(wanted, 2);
    return { tile: { ROWS: rows }, why: `rows ${problem.m}, a GPU: tiles of ${SIDE * rows} × ${4 * SIDE} through workgroup memory` };
  },
  suits: (_tile, caps) => !caps.software,
  fit: (problem, caps, tile) =>
    withinLimit('maxComputeInvocationsPerWorkgroup', LANES, caps) ??
    withinLimit('maxComputeWorkgroupStorageSize', workgroupBytes(tile.ROWS!, problem), caps) ?? { rows: SIDE * tile.ROWS!, quads: SIDE },
  splits: (problem, caps, tile) => splitsOf(problem, caps, { rows: SIDE * tile.ROWS!, quads: SIDE, lanes: LANES }),
  accuracy: () => ONE_SUM,
};

export const cost: CostOf = ({ ROWS }) => ({ rows: ROWS!, columns: 4, k: 4, around: TILE_K });
