// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · code[k, n] + zero[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES·QUADS quads of y. Each of the SLICES rows of lanes takes a contiguous part of k; the parts are
// added at the end.
//
// Every lane reads x from storage, at an address that is the same for all lanes of a slice. The tile in registers: lib/rows.wgsl.
// Operands: lib/operands.wgsl, y: lib/result.wgsl. Any m, n, k; groups of whole words.

#param SLICES 1 2 4 8 // parts of k
#param SUBGROUPS 0 1 // tell the compiler that a subgroup has one slice: it then reads x once for the subgroup

#include "lib/rows.wgsl"
#include "lib/grid.wgsl"

#if SUBGROUPS
enable subgroups;
#if LANES != 64
#error SUBGROUPS needs 64 LANES: a subgroup must not span two slices
#endif
#endif

#if SLICES > 1
// The sums of slices 1…, by quad, slice, row and lane.
var<workgroup> partial: array<vec4<f32>, QUADS * (SLICES - 1u) * ROWS * LANES>;

fn put_partial(total: ptr<function, Rows>, q: u32, slice: u32, lane: u32) {
  let at = (q * (SLICES - 1u) + slice - 1u) * ROWS * LANES + lane;
  for (var r = 0u; r < ROWS; r++) {
    partial[at + r * LANES] = (*total)[r];
  }
}

fn add_partials(total: ptr<function, Rows>, q: u32, lane: u32) {
  for (var slice = 1u; slice < SLICES; slice++) {
    let at = (q * (SLICES - 1u) + slice - 1u) * ROWS * LANES + lane;
    for (var r = 0u; r < ROWS; r++) {
      (*total)[r] += partial[at + r * LANES];
    }
  }
}
#endif

// The next word of x in every row, and its part of the sums of x.
fn next_words(x_rows: ptr<function, XRows>, x_sum: ptr<function, RowSums>, start: ptr<function, RowStarts>, word: u32) {
  (*x_rows)[0] = read_x_word((*start)[0], word);
#if ROWS > 1
  (*x_rows)[1] = read_x_word((*start)[1], word);
#endif
#if ROWS > 2
  (*x_rows)[2] = read_x_word((*start)[2], word);
  (*x_rows)[3] = read_x_word((*start)[3], word);
#endif
#if ROWS > 4
  (*x_rows)[4] = read_x_word((*start)[4], word);
  (*x_rows)[5] = read_x_word((*start)[5], word);
  (*x_rows)[6] = read_x_word((*start)[6], word);
  (*x_rows)[7] = read_x_word((*start)[7], word);
#endif
  take_word(x_rows, x_sum);
}

@compute @workgroup_size(LANES, SLICES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) {
    return;
  }
#if SUBGROUPS
  let slice = subgroupBroadcastFirst(lane.y);
#else
  let slice = lane.y;
#endif
  let m = (tile / params.tiles_n) * ROWS;
  let first_quad = (tile % params.tiles_n) * LANES * QUADS + lane.x;
  let quads = lane_quads(first_quad);

  var start = row_starts(m);
  var x_rows: XRows;
  var x_sum: RowSums;
  var sum_0: Rows;
  var sum_1: Rows;
  var sum_2: Rows;
  var sum_3: Rows;
  var total_0: Rows;
  var total_1: Rows;
  var total_2: Rows;
  var total_3: Rows;

  let slice_words = (params.words + SLICES - 1u) / SLICES;
  let begin = min(slice * slice_words, params.words);
  let end = min(begin + slice_words, params.words);
  let groups_end = (end + params.group_words - 1u) / params.group_words;
  for (var group = begin / params.group_words; group < groups_end; group++) {
    let first = max(begin, group * params.group_words);
    let count = min(end, (group + 1u) * params.group_words) - first;
    for (var i = 0u; i < count; i++) {
      next_words(&x_rows, &x_sum, &start, first + i);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, first + i, quads);
    }
    end_groups(&total_0, &total_1, &total_2, &total_3, &sum_0, &sum_1, &sum_2, &sum_3, &x_sum, group, quads);
  }

#if SLICES > 1
  if (slice > 0u) {
    put_partial(&total_0, 0u, slice, lane.x);
#if QUADS > 1
    put_partial(&total_1, 1u, slice, lane.x);
#endif
#if QUADS > 2
    put_partial(&total_2, 2u, slice, lane.x);
    put_partial(&total_3, 3u, slice, lane.x);
#endif
  }
  workgroupBarrier(); // all slices have put their sums before slice 0 adds them
  if (slice > 0u) {
    return;
  }
  add_partials(&total_0, 0u, lane.x);
#if QUADS > 1
  add_partials(&total_1, 1u, lane.x);
#endif
#if QUADS > 2
  add_partials(&total_2, 2u, lane.x);
  add_partials(&total_3, 3u, lane.x);
#endif
#endif
  write_tile(&total_0, &total_1, &total_2, &total_3, m, first_quad);
}
