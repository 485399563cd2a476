// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · code[k, n] + zero[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES quads of y, or the part of their sums that falls to it. k is cut into parts of whole spans of
// 32 k: SLICES rows of lanes take one each and add them up at the end; where the columns are too few to fill the device, several
// workgroups share the same rows and columns, and their sums go as f32 to scratch memory, where round-rows adds them.
//
// For few rows of x on a GPU: neighbouring lanes read neighbouring 16 bytes of w, STEP words ahead; x is read at an address that a whole
// subgroup shares, so it takes no registers of the lanes; offsets meet sums of x that sum-rows has made, once a group. A span is 32 k, or as
// many as a group has whole runs of (lib/blocks.wgsl).
// Right for subgroups of any size, whichever lanes they are. Operands: lib/operands.wgsl, y: lib/result.wgsl, codes: lib/lane.wgsl.
// Any m, n, k; groups of whole words.
//
// x_sums  [m, spans]  (the sum of x over the span, the part of it from even k)

#param LANES 32 64 // lanes along n
#param SLICES 1 4 8 // parts of k in a workgroup; more than 1 need subgroups
#param STEP 1 2 4 // words of w in flight; x of all of them lies in scalar registers, so that fewer fit with more rows

#include "lib/lane.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/grid.wgsl"
#include "lib/blocks.wgsl"

#if SLICES > 1
enable subgroups;
#endif

@group(0) @binding(8) var<storage, read> x_sums: array<vec2<f32>>;

fn mac_word(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, words: vec4<u32>) {
  let planes = planes_of(words);
  var x_rows: XRows;
  read_x_rows(&x_rows, start, word * WORD_QUADS);
  mac_code(sum, &x_rows, 0u, code_of(planes, 0u));
  mac_code(sum, &x_rows, 1u, code_of(planes, 1u));
  mac_code(sum, &x_rows, 2u, code_of(planes, 2u));
  mac_code(sum, &x_rows, 3u, code_of(planes, 3u));
#if BITS == 4
  read_x_rows(&x_rows, start, word * WORD_QUADS + 1u);
  mac_code(sum, &x_rows, 0u, code_of(planes, 4u));
  mac_code(sum, &x_rows, 1u, code_of(planes, 5u));
  mac_code(sum, &x_rows, 2u, code_of(planes, 6u));
  mac_code(sum, &x_rows, 3u, code_of(planes, 7u));
#endif
}

// Products of the words [begin, end) of one group.
fn mac_words(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, begin: u32, end: u32, quad: u32) {
  let steps = (end - begin) / STEP;
  for (var i = 0u; i < steps; i++) {
    let word = begin + i * STEP;
    let at = word * params.w_pitch + quad;
    let w_0 = w[at];
#if STEP > 1
    let w_1 = w[at + params.w_pitch];
#endif
#if STEP > 2
    let w_2 = w[at + 2u * params.w_pitch];
    let w_3 = w[at + 3u * params.w_pitch];
#endif
    mac_word(sum, start, word, w_0);
#if STEP > 1
    mac_word(sum, start, word + 1u, w_1);
#endif
#if STEP > 2
    mac_word(sum, start, word + 2u, w_2);
    mac_word(sum, start, word + 3u, w_3);
#endif
  }
  for (var word = begin + steps * STEP; word < end; word++) { // only where K ends
    mac_word(sum, start, word, w[word * params.w_pitch + quad]);
  }
}

alias RowSums = array<vec2<f32>, ROWS>; // as in x_sums

// The sums of x over the words [begin, end) of one group, for all rows.
fn sums_of_x(m: u32, begin: u32, end: u32) -> RowSums {
  let shift = span_shift();
  let round_up = (1u << shift) - 1u;
  let spans = (params.words + round_up) >> shift;
  let last = params.m - 1u;
  let first = begin >> shift;
  let count = ((end + round_up) >> shift) - first;
  var sum: RowSums;
  for (var i = 0u; i < count; i++) {
    let span = first + i;
    sum[0] += x_sums[m * spans + span];
#if ROWS > 1
    sum[1] += x_sums[min(m + 1u, last) * spans + span];
#endif
#if ROWS > 2
    sum[2] += x_sums[min(m + 2u, last) * spans + span];
    sum[3] += x_sums[min(m + 3u, last) * spans + span];
#endif
  }
  return sum;
}

