// out[g, n] = source[g, n], for scales, offsets and bias of any accepted shape; n past the end becomes 0.
// One invocation makes one u32 of out.
//
// source  as elements base + g·stride_g + n·stride_n: f32, f16, bf16, i32, or the 64-bit packed scale of Ascend (its low word)
// out     [g, n]: f32; or, PACKED, source's own 16 bits, two to a u32

#include "lib/float16.wgsl"
#include "lib/grid.wgsl"

#param SOURCE 0 1 2 3 4 // source is: 0 f32, 1 f16, 2 bf16, 3 i32, 4 a 64-bit packed scale
#param PACKED 0 1 // keep the 16 bits

#if PACKED && SOURCE != 1 && SOURCE != 2
#error PACKED keeps 16-bit elements: SOURCE must be f16 or bf16
#endif
#if SOURCE == 2 && !PACKED
#error bf16 keeps its 16 bits: only scales and offsets are bf16
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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// The bits of an element as out has them.
fn element(g: u32, n: u32) -> u32 {
  if (n >= params.n) {
    return 0u;
  }
  let at = params.base + g * params.stride_g + n * params.stride_n;
#if SOURCE == 0
  return source[at];
#elif SOURCE == 3
  return bitcast<u32>(f32(bitcast<i32>(source[at])));
#elif SOURCE == 4
  return source[2u * at] & 0xffffe000u; // 10 bits of mantissa; whatever the low 13 bits hold
#else
  let bits = (source[at / 2u] >> (16u * (at % 2u))) & 0xffffu;
#if PACKED
  return bits;
#else
  return bitcast<u32>(float_from_half(bits));
#endif
#endif
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = linear_index(workgroup, workgroups) * 64u + lane;
  let g = index / params.out_count;
  let at = index % params.out_count;
  if (g >= params.groups) {
    return;
  }
  let to = params.out_base + g * params.out_pitch + at;
#if PACKED
  out[to] = element(g, 2u * at) | (element(g, 2u * at + 1u) << 16u);
#else
  out[to] = element(g, at);
#endif
}
