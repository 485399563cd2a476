// The factor of the one row of a dispatch, which is in x's binding or made of a row in it: 1 / √(mean of its squares + epsilon). All lanes of a
// workgroup make it together, in `sums`, which has a place for each.

#if X == 0
fn row_factor(lane: u32, lanes: u32) -> f32 {
  if (params.row_scale == 0u) { return 1.0; }
  if (params.row_scale == 1u) { return x[params.row_base / 4u][params.row_base % 4u]; }
  var squares = vec4<f32>();
  for (var i = lane; i < params.row_width / 4u; i += lanes) {
    let four = x[params.row_base / 4u + i];
    squares = fma(four, four, squares);
  }
  sums[lane] = squares.xy + squares.zw;
  workgroupBarrier(); // every lane has put its sums
  var part = vec2<f32>();
  for (var i = lane % 16u; i < lanes; i += 16u) {
    part += sums[i];
  }
  workgroupBarrier(); // all have been read
  sums[lane] = part; // of 16 lanes next to each other, each has another part
  workgroupBarrier();
  var all = vec2<f32>();
  for (var i = 0u; i < 16u; i++) {
    all += sums[i];
  }
#if CODEBOOK
  workgroupBarrier(); // nobody reads them any more; where sums of x come next, their barrier says so
#endif
  return inverseSqrt((all.x + all.y) / f32(params.row_width) + bitcast<f32>(params.row_epsilon));
}
#elif X != 0
// Factors are float32, and so x must be, whose binding they share.
fn row_factor(_lane: u32, _lanes: u32) -> f32 { return 1.0; }
#endif
