// Codes unpacked without shifting them down: code i of a word comes times 2^(BITS·i). x_in_place() takes the factor out of x instead, once
// for all columns; multiplying by a power of two is exact. Two operations a code: software adapters feel every one of them. Where codes are
// indices, their values take the place of codes.

#include "lib/operands.wgsl"
#include "lib/codebook.wgsl"

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
#elif READ == 1
fn in_place(words: Words, mask: u32) -> Columns {
  return f32(bitcast<i32>(words & mask));
}

// The last code of a word, in place: adapters of 4 lanes shift lane by lane. With its highest bit flipped, it is less by half its range.
fn last_code(words: Words) -> Columns {
  return f32(bitcast<i32>((words & ~(0xffffffffu >> BITS)) ^ 0x80000000u)) + 0x1p31;
}
const LAST_FACTOR = 1.0 / f32(1u << (32u - BITS));
#else
#error READ must be 1 or 4
#endif

#if LOW == 2
// The inverse of what a code of byte `i` is multiplied by.
fn byte_factor(i: u32) -> f32 {
  return select(select(1.0, 0x1p-8, i == 1u), select(0x1p-16, 0x1p-24, i == 3u), i >= 2u);
}
#endif

#if E4M3
alias Columned = Words;

// The first half of each pair, and the second.
fn halves_of(pairs: Words) -> array<Columns, 2> {
#if READ == 4
  let x = unpack2x16float(pairs.x);
  let y = unpack2x16float(pairs.y);
  let z = unpack2x16float(pairs.z);
  let w = unpack2x16float(pairs.w);
  return array<Columns, 2>(vec4<f32>(x.x, y.x, z.x, w.x), vec4<f32>(x.y, y.y, z.y, w.y));
#elif READ == 1
  let both = unpack2x16float(pairs);
  return array<Columns, 2>(both.x, both.y);
#else
#error READ must be 1 or 4
#endif
}

// Values in units of 2^-8.
fn codes_in_place(words: Words) -> Codes {
  let even = halves_of(even_halves(words));
  let odd = halves_of(odd_halves(words));
  return Codes(even[0], odd[0], even[1], odd[1]);
}
fn in_place_factors(part: u32) -> vec4<f32> {
  return vec4<f32>(256.0);
}
#elif CODEBOOK
alias Columned = Words;

// Values; twice them with E2M1. The kernel has value_of(), of the code in the lowest bits.
fn codes_in_place(words: Words) -> Codes {
  var codes: Codes;
#repeat i CODES
  let at = words >> Words(BITS * i);
#if READ == 4
  codes[i] = vec4<f32>(value_of(at.x), value_of(at.y), value_of(at.z), value_of(at.w));
#elif READ == 1
  codes[i] = value_of(at);
#else
#error READ must be 1 or 4
#endif
#end
  return codes;
}
fn in_place_factors(part: u32) -> vec4<f32> {
#if TABLE
  return vec4<f32>(1.0);
#elif E2M1
  return vec4<f32>(0.5);
#endif
}
#elif HIGH
// A low word and its high word in READ columns: code i is byte i / PARTS of part i % PARTS, and no byte is so large that a masked word is
// negative.
struct Columned {
  low: Words,
  high: Words,
  shift: u32, // as in a Quad
}
fn codes_in_place(words: Columned) -> Codes {
  var codes: Codes;
#repeat p PARTS
  const LOW_BYTES = 0x01010101u * ((1u << LOW) - 1u);
  const HIGH_BYTES = 0x01010101u * (((1u << HIGH) - 1u) << LOW);
#if p == 0
  let over = words.high << Words(LOW - words.shift);
#else
  let over = words.high >> Words(LOW * (p - 1u) + words.shift);
#endif
  let bytes = ((words.low >> Words(LOW * p)) & Words(LOW_BYTES)) | (over & Words(HIGH_BYTES));
#repeat b CODES / PARTS
  codes[PARTS * b + p] = in_place(bytes, 0xffu << (8u * b));
#end
#end
  return codes;
}

// The inverse of the powers of two that codes_in_place() leaves in the codes, for vec4 `part` of a low word of x.
fn in_place_factors(part: u32) -> vec4<f32> {
#if PARTS == 4
  return vec4<f32>(byte_factor(part));
#elif PARTS == 2
  return select(vec4<f32>(1.0, 1.0, 0x1p-8, 0x1p-8), vec4<f32>(0x1p-16, 0x1p-16, 0x1p-24, 0x1p-24), part == 1u);
#endif
}
#else
alias Columned = Words;
fn codes_in_place(words: Words) -> Codes {
  var codes: Codes;
#repeat i CODES - 1
  codes[i] = in_place(words, MASK.x << (BITS * i));
#end
  codes[CODES - 1u] = last_code(words);
  return codes;
}

// The inverse of the powers of two that codes_in_place() leaves in the codes, for vec4 `part` of a word of x.
fn in_place_factors(part: u32) -> vec4<f32> {
#if BITS == 2
  return byte_factor(part) * vec4<f32>(1.0, 0x1p-2, 0x1p-4, select(0x1p-6, 0x1p24 * LAST_FACTOR, part == 3u));
#elif BITS == 4
  return select(vec4<f32>(1.0, 0x1p-4, 0x1p-8, 0x1p-12), vec4<f32>(0x1p-16, 0x1p-20, 0x1p-24, LAST_FACTOR), part == 1u);
#elif BITS == 8
  return vec4<f32>(1.0, 0x1p-8, 0x1p-16, LAST_FACTOR);
#else
#error BITS must be 2, 4 or 8
#endif
}
#endif

// The word of so many columns that begin at an index of READ columns.
fn read_columns(word: u32, at: u32) -> Columned {
#if HIGH
  return Columned(w[w_row(low_row(word)) + at], w[w_row(high_row(word)) + at], high_shift(word));
#else
  return w[w_row(low_row(word)) + at];
#endif
}

fn x_in_place(x: XWord) -> XWord {
  var scaled: XWord;
#repeat q CODES / 4
  scaled[q] = x[q] * in_place_factors(q);
#end
  return scaled;
}

// sum + the products of one row of x with one word of READ columns, in the order of k.
fn mac(sum: Columns, x: XWord, c: Codes) -> Columns {
  var total = sum;
#repeat q CODES / 4
  total = total + x[q].x * c[4u * q] + x[q].y * c[4u * q + 1u] + x[q].z * c[4u * q + 2u] + x[q].w * c[4u * q + 3u];
#end
  return total;
}
