// What a code stands for: itself, the value that it is the index of, of 16 in a buffer (NF4, IQ4), or a float of 4 bits, E2M1 (MXFP4, NVFP4), or
// of 8, E4M3 (FP8).
//
// codebook  [16]  f32

#include "lib/packed.wgsl"

#param CODEBOOK 0 1 2 3 // codes are: 0 numbers, 1 indices of a table of values, 2 E2M1, 3 E4M3
#let TABLE CODEBOOK == 1
#let E2M1 CODEBOOK == 2
#let E4M3 CODEBOOK == 3

#if (TABLE || E2M1) && BITS != 4
#error a codebook has 16 values: BITS must be 4
#endif
#if E4M3 && BITS != 8
#error E4M3 has 8 bits: BITS must be 8
#endif

#if TABLE
@group(0) @binding(9) var<storage, read> codebook: array<f32>;

// What code i of each word stands for, read where it lies. Kernels bring the table nearer for all but the formula.
fn value(words: Quad, i: u32) -> vec4<f32> {
  let at = (words >> vec4<u32>(BITS * i)) & MASK;
  return vec4<f32>(codebook[at.x], codebook[at.y], codebook[at.z], codebook[at.w]);
}
#elif E2M1
// Twice what the lowest four bits stand for: a whole number, which is a nibble of a constant, and a sign.
fn twice_e2m1(word: u32) -> f32 {
  let magnitude = (0xc8643210u >> ((word << 2u) & 28u)) & 15u;
  return with_sign(f32(bitcast<i32>(magnitude)), word);
}

fn with_sign(magnitude: f32, word: u32) -> f32 {
  return bitcast<f32>(bitcast<u32>(magnitude) | ((word << 28u) & 0x80000000u));
}

fn value(words: Quad, i: u32) -> vec4<f32> {
  let at = words >> vec4<u32>(BITS * i);
  return 0.5 * vec4<f32>(twice_e2m1(at.x), twice_e2m1(at.y), twice_e2m1(at.z), twice_e2m1(at.w));
}
#elif E4M3
// Codes of even and of odd k as halves in units of 2^-8: shifted, a code has its exponent and fraction where those of a half are.
fn even_halves(words: Words) -> Words {
  return ((words << Words(8u)) & Words(0x80008000u)) | ((words << Words(7u)) & Words(0x3f803f80u));
}
fn odd_halves(words: Words) -> Words {
  return (words & Words(0x80008000u)) | ((words >> Words(1u)) & Words(0x3f803f80u));
}

// By the exponent of an f32, but for the exponent 0, whose fraction is a whole number of 2^-9: subnormal halves, which a device may take for 0,
// have no part in it. A NaN is 480 here; no file with one is loaded.
fn value(words: Quad, i: u32) -> vec4<f32> {
  let code = words >> vec4<u32>(8u * i);
  let magnitude = code & vec4<u32>(127u);
  let normal = bitcast<vec4<f32>>((magnitude << vec4<u32>(20u)) + vec4<u32>(0x3c000000u));
  let either = select(normal, vec4<f32>(magnitude) * 0x1p-9, magnitude < vec4<u32>(8u));
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(either) | ((code << vec4<u32>(24u)) & vec4<u32>(0x80000000u)));
}
#else
fn value(words: Quad, i: u32) -> vec4<f32> {
  return code(words, i);
}
#endif
