// code[n, k] = round(w[n, k] / scale[n, g]) + zero[n, g], scale[n, g] = (largest - smallest w of group g and 0) / (2^BITS - 1), rounded up
// One invocation makes one group: its scale, its zero, its codes. src/quantize/grid.ts has the same rule, and both agree in every bit.
//
// w      [n, k]     f32, or f16 or bf16 two to a u32; element e = w_base + n·k + k'
// codes  [n, words] u32: unsigned, first in the lowest bits, 0 past the last k
// grids  [n, g]     scale as f32 bits (Inf: float16 has none as large; NaN: a weight is not finite or beyond 2^126), zero
// sums   [n, g, 3]  Σ w² and Σ (w - ŵ)² in units of scale², so that they stay within f32, and the largest |w - ŵ|; ŵ is what the code stands for
//
// WGSL leaves the last bits of a division open. So scales are divided as integers, and a quotient that decides on a code is only a first
// guess, which a product of integers puts right. Groups start at whole words of codes; the last may be short.

#include "lib/float16.wgsl"
#include "lib/weights.wgsl"
#include "lib/grid.wgsl"

#param W 0 1 2 // w is: 0 f32, 1 f16, 2 bf16
#param SYMMETRIC 0 1 // scale = largest |w| / (2^(BITS-1) - 1), zero = 2^(BITS-1)
#param SUMS 0 1 // make sums

struct Params {
  n: u32, // rows of this dispatch
  k: u32,
  group_size: u32,
  groups: u32, // in a row
  words: u32, // in a row
  mantissa: u32, // bits of mantissa of a scale: 24 for float32, 11 for float16, 8 for bfloat16
  w_base: u32,
  codes_base: u32,
  grids_base: u32,
  sums_base: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<u32>;
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
@group(0) @binding(3) var<storage, read_write> grids: array<vec2<u32>>;
#if SUMS
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
#endif

const TOP = (1u << BITS) - 1u;
const MIDDLE = 1u << (BITS - 1u);
#if SYMMETRIC
const STEPS = MIDDLE - 1u;
#else
const STEPS = TOP;
#endif
const LARGEST_BITS = 0x7e800000u; // 2^126

fn read_w(e: u32) -> f32 {
#if W == 0
  return bitcast<f32>(w[e]);
#elif W == 1
  return float_from_half(sixteen_bits(w[e / 2u], e));
#elif W == 2
  return float_from_bfloat(sixteen_bits(w[e / 2u], e));
#else
#error W must be 0, 1 or 2
#endif
}

// 2^e of a normal f32.
fn power(e: i32) -> f32 {
  return bitcast<f32>(u32(e + 127) << 23u);
}

// The smallest scale that is at least width / STEPS.
fn scale_for(width: f32) -> f32 {
  if (width == 0.0) { return 1.0; }
  let half = params.mantissa == 11u;
  let bits = bitcast<u32>(width);
  let e = i32(bits >> 23u) - 158; // width = dividend · 2^e
  let dividend = ((bits & 0x7fffffu) | 0x800000u) << 8u;
  let quotient = dividend / STEPS; // 24 bits or more
  let last = 31u - countLeadingZeros(quotient);
  let least = select(-100, -24, half);
  if (i32(last) + e < least) { return power(least); }
  let unit = max(i32(last) + e + 1 - i32(params.mantissa), select(-127, -24, half));
  let dropped = u32(unit - e);
  let cut = quotient >> dropped;
  let exact = (cut << dropped) == quotient && quotient * STEPS == dividend;
  return f32(cut + select(1u, 0u, exact)) * power(unit);
}

// |size| / scale to the nearest whole number, ties to even; at most 256.
fn nearest(size: f32, scale: f32) -> u32 {
  let a = bitcast<u32>(size) & 0x7fffffffu;
  let s = bitcast<u32>(scale);
  let up = i32(a >> 23u) - i32(s >> 23u) + 1;
  if (up < 0) {
    return 0u; // less than half a scale
  }
  // The guess is at most 1 below, or the nearest already. Is size more than guess + 1/2 scales? Ask 2 · size > (2 · guess + 1) · scale,
  // mantissas without rounding, of which the last 12 bits are kept apart.
  let guess = min(u32(abs(size) / scale), 255u);
  let odd = 2u * guess + 1u;
  let size_mantissa = (a & 0x7fffffu) | 0x800000u;
  let scale_mantissa = (s & 0x7fffffu) | 0x800000u;
  let left = vec2<u32>(size_mantissa >> u32(12 - up), (size_mantissa << u32(up)) & 0xfffu);
  let low = odd * (scale_mantissa & 0xfffu);
  let right = vec2<u32>(odd * (scale_mantissa >> 12u) + (low >> 12u), low & 0xfffu);
  // A tie goes up from an odd guess.
  let more = left.x > right.x || (left.x == right.x && left.y + (guess & 1u) > right.y);
  return guess + select(0u, 1u, more);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = linear_index(workgroup, workgroups) * 64u + lane;
  if (index >= params.n * params.groups) { return; }
  let n = index / params.groups;
  let first = (index % params.groups) * params.group_size;
  let last = min(params.k, first + params.group_size);
  let row = params.w_base + n * params.k;
  var low = 0.0;
  var high = 0.0;
  var bad = false;
  for (var k = first; k < last; k++) {
    let value = read_w(row + k);
    bad |= (bitcast<u32>(value) & 0x7fffffffu) > LARGEST_BITS; // asked of the bits: a compiler may assume that floats are finite
    low = min(low, value);
    high = max(high, value);
  }
#if SYMMETRIC
  let scale = scale_for(max(high, -low));
  let zero = MIDDLE;
#else
  let scale = scale_for(high - low);
  let zero = nearest(low, scale);
#endif
  let overflown = params.mantissa == 11u && scale > 65504.0;
  let failed = bad || overflown;
  let marked = select(select(bitcast<u32>(scale), INF_BITS, overflown), NAN_BITS, bad);
  grids[params.grids_base + index] = vec2<u32>(marked, zero);

#if SUMS
  var squares = vec2<f32>(); // of w, and of w - ŵ
  var largest = 0.0;
#endif
  let words = params.codes_base + n * params.words;
  for (var k = first; k < last && !failed; k += CODES) {
    var word = 0u;
#if SUMS
    var of_word = vec2<f32>(); // added up apart: a long sum of small numbers loses less
#endif
    for (var i = 0u; i < CODES && k + i < last; i++) {
      let value = read_w(row + k + i);
      let size = i32(nearest(value, scale));
      let code = clamp(i32(zero) + select(size, -size, value < 0.0), 0, i32(TOP));
      word |= u32(code) << (BITS * i);
#if SUMS
      let error = value - scale * f32(code - i32(zero));
      let in_scales = vec2<f32>(value, error) / scale;
      of_word += in_scales * in_scales;
      largest = max(largest, abs(error));
#endif
    }
    codes[words + k / CODES] = word;
#if SUMS
    squares += of_word;
#endif
  }
#if SUMS
  let out = params.sums_base + 3u * index;
  sums[out] = squares.x;
  sums[out + 1u] = squares.y;
  sums[out + 2u] = largest;
#endif
}
