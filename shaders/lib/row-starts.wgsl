// Where the rows of x begin that a lane multiplies.

#include "lib/operands.wgsl"

#param ROWS 1 2 4 8 // rows of y in registers

alias RowStarts = array<u32, ROWS>; // vec4 index of the first x, in each row

// Rows past the end repeat the last one and are not written.
fn row_starts(rows: RowRun) -> RowStarts {
  var start: RowStarts;
#repeat r ROWS
  let row = x_row(min(rows.begin + r, rows.end - 1u));
  start[r] = params.x_base + row * params.x_pitch;
#end
  return start;
}
