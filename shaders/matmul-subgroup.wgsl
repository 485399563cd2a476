// y[m, n] = sum over blocks b of scale[g, n] · (sum over k in b of x[m, k] · code[k, n] + zero[g, n] · sum over k in b of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES·QUADS quads of y. All lanes walk all of k, SHARED_WORDS words of it at a time.
// A block is 32 k, or what a group has left; with HALF it has two groups.
//
// For software adapters, where every load costs as much as dozens of multiply-adds and lanes pass values round for almost nothing: each
// lane loads its share of these words of x, and all lanes get all of them from each other. Subgroups of 4 lanes share by
// lib/subgroup-4.wgsl, of 8 by lib/subgroup-8.wgsl; both have the same functions.
// Right for subgroups of WIDTH lanes, whichever lanes they are; where they turn out longer or shorter, y is made by the formula.
// Groups of whole SHARED_WORDS, or of half as many.

#param WIDTH 4 8 // lanes of a subgroup
#param HALF 0 1 // groups are: 0 whole blocks, or with WIDTH 4 any; 1 of 16 k, two in a block

#include "lib/rows.wgsl"
#include "lib/grid.wgsl"
#if WIDTH == 4
#include "lib/subgroup-4.wgsl"
#elif WIDTH == 8
#include "lib/subgroup-8.wgsl"
#else
#error WIDTH must be 4 or 8
#endif
#include "lib/subgroup-table.wgsl"

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

alias Loaded = array<Columned, LOADS>;

// One word of weights: all loads before any is unpacked. A high word is loaded once for its low words, or where they begin.
fn load_words(words: ptr<function, Loaded>, places: ptr<function, Places>, word: u32, begins: bool) {
#if HIGH
  if (begins || word % HIGH_WORDS == 0u) {
#repeat i LOADS
    (*words)[i].high = w[w_row(high_row(word)) + (*places)[i]];
#end
  }
#repeat i LOADS
  (*words)[i].low = w[w_row(low_row(word)) + (*places)[i]];
  (*words)[i].shift = high_shift(word);
#end
#else
#repeat i LOADS
  (*words)[i] = read_columns(word, (*places)[i]);
#end
#endif
}

// Unpacks it once for all rows; its x is word j of those that are shared.
fn mac_word(sum: ptr<function, Tile>, own: ptr<function, OwnRows>, words: Loaded, j: u32) {
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

// The sum over the lanes that hold a group's part of a block: all of the subgroup, or with HALF four lanes, the first or the last.
// (Software adapters make subgroupAdd() of loops over the lanes.)
fn over_lanes(own: f32, half: u32) -> f32 {
  let pairs = own + subgroupShuffleXor(own, 1u);
  let fours = pairs + subgroupShuffleXor(pairs, 2u);
#if WIDTH == 4
  return fours;
#elif WIDTH == 8 && HALF
  return subgroupShuffle(fours, 4u * half);
#elif WIDTH == 8
  return fours + subgroupShuffleXor(fours, 4u);
#else
#error WIDTH must be 4 or 8
#endif
}

fn sums_of(own: ptr<function, OwnRows>, half: u32) -> RowSums {
  var x_sum: RowSums;
#repeat r ROWS
  x_sum[r] = over_lanes((*own)[r].sum, half);
#end
  return x_sum;
}

fn forget_sums(own: ptr<function, OwnRows>) {
#repeat r ROWS
  (*own)[r].sum = 0.0;
#end
}

#if WIDTH == 8
const PART_WORDS = BLOCK_WORDS / (1u + HALF); // low words of a group in a block

// Words [begin, begin + PART_WORDS) of the block whose first word is `first`: those of a group.
struct GroupPart {
  first: u32,
  begin: u32,
  group: u32,
}

fn add_part(
  total: ptr<function, Tile>, own: ptr<function, OwnRows>, places: ptr<function, Places>, units: ptr<function, Units>, part: GroupPart, x_sum: RowSums,
) {
  var sum: Tile;
  var words: Loaded;
  begin_block(&sum, x_sum, part.group, places, units);
  for (var i = 0u; i < PART_WORDS; i++) {
    let j = part.begin + i;
    load_words(&words, places, min(part.first + j, params.words - 1u), i == 0u); // words past the end meet zeros of x
    mac_word(&sum, own, words, j);
  }
  end_block(total, &sum, true, x_sum, part.group, places, units);
}
#endif

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_id) local: vec3u,
  @builtin(subgroup_invocation_id) subgroup_lane: u32, @builtin(subgroup_size) subgroup_size: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  let lane = local.x;
  let rows = rows_of(tile / params.tiles_n, ROWS);
#if EXPERTS
  if (rows.begin >= rows.end) { return; }
#endif
  let tile_n = tile % params.tiles_n;
  var places = places_from(tile_n * LANES * LOADS + lane);
  var start = row_starts(rows);
  let seat = seat_of(subgroup_lane);
  load_values(subgroup_lane);

  var own: OwnRows;
  var sum: Tile;
  var total: Tile;
  var units: Units;
#if WIDTH == 4
  var current = first_block();
  while (is_within(current)) {
    load_units(&units, current.group, &places);
    var words: Loaded;
    for (var word = current.words.begin; word < current.words.end; word++) { // no loop over what is shared: SwiftShader unrolls none
      load_own(&own, &start, word, seat);
      load_words(&words, &places, word, word == current.words.begin);
      mac_word(&sum, &own, words, 0u);
    }
    end_block(&total, &sum, false, sums_of(&own, 0u), current.group, &places, &units);
    forget_sums(&own);
    current = next_block(current);
  }
#elif WIDTH == 8 && HALF
  for (var first = 0u; first < params.words; first += BLOCK_WORDS) {
    load_own(&own, &start, first, seat);
    let group = 2u * first / BLOCK_WORDS;
    load_units(&units, group, &places);
    for (var half = 0u; half < 2u; half++) {
      add_part(&total, &own, &places, &units, GroupPart(first, half * PART_WORDS, group + half), sums_of(&own, half));
    }
    forget_sums(&own);
  }
#elif WIDTH == 8
  var current = first_block();
  while (is_within(current)) {
    load_own(&own, &start, current.words.begin, seat); // a whole block
    load_units(&units, current.group, &places);
    add_part(&total, &own, &places, &units, GroupPart(current.words.begin, 0u, current.group), sums_of(&own, 0u));
    forget_sums(&own);
    current = next_block(current);
  }
#else
#error WIDTH must be 4 or 8
#endif
  write_shared(&total, rows, tile_n, lane, subgroup_lane, subgroup_size);
}
