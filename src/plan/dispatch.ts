// One dispatch as plain data: shader, params, grid, uniforms and bindings. gpu/ executes it. Pure.
import { UnsupportedError } from '../errors.js';
import { type Shader, variantId } from '../kernels/kernel.js';
import type { Caps } from '../problem/caps.js';
import type { Params } from '../wgsl/preprocess.js';
import type { Slice } from './binding.js';

/** One dispatch: a shader, its params, grid, uniforms and bindings. */
export interface Dispatch {
  readonly shader: string;
  readonly params: Params;
  readonly workgroups: readonly [number, number];
  /** By name in the shader; u32, taken modulo 2^32. */
  readonly uniforms: Readonly<Record<string, number>>;
  /** By binding name in the shader; without the uniform buffer. */
  readonly bindings: Readonly<Record<string, Slice>>;
}

/** A grid of at least `workgroups`, folded into two dimensions beyond the limit. @throws UnsupportedError past the limit squared */
export function grid(caps: Caps, { what, workgroups }: { readonly what: string; readonly workgroups: number }): Dispatch['workgroups'] {
  const limit = caps.maxComputeWorkgroupsPerDimension;
  if (workgroups <= limit) return [workgroups, 1];
  const rows = Math.ceil(workgroups / limit);
  if (rows > limit) {
    const need = `needs ${workgroups} workgroups, maxComputeWorkgroupsPerDimension is ${limit}, so at most ${limit ** 2}`;
    throw new UnsupportedError(what, [need]);
  }
  return [Math.ceil(workgroups / rows), rows];
}

/** A dispatch; `workgroups` is their number, from which the grid is made. @throws UnsupportedError */
export function dispatch(
  caps: Caps,
  { shader, workgroups, ...rest }: Omit<Dispatch, 'shader' | 'workgroups'> & { readonly shader: Shader; readonly workgroups: number },
): Dispatch {
  return { shader: shader.name, workgroups: grid(caps, { what: variantId(shader.name, rest.params), workgroups }), ...rest };
}
