// The table of a codebook in the lanes of a subgroup of 8: each holds two of the 16 values, and all get the others by shuffles. Software
// adapters take lookups in memory apart into lanes. (Shuffles cost SwiftShader more than its lookups, so not with 4 lanes.)

#include "lib/codebook.wgsl"

enable subgroups;

#if TABLE
var<private> low_values: f32; // lane l has the value of code l
var<private> high_values: f32; // and that of code 8 + l

fn load_table(subgroup_lane: u32) {
  low_values = codebook[subgroup_lane % 8u];
  high_values = codebook[8u + subgroup_lane % 8u];
}

// The value of the code in the lowest bits.
fn passed_round(word: u32) -> f32 {
  let lane = word & 7u;
  return select(subgroupShuffle(low_values, lane), subgroupShuffle(high_values, lane), (word & 8u) != 0u);
}
#else
fn load_table(subgroup_lane: u32) {}
#endif
