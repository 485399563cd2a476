// A tile of y in registers: ROWS rows × QUADS quads of a lane, summed group by group. Shared by the kernels that differ in where x
// comes from: matmul-rows (storage) and matmul-subgroup (the other lanes of a subgroup).
//
// Four quads are always declared; those past QUADS are never touched, and compilers drop them. Functions of the inner loop name every
// row: an array stays in registers everywhere only if all its indices are constants.

#include "lib/operands.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"

#param ROWS 1 2 4 8 // rows of y in registers
#param QUADS 1 2 4 // quads of a lane
#param LANES 8 16 64 // lanes along n; a lane's quads are LANES apart, so that neighbours read neighbouring 16 bytes of w

alias Rows = array<vec4<f32>, ROWS>; // one quad of y in each row
alias XRows = array<XWord, ROWS>; // one word of x in each row, as x_in_place() leaves it
alias RowSums = array<f32, ROWS>; // sum of x over the group, in each row
alias RowStarts = array<u32, ROWS>; // vec4 index of the first x, in each row

// Rows past the end repeat the last one and are not written.
fn row_starts(m: u32) -> RowStarts {
  var start: RowStarts;
  for (var r = 0u; r < ROWS; r++) {
    start[r] = params.x_base + min(m + r, params.m - 1u) * params.x_pitch;
  }
  return start;
}

// The quads of a lane; those past the end repeat the last one and are not written.
fn lane_quads(first: u32) -> vec4<u32> {
  return min(vec4<u32>(first) + LANES * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.w_pitch - 1u));
}

// Adds a word of x to the sums of x, and makes it ready for codes_in_place().
fn take_word(x_rows: ptr<function, XRows>, x_sum: ptr<function, RowSums>) {
  (*x_sum)[0] += sum_word((*x_rows)[0]);
  (*x_rows)[0] = x_in_place((*x_rows)[0]);
#if ROWS > 1
  (*x_sum)[1] += sum_word((*x_rows)[1]);
  (*x_rows)[1] = x_in_place((*x_rows)[1]);
#endif
#if ROWS > 2
  (*x_sum)[2] += sum_word((*x_rows)[2]);
  (*x_rows)[2] = x_in_place((*x_rows)[2]);
  (*x_sum)[3] += sum_word((*x_rows)[3]);
  (*x_rows)[3] = x_in_place((*x_rows)[3]);
#endif
#if ROWS > 4
  (*x_sum)[4] += sum_word((*x_rows)[4]);
  (*x_rows)[4] = x_in_place((*x_rows)[4]);
  (*x_sum)[5] += sum_word((*x_rows)[5]);
  (*x_rows)[5] = x_in_place((*x_rows)[5]);
  (*x_sum)[6] += sum_word((*x_rows)[6]);
  (*x_rows)[6] = x_in_place((*x_rows)[6]);
  (*x_sum)[7] += sum_word((*x_rows)[7]);
  (*x_rows)[7] = x_in_place((*x_rows)[7]);
#endif
}

fn mac_rows(sum: ptr<function, Rows>, x_rows: ptr<function, XRows>, word: u32, quad: u32) {
  let c = codes_in_place(w[word * params.w_pitch + quad]);
  (*sum)[0] = mac((*sum)[0], (*x_rows)[0], c);
#if ROWS > 1
  (*sum)[1] = mac((*sum)[1], (*x_rows)[1], c);
#endif
#if ROWS > 2
  (*sum)[2] = mac((*sum)[2], (*x_rows)[2], c);
  (*sum)[3] = mac((*sum)[3], (*x_rows)[3], c);
#endif
#if ROWS > 4
  (*sum)[4] = mac((*sum)[4], (*x_rows)[4], c);
  (*sum)[5] = mac((*sum)[5], (*x_rows)[5], c);
  (*sum)[6] = mac((*sum)[6], (*x_rows)[6], c);
  (*sum)[7] = mac((*sum)[7], (*x_rows)[7], c);
#endif
}

// One word of weights in every quad: read and unpacked once for all rows.
fn mac_quads(
  sum_0: ptr<function, Rows>,
  sum_1: ptr<function, Rows>,
  sum_2: ptr<function, Rows>,
  sum_3: ptr<function, Rows>,
  x_rows: ptr<function, XRows>,
  word: u32,
  quads: vec4<u32>,
) {
  mac_rows(sum_0, x_rows, word, quads.x);
#if QUADS > 1
  mac_rows(sum_1, x_rows, word, quads.y);
#endif
#if QUADS > 2
  mac_rows(sum_2, x_rows, word, quads.z);
  mac_rows(sum_3, x_rows, word, quads.w);
#endif
}

// total += scale · (sum + zero · sum of x), and sum starts anew. zero = offset - ZERO: offsets cost nothing in the inner loop.
fn end_group(total: ptr<function, Rows>, sum: ptr<function, Rows>, x_sum: ptr<function, RowSums>, group: u32, quad: u32) {
  let s = read_scale(group, quad);
  let zero = read_zero(group, quad);
  for (var r = 0u; r < ROWS; r++) {
    (*total)[r] += s * ((*sum)[r] + zero * (*x_sum)[r]);
    (*sum)[r] = vec4<f32>(0.0);
  }
}

// Ends a group in every quad, and the sums of x with it.
fn end_groups(
  total_0: ptr<function, Rows>,
  total_1: ptr<function, Rows>,
  total_2: ptr<function, Rows>,
  total_3: ptr<function, Rows>,
  sum_0: ptr<function, Rows>,
  sum_1: ptr<function, Rows>,
  sum_2: ptr<function, Rows>,
  sum_3: ptr<function, Rows>,
  x_sum: ptr<function, RowSums>,
  group: u32,
  quads: vec4<u32>,
) {
  end_group(total_0, sum_0, x_sum, group, quads.x);
#if QUADS > 1
  end_group(total_1, sum_1, x_sum, group, quads.y);
#endif
#if QUADS > 2
  end_group(total_2, sum_2, x_sum, group, quads.z);
  end_group(total_3, sum_3, x_sum, group, quads.w);
#endif
  for (var r = 0u; r < ROWS; r++) {
    (*x_sum)[r] = 0.0;
  }
}

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

// Makes the quads of `bad` again by the formula: bit ROWS · q + r is quad q of row r. The group algebra makes NaN of some infinities.
fn repair(bad_quads: u32, m: u32, first_quad: u32) {
  var bad = bad_quads;
  while (bad != 0u) {
    let i = firstTrailingBit(bad);
    bad &= bad - 1u;
    let row = m + i % ROWS;
    let quad = first_quad + (i / ROWS) * LANES;
    if (row < params.m && 4u * quad < params.n) {
      write_quad(row, quad, formula(row, quad));
    }
  }
}

fn write_tile(
  total_0: ptr<function, Rows>,
  total_1: ptr<function, Rows>,
  total_2: ptr<function, Rows>,
  total_3: ptr<function, Rows>,
  m: u32,
  first_quad: u32,
) {
  var bad = write_rows(total_0, m, first_quad);
#if QUADS > 1
  bad |= write_rows(total_1, m, first_quad + LANES) << ROWS;
#endif
#if QUADS > 2
  bad |= write_rows(total_2, m, first_quad + 2u * LANES) << (2u * ROWS);
  bad |= write_rows(total_3, m, first_quad + 3u * LANES) << (3u * ROWS);
#endif
  repair(bad, m, first_quad);
}
