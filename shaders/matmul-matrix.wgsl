// y[m, n] = sum over groups g of scale[g, n] · (sum over k in g of x[m, k] · (code[k, n] + shift) + rest[g, n] · sum over k in g of x[m, k]) + bias[n]
// A workgroup makes 64 rows × 16 quads of y. Each of its first four subgroups multiplies a block of 32 × 32 with subgroup matrices.
//
// For many rows of a float16 x on a GPU with matrix units. x and the codes pass through workgroup memory as f16, STEP k at a time, and
// both are exact there: a code is an integer of at most 8 bits. A matrix unit multiplies them exactly and adds in f32; the sums of a group
// leave it for workgroup memory, where lanes scale and add them in f32 as the other kernels do. Scaling the weights before the product
// instead would round each of them to f16. Without an offset shift = -zero and rest = 0; with one shift = 0 and rest = offset - zero.
// Operands: lib/operands.wgsl, y: lib/result.wgsl. Any m, n, k; groups of whole STEPs. For Tint only.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

#param M_SIZE 8 16 // rows of a matrix of x and of y, as the device has them
#param N_SIZE 8 16 // columns of a matrix of w and of y
#param K_SIZE 8 16 // columns of a matrix of x, rows of one of w
#param LANES 128 256 // at least four of the largest subgroups

#include "lib/operands.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/grid.wgsl"

alias Left = subgroup_matrix_left<f16, K_SIZE, M_SIZE>; // columns, rows
alias Right = subgroup_matrix_right<f16, N_SIZE, K_SIZE>;
alias Result = subgroup_matrix_result<f32, N_SIZE, M_SIZE>;

const ROWS = 64u; // of the tile
const QUADS = 16u; // of the tile
const BLOCK = 32u; // rows and columns of a subgroup
const STEP = 32u; // k of a tile
const DOWN = BLOCK / M_SIZE; // matrices of a block, along m
const ACROSS = BLOCK / N_SIZE; // and along n
const PARTS = ROWS * QUADS / LANES; // quads of a lane, LANES / QUADS rows apart
// Elements in a row of each tile: 16 bytes to spare, so that rows lie in different banks and stay aligned.
const X_PITCH = STEP + 8u;
const W_PITCH = 4u * QUADS + 8u;
const SUM_PITCH = 4u * QUADS + 4u;

var<workgroup> x_tile: array<f16, ROWS * X_PITCH>; // [row][k]
var<workgroup> w_tile: array<f16, STEP * W_PITCH>; // [k][column]: code + shift
var<workgroup> sums: array<f32, ROWS * SUM_PITCH>; // [row][column], of one group
#if OFFSET
var<workgroup> x_sums: array<f32, ROWS>; // of one group
const SHIFT = 0.0;
#else
const SHIFT = -ZERO;
#endif

// Four k of a row of x; 0 past the last word. Rows past the end repeat the last one and are not written.
fn fill_x(i: u32, m: u32, word: u32) {
  let row = i / (STEP / 4u);
  let k = 4u * (i % (STEP / 4u));
  var value = vec4<f16>();
  if (word * CODES + k < params.words * CODES) {
    value = vec4<f16>(read_x(params.x_base + min(m + row, params.m - 1u) * params.x_pitch + (word * CODES + k) / 4u));
  }
  let at = row * X_PITCH + k;
  x_tile[at] = value.x;
  x_tile[at + 1u] = value.y;
  x_tile[at + 2u] = value.z;
  x_tile[at + 3u] = value.w;
}

// Four k of a quad of w; 0 past the last word. Quads past the end repeat the last one and are not written.
fn fill_w(i: u32, first_quad: u32, first_word: u32) {
  let k = 4u * (i / QUADS);
  let word = first_word + k / CODES;
  let quad = i % QUADS;
  let known = word < params.words;
  let codes = w[min(word, params.words - 1u) * params.w_pitch + min(first_quad + quad, params.w_pitch - 1u)];
  for (var j = 0u; j < 4u; j++) {
    let values = select(vec4<f16>(), vec4<f16>(code(codes, k % CODES + j) + SHIFT), known);
    let at = (k + j) * W_PITCH + 4u * quad;
    w_tile[at] = values.x;
    w_tile[at + 1u] = values.y;
    w_tile[at + 2u] = values.z;
    w_tile[at + 3u] = values.w;
  }
}

