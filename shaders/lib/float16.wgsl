// float16 and bfloat16 as bits, by integer arithmetic: rounding to nearest even, overflow to Inf, subnormals and NaN kept.
// WGSL leaves rounding, overflow and subnormals of its own conversions to the implementation; results must not depend on it.

const INF_BITS = 0x7f800000u;
const NAN_BITS = 0x7fc00000u;

// Without branches: this stands many times in a kernel that writes many rows.
fn halves_from_floats(values: vec4<f32>) -> vec4<u32> {
  let bits = bitcast<vec4<u32>>(values);
  let sign = (bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u);
  let magnitude = bits & vec4<u32>(0x7fffffffu);
  // A normal half: drop 13 bits and rebias the exponent; a carry moves into the exponent, as it should.
  let odd = (magnitude >> vec4<u32>(13u)) & vec4<u32>(1u);
  let normal = (magnitude - vec4<u32>(0x38000000u) + vec4<u32>(0xfffu) + odd) >> vec4<u32>(13u);
  // A subnormal one: shift the whole mantissa; from 25 on nothing is left, not even for rounding.
  let shift = min(vec4<u32>(126u) - min(magnitude >> vec4<u32>(23u), vec4<u32>(112u)), vec4<u32>(25u));
  let mantissa = (magnitude & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
  let cut = mantissa >> shift;
  let rest = mantissa & ((vec4<u32>(1u) << shift) - vec4<u32>(1u));
  let middle = vec4<u32>(1u) << (shift - vec4<u32>(1u));
  let up = (rest > middle) | ((rest == middle) & ((cut & vec4<u32>(1u)) == vec4<u32>(1u)));
  let subnormal = cut + select(vec4<u32>(0u), vec4<u32>(1u), up);

  let finite = select(normal, subnormal, magnitude < vec4<u32>(0x38800000u));
  let overflown = select(finite, vec4<u32>(0x7c00u), magnitude >= vec4<u32>(0x477ff000u)); // 65520: half a step beyond the largest
  return sign | select(overflown, vec4<u32>(0x7e00u), magnitude > vec4<u32>(INF_BITS));
}

// The 16 bits of element `at` of an array, from the u32 that holds it and its neighbour.
fn sixteen_bits(pair: u32, at: u32) -> u32 {
  return (pair >> (16u * (at % 2u))) & 0xffffu;
}

fn floats_from_halves(halves: vec4<u32>) -> vec4<f32> {
  let sign = (halves & vec4<u32>(0x8000u)) << vec4<u32>(16u);
  let magnitude = halves & vec4<u32>(0x7fffu);
  let normal = (magnitude << vec4<u32>(13u)) + vec4<u32>(0x38000000u);
  let nonfinite = vec4<u32>(INF_BITS) | normal;
  let subnormal = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 0x1p-24);
  let finite = select(normal, subnormal, magnitude < vec4<u32>(0x400u));
  return bitcast<vec4<f32>>(sign | select(finite, nonfinite, magnitude >= vec4<u32>(0x7c00u)));
}

fn float_from_half(half: u32) -> f32 {
  return floats_from_halves(vec4<u32>(half)).x;
}

fn bfloats_from_floats(values: vec4<f32>) -> vec4<u32> {
  let bits = bitcast<vec4<u32>>(values);
  let odd = (bits >> vec4<u32>(16u)) & vec4<u32>(1u);
  let rounded = (bits + vec4<u32>(0x7fffu) + odd) >> vec4<u32>(16u);
  let quiet = ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u)) | vec4<u32>(0x7fc0u);
  return select(rounded, quiet, (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(INF_BITS));
}

fn float_from_bfloat(bfloat: u32) -> f32 {
  return bitcast<f32>(bfloat << 16u);
}

// Is one of them Inf or NaN? Asked of the bits: a compiler may assume that floats are finite.
fn any_nonfinite(v: vec4<f32>) -> bool {
  return any((bitcast<vec4<u32>>(v) & vec4<u32>(INF_BITS)) == vec4<u32>(INF_BITS));
}
