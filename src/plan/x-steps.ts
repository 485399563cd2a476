// Dispatches on x before a product: gather x into rows that kernels can read; compute integer codes of x. Pure.

import { BYTES } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import * as helpers from '../kernels/helpers.js';
import type { Before } from '../kernels/kernel.js';
import { gatherParam, readsInPlace, xParam } from '../kernels/operands.js';
import type { Caps } from '../problem/caps.js';
import { lowWords, widthOf } from '../problem/code-width.js';
import type { Problem, XProblem, XView } from '../problem/problem.js';
import type { RowScale } from '../problem/row-scale.js';
import { blocksOf, type Digits, pitchWords } from '../problem/x-codes.js';
import type { Params } from '../wgsl/preprocess.js';
import { fitting, pieces, type Range, type Slice, type StridedWindow, stridedWindow, window, windowBytes } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';
import { inputScaleSlice, permutationSlice } from './packed-layout.js';

/** What planning the read of x depends on. */
export interface XContext {
  readonly problem: XProblem;
  readonly caps: Caps;
}

/** Rows of x as kernels read them: in place, or gathered. */
export interface XRows extends StridedWindow {
  /** Index in x of the first row. */
  readonly begin: number;
  /** Uniforms of the factor that a kernel applies. */
  readonly factor: Readonly<Record<'row_scale' | 'row_base' | 'row_width' | 'row_epsilon', number>>;
  /** Param X of the shaders that read the rows. */
  readonly X: number;
}

/** Codes of x for a kernel: the dispatches that compute them, and the kernel's bindings to them. */
export interface Prepared {
  readonly dispatches: readonly Dispatch[];
  readonly bindings: Readonly<Record<string, Slice>>;
}
export const NOTHING: Prepared = { dispatches: [], bindings: {} };

interface Preparation {
  /** Scratch bytes for a row of x, by role. */
  bytes(problem: Problem, params: Params): Readonly<Record<string, number>>;
  make(context: { readonly problem: Problem; readonly caps: Caps; readonly params: Params }, rows: XRows): Prepared;
}

/** The role of the codes of x. It is a scratch buffer unless x comes quantized. */
export const X_CODES = 'xCodes';

// ------------------------------------------------------------------------------------------------------------------- rows

/** Elements of a gathered row: k padded to whole words. */
const gatheredPitch = ({ weights: { k, held } }: XProblem): number => lowWords(k, held) * widthOf(held).inLow;
export const gatheredBytes = (problem: XProblem): number => 4 * gatheredPitch(problem);

/** Bytes from a row of x to the next, where kernels read it. */
export const rowBytes = (problem: XProblem): number =>
  readsInPlace(problem) ? problem.x.strideM * BYTES[problem.xDtype] : gatheredBytes(problem);

/** A range of rows of x, as kernels read them. */
export function rowsOf({ problem, caps }: XContext, { begin, count: rows }: Range): XRows {
  const { x, xDtype, weights } = problem;
  const X = xParam(problem, caps);
  const place = readsInPlace(problem)
    ? { buffer: 'x', bits: 8 * BYTES[xDtype], first: x.offset + begin * x.strideM, pitch: x.strideM, width: weights.k }
    : { buffer: 'rows', bits: 32, first: 0, pitch: gatheredPitch(problem), width: gatheredPitch(problem) };
  const none = { row_scale: 0, row_base: 0, row_width: 0, row_epsilon: 0 };
  if (problem.rowScale?.by !== 'kernel') return { ...stridedWindow(caps, { ...place, rows }), begin, X, factor: none };
  // One row, and what its factor is or is made of: one window of x.
  const { rowScale } = problem;
  const squares = rowScale.of === 'rms' ? rowScale : { width: 1, epsilon: 0 };
  const first = Math.min(x.offset, rowScale.offset);
  const end = Math.max(x.offset + weights.k, rowScale.offset + squares.width);
  const { base, ...slice } = window(caps, { buffer: 'x', bits: 32, first, length: end - first });
  const factor = {
    row_scale: rowScale.of === 'rms' ? 2 : 1,
    row_base: base + rowScale.offset,
    row_width: squares.width,
    row_epsilon: bitsOf(squares.epsilon),
  };
  return { slice, first: base + x.offset, pitch: x.strideM, rows, begin, X, factor };
}

/**
 * Gathers a range of rows of x into scratch `rows`, one dispatch for each window of x, and multiplies it by scales of inputs and factors of rows. With a permutation, a window holds whole rows.
 * @throws UnsupportedError
 */
