// The table of imported matrices (src/problem/matrix.ts): every feature of the common form in every kernel that takes it. Tests on every
// engine share it.

import { encode16, type FloatDType } from '../../src/dtype.js';
import { kernels, ofNumbers } from '../../src/kernels/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { codebooksOf } from '../../src/kernels/operands.js';
import type { Force } from '../../src/plan/choose.js';
import type { Caps } from '../../src/problem/caps.js';
import { BITS, type Bits, widthOf } from '../../src/problem/code-width.js';
import { packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { type Codebook, E2M1_VALUES } from '../../src/problem/weight-format.js';
import type { HostTensor } from '../../src/reference/reference.js';
import { ofAnyX, ROUNDING, runsOn } from './cases.js';
import { random } from './data.js';

export interface MatrixCase {
  readonly name: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly bits: Bits;
  /** K for none. */
  readonly groupSize: number;
  readonly shift: 'none' | 'zero point' | 'minimum' | 'codebook' | 'E2M1' | 'E4M3';
  readonly permuted: boolean;
  /** Each input has a scale: a power of two in exact cases. */
  readonly scaled: boolean;
  readonly scaleDtype: FloatDType;
  /** Of x and y. */
  readonly dtype: FloatDType;
  readonly bias: boolean;
  readonly int8: boolean;
  readonly exact: boolean;
  readonly innerPrecise: 0 | 1;
  readonly weightRounding: 'none' | 'dtype';
  readonly force: Force | undefined;
  readonly caps: Partial<Caps>;
}

const DEFAULT: Omit<MatrixCase, 'name'> = {
  m: 3,
  n: 20,
  k: 120,
  bits: 4,
  groupSize: 32,
  shift: 'none',
  permuted: false,
  scaled: false,
  scaleDtype: 'float32',
  dtype: 'float32',
  bias: false,
  int8: false,
  exact: true,
  innerPrecise: 0,
  weightRounding: 'none',
  force: undefined,
  caps: {},
};

function makeCase(change: Partial<Omit<MatrixCase, 'name'>>): MatrixCase {
  const c = { ...DEFAULT, innerPrecise: change.force?.kernel === ROUNDING ? (1 as const) : (0 as const), ...change };
  const words = [
    `${c.m}·${c.k}·${c.n}`,
    `${c.bits} bits`,
    c.groupSize < c.k ? `g${c.groupSize}` : 'no groups',
    c.shift !== 'none' && c.shift,
    c.permuted && 'permuted',
    c.scaled && 'scaled',
    `${c.scaleDtype} scales`,
    `${c.dtype} x`,
    c.bias && 'bias',
    c.int8 && 'int8 out',
    c.exact ? 'exact' : 'random',
    c.weightRounding === 'dtype' && 'weights rounded',
    c.force && variantId(c.force.kernel, c.force.tile ?? {}),
    ...Object.entries(c.caps).map(([name, value]) => `${name}=${value}`),
  ];
  return { ...c, name: words.filter(Boolean).join(' ') };
}

const NUMBERS = ['none', 'zero point', 'minimum'] as const;
const DTYPES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];
/** Those that take groups of whole words, whatever their size. */
const ofAnyGroup = ofAnyX.filter(({ tiles, groups }) => tiles.every((tile) => (groups?.(tile) ?? 'words') === 'words'));

