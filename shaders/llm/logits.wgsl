// The keys of ids. With ADJUST logits are changed before, in this order: the bias is added; those of ids that are among the last `window` are
// divided by `repetition` (multiplied where they are negative) and lowered by presence + frequency · count; ids are banned.
//
// logits  [vocabulary] f32 as bits
// bias    [vocabulary] f32; -infinity is a ban
// counts  [vocabulary] u32, how often each id is among the last `window`
//
// A kernel that includes this file declares these bindings, and the param ADJUST before.

#include "llm/choosing.wgsl"

#if ADJUST
fn adjusted(quad: u32, logit: vec4<f32>) -> vec4<f32> {
  let z = logit + bias[quad];
  let seen = vec4<f32>(vec4<u32>(counts[4u * quad], counts[4u * quad + 1u], counts[4u * quad + 2u], counts[4u * quad + 3u]));
  let repeated = z * select(vec4<f32>(params.inverse_repetition), vec4<f32>(params.repetition), z < vec4<f32>());
  let lowered = repeated - (vec4<f32>(params.presence) + params.frequency * seen);
  return select(z, lowered, seen > vec4<f32>());
}
#endif

// The keys of ids 4 · quad to 4 · quad + 3.
fn keys_at(quad: u32) -> vec4<u32> {
  let given = logits[quad];
#if ADJUST
  let bits = bitcast<vec4<u32>>(adjusted(quad, bitcast<vec4<f32>>(given)));
#else
  let bits = given;
#endif
  var keys = select(bits | vec4<u32>(SIGN), ~bits, bits > vec4<u32>(SIGN));
#if ADJUST
  keys = select(keys, vec4<u32>(NO_KEY), bitcast<vec4<u32>>(bias[quad]) == vec4<u32>(BAN));
#endif
  keys = select(keys, vec4<u32>(NAN_KEY), (given & vec4<u32>(~SIGN)) > vec4<u32>(INFINITY_BITS));
  let ids = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
  return select(vec4<u32>(NO_KEY), keys, ids < vec4<u32>(params.vocabulary));
}
