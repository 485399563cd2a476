// Integer products of x's codes (lib/quantized.wgsl) with packed words, four at a time by dot4I8Packed.

requires packed_4x8_integer_dot_product;

#include "lib/quantized.wgsl"

// Half a block in four columns, and the same as bytes: one plane for each u32 of codes of x. Bytes of 4 and 8 bits come out with a sign, as q;
// others are codes, at most 63.
#let SIGNED (BITS == 4) + (BITS == 8)
alias HalfBlock = array<Quad, BLOCK_WORDS / 2u>;
alias Planes = array<vec4<u32>, 4>;

const SIGNS = vec4<u32>(0x80808080u);

#if BITS == 4
// A packed word has two planes: the codes of its even k as 15 - code, and those of its odd k as 16 · q + 15. The even ones, as they
// are, fill the low halves of the odd ones, which spares a shift and a second mask. start takes these biases out again.
fn planes_of(words: HalfBlock) -> Planes {
  let even_0 = ~words[0] & vec4<u32>(0x0f0f0f0fu);
  let even_1 = ~words[1] & vec4<u32>(0x0f0f0f0fu);
  return Planes(even_0, (words[0] ^ SIGNS) + even_0, even_1, (words[1] ^ SIGNS) + even_1);
}
#elif BITS == 8
fn planes_of(words: HalfBlock) -> Planes {
  return Planes(words[0] ^ SIGNS, words[1] ^ SIGNS, words[2] ^ SIGNS, words[3] ^ SIGNS);
}
#elif BITS == 2 || BITS == 3 || BITS == 5 || BITS == 6
fn planes_of(words: HalfBlock) -> Planes {
  var planes: Planes;
#repeat j LOW / 2
#repeat p PARTS
  planes[PARTS * j + p] = bytes_of(words[j], p);
#end
#end
  return planes;
}
#else
#error BITS must be 2, 3, 4, 5, 6 or 8
#endif

fn dots(x: u32, plane: vec4<u32>) -> vec4<i32> {
  return vec4<i32>(dot4I8Packed(x, plane.x), dot4I8Packed(x, plane.y), dot4I8Packed(x, plane.z), dot4I8Packed(x, plane.w));
}

// sum + Σ code of x · q (or · code) over half a block; 16 times that for int4.
fn add_half(sum: vec4<i32>, x: vec4<u32>, p: Planes) -> vec4<i32> {
#if BITS == 4
  let even = dots(x.x, p[0]) + dots(x.z, p[2]);
  return sum + (even << vec4<u32>(4u)) + dots(x.y, p[1]) + dots(x.w, p[3]);
#elif BITS != 4
  return sum + dots(x.x, p[0]) + dots(x.y, p[1]) + dots(x.z, p[2]) + dots(x.w, p[3]);
#endif
}
