// act[row] = activation(act[row]) ∘ up[row], of two products: gate and up whose formats differ, or whose inputs have orders of their own. Rows
// from `rows` on are padding and stay as they are.
//
// act, up  [T, F] f32

#include "llm/step.wgsl"
#include "lib/glu.wgsl"

const LANES = 64u;

struct Params {
  width: u32, // F
  act: u32, // as `gated` has it
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;
@group(0) @binding(2) var<storage, read> up: array<f32>;
@group(0) @binding(3) var<storage, read_write> act: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (now.running == 0u || id.y >= now.rows || id.x >= params.width) { return; }
  let i = id.y * params.width + id.x;
  act[i] = gated(params.act, vec4<f32>(act[i], 0.0, up[i], 0.0)).x;
}
