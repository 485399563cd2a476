// Many rows of a float16 x on a GPU with matrix units: exact f16 products by subgroup matrices, scaled and added up in f32.
import { ONE_SUM } from '../problem/accuracy.js';
import type { Caps, MatrixConfig } from '../problem/caps.js';
import { type CodeBits, widthOf } from '../problem/code-width.js';
import type { Params } from '../wgsl/preprocess.js';
import type { CostOf, Kernel } from './kernel.js';
import { operandBindings, operandUniforms, withinLimit } from './operands.js';

/** Below this many rows, half of a tile or more would be idle. */
export const MIN_MATRIX_ROWS = 32;
const ROWS = 64;
const QUADS = 16;
/** k of a tile. */
const TILE_K = 32;
/** Subgroups that multiply, a strip of the tile each. */
const STRIPS = 4;
/** As in the shader: x and w [64][40] as f16, sums [64][68] as f32, and with an offset the sums of 64 rows of x. */
const WORKGROUP_BYTES = 2 * 2 * 64 * 40 + 4 * 64 * 68 + 4 * 64;

// Sizes that devices have; the largest first, because it reads workgroup memory least often for each product.
const SIZES = [
  { M_SIZE: 16, N_SIZE: 16, K_SIZE: 16 },
  { M_SIZE: 8, N_SIZE: 16, K_SIZE: 16 },
  { M_SIZE: 8, N_SIZE: 8, K_SIZE: 8 },
];
const LANES = [128, 256];

/** Can the device multiply matrices of a tile's size, exactly enough? */
export const hasMatrices = (caps: Pick<Caps, 'subgroupMatrix'>, tile: Params): boolean =>
  caps.subgroupMatrix.some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' && resultComponentType === 'f32' && M === tile.M_SIZE && N === tile.N_SIZE && K === tile.K_SIZE,
  );

const hasHighParts = (held: CodeBits): boolean => widthOf(held).high > 0;

const show = ({ componentType, resultComponentType, M, N, K }: MatrixConfig): string =>
  `${componentType} ${M}×${N}×${K} to ${resultComponentType}`;

/** Enough lanes for four subgroups, however large the device makes them; undefined if no tile has as many. */
const lanesFor = (caps: Caps): number | undefined => LANES.find((lanes) => lanes >= STRIPS * caps.maxSubgroupSize);

export const matmulSubgroupMatrix: Kernel = {
  name: 'matmul-subgroup-matrix',
  bindings: operandBindings,
  uniforms: operandUniforms,
  x: ['float16'],
  groups: () => 'blocks',
  // Quads that are not finite are written twice; and Mesa 25 stops while it compiles a text of this kernel that reads y.
  overwrites: true,
  // Mesa 25 stops while it compiles this kernel for some of them.
  excludes: ({ BITS }) => hasHighParts(BITS as CodeBits),
  needs: () => ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'],
  tiles: SIZES.flatMap((size) => LANES.map((lanes) => ({ ...size, LANES: lanes }))),
  choose(problem, caps) {
    if (caps.subgroupMatrix.length === 0) return 'the device has no subgroup matrices';
    if (problem.xDtype !== 'float16') return `x is ${problem.xDtype}: only float16 is exact in matrices of f16`;
    if (problem.m < MIN_MATRIX_ROWS) return `rows ${problem.m}: below ${MIN_MATRIX_ROWS} most of a tile of ${ROWS} rows would be idle`;
    const size = SIZES.find((tile) => hasMatrices(caps, tile));
    if (!size)
      return `the device's subgroup matrices are ${caps.subgroupMatrix.map(show).join(', ')}; f16 to f32 of a known size is needed`;
    const lanes = lanesFor(caps) ?? LANES.at(-1)!;
    const why = `rows ${problem.m}: subgroup matrices of ${size.M_SIZE}×${size.N_SIZE}×${size.K_SIZE}, tiles of ${ROWS} × ${4 * QUADS}`;
    return { tile: { ...size, LANES: lanes }, why };
  },
  fit(problem, caps, tile) {
    const { held } = problem.weights;
    if (hasHighParts(held)) return `codes of ${held} bits have high parts, which a compiler of matrices stopped at`;
    if (!hasMatrices(caps, tile)) {
      const has = caps.subgroupMatrix.map(show).join(', ') || 'none';
      return `needs subgroup matrices f16 ${tile.M_SIZE}×${tile.N_SIZE}×${tile.K_SIZE} to f32, the device has ${has}`;
    }
    if (tile.LANES! < STRIPS * caps.maxSubgroupSize) {
      return `needs ${STRIPS} subgroups among ${tile.LANES} lanes, maxSubgroupSize is ${caps.maxSubgroupSize}`;
    }
    return (
      withinLimit('maxComputeInvocationsPerWorkgroup', tile.LANES!, caps) ??
      withinLimit('maxComputeWorkgroupStorageSize', WORKGROUP_BYTES, caps) ?? { rows: ROWS, quads: QUADS }
    );
  },
  accuracy: () => ONE_SUM,
};

export const cost: CostOf = ({ LANES, K_SIZE }) => ({
  rows: ROWS / STRIPS,
  columns: (4 * QUADS * STRIPS) / LANES!,
  k: K_SIZE!,
  around: TILE_K,
});
