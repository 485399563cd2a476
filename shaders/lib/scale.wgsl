// Scales of groups and what is added to codes, as f32, out of the forms that they are held in (docs/format.md).
//
// SCALE   scale   [groups, n]                        offset
// 0 1 2   f32; f16 or bf16, two in a u32             [groups, n], as scale; of OFFSET 4 bytes, four in a u32
// 3       bytes with a sign, four in a u32           [k / 256, n]: units, f16, two in a u32
//         OFFSET 2: of a quad a u32 of scales,       OFFSET 2: in a u32 for each column the unit of scales and that of minima
//         then one of minima
// 4       4 bits of a scale under 4 of a minimum,    the same
//         four in a u32
// 5 6     e8m0; e4m3, four in a u32
// 7       e4m3, as 6, times a unit of all k          [1, n]: units, f32
//
// With SCALE 3 and 4 a scale is a whole number times the unit of its 256 k, and so is its minimum. Both products are exact in f32. With SCALE 7
// the product is rounded once, as the scale of a file is.
// An index `at` in a row counts what a load brings: READ columns.

#include "lib/packed.wgsl"
#include "lib/unpack16.wgsl"
#include "lib/codebook.wgsl"

#param SCALE 0 1 2 3 4 5 6 7 // a scale is: 0 f32, 1 f16, 2 bf16, 3 a byte or 4 four bits times a unit, 5 e8m0, 6 e4m3, 7 e4m3 times a unit of all k
#param ROUND 0 1 2 // a weight is rounded: 0 not at all, 1 to f16, 2 to bf16
#param OFFSET 0 1 2 3 4 // what is added: 0 nothing; before scaling 1 an offset, 3 less a zero point, 4 less one in a byte; 2 a minimum after it
#let UNITS (SCALE == 3) + (SCALE == 4)
#let ONE_UNIT SCALE == 7
#let PAIRED (SCALE == 3) * (OFFSET == 2) // does a minimum lie beside each scale?
#let IN_U32 (SCALE == 0) + 2 * (SCALE == 1) + 2 * (SCALE == 2) // floats in a u32

#if ROUND
#include "lib/float16.wgsl"
#endif

#if CODEBOOK && OFFSET
#error nothing is added to the values of a codebook: OFFSET must be 0
#endif
#if SCALE == 4 && OFFSET != 2 || SCALE == 3 && OFFSET && OFFSET != 2 || SCALE > 4 && OFFSET
#error no such scales go with what is added: SCALE, OFFSET
#endif

// What a load of 16-bit floats brings.
#if READ == 4
alias Halves = vec2<u32>;
#elif READ == 1
alias Halves = u32;
#else
#error READ must be 1 or 4
#endif

#if SCALE == 0
alias Scales = Columns;
#elif SCALE == 1 || SCALE == 2 || PAIRED
alias Scales = Halves;
#elif SCALE > 2
alias Scales = u32;
#else
#error SCALE must be 0, 1, 2, 3, 4, 5, 6 or 7
#endif
#if UNITS && OFFSET
alias Offsets = Words;
#elif UNITS
alias Offsets = Halves;
#elif ONE_UNIT
alias Offsets = Columns;
#elif OFFSET == 4
alias Offsets = u32;
#elif OFFSET != 4
alias Offsets = Scales;
#endif

@group(0) @binding(3) var<storage, read> scale: array<Scales>;
#if UNITS || ONE_UNIT || OFFSET
@group(0) @binding(4) var<storage, read> offset: array<Offsets>;
#endif

// The index in all of scale or offset, and the element of the binding that has it where a u32 holds several columns.
fn scale_index(row: u32, at: u32) -> u32 {
  return (scale_start() + row * params.w_pitch) * (4u / READ) + at;
}
fn offset_index(row: u32, at: u32) -> u32 {
  return (offset_start() + row * params.w_pitch) * (4u / READ) + at;
}
fn slot(index: u32, columns: u32) -> u32 {
#if READ == 4
  return index;
#elif READ == 1
  return index / columns;
#else
#error READ must be 1 or 4
#endif
}

