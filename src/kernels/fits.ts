// Can a device run a kernel's tile on a problem? What every kernel asks of a device is asked here; the rest is the kernel's own `fit`.
import type { Caps } from '../problem/caps.js';
import type { Problem } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';
import type { Extent, Kernel, Shader } from './kernel.js';
import { operandParams, withinLimit } from './operands.js';

/** Storage buffers that a variant binds. */
export const storageBindings = ({ bindings }: Shader, params: Params): number =>
  bindings.filter(({ access, when }) => access !== 'uniform' && (when?.(params) ?? true)).length;

/** Rows and quads of y that a workgroup makes with `tile`, or what the problem or the device lacks for it. */
export function extentOf(kernel: Kernel, { problem, caps, tile }: { problem: Problem; caps: Caps; tile: Params }): Extent | string {
  const buffers = storageBindings(kernel, { ...operandParams(problem, caps), ...tile });
  return withinLimit('maxStorageBuffersPerShaderStage', buffers, caps) ?? kernel.fit(problem, caps, tile);
}
