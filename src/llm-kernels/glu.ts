// Gated linear units as a dispatch, for a gate and an up that are two products. Pure.
import { GLUS, type Glu } from '../problem/glu.js';
import { checkWhole } from './checks.js';
import { gluRows, type LlmDispatch, uniformsOf } from './shaders.js';

/** Lanes of a workgroup (shaders/llm/glu-rows.wgsl). */
const LANES = 64;

/**
 * act = activation(act) ∘ up for each row. Bindings: `act` and `up` [rows, width], float32.
 * @param width f, the columns of gate and of up
 * @throws ArgumentError
 */
export function gluDispatch({ rows, width, glu }: { readonly rows: number; readonly width: number; readonly glu: Glu }): LlmDispatch {
  checkWhole('rows', rows);
  checkWhole('width', width);
  const size = 4 * rows * width;
  return {
    shader: gluRows,
    params: {},
    workgroups: [Math.ceil(width / LANES), rows],
    uniforms: uniformsOf(gluRows, { width, act: GLUS[glu] }),
    bytes: { act: size, up: size },
  };
}
