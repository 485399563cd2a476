// out[g, n] = source[g, n], for scales, offsets and bias of any accepted shape; n past the end becomes 0.
// One invocation makes one u32 of out.
//
// source  as elements base + g·stride_g + n·stride_n: f32, f16, bf16, i32, bytes, or the 64-bit packed scale of Ascend (its low word)
// out     [g, n]: f32; or the 8 or 16 bits of source, as many to a u32 as it holds

#include "lib/float16.wgsl"
#include "lib/grid.wgsl"

#param SOURCE 0 1 2 3 4 5 // source is: 0 f32, 1 f16, 2 bf16, 3 i32, 4 a 64-bit packed scale, 5 bytes
#param ELEMENT 8 16 32 // bits of an element of out
#let IN_U32 32 / ELEMENT

#if ELEMENT == 16 && SOURCE != 1 && SOURCE != 2 || ELEMENT == 8 && SOURCE != 5
#error narrow elements keep their bits: ELEMENT must be that of SOURCE
#endif
#if ELEMENT == 32 && SOURCE == 5
#error bytes keep their bits: ELEMENT must be 8
#endif

struct Params {
  n: u32, // columns that source has
  groups: u32,
  base: u32, // element index of source's (0, first column)
  stride_g: u32,
  stride_n: u32,
  out_base: u32, // index of the first u32 made here
  out_pitch: u32, // u32s in a row of out
  out_count: u32, // u32s of a row that are made here
  out_step: u32, // u32s from one to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// The bits of an element as out has them.
fn element(g: u32, n: u32) -> u32 {
  if (n >= params.n) { return 0u; }
  let at = params.base + g * params.stride_g + n * params.stride_n;
#if ELEMENT == 16
  return sixteen_bits(source[at / 2u], at);
#elif ELEMENT == 8
  return extractBits(source[at / 4u], 8u * (at % 4u), 8u);
#elif SOURCE == 0
  return source[at];
#elif SOURCE == 1
  return bitcast<u32>(float_from_half(sixteen_bits(source[at / 2u], at)));
#elif SOURCE == 2
  return bitcast<u32>(float_from_bfloat(sixteen_bits(source[at / 2u], at)));
#elif SOURCE == 3
  return bitcast<u32>(f32(bitcast<i32>(source[at])));
#elif SOURCE == 4
  return source[2u * at] & 0xffffe000u; // 10 bits of mantissa; whatever the low 13 bits hold
#else
#error SOURCE must be 0, 1, 2, 3, 4 or 5, and ELEMENT 8, 16 or 32
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = linear_index(workgroup, workgroups) * 64u + lane;
  let g = index / params.out_count;
  let at = index % params.out_count;
  if (g >= params.groups) { return; }
  var bits = 0u;
  for (var i = 0u; i < IN_U32; i++) {
    bits |= element(g, IN_U32 * at + i) << ((ELEMENT % 32u) * i);
  }
  out[params.out_base + g * params.out_pitch + at * params.out_step] = bits;
}
