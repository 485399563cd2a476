// y = the f32 sums, added up over the splits of k, as they are or rounded to f16 or bf16 or requantized to int8, for a y whose rows are not
// whole quads and for kernels that split k between workgroups. With `adds` floats are first added to what y holds. With `act` an element of y
// is a gated linear unit of two sums: lib/glu.wgsl. With PAIRS a row of y is the weighted sum of `top` rows, those of its experts, and y may have
// a twin: y times a scale of each column.
// One invocation makes one u32 of y. Elements of that word which are not of y keep their bits.
//
// sums   [splits, m, pitch] f32, the bias in the first split; added in order, so that y is the same every time
// quant  [2, n] the output scale (f32 bits), then the output offset (i32), for int8 only
// pair_weights  [rows, top] f32, and twin_scale [n] f32, for PAIRS only
// y      element `first` on: f32, f16 or bf16 (two in a u32) or int8 (four in a u32)

#include "lib/requantize.wgsl"
#include "lib/unpack16.wgsl"
#include "lib/grid.wgsl"
#include "lib/glu.wgsl"

#param PAIRS 0 1 // a row of y is: 0 a row of sums, 1 a weighted sum of `top` of them
#param Y 0 1 2 3 // y is: 0 f32, 1 f16, 2 bf16, 3 int8

const ELEMENTS = array<u32, 4>(1u, 2u, 2u, 4u)[Y]; // of a word
const ELEMENT_BITS = 32u / ELEMENTS;
const ELEMENT_MASK = 0xffffffffu >> (32u - ELEMENT_BITS);

#if Y != 3
// Element i of a word of y.
fn held(word: u32, i: u32) -> f32 {
#if Y == 0
  return bitcast<f32>(word);
#elif Y == 1
  return half_in(word, i);
#elif Y == 2
  return bfloat_in(word, i);
#else
#error Y must be 0, 1, 2 or 3
#endif
}
#endif

struct Params {
  count: u32, // m · n
  n: u32,
  pitch: u32, // f32s in a row of sums: n of them, or 2 n with `act`
  first: u32, // element index of y[0, 0]
  first_word: u32, // the word that holds it
  quant_pitch: u32, // u32s in a row of quant
  splits: u32,
  split_pitch: u32, // f32s in a split
  adds: u32, // 1: they are added to what y holds
  act: u32, // the activation of a gated linear unit; 0 if y is the sums
  top: u32, // rows of sums for a row of y
  weights_base: u32, // element of pair_weights
  twin: u32, // words from a word of y to its twin; 0: there is none
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
#if Y == 3
@group(0) @binding(2) var<storage, read> quant: array<u32>;
#endif
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
#if PAIRS
@group(0) @binding(4) var<storage, read> pair_weights: array<f32>;
@group(0) @binding(5) var<storage, read> twin_scale: array<f32>;
#if Y == 3
#error sums of pairs are no int8: Y must be 0, 1 or 2
#endif
#endif

// Element `first` of sums, added up over the splits.
fn sum_at(first: u32) -> f32 {
  var sum = sums[first];
  for (var split = 1u; split < params.splits; split++) {
    sum += sums[first + split * params.split_pitch];
  }
  return sum;
}

// Element `column` of a row of y.
#if PAIRS
fn element(row: u32, column: u32) -> f32 {
  var sum = 0.0;
  for (var pair = row * params.top; pair < (row + 1u) * params.top; pair++) {
    sum = fma(pair_weights[params.weights_base + pair], sum_at(pair * params.pitch + column), sum);
  }
  return sum;
}
#else
fn element(row: u32, column: u32) -> f32 {
  let first = row * params.pitch;
  if (params.act == 0u) { return sum_at(first + column); }
  let gate = first + 4u * (column / 2u) + column % 2u;
  return gated(params.act, vec4<f32>(sum_at(gate), 0.0, sum_at(gate + 2u), 0.0)).x;
}
#endif

// Four floats as a word of y has them, each in a word of its own.
#if Y == 0
fn rounded_floats(values: vec4<f32>) -> vec4<u32> { return bitcast<vec4<u32>>(values); }
#elif Y == 1
fn rounded_floats(values: vec4<f32>) -> vec4<u32> { return halves_from_floats(values); }
#elif Y == 2
fn rounded_floats(values: vec4<f32>) -> vec4<u32> { return bfloats_from_floats(values); }
#endif

// Puts elements of a word, the first of which is element `at` of the sums; the others keep their bits.
fn put(word: u32, at: u32, rounded: vec4<u32>) {
  var bits = y[word];
  for (var i = 0u; i < ELEMENTS; i++) {
    if (at + i < params.count) {
      bits = (bits & ~(ELEMENT_MASK << (ELEMENT_BITS * i))) | (rounded[i] << (ELEMENT_BITS * i));
    }
  }
  y[word] = bits;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let word = params.first_word + linear_index(workgroup, workgroups) * 64u + lane;
  if (word * ELEMENTS >= params.first + params.count) { return; }
  // Element i of the word is sum `at + i`; before the first and past the last one, `at` is no index of sums.
  let at = word * ELEMENTS - params.first; // wraps to a large number before the first element
  var values = vec4<f32>(0.0);
  for (var i = 0u; i < ELEMENTS; i++) {
    if (at + i < params.count) {
      var sum = element((at + i) / params.n, (at + i) % params.n);
#if Y != 3
      if (params.adds != 0u) {
        sum += held(y[word], i);
      }
#endif
      values[i] = sum;
    }
  }
#if Y == 3
  var scales = vec4<f32>(0.0);
  var offsets = vec4<i32>(0);
  for (var i = 0u; i < ELEMENTS; i++) {
    let n = (at + i) % params.n;
    scales[i] = bitcast<f32>(quant[n]);
    offsets[i] = bitcast<i32>(quant[params.quant_pitch + n]);
  }
  let rounded = requantize(values, scales, offsets);
#elif Y != 3
  let rounded = rounded_floats(values);
#endif
  put(word, at, rounded);
#if PAIRS
  if (params.twin != 0u) {
    for (var i = 0u; i < ELEMENTS; i++) {
      values[i] *= twin_scale[(at + i) % params.n];
    }
    put(word + params.twin, at, rounded_floats(values));
  }
#endif
}
