// y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n], W as lib/scale.wgsl has it
// One invocation makes one quad (four adjacent columns) of one row of y, by the formula as it is written.
//
// The kernel to read first, and the one that can do every shape.

#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/residual.wgsl"
#include "lib/grid.wgsl"

const LANES = 64u; // quads of a workgroup

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_id) lane: vec3u) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  let rows = rows_of(tile / params.tiles_n, 1u);
  let quad = (tile % params.tiles_n) * LANES + lane.x;
  if (rows.begin >= rows.end || 4u * quad >= params.n) { return; }
  write_quad(rows.begin, quad, formula(rows.begin, quad));
}
