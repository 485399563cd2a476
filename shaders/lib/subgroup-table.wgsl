// The values of a codebook in the lanes of a subgroup of 8: each holds one or two of the 16, and all get the others by shuffles. Software
// adapters take lookups in memory apart into lanes. (Shuffles cost SwiftShader more than its lookups, so 4 lanes have no table.)

#include "lib/codebook.wgsl"

enable subgroups;

#if TABLE
#if WIDTH != 8
#error values of a table are passed round by 8 lanes: WIDTH must be 8
#endif
var<private> low_values: f32; // lane l has the value of code l
var<private> high_values: f32; // and that of code 8 + l

fn load_values(subgroup_lane: u32) {
  low_values = codebook[subgroup_lane % 8u];
  high_values = codebook[8u + subgroup_lane % 8u];
}

fn value_of(word: u32) -> f32 {
  let lane = word & 7u;
  return select(subgroupShuffle(low_values, lane), subgroupShuffle(high_values, lane), (word & 8u) != 0u);
}
#elif E2M1
#if WIDTH == 8
var<private> magnitude: f32; // lane l has that of code l

fn load_values(subgroup_lane: u32) {
  magnitude = twice_e2m1(subgroup_lane % 8u);
}

fn value_of(word: u32) -> f32 {
  return with_sign(subgroupShuffle(magnitude, word & 7u), word);
}
#elif WIDTH == 4
fn load_values(subgroup_lane: u32) {}

fn value_of(word: u32) -> f32 { return twice_e2m1(word); }
#else
#error WIDTH must be 4 or 8
#endif
#else
fn load_values(subgroup_lane: u32) {}
#endif
