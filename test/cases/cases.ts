// The case table: products, their layouts in memory, and the kernel that must run. Tests on every engine and the bench share it.
// A case is plain data, and its name contains all of it, so that a case can be run by name.

import type { FloatDType } from '../../src/dtype.js';
import { featuresRefused } from '../../src/kernels/fits.js';
import { kernels, ofNumbers } from '../../src/kernels/index.js';
import { type Kernel, variantId } from '../../src/kernels/kernel.js';
import { hasMatrices } from '../../src/kernels/matmul-subgroup-matrix.js';
import type { Force } from '../../src/plan/choose.js';
import type { Caps } from '../../src/problem/caps.js';
import { BITS, type Bits, widthOf } from '../../src/problem/code-width.js';
import type { Params } from '../../src/wgsl/preprocess.js';

export interface Case {
  readonly name: string;
  /** Leading dimensions of x, then M. */
  readonly batch: readonly number[];
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  readonly dtype: FloatDType;
  readonly mode: 'tensor' | 'channel' | 'group';
  readonly groupSize: number;
  readonly offset: boolean;
  readonly bias: boolean;
  /** Output: none is x's dtype; the others are int8 by a scale of this kind. */
  readonly quant: 'none' | 'float32' | 'float32+offset' | 'int64';
  /** antiquantScale as int64 (and int32 offsets). */
  readonly packedScale: boolean;
  /** Storage of the weight: rows along K or along N; row-major or tiled. */
  readonly weight: 'NK' | 'KN';
  readonly nz: boolean;
  readonly x: 'contiguous' | 'transposed' | 'offset';
  /** y starts this many elements into its buffer. */
  readonly yOffset: number;
  /**
   * exact: small integers whose sums are exact in any order. special: NaN, infinities, overflow, subnormals. Of x: sigmoid in (0, 1), relu
   * half zeros, sparse nearly all, equal one value, huge far from 1. zero weights: all of them.
   */
  readonly data: 'exact' | 'random' | 'special' | 'sigmoid' | 'relu' | 'sparse' | 'equal' | 'huge' | 'zero weights';
  readonly force: Force | undefined;
  /** 1 allows kernels that round x to integers. Their exact cases have an x that this leaves as it is. */
  readonly innerPrecise: 0 | 1;
  readonly weightRounding: 'none' | 'dtype';
  /** Does y hold a residual that the product is added to? */
  readonly add: boolean;
  /** Factors of the rows of x: given ones, or RMSNorm's of other rows. */
  readonly rowScale: 'none' | 'factors' | 'rms';
  /** Abilities of the device that are taken away. */
  readonly caps: Partial<Caps>;
}

// Two rows, where rows are not what a case is about: cases then share variants, and compiling is what the time goes into.
const DEFAULT: Omit<Case, 'name'> = {
  batch: [],
  m: 2,
  k: 96,
  n: 20,
  bits: 4,
  dtype: 'float32',
  mode: 'channel',
  groupSize: 0,
  offset: false,
  bias: false,
  quant: 'none',
  packedScale: false,
  weight: 'NK',
  nz: false,
  x: 'contiguous',
  yOffset: 0,
  data: 'random',
  force: undefined,
  innerPrecise: 0,
  weightRounding: 'none',
  add: false,
  rowScale: 'none',
  caps: {},
};

/** The kernel that rounds x: only layers with innerPrecise 1 let it. */
export const ROUNDING = kernels.find(({ before }) => before === 'quantize-rows')!.name;

