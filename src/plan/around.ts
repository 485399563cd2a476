// The steps around a product: x into rows that kernels can read, what a kernel wants made of x first, sums into a y that kernels cannot
// write. Pure.

import { BYTES } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import * as helpers from '../kernels/helpers.js';
import type { Before } from '../kernels/kernel.js';
import { gatherParam, readsInPlace, xParam, Y } from '../kernels/operands.js';
import type { Caps } from '../problem/caps.js';
import type { Problem, XOf } from '../problem/problem.js';
import { blocksOf, type Digits, pitchWords } from '../problem/x-codes.js';
import type { Params } from '../wgsl/preprocess.js';
import { fitting, pieces, type Slice, type Window, window, windowBytes } from './binding.js';
import { groupWords, type Packed, whole } from './packed-layout.js';
import { type Step, step } from './step.js';

/** Elements in a row of scratch `sums`: whole quads. */
export const sumsPitch = (n: number): number => Math.ceil(n / 4) * 4;

/** Rows of x as kernels read them: in place, or as gather-rows left them. */
export interface Rows {
  readonly window: Window;
  /** Element of row 0, counted as the window's buffer counts. */
  readonly first: number;
  /** Elements in a row. */
  readonly pitch: number;
  /** The row of the whole product that comes first here. */
  readonly begin: number;
  readonly count: number;
  /** The param X of whoever reads them. */
  readonly X: number;
}

/** Something made of x for a kernel to read: the steps that make it, and what the kernel binds and is told. */
export interface Made {
  readonly steps: readonly Step[];
  readonly bindings: Readonly<Record<string, Slice>>;
  readonly uniforms: Readonly<Record<string, number>>;
}
interface Maker {
  /** Bytes of it for a row of x, by role. */
  bytes(problem: Problem, packed: Packed, params: Params): Readonly<Record<string, number>>;
  make(problem: Problem, caps: Caps, packed: Packed, rows: Rows, params: Params): Made;
}

/** The role that is no scratch where x comes quantized. */
export const GIVEN = 'xCodes';

/** Words that share a sum of x: those of 32 k, or of the longest run of 2, 4, 8 … of them that groups are whole ones of (lib/splits.wgsl). */
function sumWords(problem: Problem, packed: Packed): number {
  const whole = problem.bits; // 32 k
  const inGroup = groupWords(problem, packed);
  return inGroup < packed.words ? Math.min(whole, inGroup & -inGroup) : whole;
}
const sumsOf = (problem: Problem, packed: Packed): number => Math.ceil(packed.words / sumWords(problem, packed));

export const makers: Readonly<Record<Before, Maker>> = {
  'sum-rows': {
    bytes: (problem, packed) => ({ xSums: 8 * sumsOf(problem, packed) }),
    make(problem, caps, packed, { window: x, first, pitch, count, X }) {
      const blocks = sumsOf(problem, packed);
      const sums = { buffer: 'xSums', offset: 0, size: 8 * count * blocks };
      const sum = step(caps, helpers.sumRows, { X }, Math.ceil((count * blocks) / 64), {
        uniforms: {
          m: count,
          x_base: (x.base + first) / 4,
          x_pitch: pitch / 4,
          blocks,
          block_vec4s: (sumWords(problem, packed) * 8) / problem.bits,
        },
        bindings: { x, sums },
      });
      return { steps: [sum], bindings: { x_sums: sums }, uniforms: {} };
    },
  },
  'quantize-rows': {
    bytes: ({ k }, _packed, { DIGITS }) => ({ [GIVEN]: 4 * pitchWords(k, DIGITS as Digits) }),
    make(problem, caps, _packed, rows, { DIGITS }) {
      const { k, bits, xDigits } = problem;
      const pitch = 4 * pitchWords(k, DIGITS as Digits);
      // An x that came quantized has its codes in a buffer of its own, all rows of them.
      const codes = { buffer: GIVEN, offset: xDigits ? rows.begin * pitch : 0, size: rows.count * pitch };
      const steps = xDigits ? [] : [quantize(caps, rows, { k, bits, digits: DIGITS as Digits }, codes)];
      return { steps, bindings: { x_codes: codes }, uniforms: {} };
    },
  },
};

/** Every row of x → `xCodes`, all of it, in as many windows of x as it takes. @throws UnsupportedError */
export function quantizeAll(
  problem: XOf,
  caps: Caps,
  digits: Digits,
): { readonly steps: Step[]; readonly scratch: Readonly<Record<string, number>> } {
  const { m, k, bits, xDtype } = problem;
  const direct = readsInPlace(problem);
  const what = `quantized x (${m}, ${k})`;
  const pitch = 4 * pitchWords(k, digits);
  if (m * pitch > caps.maxBufferSize)
    throw new UnsupportedError(what, [`needs ${m * pitch} bytes, maxBufferSize is ${caps.maxBufferSize}`]);
  const widest = Math.max(pitch, direct ? k * BYTES[xDtype] : gatheredBytes(problem));
  const rows = Math.min(m, fitting(caps, what, widest));
  const steps = [...pieces(m, rows)].flatMap((chunk) => [
    ...(direct ? [] : gather(problem, caps, chunk.begin, chunk.count)),
    quantize(
      caps,
      rowsOf(problem, caps, chunk),
      { k, bits, digits },
      { buffer: GIVEN, offset: chunk.begin * pitch, size: chunk.count * pitch },
    ),
  ]);
  return { steps, scratch: direct ? {} : { rows: rows * gatheredBytes(problem) } };
}

