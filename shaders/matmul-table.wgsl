// y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n], W[k, n] = scale[g, n] · table[code[k, n]]
// A workgroup makes ROWS rows × LANES quads of y, or a part of their sums over k; a lane makes ROWS rows of one quad.
//
// For weights whose codes are indices, and few rows of x: each word is looked up and scaled once for all ROWS rows, and x is read at
// addresses that are the same for all lanes, so that it can lie in scalar registers. Where rows and columns are too few to fill the
// device, several workgroups take parts of k, and round-rows adds their sums.
// Operands: lib/operands.wgsl, table: lib/table.wgsl, y: lib/result.wgsl. Any m, n, k; groups of whole words.

#param LANES 64 // lanes along n

#include "lib/lane.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/grid.wgsl"
#include "lib/blocks.wgsl"

#if !TABLE || TRICK
#error matmul-table looks codes up: TABLE must be 1, and TRICK is for numbers
#endif

fn mac_word(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, words: vec4<u32>, s: vec4<f32>) {
  var x_rows: XRows;
#repeat q 2
  read_x_rows(&x_rows, start, word * WORD_QUADS + q);
#repeat i 4
  mac_code(sum, &x_rows, i, value(words, 4u * q + i) * s);
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
  fill_table(lane.x);
  let place = place_of(tile, ROWS);
  let m = place.m;
  let quad = place.tile_n * LANES + lane.x;
  if (4u * quad >= params.n) {
    return;
  }
  let run = run_at(place.split, place.splits);
  var start = row_starts(m);
  var sum: Rows;
  let groups = groups_end(run);
  for (var group = run.begin / params.group_words; group < groups; group++) {
    let begin = max(run.begin, group * params.group_words);
    let count = min(run.end, (group + 1u) * params.group_words) - begin;
    let s = read_scale(group, quad);
    for (var i = 0u; i < count; i++) {
      mac_word(&sum, &start, begin + i, w[(begin + i) * params.w_pitch + quad], s);
    }
  }

  // A loop that compilers cannot unroll, as in matmul-prefill.
  let rows = min(ROWS, params.m - m);
  for (var r = 0u; r < rows; r++) {
    var row_sum = sum[0];
#repeat i ROWS
    row_sum = select(row_sum, sum[i], r == i);
#end
    if (any_nonfinite(row_sum)) { // the zeros of x past the last k may have met an infinite scale
      row_sum = formula_of(m + r, quad, run.begin, run.end);
    }
    write_split(place.split, m + r, quad, row_sum);
  }
}
