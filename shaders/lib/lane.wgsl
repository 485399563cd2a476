// A quad of packed weights as floats, and its products with ROWS rows of x: what one lane of a GPU does with 16 bytes of w.
//
// Codes are cut out of the words in planes: a plane is a word of each of the four columns, masked so that its bytes or halves are codes.
//   TRICK=0  a byte of a plane is a code; GPUs convert a byte to f32 in one instruction.
//   TRICK=1  a half of a plane is a code under the exponent of 2^10 or 2^6, which makes it the half 1024 + code or 64 + code. GPUs that
//            multiply halves into f32 sums take it as it is: no conversion at all. What is added comes off again by the sums of x.
// Every index below is a constant once the functions are inlined, so that arrays stay in registers.

#include "lib/operands.wgsl"

#param ROWS 1 2 4 8 // rows of y in registers
#param TRICK 0 1 // codes become floats by: 0 conversion of bytes, 1 the exponent of a half

#if TRICK
const PLANES = CODES / 2u;
#if BITS == 4
const BIAS = vec2<f32>(1024.0, 64.0); // what TRICK adds to codes of even and of odd k
#else
const BIAS = vec2<f32>(1024.0, 1024.0);
#endif
#else
const PLANES = CODES / 4u;
const BIAS = vec2<f32>(0.0, 0.0);
#endif

const WORD_QUADS = CODES / 4u; // vec4s of x in a word of k

alias Planes = array<vec4<u32>, PLANES>;
alias Rows = array<vec4<f32>, ROWS>; // one quad of y in each row
alias XRows = array<vec4<f32>, ROWS>; // four k of x in each row
alias RowStarts = array<u32, ROWS>; // vec4 index of the first x, in each row

// Code i is part i / PLANES of plane i % PLANES.
fn planes_of(words: vec4<u32>) -> Planes {
#if TRICK && BITS == 4
  let high = words >> vec4<u32>(8u);
  return Planes(even_halves(words), odd_halves(words), even_halves(high), odd_halves(high));
#elif TRICK
  let mask = vec4<u32>(0x00ff00ffu);
  let exponent = vec4<u32>(0x64006400u);
  return Planes((words & mask) | exponent, ((words >> vec4<u32>(8u)) & mask) | exponent);
#elif BITS == 4
  return Planes(words & vec4<u32>(0x0f0f0f0fu), (words >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu));
#else
  return Planes(words);
#endif
}

#if TRICK && BITS == 4
fn even_halves(words: vec4<u32>) -> vec4<u32> {
  return (words & vec4<u32>(0x000f000fu)) | vec4<u32>(0x64006400u);
}
fn odd_halves(words: vec4<u32>) -> vec4<u32> {
  return (words & vec4<u32>(0x00f000f0u)) | vec4<u32>(0x54005400u);
}
#endif

// Code i of a word, with BIAS.
fn code_of(planes: Planes, i: u32) -> vec4<f32> {
  let plane = planes[i % PLANES];
  let at = i / PLANES;
#if TRICK
  return vec4<f32>(unpack2x16float(plane.x)[at], unpack2x16float(plane.y)[at], unpack2x16float(plane.z)[at], unpack2x16float(plane.w)[at]);
#else
  return vec4<f32>((plane >> vec4<u32>(8u * at)) & vec4<u32>(0xffu));
#endif
}

// Rows past the end repeat the last one and are not written.
fn row_starts(m: u32) -> RowStarts {
  var start: RowStarts;
  for (var r = 0u; r < ROWS; r++) {
    start[r] = params.x_base + min(m + r, params.m - 1u) * params.x_pitch;
  }
  return start;
}

// The vec4 `at` of every row of x.
fn read_x_rows(x_rows: ptr<function, XRows>, start: ptr<function, RowStarts>, at: u32) {
  (*x_rows)[0] = read_x((*start)[0] + at);
#if ROWS > 1
  (*x_rows)[1] = read_x((*start)[1] + at);
#endif
#if ROWS > 2
  (*x_rows)[2] = read_x((*start)[2] + at);
  (*x_rows)[3] = read_x((*start)[3] + at);
#endif
#if ROWS > 4
  (*x_rows)[4] = read_x((*start)[4] + at);
  (*x_rows)[5] = read_x((*start)[5] + at);
  (*x_rows)[6] = read_x((*start)[6] + at);
  (*x_rows)[7] = read_x((*start)[7] + at);
#endif
}

// The products of a code with one k of x, in every row.
fn mac_code(sum: ptr<function, Rows>, x_rows: ptr<function, XRows>, k: u32, c: vec4<f32>) {
  (*sum)[0] = fma(vec4<f32>((*x_rows)[0][k]), c, (*sum)[0]);
#if ROWS > 1
  (*sum)[1] = fma(vec4<f32>((*x_rows)[1][k]), c, (*sum)[1]);
#endif
#if ROWS > 2
  (*sum)[2] = fma(vec4<f32>((*x_rows)[2][k]), c, (*sum)[2]);
  (*sum)[3] = fma(vec4<f32>((*x_rows)[3][k]), c, (*sum)[3]);
#endif
#if ROWS > 4
  (*sum)[4] = fma(vec4<f32>((*x_rows)[4][k]), c, (*sum)[4]);
  (*sum)[5] = fma(vec4<f32>((*x_rows)[5][k]), c, (*sum)[5]);
  (*sum)[6] = fma(vec4<f32>((*x_rows)[6][k]), c, (*sum)[6]);
  (*sum)[7] = fma(vec4<f32>((*x_rows)[7][k]), c, (*sum)[7]);
#endif
}