const everyKernel = ofAnyX.flatMap(({ name }, i) =>
  BITS.flatMap((bits) =>
    NUMBERS.map((shift, j) =>
      makeCase({
        bits,
        shift,
        scaleDtype: DTYPES[(i + j) % 3]!,
        dtype: DTYPES[(i + 2 * j + 1) % 3]!,
        force: { kernel: name },
        bias: j === 2,
      }),
    ),
  ),
);
const smallGroups = ofAnyGroup.flatMap(({ name }, i) =>
  [8, 16, 40].map((groupSize, j) =>
    makeCase({
      groupSize,
      bits: (i + j) % 2 === 0 ? 4 : 8,
      shift: NUMBERS[(i + j) % 3]!,
      force: { kernel: name },
      k: 136,
      dtype: DTYPES[j]!,
    }),
  ),
);
const CODEBOOKS = [
  ['codebook', 'table'],
  ['E2M1', 'e2m1'],
  ['E4M3', 'e4m3'],
] as const;
const bitsOf = (shift: MatrixCase['shift']): Bits => (shift === 'E4M3' ? 8 : 4);
const ofCodebooks = kernels.filter((kernel) => !ofNumbers.includes(kernel));
const codebooks = [
  ...CODEBOOKS.flatMap(([shift, meaning]) =>
    ofNumbers
      .filter((kernel) => codebooksOf(kernel).includes(meaning))
      .flatMap(({ name }) => [
        makeCase({ shift, bits: bitsOf(shift), force: { kernel: name }, dtype: 'float16', k: 128 }),
        makeCase({ shift, bits: bitsOf(shift), force: { kernel: name }, exact: false, n: 37, k: 224, m: 5 }),
      ]),
  ),
  ...ofCodebooks.flatMap(({ name, tiles }) =>
    tiles.flatMap((tile, i) =>
      [true, false].map((exact) =>
        makeCase({
          shift: 'codebook',
          m: 9,
          n: exact ? 20 : 261,
          groupSize: [64, 32, 16, 8][i % 4]!,
          exact,
          scaleDtype: DTYPES[i % 3]!,
          dtype: DTYPES[(i + 1) % 3]!,
          force: { kernel: name, tile },
        }),
      ),
    ),
  ),
  ...ofCodebooks.map(({ name }) =>
    makeCase({
      shift: 'codebook',
      m: 3,
      k: 1000,
      exact: false,
      force: { kernel: name },
      caps: { lanes: 2 ** 20, software: false },
    }),
  ),
];
const planned = [
  ...[1, 5, 33].flatMap((m) =>
    [16, 32, 1000].flatMap((groupSize) =>
      ([...NUMBERS, 'codebook', 'E2M1', 'E4M3'] as const).map((shift, i) =>
        makeCase({
          m,
          n: 37,
          k: 200,
          groupSize: Math.min(groupSize, 200),
          shift,
          exact: false,
          bits: shift === 'E4M3' || ((NUMBERS as readonly string[]).includes(shift) && i % 2 !== 0) ? 8 : 4,
          dtype: DTYPES[(m + i) % 3]!,
        }),
      ),
    ),
  ),
  // As a GPU would do it, made with the device at hand.
  ...[1, 3, 18].flatMap((m) =>
    (['minimum', 'codebook', 'E2M1', 'E4M3'] as const).map((shift) =>
      makeCase({
        bits: bitsOf(shift),
        m,
        n: 260,
        k: 1024,
        groupSize: 16,
        shift,
        exact: false,
        dtype: 'float16',
        caps: { software: false },
      }),
    ),
  ),
];
const permutations = DTYPES.flatMap((dtype, i) => [
  makeCase({ permuted: true, dtype, scaleDtype: 'float16', shift: NUMBERS[i]! }),
  makeCase({ permuted: true, dtype, bits: 8, m: 9, k: 77, n: 13, groupSize: 16, exact: false, bias: true }),
]).concat(
  makeCase({ permuted: true, m: 70, k: 64, n: 36, caps: { maxStorageBufferBindingSize: 4096 } }),
  makeCase({ permuted: true, shift: 'minimum', innerPrecise: 1, force: { kernel: ROUNDING } }),
);
const scaledInputs = [
  ...DTYPES.flatMap((dtype, i) => [
    makeCase({ scaled: true, dtype, scaleDtype: 'float16', shift: NUMBERS[i]!, permuted: i === 0 }),
    makeCase({ scaled: true, dtype, bits: 8, m: 9, k: 77, n: 13, groupSize: 16, exact: false, bias: true, permuted: i === 1 }),
  ]),
  makeCase({ scaled: true, shift: 'codebook', m: 70, k: 64, n: 36, caps: { maxStorageBufferBindingSize: 4096 } }),
  makeCase({ scaled: true, shift: 'minimum', innerPrecise: 1, exact: false, force: { kernel: ROUNDING } }),
  makeCase({ scaled: true, dtype: 'float16', weightRounding: 'dtype', shift: 'minimum', exact: false }),
];
const outputs = NUMBERS.map((shift) => makeCase({ shift, int8: true, bias: true, bits: 8, n: 17 }));
const limits = NUMBERS.map((shift) =>
  makeCase({ shift, m: 9, k: 136, n: 172, groupSize: 16, scaleDtype: 'float16', caps: { maxStorageBufferBindingSize: 4096 } }),
);

const weightsRounded = kernels
  .filter(({ rounds }) => rounds)
  .flatMap(({ name, ...kernel }) =>
    ([...NUMBERS, 'codebook', 'E2M1', 'E4M3'] as const)
      .filter((shift) => codebooksOf(kernel).includes(new Map<string, Codebook>(CODEBOOKS).get(shift) ?? 'none'))
      .flatMap((shift, i) =>
        [true, false].map((exact) =>
          makeCase({
            weightRounding: 'dtype',
            shift,
            bits: bitsOf(shift),
            exact,
            k: exact ? 120 : 16,
            groupSize: 8,
            dtype: DTYPES[1 + ((i + (exact ? 1 : 0)) % 2)]!,
            scaleDtype: DTYPES[i % 3]!,
            force: { kernel: name },
          }),
        ),
      ),
  );

