// y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n], W[k, n] = (q[k, n] + offset[g, n]) · scale[g, n]
// A workgroup of 16 × 16 lanes makes 16·ROWS rows × 16 quads of y; a lane makes ROWS rows, 16 apart, of one quad.
//
// For many rows of x on a GPU: x and the dequantized W pass through workgroup memory, STEP k at a time, so that each word of weights
// is unpacked once for 16·ROWS rows. Operands: lib/operands.wgsl, y: lib/result.wgsl. Any m, n, k; groups of whole words.

#param ROWS 2 4 // rows of y of a lane

#include "lib/operands.wgsl"
#include "lib/result.wgsl"
#include "lib/grid.wgsl"

const SIDE = 16u; // lanes along n, and along m
const STEP = 16u; // k of a tile
const X_PITCH = STEP / 4u + 1u; // vec4s in a row of x_tile; one to spare, so that rows lie in different banks

var<workgroup> x_tile: array<vec4<f32>, SIDE * ROWS * X_PITCH>; // [row][k / 4]
var<workgroup> w_tile: array<vec4<f32>, STEP * SIDE>; // [k][quad]

// Four k of a row of x; 0 past the last k.
fn fill_x(row: u32, k: u32, m: u32, slot: u32) {
  var value = vec4<f32>(0.0);
  if (k < params.words * CODES) {
    value = read_x(params.x_base + min(m + row, params.m - 1u) * params.x_pitch + k / 4u);
  }
  x_tile[slot] = value;
}

// W of one k and one quad; 0 past the last k, where an infinite scale must not meet a 0 of x.
fn dequantize(k: u32, quad: u32) -> vec4<f32> {
  if (k >= params.k) {
    return vec4<f32>(0.0);
  }
  let word = k / CODES;
  let group = word / params.group_words;
  let codes = code(w[word * params.w_pitch + quad], k % CODES);
  return (codes + read_zero(group, quad)) * read_scale(group, quad);
}

@compute @workgroup_size(SIDE, SIDE)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_id) lane: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) {
    return;
  }
  let m = (tile / params.tiles_n) * SIDE * ROWS;
  let first_quad = (tile % params.tiles_n) * SIDE;
  let quad = min(first_quad + lane.x, params.w_pitch - 1u);
  var sum: array<vec4<f32>, ROWS>;

  for (var k = 0u; k < params.words * CODES; k += STEP) {
    for (var i = index; i < SIDE * ROWS * STEP / 4u; i += SIDE * SIDE) {
      let row = i / (STEP / 4u);
      let k4 = i % (STEP / 4u);
      fill_x(row, k + 4u * k4, m, row * X_PITCH + k4);
    }
    w_tile[index] = dequantize(k + lane.y, quad);
    workgroupBarrier(); // both tiles are whole before anyone reads them
    for (var k4 = 0u; k4 < STEP / 4u; k4++) {
      let w_0 = w_tile[(4u * k4) * SIDE + lane.x];
      let w_1 = w_tile[(4u * k4 + 1u) * SIDE + lane.x];
      let w_2 = w_tile[(4u * k4 + 2u) * SIDE + lane.x];
      let w_3 = w_tile[(4u * k4 + 3u) * SIDE + lane.x];
      for (var r = 0u; r < ROWS; r++) {
        let values = x_tile[(lane.y + r * SIDE) * X_PITCH + k4];
        sum[r] = sum[r] + values.x * w_0 + values.y * w_1 + values.z * w_2 + values.w * w_3;
      }
    }
    workgroupBarrier(); // everyone has read the tiles before the next ones replace them
  }

  for (var r = 0u; r < ROWS; r++) {
    let row = m + lane.y + r * SIDE;
    if (row < params.m && 4u * (first_quad + lane.x) < params.n) {
      write_quad(row, first_quad + lane.x, sum[r]);
    }
  }
}
