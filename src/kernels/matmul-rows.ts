// Weights unpacked once for several rows held in registers: decode on every adapter, and prefill on software adapters.
import type { Caps } from '../caps.js';
import type { Params } from '../wgsl/preprocess.js';
import { type Kernel, variantId } from './kernel.js';
import { operandBindings, operandUniforms, withinLimit } from './operands.js';

/** On a GPU, from this many rows on, workgroup tiles read fewer bytes than register rows. */
const MAX_ROWS_ON_GPU = 16;

interface Tile extends Params {
  readonly ROWS: number;
  readonly QUADS: number;
  readonly LANES: number;
  readonly SLICES: number;
}
interface Choice {
  /** For problems of up to this many rows. */
  readonly upTo: number;
  readonly tile: Tile;
}

// Software adapters: work per invocation hides the price of loads, and a barrier costs hundreds of cycles, so k is not sliced.
// SwiftShader (4 lanes wide) keeps gaining up to 8 rows of 16 columns; lavapipe (8 wide) spills from 4 rows of 8 on.
const SOFTWARE_4: readonly Choice[] = [
  { upTo: 1, tile: { ROWS: 1, QUADS: 4, LANES: 8, SLICES: 1 } },
  { upTo: 2, tile: { ROWS: 2, QUADS: 4, LANES: 8, SLICES: 1 } },
  { upTo: 4, tile: { ROWS: 4, QUADS: 4, LANES: 8, SLICES: 1 } },
  { upTo: Number.POSITIVE_INFINITY, tile: { ROWS: 8, QUADS: 4, LANES: 8, SLICES: 1 } },
];
const SOFTWARE_8: readonly Choice[] = [
  { upTo: 1, tile: { ROWS: 1, QUADS: 4, LANES: 8, SLICES: 1 } },
  { upTo: 2, tile: { ROWS: 2, QUADS: 2, LANES: 16, SLICES: 1 } },
  { upTo: Number.POSITIVE_INFINITY, tile: { ROWS: 4, QUADS: 2, LANES: 16, SLICES: 1 } },
];
// GPUs: one quad a lane keeps registers free for many waves; slices of k give a narrow N enough invocations to fill the device.
const GPU: readonly Choice[] = [
  { upTo: 1, tile: { ROWS: 1, QUADS: 1, LANES: 64, SLICES: 4 } },
  { upTo: 2, tile: { ROWS: 2, QUADS: 1, LANES: 64, SLICES: 4 } },
  { upTo: MAX_ROWS_ON_GPU, tile: { ROWS: 4, QUADS: 1, LANES: 64, SLICES: 4 } },
];
// Tiles that no table chooses yet; callers may force them, and tests do.
const OTHERS: readonly Tile[] = [
  { ROWS: 2, QUADS: 2, LANES: 16, SLICES: 8 },
  { ROWS: 8, QUADS: 1, LANES: 64, SLICES: 2 },
];

const distinct = (tiles: readonly Tile[]): Tile[] => [...new Map(tiles.map((tile) => [variantId('', tile), tile])).values()];

/** Bytes of workgroup memory: the sums of all slices but the first. */
const workgroupBytes = (tile: Tile): number => 16 * tile.QUADS * (tile.SLICES - 1) * tile.ROWS * tile.LANES;

/** Where no subgroup is longer than a row of lanes, a subgroup lies in one slice, and the compiler can be told so. */
const oneSliceSubgroups = (tile: Params, caps: Caps): boolean => caps.subgroups && tile.LANES === 64 && caps.maxSubgroupSize <= 64;

export const matmulRows: Kernel = {
  name: 'matmul-rows',
  bindings: operandBindings,
  uniforms: operandUniforms,
  tiles: distinct([...SOFTWARE_4, ...SOFTWARE_8, ...GPU].map((choice) => choice.tile).concat(OTHERS)).flatMap((tile) =>
    (tile.LANES === 64 ? [0, 1] : [0]).map((SUBGROUPS) => ({ ...tile, SUBGROUPS })),
  ),
  choose(problem, caps) {
    const table = caps.software ? (caps.maxSubgroupSize <= 4 ? SOFTWARE_4 : SOFTWARE_8) : GPU;
    const choice = table.find(({ upTo }) => problem.m <= upTo);
    if (!choice) return `rows ${problem.m}: above ${MAX_ROWS_ON_GPU} on a GPU, tiles in workgroup memory read fewer bytes`;
    const { tile } = choice;
    return {
      // WGSL does not say which lanes make a subgroup. SUBGROUPS=1 relies on the usual order, so it waits for a self-test on the device.
      tile: { ...tile, SUBGROUPS: 0 },
      why: caps.software
        ? `rows ${problem.m}, a software adapter: ${tile.ROWS} × ${4 * tile.QUADS} of y in registers, no barrier`
        : `rows ${problem.m}: each word of weights is read once for a tile of ${tile.ROWS}, k in ${tile.SLICES} slices`,
    };
  },
  suits: (tile, caps) => (caps.software ? tile.SLICES === 1 : tile.LANES === 64),
  fit(_problem, caps, params) {
    const tile = params as Tile;
    const invocations = tile.LANES * tile.SLICES;
    if (params.SUBGROUPS === 1 && !oneSliceSubgroups(tile, caps)) return 'SUBGROUPS=1 needs the feature subgroups, none longer than 64';
    return (
      withinLimit('maxComputeInvocationsPerWorkgroup', invocations, caps) ??
      withinLimit('maxComputeWorkgroupStorageSize', workgroupBytes(tile), caps) ?? { rows: tile.ROWS, quads: tile.QUADS * tile.LANES }
    );
  },
};
