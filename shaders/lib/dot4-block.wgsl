// The sums of a tile over one block of k: ROWS rows of x's codes, and the packed words of four columns.
// Functions name every row: an array stays in registers everywhere only if all its indices are constants.

#param ROWS 1 2 4 // rows of y of a lane

#include "lib/operands.wgsl"
#include "lib/dot4.wgsl"

@group(0) @binding(8) var<storage, read> x_codes: array<vec4<u32>>;

alias Rows = array<vec4<f32>, ROWS>; // a quad of y in each row
alias Sums = array<vec4<i32>, ROWS>; // its integer sums over a block
alias Starts = array<u32, ROWS>; // vec4 index of each row's first block

// Word i of a block; past the last one it is repeated, and meets codes that are 0.
fn load_word(span: u32, i: u32, quad: u32) -> vec4<u32> {
  return w[min(span * SPAN_WORDS + i, params.words - 1u) * params.w_pitch + quad];
}

// Half `h` of a block.
fn load_planes(span: u32, h: u32, quad: u32) -> Planes {
  let i = h * SPAN_WORDS / 2u;
#if BITS == 4
  return planes(load_word(span, i, quad), load_word(span, i + 1u, quad));
#else
  return planes(load_word(span, i, quad), load_word(span, i + 1u, quad), load_word(span, i + 2u, quad), load_word(span, i + 3u, quad));
#endif
}

// What the sums of a block start from, which takes the planes' biases out: component `digit` of vec4 2 of the block at start[r] + at.
fn start_sums(start: Starts, at: u32, digit: u32) -> Sums {
  var sums: Sums;
  sums[0] = vec4<i32>(bitcast<i32>(x_codes[start[0] + at + 2u][digit]));
#if ROWS > 1
  sums[1] = vec4<i32>(bitcast<i32>(x_codes[start[1] + at + 2u][digit]));
#endif
#if ROWS > 2
  sums[2] = vec4<i32>(bitcast<i32>(x_codes[start[2] + at + 2u][digit]));
  sums[3] = vec4<i32>(bitcast<i32>(x_codes[start[3] + at + 2u][digit]));
#endif
  return sums;
}

// The products of half a block, whose codes are vec4 start[r] + at of row r.
fn add_halves(sums: ptr<function, Sums>, start: Starts, at: u32, p: Planes) {
  (*sums)[0] = add_half((*sums)[0], x_codes[start[0] + at], p);
#if ROWS > 1
  (*sums)[1] = add_half((*sums)[1], x_codes[start[1] + at], p);
#endif
#if ROWS > 2
  (*sums)[2] = add_half((*sums)[2], x_codes[start[2] + at], p);
  (*sums)[3] = add_half((*sums)[3], x_codes[start[3] + at], p);
#endif
}

// total + scale · (unit · integer sums + offset · sum of x), of one row; with a minimum, o is not scaled.
#if DIGITS == 2
fn end_block(total: vec4<f32>, at: u32, sum: vec4<i32>, second: vec4<i32>, s: vec4<f32>, o: vec4<f32>) -> vec4<f32> {
#else
fn end_block(total: vec4<f32>, at: u32, sum: vec4<i32>, s: vec4<f32>, o: vec4<f32>) -> vec4<f32> {
#endif
  let record = x_codes[at + 2u];
  var value = vec4<f32>(sum);
#if DIGITS == 2
  value += vec4<f32>(second) * (1.0 / SECOND);
#endif
  value *= bitcast<f32>(record.x);
#if OFFSET == 2
  return total + s * value + o * bitcast<f32>(record.z);
#else
#if OFFSET
  value += o * bitcast<f32>(record.z);
#endif
  return total + s * value;
#endif
}

fn add_block(total: ptr<function, Rows>, start: Starts, span: u32, quad: u32, s: vec4<f32>, o: vec4<f32>) {
  let at = span * BLOCK;
  var sums = start_sums(start, at, 1u);
  let p_0 = load_planes(span, 0u, quad);
  add_halves(&sums, start, at, p_0);
#if DIGITS == 2
  var seconds = start_sums(start, at, 3u);
  add_halves(&seconds, start, at + 3u, p_0);
#endif
  let p_1 = load_planes(span, 1u, quad);
  add_halves(&sums, start, at + 1u, p_1);
#if DIGITS == 2
  add_halves(&seconds, start, at + 4u, p_1);
  (*total)[0] = end_block((*total)[0], start[0] + at, sums[0], seconds[0], s, o);
#if ROWS > 1
  (*total)[1] = end_block((*total)[1], start[1] + at, sums[1], seconds[1], s, o);
#endif
#if ROWS > 2
  (*total)[2] = end_block((*total)[2], start[2] + at, sums[2], seconds[2], s, o);
  (*total)[3] = end_block((*total)[3], start[3] + at, sums[3], seconds[3], s, o);
#endif
#else
  (*total)[0] = end_block((*total)[0], start[0] + at, sums[0], s, o);
#if ROWS > 1
  (*total)[1] = end_block((*total)[1], start[1] + at, sums[1], s, o);
#endif
#if ROWS > 2
  (*total)[2] = end_block((*total)[2], start[2] + at, sums[2], s, o);
  (*total)[3] = end_block((*total)[3], start[3] + at, sums[3], s, o);
#endif
#endif
}

// Integer sums are those of q, not of codes: with a minimum this is the weight of q = 0.
fn read_offset(group: u32, quad: u32, s: vec4<f32>) -> vec4<f32> {
#if OFFSET == 2
  return widen_scale(offset[group * params.w_pitch + quad]) + s * ZERO;
#elif OFFSET
  return widen_scale(offset[group * params.w_pitch + quad]);
#else
  return vec4<f32>(0.0);
#endif
}
