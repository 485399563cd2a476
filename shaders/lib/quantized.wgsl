// x as integers: each row is cut into blocks of 32 consecutive k, and each block has int8 codes with one step (docs/format.md).
//
// A block is BLOCK_VEC4S vec4<u32>:
//   0, 1   the codes, four to a u32, in the order in which the planes of a packed word want them:
//          of each low word its parts, a u32 each; of 4 bits those of even k negated
//   2      unit (f32), the sum of the first 16 k, of all, of the others (f32): what end_part() multiplies and adds. Of 4 bits in place of the
//          sums of 16 k what the sums of products start from, of each digit (i32)
//   3, 4   DIGITS == 2: codes of what the first digit leaves, in steps SECOND times as fine
// Rows are padded to 256 bytes, so that every row may start a binding. Blocks are whole: past the last k, codes are 0.

#include "lib/weights.wgsl"

#param DIGITS 1 2 // int8 digits of an x

const BLOCK_VEC4S = 1u + 2u * DIGITS;
const SECOND = 254.0; // the first digit leaves at most half a step: 127 steps of the second

// vec4s in a row of so many blocks.
fn quantized_pitch(blocks: u32) -> u32 {
  return ((blocks * BLOCK_VEC4S + 15u) / 16u) * 16u;
}
