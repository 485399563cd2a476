// The table of a codebook in the lanes of a subgroup: each holds its share of the 16 values, and all get the others by shuffles. Software
// adapters take lookups in memory apart into lanes.

#include "lib/codebook.wgsl"

enable subgroups;

#if TABLE
#if WIDTH == 8
var<private> low_values: f32; // of codes 0 to 7: lane l has that of l
var<private> high_values: f32; // of codes 8 to 15

fn load_table(subgroup_lane: u32) {
  low_values = codebook[subgroup_lane % 8u];
  high_values = codebook[8u + subgroup_lane % 8u];
}

// The value of the code in the lowest bits.
fn passed_round(word: u32) -> f32 {
  let lane = word & 7u;
  return select(subgroupShuffle(low_values, lane), subgroupShuffle(high_values, lane), (word & 8u) != 0u);
}
#elif WIDTH == 4
var<private> values: vec4<f32>; // lane l has those of l, l + 4, l + 8 and l + 12

fn load_table(subgroup_lane: u32) {
  let lane = subgroup_lane % 4u;
  values = vec4<f32>(codebook[lane], codebook[lane + 4u], codebook[lane + 8u], codebook[lane + 12u]);
}

fn passed_round(word: u32) -> f32 {
  let found = subgroupShuffle(values, word & 3u);
  let halves = select(found.xy, found.zw, (word & 8u) != 0u);
  return select(halves.x, halves.y, (word & 4u) != 0u);
}
#else
#error WIDTH must be 4 or 8
#endif
#else
fn load_table(subgroup_lane: u32) {}
#endif
