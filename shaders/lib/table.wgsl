// What a code stands for: itself, or with TABLE the value that it is the index of (NF4, FP4). Part of lib/operands.wgsl.
//
// codebook  [16]  f32
//
// The values are looked up in workgroup memory: compilers put a constant array that data index into slow memory of each lane. There the 16
// lie in 16 banks, so that lanes which ask for different ones need not wait for each other.

#param TABLE 0 1 // codes are: 0 numbers, 1 indices

#if TABLE && (BITS != 4 || OFFSET)
#error a table has 16 values, and nothing is added to them
#endif

#if TABLE
@group(0) @binding(9) var<storage, read> codebook: array<f32>;

var<workgroup> table: array<f32, 16>;

// For all lanes of a workgroup of 16 or more, before any of them ends.
fn fill_table(lane: u32) {
  if (lane < 16u) {
    table[lane] = codebook[lane];
  }
  workgroupBarrier(); // the table is whole before anyone looks anything up
}

// What code i of each word stands for.
fn value(words: vec4<u32>, i: u32) -> vec4<f32> {
  let at = (words >> vec4<u32>(BITS * i)) & MASK;
  return vec4<f32>(table[at.x], table[at.y], table[at.z], table[at.w]);
}
#else
fn fill_table(lane: u32) {}

fn value(words: vec4<u32>, i: u32) -> vec4<f32> {
  return code(words, i);
}
#endif
