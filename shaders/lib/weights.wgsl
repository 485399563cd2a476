// Packed weights: a u32 word holds CODES codes of one column, consecutive along k, the first in the lowest bits.
// code = q + ZERO, so codes are unsigned; q is the signed weight. A vec4 of words or codes is four adjacent columns.

#param BITS 4 8 // bits of a code

const CODES = 32u / BITS; // codes in a word
const ZERO = f32(1u << (BITS - 1u)); // the code of weight 0
const MASK = vec4<u32>((1u << BITS) - 1u);
const WORD_VEC4S = CODES / 4u; // vec4s of x that meet a word
const BLOCK_WORDS = 32u / CODES; // words in a block of 32 k

alias XWord = array<vec4<f32>, WORD_VEC4S>; // the x values that meet a word

// Code i of each word.
fn code(words: vec4<u32>, i: u32) -> vec4<f32> {
  return vec4<f32>((words >> vec4<u32>(BITS * i)) & MASK);
}

// The sum of a word's x values.
fn sum_word(x: XWord) -> f32 {
  var sum = x[0];
#repeat i 8 / BITS - 1
  sum += x[i + 1u];
#end
  let fours = sum;
  return (fours.x + fours.y) + (fours.z + fours.w);
}
