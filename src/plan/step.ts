// One dispatch as plain data: which shader, its params, its grid, its uniforms and what is bound. gpu/ only carries it out.

import { UnsupportedError } from '../errors.js';
import { type Shader, variantId } from '../kernels/kernel.js';
import type { Caps } from '../problem/caps.js';
import type { Params } from '../wgsl/preprocess.js';
import type { Slice } from './binding.js';

/** One dispatch: a shader, its params, its grid, its uniforms and what is bound. */
export interface Step {
  readonly shader: string;
  readonly params: Params;
  readonly workgroups: readonly [number, number];
  /** By the shader's names; u32, taken modulo 2^32. */
  readonly uniforms: Readonly<Record<string, number>>;
  /** By the shader's binding names, less the uniforms. */
  readonly bindings: Readonly<Record<string, Slice>>;
}

/** `count` workgroups in a row, folded where a dispatch may not be as wide. @throws UnsupportedError past the limit squared */
export function grid(caps: Caps, count: number, what: string): readonly [number, number] {
  const limit = caps.maxComputeWorkgroupsPerDimension;
  if (count <= limit) return [count, 1];
  const rows = Math.ceil(count / limit);
  if (rows > limit) {
    throw new UnsupportedError(what, [`needs ${count} workgroups, maxComputeWorkgroupsPerDimension is ${limit}, so at most ${limit ** 2}`]);
  }
  return [Math.ceil(count / rows), rows];
}

export function step(
  caps: Caps,
  shader: Shader,
  params: Params,
  workgroups: number,
  { uniforms, bindings }: Pick<Step, 'uniforms' | 'bindings'>,
): Step {
  return { shader: shader.name, params, workgroups: grid(caps, workgroups, variantId(shader.name, params)), uniforms, bindings };
}