#if OFFSET
// Adds the tile's k to the sum of a row of x, or begins a new sum.
fn add_x(row: u32, begins: bool) {
  var sum = select(x_sums[row], 0.0, begins);
  for (var k = 0u; k < STEP; k++) {
    sum += f32(x_tile[row * X_PITCH + k]);
  }
  x_sums[row] = sum;
}
#endif

// A quad of the group's sums of a row, scaled.
fn group_sum(row: u32, group: u32, quad: u32, column: u32) -> vec4<f32> {
  let at = row * SUM_PITCH + column;
  let sum = vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
#if OFFSET
  return (sum + read_zero(group, quad) * x_sums[row]) * read_scale(group, quad);
#else
  return sum * read_scale(group, quad);
#endif
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) {
    return;
  }
  let m = (tile / params.tiles_n) * ROWS;
  let first_quad = (tile % params.tiles_n) * QUADS;
  let quad = min(first_quad + index % QUADS, params.w_pitch - 1u);
  let block_row = (subgroup / 2u) * BLOCK;
  let block_column = (subgroup % 2u) * BLOCK;
  var products: array<Result, DOWN * ACROSS>;
  var total: array<vec4<f32>, PARTS>;

  for (var word = 0u; word < params.words; word += STEP / CODES) {
    for (var t = 0u; t < ROWS * STEP / 4u / LANES; t++) {
      fill_x(t * LANES + index, m, word);
    }
    if (index < STEP / 4u * QUADS) {
      fill_w(index, first_quad, word);
    }
    workgroupBarrier(); // both tiles are whole, and everyone has read the last group's sums, before anyone goes on

    let next = word + STEP / CODES;
    let ends = next >= params.words || next % params.group_words == 0u;
#if OFFSET
    if (index < ROWS) {
      add_x(index, word % params.group_words == 0u);
    }
#endif
    if (subgroup < 4u) {
      for (var k = 0u; k < STEP; k += K_SIZE) {
        var right: array<Right, ACROSS>;
        for (var c = 0u; c < ACROSS; c++) {
          right[c] = subgroupMatrixLoad<Right, row_major>(&w_tile, k * W_PITCH + block_column + c * N_SIZE, W_PITCH);
        }
        for (var r = 0u; r < DOWN; r++) {
          let left = subgroupMatrixLoad<Left, row_major>(&x_tile, (block_row + r * M_SIZE) * X_PITCH + k, X_PITCH);
          for (var c = 0u; c < ACROSS; c++) {
            let i = r * ACROSS + c;
            products[i] = subgroupMatrixMultiplyAccumulate(left, right[c], products[i]);
          }
        }
      }
      if (ends) {
        for (var r = 0u; r < DOWN; r++) {
          for (var c = 0u; c < ACROSS; c++) {
            let i = r * ACROSS + c;
            let at = (block_row + r * M_SIZE) * SUM_PITCH + block_column + c * N_SIZE;
            subgroupMatrixStore<row_major>(&sums, at, products[i], SUM_PITCH);
            products[i] = Result();
          }
        }
      }
    }
    workgroupBarrier(); // the group's sums are whole, and everyone has read the tiles, before the next ones replace them
    if (ends) {
      for (var t = 0u; t < PARTS; t++) {
        total[t] += group_sum(t * (LANES / QUADS) + index / QUADS, word / params.group_words, quad, 4u * (index % QUADS));
      }
    }
  }

  var bad = 0u;
  for (var t = 0u; t < PARTS; t++) {
    let row = m + t * (LANES / QUADS) + index / QUADS;
    if (row < params.m && 4u * (first_quad + index % QUADS) < params.n) {
      write_quad(row, quad, total[t]);
      bad |= u32(any_nonfinite(total[t])) << t;
    }
  }
  // Made again by the formula: the sums of a group make NaN of some infinities.
  while (bad != 0u) {
    let row = m + firstTrailingBit(bad) * (LANES / QUADS) + index / QUADS;
    bad &= bad - 1u;
    write_quad(row, quad, formula(row, quad));
  }
}
