// x as int8 codes, products by dot4I8Packed: what innerPrecise = 1 allows, where hardware has such an instruction.
import { PRECISE } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { BLOCK } from '../problem/code-width.js';
import { type Digits, ROUNDING } from '../problem/x-codes.js';
import type { Params } from '../wgsl/preprocess.js';
import type { CostOf, Kernel } from './kernel.js';
import { MIN_MATRIX_ROWS } from './matmul-subgroup-matrix.js';
import { hasHalves, operandBindings, operandUniforms, withinLimit } from './operands.js';

/**
 * Intel's registers hold one row, and spill with two: a few rows are that many passes over the weights, which stay in caches. More
 * rows than this are left to the precise kernels there.
 */
const MAX_ROWS_ON_INTEL = 8;

interface Tile extends Params {
  readonly ROWS: number;
  readonly LANES: number;
  readonly SLICES: number;
  readonly SUBGROUPS: number;
  readonly DIGITS: number;
  readonly HALF: number;
}

/**
 * Rows in registers, and the parts of k. A column of y is too little work for a lane to fill a GPU, so k is cut into as many parts as
 * sums of them fit in 16 KiB of workgroup memory; 16 of them need 512 invocations or more.
 */
const SHAPES: readonly { readonly ROWS: number; readonly SLICES: number }[] = [
  { ROWS: 1, SLICES: 16 },
  { ROWS: 1, SLICES: 8 },
  { ROWS: 2, SLICES: 8 },
  { ROWS: 4, SLICES: 4 },
];
/** 64 lanes are no fewer than a subgroup has, nearly everywhere: then it lies in one slice, and x comes in scalar registers. */
const LANES: readonly { readonly LANES: number; readonly SUBGROUPS: number }[] = [
  { LANES: 64, SUBGROUPS: 1 },
  { LANES: 32, SUBGROUPS: 0 },
];
const tiles: readonly Tile[] = [0, 1].flatMap((HALF) => [
  ...LANES.flatMap((lanes) => SHAPES.map((shape) => ({ ...shape, ...lanes, DIGITS: 1, HALF }))),
  ...LANES.flatMap((lanes) => SHAPES.slice(1).map((shape) => ({ ...shape, ...lanes, DIGITS: 2, HALF }))),
]);
/** Codes of 4 bits have biases that are taken out of whole blocks. */
const BIASED_BITS = 4;

/** Bytes of workgroup memory: the sums of all slices. */
const workgroupBytes = ({ ROWS, LANES: lanes, SLICES }: Tile): number => 16 * SLICES * ROWS * lanes;

const lacks = (tile: Tile, caps: Caps): string | undefined =>
  tile.SUBGROUPS === 1 && !caps.subgroups
    ? 'SUBGROUPS=1 needs the feature subgroups'
    : (withinLimit('maxComputeInvocationsPerWorkgroup', tile.LANES * tile.SLICES, caps) ??
      withinLimit('maxComputeWorkgroupStorageSize', workgroupBytes(tile), caps));

/** Subgroups of always 32 lanes are NVIDIA's: loads of one address by many lanes cost it nothing, and more workgroups fill it better. */
const broadcasts = (caps: Caps): boolean => caps.minSubgroupSize === 32 && caps.maxSubgroupSize === 32;

/** Subgroups as short as 8 lanes are Intel's. */
const isIntel = (caps: Caps): boolean => !caps.software && caps.minSubgroupSize < 32;

export const matmulDot4: Kernel = {
  name: 'matmul-dot4',
  bindings: [...operandBindings, { name: 'x_codes', binding: 8, access: 'read' }],
  uniforms: operandUniforms,
  before: 'quantize-rows',
  groups: ({ HALF }) => (HALF === 1 ? 'halves' : 'blocks'),
  excludes: ({ HALF, BITS }) => HALF === 1 && BITS === BIASED_BITS,
  needs: ({ SUBGROUPS }) => (SUBGROUPS === 1 ? ['subgroups'] : []),
  tiles,
  choose(problem, caps) {
    const { m, innerPrecise, xDigits } = problem;
    if (xDigits === undefined) {
      if (innerPrecise !== 1) return 'innerPrecise 0: x is not rounded';
      if (caps.software) return 'a software adapter makes integer products one by one';
      if (caps.subgroupMatrix.length > 0 && m >= MIN_MATRIX_ROWS) return `rows ${m}: subgroup matrices make more products at once`;
      if (!caps.dot4) return 'the hardware has no packed integer products';
    }
    if (xDigits === undefined && isIntel(caps) && m > MAX_ROWS_ON_INTEL)
      return `rows ${m}: more than ${MAX_ROWS_ON_INTEL} passes over the weights`;
    const rows = isIntel(caps) ? 1 : m <= 2 ? m : 4;
    const half = hasHalves(problem) && problem.weights.held !== BIASED_BITS ? 1 : 0;
    const fitting = tiles.filter(
      (tile) => tile.HALF === half && tile.ROWS === rows && tile.DIGITS === (xDigits ?? 1) && !lacks(tile, caps),
    );
    const tile = fitting.find(({ SUBGROUPS }) => SUBGROUPS === (broadcasts(caps) ? 0 : 1)) ?? fitting[0];
    if (!tile) return `no tile of ${rows} rows is within the device's limits`;
    const given = xDigits === undefined ? 'innerPrecise 1' : 'x came quantized';
    return { tile, why: `${given}: four integer products an instruction, ${rows} rows in registers, k in ${tile.SLICES} slices` };
  },
  fit(problem, caps, params) {
    const { innerPrecise, xDigits } = problem;
    const tile = params as Tile;
    if (innerPrecise !== 1 && xDigits === undefined) return 'needs innerPrecise 1, or x as codes';
    if (tile.HALF === 1 && problem.weights.held === BIASED_BITS)
      return 'codes of 4 bits have biases of whole blocks, HALF=1 ends the sums of halves';
    if (xDigits !== undefined && xDigits !== tile.DIGITS) return `x has ${xDigits} digits, the tile takes ${tile.DIGITS}`;
    return lacks(tile, caps) ?? { rows: tile.ROWS, quads: tile.LANES };
  },
  // Of two digits there is nothing to measure: whoever quantizes x chooses them.
  suits: (tile, caps) => !caps.software && caps.dot4 && tile.DIGITS === 1 && (tile.ROWS === 1 || !isIntel(caps)),
  accuracy: (_problem, { DIGITS }) => ({ ...PRECISE, xStep: ROUNDING[DIGITS as Digits], xRun: BLOCK }),
};

export const cost: CostOf = ({ ROWS, DIGITS }) => ({ rows: ROWS!, columns: 4, k: BLOCK, around: BLOCK, macs: DIGITS! * ROWS! * 4 * BLOCK });
