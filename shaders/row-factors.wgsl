// factors[m] = 1 / √(mean of the squares of a row + epsilon), RMSNorm's factor. A workgroup makes one.
//
// source   [m, pitch] f32, of which `width` elements count
// factors  [m] f32

#include "lib/grid.wgsl"

struct Params {
  m: u32,
  base: u32, // element index of source[0, 0]; relative to the window, it may wrap below 0
  pitch: u32,
  width: u32,
  epsilon: u32, // f32 bits
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> factors: array<f32>;

const LANES = 64u;
var<workgroup> squares: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let m = workgroup.y * workgroups.x + workgroup.x;
  if (m >= params.m) { return; }
  let row = params.base + m * params.pitch;
  var sum = 0.0;
  for (var i = lane; i < params.width; i += LANES) {
    let value = source[row + i];
    sum = fma(value, value, sum);
  }
  squares[lane] = sum;
  workgroupBarrier();
  if (lane > 0u) { return; }
  var total = 0.0;
  for (var i = 0u; i < LANES; i++) {
    total += squares[i];
  }
  factors[m] = inverseSqrt(total / f32(params.width) + bitcast<f32>(params.epsilon));
}
