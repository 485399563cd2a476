// The trial of a variant: a small product that tests a matmul kernel on a device. It has a plan, the bytes of every buffer, and the
// expected y. Pure; gpu/self-test.ts runs it.
//
// All values are small integers and powers of two, weights below 2^8 steps, and every 8 adjacent x contain a ±127, so that int8 activations are exact too. Results
// are compared with ===; for a kernel that may round x or weights, with its interval.

import { requantize } from '../ascend/quant-param.js';
import { BYTES, decode16, encode16, type FloatDType, roundTo, wholeWords } from '../dtype.js';
import { extentOf } from '../kernels/fits.js';
import { kernels } from '../kernels/index.js';
import { type Extent, type Kernel, variantId } from '../kernels/kernel.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { rowsOfWords, widthOf } from '../problem/code-width.js';
import { packCodes, type QuantizedMatrix } from '../problem/matrix.js';
import { contiguousX, type Problem, type Weights } from '../problem/problem.js';
import {
  CODEBOOKS,
  type Codebook,
  E2M1_VALUES,
  E4M3_VALUES,
  hasOneUnit,
  hasUnits,
  isFloatDtype,
  LEGAL_FORMATS,
  SCALE_FORMS,
  type ScaleDType,
  SHIFTS,
  UNIT_K,
  type WeightFormat,
} from '../problem/weight-format.js';
import { referenceMatrix } from '../reference/reference-matrix.js';
import type { Params } from '../wgsl/preprocess.js';
import type { Dispatch } from './dispatch.js';
import { tileOf } from './findings.js';
import { packedLayout } from './packed-layout.js';
import { makePlan } from './plan.js';

/** A variant of a matmul kernel; a Plan is one. */
export interface MatmulVariant {
  readonly kernel: Kernel['name'];
  readonly params: Params;
}
export interface Trial {
  readonly variant: string;
  readonly problem: Problem;
  readonly accuracy: Accuracy;
  readonly dispatches: readonly Dispatch[];
  /** Initial bytes of each buffer, by role; `y` is poison. */
  readonly contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}
export interface Fault {
  readonly where: string;
  readonly expected: string;
  readonly got: string;
}

const FLOATS: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];
/** Dtypes by the values of the params X, SCALE, ROUND and Y. */
const X: readonly FloatDType[] = ['float32', 'float16', 'float16', 'bfloat16'];
const FLOAT16_BITS = 2;
const GUARD = 4; // elements of poison before y; as many words after it
const POISON = 0xa5;

// ------------------------------------------------------------------------------------------------------------------- data

/** Whole numbers that look like noise. */
const NOISE = Uint32Array.from({ length: 4096 }, (_, i) => {
  let t = Math.imul(i + 1, 0x9e3779b1);
  t = Math.imul(t ^ (t >>> 15), 0x2c1b3c6d);
  return t ^ (t >>> 13);
});
const STRIDE = 521; // more than any k here, so that no row or column repeats its neighbour
const noise = (row: number, column: number, salt: number): number => NOISE[(row * STRIDE + column + 1031 * salt) % NOISE.length]!;

const xAt = (m: number, k: number): number => {
  const t = noise(m, k, 1);
  return k % 8 === m % 8 ? (t % 2 === 0 ? 127 : -127) : (t % 7) - 3;
};
/** What codes stand for. Of a table halves of small whole numbers, unordered. */
const VALUES: Readonly<Partial<Record<Codebook, Float32Array<ArrayBuffer>>>> = {
  table: Float32Array.from({ length: 16 }, (_, i) => ((7 * i + 3) % 16) / 2 - 3.5),
  e2m1: E2M1_VALUES,
  e4m3: E4M3_VALUES,
};
/** Sums of whole numbers of 2^-9 stay below 2^24 if floats are less than 1, and few of them less than 16. */
const [E4M3_OF_1, E4M3_OF_16] = [0x38, 0x58];
/** q: the code minus the code of weight 0. */
const codeAt = (n: number, k: number, { held, codebook }: Weights): number => {
  const { mask, zero } = widthOf(held);
  const t = noise(n, k, 2);
  if (codebook === 'e4m3') return ((t >>> 8) % (t % 32 === 0 ? E4M3_OF_16 : E4M3_OF_1)) - (t & 64 ? zero : 0);
  if (mask < 128) return (t & mask) - zero;
  return t % 32 === 0 ? ((t >>> 8) & mask) - zero : ((t >>> 8) % 19) - 9; // sums stay below 2^24
};
/** Scales as whole numbers of a unit, by form. */
const LEVELS: Readonly<Record<ScaleDType, readonly number[]>> = {
  float32: [2, 4, 1, -4],
  float16: [2, 4, 1, -4],
  bfloat16: [2, 4, 1, -4],
  int8: [2, 4, 1, -4],
  uint8: [2, 4, 1, 3],
  uint4: [2, 4, 1, 3],
  e8m0: [2, 4, 1, 8],
  e4m3: [2, 4, 1, 3],
  'e4m3-unit': [2, 4, 1, 3],
};
/** In every third column a subnormal float16: a device that takes it for 0 reads such units wrongly. Units of all k differ by column. */
const unitAt = (n: number, { scaleDtype }: Weights): number =>
  hasUnits(scaleDtype) && n % 3 === 1 ? 2 ** -20 : hasOneUnit(scaleDtype) ? 2 ** -(2 + (n % 3)) : 0.25;
