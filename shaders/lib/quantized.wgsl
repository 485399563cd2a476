// x as integers: each row is cut into blocks of SPAN consecutive k, each with int8 codes of a step of its own (docs/format.md).
//
// A block is BLOCK vec4<u32>:
//   0, 1   the codes, four to a u32, in the order in which the planes of a packed word want them:
//          int4 weights: for each word of 8 k first its even k, negated, then its odd k; int8 weights: as k goes
//   2      unit (f32), start (i32), sum (f32), start of the second digit (i32): what end_block() multiplies and adds
//   3, 4   DIGITS == 2: codes of what the first digit leaves, in steps SECOND times as fine
// Rows are padded to 256 bytes, so that every row may start a binding. Blocks are whole: past the last k, codes are 0.

#include "lib/weights.wgsl"

#param DIGITS 1 2 // int8 digits of an x

const SPAN = 32u; // k of a block
const SPAN_WORDS = SPAN / CODES; // packed words of a block
const BLOCK = 1u + 2u * DIGITS; // vec4s of a block
const SECOND = 254.0; // the first digit leaves at most half a step: 127 steps of the second

fn quantized_pitch(spans: u32) -> u32 {
  return ((spans * BLOCK + 15u) / 16u) * 16u;
}
