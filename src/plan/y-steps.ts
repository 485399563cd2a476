// Where a product writes y: in place, or as float32 sums in scratch memory that round-rows turns into y, or best-rows into the best of each
// row. Pure.
import { BYTES } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { bestRows, roundRows } from '../kernels/helpers.js';
import { outputsOf, Y, type YColumns } from '../kernels/operands.js';
import type { Caps } from '../problem/caps.js';
import type { SummedPairs } from '../problem/experts.js';
import { columnsOfY, GLUS, type Glu } from '../problem/glu.js';
import type { Best, Problem } from '../problem/problem.js';
import { type Range, type Slice, window } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';
import { columnQuantSlice, type Packed, twinScaleIn } from './packed-layout.js';
import { weightsWindow } from './pair-steps.js';

interface YContext {
  readonly problem: Problem;
  readonly caps: Caps;
}

/** Elements in a row of scratch `sums`: whole quads. */
export const sumsPitch = (n: number): number => Math.ceil(n / 4) * 4;

/** The slice that a product binds as y, and where each layer's columns start in it. */
export interface Output {
  readonly slice: Slice;
  readonly columns: readonly YColumns[];
  /** Does the product add to what the slice holds? */
  readonly adds: boolean;
  /** Elements from y to its twin; 0: it has none. */
  readonly twin: number;
  /** What is made of the product before it is written; 0: nothing. */
  readonly act: number;
}

/** A range of rows of y, written in place. ys of several layers are written in one range. */
export function inPlace({ problem, caps }: YContext, { begin, count }: Range): Output {
  const layers = outputsOf(problem).map((layer) => ({ ...layer, yOffset: layer.yOffset + begin * layer.pitch }));
  const twin = problem.twin === undefined ? 0 : problem.twin - problem.yOffset;
  const first = Math.min(...layers.map(({ yOffset }) => yOffset)) + Math.min(0, twin);
  const end = Math.max(...layers.map((layer) => layer.yOffset + (count - 1) * layer.pitch + layer.count)) + Math.max(0, twin);
  const { base, ...slice } = window(caps, { buffer: 'y', bits: 8 * BYTES[problem.yDtype], first, length: end - first });
  if (twin !== 0 && slice.size > caps.maxStorageBufferBindingSize)
    throw new UnsupportedError('y and its twin', [
      `need a binding of ${slice.size} bytes, maxStorageBufferBindingSize is ${caps.maxStorageBufferBindingSize}`,
    ]);
  return {
    slice,
    columns: layers.map((layer) => ({ begin: layer.begin, first: base + layer.yOffset, pitch: layer.pitch })),
    adds: problem.adds,
    twin,
    act: actOf(problem.weights.glu),
  };
}
const actOf = (glu: Glu | undefined): number => (glu ? GLUS[glu] : 0);

/** Scratch `sums`: rows of whole quads for each of `splits`. round-rows adds and gates. */
export function inScratch({ weights: { n } }: Problem, { rows, splits }: { readonly rows: number; readonly splits: number }): Output {
  const pitch = sumsPitch(n);
  return {
    slice: { buffer: 'sums', offset: 0, size: splits * rows * pitch * 4 },
    columns: [{ begin: 0, first: 0, pitch }],
    adds: false,
    twin: 0,
    act: 0,
  };
}

/** Adds the `splits` of scratch `sums`, makes of them what the problem asks for, and rounds it to a range of rows of y. */
export function round(
  { problem, packed, caps }: YContext & { readonly packed: Packed },
  range: Range & { readonly splits: number },
): Dispatch {
  const { yDtype: dtype, yOffset: offset, weights, adds, experts, twin } = problem;
  const quant = dtype === 'int8' ? columnQuantSlice(weights) : undefined;
  const scale = twinScaleIn(weights, packed);
  const pairs = experts?.summed && { ...experts.summed, twin: twin !== undefined ? { offset: twin - offset, scale } : undefined };
  return roundFrom(caps, { from: 'sums', to: { dtype, offset, n: columnsOfY(weights) }, quant, adds, glu: weights.glu, pairs, ...range });
}

