// The dispatches that make a float tensor of any strides contiguous, through float32 rows in scratch memory. Pure.
import { BYTES } from '../dtype.js';
import type { Caps } from '../problem/caps.js';
import type { XProblem } from '../problem/problem.js';
import { fitting, pieces } from './binding.js';
import type { Dispatch } from './dispatch.js';
import { gather, gatheredBytes } from './x-steps.js';
import { roundFrom } from './y-steps.js';

/**
 * Roles: `x`, scratch `rows`, and `y`, whose rows are of x's dtype: float32 holds both 16-bit floats, so no number is rounded. y begins at
 * element `yOffset` of its buffer.
 * @throws UnsupportedError if a row exceeds a binding
 */
export function copySteps(
  { m, xDtype, x, k, yOffset = 0 }: Pick<XProblem, 'm' | 'xDtype' | 'x'> & { readonly k: number; readonly yOffset?: number },
  caps: Caps,
): { readonly dispatches: readonly Dispatch[]; readonly scratch: Readonly<Record<string, number>> } {
  // Rows of whole quads, like those of 8-bit weights.
  const problem: XProblem = { m, xDtype, x, weights: { k, held: 8, permuted: false, inputScaled: false } };
  const bytes = Math.max(gatheredBytes(problem), k * BYTES[xDtype]);
  const rows = Math.min(m, fitting(caps, { what: `a copy of rows of ${k}`, bytes }));
  const to = { dtype: xDtype, offset: yOffset, n: k };
  const dispatches = [...pieces({ end: m }, rows)].flatMap((range) => [
    ...gather({ problem, caps }, range),
    roundFrom(caps, { from: 'rows', to, splits: 1, ...range }),
  ]);
  return { dispatches, scratch: { rows: rows * gatheredBytes(problem) } };
}
