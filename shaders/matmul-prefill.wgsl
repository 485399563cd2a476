// y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n], W[k, n] = scale[g, n] · code[k, n] + scale[g, n] · zero[g, n] or minimum[g, n]
// A workgroup makes ROWS rows × LANES quads of y, or a part of their sums over k; a lane makes ROWS rows of one quad.
//
// For many rows of x on a GPU, without workgroup memory and barriers: each word of weights becomes floats once for all ROWS rows, and x is
// read at addresses that are the same for all lanes, so that it can lie in scalar registers. Weights are dequantized before they meet x:
// one more operation a weight, but half the registers of summing codes first.

#param LANES 64 // lanes along n

#include "lib/lane.wgsl"
#include "lib/scale.wgsl"
#include "lib/splits.wgsl"
#include "lib/finish-rows.wgsl"
#include "lib/grid.wgsl"

fn mac_word(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, words: Quad, affine: Fused) {
  let planes = planes_of(words);
  var x_rows: XRows;
#repeat q CODES / 4
  read_x_rows(&x_rows, start, word * WORD_VEC4S + q);
#repeat i 4
  mac_code(sum, &x_rows, i, weight_of(planes, 4u * q + i, affine));
#end
#end
}

// What makes weights of codes: scale, and what is added, with BIAS taken out, for even and for odd k. Rounded weights are made step by step.
struct Fused {
  scale: vec4<f32>,
  even: vec4<f32>,
  odd: vec4<f32>,
}

fn fuse(affine: Affine) -> Fused {
  let s = affine.scale;
  let zero = affine.zero;
#if CODEBOOK
  return Fused(in_units(s), zero, zero);
#elif ROUND
  return Fused(s, zero, zero);
#elif OFFSET == 2
  return Fused(s, zero - s * BIAS.x, zero - s * BIAS.y);
#elif OFFSET != 2
  return Fused(s, s * (zero - vec4<f32>(BIAS.x)), s * (zero - vec4<f32>(BIAS.y)));
#endif
}

fn weight_of(planes: Planes, i: u32, affine: Fused) -> vec4<f32> {
#if CODEBOOK
  return rounded(affine.scale * code_of(planes, i));
#elif ROUND
  return weight_of_value(code_of(planes, i) - select(BIAS.y, BIAS.x, i % 2u == 0u), affine.scale, affine.even);
#else
  return fma(affine.scale, code_of(planes, i), select(affine.odd, affine.even, i % 2u == 0u));
#endif
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_id) lane: vec3u) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  let place = place_of(tile, ROWS);
  let own_quad = place.tile_n * LANES + lane.x;
  let quad = min(own_quad, (params.n - 1u) / 4u); // past the end the last one again, not written
#if EXPERTS
  if (place.rows.begin >= place.rows.end) { return; }
#endif
  var start = row_starts(place.rows);
  var sum: Rows;

  let groups = groups_end(place.run);
  for (var group = place.run.begin / params.group_words; group < groups; group++) {
    let words = words_in(place.run, group);
    let affine = fuse(read_affine(group, quad));
    let count = words.end - words.begin;
    for (var i = 0u; i < count; i++) { // from 0: one instruction less than from words.begin
      mac_word(&sum, &start, words.begin + i, read_quad(words.begin + i, quad), affine);
    }
  }
  if (4u * own_quad >= params.n) { return; }
  finish_rows(&sum, place, quad);
}
