// att[h] = the parts of all splits of head h, brought to the largest top and divided by the sum of all weights, that of its sink among them. A
// workgroup is a head.
//
// parts  [splits, H, E + 2] f32: sums, the sum of their weights, top, as llm/attend leaves them
// att    [H, width] f32

#include "llm/step.wgsl"
#include "llm/sinks.wgsl"

#param E 32 64 80 96 128 256 // elements of a head

const LANES = 64u;

struct Params {
  heads: u32, // H
  splits: u32,
  width: u32, // elements of a head in att
  window: u32, // keys that a query meets at most
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> att: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (now.running == 0u) { return; }
  let length = min(now.position + 1u, params.window); // of the keys
  let span = span_of(length, params.splits);
  let used = (length + span - 1u) / span; // splits that have positions
  let pitch = params.heads * (E + 2u);
  let part = workgroup.x * (E + 2u);
  var top = parts[part + E + 1u];
  for (var split = 1u; split < used; split++) { top = max(top, parts[split * pitch + part + E + 1u]); }
  for (var c = lane; c < params.width; c += LANES) {
    var sum = 0.0;
    var total = 0.0;
    for (var split = 0u; split < used; split++) {
      let at = split * pitch + part;
      let shrink = exp(parts[at + E + 1u] - top);
      sum += shrink * parts[at + c];
      total += shrink * parts[at + E];
    }
    att[workgroup.x * params.width + c] = sum / (total + sink_weight(workgroup.x, top));
  }
}
