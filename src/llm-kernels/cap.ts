// The cap of logits as a dispatch. Pure.
import { ArgumentError } from '../errors.js';
import { grid } from '../plan/dispatch.js';
import type { Caps } from '../problem/caps.js';
import { checkWhole, quadBytes } from './checks.js';
import { type LlmDispatch, cap as shader, uniformsOf } from './shaders.js';

const LANES = 64;

/**
 * z = cap · tanh(z / cap). Binding: `z` (vocabulary) float32, with room for whole quads.
 * @throws ArgumentError
 */
export function capDispatch({ vocabulary, cap }: { readonly vocabulary: number; readonly cap: number }, caps: Caps): LlmDispatch {
  checkWhole('vocabulary', vocabulary);
  if (!(cap > 0) || !Number.isFinite(cap)) throw new ArgumentError('cap', 'a finite number above 0', String(cap));
  const quads = Math.ceil(vocabulary / 4);
  return {
    shader,
    params: {},
    workgroups: grid(caps, { what: shader.name, workgroups: Math.ceil(quads / LANES) }),
    uniforms: uniformsOf(shader, { quads, cap }),
    bytes: { z: quadBytes(vocabulary) },
  };
}
