// f32 → int8 as the hardware does it: scale, round to nearest even, clamp to 9 bits, then add the offset and clamp to 8.
// scale has 10 mantissa bits, offset is in [-256, 255]. NaN becomes 0, ±Inf saturates.

#include "lib/float16.wgsl"

fn requantize(sum: f32, scale: f32, offset: i32) -> u32 {
  let scaled = sum * scale;
  let magnitude = bitcast<u32>(scaled) & 0x7fffffffu;
  if (magnitude > INF_BITS) {
    return 0u;
  }
  // Inf is met in its bits, before a comparison of floats could be assumed away.
  let large = select(256.0, -256.0, (bitcast<u32>(scaled) >> 31u) == 1u);
  let finite = select(scaled, large, magnitude >= 0x43800000u); // |scaled| >= 256
  let rounded = clamp(i32(round(finite)), -256, 255);
  return bitcast<u32>(clamp(rounded + offset, -128, 127)) & 0xffu;
}
