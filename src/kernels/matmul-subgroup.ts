// Software adapters with subgroups: lanes share x among them instead of loading it, since loads are what time goes into there.
import { widthOf } from '../problem/code-width.js';
import { CODEBOOKS } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import type { CostOf, Kernel } from './kernel.js';
import { codesInLow, hasHalves, operandBindings, operandUniforms } from './operands.js';

interface Choice {
  /** For problems of up to this many rows. */
  readonly upTo: number;
  readonly tile: Params;
}

/**
 * Register tiles by lanes of a subgroup. SwiftShader (4) loads four words faster than a vec4, and gains up to 8 rows × 16 columns.
 * lavapipe (8) loads vec4s faster, and loses beyond 32 accumulators: it keeps none in registers then.
 */
const TABLES: Readonly<Record<number, readonly Choice[]>> = {
  4: [
    { upTo: 1, tile: { WIDTH: 4, READ: 1, HALF: 0, ROWS: 1, LOADS: 16, LANES: 8 } },
    { upTo: 2, tile: { WIDTH: 4, READ: 1, HALF: 0, ROWS: 2, LOADS: 16, LANES: 8 } },
    { upTo: 4, tile: { WIDTH: 4, READ: 1, HALF: 0, ROWS: 4, LOADS: 16, LANES: 8 } },
    { upTo: Number.POSITIVE_INFINITY, tile: { WIDTH: 4, READ: 1, HALF: 0, ROWS: 8, LOADS: 16, LANES: 8 } },
  ],
  8: [
    { upTo: 1, tile: { WIDTH: 8, READ: 4, HALF: 0, ROWS: 1, LOADS: 4, LANES: 8 } },
    { upTo: 2, tile: { WIDTH: 8, READ: 4, HALF: 0, ROWS: 2, LOADS: 2, LANES: 16 } },
    { upTo: Number.POSITIVE_INFINITY, tile: { WIDTH: 8, READ: 4, HALF: 0, ROWS: 4, LOADS: 2, LANES: 16 } },
  ],
};

/** Bits of a low word's codes, up to which one row of groups of 16 is faster here than by matmul-rows. */
const NARROW = 4;
/** Four lanes hold four values each, and SwiftShader takes 1.4 times as long to pass them round as to look them up in memory. */
const TABLE_TAKES_8 = 'a table of values is passed round by 8 lanes';

/** For one row of codes that are not taken in place by one mask: with more columns, their parts do not stay in registers. */
const FEWER_COLUMNS: Params = { WIDTH: 8, READ: 4, HALF: 0, ROWS: 1, LOADS: 2, LANES: 8 };

const halved = (tile: Params): Params => ({ ...tile, HALF: 1 });
const same = (tile: Params): Params => tile;

export const matmulSubgroup: Kernel = {
  name: 'matmul-subgroup',
  bindings: operandBindings,
  uniforms: operandUniforms,
  experts: true,
  // Eight lanes load a block of 32 k at a time; four load a word.
  groups: ({ WIDTH, HALF }) => (WIDTH === 4 ? 'words' : HALF === 1 ? 'halves' : 'blocks'),
  excludes: ({ WIDTH, CODEBOOK }) => WIDTH === 4 && CODEBOOK === CODEBOOKS.table,
  needs: () => ['subgroups'],
  codebooks: ['none', 'table', 'e2m1', 'e4m3'],
  tiles: [...Object.values(TABLES).flatMap((table) => table.map(({ tile }) => tile)), FEWER_COLUMNS].flatMap((tile) =>
    tile.WIDTH === 8 ? [tile, halved(tile)] : [tile],
  ),
  choose(problem, caps) {
    if (!caps.software) return 'passing x between lanes costs a GPU more than reading it again';
    const table = caps.minSubgroupSize === caps.maxSubgroupSize ? TABLES[caps.maxSubgroupSize] : undefined;
    if (!table) return `made for subgroups of 4 or of 8, the device has ${caps.minSubgroupSize} to ${caps.maxSubgroupSize}`;
    if (caps.maxSubgroupSize === 4 && problem.weights.codebook === 'table') return TABLE_TAKES_8;
    const { tile: whole } = table.find(({ upTo }) => problem.m <= upTo)!;
    const halves = whole.WIDTH === 8 && hasHalves(problem);
    const { held, codebook } = problem.weights;
    if (halves && problem.m === 1 && codebook === 'none' && widthOf(held).low > NARROW)
      return 'one row of 8-bit codes in groups of 16: sums of x for each cost more than reading x again';
    const inPlace = codebook !== 'none' || widthOf(held).slot === held;
    const tile = (halves ? halved : same)(whole.WIDTH === 8 && problem.m === 1 && !inPlace ? FEWER_COLUMNS : whole);
    return {
      tile,
      why: `rows ${problem.m}, a software adapter: ${tile.ROWS} × ${tile.LOADS! * tile.READ!} of y in registers, x shared by ${tile.WIDTH} lanes`,
    };
  },
  suits: (tile, caps) => caps.software && tile.WIDTH === caps.minSubgroupSize && tile.WIDTH === caps.maxSubgroupSize,
  fit: ({ weights: { codebook } }, _caps, tile) =>
    tile.WIDTH === 4 && codebook === 'table' ? TABLE_TAKES_8 : { rows: tile.ROWS!, quads: (tile.LOADS! * tile.READ! * tile.LANES!) / 4 },
};

export const cost: CostOf = ({ BITS, ROWS, LOADS, READ }) => ({ rows: ROWS!, columns: LOADS! * READ!, k: codesInLow(BITS!), around: 32 });