// The bytes of four columns, or of the one at the index.
fn bytes_at(four: u32, index: u32) -> Words {
#if READ == 4
  return unpack4xU8(four);
#elif READ == 1
  return (four >> (8u * (index % 4u))) & 0xffu;
#else
#error READ must be 1 or 4
#endif
}

fn halves_at(pairs: Halves, index: u32) -> Columns {
#if READ == 4
  return unpack_halves(pairs);
#elif READ == 1
  return half_in(pairs, index);
#else
#error READ must be 1 or 4
#endif
}

// The units of scales and of minima.
struct Unit {
  scale: Columns,
  minimum: Columns,
}

fn unit_at(group: u32, at: u32) -> Unit {
#if ONE_UNIT
  return Unit(offset[offset_index(0u, at)], Columns());
#elif UNITS
  let index = offset_index(group * params.group_words / (256u / CODES), at);
#if !OFFSET
  return Unit(halves_at(offset[slot(index, 2u)], index), Columns());
#elif READ == 4
  let pairs = offset[index];
  let a = unpack2x16float(pairs.x);
  let b = unpack2x16float(pairs.y);
  let c = unpack2x16float(pairs.z);
  let d = unpack2x16float(pairs.w);
  return Unit(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
#elif READ == 1
  let pair = unpack2x16float(offset[index]);
  return Unit(pair.x, pair.y);
#else
#error READ must be 1 or 4
#endif
#else
  return Unit();
#endif
}

// Is the group the first of its unit?
fn begins_unit(group: u32) -> bool {
#if UNITS
  return (group * params.group_words) % (256u / CODES) == 0u;
#elif ONE_UNIT
  return group == 0u;
#else
  return false;
#endif
}

#if SCALE == 0 || SCALE == 1 || SCALE == 2
fn floats_at(s: Scales, index: u32) -> Columns {
#if SCALE == 0
  return s;
#elif SCALE == 1
  return halves_at(s, index);
#elif SCALE == 2 && READ == 4
  return unpack_bfloats(s);
#elif SCALE == 2 && READ == 1
  return bfloat_in(s, index);
#else
#error SCALE must be 0, 1 or 2, and READ 1 or 4
#endif
}
#endif

// The scale of a group.
fn scale_at(group: u32, at: u32, unit: Unit) -> Columns {
  let index = scale_index(group, at);
#if SCALE == 0 || SCALE == 1 || SCALE == 2
  return floats_at(scale[slot(index, IN_U32)], index);
#elif PAIRED && READ == 4
  return unit.scale * Columns(bytes_at(scale[index].x, index));
#elif PAIRED && READ == 1
  return unit.scale * Columns(bytes_at(scale[2u * (index / 4u)], index));
#elif SCALE == 3 && READ == 4
  return unit.scale * vec4<f32>(unpack4xI8(scale[index]));
#elif SCALE == 3 && READ == 1
  return unit.scale * f32(extractBits(bitcast<i32>(scale[index / 4u]), 8u * (index % 4u), 8u));
#elif SCALE == 4
  return unit.scale * Columns(bytes_at(scale[slot(index, 4u)] & 0x0f0f0f0fu, index));
#elif SCALE == 5
  return bitcast<Columns>(bytes_at(scale[slot(index, 4u)], index) << Words(23u));
#elif SCALE == 6 || SCALE == 7
  let exponents = bytes_at(scale[slot(index, 4u)], index);
  let own = select(bitcast<Columns>((exponents << Words(20u)) + Words(0x3c000000u)), Columns(exponents) * 0x1p-9, exponents < Words(8u));
#if ONE_UNIT
  return unit.scale * own;
#else
  return own;
#endif
#else
#error SCALE must be 0, 1, 2, 3, 4, 5, 6 or 7, and READ 1 or 4
#endif
}

// What is added to a code before scaling, less ZERO or the zero point; with OFFSET 2, to the weight after it. With ROUND an offset is alone, since
// q + offset is then rounded once.
fn zero_at(group: u32, at: u32, unit: Unit) -> Columns {
#if UNITS
  let index = scale_index(group, at);
#else
  let index = offset_index(group, at);
#endif
#if CODEBOOK
  return Columns();
#elif OFFSET == 0
  return Columns(-ZERO);
#elif OFFSET == 1 && ROUND
  return floats_at(offset[slot(index, IN_U32)], index);
#elif OFFSET == 1
  return floats_at(offset[slot(index, IN_U32)], index) - Columns(ZERO);
#elif PAIRED && READ == 4
  return unit.minimum * Columns(bytes_at(scale[index].y, index));
#elif PAIRED && READ == 1
  return unit.minimum * Columns(bytes_at(scale[2u * (index / 4u) + 1u], index));
#elif OFFSET == 2 && SCALE == 4
  return unit.minimum * Columns(bytes_at((scale[slot(index, 4u)] >> 4u) & 0x0f0f0f0fu, index));
#elif OFFSET == 2
  return floats_at(offset[slot(index, IN_U32)], index);
#elif OFFSET == 3
  return -floats_at(offset[slot(index, IN_U32)], index);
#elif OFFSET == 4
  return -Columns(bytes_at(offset[slot(index, 4u)], index));
#else
#error OFFSET must be 0, 1, 2, 3 or 4, and READ 1 or 4
#endif
}

// Both, of a quad, whatever READ is.
struct Affine {
  scale: vec4<f32>,
  zero: vec4<f32>,
}
#if READ == 4
fn affine_of(group: u32, quad: u32, unit: Unit) -> Affine {
  return Affine(scale_at(group, quad, unit), zero_at(group, quad, unit));
}
fn read_affine(group: u32, quad: u32) -> Affine {
  return affine_of(group, quad, unit_at(group, quad));
}
#elif READ == 1
fn read_affine(group: u32, quad: u32) -> Affine {
  var affine: Affine;
  for (var i = 0u; i < 4u; i++) {
    let unit = unit_at(group, 4u * quad + i);
    affine.scale[i] = scale_at(group, 4u * quad + i, unit);
    affine.zero[i] = zero_at(group, 4u * quad + i, unit);
  }
  return affine;
}
#else
#error READ must be 1 or 4
#endif

// The weight that code i of each word means.
fn weight(words: Quad, i: u32, affine: Affine) -> vec4<f32> {
  return weight_of_value(value(words, i), affine.scale, affine.zero);
}

fn weight_of_value(v: vec4<f32>, s: vec4<f32>, zero: vec4<f32>) -> vec4<f32> {
#if CODEBOOK
  return rounded(v * s);
#elif OFFSET == 1 && ROUND
  let q = vec4<f32>(vec4<i32>(v) - i32(ZERO)); // as integers: no compiler then adds zero to ZERO first, which may round
  return rounded(rounded(q + zero) * s);
#elif OFFSET == 2
  return rounded(rounded(v * s) + zero);
#elif OFFSET != 2
  return rounded(rounded(v + zero) * s);
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
// whole of it adds. Values of a codebook need no sum of x.
#if CODEBOOK
fn block_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * sum; }
fn first_sum(x_sum: f32, zero: Columns) -> Columns { return Columns(); }
fn begun_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * sum; }
#elif OFFSET == 2
fn block_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * sum + zero * x_sum; }
fn first_sum(x_sum: f32, zero: Columns) -> Columns { return Columns(); }
fn begun_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * sum + zero * x_sum; }
#elif OFFSET != 2
fn block_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * (sum + zero * x_sum); }
fn first_sum(x_sum: f32, zero: Columns) -> Columns { return zero * x_sum; }
fn begun_sum(sum: Columns, x_sum: f32, s: Columns, zero: Columns) -> Columns { return s * sum; }
#endif
