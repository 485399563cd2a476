// y[m, n] = sum over blocks of scale[g, n] · (unit[m, b] · sum over k in b of code of x · q[k, n] + offset[g, n] · sum[m, b]) + bias[n]
// A workgroup makes ROWS rows × LANES quads of y. Each of the SLICES rows of lanes takes a contiguous part of k; the parts are added at
// the end, in workgroup memory.
//
// For innerPrecise = 1: x as int8 codes (quantize-rows), exact integer sums inside a block of 32 k, f32 across blocks.
// All lanes of a slice read the same x. Groups of whole blocks, or (HALF) of 16 k: then a round of the loop takes two of them.
//
// codes  [m, pitch]  vec4<u32> (lib/quantized.wgsl). x itself is read only where a result is not finite

#param LANES 32 64 // lanes along n, a quad each
#param SLICES 4 8 16 // parts of k
#param SUBGROUPS 0 1 // take the slices of a subgroup one by one, so that compilers know x to be the same for all lanes

#include "lib/dot4-block.wgsl"
#include "lib/finish.wgsl"
#include "lib/grid.wgsl"

#if SUBGROUPS
enable subgroups;
#endif

var<workgroup> partial: array<vec4<f32>, SLICES * ROWS * LANES>; // by slice, row and lane

// Rows past the end repeat the last one and are not written.
fn add_slice(total: ptr<function, Rows>, slice: u32, m: u32, quad: u32) {
  let blocks = (params.words + BLOCK_WORDS - 1u) / BLOCK_WORDS;
  let group_blocks = (params.group_words + BLOCK_WORDS - 1u) / BLOCK_WORDS;
  let pitch = quantized_pitch(blocks);
  var start: Starts;
#repeat r ROWS
  start[r] = min(m + r, params.m - 1u) * pitch;
#end
  let slice_blocks = (blocks + SLICES - 1u) / SLICES;
  let begin = min(slice * slice_blocks, blocks);
  let end = min(begin + slice_blocks, blocks);
  let groups_end = (end + group_blocks - 1u) / group_blocks;
  let first_group = begin / group_blocks;
  var unit = unit_at(first_group << HALF, quad);
  for (var group = first_group; group < groups_end; group++) {
    if (begins_unit(group << HALF)) {
      unit = unit_at(group << HALF, quad);
    }
    var affine: array<Affine, 1u + HALF>;
#repeat h 1 + HALF
    affine[h] = centred(affine_of((group << HALF) + h, quad, unit));
#end
    let first = max(begin, group * group_blocks);
    let count = min(end, (group + 1u) * group_blocks) - first;
    for (var i = 0u; i < count; i++) {
      add_block(total, start, first + i, quad, affine);
    }
  }
}

// Adds the slices' sums and writes them, by all lanes.
fn write_sums(m: u32, first_quad: u32, index: u32) {
  for (var i = index; i < ROWS * LANES; i += SLICES * LANES) {
    let row = m + i / LANES;
    let quad = first_quad + i % LANES;
    if (row < params.m && 4u * quad < params.n) {
      var sum = partial[i];
      for (var slice = 1u; slice < SLICES; slice++) {
        sum += partial[slice * ROWS * LANES + i];
      }
      finish_quad(row, quad, sum);
    }
  }
}

#if SUBGROUPS
@diagnostic(off, subgroup_uniformity)
#endif
@compute @workgroup_size(LANES, SLICES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) lane: vec3u, @builtin(local_invocation_index) index: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  let m = (tile / params.tiles_n) * ROWS;
  let first_quad = (tile % params.tiles_n) * LANES;
  let quad = min(first_quad + lane.x, params.w_pitch - 1u); // past the end, the last one is repeated and not written
  var total: Rows;
#if SUBGROUPS
  // WGSL does not say which lanes make a subgroup. Usually they are of one slice, and this goes round once.
  loop {
    let slice = subgroupBroadcastFirst(lane.y);
    if (slice == lane.y) {
      add_slice(&total, slice, m, quad);
      break;
    }
  }
#else
  add_slice(&total, lane.y, m, quad);
#endif

#repeat r ROWS
  partial[(lane.y * ROWS + r) * LANES + lane.x] = total[r];
#end
  workgroupBarrier(); // all slices have put their sums before anyone adds them
  write_sums(m, first_quad, index);
}
