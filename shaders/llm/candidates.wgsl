// The ids of the largest logits, after bias, penalties and bans, for a host that chooses itself: `top_k` of them or, if fewer are not banned,
// those. Of ids that are as large as the last the lowest are taken. One workgroup.
//
// logits, bias, counts    llm/logits.wgsl
// candidates              u32: how many; whether a logit is NaN; 0; 0; then (logit as bits, id), those above the last first, by id

#param ADJUST 0 1 // logits are changed by bias, penalties and bans

#include "llm/step.wgsl"
#include "llm/logits.wgsl"
#include "llm/best.wgsl"
#include "llm/cut.wgsl"

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;
@group(0) @binding(2) var<storage, read> logits: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> candidates: array<u32>;
#if ADJUST
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> counts: array<u32>;
#endif

const BEGIN = 4u; // of the pairs

var<workgroup> larger: array<u32, LANES>; // ids of each lane above the threshold
var<workgroup> equal: array<u32, LANES>; // and at it

fn put(slot: u32, key: u32, id: u32) {
  candidates[BEGIN + 2u * slot] = bitcast<u32>(float_of(key));
  candidates[BEGIN + 2u * slot + 1u] = id;
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  if (now.running == 0u) { return; }
  let quads = (params.vocabulary + 3u) / 4u;
  var own = Choice(NO_KEY, NONE);
  for (var i = lane; i < quads; i += LANES) {
    let keys = keys_at(i);
    for (var j = 0u; j < 4u; j++) { own = better(own, Choice(keys[j], 4u * i + j)); }
  }
  best_of(lane, own);
  find_threshold(lane, choices[0].key);
  let threshold = search[0].threshold;
  // Each lane takes ids that follow each other, so that candidates come by id.
  let each = (quads + LANES - 1u) / LANES;
  let begin = min(lane * each, quads);
  let end = min(begin + each, quads);
  var above = 0u;
  var at = 0u;
  for (var i = begin; i < end; i++) {
    let keys = keys_at(i);
    for (var j = 0u; j < 4u; j++) {
      above += select(0u, 1u, keys[j] > threshold);
      at += select(0u, 1u, keys[j] == threshold && threshold != NO_KEY);
    }
  }
  larger[lane] = above;
  equal[lane] = at;
  workgroupBarrier(); // all counts are there before each lane adds up those before its own
  var slot = 0u;
  var slot_at = 0u;
  var total = 0u;
  for (var i = 0u; i < LANES; i++) {
    slot += select(0u, larger[i], i < lane);
    slot_at += select(0u, equal[i], i < lane);
    total += larger[i];
  }
  slot_at += total;
  for (var i = begin; i < end; i++) {
    let keys = keys_at(i);
    for (var j = 0u; j < 4u; j++) {
      if (keys[j] > threshold && slot < params.top_k) {
        put(slot, keys[j], 4u * i + j);
        slot++;
      }
      if (keys[j] == threshold && threshold != NO_KEY && slot_at < params.top_k) {
        put(slot_at, keys[j], 4u * i + j);
        slot_at++;
      }
    }
  }
  if (lane == LANES - 1u) {
    candidates[0] = min(max(slot, slot_at), params.top_k); // more may be as large as the last
    candidates[1] = select(0u, 1u, choices[0].key == NAN_KEY);
    candidates[2] = 0u;
    candidates[3] = 0u;
  }
}
