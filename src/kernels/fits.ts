// Can a device run a kernel's tile on a problem? What kernels' tables say is asked here, once for all; the rest is the kernel's own `fit`.
import type { Caps } from '../problem/caps.js';
import { type Problem, rowsOfY } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';
import type { Extent, Feature, Kernel, Shader } from './kernel.js';
import { codebookRefused, groupsRefused, operandParams, readsInPlace, withinLimit, writesInPlace } from './operands.js';

/** Storage buffers that a variant binds. */
export const storageBindings = ({ bindings }: Shader, params: Params): number =>
  bindings.filter(({ access, when }) => access !== 'uniform' && (when?.(params) ?? true)).length;

const HAS: Readonly<Record<Feature, (caps: Caps) => boolean>> = {
  'shader-f16': ({ f16 }) => f16,
  subgroups: ({ subgroups }) => subgroups,
  'chromium-experimental-subgroup-matrix': ({ subgroupMatrix }) => subgroupMatrix.length > 0,
};
/** Elements that any device binds together. */
const ONE_BINDING = 2 ** 23;

/** The problem as a kernel has it: factors of rows, and sums of pairs, are the kernel's where it can make them. */
export const seenBy = (kernel: Pick<Kernel, 'scalesRows' | 'sumsPairs'>, problem: Problem): Problem =>
  withPairs(kernel, withFactors(kernel, problem));

/** Sums of pairs are the kernel's where y is one row of whole quads. */
function withPairs({ sumsPairs }: Pick<Kernel, 'sumsPairs'>, problem: Problem): Problem {
  const { experts } = problem;
  if (!experts?.summed || !sumsPairs || rowsOfY(problem) !== 1) return problem;
  const seen: Problem = { ...problem, experts: { ...experts, summed: { ...experts.summed, by: 'kernel' } } };
  return writesInPlace(seen) ? seen : problem;
}

/** Factors of rows are the kernel's where they are in x's binding. */
function withFactors({ scalesRows }: Pick<Kernel, 'scalesRows'>, problem: Problem): Problem {
  const { m, rowScale, xDtype } = problem;
  if (!rowScale || !scalesRows || m !== 1 || !rowScale.beside || xDtype !== 'float32') return problem;
  const quads = rowScale.of === 'factors' || (rowScale.offset % 4 === 0 && rowScale.width % 4 === 0);
  const near = Math.abs(rowScale.offset - problem.x.offset) < ONE_BINDING;
  const seen: Problem = { ...problem, rowScale: { ...rowScale, by: 'kernel' } };
  return quads && near && readsInPlace(seen) ? seen : problem;
}

/** Why a device cannot compile a tile's text; undefined if it can. */
export function featuresRefused({ needs }: Pick<Kernel, 'needs'>, { caps, tile }: { caps: Caps; tile: Params }): string | undefined {
  const missing = (needs?.(tile) ?? []).filter((feature) => !HAS[feature](caps));
  return missing.length > 0 ? `needs the feature${missing.length > 1 ? 's' : ''} ${missing.join(' and ')}` : undefined;
}

/** Why a kernel takes no such weights or x, by its table; undefined if it does. */
const operandsRefused = (kernel: Kernel, problem: Problem, tile: Params): string | undefined =>
  groupsRefused(problem, kernel.groups?.(tile) ?? 'words') ??
  codebookRefused(problem, kernel) ??
  (problem.experts && !kernel.experts ? 'its weights are those of one matrix' : undefined) ??
  (problem.experts?.summed?.by === 'kernel' && tile.ROWS !== 1 ? 'pairs of a row are summed one after the other' : undefined) ??
  (problem.adds && problem.experts?.summed?.by !== 'rows' && kernel.overwrites ? 'it does not add to what y holds' : undefined) ??
  (problem.twin !== undefined && problem.experts?.summed?.by !== 'rows' && kernel.overwrites ? 'it leaves no twin of y' : undefined) ??
  (!kernel.rounds && problem.weightDtype !== 'float32'
    ? `codes meet x before they are weights here: there is no weight to round to ${problem.weightDtype}`
    : undefined) ??
  (kernel.x && !kernel.x.includes(problem.xDtype) ? `needs a ${kernel.x.join(' or ')} x, got ${problem.xDtype}` : undefined);

/** Rows and quads of y that a workgroup makes with `tile`, or what the problem or the device lacks for it. */
export function extentOf(kernel: Kernel, { problem, caps, tile }: { problem: Problem; caps: Caps; tile: Params }): Extent | string {
  const buffers = storageBindings(kernel, { ...operandParams(problem, caps), ...tile });
  const extent = kernel.fit(problem, caps, tile);
  if (typeof extent === 'string') return extent; // it says more of a device than the features that are missing
  return (
    withinLimit('maxStorageBuffersPerShaderStage', buffers, caps) ??
    featuresRefused(kernel, { caps, tile }) ??
    operandsRefused(kernel, problem, tile) ??
    extent
  );
}
