// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · code[k, n] + zero[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES·QUADS quads of y. All lanes walk all of k, SPAN_WORDS words of it at a time.
//
// For software adapters, where every load costs as much as dozens of multiply-adds and lanes pass values round for almost nothing: each
// lane loads other x of the span, and all lanes get them by broadcasts or shuffles. The tile in registers: lib/rows.wgsl.
// Right for subgroups of WIDTH lanes, whichever lanes they are; where they turn out longer or shorter, y is made by the formula, and so
// it is where READ is 1 and a quad of y is not spread over the four lanes of a subgroup in their order.
// Operands: lib/operands.wgsl, y: lib/result.wgsl. Any m, n, k; groups of whole spans.

#param WIDTH 4 8 // lanes of a subgroup

#include "lib/rows.wgsl"
#include "lib/shared-x.wgsl"
#include "lib/grid.wgsl"

#if READ == 1 && WIDTH != 4
#error READ 1 needs WIDTH 4: the lanes of a subgroup write a quad together
#endif

enable subgroups;

// One word of weights, read and unpacked once for all rows.
fn mac_word(sum: ptr<function, Tile>, own: ptr<function, OwnRows>, places: ptr<function, Places>, word: u32, lane: u32) {
  let words = load_words(places, word);
  var codes: array<Codes, LOADS>;
#repeat i LOADS
  codes[i] = codes_in_place(words[i]);
#end
#repeat r ROWS
#if WIDTH == 4
  let x_word = word_of((*own)[r].values);
#else
  let x_word = word_from((*own)[r].values, lane);
#endif
#repeat i LOADS
  (*sum)[r][i] = mac((*sum)[r][i], x_word, codes[i]);
#end
#end
}

// Where a register is a column, the four lanes of a subgroup hold a quad in it: each lane writes the quads of every fourth register.
#if READ == 1
fn quad_across(column: f32) -> vec4<f32> {
  return vec4<f32>(
    subgroupBroadcast(column, 0u),
    subgroupBroadcast(column, 1u),
    subgroupBroadcast(column, 2u),
    subgroupBroadcast(column, 3u),
  );
}

fn quad_for(lane: u32, columns: vec4<f32>) -> vec4<f32> {
  let even = select(quad_across(columns.x), quad_across(columns.z), lane % 4u == 2u);
  let odd = select(quad_across(columns.y), quad_across(columns.w), lane % 4u == 3u);
  return select(even, odd, lane % 2u == 1u);
}
#endif

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
  @builtin(subgroup_size) subgroup_size: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) {
    return;
  }
  let lane = local.x;
  let m = (tile / params.tiles_n) * ROWS;
  let tile_n = tile % params.tiles_n;
  var places = places_from(tile_n * LANES * LOADS + lane);
  var start = row_starts(m);
#if WIDTH != 4
  let factors = in_place_factors(subgroup_lane % WORD_QUADS);
  let last = params.words - 1u;
#endif

  var own: OwnRows;
  var sum: Tile;
  var total: Tile;
  let groups = (params.words + params.group_words - 1u) / params.group_words;
  for (var group = 0u; group < groups; group++) {
    let begin = group * params.group_words;
    let end = min(begin + params.group_words, params.words);
    for (var word = begin; word < end; word += SPAN_WORDS) {
#if WIDTH == 4
      load_own(&own, &start, word * CODES + subgroup_lane * SHARE);
      mac_word(&sum, &own, &places, word, 0u);
#else
      load_own(&own, &start, word * WORD_QUADS + subgroup_lane, factors);
      // Words past the end meet zeros of x.
      for (var j = 0u; j < SPAN_WORDS; j++) {
        mac_word(&sum, &own, &places, min(word + j, last), j * WORD_QUADS);
      }
#endif
    }
    end_group(&total, &sum, end_sums(&own), group, &places);
  }

  var quads: Quads;
#if READ == 4
#repeat r ROWS
#repeat q LOADS
  quads[ROWS * q + r] = total[r][q];
#end
#end
  write_quads(&quads, subgroup_size == WIDTH, m, tile_n * LANES * QUADS + lane);
#else
#repeat r ROWS
#repeat q LOADS / 4
  quads[ROWS * q + r] = quad_for(lane, vec4<f32>(total[r][4u * q], total[r][4u * q + 1u], total[r][4u * q + 2u], total[r][4u * q + 3u]));
#end
#end
  let in_order = (subgroup_lane == lane % 4u) & (subgroupBroadcast(lane, 0u) == lane - lane % 4u);
  let first_quad = tile_n * LANES * QUADS + (lane % 4u) * (LANES / 4u) + lane / 4u;
  write_quads(&quads, subgroupAll((subgroup_size == WIDTH) & in_order), m, first_quad);
#endif
}
