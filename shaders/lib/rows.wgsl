// A tile of y in registers: ROWS rows × LOADS·READ columns of a lane, summed group by group. Shared by the kernels of software adapters,
// which differ in where x comes from: matmul-rows (storage) and matmul-subgroup (the other lanes of a subgroup).
//
// A register holds what one load of w brings: a quad (READ 4) or a column (READ 1). Indices into arrays of the inner loop are
// constants, since an array stays in registers everywhere only then.

#include "lib/operands.wgsl"
#include "lib/in-place.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"

#param ROWS 1 2 4 8 // rows of y in registers
#param LOADS 2 4 16 // registers in a row: loads of w in a word of k
#param LANES 8 16 // lanes along n; what a lane loads is LANES apart, so that neighbours read neighbouring words of w

const QUADS = LOADS * READ / 4u; // quads of y that a lane writes, in each row

alias Tile = array<array<Columns, LOADS>, ROWS>;
alias RowSums = array<f32, ROWS>; // sum of x over the group, in each row
alias RowStarts = array<u32, ROWS>; // vec4 index of the first x, in each row
alias Quads = array<vec4<f32>, ROWS * QUADS>; // what a lane writes: quad q of row r at ROWS · q + r; quads are LANES apart
alias Places = array<u32, LOADS>; // where a lane loads in a row of w, in READ columns

// Rows past the end repeat the last one and are not written.
fn row_starts(m: u32) -> RowStarts {
  var start: RowStarts;
#repeat r ROWS
  start[r] = params.x_base + min(m + r, params.m - 1u) * params.x_pitch;
#end
  return start;
}

// Columns past the end repeat the last ones and are not written.
fn places_from(first: u32) -> Places {
  var places: Places;
#repeat i LOADS
  places[i] = min(first + i * LANES, params.w_pitch * (4u / READ) - 1u);
#end
  return places;
}

// A word of k, in all registers of a row. matmul-subgroup loads all of it before it unpacks any; matmul-rows, whose x comes by loads too,
// is faster with each load just before its use.
fn load_words(places: ptr<function, Places>, word: u32) -> array<Words, LOADS> {
  let row = word * params.w_pitch * (4u / READ);
  var words: array<Words, LOADS>;
#repeat i LOADS
  words[i] = w[row + (*places)[i]];
#end
  return words;
}

// total += what the group adds, and sum starts anew.
fn end_group(total: ptr<function, Tile>, sum: ptr<function, Tile>, x_sum: RowSums, group: u32, places: ptr<function, Places>) {
#repeat i LOADS
  let s = scale_at(group, (*places)[i]);
  let zero = zero_at(group, (*places)[i]);
#repeat r ROWS
  (*total)[r][i] += group_sum((*sum)[r][i], x_sum[r], s, zero);
  (*sum)[r][i] = Columns();
#end
#end
}

// Writes those of a lane's quads that lie in y. What is not `right` or not finite is made again by the formula: the group algebra makes NaN
// of some infinities.
fn write_quads(quads: ptr<function, Quads>, right: bool, m: u32, first_quad: u32) {
  for (var i = 0u; i < ROWS * QUADS; i++) {
    let row = m + i % ROWS;
    let quad = first_quad + (i / ROWS) * LANES;
    if (row < params.m && 4u * quad < params.n) {
      var sum = (*quads)[i];
      if (!right || any_nonfinite(sum)) {
        sum = formula(row, quad);
      }
      write_quad(row, quad, sum);
    }
  }
}