const levelAt = (n: number, g: number, { scaleDtype }: Weights): number => LEVELS[scaleDtype][noise(n, g, 3) % 4]!;
const scaleAt = (n: number, g: number, weights: Weights): number => unitAt(n, weights) * levelAt(n, g, weights);
const offsetAt = (n: number, g: number): number => (noise(n, g, 4) % 7) - 3;
/** Of a zero point too: no byte is less than 0. */
const addedAt = (n: number, g: number, { held, shift }: Weights): number =>
  shift === 'zero8' ? Math.min(widthOf(held).zero, offsetAt(n, g)) : offsetAt(n, g);
const zeroPointAt = (n: number, g: number, weights: Weights): number => widthOf(weights.held).zero - addedAt(n, g, weights);
const minimumUnitAt = (n: number, weights: Weights): number => -2 * unitAt(n, weights);
const minimumLevelAt = (n: number, g: number): number => noise(n, g, 4) % 16;
/** The weight of code 0. Where it is a float, the weight of the middle code is small, as with an offset. */
const minimumAt = (n: number, g: number, weights: Weights): number =>
  hasUnits(weights.scaleDtype)
    ? minimumUnitAt(n, weights) * minimumLevelAt(n, g)
    : offsetAt(n, g) - scaleAt(n, g, weights) * widthOf(weights.held).zero;
const biasAt = (n: number): number => ((noise(n, 0, 5) % 17) - 8) / 2;
const quantAt = (n: number) => ({ scale: 2 ** -(3 + (noise(n, 0, 6) % 4)), offset: (noise(n, 0, 7) % 41) - 20 });

/** W, a whole number of eighths, or of 2^-23. */
function weightAt(weights: Weights, n: number, k: number): number {
  const { held, groupSize, shift, codebook } = weights;
  const g = Math.floor(k / groupSize);
  const q = codeAt(n, k, weights);
  const { zero } = widthOf(held);
  const values = VALUES[codebook];
  if (values) return scaleAt(n, g, weights) * values[q + zero]!;
  if (shift === 'minimum') return scaleAt(n, g, weights) * (q + zero) + minimumAt(n, g, weights);
  return scaleAt(n, g, weights) * (q + (shift === 'none' ? 0 : addedAt(n, g, weights)));
}

/** Row by row. (Typed arrays' `from` with a function takes ten times as long.) */
function matrix<T extends Float32Array | Int8Array>(values: T, columns: number, at: (row: number, column: number) => number): T {
  for (let i = 0, row = 0; i < values.length; row++) for (let column = 0; column < columns; column++) values[i++] = at(row, column);
  return values;
}
const floatBytes = (values: Float32Array<ArrayBuffer>, dtype: FloatDType): Uint8Array<ArrayBuffer> =>
  new Uint8Array((dtype === 'float32' ? values : encode16(values, dtype)).buffer);

/** Words of codes, (rows, columns): low parts, and high parts over them (docs/format.md). */
function packedWords(weights: Weights, columns: number): Uint32Array<ArrayBuffer> {
  const { n, k, held } = weights;
  const { low, high, inLow, zero } = widthOf(held);
  const w = new Uint32Array(rowsOfWords(k, held) * columns);
  for (let j = 0; j < k; j++) {
    const word = Math.floor(j / inLow);
    const [row, shift] = [high > 0 ? Math.floor(word / low) * held + (word % low) : word, low * (j % inLow)];
    const inBlock = ((word % low) * high) / low; // the high word, and the place in it
    const [highRow, highShift] = [
      Math.floor(word / low) * held + low + Math.floor(inBlock),
      high > 0 ? shift + high * (word % (low / high)) : 0,
    ];
    for (let i = 0; i < n; i++) {
      const code = codeAt(i, j, weights) + zero;
      w[row * columns + i]! |= (code & (2 ** low - 1)) << shift;
      if (high > 0) w[highRow * columns + i]! |= (code >>> low) << highShift;
    }
  }
  return w;
}

