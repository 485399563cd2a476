// y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n], W[k, n] = scale[g, n] · codebook[code[k, n]]
// A workgroup makes ROWS rows × LANES quads of y, or a part of their sums over k; a lane makes ROWS rows of one quad.
//
// For weights whose codes are indices of a table, and some rows of x: each word is looked up and scaled once for all ROWS rows, and x is
// read at addresses that are the same for all lanes, so that it can lie in scalar registers.

#param LANES 64 // lanes along n

#include "lib/lane.wgsl"
#include "lib/scale.wgsl"
#include "lib/splits.wgsl"
#include "lib/finish-rows.wgsl"
#include "lib/grid.wgsl"

#if !TABLE || TRICK
#error matmul-codebook looks codes up: CODEBOOK must be 1, and TRICK is for numbers
#endif

fn mac_word(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, words: Quad, s: vec4<f32>) {
  var x_rows: XRows;
#repeat q CODES / 4
  read_x_rows(&x_rows, start, word * WORD_VEC4S + q);
#repeat i 4
  mac_code(sum, &x_rows, i, weight_of_value(looked_up(words, 4u * q + i), s, vec4<f32>(0.0)));
#end
#end
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_id) lane: vec3u) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  load_table(lane.x);
  let place = place_of(tile, ROWS);
  let quad = place.tile_n * LANES + lane.x;
  if (place.rows.begin >= place.rows.end || 4u * quad >= params.n) { return; }
  var start = row_starts(place.rows);
  var sum: Rows;
  let groups = groups_end(place.run);
  for (var group = place.run.begin / params.group_words; group < groups; group++) {
    let words = words_in(place.run, group);
    let s = scale_at(group, quad, unit_at(group, quad));
    for (var word = words.begin; word < words.end; word++) {
      mac_word(&sum, &start, word, read_quad(word, quad), s);
    }
  }
  finish_rows(&sum, place, quad);
}
