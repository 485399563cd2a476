// Packed weights: 32 k of a column are BITS words, a row of w each, the first k in the lowest bits. code = q + ZERO, so codes are unsigned; q
// is the signed weight. A code has a low part of LOW bits and a high part of HIGH bits, which may be none. Rows of low words come first; the
// high part of code i of low word j lies in bits LOW·i + HIGH·(j mod LOW/HIGH) of high word j·HIGH/LOW: over its low part, but for a shift
// that is the same for the whole word.
//
// A word of four adjacent columns is a Quad: their low words, and with HIGH their high words and that shift.

#param BITS 2 3 4 5 6 8 // bits of a code
#let LOW 2 + 2 * (BITS >= 4) + 4 * (BITS >= 8) // of them in a low word
#let HIGH BITS - LOW // and in a high word
#let CODES 32 / LOW // codes in a low word
#let PARTS 8 / LOW // of them in a byte's place; code i is byte i / PARTS of part i % PARTS

const ZERO = f32(1u << (BITS - 1u)); // the code of weight 0
const MASK = vec4<u32>((1u << BITS) - 1u);
const WORD_VEC4S = CODES / 4u; // vec4s of x that meet a low word
const BLOCK_WORDS = LOW; // low words in a block of 32 k

alias XWord = array<vec4<f32>, WORD_VEC4S>; // the x values that meet a low word

#if HIGH
struct Quad {
  low: vec4<u32>,
  high: vec4<u32>,
  shift: u32,
}
const HIGH_WORDS = LOW / HIGH; // low words that share a high word

// Rows of w: of a low word, and of the high word that belongs to it.
fn low_row(word: u32) -> u32 {
  return (word / LOW) * BITS + word % LOW;
}
fn high_row(word: u32) -> u32 {
  return (word / LOW) * BITS + LOW + (word % LOW) / HIGH_WORDS;
}
fn high_shift(word: u32) -> u32 {
  return HIGH * (word % HIGH_WORDS);
}

// The high parts, that of code i over its low part once that is shifted down by LOW·i; around it are those of other words.
fn over(words: Quad, i: u32) -> vec4<u32> {
  let up = words.high << vec4<u32>(LOW - words.shift);
  let down = words.high >> vec4<u32>(LOW * (max(i, 1u) - 1u) + words.shift);
  return select(down, up, i == 0u);
}
#else
alias Quad = vec4<u32>;

fn low_row(word: u32) -> u32 { return word; }
#endif

// The codes of one part, a byte each.
fn bytes_of(words: Quad, part: u32) -> vec4<u32> {
  const LOW_BYTES = 0x01010101u * ((1u << LOW) - 1u);
#if HIGH
  const HIGH_BYTES = 0x01010101u * (((1u << HIGH) - 1u) << LOW);
  return ((words.low >> vec4<u32>(LOW * part)) & vec4<u32>(LOW_BYTES)) | (over(words, part) & vec4<u32>(HIGH_BYTES));
#elif LOW == 8
  return words;
#elif LOW != 8
  return (words >> vec4<u32>(LOW * part)) & vec4<u32>(LOW_BYTES);
#endif
}

// Code i of each word.
fn code(words: Quad, i: u32) -> vec4<f32> {
#if HIGH
  return vec4<f32>((bytes_of(words, i % PARTS) >> vec4<u32>(8u * (i / PARTS))) & vec4<u32>(0xffu));
#else
  return vec4<f32>((words >> vec4<u32>(BITS * i)) & MASK);
#endif
}

// The sum of a word's x values.
fn sum_word(x: XWord) -> f32 {
  var sum = x[0];
#repeat i CODES / 4 - 1
  sum += x[i + 1u];
#end
  let fours = sum;
  return (fours.x + fours.y) + (fours.z + fours.w);
}
