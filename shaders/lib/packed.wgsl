// Reads packed codes (lib/weights.wgsl), READ columns at a time.
//
// w  [rows, n]  u32 words; rows are w_pitch quads long
//
// Who includes it, or lib/scale.wgsl, has a uniform `params` with w_pitch and group_words, and says where the matrix begins: lib/operands.wgsl
// does for matmul kernels, with lib/experts.wgsl; another text includes lib/one-matrix.wgsl.

#include "lib/weights.wgsl"

#param READ 1 4 // columns in a load of w, scale and offset: 4 but for adapters that pay for each word

// What a load brings of the columns at an index that counts READ columns.
#if READ == 4
alias Words = vec4<u32>;
alias Columns = vec4<f32>;
#elif READ == 1
alias Words = u32;
alias Columns = f32;
#else
#error READ must be 1 or 4
#endif

@group(0) @binding(2) var<storage, read> w: array<Words>;

// Where a row of w begins, in READ columns.
fn w_row(row: u32) -> u32 {
  return (w_start() + row * params.w_pitch) * (4u / READ);
}

// A row of w in the columns of a quad, whatever READ is.
fn row_of_quad(row: u32, quad: u32) -> vec4<u32> {
#if READ == 4
  return w[w_row(row) + quad];
#elif READ == 1
  let at = w_row(row) + 4u * quad;
  return vec4<u32>(w[at], w[at + 1u], w[at + 2u], w[at + 3u]);
#else
#error READ must be 1 or 4
#endif
}

fn read_quad(word: u32, quad: u32) -> Quad {
#if HIGH
  return Quad(row_of_quad(low_row(word), quad), row_of_quad(high_row(word), quad), high_shift(word));
#else
  return row_of_quad(low_row(word), quad);
#endif
}
