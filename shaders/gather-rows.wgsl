// rows[m, k] = x[m, k] as f32, or x[m, permutation[k]], for an x that the matmul kernels cannot read in place: transposed, not aligned to
// their vec4s, or in another order than the weights' codes. Or that times the scale of its input: once here, and not in every kernel, each
// of whose workgroups would multiply it again.
// One invocation makes four k of one row.
//
// x            element base + b·stride_b + i·stride_m + k·stride_k, where m = b·batch_rows + i: f32, f16 or bf16
// permutation  [k] u32, below k
// input_scale  [k] f32, in the order of x
// factors      [m] f32, of each row of x
// call_scale   [k] f32, as input_scale, which the call gives
// rows         [m, 4·pitch] f32; 0 from the last k on
// One dispatch covers the k that one window of x holds; base is relative to that window and may wrap below 0.

#include "lib/float16.wgsl"
#include "lib/grid.wgsl"

#param X 0 2 3 // x is, as in lib/activation.wgsl: 0 f32, 2 f16 as bits, 3 bf16
#param PERM 0 1 // is there a permutation?
#param SCALED 0 1 // has each input a scale?
#param FACTORS 0 1 // is each row multiplied by a factor?
#param CALL_SCALED 0 1 // has each input a scale of the call's?

struct Params {
  m: u32, // rows of this dispatch
  first_m: u32, // the first of them, counted in x
  first_k: u32, // a multiple of 4
  quads: u32, // vec4s of k in this dispatch
  k: u32, // length of k
  base: u32, // element index of x[0, 0]
  batch_rows: u32,
  stride_b: u32,
  stride_m: u32,
  stride_k: u32,
  rows_base: u32, // vec4 index of the first row made here
  pitch: u32, // vec4s in a row of rows
  factors_base: u32, // index of the factor of the first row made here; may wrap, as base
  call_base: u32, // index of the first scale of the call's; may wrap, as base
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<f32>>;
#if PERM
@group(0) @binding(3) var<storage, read> permutation: array<u32>;
#endif
#if SCALED
@group(0) @binding(4) var<storage, read> input_scale: array<f32>;
#endif
#if FACTORS
@group(0) @binding(5) var<storage, read> factors: array<f32>;
#endif
#if CALL_SCALED
@group(0) @binding(6) var<storage, read> call_scale: array<f32>;
#endif

fn element_at(at: u32) -> f32 {
#if X == 0
  return bitcast<f32>(x[at]);
#elif X == 2
  return float_from_half(sixteen_bits(x[at / 2u], at));
#elif X == 3
  return float_from_bfloat(sixteen_bits(x[at / 2u], at));
#else
#error X must be 0, 2 or 3
#endif
}

fn element(row: u32, k: u32) -> f32 {
  if (k >= params.k) { return 0.0; }
#if PERM
  let input = permutation[k];
#else
  let input = k;
#endif
  var value = element_at(row + input * params.stride_k);
#if SCALED
  value *= input_scale[input];
#endif
#if CALL_SCALED
  value *= call_scale[params.call_base + input];
#endif
  return value;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = linear_index(workgroup, workgroups) * 64u + lane;
  let i = index / params.quads;
  if (i >= params.m) { return; }
  let m = params.first_m + i;
  let k = params.first_k + 4u * (index % params.quads);
  let row = params.base + (m / params.batch_rows) * params.stride_b + (m % params.batch_rows) * params.stride_m;
  var values = vec4<f32>(element(row, k), element(row, k + 1u), element(row, k + 2u), element(row, k + 3u));
#if FACTORS
  values *= factors[params.factors_base + i];
#endif
  rows[params.rows_base + i * params.pitch + k / 4u] = values;
}