export const matrixCases: readonly MatrixCase[] = [
  ...everyKernel,
  ...smallGroups,
  ...codebooks,
  ...planned,
  ...permutations,
  ...scaledInputs,
  ...outputs,
  ...limits,
  ...weightsRounded,
];

/** Does the device have what a case is about? */
export const matrixRunsOn = (c: MatrixCase, caps: Caps): boolean => runsOn(c, caps) && (c.force?.kernel !== ROUNDING || caps.dot4);

const PRECISION: Readonly<Record<FloatDType, number>> = { float32: 24, float16: 11, bfloat16: 8 };
/** A number that a dtype holds. */
const short = (value: number, dtype: FloatDType): number => {
  if (value === 0) return 0;
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - PRECISION[dtype] + 1);
  return Math.round(value / unit) * unit;
};

export function makeMatrix(c: Omit<MatrixCase, 'caps' | 'force'>): {
  readonly matrix: QuantizedMatrix;
  readonly x: HostTensor;
  readonly tensors: Readonly<Record<string, HostTensor>>;
} {
  const { m, n, k, bits, groupSize, shift, permuted, scaled, scaleDtype, dtype, exact } = c;
  const next = random(c.name);
  const integer = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  const fill = (length: number, make: (i: number) => number): Float32Array => Float32Array.from({ length }, (_, i) => make(i));
  const groups = Math.ceil(k / groupSize);
  const { zero: middle, mask } = widthOf(bits);
  // x of magnitude 127 in every block of 32 makes int8 activations exact; a permutation moves them, so there all are.
  const large = (i: number): boolean => c.innerPrecise === 1 && (permuted || (i % k) % 32 === 0);
  const xs = fill(m * k, (i) => (!exact ? next() + next() - 1 : large(i) ? 127 * (i % 2 === 0 ? 1 : -1) : integer(-3, 3)));
  const codes = Array.from({ length: n * k }, () => {
    // Floats from 1 to 3.75 of either sign, whose sums are exact; and all that are no NaN.
    if (shift === 'E4M3') return (exact ? integer(0x38, 0x47) : integer(0, 126)) + 128 * integer(0, 1);
    return exact ? integer(Math.max(0, middle - 8), Math.min(mask, middle + 8)) : integer(0, mask);
  });
  const values = fill(n * groups, () => (exact ? [0.5, 1, 2, -1][integer(0, 3)]! : short(0.001 + 0.02 * next(), scaleDtype)));
  const matrix: QuantizedMatrix = {
    n,
    k,
    bits,
    codes: packCodes(codes, n, k, bits),
    groupSize: Math.min(groupSize, k),
    scale: values,
    scaleDtype,
    ...(shift === 'zero point' && { zeroPoint: fill(n * groups, () => middle + integer(-5, 5)) }),
    ...(shift === 'minimum' && { minimum: fill(n * groups, () => (exact ? integer(-12, 12) / 4 : short(-0.1 * next(), scaleDtype))) }),
    ...(shift === 'codebook' && { codebook: fill(16, (i) => (exact ? i - 5 : Math.tanh((i - 7.3) / 5))) }),
    ...(shift === 'E2M1' && { codebook: E2M1_VALUES }),
    ...(shift === 'E4M3' && { codeForm: 'e4m3' as const }),
    ...(permuted && { permutation: Uint32Array.from(shuffled(k, next)) }),
    ...(scaled && { inputScale: fill(k, () => (exact ? [0.25, 0.5, -1, 2][integer(0, 3)]! : 0.1 + 3 * next())) }),
  };
  const host = (data: Float32Array, shape: readonly number[], type: FloatDType): HostTensor => ({
    data: type === 'float32' ? data : encode16(data, type),
    shape,
    dtype: type,
  });
  return {
    matrix,
    x: host(xs, [m, k], dtype),
    tensors: {
      ...(c.bias && {
        bias: host(
          fill(n, () => integer(-8, 8) / 2),
          [n],
          'float32',
        ),
      }),
      ...(c.int8 && {
        quantScale: host(
          fill(n, () => 2 ** integer(-5, -2)),
          [n],
          'float32',
        ),
      }),
    },
  };
}

function shuffled(length: number, next: () => number): number[] {
  const list = Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
