// A quad of packed weights as floats, and its products with ROWS rows of x: what one lane of a GPU does with 16 bytes of w.
//
// Codes are cut out of the words in planes: a plane is a word of each of the four columns, masked so that its bytes or halves are codes.
//   TRICK=0  a byte of a plane is a code; GPUs convert a byte to f32 in one instruction.
//   TRICK=1  a half of a plane is a code under the exponent of 2^10 or 2^6, which makes it the half 1024 + code or 64 + code. GPUs that
//            multiply halves into f32 sums take it as it is: no conversion at all. What is added comes off again by the sums of x.
// Values of a codebook take the place of codes. With E2M1 and E4M3 a half of a plane is the value under the exponent of a half, exactly, in units
// of 2^-14 and of 2^-8: subnormal halves are among them. A table is looked up.

#include "lib/row-starts.wgsl"
#include "lib/table.wgsl"

#param TRICK 0 1 // codes become floats by: 0 conversion of bytes, 1 the exponent of a half

#if CODEBOOK && TRICK
#error values of a codebook are floats as they are: TRICK must be 0
#endif
#let HALVES TRICK + E2M1 + E4M3 // is a half of a plane a code, or a byte of it?
#if TABLE
#let PLANES 1
#elif HALVES
#let PLANES CODES / 2
#else
#let PLANES PARTS
#endif

// What TRICK adds to codes of even and of odd k: codes of up to 6 bits lie in place, those of odd k LOW bits further up in their halves.
#if !TRICK
const BIAS = vec2<f32>(0.0, 0.0);
#elif LOW == 2
const BIAS = vec2<f32>(1024.0, 256.0);
const ODD = 0x5c005c00u;
#elif LOW == 4
const BIAS = vec2<f32>(1024.0, 64.0);
const ODD = 0x54005400u;
#elif LOW == 8
const BIAS = vec2<f32>(1024.0, 1024.0);
#else
#error LOW must be 2, 4 or 8
#endif
const EVEN = 0x64006400u;

alias Planes = array<vec4<u32>, PLANES>;
alias Rows = array<vec4<f32>, ROWS>; // one quad of y in each row
alias XRows = array<vec4<f32>, ROWS>; // four k of x in each row

// Code i is part i / PLANES of plane i % PLANES.
fn planes_of(words: Quad) -> Planes {
  var planes: Planes;
#if TABLE
  planes[0] = words;
#elif E2M1
#repeat p PLANES
#if p < 3
  let exponents = words << vec4<u32>(9u - BITS * p);
#else
  let exponents = words >> vec4<u32>(BITS * p - 9u);
#endif
  planes[p] = ((words << vec4<u32>(12u - BITS * p)) & vec4<u32>(0x80008000u)) | (exponents & vec4<u32>(0x0e000e00u));
#end
#elif E4M3
  planes[0] = even_halves(words);
  planes[1] = odd_halves(words);
#elif !TRICK
#repeat p PLANES
  planes[p] = bytes_of(words, p);
#end
#elif LOW == 8
  planes[0] = (words & vec4<u32>(0x00ff00ffu)) | vec4<u32>(EVEN);
  planes[1] = ((words >> vec4<u32>(8u)) & vec4<u32>(0x00ff00ffu)) | vec4<u32>(EVEN);
#else
  const LOW_HALVES = 0x00010001u * ((1u << LOW) - 1u);
#repeat q PLANES / 2
#if HIGH
  const HIGH_HALVES = 0x00010001u * (((1u << HIGH) - 1u) << LOW);
  let low = words.low >> vec4<u32>(2u * LOW * q);
  let high = over(words, 2u * q);
  planes[2u * q] = (low & vec4<u32>(LOW_HALVES)) | ((high & vec4<u32>(HIGH_HALVES)) | vec4<u32>(EVEN));
  planes[2u * q + 1u] = (low & vec4<u32>(LOW_HALVES << LOW)) | ((high & vec4<u32>(HIGH_HALVES << LOW)) | vec4<u32>(ODD));
#else
  let low = words >> vec4<u32>(2u * LOW * q);
  planes[2u * q] = (low & vec4<u32>(LOW_HALVES)) | vec4<u32>(EVEN);
  planes[2u * q + 1u] = (low & vec4<u32>(LOW_HALVES << LOW)) | vec4<u32>(ODD);
#endif
#end
#endif
  return planes;
}

// A scale for what code_of() makes.
fn in_units(s: vec4<f32>) -> vec4<f32> {
#if E2M1
  return s * 0x1p14;
#elif E4M3
  return s * 0x1p8;
#else
  return s;
#endif
}

// Code i of a word, with BIAS.
fn code_of(planes: Planes, i: u32) -> vec4<f32> {
  let plane = planes[i % PLANES];
  let at = i / PLANES;
#if TABLE
  return looked_up(plane, at);
#elif HALVES
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
