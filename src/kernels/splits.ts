// When workgroups share k: shaders/lib/splits.wgsl. A small product of few columns would leave most of a GPU idle.
import type { Caps } from '../problem/caps.js';
import type { Problem } from '../problem/problem.js';
import { blocksOf } from '../problem/x-codes.js';
import type { Extent } from './kernel.js';

/** Blocks of 32 k that a lane should have at least: with less, adding the splits up costs more than it gains. */
const LEAST_BLOCKS = 4;
/** More splits than this and the sums of small products outgrow their weights. Part of the error bound: docs/numerics.md. */
const MOST_SPLITS = 32;

/** Parts of k so that about `caps.lanes` lanes have work; a workgroup has `lanes` of them, in `slices` of k. */
export function splitsOf(
  { m, weights: { n, k } }: Problem,
  caps: Caps,
  { rows, quads, lanes, slices = 1 }: Extent & { readonly lanes: number; readonly slices?: number },
): number {
  const busy = Math.ceil(m / rows) * Math.ceil(n / (4 * quads)) * lanes;
  const blocks = Math.floor(blocksOf(k) / (slices * LEAST_BLOCKS));
  return Math.max(1, Math.min(Math.floor(caps.lanes / busy), blocks, MOST_SPLITS));
}
