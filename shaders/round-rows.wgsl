// y = the f32 sums, rounded to f16 or bf16 or requantized to int8, for a y whose rows do not start on whole words.
// One invocation makes one u32 of y. Elements of that word which are not y's own keep their bits.
//
// sums   [m, n] f32, bias included, without gaps
// quant  [2, n] the output scale (f32 bits), then the output offset (i32), for int8 only
// y      element `first` on: f16 or bf16 (two in a u32) or int8 (four in a u32)

#include "lib/requantize.wgsl"
#include "lib/grid.wgsl"

#param Y 1 2 3 // y is: 1 f16, 2 bf16, 3 int8

#if Y == 3
const WIDTH = 4u; // elements of a word
#else
const WIDTH = 2u;
#endif
const BITS = 32u / WIDTH;
const ELEMENT = (1u << BITS) - 1u;

struct Params {
  count: u32, // m · n
  n: u32,
  first: u32, // element index of y[0, 0]
  first_word: u32, // the word that holds it
  quant_pitch: u32, // u32s in a row of quant
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
#if Y == 3
@group(0) @binding(2) var<storage, read> quant: array<u32>;
#endif
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

fn element(at: u32) -> u32 {
#if Y == 1
  return half_from_float(sums[at]);
#elif Y == 2
  return bfloat_from_float(sums[at]);
#else
  let n = at % params.n;
  return requantize(sums[at], bitcast<f32>(quant[n]), bitcast<i32>(quant[params.quant_pitch + n]));
#endif
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let word = params.first_word + linear_index(workgroup, workgroups) * 64u + lane;
  if (word * WIDTH >= params.first + params.count) {
    return;
  }
  var bits = y[word];
  for (var i = 0u; i < WIDTH; i++) {
    let at = word * WIDTH + i - params.first; // wraps to a large number before the first element
    if (at < params.count) {
      bits = (bits & ~(ELEMENT << (BITS * i))) | (element(at) << (BITS * i));
    }
  }
  y[word] = bits;
}
