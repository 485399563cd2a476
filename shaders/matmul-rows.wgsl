// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · code[k, n] + zero[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES·QUADS quads of y. A lane owns QUADS quads, LANES apart, so that neighbouring lanes read
// neighbouring 16 bytes of w. Each of the SLICES rows of lanes takes a contiguous part of k; the parts are added at the end.
//
// A word of weights is read and unpacked once for all ROWS; x is the same for all lanes of a slice. zero[g, n] = offset - ZERO, so
// offsets cost nothing in the inner loop. A sum that is not finite is made again by the formula: the group algebra makes NaN of some
// infinities. Operands: lib/operands.wgsl, y: lib/result.wgsl. Any m, n, k; groups of whole words.

#param ROWS 1 2 4 8 // rows of y in registers
#param QUADS 1 2 4 // quads of a lane
#param LANES 8 16 64 // lanes along n
#param SLICES 1 2 4 8 // parts of k
#param SUBGROUPS 0 1 // tell the compiler that a subgroup has one slice: it then reads x once for the subgroup

#if SUBGROUPS
enable subgroups;
#if LANES != 64
#error SUBGROUPS needs 64 LANES: a subgroup must not span two slices
#endif
#endif

#include "lib/operands.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/grid.wgsl"

// What a lane knows of one row of x.
struct XRow {
  start: u32, // vec4 index of its first k
  sum: f32, // sum of x over the group so far
  values: XWord, // the current word, ready for codes_in_place()
}
alias XRows = array<XRow, ROWS>;
alias Rows = array<vec4<f32>, ROWS>; // one quad of y in each row

#if SLICES > 1
// The sums of slices 1…, by quad, slice, row and lane.
var<workgroup> partial: array<vec4<f32>, QUADS * (SLICES - 1u) * ROWS * LANES>;
#endif

// The functions of the inner loop name every row: an array stays in registers everywhere only if all its indices are constants.

fn next_word(row: XRow, word: u32) -> XRow {
  let values = read_x_word(row.start, word);
  return XRow(row.start, row.sum + sum_word(values), x_in_place(values));
}

fn next_words(rows: ptr<function, XRows>, word: u32) {
  (*rows)[0] = next_word((*rows)[0], word);
#if ROWS > 1
  (*rows)[1] = next_word((*rows)[1], word);
#endif
#if ROWS > 2
  (*rows)[2] = next_word((*rows)[2], word);
  (*rows)[3] = next_word((*rows)[3], word);
#endif
#if ROWS > 4
  (*rows)[4] = next_word((*rows)[4], word);
  (*rows)[5] = next_word((*rows)[5], word);
  (*rows)[6] = next_word((*rows)[6], word);
  (*rows)[7] = next_word((*rows)[7], word);
#endif
}

fn mac_rows(sum: ptr<function, Rows>, rows: ptr<function, XRows>, word: u32, quad: u32) {
  let c = codes_in_place(w[word * params.w_pitch + quad]);
  (*sum)[0] = mac((*sum)[0], (*rows)[0].values, c);
#if ROWS > 1
  (*sum)[1] = mac((*sum)[1], (*rows)[1].values, c);
#endif
#if ROWS > 2
  (*sum)[2] = mac((*sum)[2], (*rows)[2].values, c);
  (*sum)[3] = mac((*sum)[3], (*rows)[3].values, c);
#endif
#if ROWS > 4
  (*sum)[4] = mac((*sum)[4], (*rows)[4].values, c);
  (*sum)[5] = mac((*sum)[5], (*rows)[5].values, c);
  (*sum)[6] = mac((*sum)[6], (*rows)[6].values, c);
  (*sum)[7] = mac((*sum)[7], (*rows)[7].values, c);
#endif
}

// total += scale · (sum + zero · sum of x), and sum starts anew.
fn end_group(total: ptr<function, Rows>, sum: ptr<function, Rows>, rows: ptr<function, XRows>, group: u32, quad: u32) {
  let s = read_scale(group, quad);
  let zero = read_zero(group, quad);
  for (var r = 0u; r < ROWS; r++) {
    (*total)[r] += s * ((*sum)[r] + zero * (*rows)[r].sum);
    (*sum)[r] = vec4<f32>(0.0);
  }
}

#if SLICES > 1
fn put_partial(total: ptr<function, Rows>, q: u32, slice: u32, lane: u32) {
  let at = (q * (SLICES - 1u) + slice - 1u) * ROWS * LANES + lane;
  for (var r = 0u; r < ROWS; r++) {
    partial[at + r * LANES] = (*total)[r];
  }
}

