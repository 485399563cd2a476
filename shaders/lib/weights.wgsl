// Packed weights: a u32 word holds CODES codes of one column, consecutive along k, the first in the lowest bits.
// code = q + ZERO, so codes are unsigned; q is the signed weight. Everywhere below, a vec4 is four adjacent columns.

#param BITS 4 8 // bits of a code

const CODES = 32u / BITS; // codes in a word
const ZERO = f32(1u << (BITS - 1u)); // the code of weight 0
const MASK = vec4<u32>((1u << BITS) - 1u);

alias Codes = array<vec4<f32>, CODES>; // the codes of a word
alias XWord = array<vec4<f32>, CODES / 4u>; // the x values that meet them

// Code i of each word.
fn code(words: vec4<u32>, i: u32) -> vec4<f32> {
  return vec4<f32>((words >> vec4<u32>(BITS * i)) & MASK);
}

// Codes without shifting them down: code i comes times 2^(BITS·i), and the last one as it is. x_in_place() takes the factor out of
// x instead, once for all columns. Signed conversion, because software adapters have no unsigned one; no masked word is negative.
fn codes_in_place(words: vec4<u32>) -> Codes {
#if BITS == 4
  return Codes(
    in_place(words & vec4<u32>(0xfu)),
    in_place(words & vec4<u32>(0xf0u)),
    in_place(words & vec4<u32>(0xf00u)),
    in_place(words & vec4<u32>(0xf000u)),
    in_place(words & vec4<u32>(0xf0000u)),
    in_place(words & vec4<u32>(0xf00000u)),
    in_place(words & vec4<u32>(0xf000000u)),
    in_place(words >> vec4<u32>(28u)),
  );
#else
  return Codes(
    in_place(words & vec4<u32>(0xffu)),
    in_place(words & vec4<u32>(0xff00u)),
    in_place(words & vec4<u32>(0xff0000u)),
    in_place(words >> vec4<u32>(24u)),
  );
#endif
}

fn in_place(masked: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(bitcast<vec4<i32>>(masked));
}

// The inverse of the powers of two that codes_in_place() leaves in the codes, for vec4 `part` of a word of x. Multiplying is exact.
fn in_place_factors(part: u32) -> vec4<f32> {
#if BITS == 4
  return select(vec4<f32>(1.0, 0x1p-4, 0x1p-8, 0x1p-12), vec4<f32>(0x1p-16, 0x1p-20, 0x1p-24, 1.0), part == 1u);
#else
  return vec4<f32>(1.0, 0x1p-8, 0x1p-16, 1.0);
#endif
}

fn x_in_place(x: XWord) -> XWord {
#if BITS == 4
  return XWord(x[0] * in_place_factors(0u), x[1] * in_place_factors(1u));
#else
  return XWord(x[0] * in_place_factors(0u));
#endif
}

// sum + the products of one row of x with one word of four columns, in the order of k.
fn mac(sum: vec4<f32>, x: XWord, c: Codes) -> vec4<f32> {
  let first = sum + x[0].x * c[0] + x[0].y * c[1] + x[0].z * c[2] + x[0].w * c[3];
#if BITS == 4
  return first + x[1].x * c[4] + x[1].y * c[5] + x[1].z * c[6] + x[1].w * c[7];
#else
  return first;
#endif
}

// The sum of a word's x values.
fn sum_word(x: XWord) -> f32 {
#if BITS == 4
  let pairs = x[0] + x[1];
#else
  let pairs = x[0];
#endif
  return (pairs.x + pairs.y) + (pairs.z + pairs.w);
}
