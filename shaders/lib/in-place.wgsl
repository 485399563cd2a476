// Codes unpacked without shifting them down: code i of a word comes times 2^(BITS·i). x_in_place() takes the factor out of x instead, once
// for all columns; multiplying by a power of two is exact. Two operations a code: software adapters feel every one of them.

#include "lib/operands.wgsl"

alias Codes = array<Columns, CODES>; // the codes of a word, in each of READ columns

// The conversion is a signed one, because software adapters have no unsigned one; so no masked word may be negative.
#if READ == 4
fn in_place(words: Words, mask: u32) -> Columns {
  return vec4<f32>(bitcast<vec4<i32>>(words & vec4<u32>(mask)));
}

// The last code of a word, as it is.
fn last_code(words: Words) -> Columns {
  return vec4<f32>(bitcast<vec4<i32>>(words >> vec4<u32>(32u - BITS)));
}
const LAST_FACTOR = 1.0;
#else
fn in_place(words: Words, mask: u32) -> Columns {
  return f32(bitcast<i32>(words & mask));
}

// The last code of a word, in place: adapters of 4 lanes shift lane by lane. With its highest bit flipped, it is less by half its range.
fn last_code(words: Words) -> Columns {
  return f32(bitcast<i32>((words & ~(0xffffffffu >> BITS)) ^ 0x80000000u)) + 0x1p31;
}
#if BITS == 4
const LAST_FACTOR = 0x1p-28;
#else
const LAST_FACTOR = 0x1p-24;
#endif
#endif

fn codes_in_place(words: Words) -> Codes {
#if BITS == 4
  return Codes(
    in_place(words, 0xfu),
    in_place(words, 0xf0u),
    in_place(words, 0xf00u),
    in_place(words, 0xf000u),
    in_place(words, 0xf0000u),
    in_place(words, 0xf00000u),
    in_place(words, 0xf000000u),
    last_code(words),
  );
#else
  return Codes(in_place(words, 0xffu), in_place(words, 0xff00u), in_place(words, 0xff0000u), last_code(words));
#endif
}

// The inverse of the powers of two that codes_in_place() leaves in the codes, for vec4 `part` of a word of x.
fn in_place_factors(part: u32) -> vec4<f32> {
#if BITS == 4
  return select(vec4<f32>(1.0, 0x1p-4, 0x1p-8, 0x1p-12), vec4<f32>(0x1p-16, 0x1p-20, 0x1p-24, LAST_FACTOR), part == 1u);
#else
  return vec4<f32>(1.0, 0x1p-8, 0x1p-16, LAST_FACTOR);
#endif
}

fn x_in_place(x: XWord) -> XWord {
#if BITS == 4
  return XWord(x[0] * in_place_factors(0u), x[1] * in_place_factors(1u));
#else
  return XWord(x[0] * in_place_factors(0u));
#endif
}

// sum + the products of one row of x with one word of READ columns, in the order of k.
fn mac(sum: Columns, x: XWord, c: Codes) -> Columns {
  let first = sum + x[0].x * c[0] + x[0].y * c[1] + x[0].z * c[2] + x[0].w * c[3];
#if BITS == 4
  return first + x[1].x * c[4] + x[1].y * c[5] + x[1].z * c[6] + x[1].w * c[7];
#else
  return first;
#endif
}
