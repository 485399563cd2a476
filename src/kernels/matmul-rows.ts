// Software adapters without subgroups: weights unpacked once for several rows held in registers.
import type { Params } from '../wgsl/preprocess.js';
import { type CostOf, type Kernel, variantId } from './kernel.js';
import { codesInLow, operandBindings, operandUniforms, withinLimit } from './operands.js';

interface Tile extends Params {
  readonly ROWS: number;
  readonly LOADS: number;
  readonly LANES: number;
}
interface Choice {
  /** For problems of up to this many rows. */
  readonly upTo: number;
  readonly tile: Tile;
}

// Software adapters: work per invocation hides the price of loads.
// SwiftShader (4 lanes wide) keeps gaining up to 8 rows of 16 columns; lavapipe (8 wide) spills from 4 rows of 8 on.
const SOFTWARE_4: readonly Choice[] = [
  { upTo: 1, tile: { ROWS: 1, LOADS: 4, LANES: 8 } },
  { upTo: 2, tile: { ROWS: 2, LOADS: 4, LANES: 8 } },
  { upTo: 4, tile: { ROWS: 4, LOADS: 4, LANES: 8 } },
  { upTo: Number.POSITIVE_INFINITY, tile: { ROWS: 8, LOADS: 4, LANES: 8 } },
];
const SOFTWARE_8: readonly Choice[] = [
  { upTo: 1, tile: { ROWS: 1, LOADS: 4, LANES: 8 } },
  { upTo: 2, tile: { ROWS: 2, LOADS: 2, LANES: 16 } },
  { upTo: Number.POSITIVE_INFINITY, tile: { ROWS: 4, LOADS: 2, LANES: 16 } },
];

const distinct = (tiles: readonly Tile[]): Tile[] => [...new Map(tiles.map((tile) => [variantId('', tile), tile])).values()];

export const matmulRows: Kernel = {
  name: 'matmul-rows',
  bindings: operandBindings,
  uniforms: operandUniforms,
  experts: true,
  codebooks: ['none', 'e2m1', 'e4m3'],
  tiles: distinct([...SOFTWARE_4, ...SOFTWARE_8].map(({ tile }) => tile)),
  choose(problem, caps) {
    if (!caps.software) return 'a GPU gains by scalar registers and many waves, which this does not look for';
    const { tile } = (caps.maxSubgroupSize <= 4 ? SOFTWARE_4 : SOFTWARE_8).find(({ upTo }) => problem.m <= upTo)!;
    return { tile, why: `rows ${problem.m}, a software adapter: ${tile.ROWS} × ${4 * tile.LOADS} of y in registers, no barrier` };
  },
  suits: (_tile, caps) => caps.software,
  fit: (_problem, caps, tile) =>
    withinLimit('maxComputeInvocationsPerWorkgroup', tile.LANES!, caps) ?? { rows: tile.ROWS!, quads: tile.LOADS! * tile.LANES! },
};

export const cost: CostOf = ({ BITS, ROWS, LOADS }) => ({ rows: ROWS!, columns: 4 * LOADS!, k: codesInLow(BITS!), around: 32 });
