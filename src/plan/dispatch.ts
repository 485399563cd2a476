// One dispatch as plain data: shader, params, grid, uniforms and bindings. gpu/ only carries it out.
import { UnsupportedError } from '../errors.js';
import { type Shader, variantId } from '../kernels/kernel.js';
import type { Caps } from '../problem/caps.js';
import type { Params } from '../wgsl/preprocess.js';
import type { Slice } from './binding.js';

/** One dispatch: a shader, its params, its grid, its uniforms and what is bound. */
export interface Dispatch {
  readonly shader: string;
  readonly params: Params;
  readonly workgroups: readonly [number, number];
  /** By the shader's names; u32, taken modulo 2^32. */
  readonly uniforms: Readonly<Record<string, number>>;
  /** By the shader's binding names, less the uniforms. */
  readonly bindings: Readonly<Record<string, Slice>>;
}

/** Workgroups in a row, folded where a dispatch may not be as wide. @throws UnsupportedError past the limit squared */
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

/** `workgroups` counts them all; the grid is made of it. @throws UnsupportedError */
export function dispatch(
  caps: Caps,
  { shader, workgroups, ...rest }: Omit<Dispatch, 'shader' | 'workgroups'> & { readonly shader: Shader; readonly workgroups: number },
): Dispatch {
  return { shader: shader.name, workgroups: grid(caps, { what: variantId(shader.name, rest.params), workgroups }), ...rest };
}
