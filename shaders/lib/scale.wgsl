// Scales and offsets of a group, as f32, and what they make of codes. `at` counts what a load brings: READ columns. Part of
// lib/operands.wgsl, which has the bindings.
//
// A zero is what comes to a code or its sums beside the scale: the offset less the code of weight 0, which is scaled too; or a minimum
// (OFFSET 2), which is not.

#if READ == 4
fn widen_scale(s: Scales) -> vec4<f32> {
#if SCALE == 0
  return s;
#elif SCALE == 1
  return vec4<f32>(unpack2x16float(s.x), unpack2x16float(s.y));
#else
  return bitcast<vec4<f32>>(vec4<u32>(s.x << 16u, s.x & 0xffff0000u, s.y << 16u, s.y & 0xffff0000u));
#endif
}

fn scale_at(group: u32, at: u32) -> vec4<f32> {
  return widen_scale(scale[group * params.w_pitch + at]);
}

fn zero_at(group: u32, at: u32) -> vec4<f32> {
#if OFFSET == 2
  return widen_scale(offset[group * params.w_pitch + at]);
#elif OFFSET
  return widen_scale(offset[group * params.w_pitch + at]) - vec4<f32>(ZERO);
#else
  return vec4<f32>(-ZERO);
#endif
}

// Of a quad, whatever READ is.
fn read_scale(group: u32, quad: u32) -> vec4<f32> {
  return scale_at(group, quad);
}

fn read_zero(group: u32, quad: u32) -> vec4<f32> {
  return zero_at(group, quad);
}
#else
// The scale of one of the columns that share a load.
fn widen_scale(s: Scales, column: u32) -> f32 {
#if SCALE == 0
  return s;
#elif SCALE == 1
  let pair = unpack2x16float(s);
  return select(pair.x, pair.y, column % 2u == 1u);
#else
  return bitcast<f32>(select(s << 16u, s & 0xffff0000u, column % 2u == 1u));
#endif
}

fn scale_at(group: u32, at: u32) -> f32 {
  let column = 4u * group * params.w_pitch + at;
#if SCALE == 0
  return scale[column];
#else
  return widen_scale(scale[column / 2u], column);
#endif
}

fn zero_at(group: u32, at: u32) -> f32 {
#if OFFSET == 2
  return offset_at(group, at);
#elif OFFSET
  return offset_at(group, at) - ZERO;
#else
  return -ZERO;
#endif
}

#if OFFSET
fn offset_at(group: u32, at: u32) -> f32 {
  let column = 4u * group * params.w_pitch + at;
#if SCALE == 0
  return offset[column];
#else
  return widen_scale(offset[column / 2u], column);
#endif
}
#endif

// Of a quad, whatever READ is.
fn read_scale(group: u32, quad: u32) -> vec4<f32> {
  let at = 4u * quad;
  return vec4<f32>(scale_at(group, at), scale_at(group, at + 1u), scale_at(group, at + 2u), scale_at(group, at + 3u));
}

fn read_zero(group: u32, quad: u32) -> vec4<f32> {
  let at = 4u * quad;
  return vec4<f32>(zero_at(group, at), zero_at(group, at + 1u), zero_at(group, at + 2u), zero_at(group, at + 3u));
}
#endif

// What code i of each word means: its weight.
fn weight(words: vec4<u32>, i: u32, s: vec4<f32>, zero: vec4<f32>) -> vec4<f32> {
#if TABLE
  return value(words, i) * s;
#elif OFFSET == 2
  return code(words, i) * s + zero;
#else
  return (code(words, i) + zero) * s;
#endif
}

// What a group adds to y, of its sums of x · code and of x: offsets cost nothing in the inner loop.
fn group_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns {
#if OFFSET == 2
  return s * sum + zero * x_sum;
#else
  return s * (sum + zero * x_sum);
#endif
}