export function gather({ problem, caps }: XContext, { begin, count }: Range): Dispatch[] {
  const { x, xDtype, rowScale, inputScale, weights } = problem;
  const { k, permuted, inputScaled } = weights;
  const made = rowScale?.of === 'rms' ? [factorsStep(caps, rowScale, { begin, count })] : [];
  const bits = 8 * BYTES[xDtype];
  const pitch = gatheredPitch(problem) / 4;
  const out = { buffer: 'rows', offset: 0, size: count * pitch * 16 };
  /** Rows [m, m + rows) of quads [quad, quad + quads) of k. */
  const part = (m: number, { rows, quad, quads }: { rows: number; quad: number; quads: number }): Dispatch => {
    const lastK = Math.min(k, 4 * (quad + quads)) - 1;
    const [low, high] = cornersOf(x, { begin: m, count: rows });
    const [first, last] = [low + 4 * quad * x.strideK, high + lastK * x.strideK];
    const { base, ...source } = window(caps, { buffer: 'x', bits, first, length: last - first + 1 });
    const factors = rowScale && factorsAt(caps, rowScale, { begin, count });
    const called = inputScale === undefined ? undefined : window(caps, { buffer: CALL_SCALE, bits: 32, first: inputScale, length: k });
    return dispatch(caps, {
      shader: helpers.gatherRows,
      params: {
        X: gatherParam(xDtype),
        PERM: permuted ? 1 : 0,
        SCALED: inputScaled ? 1 : 0,
        FACTORS: factors ? 1 : 0,
        CALL_SCALED: called ? 1 : 0,
      },
      workgroups: Math.ceil((rows * quads) / 64),
      uniforms: {
        m: rows,
        first_m: m,
        first_k: 4 * quad,
        quads,
        k,
        base: base + x.offset,
        batch_rows: x.batchRows,
        stride_b: x.strideB,
        stride_m: x.strideM,
        stride_k: x.strideK,
        rows_base: (m - begin) * pitch,
        pitch,
        factors_base: factors ? factors.first + (m - begin) : 0,
        call_base: called ? called.base + inputScale! : 0,
      },
      bindings: {
        x: source,
        rows: out,
        ...(factors && { factors: factors.slice }),
        ...(called && { call_scale: { buffer: called.buffer, offset: called.offset, size: called.size } }),
        ...(permuted && { permutation: permutationSlice(weights) }),
        ...(inputScaled && { input_scale: inputScaleSlice(weights) }),
      },
    });
  };
  const one = part(begin, { rows: count, quad: 0, quads: pitch });
  if (one.bindings.x!.size <= windowBytes(caps)) return [...made, one];
  // Too wide for one binding (a long transposed x): take one batch at a time, and as many k as fit.
  const transposed = x.strideK > x.strideM;
  // With a permutation, any k may be anywhere in a row.
  if (transposed && permuted) fitting(caps, { what: 'a transposed x whose inputs are permuted', bytes: (k * x.strideK * bits) / 8 });
  const quads = transposed && !permuted ? fitting(caps, { what: 'x', bytes: (4 * x.strideK * bits) / 8 }) : pitch;
  const fit = transposed ? x.batchRows : fitting(caps, { what: 'x', bytes: (Math.max(x.strideM, k * x.strideK) * bits) / 8 });
  const parts: Dispatch[] = [...made];
  for (let m = begin; m < begin + count; ) {
    const rows = Math.min(x.batchRows - (m % x.batchRows), begin + count - m, fit);
    for (const piece of pieces({ end: pitch }, quads)) parts.push(part(m, { rows, quad: piece.begin, quads: piece.count }));
    m += rows;
  }
  return parts;
}

/** Roles of what is multiplied with rows: the caller's, where it is not x's buffer, and the factors that are made of it. */
export const ROW_SCALE = 'rowScale';
export const FACTORS = 'factors';
/** The role of the scales of inputs that a call gives. */
export const CALL_SCALE = 'callScale';

const roleOf = ({ beside }: RowScale): string => (beside ? 'x' : ROW_SCALE);

/** Where the factors of a range of rows are. */
function factorsAt(caps: Caps, rowScale: RowScale, { begin, count }: Range): { readonly slice: Slice; readonly first: number } {
  if (rowScale.of === 'rms') return { slice: { buffer: FACTORS, offset: 0, size: 4 * count }, first: 0 };
  const first = rowScale.offset + begin;
  const { base, ...slice } = window(caps, { buffer: roleOf(rowScale), bits: 32, first, length: count });
  return { slice, first: base + first };
}

