// A tile of y in registers: ROWS rows × LOADS·READ columns of a lane, summed block by block. Shared by the kernels of software adapters,
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
alias RowSums = array<f32, ROWS>; // sum of x over the block, in each row
alias Quads = array<vec4<f32>, ROWS * QUADS>; // what a lane writes: quad q of row r at ROWS · q + r; quads are LANES apart
alias Units = array<Unit, LOADS>; // of the scales of what it loads
alias Places = array<u32, LOADS>; // where a lane loads in a row of w, in READ columns

// Columns past the end repeat the last ones and are not written.
fn places_from(first: u32) -> Places {
  var places: Places;
#repeat i LOADS
  places[i] = min(first + i * LANES, params.w_pitch * (4u / READ) - 1u);
#end
  return places;
}

// A block: 32 k of a group, or what is left of it.
struct Block {
  words: Run,
  group: u32,
  group_end: u32, // the word after the group
}

fn block_at(begin: u32, group: u32, group_end: u32) -> Block {
  return Block(Run(begin, min(begin + BLOCK_WORDS, group_end)), group, group_end);
}

fn first_block() -> Block {
  return block_at(0u, 0u, min(params.group_words, params.words));
}

// Is it one, or past the last?
fn is_within(b: Block) -> bool {
  return b.words.begin < params.words;
}

fn next_block(b: Block) -> Block {
  let ends = b.words.end == b.group_end;
  let group_end = select(b.group_end, min(b.group_end + params.group_words, params.words), ends);
  return block_at(b.words.end, b.group + u32(ends), group_end);
}

// Loads the units of a group, where it is the first of them.
fn load_units(units: ptr<function, Units>, group: u32, places: ptr<function, Places>) {
#if UNITS || ONE_UNIT
  if (begins_unit(group)) {
#repeat i LOADS
    (*units)[i] = unit_at(group, (*places)[i]);
#end
  }
#endif
}

// Begins the sums of a block whose sum of x is known.
fn begin_block(sum: ptr<function, Tile>, x_sum: RowSums, group: u32, places: ptr<function, Places>, units: ptr<function, Units>) {
#repeat i LOADS
  let zero = zero_at(group, (*places)[i], (*units)[i]);
#repeat r ROWS
  (*sum)[r][i] = first_sum(x_sum[r], zero);
#end
#end
}

// total += what the block adds, and sum starts anew. Has it `begun` so?
fn end_block(
  total: ptr<function, Tile>, sum: ptr<function, Tile>, begun: bool,
  x_sum: RowSums, group: u32, places: ptr<function, Places>, units: ptr<function, Units>,
) {
#repeat i LOADS
  let s = scale_at(group, (*places)[i], (*units)[i]);
  let zero = zero_at(group, (*places)[i], (*units)[i]);
#repeat r ROWS
  if (begun) {
    (*total)[r][i] += begun_sum((*sum)[r][i], x_sum[r], s, zero);
  } else {
    (*total)[r][i] += block_sum((*sum)[r][i], x_sum[r], s, zero);
  }
  (*sum)[r][i] = Columns();
#end
#end
}

// Writes those of a lane's quads that lie in y. Those that are not `right` are made by the formula.
fn write_quads(quads: ptr<function, Quads>, right: bool, rows: RowRun, first_quad: u32) {
  for (var i = 0u; i < ROWS * QUADS; i++) {
    let row = rows.begin + i % ROWS;
    let quad = first_quad + (i / ROWS) * LANES;
    if (row < rows.end && 4u * quad < params.n) {
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
fn write_tile(total: ptr<function, Tile>, right: bool, rows: RowRun, first_quad: u32) {
  var quads: Quads;
#repeat r ROWS
#repeat q LOADS
  quads[ROWS * q + r] = (*total)[r][q];
#end
#end
  write_quads(&quads, right, rows, first_quad);
}
#endif
