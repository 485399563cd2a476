// Writes a lane's quad of ROWS rows, or the part of their sums that its split of k makes.

#include "lib/lane.wgsl"
#include "lib/splits.wgsl"
#include "lib/finish.wgsl"

// A loop that compilers cannot unroll: rounding all rows at once would take more registers than summing them. So every row takes the place
// of the one before it.
fn finish_rows(sum: ptr<function, Rows>, place: Place, quad: u32) {
  let rows = min(ROWS, place.rows.end - place.rows.begin);
  for (var r = 0u; r < rows; r++) {
    finish_split(place.split, place.rows.begin + r, quad, (*sum)[0], place.run);
#repeat i ROWS - 1
    (*sum)[i] = (*sum)[i + 1u];
#end
  }
}
