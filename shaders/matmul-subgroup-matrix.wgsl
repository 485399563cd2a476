// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · code[k, n] + zero[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes TILE_M rows × TILE_QUADS quads of y. Each of its first four subgroups multiplies a strip of 16 rows with subgroup matrices.
//
// For many rows of a float16 x on a GPU with matrix units. x and the codes pass through workgroup memory as f16, TILE_K k at a time, and
// both are exact there: a code is an integer of at most 8 bits. A matrix unit multiplies them exactly and adds in f32; a group's sums
// leave it for workgroup memory, where lanes scale and add them in f32 as the other kernels do. Scaling the weights before the product
// would round each of them to f16. What is added to a code is added before the product as far as it is an integer that keeps the code
// exact; the rest meets the sum of x. So no sum is much larger than its weights, and without an offset there is no sum of x.
// Strips, so that all lanes read w at addresses that compilers know: an unknown one costs a check and unaligned reads for each matrix.
// Groups of whole TILE_Ks. For Tint only.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

#param M_SIZE 8 16 // rows of a matrix of x and of y, as the device has them
#param N_SIZE 8 16 // columns of a matrix of w and of y
#param K_SIZE 8 16 // columns of a matrix of x, rows of one of w
#param LANES 128 256 // at least four of the largest subgroups

#include "lib/scale.wgsl"
#include "lib/float16.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/no-residual.wgsl"
#include "lib/grid.wgsl"

alias Left = subgroup_matrix_left<f16, K_SIZE, M_SIZE>; // columns, rows
alias Right = subgroup_matrix_right<f16, N_SIZE, K_SIZE>;
alias Result = subgroup_matrix_result<f32, N_SIZE, M_SIZE>;

const TILE_M = 64u; // rows of the tile
const TILE_QUADS = 16u; // quads of it
const STRIP = 16u; // rows of a subgroup
const TILE_K = 32u; // k of a tile
const TILE_VEC4S = TILE_K / 4u; // vec4s of k in a tile
const DOWN = STRIP / M_SIZE; // matrices of a strip, along m
const ACROSS = 4u * TILE_QUADS / N_SIZE; // and along n
const OWN_QUADS = TILE_M * TILE_QUADS / LANES; // quads of a lane, LANES / TILE_QUADS rows apart
// Elements in a row of a tile and of sums: 16 bytes to spare, so that rows lie in different banks and stay aligned.
const PITCH = TILE_K + 8u;
const SUM_PITCH = 4u * TILE_QUADS + 4u;

var<workgroup> x_tile: array<f16, TILE_M * PITCH>; // [row][k]
var<workgroup> w_tile: array<f16, 4u * TILE_QUADS * PITCH>; // [column][k]: code + shift
var<workgroup> sums: array<f32, TILE_M * SUM_PITCH>; // [row][column], of one group
#if OFFSET
var<workgroup> x_sums: array<f32, TILE_M>; // of one group
#endif
const MOST_SHIFT = 1024.0; // a code and it are an integer below 2048, which f16 holds

// Four k of a row of x; 0 past the last word. Rows past the end repeat the last one and are not written.
fn x_values(row: u32, k: u32) -> vec4<f16> {
  var values = vec4<f16>();
  if (k < params.words * CODES) {
    values = vec4<f16>(read_x(params.x_base + min(row, params.m - 1u) * params.x_pitch + k / 4u));
  }
  return values;
}

// The integer that is added to codes before the product. Where a scale is 0, any will do.
fn shift_of(affine: Affine) -> vec4<f32> {
#if OFFSET == 0
  return vec4<f32>(-ZERO);
#elif OFFSET == 1 || OFFSET == 3 || OFFSET == 4
  return clamp(round(affine.zero), vec4<f32>(-MOST_SHIFT), vec4<f32>(MOST_SHIFT));
#elif OFFSET == 2
  let s = affine.scale;
  let codes = select(affine.zero / s, vec4<f32>(0.0), s == vec4<f32>(0.0));
  return clamp(round(codes), vec4<f32>(-MOST_SHIFT), vec4<f32>(MOST_SHIFT));
#else
#error OFFSET must be 0, 1, 2, 3 or 4
#endif
}

#if OFFSET
// What it leaves, for the sum of x.
fn rest_of(affine: Affine, shift: vec4<f32>) -> vec4<f32> {
#if OFFSET == 2
  return fma(-affine.scale, shift, affine.zero);
#elif OFFSET != 2
  return affine.zero - shift;
#endif
}

