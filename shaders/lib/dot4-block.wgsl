// The sums of a tile over one block of k: ROWS rows of x's codes, and the packed words of four columns.

#param ROWS 1 2 4 // rows of y of a lane

#include "lib/scale.wgsl"
#include "lib/dot4.wgsl"

@group(0) @binding(8) var<storage, read> x_codes: array<vec4<u32>>;

alias Rows = array<vec4<f32>, ROWS>; // a quad of y in each row
alias Sums = array<vec4<i32>, ROWS>; // its integer sums over a block
alias Starts = array<u32, ROWS>; // vec4 index of each row's first block

// Half `h` of block b. A word past the last one is the last one again, and meets codes that are 0.
fn load_half(b: u32, h: u32, quad: u32) -> HalfBlock {
  var words: HalfBlock;
#repeat i BITS / 2
  words[i] = w[min(b * BLOCK_WORDS + h * BLOCK_WORDS / 2u + i, params.words - 1u) * params.w_pitch + quad];
#end
  return words;
}

// What the sums of a block start from, which takes the planes' biases out: component `digit` of vec4 2 of the block at start[r] + at.
fn start_sums(start: Starts, at: u32, digit: u32) -> Sums {
  var sums: Sums;
#repeat r ROWS
  sums[r] = vec4<i32>(bitcast<i32>(x_codes[start[r] + at + 2u][digit]));
#end
  return sums;
}

// The products of half a block, whose codes are vec4 start[r] + at of row r.
fn add_halves(sums: ptr<function, Sums>, start: Starts, at: u32, p: Planes) {
#repeat r ROWS
  (*sums)[r] = add_half((*sums)[r], x_codes[start[r] + at], p);
#end
}

// total + scale · (unit · sum of products + offset · sum of x), of the row whose block begins at vec4 `at`; a minimum o is not scaled.
fn end_block(total: vec4<f32>, at: u32, sum: vec4<f32>, s: vec4<f32>, o: vec4<f32>) -> vec4<f32> {
  let record = x_codes[at + 2u];
  let products = sum * bitcast<f32>(record.x);
#if OFFSET == 0
  return total + s * products;
#elif OFFSET == 1
  return total + s * (products + o * bitcast<f32>(record.z));
#elif OFFSET == 2
  return total + s * products + o * bitcast<f32>(record.z);
#else
#error OFFSET must be 0, 1 or 2
#endif
}

fn add_block(total: ptr<function, Rows>, start: Starts, b: u32, quad: u32, s: vec4<f32>, o: vec4<f32>) {
  let at = b * BLOCK_VEC4S;
  var sums = start_sums(start, at, 1u);
  let p_0 = planes_of(load_half(b, 0u, quad));
  add_halves(&sums, start, at, p_0);
#if DIGITS == 2
  var seconds = start_sums(start, at, 3u);
  add_halves(&seconds, start, at + 3u, p_0);
#endif
  let p_1 = planes_of(load_half(b, 1u, quad));
  add_halves(&sums, start, at + 1u, p_1);
#if DIGITS == 2
  add_halves(&seconds, start, at + 4u, p_1);
#endif
#repeat r ROWS
  var sum = vec4<f32>(sums[r]);
#if DIGITS == 2
  sum += vec4<f32>(seconds[r]) * (1.0 / SECOND);
#endif
  (*total)[r] = end_block((*total)[r], start[r] + at, sum, s, o);
#end
}

// Integer sums are those of q, not of codes: with a minimum this is the weight of q = 0.
fn read_offset(group: u32, quad: u32, s: vec4<f32>) -> vec4<f32> {
#if OFFSET == 0
  return vec4<f32>(0.0);
#elif OFFSET == 1
  return offset_at(group, quad);
#elif OFFSET == 2
  return offset_at(group, quad) + s * ZERO;
#else
#error OFFSET must be 0, 1 or 2
#endif
}
