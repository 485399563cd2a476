// float16 and bfloat16 as bits, by integer arithmetic: rounding to nearest even, overflow to Inf, subnormals and NaN kept.
// WGSL leaves rounding, overflow and subnormals of its own conversions to the implementation; results must not depend on it.

const INF_BITS = 0x7f800000u;

fn half_from_float(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > INF_BITS) {
    return sign | 0x7e00u;
  }
  if (magnitude >= 0x477ff000u) { // 65520: half a step beyond the largest half
    return sign | 0x7c00u;
  }
  if (magnitude >= 0x38800000u) { // a normal half: drop 13 bits, rebias the exponent
    return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
  }
  if (magnitude < 0x33000000u) { // below half of the smallest subnormal
    return sign;
  }
  let shift = 126u - (magnitude >> 23u);
  let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  let half = mantissa >> shift;
  let rest = mantissa & ((1u << shift) - 1u);
  let middle = 1u << (shift - 1u);
  return sign | (half + u32(rest > middle || (rest == middle && (half & 1u) == 1u)));
}

fn float_from_half(half: u32) -> f32 {
  let sign = (half & 0x8000u) << 16u;
  let magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    return bitcast<f32>(sign | INF_BITS | ((magnitude & 0x3ffu) << 13u));
  }
  if (magnitude < 0x400u) {
    return bitcast<f32>(sign | bitcast<u32>(f32(magnitude) * 0x1p-24));
  }
  return bitcast<f32>(sign | ((magnitude << 13u) + 0x38000000u));
}

fn bfloat_from_float(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if ((bits & 0x7fffffffu) > INF_BITS) {
    return ((bits >> 16u) & 0x8000u) | 0x7fc0u;
  }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

fn float_from_bfloat(bfloat: u32) -> f32 {
  return bitcast<f32>(bfloat << 16u);
}

// Is one of them Inf or NaN? Asked of the bits: a compiler may assume that floats are finite.
fn any_nonfinite(v: vec4<f32>) -> bool {
  return any((bitcast<vec4<u32>>(v) & vec4<u32>(INF_BITS)) == vec4<u32>(INF_BITS));
}