/** The packed buffers of docs/format.md. */
function packedContents({ weights, yDtype }: Problem): Readonly<Record<string, Uint8Array<ArrayBuffer>>> {
  const { n, k, groups, scaleDtype, shift, codebook } = weights;
  const columns = Math.ceil(n / 4) * 4;
  const table = (rows: number, at: (n: number, g: number) => number, of = columns) =>
    matrix(new Float32Array(rows * of), of, (g, i) => (i < n ? at(i, g) : 0));
  const bytes = (rows: number, at: (n: number, g: number) => number) => Uint8Array.from(table(rows, at));
  const perGroup = (at: (n: number, g: number) => number): Uint8Array<ArrayBuffer> =>
    isFloatDtype(scaleDtype) ? floatBytes(table(groups, at), scaleDtype) : bytes(groups, at);
  const level = (i: number, g: number): number => levelAt(i, g, weights) & 255;
  const units = Math.ceil(k / UNIT_K);
  const unit = (i: number): number => unitAt(i, weights);
  const offset: Readonly<Record<typeof shift, () => Uint8Array<ArrayBuffer> | undefined>> = {
    none: () => undefined,
    offset: () => perGroup(offsetAt),
    minimum: () => perGroup((i, g) => minimumAt(i, g, weights)),
    zero: () => perGroup((i, g) => zeroPointAt(i, g, weights)),
    zero8: () => bytes(groups, (i, g) => zeroPointAt(i, g, weights)),
  };
  /** Units of scales and of minima, next to each other. */
  const pairs = () =>
    floatBytes(
      Float32Array.from({ length: 2 * units * columns }, (_, i) => {
        const column = (i >> 1) % columns;
        return column >= n ? 0 : i % 2 === 0 ? unit(column) : minimumUnitAt(column, weights);
      }),
      'float16',
    );
  /** Bytes of a quad's scales, then those of its minima. */
  const both = () =>
    Uint8Array.from({ length: 2 * groups * columns }, (_, i) => {
      const g = Math.floor(i / (2 * columns));
      const column = 4 * Math.floor((i % (2 * columns)) / 8) + (i % 4);
      return column >= n ? 0 : i % 8 < 4 ? level(column, g) : minimumLevelAt(column, g);
    });
  const forms: Readonly<Record<ScaleDType, () => readonly [scale: Uint8Array<ArrayBuffer>, offset: Uint8Array<ArrayBuffer> | undefined]>> =
    {
      float32: () => [perGroup((i, g) => scaleAt(i, g, weights)), offset[shift]()],
      float16: () => [perGroup((i, g) => scaleAt(i, g, weights)), offset[shift]()],
      bfloat16: () => [perGroup((i, g) => scaleAt(i, g, weights)), offset[shift]()],
      int8: () => [bytes(groups, level), floatBytes(table(units, unit), 'float16')],
      uint8: () => [both(), pairs()],
      uint4: () => [bytes(groups, (i, g) => level(i, g) | (minimumLevelAt(i, g) << 4)), pairs()],
      e8m0: () => [bytes(groups, (i, g) => 127 + Math.log2(scaleAt(i, g, weights))), undefined],
      e4m3: () => [bytes(groups, (i, g) => E4M3[levelAt(i, g, weights) - 1]!), undefined],
      'e4m3-unit': () => [bytes(groups, (i, g) => E4M3[levelAt(i, g, weights) - 1]! + 0x10), floatBytes(table(1, unit), 'float32')],
    };
  const [scale0, offset0] = forms[scaleDtype]();
  const quants = new DataView(new ArrayBuffer(8 * columns));
  for (let i = 0; i < n; i++) {
    quants.setFloat32(4 * i, quantAt(i).scale, true);
    quants.setInt32(4 * (columns + i), quantAt(i).offset, true);
  }
  return {
    w0: new Uint8Array(packedWords(weights, columns).buffer),
    scale0,
    ...(offset0 && { offset0 }),
    columnBias: floatBytes(table(1, biasAt), 'float32'),
    ...(yDtype === 'int8' && { columnQuant: new Uint8Array(quants.buffer) }),
    ...(codebook === 'table' && { codebook: new Uint8Array(VALUES.table!.slice().buffer) }),
  };
}
/** Quarters 1 to 4 as e4m3; 16 more is four times as much. */
const E4M3 = [0x28, 0x30, 0x34, 0x38];

// ------------------------------------------------------------------------------------------------------------------ shape

