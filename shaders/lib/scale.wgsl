// Scales and offsets of groups, as f32, and what they make of codes. With g the group of k, W[k, n] is one of
// (q[k, n] + offset[g, n]) · scale[g, n], code[k, n] · scale[g, n] + minimum[g, n], and codebook[code[k, n]] · scale[g, n].
//
// scale   [groups, n]  f32, or two f16 or bf16 in a u32
// offset  [groups, n]  as scale; the minimum where OFFSET is 2
//
// An index `at` in a row counts what a load brings: READ columns. `zero` is added to a code: offset - ZERO, before scaling; with
// OFFSET 2 it is the minimum, added after scaling. With ROUND it is the offset alone, since q + offset is then rounded once.

#include "lib/operands.wgsl"
#include "lib/unpack16.wgsl"
#include "lib/codebook.wgsl"

#param SCALE 0 1 2 // scale and offset are: 0 f32, 1 f16, 2 bf16
#param ROUND 0 1 2 // a weight is rounded: 0 not at all, 1 to f16, 2 to bf16
#param OFFSET 0 1 2 // what is added: 0 nothing, 1 offset, to the code before scaling, 2 offset as a minimum, after scaling

#if ROUND
#include "lib/float16.wgsl"
#endif

#if CODEBOOK && OFFSET
#error nothing is added to the values of a codebook: OFFSET must be 0
#endif

// What holds the scales of a load; of one column, two of 16 bits are in a u32.
#if SCALE == 0
alias Scales = Columns;
#elif READ == 4
alias Scales = vec2<u32>;
#elif READ == 1
alias Scales = u32;
#else
#error READ must be 1 or 4
#endif

@group(0) @binding(3) var<storage, read> scale: array<Scales>;
#if OFFSET
@group(0) @binding(4) var<storage, read> offset: array<Scales>;
#endif

// The index in all of scale or offset, and the element of the binding that has it.
fn scale_index(group: u32, at: u32) -> u32 {
  return group * params.w_pitch * (4u / READ) + at;
}

fn scale_slot(index: u32) -> u32 {
#if READ == 4 || SCALE == 0
  return index;
#elif READ == 1
  return index / 2u;
#else
#error READ must be 1 or 4
#endif
}

// What is there for the index, as f32.
fn widen_scale(s: Scales, index: u32) -> Columns {
#if SCALE == 0
  return s;
#elif SCALE == 1 && READ == 4
  return unpack_halves(s);
#elif SCALE == 2 && READ == 4
  return unpack_bfloats(s);
#elif SCALE == 1 && READ == 1
  return half_in(s, index);
#elif SCALE == 2 && READ == 1
  return bfloat_in(s, index);
#else
#error SCALE must be 0, 1 or 2, and READ 1 or 4
#endif
}

fn scale_at(group: u32, at: u32) -> Columns {
  let index = scale_index(group, at);
  return widen_scale(scale[scale_slot(index)], index);
}

#if OFFSET
fn offset_at(group: u32, at: u32) -> Columns {
  let index = scale_index(group, at);
  return widen_scale(offset[scale_slot(index)], index);
}
#endif

fn zero_at(group: u32, at: u32) -> Columns {
#if OFFSET == 0
  return Columns(-ZERO);
#elif OFFSET == 1 && !ROUND
  return offset_at(group, at) - Columns(ZERO);
#elif OFFSET == 1
  return offset_at(group, at);
#elif OFFSET == 2
  return offset_at(group, at);
#else
#error OFFSET must be 0, 1 or 2
#endif
}

// Those of a quad, whatever READ is.
fn read_scale(group: u32, quad: u32) -> vec4<f32> {
#if READ == 4
  return scale_at(group, quad);
#elif READ == 1
  let at = 4u * quad;
  return vec4<f32>(scale_at(group, at), scale_at(group, at + 1u), scale_at(group, at + 2u), scale_at(group, at + 3u));
#else
#error READ must be 1 or 4
#endif
}

fn read_zero(group: u32, quad: u32) -> vec4<f32> {
#if READ == 4
  return zero_at(group, quad);
#elif READ == 1
  let at = 4u * quad;
  return vec4<f32>(zero_at(group, at), zero_at(group, at + 1u), zero_at(group, at + 2u), zero_at(group, at + 3u));
#else
#error READ must be 1 or 4
#endif
}

// The weight that code i of each word means.
fn weight(words: vec4<u32>, i: u32, s: vec4<f32>, zero: vec4<f32>) -> vec4<f32> {
  return weight_of_value(value(words, i), s, zero);
}

fn weight_of_value(v: vec4<f32>, s: vec4<f32>, zero: vec4<f32>) -> vec4<f32> {
#if CODEBOOK
  return rounded(v * s);
#elif OFFSET == 1 && ROUND
  let q = vec4<f32>(vec4<i32>(v) - i32(ZERO)); // as integers: no compiler then adds zero to ZERO first, which may round
  return rounded(rounded(q + zero) * s);
#elif OFFSET == 0 || OFFSET == 1
  return rounded((v + zero) * s);
#elif OFFSET == 2
  return rounded(rounded(v * s) + zero);
#else
#error OFFSET must be 0, 1 or 2
#endif
}

// A part of a weight, rounded to x's dtype if that is asked for. By integers: the result must not depend on the device's conversions, and
// no compiler can fuse what is before it with what is behind it.
#if ROUND == 0
fn rounded(v: vec4<f32>) -> vec4<f32> { return v; }
#elif ROUND == 1
fn rounded(v: vec4<f32>) -> vec4<f32> { return floats_from_halves(halves_from_floats(v)); }
#elif ROUND == 2
fn rounded(v: vec4<f32>) -> vec4<f32> { return bitcast<vec4<f32>>(bfloats_from_floats(v) << vec4<u32>(16u)); }
#else
#error ROUND must be 0, 1 or 2
#endif

// block_sum: what a block adds to y, of its sums of x · code and of x. Offsets cost nothing in the inner loop.
// first_sum, begun_sum: the same in two parts, where the sum of x is known before the products: what their sum begins with, and what the
// whole of it adds.
#if OFFSET == 0 || OFFSET == 1
fn block_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * (sum + zero * x_sum); }
fn first_sum(x_sum: f32, zero: Columns) -> Columns { return zero * x_sum; }
fn begun_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * sum; }
#elif OFFSET == 2
fn block_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * sum + zero * x_sum; }
fn first_sum(x_sum: f32, zero: Columns) -> Columns { return Columns(); }
fn begun_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * sum + zero * x_sum; }
#else
#error OFFSET must be 0, 1 or 2
#endif
