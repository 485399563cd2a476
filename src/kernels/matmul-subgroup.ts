// Software adapters with subgroups: lanes share x among them instead of loading it, since loads are what time goes into there.
import type { Params } from '../wgsl/preprocess.js';
import type { Kernel } from './kernel.js';
import { operandBindings, operandUniforms } from './operands.js';

interface Choice {
  /** For problems of up to this many rows. */
  readonly upTo: number;
  readonly tile: Params;
}

const SPAN = 32;
// Register tiles by lanes of a subgroup. SwiftShader (4) gains up to 8 rows × 16 columns; lavapipe (8) loses beyond 32 accumulators.
const TABLES: Readonly<Record<number, readonly Choice[]>> = {
  4: [
    { upTo: 1, tile: { WIDTH: 4, ROWS: 1, QUADS: 4, LANES: 8 } },
    { upTo: 2, tile: { WIDTH: 4, ROWS: 2, QUADS: 4, LANES: 8 } },
    { upTo: 4, tile: { WIDTH: 4, ROWS: 4, QUADS: 4, LANES: 8 } },
    { upTo: Number.POSITIVE_INFINITY, tile: { WIDTH: 4, ROWS: 8, QUADS: 4, LANES: 8 } },
  ],
  8: [
    { upTo: 1, tile: { WIDTH: 8, ROWS: 1, QUADS: 4, LANES: 8 } },
    { upTo: 2, tile: { WIDTH: 8, ROWS: 2, QUADS: 2, LANES: 16 } },
    { upTo: Number.POSITIVE_INFINITY, tile: { WIDTH: 8, ROWS: 4, QUADS: 2, LANES: 16 } },
  ],
};
/** May be forced; no table takes it yet. */
const OTHERS: readonly Params[] = [{ WIDTH: 8, ROWS: 8, QUADS: 1, LANES: 16 }];

export const matmulSubgroup: Kernel = {
  name: 'matmul-subgroup',
  bindings: operandBindings,
  uniforms: operandUniforms,
  tiles: [...Object.values(TABLES).flatMap((table) => table.map(({ tile }) => tile)), ...OTHERS],
  choose(problem, caps) {
    if (!caps.software) return 'passing x between lanes costs a GPU more than reading it again';
    const table = caps.minSubgroupSize === caps.maxSubgroupSize ? TABLES[caps.maxSubgroupSize] : undefined;
    if (!table) return `made for subgroups of 4 or of 8, the device has ${caps.minSubgroupSize} to ${caps.maxSubgroupSize}`;
    const { tile } = table.find(({ upTo }) => problem.m <= upTo)!;
    return {
      tile,
      why: `rows ${problem.m}, a software adapter: ${tile.ROWS} × ${4 * tile.QUADS!} of y in registers, x shared by ${tile.WIDTH} lanes`,
    };
  },
  suits: (tile, caps) => caps.software && tile.WIDTH === caps.minSubgroupSize && tile.WIDTH === caps.maxSubgroupSize,
  fit(problem, caps, tile) {
    if (!caps.subgroups) return 'needs the feature subgroups';
    if (problem.groupSize % SPAN !== 0 && problem.groupSize < problem.k)
      return `groups of ${problem.groupSize} are not whole spans of ${SPAN}`;
    return { rows: tile.ROWS!, quads: tile.QUADS! * tile.LANES! };
  },
};
