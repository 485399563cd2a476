// f32 → int8 as the hardware does it: scale, round to nearest even, clamp to 9 bits, then add the offset and clamp to 8.
// scale has 10 mantissa bits, offset is in [-256, 255]. NaN becomes 0, ±Inf saturates. Four at once; the answers are bytes.

#include "lib/float16.wgsl"

fn requantize(sum: vec4<f32>, scale: vec4<f32>, offset: vec4<i32>) -> vec4<u32> {
  let scaled = sum * scale;
  let bits = bitcast<vec4<u32>>(scaled);
  let magnitude = bits & vec4<u32>(0x7fffffffu);
  // Inf is met in its bits, before a comparison of floats could be assumed away.
  let saturated = select(vec4<f32>(256.0), vec4<f32>(-256.0), (bits >> vec4<u32>(31u)) == vec4<u32>(1u));
  let bounded = select(scaled, saturated, magnitude >= vec4<u32>(0x43800000u)); // |scaled| >= 256
  let number = select(bounded, vec4<f32>(0.0), magnitude > vec4<u32>(INF_BITS));
  let rounded = clamp(vec4<i32>(round(number)), vec4<i32>(-256), vec4<i32>(255));
  let codes = clamp(rounded + offset, vec4<i32>(-128), vec4<i32>(127));
  let whole = select(codes, vec4<i32>(0), magnitude > vec4<u32>(INF_BITS));
  return bitcast<vec4<u32>>(whole) & vec4<u32>(0xffu);
}
