// A quad of packed weights as floats, and its products with ROWS rows of x: what one lane of a GPU does with 16 bytes of w.
//
// Codes are cut out of the words in planes: a plane is a word of each of the four columns, masked so that its bytes or halves are codes.
//   TRICK=0  a byte of a plane is a code; GPUs convert a byte to f32 in one instruction.
//   TRICK=1  a half of a plane is a code under the exponent of 2^10 or 2^6, which makes it the half 1024 + code or 64 + code. GPUs that
//            multiply halves into f32 sums take it as it is: no conversion at all. What is added comes off again by the sums of x.

#include "lib/row-starts.wgsl"

#param TRICK 0 1 // codes become floats by: 0 conversion of bytes, 1 the exponent of a half

// What TRICK adds to codes of even and of odd k.
#if !TRICK
const BIAS = vec2<f32>(0.0, 0.0);
#elif BITS == 4
const BIAS = vec2<f32>(1024.0, 64.0);
#elif BITS == 8
const BIAS = vec2<f32>(1024.0, 1024.0);
#else
#error BITS must be 4 or 8
#endif

#if TRICK
const PLANES = CODES / 2u;
#else
const PLANES = CODES / 4u;
#endif

alias Planes = array<vec4<u32>, PLANES>;
alias Rows = array<vec4<f32>, ROWS>; // one quad of y in each row
alias XRows = array<vec4<f32>, ROWS>; // four k of x in each row

// Code i is part i / PLANES of plane i % PLANES.
fn planes_of(words: vec4<u32>) -> Planes {
#if TRICK && BITS == 4
  let high = words >> vec4<u32>(8u);
  return Planes(even_halves(words), odd_halves(words), even_halves(high), odd_halves(high));
#elif TRICK && BITS == 8
  let mask = vec4<u32>(0x00ff00ffu);
  let exponent = vec4<u32>(0x64006400u);
  return Planes((words & mask) | exponent, ((words >> vec4<u32>(8u)) & mask) | exponent);
#elif BITS == 4
  return Planes(words & vec4<u32>(0x0f0f0f0fu), (words >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu));
#elif BITS == 8
  return Planes(words);
#else
#error BITS must be 4 or 8
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

// The vec4 `at` of every row of x.
fn read_x_rows(x_rows: ptr<function, XRows>, start: ptr<function, RowStarts>, at: u32) {
#repeat r ROWS
  (*x_rows)[r] = read_x((*start)[r] + at);
#end
}

// The products of a code with one k of x, in every row.
fn mac_code(sum: ptr<function, Rows>, x_rows: ptr<function, XRows>, k: u32, c: vec4<f32>) {
#repeat r ROWS
  (*sum)[r] = fma(vec4<f32>((*x_rows)[r][k]), c, (*sum)[r]);
#end
}
