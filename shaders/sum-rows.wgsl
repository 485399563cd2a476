// sums[m, span] = (sum of x[m, k] over the k of the span, the part of it from even k)
// One invocation makes one sum. Kernels that walk k in spans add these up to the sums of x over groups, which offsets and zero points
// multiply: made once for all columns, and for all layers that read the same x. A span is 32 k, or less where groups are not whole 32 k.
//
// x     [m, k]       lib/activation.wgsl; rows of x_pitch vec4s, the last span may be short
// sums  [m, spans]   two f32; kernels whose codes carry a bias that depends on k's parity need both

#include "lib/activation.wgsl"
#include "lib/grid.wgsl"

struct Params {
  m: u32, // rows of x
  x_base: u32, // vec4 index of x[0, 0]
  x_pitch: u32, // vec4s in a row of x
  spans: u32, // spans in a row
  span_quads: u32, // vec4s in a span
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> sums: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let i = linear_index(workgroup, workgroups) * 64u + lane.x;
  if (i >= params.m * params.spans) {
    return;
  }
  let first = (i % params.spans) * params.span_quads;
  let row = params.x_base + (i / params.spans) * params.x_pitch;
  var sum = vec4<f32>(0.0);
  for (var q = first; q < min(first + params.span_quads, params.x_pitch); q++) {
    sum += read_x(row + q);
  }
  let even = sum.x + sum.z;
  sums[i] = vec2<f32>(even + (sum.y + sum.w), even);
}
