// The norm behind a product, its sum with the residual, and the next product's norm: n = h · weight / sqrt(mean of h² + epsilon),
// x = scale · x + n, h = x · next / sqrt(mean of x² + epsilon), row by row. A workgroup is a row. Rows from `rows` on are padding and stay as
// they are.
//
// x, h          [T, 4 · quads] f32
// weight, next  [4 · quads] f32

#include "llm/step.wgsl"

const LANES = 64u;

struct Params {
  quads: u32, // vec4s in a row
  lanes: u32, // LANES, as a number that compilers do not know: they would write loops out
  epsilon: f32,
  scale: f32, // of x as it comes
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;
@group(0) @binding(2) var<storage, read_write> h: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> next: array<vec4<f32>>;

var<workgroup> sums: array<f32, LANES>;
var<workgroup> next_sums: array<f32, LANES>;

fn factor_of(sum: f32) -> f32 {
  return inverseSqrt(sum / f32(4u * params.quads) + params.epsilon);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (now.running == 0u || workgroup.x >= now.rows) { return; }
  let begin = workgroup.x * params.quads;
  let end = begin + params.quads;
  var squares = vec4<f32>();
  for (var i = begin + lane; i < end; i += LANES) { squares = fma(h[i], h[i], squares); }
  sums[lane] = (squares.x + squares.y) + (squares.z + squares.w);
  workgroupBarrier(); // every lane's squares are there before all add them up
  var sum = 0.0;
  for (var i = 0u; i < params.lanes; i++) { sum += sums[i]; }
  let factor = factor_of(sum);
  squares = vec4<f32>();
  for (var i = begin + lane; i < end; i += LANES) {
    let quad = fma(vec4<f32>(params.scale), x[i], h[i] * factor * weight[i - begin]);
    x[i] = quad;
    squares = fma(quad, quad, squares);
  }
  next_sums[lane] = (squares.x + squares.y) + (squares.z + squares.w);
  workgroupBarrier(); // those of x are
  sum = 0.0;
  for (var i = 0u; i < params.lanes; i++) { sum += next_sums[i]; }
  let next_factor = factor_of(sum);
  for (var i = begin + lane; i < end; i += LANES) { h[i] = x[i] * next_factor * next[i - begin]; } // what this lane wrote
}
