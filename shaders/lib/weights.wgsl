// Packed weights: a u32 word holds CODES codes of one column, consecutive along k, the first in the lowest bits.
// code = q + ZERO, so codes are unsigned; q is the signed weight. A vec4 is four adjacent columns.

#param BITS 4 8 // bits of a code

const CODES = 32u / BITS; // codes in a word
const ZERO = f32(1u << (BITS - 1u)); // the code of weight 0
const MASK = vec4<u32>((1u << BITS) - 1u);

alias XWord = array<vec4<f32>, CODES / 4u>; // the x values that meet a word

// Code i of each word.
fn code(words: vec4<u32>, i: u32) -> vec4<f32> {
  return vec4<f32>((words >> vec4<u32>(BITS * i)) & MASK);
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
