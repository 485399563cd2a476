// Where a product writes y: in place, or as float32 sums in scratch memory that round-rows turns into y. Pure.
import { BYTES } from '../dtype.js';
import { roundRows } from '../kernels/helpers.js';
import { layersOf, Y, type YColumns } from '../kernels/operands.js';
import type { Caps } from '../problem/caps.js';
import type { Problem } from '../problem/problem.js';
import { type Range, type Slice, window } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';
import { columnQuantSlice } from './packed-layout.js';

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
}

/** A range of rows of y, written in place. ys of several layers are written in one range. */
export function inPlace({ problem, caps }: YContext, { begin, count }: Range): Output {
  const layers = layersOf(problem).map((layer) => ({ ...layer, yOffset: layer.yOffset + begin * layer.count }));
  const first = Math.min(...layers.map(({ yOffset }) => yOffset));
  const end = Math.max(...layers.map((layer) => layer.yOffset + count * layer.count));
  const { base, ...slice } = window(caps, { buffer: 'y', bits: 8 * BYTES[problem.yDtype], first, length: end - first });
  return { slice, columns: layers.map((layer) => ({ begin: layer.begin, first: base + layer.yOffset, pitch: layer.count })) };
}

/** Scratch `sums`: rows of whole quads for each of `splits`. */
export function inScratch({ weights: { n } }: Problem, { rows, splits }: { readonly rows: number; readonly splits: number }): Output {
  const pitch = sumsPitch(n);
  return { slice: { buffer: 'sums', offset: 0, size: splits * rows * pitch * 4 }, columns: [{ begin: 0, first: 0, pitch }] };
}

/** Adds the `splits` of scratch `sums` and rounds them to a range of rows of y. */
export function round({ problem, caps }: YContext, { begin, count, splits }: Range & { readonly splits: number }): Dispatch {
  const { yDtype, yOffset, weights } = problem;
  const { n } = weights;
  const pitch = sumsPitch(n);
  const bits = 8 * BYTES[yDtype];
  const { base, ...y } = window(caps, { buffer: 'y', bits, first: yOffset + begin * n, length: count * n });
  const first = base + yOffset + begin * n;
  const firstWord = Math.floor((first * bits) / 32);
  const lastWord = Math.floor(((first + count * n - 1) * bits) / 32);
  return dispatch(caps, {
    shader: roundRows,
    params: { Y: Y[yDtype]! },
    workgroups: Math.ceil((lastWord - firstWord + 1) / 64),
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
      ...(yDtype === 'int8' && { quant: columnQuantSlice(weights) }),
      y,
    },
  });
}
