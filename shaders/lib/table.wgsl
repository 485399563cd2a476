// The table of a codebook in workgroup memory, for GPUs: compilers put a constant array that data index into slow memory of each lane. Here
// the 16 values lie in 16 banks, so that lanes which ask for different ones need not wait for each other.

#include "lib/codebook.wgsl"

#if TABLE
var<workgroup> table: array<f32, 16>;

// For all lanes of a workgroup of 16 or more, before any of them ends.
fn load_table(lane: u32) {
  if (lane < 16u) {
    table[lane] = codebook[lane];
  }
  workgroupBarrier(); // all values are there before anyone looks one up
}

// What code i of each word stands for.
fn looked_up(words: Quad, i: u32) -> vec4<f32> {
  let at = (words >> vec4<u32>(BITS * i)) & MASK;
  return vec4<f32>(table[at.x], table[at.y], table[at.z], table[at.w]);
}
#else
fn load_table(lane: u32) {}

fn looked_up(words: Quad, i: u32) -> vec4<f32> {
  return value(words, i);
}
#endif
