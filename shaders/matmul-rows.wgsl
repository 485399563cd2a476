// y[m, n] = sum over blocks b of scale[g, n] · (sum over k in b of x[m, k] · code[k, n] + zero[g, n] · sum over k in b of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES·QUADS quads of y. All lanes walk all of k, a word at a time. A block is 32 k, or what a group has left.
//
// For software adapters without subgroups: every lane reads x from storage, and no lane waits for another.

#include "lib/rows.wgsl"
#include "lib/grid.wgsl"

#if READ != 4
#error matmul-rows writes whole quads: READ must be 4
#endif

#if E2M1
fn value_of(word: u32) -> f32 { return twice_e2m1(word); }
#endif

// One word of k: weights read and unpacked once for all rows, each load just before its use, as words that wait for others fill registers.
fn mac_word(sum: ptr<function, Tile>, x_sum: ptr<function, RowSums>, start: ptr<function, RowStarts>, places: ptr<function, Places>, word: u32) {
  var x_words: array<XWord, ROWS>;
#repeat r ROWS
  let x_word = read_x_word((*start)[r], word);
  (*x_sum)[r] += sum_word(x_word);
  x_words[r] = x_in_place(x_word);
#end
#repeat i LOADS
  let codes = codes_in_place(read_columns(word, (*places)[i]));
#repeat r ROWS
  (*sum)[r][i] = mac((*sum)[r][i], x_words[r], codes);
#end
#end
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  let rows = rows_of(tile / params.tiles_n, ROWS);
#if EXPERTS
  if (rows.begin >= rows.end) { return; }
#endif
  let first_quad = (tile % params.tiles_n) * LANES * QUADS + lane;
  var places = places_from(first_quad);
  var start = row_starts(rows);

  var x_sum: RowSums;
  var sum: Tile;
  var total: Tile;
  var units: Units;
  var current = first_block();
  while (is_within(current)) {
    load_units(&units, current.group, &places);
    for (var word = current.words.begin; word < current.words.end; word++) {
      mac_word(&sum, &x_sum, &start, &places, word);
    }
    end_block(&total, &sum, false, x_sum, current.group, &places, &units);
    x_sum = RowSums();
    current = next_block(current);
  }
  write_tile(&total, true, rows, first_quad);
}
