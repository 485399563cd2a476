// The trial of a variant: a small product that tests a matmul kernel on a device. It has a plan, and the bytes of every buffer. Pure; judge.ts
// knows the expected y, and gpu/self-test.ts runs it.

import { BYTES, wholeWords } from '../dtype.js';
import { kernels } from '../kernels/index.js';
import { type Kernel, variantId } from '../kernels/kernel.js';
import type { Dispatch } from '../plan/dispatch.js';
import { expertLayout } from '../plan/expert-layout.js';
import { tileOf } from '../plan/findings.js';
import { packedLayout } from '../plan/packed-layout.js';
import { PAIR_WEIGHTS, SORTED } from '../plan/pair-steps.js';
import { makePlan } from '../plan/plan.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { sortedPairs } from '../problem/experts.js';
import { columnsOfY } from '../problem/glu.js';
import { type Problem, rowsOfY } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';
import { idsOf, packedContents, pairWeightsOf } from './contents.js';
import { GUARD, isKnown, shape } from './shape.js';
import { floatBytes, matrix, residualAt, xAt } from './values.js';

/** A variant of a matmul kernel; a Plan is one. */
export interface MatmulVariant {
  readonly kernel: Kernel['name'];
  readonly params: Params;
}
export interface Trial {
  readonly variant: string;
  readonly problem: Problem;
  readonly accuracy: Accuracy;
  readonly dispatches: readonly Dispatch[];
  /** Initial bytes of each buffer, by role; `y` is poison, and in it what the product is added to. */
  readonly contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

const FLOAT16_BITS = 2;
export const POISON = 0xa5;

/** The trial of a variant; undefined if it is not of a matmul kernel, or no small problem suits it. */
export function makeTrial({ kernel: name, params }: MatmulVariant, device: Caps): Trial | undefined {
  const kernel = kernels.find((one) => one.name === name);
  const tile = kernel && tileOf(kernel, params);
  if (!tile || !isKnown(params)) return undefined;
  // One lane fills the device, so k is not split and the variant writes y itself.
  const caps = { ...device, lanes: 1, ...(params.X === FLOAT16_BITS && { f16: false }) };
  const problem = shape(kernel, { tile, params, caps });
  if (!problem) return undefined;
  const { m, weights, xDtype, yDtype, experts } = problem;
  const { n, k } = weights;
  const packed = experts ? expertLayout(weights, experts.count, caps).packed : packedLayout(weights, caps);
  const plan = makePlan({ problem, packed, caps }, { force: { kernel: name, tile } });
  const variant = variantId(name, params);
  if (variantId(plan.kernel, plan.params) !== variant) return undefined;
  const x = floatBytes(matrix(new Float32Array(m * k), k, xAt), xDtype);
  const y = new Uint8Array(wholeWords((GUARD + rowsOfY(problem) * columnsOfY(weights)) * BYTES[yDtype]) + 4 * GUARD).fill(POISON);
  if (problem.adds && yDtype !== 'int8') {
    const residual = matrix(new Float32Array(rowsOfY(problem) * n), n, residualAt);
    y.set(floatBytes(residual, yDtype), GUARD * BYTES[yDtype]);
  }
  const scratch = Object.entries(plan.scratch).map(([role, size]) => [role, new Uint8Array(size).fill(POISON)] as const);
  const sorted = experts ? [[SORTED, new Uint8Array(sortedPairs(idsOf(problem), experts.count).buffer)] as const] : [];
  const weighted = experts?.summed ? [[PAIR_WEIGHTS, floatBytes(Float32Array.from(pairWeightsOf(problem)), 'float32')] as const] : [];
  const contents = new Map([...Object.entries(packedContents(problem, caps)), ['x', x], ['y', y], ...sorted, ...weighted, ...scratch]);
  return { variant, problem, accuracy: plan.accuracy, dispatches: plan.dispatches, contents };
}
