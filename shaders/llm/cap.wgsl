// z = cap · tanh(z / cap), of the logits of a token.
//
// z  [4 · quads] f32

#include "llm/cap-of.wgsl"
#include "llm/step.wgsl"
#include "lib/grid.wgsl"

const LANES = 64u;

struct Params {
  quads: u32,
  cap: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;
@group(0) @binding(2) var<storage, read_write> z: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = linear_index(workgroup, workgroups) * LANES + lane;
  if (now.running == 0u || i >= params.quads) { return; }
  let quad = z[i];
  z[i] = vec4<f32>(capped(quad.x, params.cap), capped(quad.y, params.cap), capped(quad.z, params.cap), capped(quad.w, params.cap));
}
