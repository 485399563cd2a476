// Lists the kernels and tiles to measure for a problem, the most promising first. Pure.

import { extentOf } from '../kernels/fits.js';
import { kernels } from '../kernels/index.js';
import { type Kernel, variantId } from '../kernels/kernel.js';
import { variantOf } from '../plan/choose.js';
import { accurateEnough, type Findings, NO_FINDINGS, tileOf } from '../plan/findings.js';
import { makePlan, type Plan, type PlanContext } from '../plan/plan.js';
import type { Caps } from '../problem/caps.js';
import type { Problem } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';

export interface Candidate {
  readonly kernel: string;
  readonly tile: Params;
  readonly plan: Plan;
}

/** Most candidates for one problem, the planner's choice included. */
export const MOST_CANDIDATES = 16;

/** A tile should compute at most twice the rows there are, and weights should be read at most this many times. */
const MOST_WASTE = 2;
const MOST_PASSES = 8;
const ROWS_THAT_MATTER = 32;

const worthwhile = (m: number, rows: number): boolean => {
  const made = Math.ceil(m / rows) * rows;
  return made <= MOST_WASTE * m && rows * MOST_PASSES >= Math.min(m, ROWS_THAT_MATTER);
};

/**
 * In this order: the planner's choice, the choices of other kernels, other tiles of kernels that accept the problem, and tiles of kernels
 * that decline it, as far as they suit the device. Within a kernel, tiles nearest to the number of rows come first. Disabled variants and
 * those that round more than the layer allows are left out.
 */
export function candidates(context: PlanContext, { disabled }: Findings = NO_FINDINGS): Candidate[] {
  const { problem, caps } = context;
  const own = makePlan(context, { findings: { disabled, tuned: new Map() } });
  const others = kernels
    .flatMap((kernel) => tilesOf(kernel, problem, caps))
    .filter((one) => accurateEnough(problem, variantOf(context, one).accuracy))
    .sort((a, b) => a.rank - b.rank || a.distance - b.distance) // stable: kernels stay in planning's order
    .map(({ kernel, tile }) => makePlan(context, { force: { kernel: kernel.name, tile } }))
    .filter((plan) => !disabled.has(nameOf(plan)) && nameOf(plan) !== nameOf(own));
  return [own, ...others].slice(0, MOST_CANDIDATES).map((plan) => {
    const kernel = kernels.find(({ name }) => name === plan.kernel)!;
    return { kernel: kernel.name, tile: tileOf(kernel, plan.params)!, plan };
  });
}

const nameOf = ({ kernel, params }: Plan): string => variantId(kernel, params);

/** A kernel's tiles to measure. rank 0: the kernel's choice; 1: other tiles of a kernel that accepts; 2: tiles of one that declines. */
function tilesOf(kernel: Kernel, problem: Problem, caps: Caps) {
  const chosen = kernel.choose(problem, caps);
  const own = typeof chosen === 'string' ? undefined : variantId('', chosen.tile);
  return kernel.tiles.flatMap((tile) => {
    const extent = extentOf(kernel, { problem, caps, tile });
    if (typeof extent === 'string' || !worthwhile(problem.m, extent.rows) || kernel.suits?.(tile, caps) === false) return [];
    const rank = variantId('', tile) === own ? 0 : own !== undefined ? 1 : 2;
    return [{ kernel, tile, rank, distance: Math.abs(Math.log2(extent.rows / problem.m)) }];
  });
}