// What a group adds to a row. sum has BIAS in its codes: that of odd k for all, and what even k have more.
fn end_row(total: vec4<f32>, sum: vec4<f32>, x_sum: vec2<f32>, s: vec4<f32>, zero: vec4<f32>) -> vec4<f32> {
  let odd = sum - vec4<f32>((BIAS.x - BIAS.y) * x_sum.y);
#if OFFSET == 2
  return fma(zero, vec4<f32>(x_sum.x), fma(s, odd - vec4<f32>(BIAS.y * x_sum.x), total));
#else
  return fma(s, fma(zero - vec4<f32>(BIAS.y), vec4<f32>(x_sum.x), odd), total);
#endif
}

// total = the sums over one run of k.
fn sum_run(total: ptr<function, Rows>, run: Run, m: u32, quad: u32) {
  var start = row_starts(m);
  let groups = groups_end(run);
  for (var group = run.begin / params.group_words; group < groups; group++) {
    let begin = max(run.begin, group * params.group_words);
    let end = min(run.end, (group + 1u) * params.group_words);
    let raw_scale = scale[group * params.w_pitch + quad]; // on its way while the words come
    var sum = Rows(); // said in words: a compiler was seen to keep what the last group left
    mac_words(&sum, &start, begin, end, quad);
    let s = widen_scale(raw_scale);
    let zero = read_zero(group, quad);
    let x_sum = sums_of_x(m, begin, end);
    (*total)[0] = end_row((*total)[0], sum[0], x_sum[0], s, zero);
#if ROWS > 1
    (*total)[1] = end_row((*total)[1], sum[1], x_sum[1], s, zero);
#endif
#if ROWS > 2
    (*total)[2] = end_row((*total)[2], sum[2], x_sum[2], s, zero);
    (*total)[3] = end_row((*total)[3], sum[3], x_sum[3], s, zero);
#endif
  }
}

var<workgroup> sums: array<vec4<f32>, SLICES * ROWS * LANES>; // of every slice, row and lane

#if SLICES > 1
@diagnostic(off, subgroup_uniformity) // see below
#endif
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
  let place = place_of(tile, ROWS);
  let m = place.m;
  let own_quad = place.tile_n * LANES + lane.x;
  let quad = min(own_quad, (params.n - 1u) / 4u); // past the end the last one again, not written
  let first_run = place.split * SLICES;
  let runs = place.splits * SLICES;
  var total: Rows;

#if SLICES > 1
  // A round for each slice that the subgroup has lanes of; nearly always one. In it the slice is the same for all lanes, and the compiler
  // knows. Each lane is done in the round of its own slice, whichever lanes take part in it, so the broadcast need not be uniform.
  var done = false;
  while (!done) {
    let slice = subgroupBroadcastFirst(lane.y);
    if (slice == lane.y) {
      sum_run(&total, run_at(first_run + slice, runs), m, quad);
      done = true;
    }
  }
#else
  sum_run(&total, run_at(first_run, runs), m, quad);
#endif

  let slot = lane.y * ROWS * LANES + lane.x;
  sums[slot] = total[0];
#if ROWS > 1
  sums[slot + LANES] = total[1];
#endif
#if ROWS > 2
  sums[slot + 2u * LANES] = total[2];
  sums[slot + 3u * LANES] = total[3];
#endif
#if SLICES > 1
  workgroupBarrier(); // all slices have put their sums before anyone adds them up
#endif
  if (4u * own_quad >= params.n) {
    return;
  }
  // The rows are finished by different slices, in a loop that holds no row in registers.
  for (var r = lane.y; r < min(ROWS, params.m - m); r += SLICES) {
    var sum = sums[r * LANES + lane.x];
    for (var slice = 1u; slice < SLICES; slice++) {
      sum += sums[(slice * ROWS + r) * LANES + lane.x];
    }
    if (any_nonfinite(sum)) { // the group algebra makes NaN of some infinities
      let first = run_at(first_run, runs);
      let last = run_at(first_run + SLICES - 1u, runs);
      sum = formula_of(m + r, quad, first.begin, last.end);
    }
    write_split(place.split, m + r, quad, sum);
  }
}
