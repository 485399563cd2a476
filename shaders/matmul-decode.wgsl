// y[m, n] = sum over blocks b of scale[g, n] · (sum over k in b of x[m, k] · code[k, n] + zero[g, n] · sum over k in b of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES quads of y, or a part of their sums over k. k is cut into runs of whole blocks of 32 k: SLICES rows
// of lanes take one each and add them up at the end.
//
// For few rows of x on a GPU: neighbouring lanes read neighbouring 16 bytes of w, UNROLL words ahead; x is read at an address that a whole
// subgroup shares, so it takes no registers of the lanes; offsets meet sums of x that sum-rows has made, and values of a codebook none.
// Right for subgroups of any size, whichever lanes they are.
//
// x_sums  [m, blocks]  (the sum of x over the block, the part of it from even k); a block is 32 k or less (block_shift)

#param LANES 32 64 // lanes along n
#param SLICES 1 4 8 // parts of k in a workgroup; more than 1 need subgroups
#param UNROLL 1 2 4 // low words of w in flight, under one high word; x of all of them lies in scalar registers, so that fewer fit with more rows

#include "lib/lane.wgsl"
#include "lib/scale.wgsl"
#include "lib/splits.wgsl"
#include "lib/float16.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/residual.wgsl"
#include "lib/grid.wgsl"

#if HIGH && UNROLL * HIGH > LOW || UNROLL > LOW
#error words in flight share a block and a high word: UNROLL must be less
#endif

#if SLICES > 1
enable subgroups;
#endif

#if !CODEBOOK
@group(0) @binding(8) var<storage, read> x_sums: array<vec2<f32>>;
#endif

fn mac_word(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, words: Quad) {
  let planes = planes_of(words);
  var x_rows: XRows;
#repeat q CODES / 4
  read_x_rows(&x_rows, start, word * WORD_VEC4S + q);
#repeat i 4
  mac_code(sum, &x_rows, i, code_of(planes, 4u * q + i));
#end
#end
}

// Products of the words [begin, end) of one block.
fn mac_words(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, begin: u32, end: u32, quad: u32) {
  let rounds = (end - begin) / UNROLL;
  for (var i = 0u; i < rounds; i++) {
    let word = begin + i * UNROLL;
    let at = w_row(low_row(word)) + quad;
    var words: array<Quad, UNROLL>;
#if HIGH
    let high = w[w_row(high_row(word)) + quad]; // of all of them
#repeat j UNROLL
    words[j] = Quad(w[at + j * params.w_pitch], high, high_shift(word) + HIGH * j);
#end
#else
#repeat j UNROLL
    words[j] = w[at + j * params.w_pitch];
#end
#endif
#repeat j UNROLL
    mac_word(sum, start, word + j, words[j]);
#end
  }
  for (var word = begin + rounds * UNROLL; word < end; word++) { // only where a group or K ends
    mac_word(sum, start, word, read_quad(word, quad));
  }
}

alias RowSums = array<vec2<f32>, ROWS>; // as in x_sums

fn x_sum_at(i: u32) -> vec2<f32> {
#if CODEBOOK
  return vec2<f32>(); // values need none
#else
  return x_sums[i];
#endif
}

// What the sum of a block begins with: zero · the sum of x, less what BIAS in its codes will add (that of odd k for all, and what even k
// have more). So no sum grows larger than its terms.
fn begin_row(x_sum: vec2<f32>, zero: vec4<f32>) -> vec4<f32> {
  let even = vec4<f32>((BIAS.y - BIAS.x) * x_sum.y);
#if OFFSET == 2
  return even - vec4<f32>(BIAS.y * x_sum.x);
#elif OFFSET != 2
  return fma(zero - vec4<f32>(BIAS.y), vec4<f32>(x_sum.x), even);
#endif
}

// What the block adds to a row. A minimum is not scaled.
fn end_row(total: vec4<f32>, sum: vec4<f32>, x_sum: vec2<f32>, s: vec4<f32>, zero: vec4<f32>) -> vec4<f32> {
#if OFFSET == 2
  return fma(zero, vec4<f32>(x_sum.x), fma(s, sum, total));
#elif OFFSET != 2
  return fma(s, sum, total);
#endif
}

// total = the sums over one run of k.
fn sum_run(total: ptr<function, Rows>, run: Run, rows: RowRun, quad: u32) {
  var start = row_starts(rows);
  let shift = block_shift();
  let length = 1u << shift; // words of a block
  let blocks = (params.words + length - 1u) >> shift;
  let groups = groups_end(run);
  let first = run.begin / params.group_words;
  var unit = unit_at(first, quad);
  for (var group = first; group < groups; group++) {
    let words = words_in(run, group);
    if (begins_unit(group)) {
      unit = unit_at(group, quad);
    }
    let s = in_units(scale_at(group, quad, unit));
    let zero = zero_at(group, quad, unit);
    for (var begin = words.begin; begin < words.end; begin += length) {
      var x_sum: RowSums;
      var sum: Rows;
#repeat r ROWS
      let row = x_row(min(rows.begin + r, rows.end - 1u));
      x_sum[r] = x_sum_at(row * blocks + (begin >> shift));
      sum[r] = begin_row(x_sum[r], zero);
#end
      mac_words(&sum, &start, begin, min(begin + length, words.end), quad);
#repeat r ROWS
      (*total)[r] = end_row((*total)[r], sum[r], x_sum[r], s, zero);
#end
    }
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
  load_table(lane.y * LANES + lane.x);
  let place = place_of(tile, ROWS);
  let rows = place.rows;
#if EXPERTS
  if (rows.begin >= rows.end) { return; }
#endif
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
      sum_run(&total, run_at(first_run + slice, runs), rows, quad);
      done = true;
    }
  }
#else
  sum_run(&total, run_at(first_run, runs), rows, quad);
#endif

  let slot = lane.y * ROWS * LANES + lane.x;
#repeat r ROWS
  sums[slot + r * LANES] = total[r];
#end
#if SLICES > 1
  workgroupBarrier(); // all slices have put their sums before anyone adds them up
#endif
  if (4u * own_quad >= params.n) { return; }
  let count = min(ROWS, rows.end - rows.begin);
  // The rows are finished by different slices, in a loop that holds no row in registers.
  for (var r = lane.y; r < count; r += SLICES) {
    var sum = sums[r * LANES + lane.x];
    for (var slice = 1u; slice < SLICES; slice++) {
      sum += sums[(slice * ROWS + r) * LANES + lane.x];
    }
    if (any_nonfinite(sum)) { // the group algebra makes NaN of some infinities
      let first = run_at(first_run, runs);
      let last = run_at(first_run + SLICES - 1u, runs);
      sum = formula_of(rows.begin + r, quad, first.begin, last.end);
    }
    write_split(place.split, rows.begin + r, quad, sum);
  }
}
