// Gated linear units as a dispatch, for a gate and an up that are two products. Pure.
import { ArgumentError } from '../errors.js';
import { GLUS, type Glu } from '../problem/glu.js';
import { gluRows, type LlmDispatch, uniformsOf } from './shaders.js';

/** Lanes of a workgroup (shaders/llm/glu-rows.wgsl). */
const LANES = 64;

/**
 * act = activation(act) ∘ up for each row. Bindings: `act` and `up` [rows, width], float32.
 * @param width f, the columns of gate and of up
 * @throws ArgumentError
 */
export function gluDispatch({ rows, width, glu }: { readonly rows: number; readonly width: number; readonly glu: Glu }): LlmDispatch {
  for (const [name, value] of Object.entries({ rows, width }))
    if (!Number.isSafeInteger(value) || value < 1) throw new ArgumentError(name, 'a whole number of at least 1', String(value));
  const size = 4 * rows * width;
  return {
    shader: gluRows,
    params: {},
    workgroups: [Math.ceil(width / LANES), rows],
    uniforms: uniformsOf(gluRows, { width, act: GLUS[glu] }),
    bytes: { act: size, up: size },
  };
}
