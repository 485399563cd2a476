// forwardExperts: y[p] = x[row of pair p] · W[ids[p]]ᵀ + bias[ids[p]], for pairs of a row of x and an expert.

import { anything, onlyFields } from '../arguments/check.js';
import { checkPass } from '../arguments/gpu-objects.js';
import { ArgumentError } from '../errors.js';
import { allTaken } from '../gpu/guard.js';
import { Tensor } from '../gpu/tensor.js';
import { callWithOutput, encodeProduct, type Product, run } from '../layer/calls.js';
import { type LoadedWeights, outputBytes, recycle, takeOutput } from '../layer/loaded-weights.js';
import { IDS, SORTED } from '../plan/pair-steps.js';
import { checkX, checkY } from '../problem/checks.js';
import { columnsOfY } from '../problem/glu.js';
import { yDtypeOf } from '../problem/problem.js';
import { showShape } from '../problem/view.js';
import { type Input, sharesBuffer } from '../product/options.js';
import { ExpertLayers } from './expert-layers.js';
import { assertSorted, checkIds, pairsIn, type SortedPairs } from './sort-pairs.js';

/** The experts of each row of x: their ids, or what `sortPairs` made of them. */
export type Routes = { readonly ids: Tensor; readonly sorted?: undefined } | { readonly sorted: SortedPairs; readonly ids?: undefined };

const ROUTES = onlyFields({ ids: anything, sorted: anything });

interface Call {
  readonly loaded: LoadedWeights;
  readonly input: Input;
  readonly rows: ReturnType<typeof checkX>;
  /** Of y, without its last axis. */
  readonly leading: readonly number[];
  readonly pairs: number;
}

/** Checks x and ids against each other. @throws ArgumentError, DeviceLostError */
function callOf(given: ExpertLayers, tensor: Tensor, routes: Routes): Call {
  const experts = ExpertLayers.given(given, 'experts');
  const { loaded, device, count } = experts;
  const x = Tensor.given(tensor, 'x', device);
  const { ids: asIds, sorted: asSorted } = ROUTES(routes, 'routes') as { ids?: Tensor; sorted?: SortedPairs };
  if ((asIds === undefined) === (asSorted === undefined)) throw new ArgumentError('routes', 'either ids or sorted', 'both or none');
  const { sound, holds } = asSorted ? assertSorted(asSorted, 'sorted', device) : {};
  if (asSorted && asSorted.experts !== count) throw new ArgumentError('sorted', `pairs of ${count} experts`, `of ${asSorted.experts}`);
  const ids = asSorted?.ids ?? checkIds(asIds!, device);
  if (holds !== undefined && holds !== pairsIn(ids))
    throw new ArgumentError('sorted', `${pairsIn(ids)} sorted pairs: encodeSortPairs sorts all`, `${holds}, which a replay has sorted`);
  const rows = checkX(loaded.spec, x);
  const perRow = perRowOf(x.shape.slice(0, -1), ids.shape);
  const read = asSorted?.sorted ?? ids;
  const input: Input = {
    x,
    pairs: { role: asSorted ? SORTED : IDS, tensor: read, experts: { count, perRow, ids: asSorted ? undefined : ids.offset } },
    written: allTaken(x.written, read.written, sound),
  };
  return { loaded, input, rows, leading: ids.shape, pairs: pairsIn(ids) };
}

/** Pairs of a row of x (…, K). Its leading axes are those of ids; or without the last of them, which may be 1. @throws ArgumentError */
function perRowOf(rows: readonly number[], ids: readonly number[]): number {
  const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((size, i) => size === b[i]);
  if (same(rows, ids)) return 1;
  const outer = ids.slice(0, -1);
  if (same(rows, outer) || same(rows, [...outer, 1])) return ids.at(-1)!;
  throw new ArgumentError('ids', `${showShape(rows)}, or with one more axis, as x without its last axis`, showShape(ids));
}

/**
 * Multiplies rows of x with the experts that ids name. Enqueues and does not wait; errors that only the GPU can find reach `read`.
 *
 * x (…, K) or (…, 1, K) with ids (…, T): each row meets T experts. x (…, T, K) with ids (…, T): each pair has its row. y is (…, T, N), of
 * x's dtype or float32 with `outputDtype`. The grid of the product depends on shapes alone; an expert without rows costs nothing. An id that
 * is no expert's makes a row of zeros; `readPairCounts` counts them.
 * @param routes ids int32, contiguous; or `sorted`, what `sortPairs` made of ids, for several ExpertLayers that take the same
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 * @example const y = forwardExperts(experts, x, { ids }); // x (tokens, K), ids (tokens, top): y (tokens, top, N)
 */
export function forwardExperts(experts: ExpertLayers, x: Tensor, routes: Routes): Tensor {
  const { loaded, input, rows, leading, pairs } = callOf(experts, x, routes);
  const { device, spec, weights } = loaded;
  const form = { shape: [...leading, columnsOfY(weights)], dtype: yDtypeOf(spec, weights) };
  const size = outputBytes(loaded, { m: pairs });
  if (pairs === 0) {
    const y = takeOutput(loaded, size);
    return Tensor.own(device, y.buffer, { ...form, release: () => recycle(loaded, y), written: allTaken(y.ready, input.written) });
  }
  const { call, y } = callWithOutput(loaded, { input, rows, y: {} }, size);
  const written = allTaken(y.ready, run(device, 'forwardExperts', { calls: [call], input }));
  return Tensor.own(device, y.buffer, { ...form, release: () => recycle(loaded, y), written });
}

/**
 * Records y = forwardExperts(experts, x, routes) into the caller's pass. With the same buffers and shapes as before it allocates nothing. y
 * shares no buffer with x or ids. The pass's pipeline and bind group 0 are then others.
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 */
export function encodeExperts(pass: GPUComputePassEncoder, experts: ExpertLayers, x: Tensor, y: Tensor, routes: Routes): void {
  const product = productOf(experts, x, y, routes);
  const into = checkPass(pass);
  if (product) encodeProduct(into, product);
}

/** @internal The product that `encodeExperts` records; undefined for no pairs. @throws ArgumentError, DeviceLostError */
export function productOf(experts: ExpertLayers, x: Tensor, y: Tensor, routes: Routes): Product | undefined {
  const { loaded, input, rows, pairs } = callOf(experts, x, routes);
  const output = Tensor.given(y, 'y', loaded.device);
  const place = checkY(loaded.spec, pairs, output);
  if (sharesBuffer(input, output)) throw new ArgumentError('y', 'another buffer than x and ids', 'the same one');
  return pairs === 0 ? undefined : { loaded, request: { input, rows, y: place }, writes: [output] };
}
