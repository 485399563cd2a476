// outside += how many ids name no row of weights: those that are not 0 … n - 1.
// One invocation looks at one id.
//
// ids  [count] i32, from element `base` on

#include "lib/grid.wgsl"

struct Params {
  count: u32,
  base: u32,
  n: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> outside: atomic<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = linear_index(workgroup, workgroups) * 64u + lane;
  if (i >= params.count) { return; }
  if (ids[params.base + i] >= params.n) { // a negative id is larger than all, taken as unsigned
    atomicAdd(&outside, 1u);
  }
}
