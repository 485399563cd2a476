// A tile of y in registers: ROWS rows × LOADS·READ columns of a lane, summed group by group. Shared by the kernels of software adapters,
// which differ in where x comes from: matmul-rows (storage) and matmul-subgroup (the other lanes of a subgroup).
//
// A register holds what one load of w brings: a quad (READ 4) or a column (READ 1).

#include "lib/row-starts.wgsl"
#include "lib/scale.wgsl"
#include "lib/in-place.wgsl"
#include "lib/finish.wgsl"

#param LOADS 2 4 16 // registers in a row: loads of w in a word of k
#param LANES 8 16 // lanes along n; what a lane loads is LANES apart, so that neighbours read neighbouring words of w

const QUADS = LOADS * READ / 4u; // quads of y that a lane writes, in each row

alias Tile = array<array<Columns, LOADS>, ROWS>;
alias RowSums = array<f32, ROWS>; // sum of x over the group, in each row
alias Quads = array<vec4<f32>, ROWS * QUADS>; // what a lane writes: quad q of row r at ROWS · q + r; quads are LANES apart
alias Places = array<u32, LOADS>; // where a lane loads in a row of w, in READ columns

// Columns past the end repeat the last ones and are not written.
fn places_from(first: u32) -> Places {
  var places: Places;
#repeat i LOADS
  places[i] = min(first + i * LANES, params.w_pitch * (4u / READ) - 1u);
#end
  return places;
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

// Writes those of a lane's quads that lie in y. Those that are not `right` are made by the formula.
fn write_quads(quads: ptr<function, Quads>, right: bool, m: u32, first_quad: u32) {
  for (var i = 0u; i < ROWS * QUADS; i++) {
    let row = m + i % ROWS;
    let quad = first_quad + (i / ROWS) * LANES;
    if (row < params.m && 4u * quad < params.n) {
      var sum = (*quads)[i];
      if (!right || any_nonfinite(sum)) { // as in finish_quad(), in one branch
        sum = formula(row, quad);
      }
      write_quad(row, quad, sum);
    }
  }
}

#if READ == 4
// Writes a tile whose registers are quads.
fn write_tile(total: ptr<function, Tile>, right: bool, m: u32, first_quad: u32) {
  var quads: Quads;
#repeat r ROWS
#repeat q LOADS
  quads[ROWS * q + r] = (*total)[r][q];
#end
#end
  write_quads(&quads, right, m, first_quad);
}
#endif