/** Makes the factors of a range of rows. */
function factorsStep(
  caps: Caps,
  { offset, pitch, width, epsilon, ...rowScale }: RowScale & { readonly of: 'rms' },
  { begin, count }: Range,
): Dispatch {
  const first = offset + begin * pitch;
  const length = (count - 1) * pitch + width;
  const { base, ...source } = window(caps, { buffer: roleOf({ offset, pitch, width, epsilon, ...rowScale }), bits: 32, first, length });
  return dispatch(caps, {
    shader: helpers.rowFactors,
    params: {},
    workgroups: count,
    uniforms: { m: count, base: base + first, pitch, width, epsilon: bitsOf(epsilon) },
    bindings: { source, factors: { buffer: FACTORS, offset: 0, size: 4 * count } },
  });
}
const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;

/** The lowest and the highest first element of the rows. */
function cornersOf({ offset, batchRows, strideB, strideM }: XView, { begin, count }: Range): readonly [low: number, high: number] {
  const last = begin + count - 1;
  const [firstBatch, lastBatch] = [Math.floor(begin / batchRows), Math.floor(last / batchRows)];
  const at = (batch: number, row: number): number => offset + batch * strideB + row * strideM;
  const [first, end] = [at(firstBatch, begin % batchRows), at(lastBatch, last % batchRows)];
  if (firstBatch === lastBatch) return [first, end];
  return [Math.min(first, at(firstBatch + 1, 0)), Math.max(end, at(lastBatch - 1, batchRows - 1))];
}

// ----------------------------------------------------------------------------------------------------------- preparations

export const preparations: Readonly<Record<Before, Preparation>> = {
  'quantize-rows': {
    bytes: ({ weights: { k } }, { DIGITS }) => ({ [X_CODES]: 4 * pitchWords(k, DIGITS as Digits) }),
    make({ problem, caps, params: { DIGITS } }, rows) {
      const digits = DIGITS as Digits;
      const pitch = 4 * pitchWords(problem.weights.k, digits);
      // A quantized x has a separate buffer with the codes of all rows.
      const codes = { buffer: X_CODES, offset: problem.xDigits ? rows.begin * pitch : 0, size: rows.rows * pitch };
      const dispatches = problem.xDigits ? [] : [quantize({ problem, caps, digits }, rows, codes)];
      return { dispatches, bindings: { x_codes: codes } };
    },
  },
};

/** Computes the codes of rows of x. */
function quantize(
  { problem, caps, digits }: XContext & { readonly digits: Digits },
  { slice: x, first, pitch, rows, X }: XRows,
  codes: Slice,
): Dispatch {
  const { k, held } = problem.weights;
  const blocks = blocksOf(k);
  return dispatch(caps, {
    shader: helpers.quantizeRows,
    params: { X, BITS: held, DIGITS: digits },
    workgroups: Math.ceil((rows * blocks) / 64),
    uniforms: { m: rows, x_base: first / 4, x_pitch: pitch / 4, blocks },
    bindings: { x, codes },
  });
}

/** Computes the codes of all rows of x into `xCodes`, one dispatch for each window of x. @throws UnsupportedError */
export function quantizeAll(
  { problem, caps }: XContext,
  digits: Digits,
): { readonly dispatches: readonly Dispatch[]; readonly scratch: Readonly<Record<string, number>> } {
  const { m, weights } = problem;
  const direct = readsInPlace(problem);
  const what = `quantized x (${m}, ${weights.k})`;
  const pitch = 4 * pitchWords(weights.k, digits);
  if (m * pitch > caps.maxBufferSize)
    throw new UnsupportedError(what, [`needs ${m * pitch} bytes, maxBufferSize is ${caps.maxBufferSize}`]);
  const rows = Math.min(m, fitting(caps, { what, bytes: Math.max(pitch, rowBytes(problem)) }));
  const dispatches = [...pieces({ end: m }, rows)].flatMap((range) => {
    const codes = { buffer: X_CODES, offset: range.begin * pitch, size: range.count * pitch };
    return [
      ...(direct ? [] : gather({ problem, caps }, range)),
      quantize({ problem, caps, digits }, rowsOf({ problem, caps }, range), codes),
    ];
  });
  return { dispatches, scratch: direct ? {} : { rows: rows * gatheredBytes(problem) } };
}
