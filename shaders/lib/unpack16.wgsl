// 16-bit floats out of u32s that hold two of them, the first in the low half. Halves are converted by the hardware, which may take
// subnormals for 0; lib/float16.wgsl converts them exactly.

fn unpack_halves(pairs: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(pairs.x), unpack2x16float(pairs.y));
}

fn unpack_bfloats(pairs: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(pairs.x << 16u, pairs.x & 0xffff0000u, pairs.y << 16u, pairs.y & 0xffff0000u));
}

// Element `at` of an array, from the pair that holds it.
fn half_in(pair: u32, at: u32) -> f32 {
  let both = unpack2x16float(pair);
  return select(both.x, both.y, at % 2u == 1u);
}

fn bfloat_in(pair: u32, at: u32) -> f32 {
  return bitcast<f32>(select(pair << 16u, pair & 0xffff0000u, at % 2u == 1u));
}
