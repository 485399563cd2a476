// Writes sums that were made group by group. One that is not finite is made again by the formula, because the group algebra makes NaN of
// some infinities.

#include "lib/float16.wgsl"
#include "lib/formula.wgsl"
#include "lib/result.wgsl"
#include "lib/residual.wgsl"

fn finish_quad(row: u32, quad: u32, sum: vec4<f32>) {
  finish_scaled(row, quad, sum, 1.0);
}

// The sum of a row that has a factor.
fn finish_scaled(row: u32, quad: u32, sum: vec4<f32>, factor: f32) {
  var finished = sum;
  if (any_nonfinite(sum)) {
    finished = formula(row, quad);
  }
  write_quad(row, quad, finished * factor);
}

// Of a sum over the words of `run`, which are split `split` of k.
fn finish_split(split: u32, row: u32, quad: u32, sum: vec4<f32>, run: Run) {
  var finished = sum;
  if (any_nonfinite(sum)) {
    finished = formula_of(row, quad, run.begin, run.end);
  }
  write_split(split, row, quad, finished);
}

#if EXPERTS == 2
// The weighted sum of all pairs whose matrix is in the binding, without their bias.
fn finish_pairs(quad: u32, sum: vec4<f32>) {
  let broken = any_nonfinite(sum);
  var total = sum;
  if (broken) { total = vec4<f32>(); }
  for (var i = 0u; i < pairs(); i++) {
    let rows = rows_of(i, 1u);
    if (rows.begin >= rows.end) { continue; }
    var own = bias[bias_start() + params.column / 4u + quad];
    if (broken) { own += formula(rows.begin, quad); }
    total = fma(vec4<f32>(weight_of(rows.begin)), own, total);
  }
  put_quad(0u, quad, total);
}
#endif
