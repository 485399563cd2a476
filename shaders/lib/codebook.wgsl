// What a code stands for: itself, or with CODEBOOK the value that it is the index of (NF4, FP4).
//
// codebook  [16]  f32
//
// Values are looked up in workgroup memory: compilers put a constant array that data index into slow memory of each lane. There the 16
// lie in 16 banks, so that lanes which ask for different ones need not wait for each other.

#include "lib/weights.wgsl"

#param CODEBOOK 0 1 // codes are: 0 numbers, 1 indices

#if CODEBOOK
#if BITS != 4
#error a codebook has 16 values: BITS must be 4
#endif
@group(0) @binding(9) var<storage, read> codebook: array<f32>;

var<workgroup> codebook_values: array<f32, 16>;

// For all lanes of a workgroup of 16 or more, before any of them ends.
fn load_codebook(lane: u32) {
  if (lane < 16u) {
    codebook_values[lane] = codebook[lane];
  }
  workgroupBarrier(); // all values are there before anyone looks one up
}

// What code i of each word stands for.
fn value(words: Quad, i: u32) -> vec4<f32> {
  let at = (words >> vec4<u32>(BITS * i)) & MASK;
  return vec4<f32>(codebook_values[at.x], codebook_values[at.y], codebook_values[at.z], codebook_values[at.w]);
}
#else
fn load_codebook(lane: u32) {}

fn value(words: Quad, i: u32) -> vec4<f32> {
  return code(words, i);
}
#endif
