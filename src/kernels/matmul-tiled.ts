// Many rows on a GPU: x and dequantized weights pass through workgroup memory.
import type { Kernel } from './kernel.js';
import { operandBindings, operandUniforms, withinLimit } from './operands.js';

const SIDE = 16;
/** x tile (16·ROWS rows of 16 k, and a vec4 to spare in each) and w tile (16 k of 16 quads). */
const workgroupBytes = (rows: number): number => 16 * (SIDE * rows * 5 + 16 * SIDE);

export const matmulTiled: Kernel = {
  name: 'matmul-tiled',
  bindings: operandBindings,
  uniforms: operandUniforms,
  tiles: [{ ROWS: 2 }, { ROWS: 4 }],
  choose(problem, caps) {
    if (caps.software) return 'barriers and workgroup memory cost more than they save on a software adapter';
    const rows = problem.m <= 2 * SIDE ? 2 : 4;
    return { tile: { ROWS: rows }, why: `rows ${problem.m}, a GPU: tiles of ${SIDE * rows} × ${4 * SIDE} through workgroup memory` };
  },
  suits: (_tile, caps) => !caps.software,
  fit: (_problem, caps, tile) =>
    withinLimit('maxComputeInvocationsPerWorkgroup', SIDE * SIDE, caps) ??
    withinLimit('maxComputeWorkgroupStorageSize', workgroupBytes(tile.ROWS!), caps) ?? { rows: SIDE * tile.ROWS!, quads: SIDE },
};
