// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · code[k, n] + zero[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES quads of y, or a part of their sums over k. k is cut into runs of whole blocks of 32 k: SLICES rows
// of lanes take one each and add them up at the end.
//
// For few rows of x on a GPU: neighbouring lanes read neighbouring 16 bytes of w, UNROLL words ahead; x is read at an address that a whole
// subgroup shares, so it takes no registers of the lanes; offsets meet sums of x that sum-rows has made, once a group.
// Right for subgroups of any size, whichever lanes they are.
//
// x_sums  [m, blocks]  (the sum of x over the block, the part of it from even k); a block is 32 k or less (block_shift)

#param LANES 32 64 // lanes along n
#param SLICES 1 4 8 // parts of k in a workgroup; more than 1 need subgroups
#param UNROLL 1 2 4 // words of w in flight; x of all of them lies in scalar registers, so that fewer fit with more rows

#include "lib/lane.wgsl"
#include "lib/scale.wgsl"
#include "lib/splits.wgsl"
#include "lib/float16.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/grid.wgsl"

#if SLICES > 1
enable subgroups;
#endif

@group(0) @binding(8) var<storage, read> x_sums: array<vec2<f32>>;

fn mac_word(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, words: vec4<u32>) {
  let planes = planes_of(words);
  var x_rows: XRows;
#repeat q 8 / BITS
  read_x_rows(&x_rows, start, word * WORD_VEC4S + q);
#repeat i 4
  mac_code(sum, &x_rows, i, code_of(planes, 4u * q + i));
#end
#end
}

// Products of the words [begin, end) of one group.
fn mac_words(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, begin: u32, end: u32, quad: u32) {
  let rounds = (end - begin) / UNROLL;
  for (var i = 0u; i < rounds; i++) {
    let word = begin + i * UNROLL;
    let at = word * params.w_pitch + quad;
    var words: array<vec4<u32>, UNROLL>;
#repeat j UNROLL
    words[j] = w[at + j * params.w_pitch];
#end
#repeat j UNROLL
    mac_word(sum, start, word + j, words[j]);
#end
  }
  for (var word = begin + rounds * UNROLL; word < end; word++) { // only where K ends
    mac_word(sum, start, word, w[word * params.w_pitch + quad]);
  }
}

alias RowSums = array<vec2<f32>, ROWS>; // as in x_sums

// The sums of x over the words [begin, end) of one group, for all rows.
fn sums_of_x(m: u32, begin: u32, end: u32) -> RowSums {
  let shift = block_shift();
  let round_up = (1u << shift) - 1u;
  let blocks = (params.words + round_up) >> shift;
  let first = begin >> shift;
  let count = ((end + round_up) >> shift) - first;
  var sum: RowSums;
  for (var i = 0u; i < count; i++) {
#repeat r ROWS
    sum[r] += x_sums[min(m + r, params.m - 1u) * blocks + first + i];
#end
  }
  return sum;
}

// What a group adds to a row. sum has BIAS in its codes: that of odd k for all, and what even k have more.
fn end_row(total: vec4<f32>, sum: vec4<f32>, x_sum: vec2<f32>, s: vec4<f32>, zero: vec4<f32>) -> vec4<f32> {
  let odd = sum - vec4<f32>((BIAS.x - BIAS.y) * x_sum.y);
#if OFFSET == 0 || OFFSET == 1
  return fma(s, fma(zero - vec4<f32>(BIAS.y), vec4<f32>(x_sum.x), odd), total);
#elif OFFSET == 2
  return fma(zero, vec4<f32>(x_sum.x), fma(s, odd - vec4<f32>(BIAS.y * x_sum.x), total));
#else
#error OFFSET must be 0, 1 or 2
#endif
}

// total = the sums over one run of k.
fn sum_run(total: ptr<function, Rows>, run: Run, m: u32, quad: u32) {
  var start = row_starts(m);
  let groups = groups_end(run);
  for (var group = run.begin / params.group_words; group < groups; group++) {
    let words = words_in(run, group);
    let raw_scale = scale[scale_index(group, quad)]; // on its way while the words come
    var sum = Rows(); // said in words: a compiler was seen to keep what the last group left
    mac_words(&sum, &start, words.begin, words.end, quad);
    let s = widen_scale(raw_scale, quad);
    let zero = read_zero(group, quad);
    let x_sum = sums_of_x(m, words.begin, words.end);
#repeat r ROWS
    (*total)[r] = end_row((*total)[r], sum[r], x_sum[r], s, zero);
#end
  }
}

var<workgroup> sums: array<vec4<f32>, SLICES * ROWS * LANES>; // of every slice, row and lane

#if SLICES > 1
@diagnostic(off, subgroup_uniformity) // see below
#endif
@compute @workgroup_size(LANES, SLICES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_id) lane: vec3u) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
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
#repeat r ROWS
  sums[slot + r * LANES] = total[r];
#end
#if SLICES > 1
  workgroupBarrier(); // all slices have put their sums before anyone adds them up
#endif
  if (4u * own_quad >= params.n) { return; }
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
