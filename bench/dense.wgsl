// y[m, n] = sum over k of x[m, k] * w[k, n], all f32: the same product with weights that are not quantized.
// One invocation makes ROWS rows of four columns in registers; neighbouring lanes take neighbouring columns.
//
// x   [m, k]   vec4<f32> along k
// w   [k, n]   vec4<f32> along n
// y   [m, n]   vec4<f32> along n
// k and n are multiples of 4; m may be ragged: rows past the end read row m - 1 and are not written.

struct Params {
  m: u32,
  n: u32, // quads
  k: u32, // quads
}

const LANES = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(LANES) fn rows1(@builtin(global_invocation_id) id: vec3<u32>) {
  let column = id.x;
  if (column >= params.n) {
    return;
  }
  var sum = vec4<f32>();
  for (var k = 0u; k < params.k; k++) {
    let x0 = x[id.y * params.k + k];
    let at = 4u * k * params.n + column;
    sum += x0.x * w[at] + x0.y * w[at + params.n] + x0.z * w[at + 2u * params.n] + x0.w * w[at + 3u * params.n];
  }
  y[id.y * params.n + column] = sum;
}

@compute @workgroup_size(LANES) fn rows4(@builtin(global_invocation_id) id: vec3<u32>) {
  let column = id.x;
  if (column >= params.n) {
    return;
  }
  let row = 4u * id.y;
  let last = params.m - 1u;
  let r0 = row * params.k;
  let r1 = min(row + 1u, last) * params.k;
  let r2 = min(row + 2u, last) * params.k;
  let r3 = min(row + 3u, last) * params.k;
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  for (var k = 0u; k < params.k; k++) {
    let at = 4u * k * params.n + column;
    let w0 = w[at];
    let w1 = w[at + params.n];
    let w2 = w[at + 2u * params.n];
    let w3 = w[at + 3u * params.n];
    let x0 = x[r0 + k];
    let x1 = x[r1 + k];
    let x2 = x[r2 + k];
    let x3 = x[r3 + k];
    s0 += x0.x * w0 + x0.y * w1 + x0.z * w2 + x0.w * w3;
    s1 += x1.x * w0 + x1.y * w1 + x1.z * w2 + x1.w * w3;
    s2 += x2.x * w0 + x2.y * w1 + x2.z * w2 + x2.w * w3;
    s3 += x3.x * w0 + x3.y * w1 + x3.z * w2 + x3.w * w3;
  }
  y[row * params.n + column] = s0;
  if (row + 1u <= last) {
    y[(row + 1u) * params.n + column] = s1;
  }
  if (row + 2u <= last) {
    y[(row + 2u) * params.n + column] = s2;
  }
  if (row + 3u <= last) {
    y[(row + 3u) * params.n + column] = s3;
  }
}
