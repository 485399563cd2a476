// Which kernels and tiles are worth measuring for a problem, the most promising first. Pure.

import { extentOf } from '../kernels/fits.js';
import { kernels } from '../kernels/index.js';
import { type Kernel, variantId } from '../kernels/kernel.js';
import type { Caps } from '../problem/caps.js';
import type { Problem } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';
import { variantOf } from './choose.js';
import { accurateEnough, type Findings, NO_FINDINGS, tileOf } from './findings.js';
import { makePlan, type Plan, type PlanContext } from './plan.js';

export interface Candidate {
  readonly kernel: string;
  readonly tile: Params;
  readonly plan: Plan;
}

/** No more are compiled and measured for one problem, the planner's own choice included. */
export const MOST_CANDIDATES = 16;

/** A tile should not make more than twice the rows there are, nor so few that weights are read again more often than this. */
const MOST_WASTE = 2;
const MOST_PASSES = 8;
const ROWS_THAT_MATTER = 32;

const worthwhile = (m: number, rows: number): boolean => {
  const made = Math.ceil(m / rows) * rows;
  return made <= MOST_WASTE * m && rows * MOST_PASSES >= Math.min(m, ROWS_THAT_MATTER);
};

/**
 * The planner's own choice first, then what other kernels would choose, then the tiles of kernels that would take the problem, then
 * those of kernels that would rather not, as far as they were made for such devices; of each kernel the tiles nearest to the number of
 * rows first. None that is disabled, nor one that sums less exactly than the layer allows.
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

/** A kernel's tiles that are worth measuring; rank 0 is its own choice, 1 others where it would serve, 2 where it would rather not. */
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
