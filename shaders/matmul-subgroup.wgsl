// y[m, n] = sum over blocks b of scale[g, n] · (sum over k in b of x[m, k] · code[k, n] + zero[g, n] · sum over k in b of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES·QUADS quads of y. All lanes walk all of k, SHARED_WORDS words of it at a time.
// A block is 32 k, or what a group has left.
//
// For software adapters, where every load costs as much as dozens of multiply-adds and lanes pass values round for almost nothing: each
// lane loads its share of these words of x, and all lanes get all of them from each other. Subgroups of 4 lanes share by
// lib/subgroup-4.wgsl, of 8 by lib/subgroup-8.wgsl; both have the same functions.
// Right for subgroups of WIDTH lanes, whichever lanes they are; where they turn out longer or shorter, y is made by the formula.
// Groups of whole SHARED_WORDS.

#param WIDTH 4 8 // lanes of a subgroup

#include "lib/rows.wgsl"
#include "lib/grid.wgsl"
#if WIDTH == 4
#include "lib/subgroup-4.wgsl"
#elif WIDTH == 8
#include "lib/subgroup-8.wgsl"
#else
#error WIDTH must be 4 or 8
#endif

enable subgroups;

// What a lane holds of a row of x: its share of some words, and the sum of all that it held in this block.
struct Own {
  share: Share,
  sum: f32,
}
alias OwnRows = array<Own, ROWS>;

// The lane's share of the words from `word` on, in every row.
fn load_own(own: ptr<function, OwnRows>, start: ptr<function, RowStarts>, word: u32, seat: Seat) {
#repeat r ROWS
  let share = load_share((*start)[r], word, seat);
  (*own)[r] = Own(ready_share(share, seat), (*own)[r].sum + sum_share(share));
#end
}

// One word of weights, read and unpacked once for all rows; its x is word j of those that are shared.
fn mac_word(sum: ptr<function, Tile>, own: ptr<function, OwnRows>, places: ptr<function, Places>, word: u32, j: u32) {
  let row = word * params.w_pitch * (4u / READ);
  var words: array<Words, LOADS>; // all are loaded before any is unpacked
#repeat i LOADS
  words[i] = w[row + (*places)[i]];
#end
  var codes: array<Codes, LOADS>;
#repeat i LOADS
  codes[i] = codes_in_place(words[i]);
#end
#repeat r ROWS
  let x_word = shared_word((*own)[r].share, j);
#repeat i LOADS
  (*sum)[r][i] = mac((*sum)[r][i], x_word, codes[i]);
#end
#end
}

// The sum over all lanes of the subgroup. (Software adapters make subgroupAdd() of loops over the lanes.)
fn over_subgroup(own: f32) -> f32 {
  let pairs = own + subgroupShuffleXor(own, 1u);
  let fours = pairs + subgroupShuffleXor(pairs, 2u);
#if WIDTH == 4
  return fours;
#elif WIDTH == 8
  return fours + subgroupShuffleXor(fours, 4u);
#else
#error WIDTH must be 4 or 8
#endif
}

fn end_sums(own: ptr<function, OwnRows>) -> RowSums {
  var x_sum: RowSums;
#repeat r ROWS
  x_sum[r] = over_subgroup((*own)[r].sum);
  (*own)[r].sum = 0.0;
#end
  return x_sum;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
  @builtin(subgroup_size) subgroup_size: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  let lane = local.x;
  let m = (tile / params.tiles_n) * ROWS;
  let tile_n = tile % params.tiles_n;
  var places = places_from(tile_n * LANES * LOADS + lane);
  var start = row_starts(m);
  let seat = seat_of(subgroup_lane);

  var own: OwnRows;
  var sum: Tile;
  var total: Tile;
  var current = first_block();
  while (is_within(current)) {
#if WIDTH == 4
    for (var word = current.words.begin; word < current.words.end; word++) { // no loop over what is shared: SwiftShader unrolls none
      load_own(&own, &start, word, seat);
      mac_word(&sum, &own, &places, word, 0u);
    }
    end_block(&total, &sum, end_sums(&own), current.group, &places);
#elif WIDTH == 8
    load_own(&own, &start, current.words.begin, seat); // a whole block
    let x_sum = end_sums(&own);
    begin_block(&sum, x_sum, current.group, &places);
    for (var j = 0u; j < SHARED_WORDS; j++) {
      mac_word(&sum, &own, &places, min(current.words.begin + j, params.words - 1u), j); // words past the end meet zeros of x
    }
    end_begun(&total, &sum, x_sum, current.group, &places);
#else
#error WIDTH must be 4 or 8
#endif
    current = next_block(current);
  }
  write_shared(&total, m, tile_n, lane, subgroup_lane, subgroup_size);
}