/** Rows of x → their codes. */
function quantize(
  caps: Caps,
  { window: x, first, pitch, count, X }: Rows,
  { k, bits, digits }: { readonly k: number; readonly bits: number; readonly digits: Digits },
  codes: Slice,
): Step {
  const blocks = blocksOf(k);
  return step(caps, helpers.quantizeRows, { X, BITS: bits, DIGITS: digits }, Math.ceil((count * blocks) / 64), {
    uniforms: { m: count, x_base: (x.base + first) / 4, x_pitch: pitch / 4, blocks },
    bindings: { x, codes },
  });
}

/** Elements and bytes of a row as gather-rows leaves it: whole words of k, as float32. */
const gatheredPitch = ({ k, bits }: XOf): number => Math.ceil(k / (32 / bits)) * (32 / bits);
export const gatheredBytes = (problem: XOf): number => 4 * gatheredPitch(problem);

/** Rows [begin, begin + count) of x, where kernels read them. */
export function rowsOf(problem: XOf, caps: Caps, { begin, count }: { readonly begin: number; readonly count: number }): Rows {
  const { k, x, xDtype } = problem;
  const direct = readsInPlace(problem);
  const pitch = direct ? k : gatheredPitch(problem);
  const first = direct ? x.offset + begin * k : 0;
  const bits = direct ? 8 * BYTES[xDtype] : 32;
  return { window: window(caps, direct ? 'x' : 'rows', bits, first, count * pitch), first, pitch, begin, count, X: xParam(problem, caps) };
}

/**
 * x rows [begin, begin + count) → scratch `rows`, in as many windows of x as it takes; in another order, a window holds whole rows.
 * @throws UnsupportedError
 */
export function gather(problem: XOf, caps: Caps, begin: number, count: number, packed?: Packed): Step[] {
  const { x, k, xDtype, permuted } = problem;
  const bits = 8 * BYTES[xDtype];
  const pitch = gatheredPitch(problem) / 4;
  const out = { buffer: 'rows', offset: 0, size: count * pitch * 16 };
  const at = (m: number, kk: number): number => {
    const batch = Math.floor(m / x.batchRows);
    return x.offset + batch * x.strideB + (m - batch * x.batchRows) * x.strideM + kk * x.strideK;
  };
  const part = (firstM: number, rows: number, firstK: number, quads: number): Step => {
    const lastK = Math.min(k, firstK + 4 * quads) - 1;
    // Batches follow each other, so the corners are the first and the last element.
    const [low, high] = [at(firstM, firstK), at(firstM + rows - 1, lastK)];
    const source = window(caps, 'x', bits, low, high - low + 1);
    return step(caps, helpers.gatherRows, { X: gatherParam(xDtype), PERM: permuted ? 1 : 0 }, Math.ceil((rows * quads) / 64), {
      uniforms: {
        m: rows,
        first_m: firstM,
        first_k: firstK,
        quads,
        k,
        base: source.base + x.offset,
        batch_rows: x.batchRows,
        stride_b: x.strideB,
        stride_m: x.strideM,
        stride_k: x.strideK,
        rows_base: (firstM - begin) * pitch,
        pitch,
      },
      bindings: { x: source, rows: out, ...(permuted && { permutation: whole(packed!, 'permutation') }) },
    });
  };
  const one = part(begin, count, 0, pitch);
  if (one.bindings.x!.size <= windowBytes(caps)) return [one];
  // Too wide for one binding (a long transposed x): one batch at a time, and as many k as fit.
  const steps: Step[] = [];
  for (let m = begin; m < begin + count; ) {
    const rows = Math.min(x.batchRows - (m % x.batchRows), begin + count - m);
    const transposed = x.strideK > x.strideM;
    // Where the layer takes its inputs in another order, any k may be anywhere in a row.
    if (transposed && permuted) fitting(caps, 'a transposed x whose inputs are permuted', (k * x.strideK * bits) / 8);
    const fit = fitting(caps, 'x', (4 * Math.max(x.strideK, x.strideM) * bits) / 8);
    const quads = transposed && !permuted ? fit : pitch;
    for (const piece of pieces(pitch, quads)) steps.push(part(m, rows, 4 * piece.begin, piece.count));
    m += rows;
  }
  return steps;
}

/** Scratch `sums`, of which there are `splits`, → y rows [begin, begin + count). */
export function round(problem: Problem, caps: Caps, packed: Packed, begin: number, count: number, splits: number): Step {
  const pitch = sumsPitch(problem.n);
  const { n, yDtype } = problem;
  const bits = 8 * BYTES[yDtype];
  const y = window(caps, 'y', bits, problem.yOffset + begin * n, count * n);
  const first = y.base + problem.yOffset + begin * n;
  const firstWord = Math.floor((first * bits) / 32);
  const lastWord = Math.floor(((first + count * n - 1) * bits) / 32);
  return step(caps, helpers.roundRows, { Y: Y[yDtype]! }, Math.ceil((lastWord - firstWord + 1) / 64), {
    uniforms: {
      count: count * n,
      n,
      pitch,
      first,
      first_word: firstWord,
      quant_pitch: pitch,
      splits,
      split_pitch: count * pitch,
    },
    bindings: {
      sums: { buffer: 'sums', offset: 0, size: splits * count * pitch * 4 },
      ...(yDtype === 'int8' && { quant: whole(packed, 'columnQuant') }),
      y,
    },
  });
}
