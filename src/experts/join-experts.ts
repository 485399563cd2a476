// What products with experts end in: joinExperts makes one ExpertLayers of gates and ups, whose products end in their gated linear unit, and
// endInGlu takes those that a file has joined; leaveExpertTwin gives them the scale of y's twin.
import { list } from '../arguments/check.js';
import { GLU_OPTIONS, joinedHalves } from '../epilogues/join-gate-up.js';
import { twinned } from '../epilogues/leave-twin.js';
import { ArgumentError } from '../errors.js';
import type { Tensor } from '../gpu/tensor.js';
import { makeLoaded } from '../layer/loaded-weights.js';
import { expertLayout } from '../plan/expert-layout.js';
import type { Glu } from '../problem/glu.js';
import { addGluText } from '../wgsl/glu-text.js';
import { ExpertLayers } from './expert-layers.js';

const EXPERTS = list(ExpertLayers.given);

/**
 * `joinGateUp` of experts: y of a pair is activation(x · gate + bias) ∘ (x · up + bias) of its expert, F columns. Enqueues copies of the
 * weights and destroys the given experts.
 * @param experts [gate, up], each of as many matrices (F, K) with an even F; or [both] of matrices of 2 F columns, the first F of which are the gate's
 * @throws ArgumentError, DeviceLostError; UnsupportedError as `joinGateUp`
 * @example
 * const feedForward = joinExperts([gates, ups], { glu: 'silu' });
 * const h = forwardExperts(feedForward, x, { sorted }); // (tokens, top, F)
 */
export function joinExperts(experts: readonly ExpertLayers[], options: { readonly glu: Glu }): ExpertLayers {
  const { glu } = GLU_OPTIONS(options, 'options');
  const given = EXPERTS(experts, 'experts');
  const [gates, ups = gates, ...more] = given;
  if (!gates || !ups || more.length > 0) throw new ArgumentError('experts', 'gates and ups, or one of both', `${given.length} of them`);
  const { device, count, loaded } = gates;
  if (ups.count !== count) throw new ArgumentError('experts[1]', `${count} experts`, `${ups.count}`);
  const { settings, spec } = loaded;
  const made = joinedHalves([loaded, ups.loaded], glu, (weights) => expertLayout(weights, count, settings.caps).packed);
  const { biased, n } = made.weights;
  const { inFeatures, dtype, outputDtype } = spec;
  const joined = new ExpertLayers(device, {
    ...{ experts: count, inFeatures, outFeatures: n / 2, bias: biased, dtype, outputDtype, plan: settings },
  });
  joined.adopt(made);
  for (const one of given) one.destroy();
  return joined;
}

/** @internal Experts whose columns are those of `joinExperts` already, (gate, gate, up, up) and so on: their products end in the gated unit. */
export function endInGlu(experts: ExpertLayers, glu: Glu): void {
  const { loaded } = experts;
  const { spec, weights } = loaded;
  addGluText();
  experts.move(makeLoaded({ ...loaded, spec: { ...spec, outFeatures: weights.n / 2 }, weights: { ...weights, glu } }));
}

/**
 * `leaveTwin` of experts: the scale of the twin that `encodeExperts` leaves of y where a call names one. All experts have the same.
 * @param scale float32 (N,), contiguous
 * @throws ArgumentError, DeviceLostError, UnsupportedError as `leaveTwin`
 * @example
 * leaveExpertTwin(down, nextNorm);
 * encodeExperts(pass, down, h, x, { sorted, weights }, { add: x, twin }); // x and twin in one buffer
 */
export function leaveExpertTwin(experts: ExpertLayers, scale: Tensor): void {
  const own = ExpertLayers.given(experts, 'experts');
  own.move(twinned(own.loaded, scale));
}
