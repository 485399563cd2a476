// The self-test of the kernels of shaders/llm as data: each shader with what makes the trial of a variant. A variant that gives wrong numbers on a
// device then ends in an error, and not in a text that is wrong. Pure.
import { variantId } from '../kernels/kernel.js';
import type { LlmDispatch } from '../llm-kernels/shaders.js';
import type { Caps } from '../problem/caps.js';
import type { Params } from '../wgsl/preprocess.js';
import { ofAttendRows, ofJoin, ofRopeRows, ofToken } from './attention-trials.js';
import { ofCandidates, ofPick } from './choice-trials.js';
import { ofCap, ofGlu, ofNormAdd, ofRms, ofRoute } from './row-trials.js';
import type { LlmTrial } from './trial.js';

const MAKERS: Readonly<Record<string, (params: Params, caps: Caps) => LlmTrial>> = {
  'llm/attend': ofToken,
  'llm/attend-join': ofJoin,
  'llm/rope-rows': ofRopeRows,
  'llm/attend-rows': ofAttendRows,
  'llm/rms-rows': ofRms,
  'llm/glu-rows': ofGlu,
  'llm/norm-add': ofNormAdd,
  'llm/route': ofRoute,
  'llm/cap': ofCap,
  'llm/pick': ofPick,
  'llm/candidates': ofCandidates,
};

/** The case of a variant; undefined for a shader or a param that has none here. */
export function trialOf({ shader, params }: Pick<LlmDispatch, 'shader' | 'params'>, caps: Caps): LlmTrial | undefined {
  const made = MAKERS[shader.name]?.(params, caps);
  return made?.variant === variantId(shader.name, params) ? made : undefined;
}