fn add_partials(total: ptr<function, Rows>, q: u32, lane: u32) {
  for (var slice = 1u; slice < SLICES; slice++) {
    let at = (q * (SLICES - 1u) + slice - 1u) * ROWS * LANES + lane;
    for (var r = 0u; r < ROWS; r++) {
      (*total)[r] += partial[at + r * LANES];
    }
  }
}
#endif

// Writes a quad of every row; bit r of the answer says that row r is not finite.
fn write_rows(total: ptr<function, Rows>, m: u32, quad: u32) -> u32 {
  var bad = 0u;
  for (var r = 0u; r < ROWS; r++) {
    if (m + r < params.m && 4u * quad < params.n) {
      write_quad(m + r, quad, (*total)[r]);
      bad |= u32(any_nonfinite((*total)[r])) << r;
    }
  }
  return bad;
}

@compute @workgroup_size(LANES, SLICES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) {
    return;
  }
#if SUBGROUPS
  let slice = subgroupBroadcastFirst(lane.y);
#else
  let slice = lane.y;
#endif
  let m = (tile / params.tiles_n) * ROWS;
  let first_quad = (tile % params.tiles_n) * LANES * QUADS + lane.x;
  let last_quad = params.w_pitch - 1u; // quads past the end repeat it and are not written

  var rows: XRows;
  for (var r = 0u; r < ROWS; r++) { // rows past the end repeat the last one and are not written
    rows[r].start = params.x_base + min(m + r, params.m - 1u) * params.x_pitch;
  }
  let quad_0 = min(first_quad, last_quad);
  var sum_0: Rows;
  var total_0: Rows;
#if QUADS > 1
  let quad_1 = min(first_quad + LANES, last_quad);
  var sum_1: Rows;
  var total_1: Rows;
#endif
#if QUADS > 2
  let quad_2 = min(first_quad + 2u * LANES, last_quad);
  let quad_3 = min(first_quad + 3u * LANES, last_quad);
  var sum_2: Rows;
  var sum_3: Rows;
  var total_2: Rows;
  var total_3: Rows;
#endif

  let slice_words = (params.words + SLICES - 1u) / SLICES;
  let begin = min(slice * slice_words, params.words);
  let end = min(begin + slice_words, params.words);
  let groups_end = (end + params.group_words - 1u) / params.group_words;
  for (var group = begin / params.group_words; group < groups_end; group++) {
    let first = max(begin, group * params.group_words);
    let count = min(end, (group + 1u) * params.group_words) - first;
    for (var i = 0u; i < count; i++) {
      next_words(&rows, first + i);
      mac_rows(&sum_0, &rows, first + i, quad_0);
#if QUADS > 1
      mac_rows(&sum_1, &rows, first + i, quad_1);
#endif
#if QUADS > 2
      mac_rows(&sum_2, &rows, first + i, quad_2);
      mac_rows(&sum_3, &rows, first + i, quad_3);
#endif
    }
    end_group(&total_0, &sum_0, &rows, group, quad_0);
#if QUADS > 1
    end_group(&total_1, &sum_1, &rows, group, quad_1);
#endif
#if QUADS > 2
    end_group(&total_2, &sum_2, &rows, group, quad_2);
    end_group(&total_3, &sum_3, &rows, group, quad_3);
#endif
    for (var r = 0u; r < ROWS; r++) {
      rows[r].sum = 0.0;
    }
  }

#if SLICES > 1
  if (slice > 0u) {
    put_partial(&total_0, 0u, slice, lane.x);
#if QUADS > 1
    put_partial(&total_1, 1u, slice, lane.x);
#endif
#if QUADS > 2
    put_partial(&total_2, 2u, slice, lane.x);
    put_partial(&total_3, 3u, slice, lane.x);
#endif
  }
  workgroupBarrier(); // all slices have put their sums before slice 0 adds them
  if (slice > 0u) {
    return;
  }
  add_partials(&total_0, 0u, lane.x);
#if QUADS > 1
  add_partials(&total_1, 1u, lane.x);
#endif
#if QUADS > 2
  add_partials(&total_2, 2u, lane.x);
  add_partials(&total_3, 3u, lane.x);
#endif
#endif

  var bad = write_rows(&total_0, m, first_quad);
#if QUADS > 1
  bad |= write_rows(&total_1, m, first_quad + LANES) << ROWS;
#endif
#if QUADS > 2
  bad |= write_rows(&total_2, m, first_quad + 2u * LANES) << (2u * ROWS);
  bad |= write_rows(&total_3, m, first_quad + 3u * LANES) << (3u * ROWS);
#endif
  while (bad != 0u) {
    let i = firstTrailingBit(bad);
    bad &= bad - 1u;
    let row = m + i % ROWS;
    let quad = first_quad + (i / ROWS) * LANES;
    write_quad(row, quad, formula(row, quad));
  }
}
