// sums[m, block] = (sum of x[m, k] over the k of the block, the part of it from even k)
// One invocation makes one sum. Kernels add these up to the sums of x over groups, which offsets and zero points multiply: made once for
// all columns, and for all layers that read the same x. A block is 32 k, or less where groups are not whole 32 k.
//
// x     [m, k]       lib/activation.wgsl; rows of x_pitch vec4s, the last block may be short
// sums  [m, blocks]   two f32; kernels whose codes carry a bias that depends on k's parity need both

#include "lib/activation.wgsl"
#include "lib/grid.wgsl"

struct Params {
  m: u32, // rows of x
  x_base: u32, // vec4 index of x[0, 0]
  x_pitch: u32, // vec4s in a row of x
  blocks: u32, // in a row
  block_vec4s: u32, // vec4s of x in a block
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> sums: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = linear_index(workgroup, workgroups) * 64u + lane;
  if (i >= params.m * params.blocks) { return; }
  let first = (i % params.blocks) * params.block_vec4s;
  let row = params.x_base + (i / params.blocks) * params.x_pitch;
  var sum = vec4<f32>(0.0);
  for (var q = first; q < min(first + params.block_vec4s, params.x_pitch); q++) {
    sum += read_x(row + q);
  }
  let even = sum.x + sum.z;
  sums[i] = vec2<f32>(even + (sum.y + sum.w), even);
}
