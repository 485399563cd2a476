// forwardExperts: y[p] = x[row of pair p] · W[ids[p]]ᵀ + bias[ids[p]], for pairs of a row of x and an expert; or weighted sums of them.

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
import { isContiguous, showShape } from '../problem/view.js';
import { askedOfExperts, type ExpertOptions, type Input, sharesBuffer } from '../product/options.js';
import { ExpertLayers } from './expert-layers.js';
import { assertSorted, checkIds, pairsIn, type SortedPairs } from './sort-pairs.js';

/** The experts of each row of x: their ids, or what `sortPairs` made of them. */
export type Routes = (
  | { readonly ids: Tensor; readonly sorted?: undefined }
  | { readonly sorted: SortedPairs; readonly ids?: undefined }
) & {
  /** A float32 weight for each id: y has a row for each row of ids, the sum of its pairs, each times its weight. */
  readonly weights?: Tensor | undefined;
};

const ROUTES = onlyFields({ ids: anything, sorted: anything, weights: anything });

interface Call {
  readonly loaded: LoadedWeights;
  readonly input: Input;
  readonly rows: ReturnType<typeof checkX>;
  /** Of y, without its last axis. */
  readonly leading: readonly number[];
}

/** Checks x and ids against each other. @throws ArgumentError, DeviceLostError */
function callOf(given: ExpertLayers, tensor: Tensor, routes: Routes): Call {
  const experts = ExpertLayers.given(given, 'experts');
  const { loaded, device, count } = experts;
  const x = Tensor.given(tensor, 'x', device);
  const {
    ids: asIds,
    sorted: asSorted,
    weights: asWeights,
  } = ROUTES(routes, 'routes') as { ids?: Tensor; sorted?: SortedPairs; weights?: Tensor };
  if ((asIds === undefined) === (asSorted === undefined)) throw new ArgumentError('routes', 'either ids or sorted', 'both or none');
  const { sound, holds } = asSorted ? assertSorted(asSorted, 'sorted', device) : {};
  if (asSorted && asSorted.experts !== count) throw new ArgumentError('sorted', `pairs of ${count} experts`, `of ${asSorted.experts}`);
  const ids = asSorted?.ids ?? checkIds(asIds!, device);
  if (holds !== undefined && holds !== pairsIn(ids))
    throw new ArgumentError('sorted', `${pairsIn(ids)} sorted pairs: encodeSortPairs sorts all`, `${holds}, which a replay has sorted`);
  const rows = checkX(loaded.spec, x);
  const perRow = perRowOf(x.shape.slice(0, -1), ids.shape);
  const read = asSorted?.sorted ?? ids;
  const weights = asWeights === undefined ? undefined : weightsOf(asWeights, ids);
  if (weights && loaded.weights.glu) throw new ArgumentError('weights', 'none beside a gated linear unit', 'some');
  const summed = weights && ({ top: ids.shape.at(-1)!, weights: weights.offset, by: 'rows' } as const);
  const input: Input = {
    x,
    pairs: {
      role: asSorted ? SORTED : IDS,
      tensor: read,
      weights,
      experts: { count, perRow, ids: asSorted ? undefined : ids.offset, ...(summed && { summed }) },
    },
    written: allTaken(x.written, read.written, weights?.written, sound),
  };
  return { loaded, input, rows, leading: weights ? ids.shape.slice(0, -1) : ids.shape };
}

/** @throws ArgumentError */
function weightsOf(given: Tensor, ids: Tensor): Tensor {
  const weights = Tensor.given(given, 'weights', ids.device);
  const fits = weights.dtype === 'float32' && weights.format === 'ND' && showShape(weights.shape) === showShape(ids.shape);
  if (!fits || !isContiguous(weights))
    throw new ArgumentError('weights', `contiguous float32 ${showShape(ids.shape)}`, `${weights.dtype} ${showShape(weights.shape)}`);
  if (!(ids.shape.at(-1)! > 0)) throw new ArgumentError('weights', 'at least one for each row', showShape(weights.shape));
  return weights;
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
 * With `weights` y is (…, N): y[row] = Σ over t of weights[row, t] · (the product of pair (row, t), its bias included), summed in float32 and
 * rounded once. An id that is no expert's adds nothing, if its weight is finite.
 * @param routes ids int32, contiguous; or `sorted`, what `sortPairs` made of ids, for several ExpertLayers that take the same
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 * @example const y = forwardExperts(experts, x, { ids }); // x (tokens, K), ids (tokens, top): y (tokens, top, N)
 */
export function forwardExperts(experts: ExpertLayers, x: Tensor, routes: Routes): Tensor {
  const { loaded, input, rows, leading } = callOf(experts, x, routes);
  const { device, spec, weights } = loaded;
  const form = { shape: [...leading, columnsOfY(weights)], dtype: yDtypeOf(spec, weights) };
  const m = product(leading);
  const size = outputBytes(loaded, { m });
  if (m === 0) {
    const y = takeOutput(loaded, size);
    return Tensor.own(device, y.buffer, { ...form, release: () => recycle(loaded, y), written: allTaken(y.ready, input.written) });
  }
  const { call, y } = callWithOutput(loaded, { input, rows, y: {} }, size);
  const written = allTaken(y.ready, run(device, 'forwardExperts', { calls: [call], input }));
  return Tensor.own(device, y.buffer, { ...form, release: () => recycle(loaded, y), written });
}

/**
 * Records y = forwardExperts(experts, x, routes) into the caller's pass. With the same buffers and shapes as before it allocates nothing. y
 * shares no buffer with x, ids or weights. The pass's pipeline and bind group 0 are then others.
 * @param options.add y = add + …: y itself, or another Tensor of the same elements
 * @param options.twin where y's twin goes, if `leaveExpertTwin` gave the experts its scale
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 */
export function encodeExperts(
  pass: GPUComputePassEncoder,
  experts: ExpertLayers,
  x: Tensor,
  y: Tensor,
  routes: Routes,
  options?: ExpertOptions,
): void {
  const product = productOf(experts, x, { y, routes, options });
  const into = checkPass(pass);
  if (product) encodeProduct(into, product);
}

/** @internal The product that `encodeExperts` records; undefined for no rows. @throws ArgumentError, DeviceLostError */
export function productOf(
  experts: ExpertLayers,
  x: Tensor,
  { y, routes, options }: { readonly y: Tensor; readonly routes: Routes; readonly options?: ExpertOptions | undefined },
): Product | undefined {
  const { loaded, input, rows, leading } = callOf(experts, x, routes);
  const output = Tensor.given(y, 'y', loaded.device);
  const m = product(leading);
  const place = checkY(loaded.spec, m, output);
  const { adds, twin } = askedOfExperts(options, output);
  if (adds && loaded.weights.glu) throw new ArgumentError('add', 'none beside a gated linear unit', 'one');
  if (twin && !loaded.weights.twinned) throw new ArgumentError('twin', 'experts that leave one: call leaveExpertTwin() first', 'others');
  if (sharesBuffer(input, output)) throw new ArgumentError('y', 'another buffer than x, ids and weights', 'the same one');
  return m === 0 ? undefined : { loaded, request: { input, rows, y: place, adds, twin }, writes: twin ? [output, twin] : [output] };
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
