// y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n], W[k, n] = scale[g, n] · code[k, n] + scale[g, n] · zero[g, n] or minimum[g, n]
// A workgroup makes ROWS rows × LANES quads of y, or a part of their sums over k; a lane makes ROWS rows of one quad.
//
// For many rows of x on a GPU, without workgroup memory and barriers: each word of weights becomes floats once for all ROWS rows, and x is
// read at addresses that are the same for all lanes, so that it can lie in scalar registers. Weights are dequantized before they meet x:
// one more operation a weight, but half the registers of summing codes first. Where rows and columns are too few to fill the device,
// several workgroups take parts of k, and round-rows adds their sums.
// Operands: lib/operands.wgsl, y: lib/result.wgsl, codes: lib/lane.wgsl. Any m, n, k; groups of whole words.

#param LANES 64 // lanes along n

#include "lib/lane.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/grid.wgsl"
#include "lib/blocks.wgsl"

// What makes weights of codes: scale, and what is added, with BIAS taken out, for even and for odd k.
struct Affine {
  scale: vec4<f32>,
  even: vec4<f32>,
  odd: vec4<f32>,
}

fn affine_of(s: vec4<f32>, zero: vec4<f32>) -> Affine {
#if OFFSET == 2
  return Affine(s, zero - s * BIAS.x, zero - s * BIAS.y);
#else
  return Affine(s, s * (zero - vec4<f32>(BIAS.x)), s * (zero - vec4<f32>(BIAS.y)));
#endif
}

fn weight_of(planes: Planes, i: u32, affine: Affine) -> vec4<f32> {
  return fma(affine.scale, code_of(planes, i), select(affine.odd, affine.even, i % 2u == 0u));
}

fn mac_word(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, words: vec4<u32>, affine: Affine) {
  let planes = planes_of(words);
  var x_rows: XRows;
  read_x_rows(&x_rows, start, word * WORD_QUADS);
  mac_code(sum, &x_rows, 0u, weight_of(planes, 0u, affine));
  mac_code(sum, &x_rows, 1u, weight_of(planes, 1u, affine));
  mac_code(sum, &x_rows, 2u, weight_of(planes, 2u, affine));
  mac_code(sum, &x_rows, 3u, weight_of(planes, 3u, affine));
#if BITS == 4
  read_x_rows(&x_rows, start, word * WORD_QUADS + 1u);
  mac_code(sum, &x_rows, 0u, weight_of(planes, 4u, affine));
  mac_code(sum, &x_rows, 1u, weight_of(planes, 5u, affine));
  mac_code(sum, &x_rows, 2u, weight_of(planes, 6u, affine));
  mac_code(sum, &x_rows, 3u, weight_of(planes, 7u, affine));
#endif
}

// Every row takes the place of the one before it.
fn shift_rows(sum: ptr<function, Rows>) {
  (*sum)[0] = (*sum)[1];
  (*sum)[1] = (*sum)[2];
  (*sum)[2] = (*sum)[3];
#if ROWS > 4
  (*sum)[3] = (*sum)[4];
  (*sum)[4] = (*sum)[5];
  (*sum)[5] = (*sum)[6];
  (*sum)[6] = (*sum)[7];
#endif
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
  let place = place_of(tile, ROWS);
  let m = place.m;
  let own_quad = place.tile_n * LANES + lane.x;
  let quad = min(own_quad, (params.n - 1u) / 4u); // past the end the last one again, not written
  let run = run_at(place.split, place.splits);
  var start = row_starts(m);
  var sum: Rows;

  let groups = groups_end(run);
  for (var group = run.begin / params.group_words; group < groups; group++) {
    let begin = max(run.begin, group * params.group_words);
    let count = min(run.end, (group + 1u) * params.group_words) - begin;
    let affine = affine_of(read_scale(group, quad), read_zero(group, quad));
    for (var i = 0u; i < count; i++) {
      mac_word(&sum, &start, begin + i, w[(begin + i) * params.w_pitch + quad], affine);
    }
  }

  if (4u * own_quad >= params.n) {
    return;
  }
  // A loop that compilers cannot unroll: rounding all rows at once would take more registers than summing them.
  let rows = min(ROWS, params.m - m);
  for (var r = 0u; r < rows; r++) {
    var row_sum = sum[0];
    if (any_nonfinite(row_sum)) { // scale · code + scale · zero makes NaN of an infinite scale
      row_sum = formula_of(m + r, quad, run.begin, run.end);
    }
    write_split(place.split, m + r, quad, row_sum);
    shift_rows(&sum);
  }
}
