// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · code[k, n] + zero[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES·QUADS quads of y. All lanes walk all of k, a word at a time.
//
// For software adapters without subgroups: every lane reads x from storage, and no lane waits for another. The tile in registers:
// lib/rows.wgsl. Operands: lib/operands.wgsl, y: lib/result.wgsl. Any m, n, k; groups of whole words.

#include "lib/rows.wgsl"
#include "lib/grid.wgsl"

#if READ != 4
#error matmul-rows writes whole quads: READ must be 4
#endif

// One word of k: weights read and unpacked once for all rows, each load just before its use: words that wait for others fill registers.
fn mac_word(sum: ptr<function, Tile>, x_sum: ptr<function, RowSums>, start: ptr<function, RowStarts>, places: ptr<function, Places>, word: u32) {
  var x_words: array<XWord, ROWS>;
#repeat r ROWS
  let x_word = read_x_word((*start)[r], word);
  (*x_sum)[r] += sum_word(x_word);
  x_words[r] = x_in_place(x_word);
#end
  let row = word * params.w_pitch;
#repeat i LOADS
  let codes = codes_in_place(w[row + (*places)[i]]);
#repeat r ROWS
  (*sum)[r][i] = mac((*sum)[r][i], x_words[r], codes);
#end
#end
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) {
    return;
  }
  let m = (tile / params.tiles_n) * ROWS;
  let first_quad = (tile % params.tiles_n) * LANES * QUADS + lane.x;
  var places = places_from(first_quad);
  var start = row_starts(m);

  var x_sum: RowSums;
  var sum: Tile;
  var total: Tile;
  let groups = (params.words + params.group_words - 1u) / params.group_words;
  for (var group = 0u; group < groups; group++) {
    let begin = group * params.group_words;
    let end = min(begin + params.group_words, params.words);
    for (var word = begin; word < end; word++) {
      mac_word(&sum, &x_sum, &start, &places, word);
    }
    end_group(&total, &sum, x_sum, group, &places);
    x_sum = RowSums();
  }

  var quads: Quads;
#repeat r ROWS
#repeat q LOADS
  quads[ROWS * q + r] = total[r][q];
#end
#end
  write_quads(&quads, true, m, first_quad);
}
