// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · code[k, n] + zero[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES·QUADS quads of y. All lanes walk all of k, a span of 32 k at a time.
//
// For software adapters, where every load costs as much as dozens of multiply-adds and lanes pass values round for almost nothing: each
// lane loads other x of the span, 16 bytes at a time, and all lanes get them by subgroupShuffle. The tile in registers: lib/rows.wgsl.
// Right for subgroups of WIDTH lanes, whichever lanes they are; where they turn out longer or shorter, y is made by the formula.
// Operands: lib/operands.wgsl, y: lib/result.wgsl. Any m, n, k; groups of whole spans.

#param WIDTH 4 8 // lanes of a subgroup

#include "lib/rows.wgsl"
#include "lib/grid.wgsl"

enable subgroups;

const SPAN_WORDS = 32u / CODES;
const WORD_QUADS = CODES / 4u; // vec4s of x in a word of k

// What a lane holds of a row of x: its vec4 of the span, ready for codes_in_place(), and the sum of all that it held in this group.
struct Own {
  values: vec4<f32>,
  sum: f32,
}
alias OwnRows = array<Own, ROWS>;

// The vec4 `at` of a row, 0 past its end.
fn next_own(before: Own, start: u32, at: u32, factors: vec4<f32>) -> Own {
  var values = vec4<f32>(0.0);
  if (at < params.x_pitch) {
    values = read_x(start + at);
  }
  return Own(values * factors, before.sum + ((values.x + values.y) + (values.z + values.w)));
}

fn load_own(own: ptr<function, OwnRows>, start: ptr<function, RowStarts>, at: u32, factors: vec4<f32>) {
  (*own)[0] = next_own((*own)[0], (*start)[0], at, factors);
#if ROWS > 1
  (*own)[1] = next_own((*own)[1], (*start)[1], at, factors);
#endif
#if ROWS > 2
  (*own)[2] = next_own((*own)[2], (*start)[2], at, factors);
  (*own)[3] = next_own((*own)[3], (*start)[3], at, factors);
#endif
#if ROWS > 4
  (*own)[4] = next_own((*own)[4], (*start)[4], at, factors);
  (*own)[5] = next_own((*own)[5], (*start)[5], at, factors);
  (*own)[6] = next_own((*own)[6], (*start)[6], at, factors);
  (*own)[7] = next_own((*own)[7], (*start)[7], at, factors);
#endif
}

// The word of x that starts with what `lane` holds.
fn word_from(own: Own, lane: u32) -> XWord {
#if BITS == 4
  return XWord(subgroupShuffle(own.values, lane), subgroupShuffle(own.values, lane + 1u));
#else
  return XWord(subgroupShuffle(own.values, lane));
#endif
}

fn words_from(x_rows: ptr<function, XRows>, own: ptr<function, OwnRows>, lane: u32) {
  (*x_rows)[0] = word_from((*own)[0], lane);
#if ROWS > 1
  (*x_rows)[1] = word_from((*own)[1], lane);
#endif
#if ROWS > 2
  (*x_rows)[2] = word_from((*own)[2], lane);
  (*x_rows)[3] = word_from((*own)[3], lane);
#endif
#if ROWS > 4
  (*x_rows)[4] = word_from((*own)[4], lane);
  (*x_rows)[5] = word_from((*own)[5], lane);
  (*x_rows)[6] = word_from((*own)[6], lane);
  (*x_rows)[7] = word_from((*own)[7], lane);
#endif
}

// The sums of x over the group: what all lanes of the subgroup held.
fn add_sums(x_sum: ptr<function, RowSums>, own: ptr<function, OwnRows>) {
  for (var r = 0u; r < ROWS; r++) {
    (*x_sum)[r] += subgroupAdd((*own)[r].sum);
    (*own)[r].sum = 0.0;
  }
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
  @builtin(subgroup_size) subgroup_size: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) {
    return;
  }
  let m = (tile / params.tiles_n) * ROWS;
  let first_quad = (tile % params.tiles_n) * LANES * QUADS + lane.x;
  let quads = lane_quads(first_quad);
  let factors = in_place_factors(subgroup_lane % WORD_QUADS);

  var start = row_starts(m);
  var own_0: OwnRows;
#if WIDTH == 4
  var own_1: OwnRows;
#endif
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

  let groups = (params.words + params.group_words - 1u) / params.group_words;
  for (var group = 0u; group < groups; group++) {
    let begin = group * params.group_words;
    let end = min(begin + params.group_words, params.words);
    let spans = (end - begin + SPAN_WORDS - 1u) / SPAN_WORDS;
    for (var span = 0u; span < spans; span++) {
      let word = begin + span * SPAN_WORDS;
      load_own(&own_0, &start, word * WORD_QUADS + subgroup_lane, factors);
#if WIDTH == 8
      let count = min(SPAN_WORDS, end - word);
      for (var j = 0u; j < count; j++) {
        words_from(&x_rows, &own_0, j * WORD_QUADS);
        mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, word + j, quads);
      }
#else
      // A lane holds two vec4s. Unrolled, because loops are dear there; words past the end meet zeros of x.
      load_own(&own_1, &start, word * WORD_QUADS + WIDTH + subgroup_lane, factors);
      let last = params.words - 1u;
      words_from(&x_rows, &own_0, 0u);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, word, quads);
      words_from(&x_rows, &own_0, WORD_QUADS);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, min(word + 1u, last), quads);
#if BITS == 8
      words_from(&x_rows, &own_0, 2u);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, min(word + 2u, last), quads);
      words_from(&x_rows, &own_0, 3u);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, min(word + 3u, last), quads);
#endif
      words_from(&x_rows, &own_1, 0u);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, min(word + SPAN_WORDS / 2u, last), quads);
      words_from(&x_rows, &own_1, WORD_QUADS);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, min(word + SPAN_WORDS / 2u + 1u, last), quads);
#if BITS == 8
      words_from(&x_rows, &own_1, 2u);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, min(word + 6u, last), quads);
      words_from(&x_rows, &own_1, 3u);
      mac_quads(&sum_0, &sum_1, &sum_2, &sum_3, &x_rows, min(word + 7u, last), quads);
#endif
#endif
    }
    add_sums(&x_sum, &own_0);
#if WIDTH == 4
    add_sums(&x_sum, &own_1);
#endif
    end_groups(&total_0, &total_1, &total_2, &total_3, &sum_0, &sum_1, &sum_2, &sum_3, &x_sum, group, quads);
  }
  if (subgroup_size == WIDTH) {
    write_tile(&total_0, &total_1, &total_2, &total_3, m, first_quad);
  } else {
    repair(0xffffffffu >> (32u - ROWS * QUADS), m, first_quad);
  }
}