/** Group sizes to try. The first is whole words but not a multiple of 32 k. */
const GROUP_SIZES = [48, 32, 64, 128, 256, Number.POSITIVE_INFINITY];
/** The same where groups share a unit of 256 k. */
const IN_UNITS = [16, 32, 64, 128, 256];
/** k past the last whole group; 0 for kernels that take only whole groups. */
const RAGGED = [16, 8, 32, 0];
const ROWS = [2, 1, 17, 65, 129];

/** The format of weights that a variant reads. */
function formatOf({ BITS, SCALE, OFFSET, CODEBOOK }: Params): WeightFormat {
  const found = LEGAL_FORMATS.find(
    ({ held, scaleDtype, shift, codebook }) =>
      held === BITS && SCALE_FORMS[scaleDtype].param === SCALE && SHIFTS[shift] === OFFSET && CODEBOOKS[codebook] === CODEBOOK,
  )!;
  return { ...found, bits: found.held };
}

/** A small problem that the kernel accepts: more than one tile of rows and columns, several groups, the last one short. */
function shape(kernel: Kernel, { tile, params, caps }: { tile: Params; params: Params; caps: Caps }): Problem | undefined {
  const format = formatOf(params);
  const make = (m: number, n: number, group: number, ragged: number): Problem => {
    const wanted = m * n <= 1024 ? 224 : 96; // k: smaller for a large y
    const whole = Number.isFinite(group) ? group * Math.max(ragged > 0 ? 1 : 2, Math.floor(wanted / group)) : 96;
    const k = whole + ragged;
    const groupSize = Math.min(group, k);
    return {
      m,
      weights: {
        n,
        k,
        ...format,
        mode: groupSize < k ? 'group' : 'channel',
        groupSize,
        groups: Math.ceil(k / groupSize),
        permuted: false,
        biased: true,
        requantized: params.Y === 3,
      },
      xDtype: X[params.X!]!,
      yDtype: params.Y === 3 ? 'int8' : FLOATS[params.Y!]!,
      innerPrecise: 1,
      weightDtype: FLOATS[params.ROUND!]!,
      x: contiguousX(m, k),
      yOffset: GUARD,
      yPitch: n,
    };
  };
  const sizes = hasUnits(format.scaleDtype) ? IN_UNITS : GROUP_SIZES;
  for (const group of sizes)
    for (const ragged of RAGGED)
      for (const m of ROWS) {
        const extent = (problem: Problem) => extentOf(kernel, { problem, caps, tile });
        const first = extent(make(m, 260, group, ragged));
        if (typeof first === 'string') continue;
        const { rows, quads } = first as Extent;
        const larger = [
          make(rows + 1, 4 * quads + 4, group, ragged),
          make(rows + 1, 260, group, ragged),
          make(m, 4 * quads + 4, group, ragged),
        ];
        return larger.find((problem) => typeof extent(problem) !== 'string') ?? make(m, 260, group, ragged);
      }
  return undefined;
}

// ------------------------------------------------------------------------------------------------------------------ trial

/** The trial of a variant; undefined if it is not of a matmul kernel, or no small problem suits it. */
export function makeTrial({ kernel: name, params }: MatmulVariant, device: Caps): Trial | undefined {
  const kernel = kernels.find((one) => one.name === name);
  const tile = kernel && tileOf(kernel, params);
  const known = X[params.X!] && FLOATS[params.ROUND!] && params.Y! <= 3;
  if (!tile || !known) return undefined;
  // One lane fills the device, so k is not split and the variant writes y itself.
  const caps = { ...device, lanes: 1, ...(params.X === FLOAT16_BITS && { f16: false }) };
  const problem = shape(kernel, { tile, params, caps });
  if (!problem) return undefined;
  const { m, weights, xDtype, yDtype } = problem;
  const { n, k } = weights;
  const plan = makePlan({ problem, packed: packedLayout(weights, caps), caps }, { force: { kernel: name, tile } });
  const variant = variantId(name, params);
  if (variantId(plan.kernel, plan.params) !== variant) return undefined;
  const x = floatBytes(matrix(new Float32Array(m * k), k, xAt), xDtype);
  const y = new Uint8Array(wholeWords((GUARD + m * n) * BYTES[yDtype]) + 4 * GUARD).fill(POISON);
  const scratch = Object.entries(plan.scratch).map(([role, size]) => [role, new Uint8Array(size).fill(POISON)] as const);
  const contents = new Map([...Object.entries(packedContents(problem)), ['x', x], ['y', y], ...scratch]);
  return { variant, problem, accuracy: plan.accuracy, dispatches: plan.dispatches, contents };
}

