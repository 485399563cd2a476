// The dispatch that sorts pairs of rows of x and experts, and what products read of them. Pure.
import { UnsupportedError } from '../errors.js';
import { sortPairs } from '../kernels/helpers.js';
import type { Caps } from '../problem/caps.js';
import { type ExpertPairs, type SummedPairs, sortedWords } from '../problem/experts.js';
import { type Slice, window, windowBytes } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';
import type { Packed, Slab } from './packed-layout.js';

/** The roles of ids and of sorted pairs. Sorted pairs are a scratch buffer unless they came sorted. */
export const IDS = 'ids';
export const SORTED = 'sorted';
/** And of the weights of pairs that are summed. */
export const PAIR_WEIGHTS = 'pair_weights';

const sortedSlice = (pairs: number, experts: number): Slice => ({ buffer: SORTED, offset: 0, size: 4 * sortedWords(pairs, experts) });

/** Sorts `pairs` pairs, the id of the first of which is element `ids`. @throws UnsupportedError if they exceed a binding */
export function sortStep(
  caps: Caps,
  { pairs, experts, ids }: { readonly pairs: number; readonly experts: number; readonly ids: number },
): Dispatch {
  const sorted = sortedSlice(pairs, experts);
  if (sorted.size > windowBytes(caps))
    throw new UnsupportedError(`${pairs} pairs`, [`needs a binding of ${sorted.size} bytes, at most ${windowBytes(caps)}`]);
  const { base, ...slice } = window(caps, { buffer: IDS, bits: 32, first: ids, length: pairs });
  return dispatch(caps, {
    shader: sortPairs,
    params: {},
    workgroups: 1,
    uniforms: { pairs, experts, base: base + ids },
    bindings: { ids: slice, sorted },
  });
}

/** Zeros, for the uniforms of experts of a product with one matrix. */
const ONE_MATRIX = {
  experts: 0,
  first_expert: 0,
  bound_experts: 0,
  per_row: 1,
  w_step: 0,
  scale_step: 0,
  offset_step: 0,
  bias_step: 0,
  weights_base: 0,
};

/** The uniforms that say where a slab's matrices are. The last slab writes the zeros of pairs without an expert. */
export function expertUniforms(
  experts: ExpertPairs | undefined,
  { experts: steps }: Packed,
  { slab, base }: { readonly slab: Slab; readonly base: number },
): Readonly<Record<string, number>> {
  if (!experts || !steps) return ONE_MATRIX;
  const { begin, count } = slab.experts!;
  const last = begin + count === steps.count;
  return {
    experts: steps.count,
    first_expert: begin,
    bound_experts: count + (last ? 1 : 0),
    per_row: experts.perRow,
    w_step: steps.w,
    scale_step: steps.scale,
    offset_step: steps.offset,
    bias_step: steps.bias,
    weights_base: base,
  };
}

/** What a product binds of its pairs: their order, and their weights if it sums them. `base` is the element of the first weight. */
export function pairBindings(
  caps: Caps,
  pairs: number,
  experts: ExpertPairs | undefined,
): { readonly bindings: Readonly<Record<string, Slice>>; readonly base: number } {
  if (!experts) return { bindings: {}, base: 0 };
  const sorted = sortedSlice(pairs, experts.count);
  if (experts.summed?.by !== 'kernel') return { bindings: { sorted }, base: 0 };
  const { slice, base } = weightsWindow(caps, pairs, experts.summed);
  return { bindings: { sorted, pair_weights: slice }, base };
}

/** The weights of pairs, and the element of the first of them. */
export function weightsWindow(
  caps: Caps,
  pairs: number,
  { weights }: Pick<SummedPairs, 'weights'>,
): { readonly slice: Slice; readonly base: number } {
  const { base, ...slice } = window(caps, { buffer: PAIR_WEIGHTS, bits: 32, first: weights, length: pairs });
  return { slice, base: base + weights };
}
