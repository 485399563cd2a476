// y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n], W as lib/scale.wgsl has it
// A workgroup of 16 × 16 lanes makes 16·ROWS rows × 16 quads of y, or a part of their sums over k; a lane makes ROWS rows, 16 apart, of
// one quad.
//
// For many rows of x on a GPU with few registers: x and the dequantized W pass through workgroup memory, TILE_K k at a time, so that each
// word of weights is unpacked once for 16·ROWS rows.

#param ROWS 1 2 4 // rows of y of a lane

#include "lib/scale.wgsl"
#include "lib/table.wgsl"
#include "lib/result.wgsl"
#include "lib/residual.wgsl"
#include "lib/splits.wgsl"
#include "lib/grid.wgsl"

const SIDE = 16u; // lanes along n, and along m
const TILE_K = 32u; // k of a tile
const TILE_VEC4S = TILE_K / 4u; // vec4s of x in a row of a tile

var<workgroup> x_tile: array<vec4<f32>, SIDE * ROWS * TILE_VEC4S>; // [row][x_slot]
var<workgroup> w_tile: array<vec4<f32>, TILE_K * SIDE>; // [k][quad]

// Where a row keeps its vec4 k4: turned by the row, so that rows whose lanes read together lie in different banks.
fn x_slot(row: u32, k4: u32) -> u32 {
  return row * TILE_VEC4S + (k4 ^ (row % TILE_VEC4S));
}

// W of code i of each word; 0 past the last k, where an infinite scale must not meet a 0 of x.
fn weight_within(words: Quad, i: u32, k: u32, affine: Affine) -> vec4<f32> {
  let v = weight_of_value(looked_up(words, i), affine.scale, affine.zero);
  return select(vec4<f32>(0.0), v, k < params.k);
}

// Fills both tiles with the k from `begin` on, as far as `end`.
fn fill_tiles(index: u32, m: u32, first_quad: u32, begin: u32, end: u32) {
  for (var i = index; i < SIDE * ROWS * TILE_VEC4S; i += SIDE * SIDE) {
    let row = i / TILE_VEC4S;
    let k4 = i % TILE_VEC4S;
    if (begin + 4u * k4 < end) {
      x_tile[x_slot(row, k4)] = read_x(params.x_base + min(m + row, params.m - 1u) * params.x_pitch + begin / 4u + k4);
    }
  }
  let k = begin + 2u * (index / SIDE); // two codes of a word
  if (k < end) {
    let quad = min(first_quad + index % SIDE, (params.n - 1u) / 4u);
    let word = k / CODES;
    let words = read_quad(word, quad);
    let affine = read_affine(word / params.group_words, quad);
    w_tile[2u * index - index % SIDE] = weight_within(words, k % CODES, k, affine);
    w_tile[2u * index - index % SIDE + SIDE] = weight_within(words, k % CODES + 1u, k + 1u, affine);
  }
}

@compute @workgroup_size(SIDE, SIDE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  load_table(index);
  let place = place_of(tile, SIDE * ROWS);
  let first_quad = place.tile_n * SIDE;
  let end = place.run.end * CODES;
  var sum: array<vec4<f32>, ROWS>;

  for (var k = place.run.begin * CODES; k < end; k += TILE_K) {
    fill_tiles(index, place.rows.begin, first_quad, k, end);
    workgroupBarrier(); // both tiles are whole before anyone reads them
    let quads = min(TILE_K, end - k) / 4u; // not a constant: unrolled as a whole, the loop takes more registers than there are
    for (var k4 = 0u; k4 < TILE_VEC4S; k4++) {
      if (k4 >= quads) {
        break;
      }
      let w_0 = w_tile[(4u * k4) * SIDE + lane.x];
      let w_1 = w_tile[(4u * k4 + 1u) * SIDE + lane.x];
      let w_2 = w_tile[(4u * k4 + 2u) * SIDE + lane.x];
      let w_3 = w_tile[(4u * k4 + 3u) * SIDE + lane.x];
#repeat r ROWS
      let values = x_tile[x_slot(lane.y, k4) + r * SIDE * TILE_VEC4S];
      sum[r] = sum[r] + values.x * w_0 + values.y * w_1 + values.z * w_2 + values.w * w_3;
#end
    }
    workgroupBarrier(); // everyone has read the tiles before the next ones replace them
  }

  let quad = first_quad + lane.x;
  if (4u * quad >= params.n) { return; }
#repeat r ROWS
  let row = place.rows.begin + lane.y + r * SIDE;
  if (row < params.m) {
    write_split(place.split, row, quad, sum[r]);
  }
#end
}