// Adds the tile's k to the sum of a row of x, or begins a new sum.
fn add_x(row: u32, begins: bool) {
  var sum = select(x_sums[row], 0.0, begins);
  for (var k = 0u; k < TILE_K; k++) {
    sum += f32(x_tile[row * PITCH + k]);
  }
  x_sums[row] = sum;
}
#endif

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  let m = (tile / params.tiles_n) * TILE_M;
  let first_quad = (tile % params.tiles_n) * TILE_QUADS;
  let quad = min(first_quad + index % TILE_QUADS, params.w_pitch - 1u);
  let strip = (subgroup % 4u) * STRIP; // compilers see that it is in range
  var products: array<Result, DOWN * ACROSS>;
  var total: array<vec4<f32>, OWN_QUADS>;

  for (var word = 0u; word < params.words; word += TILE_K / CODES) {
    let affine = read_affine(word / params.group_words, quad);
    for (var t = 0u; t < TILE_M * TILE_VEC4S / LANES; t++) {
      let row = index / TILE_VEC4S + t * (LANES / TILE_VEC4S);
      let values = x_values(m + row, word * CODES + 4u * (index % TILE_VEC4S));
      let at = row * PITCH + 4u * (index % TILE_VEC4S);
      x_tile[at] = values.x;
      x_tile[at + 1u] = values.y;
      x_tile[at + 2u] = values.z;
      x_tile[at + 3u] = values.w;
    }
    if (index < TILE_VEC4S * TILE_QUADS) {
      let k = 4u * (index / TILE_QUADS);
      let words = read_quad(min(word + k / CODES, params.words - 1u), quad); // after the last one, x is 0
      let shift = shift_of(affine);
      for (var j = 0u; j < 4u; j++) {
        let values = vec4<f16>(code(words, k % CODES + j) + shift);
        let at = 4u * (index % TILE_QUADS) * PITCH + k + j;
        w_tile[at] = values.x;
        w_tile[at + PITCH] = values.y;
        w_tile[at + 2u * PITCH] = values.z;
        w_tile[at + 3u * PITCH] = values.w;
      }
    }
    workgroupBarrier(); // both tiles are whole, and everyone has read the last group's sums, before anyone goes on

    let next = word + TILE_K / CODES;
    let ends = next >= params.words || next % params.group_words == 0u;
#if OFFSET
    if (index < TILE_M) {
      add_x(index, word % params.group_words == 0u);
    }
#endif
    if (subgroup < 4u) {
      for (var k = 0u; k < TILE_K; k += K_SIZE) {
        var left: array<Left, DOWN>;
        for (var r = 0u; r < DOWN; r++) {
          left[r] = subgroupMatrixLoad<Left, row_major>(&x_tile, (strip + r * M_SIZE) * PITCH + k, PITCH);
        }
        for (var c = 0u; c < ACROSS; c++) {
          let right = subgroupMatrixLoad<Right, col_major>(&w_tile, c * N_SIZE * PITCH + k, PITCH);
          for (var r = 0u; r < DOWN; r++) {
            let i = r * ACROSS + c;
            products[i] = subgroupMatrixMultiplyAccumulate(left[r], right, products[i]);
          }
        }
      }
      if (ends) {
        for (var r = 0u; r < DOWN; r++) {
          for (var c = 0u; c < ACROSS; c++) {
            let i = r * ACROSS + c;
            let at = (strip + r * M_SIZE) * SUM_PITCH + c * N_SIZE;
            subgroupMatrixStore<row_major>(&sums, at, products[i], SUM_PITCH);
            products[i] = Result();
          }
        }
      }
    }
    workgroupBarrier(); // the group's sums are whole, and everyone has read the tiles, before the next ones replace them
    if (ends) {
#if OFFSET
      let rest = rest_of(affine, shift_of(affine));
#endif
      for (var t = 0u; t < OWN_QUADS; t++) {
        let row = index / TILE_QUADS + t * (LANES / TILE_QUADS);
        let at = row * SUM_PITCH + 4u * (index % TILE_QUADS);
        let sum = vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
#if OFFSET
        total[t] += block_sum(sum, x_sums[row], affine.scale, rest);
#else
        total[t] += sum * affine.scale;
#endif
      }
    }
  }

  var bad = 0u;
  for (var t = 0u; t < OWN_QUADS; t++) {
    let row = m + t * (LANES / TILE_QUADS) + index / TILE_QUADS;
    if (row < params.m && 4u * (first_quad + index % TILE_QUADS) < params.n) {
      write_quad(row, quad, total[t]);
      bad |= u32(any_nonfinite(total[t])) << t;
    }
  }
  // Made again by the formula: the sums of a group make NaN of some infinities.
  while (bad != 0u) {
    let row = m + firstTrailingBit(bad) * (LANES / TILE_QUADS) + index / TILE_QUADS;
    bad &= bad - 1u;
    write_quad(row, quad, formula(row, quad));
  }
}