function nameOf(c: Omit<Case, 'name'>): string {
  const shape = [...c.batch, c.m].join('x');
  const scale = c.mode === 'group' ? `g${c.groupSize}` : c.mode;
  const words = [
    `${shape}·${c.k}·${c.n}`,
    `int${c.bits}`,
    c.dtype,
    c.packedScale ? 'int64-scale' : scale,
    c.offset && 'offset',
    c.bias && 'bias',
    c.quant !== 'none' && `int8 out by ${c.quant}`,
    (c.weight !== 'NK' || c.nz) && `weight ${c.weight}${c.nz ? ' NZ' : ''}`,
    c.x !== 'contiguous' && `x ${c.x}`,
    c.yOffset > 0 && `y at ${c.yOffset}`,
    c.data,
    c.innerPrecise === 1 && c.force?.kernel !== ROUNDING && 'innerPrecise 1',
    c.weightRounding === 'dtype' && 'weights rounded',
    c.add && 'added',
    c.rowScale !== 'none' && `scaled by ${c.rowScale}`,
    c.force && variantId(c.force.kernel, c.force.tile ?? {}),
    ...Object.entries(c.caps).map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`),
  ];
  return words.filter(Boolean).join(' ');
}

export const makeCase = (change: Partial<Omit<Case, 'name'>>): Case => {
  const c: Omit<Case, 'name'> = { ...DEFAULT, innerPrecise: change.force?.kernel === ROUNDING ? 1 : 0, ...change };
  return { ...c, name: nameOf(c) };
};

const DTYPES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];
const dtypesOf = ({ x = DTYPES }: Kernel): readonly FloatDType[] => x;
/** Kernels of numbers that take every x. */
export const ofAnyX: readonly Kernel[] = ofNumbers.filter(({ x }) => x === undefined);
/** At least `size`, and what torch can store of such codes. */
export const wholeElements = (size: number, bits: Bits): number => {
  const { inElement } = widthOf(bits);
  return Math.ceil(size / inElement) * inElement;
};
const G32 = { mode: 'group', groupSize: 32 } as const;

/** Tiles for groups of half a block are for imported weights. */
const ofWholeBlocks = ({ tiles, groups }: Kernel): readonly Params[] => tiles.filter((tile) => groups?.(tile) !== 'halves');

/** The widths of codes that a tile meets in the table below. */
function bitsOf(kernel: Kernel, tile: Params, turn: number): readonly Bits[] {
  const taken = BITS.filter((bits) => !kernel.excludes?.({ BITS: bits, CODEBOOK: 0, ...tile }));
  return kernel.tiles.length > 12 ? [taken[turn % taken.length]!] : taken;
}

/**
 * Every tile of every kernel, exactly, on a shape that divides by nothing. Kernels of many tiles, in which the width of codes
 * changes little, take turns.
 */
const everyTile: readonly Case[] = ofNumbers.flatMap((kernel) =>
  ofWholeBlocks(kernel).flatMap((tile, i) =>
    bitsOf(kernel, tile, i).map((bits, j) => {
      // The tiles share out dtypes, offsets and outputs among them.
      const turn = i + j;
      const dtypes = dtypesOf(kernel);
      return makeCase({
        data: 'exact',
        force: { kernel: kernel.name, tile },
        m: 67,
        k: wholeElements(180, bits),
        n: 84,
        bits,
        dtype: tile.TRICK === 1 ? DTYPES[1 + (turn % 2)]! : dtypes[turn % dtypes.length]!,
        offset: turn % 2 === 0,
        bias: turn % 4 < 2,
        quant: turn % 5 === 4 ? 'float32+offset' : 'none',
        ...G32,
      });
    }),
  ),
);

/** Every dtype, mode and offset as the planner does them, and without shader-f16. */
const everyMode: readonly Case[] = DTYPES.flatMap((dtype) =>
  BITS.flatMap((bits) =>
    (['tensor', 'channel', 'group'] as const).flatMap((mode) =>
      [false, true].map((offset) =>
        makeCase({ dtype, bits, mode, groupSize: mode === 'group' ? 64 : 0, offset, bias: offset, k: 200, n: 36 }),
      ),
    ),
  ),
);

const withoutF16: readonly Case[] = BITS.flatMap((bits) =>
  (['exact', 'random', 'special'] as const).flatMap((data) =>
    ofAnyX.map(({ name }) =>
      makeCase({ dtype: 'float16', bits, data, ...G32, offset: true, caps: { f16: false }, force: { kernel: name }, n: 12 }),
    ),
  ),
);

/** Layouts of x and y: transposed, batched, misaligned; rows that are no whole words; outputs that straddle them. */
const layouts: readonly Case[] = [
  ...DTYPES.flatMap((dtype) => [
    makeCase({ dtype, x: 'transposed', data: 'exact', ...G32 }),
    makeCase({ dtype, x: 'transposed', batch: [2, 3], m: 3, data: 'exact', offset: true }),
    makeCase({ dtype, x: 'offset', data: 'exact', bits: 8, bias: true }),
    makeCase({ dtype, batch: [2, 1, 3], m: 2, bits: 8, data: 'exact', ...G32 }),
    makeCase({ dtype, bits: 8, k: 77, n: 13, data: 'exact', bias: true, offset: true, yOffset: 3 }),
    makeCase({ dtype, bits: 4, k: 72, n: 7, data: 'exact', ...G32, yOffset: 1 }),
  ]),
  ...(['float32', 'float32+offset', 'int64'] as const).flatMap((quant) => [
    makeCase({ quant, bits: 8, n: 17, data: 'exact', bias: true, yOffset: 5 }),
    makeCase({ quant, bits: 4, n: 24, data: 'random', dtype: 'bfloat16', bias: true, offset: true, ...G32 }),
    makeCase({ quant, bits: 8, n: 24, data: 'exact', dtype: 'float16', mode: 'tensor', offset: true }),
    makeCase({ quant, bits: 8, n: 1, data: 'exact', dtype: 'float16', mode: 'tensor' }),
  ]),
];

/** Weights as they come: (N, K), (K, N), int4 packed along either, FRACTAL_NZ of both. */
const weights: readonly Case[] = BITS.flatMap((bits) =>
  (['NK', 'KN'] as const).flatMap((weight) =>
    [false, true].flatMap((nz) => [
      makeCase({ bits, weight, nz, data: 'exact', k: 136, n: 40, offset: true }),
      makeCase({ bits, weight, nz, data: 'exact', k: wholeElements(71, bits), n: wholeElements(67, bits), ...G32, dtype: 'float16' }),
    ]),
  ),
).concat(makeCase({ bits: 4, weight: 'KN', k: 45, n: 16, data: 'exact', offset: true, ...G32 }));

const packedScales: readonly Case[] = [false, true].flatMap((offset) => [
  makeCase({ packedScale: true, bits: 8, dtype: 'float16', offset, bias: true, data: 'exact' }),
  makeCase({ packedScale: true, bits: 8, dtype: 'float16', offset, data: 'random', k: 131, n: 15 }),
]);

/** Sizes at and around the limits: single elements, one word, one quad. */
const tiny: readonly Case[] = [
  ...[1, 2, 3, 4, 5].map((n) => makeCase({ m: 1, k: 1, n, bits: 8, data: 'exact', bias: true })),
  ...[1, 3, 9].map((m) => makeCase({ m, k: 8, n: 1, bits: 4, data: 'exact', offset: true })),
  makeCase({ m: 1, k: 1, n: 8, bits: 4, weight: 'KN', data: 'exact' }),
  makeCase({ m: 2, k: 33, n: 8, bits: 8, ...G32, data: 'exact', dtype: 'bfloat16' }),
  makeCase({ m: 17, k: 3, n: 129, bits: 8, data: 'exact', dtype: 'float16' }),
];

/** Software adapters without subgroups. */
const withoutSubgroups: readonly Case[] = [1, 2, 4, 9].map((m) =>
  makeCase({ m, ...G32, bits: 4, data: 'exact', offset: true, caps: { subgroups: false } }),
);

const small8 = { maxStorageBufferBindingSize: 8192 };

/** k shared out among workgroups, or among slices of one: parts that are empty, that end in a group, in a word. */
const MANY_LANES = { lanes: 2 ** 20 };
const splits: readonly Case[] = [
  ...[
    { kernel: 'matmul-decode', tile: { ROWS: 2, LANES: 64, SLICES: 4, UNROLL: 2, TRICK: 0 } },
    { kernel: 'matmul-decode', tile: { ROWS: 2, LANES: 16, SLICES: 16, UNROLL: 2, TRICK: 1 } },
    { kernel: 'matmul-prefill', tile: { ROWS: 4, LANES: 64, TRICK: 0 } },
    { kernel: 'matmul-tiled', tile: { ROWS: 1 } },
  ].flatMap((force: Force) => {
    const dtype = force.tile?.TRICK === 1 ? 'float16' : 'float32';
    return [
      makeCase({
        m: 3,
        k: 520,
        n: 68,
        dtype,
        data: 'exact',
        bias: true,
        offset: true,
        mode: 'group',
        groupSize: 96,
        force,
        caps: MANY_LANES,
      }),
      makeCase({ m: 5, k: 1003, n: 7, bits: 8, dtype, data: 'random', bias: true, force, caps: MANY_LANES, yOffset: 1 }),
      makeCase({ m: 3, k: 520, n: 24, dtype, data: 'special', bias: true, offset: true, ...G32, force, caps: MANY_LANES }),
      makeCase({ m: 9, k: 512, n: 168, dtype, data: 'exact', quant: 'float32+offset', force, caps: { ...MANY_LANES, ...small8 } }),
    ];
  }),
  // Sums of x of 512 steps have room in a workgroup: twice, and a step that k ends in; groups that end where these do, and others.
  ...[0, 1024, 96].flatMap((groupSize) =>
    ([1, 2] as const).map((rows) =>
      makeCase({
        m: rows,
        k: 4110,
        n: 36,
        bits: 8,
        data: 'exact',
        offset: groupSize > 0,
        mode: groupSize > 0 ? 'group' : 'channel',
        groupSize,
        force: { kernel: 'matmul-decode', tile: { ROWS: rows, LANES: 16, SLICES: 16, UNROLL: rows, TRICK: 0 } },
      }),
    ),
  ),
];

/** Products added to what y holds: by every kernel, and by round-rows where y is unaligned or k is split; in windows; with special values. */
const added: readonly Case[] = [
  ...ofAnyX.flatMap(({ name }) =>
    DTYPES.map((dtype) => makeCase({ add: true, dtype, m: 3, data: 'exact', bias: true, ...G32, force: { kernel: name } })),
  ),
  makeCase({ add: true, m: 3, data: 'exact', bias: true, ...G32, force: { kernel: ROUNDING } }),
  ...DTYPES.flatMap((dtype) => [
    makeCase({ add: true, dtype, m: 1, k: 1000, n: 260, bits: 8, data: 'random', bias: true }),
    makeCase({ add: true, dtype, bits: 8, k: 77, n: 13, data: 'random', offset: true, yOffset: 3 }),
    makeCase({ add: true, dtype, bits: 8, n: 7, data: 'huge', ...G32, yOffset: 1 }),
    makeCase({ add: true, dtype, data: 'special', offset: true, bias: true, ...G32 }),
  ]),
  makeCase({
    add: true,
    m: 3,
    k: 520,
    n: 68,
    data: 'exact',
    ...G32,
    force: { kernel: 'matmul-tiled', tile: { ROWS: 1 } },
    caps: MANY_LANES,
  }),
  makeCase({ add: true, m: 33, k: 64, n: 68, data: 'exact', caps: { maxStorageBufferBindingSize: 4096 } }),
];

/** What planning picks on GPUs, made with the device at hand. */
const asGpu: readonly Case[] = [
  ...DTYPES.flatMap((dtype, i) =>
    [1, 2, 4, 7, 18].map((m) =>
      makeCase({ m, k: 2048, n: 260, bits: BITS[(i + m) % 2]!, dtype, ...G32, offset: true, caps: { software: false } }),
    ),
  ),
  ...[1, 3, 18].map((m) => makeCase({ m, k: 1024, n: 260, dtype: 'float16', ...G32, caps: { software: false, vendor: 'intel' } })),
  makeCase({ m: 2, k: 1024, n: 260, dtype: 'float16', ...G32, caps: { software: false, subgroups: false } }),
];

/** A device whose bindings and grids are small: weights in slabs, x and y in windows, dispatches folded. */
const small = { maxStorageBufferBindingSize: 4096 };
const tiles = { maxStorageBufferBindingSize: 8192 }; // a column of FRACTAL_NZ tiles is not cut
const limits: readonly Case[] = [
  ...(['NK', 'KN'] as const).flatMap((weight) =>
    [false, true].flatMap((nz) => [
      makeCase({ m: 9, k: 128, n: 168, weight, nz, bits: 8, data: 'exact', offset: true, caps: nz ? tiles : small, ...G32 }),
      makeCase({
        m: 9,
        k: 128,
        n: 168,
        weight,
        nz,
        bits: 4,
        dtype: 'float16',
        data: 'exact',
        bias: true,
        caps: nz ? tiles : small,
        ...G32,
      }),
    ]),
  ),
  makeCase({ m: 33, k: 64, n: 67, bits: 8, dtype: 'float16', data: 'exact', offset: true, caps: small }),
  makeCase({ m: 33, k: 64, n: 67, bits: 8, dtype: 'bfloat16', quant: 'float32+offset', data: 'exact', caps: small, yOffset: 2 }),
  makeCase({ m: 40, k: 64, n: 36, x: 'transposed', bits: 8, data: 'exact', caps: small }),
  makeCase({ m: 300, k: 36, n: 20, x: 'transposed', bits: 8, data: 'exact', caps: { maxStorageBufferBindingSize: 8192 } }),
  makeCase({ m: 40, k: 64, n: 36, batch: [3], x: 'transposed', bits: 8, dtype: 'float16', data: 'exact', caps: small }),
  // Helpers fold their grids too.
  makeCase({ k: 8, n: 300, bits: 4, quant: 'float32+offset', bias: true, data: 'exact', caps: { maxComputeWorkgroupsPerDimension: 4 } }),
  makeCase({ k: 8, n: 301, bits: 8, x: 'transposed', dtype: 'float16', data: 'exact', caps: { maxComputeWorkgroupsPerDimension: 4 } }),
  ...ofNumbers.map((kernel) =>
    makeCase({
      m: 70,
      k: 32,
      n: 300,
      bits: 4,
      data: 'exact',
      dtype: dtypesOf(kernel)[0]!,
      force: { kernel: kernel.name },
      caps: { maxComputeWorkgroupsPerDimension: 40 },
    }),
  ),
];

/** NaN, ±Inf and overflow go where the formula sends them, in every kernel. */
const special: readonly Case[] = ofNumbers.flatMap((kernel) =>
  dtypesOf(kernel).flatMap((dtype) =>
    BITS.map((bits) =>
      makeCase({ dtype, bits, data: 'special', offset: true, bias: true, ...G32, n: 24, m: 4, force: { kernel: kernel.name } }),
    ),
  ),
);
const specialOutputs: readonly Case[] = [
  makeCase({ data: 'special', quant: 'float32+offset', dtype: 'float16', bits: 8, n: 24, m: 6 }),
  makeCase({ data: 'special', dtype: 'float16', bits: 4, n: 7, m: 6 }),
];

/** Upstream's tested shapes, M and N cut to what two cores bear, K kept. */
const upstream: readonly Case[] = [
  makeCase({ m: 16, k: 11264, n: 64, bits: 8, dtype: 'float16', offset: true }),
  makeCase({ m: 32, k: 64, n: 32, bits: 4, weight: 'KN', dtype: 'float16', offset: true }),
  makeCase({ m: 2, k: 11264, n: 116, bits: 8, weight: 'KN', dtype: 'bfloat16' }),
  makeCase({ m: 2, k: 16, n: 32, bits: 8, weight: 'KN', dtype: 'float16', offset: true, bias: true }),
  makeCase({ m: 2, k: 64, n: 32, bits: 8, weight: 'KN', dtype: 'float16', ...G32 }),
  makeCase({ m: 2, k: 640, n: 56, bits: 8, weight: 'KN', dtype: 'float16', bias: true }),
  makeCase({ m: 2, k: 768, n: 60, bits: 8, weight: 'KN', dtype: 'float16', mode: 'group', groupSize: 64, bias: true }),
  makeCase({ m: 42, k: 768, n: 72, bits: 4, weight: 'KN', dtype: 'float16', mode: 'group', groupSize: 64 }),
  makeCase({ m: 2, k: 720, n: 96, bits: 8, mode: 'tensor', dtype: 'bfloat16' }),
  makeCase({ m: 2, k: 1539, n: 69, bits: 8, weight: 'KN', mode: 'tensor', dtype: 'bfloat16' }),
  makeCase({ m: 2, k: 5, n: 209, bits: 8, weight: 'KN', dtype: 'float16' }),
  makeCase({ m: 1, k: 64, n: 2688, bits: 4, weight: 'KN', dtype: 'float16', offset: true, bias: true }),
  makeCase({ m: 4, k: 64, n: 2176, bits: 4, dtype: 'float16', offset: true }),
  makeCase({ m: 1, k: 384, n: 4544, bits: 4, weight: 'KN', dtype: 'bfloat16', mode: 'group', groupSize: 160 }),
  makeCase({ m: 2, k: 256, n: 512, bits: 8, weight: 'KN', dtype: 'float16', mode: 'group', groupSize: 64 }),
  makeCase({ m: 2, k: 640, n: 96, bits: 8, weight: 'KN', nz: true, dtype: 'float16' }),
];

/** Shapes of language models. */
const models: readonly Case[] = BITS.flatMap((bits) => [
  makeCase({ m: 1, k: 896, n: 4864, bits, dtype: 'float16', ...G32 }),
  makeCase({ m: 4, k: 4864, n: 896, bits, dtype: 'float16', mode: 'group', groupSize: 128, offset: true }),
  makeCase({ m: 18, k: 2048, n: 512, bits, dtype: 'float32', ...G32, offset: true }),
  makeCase({ m: 1, k: 1024, n: 1024, bits, dtype: 'bfloat16', mode: 'channel' }),
]);

/** x as integers: runs of weights longer than a block, short last blocks, layouts of x and y, slabs and windows; two digits. */
const rounded: readonly Case[] = BITS.flatMap((bits) => {
  const force = { kernel: ROUNDING };
  const twice = { kernel: ROUNDING, tile: { ROWS: 2, LANES: 32, SLICES: 8, SUBGROUPS: 0, DIGITS: 1, HALF: 0 } };
  const digits = { kernel: ROUNDING, tile: { ROWS: 4, LANES: 32, SLICES: 4, SUBGROUPS: 0, DIGITS: 2, HALF: 0 } };
  return [
    makeCase({ bits, force, k: 200, n: 36, dtype: 'float16', mode: 'group', groupSize: 96, offset: true, bias: true }),
    makeCase({ bits, force: twice, m: 3, k: wholeElements(33, bits), n: 8, mode: 'tensor', data: 'exact', bias: true }),
    makeCase({ bits, force: twice, m: 3, k: 8, n: 8, mode: 'tensor', data: 'exact', bias: true }),
    makeCase({ bits, force: twice, m: 5, k: 72, n: 7, ...G32, dtype: 'bfloat16', x: 'transposed', data: 'exact', yOffset: 1 }),
    makeCase({ bits, force: twice, m: 9, k: 128, n: 168, batch: [2], ...G32, offset: true, data: 'exact', caps: small }),
    makeCase({ bits, force: digits, m: 5, k: 328, n: 24, offset: true, quant: 'float32+offset' }),
    makeCase({ bits, force: digits, m: 4, k: 256, n: 40, ...G32, offset: true }),
  ];
});

/** Weights rounded to x's dtype: by each kernel that can, in every dtype, and as planned for software and for GPUs. */
const weightsRounded: readonly Case[] = (['float16', 'bfloat16'] as const).flatMap((dtype, i) => {
  const weightRounding = 'dtype';
  return [
    ...ofNumbers
      .filter(({ rounds }) => rounds)
      .flatMap(({ name }) =>
        (['exact', 'random', 'special'] as const).map((data, j) =>
          makeCase({
            weightRounding,
            dtype,
            data,
            bits: BITS[(i + j) % 2]!,
            k: 72,
            n: 24,
            m: 5,
            offset: j < 2,
            bias: true,
            ...G32,
            force: { kernel: name },
          }),
        ),
      ),
    ...[1, 18].flatMap((m) =>
      [{}, { software: false }, { software: false, vendor: 'intel' }].map((caps, j) =>
        makeCase({ weightRounding, dtype, m, k: 200, n: 67, bits: BITS[j % 2]!, offset: j !== 1, ...G32, caps }),
      ),
    ),
    makeCase({ weightRounding, dtype, m: 3, x: 'transposed', offset: true, quant: 'float32+offset', caps: { f16: false } }),
    makeCase({ weightRounding, dtype, m: 5, k: 520, n: 68, offset: true, ...G32, force: { kernel: 'matmul-prefill' }, caps: MANY_LANES }),
  ];
});

export const cases: readonly Case[] = [
  ...everyTile,
  ...rounded,
  ...everyMode,
  ...withoutF16,
  ...layouts,
  ...weights,
  ...packedScales,
  ...tiny,
  ...withoutSubgroups,
  ...splits,
  ...added,
  ...asGpu,
  ...limits,
  ...special,
  ...specialOutputs,
  ...weightsRounded,
  ...upstream,
  ...models,
];

/** Can a device with `caps` run a case's forced tile, or any of a forced kernel's, and is it worth it? */
export function runsOn(c: Pick<Case, 'force' | 'caps'>, caps: Caps): boolean {
  if (!c.force) return true;
  const { force } = c;
  const kernel = kernels.find(({ name }) => name === force.kernel)!;
  return (force.tile ? [force.tile] : kernel.tiles).some((tile) => tileRuns(kernel, tile, { ...caps, ...c.caps }));
}

/** What a tile needs of a device, from its table and the params that say so, not from what planning says of it. */
function tileRuns(kernel: Kernel, tile: Params, caps: Caps): boolean {
  const { LANES = 1, SLICES = 1 } = tile;
  if (LANES * SLICES > caps.maxComputeInvocationsPerWorkgroup) return false;
  if (featuresRefused(kernel, { caps, tile })) return false;
  // Subgroups of another width than the tile's fall back to the formula: one small tile shows it.
  if (tile.WIDTH !== undefined) return tile.WIDTH === caps.maxSubgroupSize || tile.ROWS === 1;
  if (tile.M_SIZE !== undefined) return hasMatrices(caps, tile) && 4 * caps.maxSubgroupSize <= LANES;
  return true;
}