/** A row of y is the weighted sum of `top` rows of sums, and may have a twin so many elements behind it. */
interface PairsOfRow extends SummedPairs {
  readonly twin: { readonly offset: number; readonly scale: Slice } | undefined;
}

/** Rows of float32 in whole quads, in as many splits, → rows of `to`, which lie one after the other. */
export function roundFrom(
  caps: Caps,
  {
    from,
    to: { dtype, offset, n },
    quant,
    adds = false,
    glu,
    pairs,
    begin,
    count,
    splits,
  }: Range & {
    readonly from: string;
    readonly to: { readonly dtype: Problem['yDtype']; readonly offset: number; readonly n: number };
    readonly quant?: Slice | undefined;
    readonly adds?: boolean;
    readonly glu?: Glu | undefined;
    readonly pairs?: PairsOfRow | undefined;
    readonly splits: number;
  },
): Dispatch {
  const pitch = sumsPitch(glu ? 2 * n : n);
  const bits = 8 * BYTES[dtype];
  const top = pairs?.top ?? 1;
  const weights = pairs && weightsWindow(caps, count * top, pairs);
  const apart = pairs?.twin?.offset ?? 0;
  const from0 = offset + begin * n;
  const { base, ...y } = window(caps, { buffer: 'y', bits, first: from0 + Math.min(0, apart), length: count * n + Math.abs(apart) });
  const first = base + from0;
  const firstWord = Math.floor((first * bits) / 32);
  const lastWord = Math.floor(((first + count * n - 1) * bits) / 32);
  return dispatch(caps, {
    shader: roundRows,
    params: { Y: Y[dtype]!, PAIRS: pairs ? 1 : 0 },
    workgroups: Math.ceil((lastWord - firstWord + 1) / 64),
    uniforms: {
      count: count * n,
      n,
      pitch,
      first,
      first_word: firstWord,
      quant_pitch: pitch,
      splits,
      split_pitch: count * top * pitch,
      adds: adds ? 1 : 0,
      act: actOf(glu),
      top,
      weights_base: weights?.base ?? 0,
      twin: (apart * bits) / 32,
    },
    bindings: {
      sums: { buffer: from, offset: 0, size: splits * count * top * pitch * 4 },
      ...(quant && { quant }),
      ...(weights && { pair_weights: weights.slice }),
      ...(weights && { twin_scale: pairs?.twin?.scale ?? weights.slice }), // bound where it is not read, too
      y,
    },
  });
}

/** The roles of what is told of each row in place of y. */
export const BEST_IDS = 'best_ids';
export const BEST_VALUES = 'best_values';

/** Adds the `splits` of scratch `sums`, and leaves the id and the value of the greatest of each of a range of rows. */
export function bestOf(
  { problem, caps }: YContext,
  { columns, ids, values }: Best,
  { begin, count, splits }: Range & { readonly splits: number },
): Dispatch {
  const pitch = sumsPitch(problem.weights.n) / 4;
  const place = (buffer: string, offset: number) => {
    const first = offset + begin;
    const { base, ...slice } = window(caps, { buffer, bits: 32, first, length: count });
    return { slice, base: base + first };
  };
  const [ofIds, ofValues] = [place(BEST_IDS, ids), place(BEST_VALUES, values)];
  return dispatch(caps, {
    shader: bestRows,
    params: {},
    workgroups: count,
    uniforms: { rows: count, columns, pitch, splits, split_pitch: count * pitch, ids_base: ofIds.base, values_base: ofValues.base },
    bindings: { sums: { buffer: 'sums', offset: 0, size: splits * count * pitch * 16 }, ids: ofIds.slice, values: ofValues.slice },
  });
}
