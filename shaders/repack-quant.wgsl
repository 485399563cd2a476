// out[0, n] = the output scale with 10 bits of mantissa (f32 bits); out[1, n] = the output offset, an integer in [-256, 255].
// One invocation makes one column.
//
// scale   one element for all columns (stride 0) or one for each: f32, or the 64-bit packed scale, which holds the offset too
// offset  f32, as scale; only beside an f32 scale

#include "lib/grid.wgsl"

#param SOURCE 0 4 // scale is, as in repack-scale.wgsl: 0 f32, 4 a 64-bit packed scale
#param QUANT_OFFSET 0 1 // is there an offset beside an f32 scale?

#if SOURCE == 4 && QUANT_OFFSET
#error a 64-bit packed scale holds its own offset
#endif

struct Params {
  n: u32, // columns
  stride: u32, // elements from one column to the next: 0 or 1
  scale_base: u32, // element index of the first scale
  offset_base: u32,
  out_pitch: u32, // u32s in a row of out
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scale: array<u32>;
#if QUANT_OFFSET
@group(0) @binding(2) var<storage, read> offset: array<u32>;
#endif
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = linear_index(workgroup, workgroups) * 64u + lane;
  if (n >= params.n) { return; }
  let at = params.scale_base + n * params.stride;
#if SOURCE == 4
  out[n] = scale[2u * at] & 0xffffe000u;
  out[params.out_pitch + n] = bitcast<u32>(extractBits(bitcast<i32>(scale[2u * at + 1u]), 5u, 9u)); // bits 37 to 45, signed
#elif SOURCE == 0
  out[n] = scale[at] & 0xffffe000u;
#if QUANT_OFFSET
  let value = bitcast<f32>(offset[params.offset_base + n * params.stride]);
  out[params.out_pitch + n] = bitcast<u32>(i32(round(clamp(value, -256.0, 255.0))));
#else
  out[params.out_pitch + n] = 0u;
#endif
#else
#error SOURCE must be 0 or 4
#endif
}
