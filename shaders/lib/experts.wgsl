// Which rows of y a workgroup makes, which rows of x they read, and where its weights are.
//
// Without EXPERTS row m of y is row m of x, and there is one matrix. With EXPERTS the weights are those of many matrices under each other, and
// row p of y is pair p: row p / per_row of x times the matrix ids[p]. sort-pairs has sorted the pairs by matrix, so that a workgroup makes
// up to `rows` rows of one matrix. Pairs whose id names no matrix come last; their rows of y are zeros.
//
// With EXPERTS 2 the one row of y is the sum of all pairs, each times its weight; a workgroup goes through them. Pairs without a matrix add nothing.
//
// sorted  [5 · (experts + 2) + pairs]: for blocks of 1, 2, 4 and 8 rows a list: how many blocks there are before each expert, before the
//         pairs without an expert, and in all; a list that only sort-pairs reads; then the pairs in their order

#param EXPERTS 0 1 2 // weights are: 0 one matrix, 1 those of many, 2 and y is one row, the weighted sum of all pairs

// Positions of rows, in the order in which workgroups take them.
struct RowRun {
  begin: u32,
  end: u32,
}

#if EXPERTS
@group(0) @binding(10) var<storage, read> sorted: array<u32>;
#if EXPERTS == 2
@group(0) @binding(11) var<storage, read> pair_weights: array<f32>;
#endif

var<private> expert: u32; // the workgroup's

// The length of a list.
fn in_list() -> u32 { return params.experts + 2u; }

// Block `index` of `rows` rows, and the other rows of its expert behind it. Nothing, if there is no such block, or if its matrix is in another
// binding.
fn rows_of(index: u32, rows: u32) -> RowRun {
  let list = firstTrailingBit(rows) * in_list();
  if (index >= sorted[list + params.experts + 1u]) { return RowRun(); }
  var low = 0u;
  var high = params.experts + 1u;
  while (high - low > 1u) { // the last expert with no more blocks before it
    let middle = (low + high) / 2u;
    if (sorted[list + middle] <= index) {
      low = middle;
    } else {
      high = middle;
    }
  }
  if (low - params.first_expert >= params.bound_experts) { return RowRun(); }
  expert = low;
  return RowRun(sorted[low] + (index - sorted[list + low]) * rows, sorted[low + 1u]);
}

fn pair_at(row: u32) -> u32 { return sorted[5u * in_list() + row]; }
fn x_row(row: u32) -> u32 { return pair_at(row) / params.per_row; }
fn y_row(row: u32) -> u32 { return pair_at(row); }

// Has the workgroup no matrix? It reads the first one then, and writes zeros.
fn is_zero() -> bool { return expert == params.experts; }

// The matrix's place in the binding.
fn matrix() -> u32 { return select(expert - params.first_expert, 0u, is_zero()); }

// Where it begins, in quads.
fn w_start() -> u32 { return matrix() * params.w_step; }
fn scale_start() -> u32 { return matrix() * params.scale_step; }
fn offset_start() -> u32 { return matrix() * params.offset_step; }
#if EXPERTS == 2
// Pairs that have a matrix. Each is a block of one row.
fn pairs() -> u32 { return sorted[params.experts]; }
fn weight_of(row: u32) -> f32 { return pair_weights[params.weights_base + pair_at(row)]; }
#endif
// All matrices have their bias in one binding.
fn bias_start() -> u32 { return select(expert, 0u, is_zero()) * params.bias_step; }
#else
#include "lib/one-matrix.wgsl"

fn rows_of(index: u32, rows: u32) -> RowRun { return RowRun(index * rows, params.m); }
fn x_row(row: u32) -> u32 { return row; }
fn y_row(row: u32) -> u32 { return row; }
fn is_zero() -> bool { return false; }
fn bias_start() -> u32 { return 0u; }
#endif
