// y[row] = x[row] · weight / sqrt(mean of x[row]² + epsilon). A workgroup is a row. Rows from `rows` on are padding and stay as they are.
//
// x, y    [T, 4 · quads] f32
// weight  [4 · quads] f32

#include "llm/step.wgsl"

const LANES = 64u;

struct Params {
  quads: u32, // vec4s in a row
  lanes: u32, // LANES, as a number that compilers do not know: they would write loops out
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (now.running == 0u || workgroup.x >= now.rows) { return; }
  let row = workgroup.x * params.quads;
  var squares = vec4<f32>();
  for (var i = lane; i < params.quads; i += LANES) {
    let quad = x[row + i];
    squares = fma(quad, quad, squares);
  }
  sums[lane] = (squares.x + squares.y) + (squares.z + squares.w);
  workgroupBarrier(); // every lane's squares are there before all add them up
  var sum = 0.0;
  for (var i = 0u; i < params.lanes; i++) { sum += sums[i]; }
  let factor = inverseSqrt(sum / f32(4u * params.quads) + params.epsilon);
  for (var i = lane; i < params.quads; i += LANES) { y[row + i] = x[row + i] * factor * weight[i]; }
}