/** The first fault in the bytes that a trial left in `y`; undefined if there is none. */
export function judge({ problem, accuracy }: Trial, bytes: Uint8Array<ArrayBuffer>): Fault | undefined {
  const { m, weights, yDtype } = problem;
  const { n } = weights;
  const begin = GUARD * BYTES[yDtype];
  const end = begin + m * n * BYTES[yDtype];
  for (let i = 0; i < bytes.length; i++) {
    if ((i < begin || i >= end) && bytes[i] !== POISON)
      return { where: `byte ${i - begin} of y, outside it`, expected: 'untouched', got: `${bytes[i]}` };
  }
  const own = bytes.subarray(begin, end);
  if (own.every((byte) => byte === POISON)) return { where: 'y', expected: 'to be written', got: 'untouched' };
  const raw = own.slice().buffer;
  const got: ArrayLike<number> =
    yDtype === 'int8' ? new Int8Array(raw) : yDtype === 'float32' ? new Float32Array(raw) : decode16(new Uint16Array(raw), yDtype);
  const finish = (sum: number, i: number): number => {
    if (yDtype !== 'int8') return roundTo(sum, yDtype);
    const { scale, offset } = quantAt(i % n);
    return requantize(sum, scale, offset);
  };
  const sums = exactSums(problem);
  const rounds = accuracy.xStep > 0 || accuracy.weightStep > 0;
  let interval: ReturnType<typeof referenceOf> | undefined;
  for (let i = 0; i < sums.length; i++) {
    const best = finish(sums[i]!, i);
    if (got[i] === best) continue;
    let expected = `${best}`;
    if (rounds) {
      interval ??= referenceOf(problem, accuracy); // slow, and not needed by a kernel that is exact on such numbers
      const [a, b] = [finish(interval.low[i]!, i), finish(interval.high[i]!, i)];
      if (got[i]! >= a && got[i]! <= b) continue;
      expected += `, from ${a} to ${b}`;
    }
    return { where: `y[${Math.floor(i / n)}, ${i % n}] of (${m}, ${n}) from K = ${weights.k}`, expected, got: `${got[i]}` };
  }
  return undefined;
}

/** The exact sums, bias included: nothing here is rounded, in any order of summing. A test compares them with the reference. */
export function exactSums({ m, weights }: Problem): Float64Array {
  const { n, k, groupSize } = weights;
  const x = matrix(new Int8Array(m * k), k, xAt);
  const values = matrix(new Float32Array(n * k), k, (i, j) => weightAt(weights, i, j));
  const sums = new Float64Array(m * n);
  for (let i = 0; i < n; i++)
    for (let begin = 0, g = 0; begin < k; begin += groupSize, g++) {
      const end = Math.min(k, begin + groupSize);
      for (let r = 0; r < m; r++) {
        let sum = 0;
        for (let j = begin; j < end; j++) sum += x[r * k + j]! * values[i * k + j]!;
        sums[r * n + i]! += sum + (g === 0 ? biasAt(i) : 0);
      }
    }
  return sums;
}

/** The reference's answer, from a matrix that holds the same numbers. */
export function referenceOf({ m, weights }: Problem, accuracy: Accuracy) {
  const { n, k, held: bits, groupSize, groups, shift, codebook } = weights;
  const tensor = (rows: number, columns: number, at: (row: number, column: number) => number) => ({
    data: matrix(new Float32Array(rows * columns), columns, at),
    shape: [rows, columns],
    dtype: 'float32' as const,
  });
  const grouped = (at: (n: number, g: number) => number) => matrix(new Float32Array(n * groups), groups, at);
  const { zero } = widthOf(bits);
  const same: QuantizedMatrix = {
    n,
    k,
    bits,
    codes: packCodes(
      matrix(new Float32Array(n * k), k, (i, j) => codeAt(i, j, weights) + zero),
      n,
      k,
      bits,
    ),
    groupSize,
    scale: grouped((i, g) => scaleAt(i, g, weights)),
    scaleDtype: 'float32',
    ...(shift !== 'none' && shift !== 'minimum' && { zeroPoint: grouped((i, g) => zeroPointAt(i, g, weights)) }),
    ...(shift === 'minimum' && { minimum: grouped((i, g) => minimumAt(i, g, weights)) }),
    ...(codebook === 'e4m3' ? { codeForm: codebook } : codebook !== 'none' && { codebook: VALUES[codebook]! }),
  };
  return referenceMatrix(tensor(m, k, xAt), same, { bias: { ...tensor(1, n, (_, i) => biasAt(i)), shape: [n] }, accuracy });
}
