// The sums of a tile over one block of k: ROWS rows of x's codes, and the packed words of four columns.

#param ROWS 1 2 4 // rows of y of a lane
#param HALF 0 1 // groups are: 0 whole blocks, 1 of 16 k, two in a block

#include "lib/scale.wgsl"
#include "lib/dot4.wgsl"

#if HALF && BITS == 4
#error codes of 4 bits have biases for whole blocks: HALF must be 0
#endif

@group(0) @binding(8) var<storage, read> x_codes: array<vec4<u32>>;

alias Rows = array<vec4<f32>, ROWS>; // a quad of y in each row
alias Sums = array<vec4<i32>, ROWS>; // its integer sums over a block
alias Starts = array<u32, ROWS>; // vec4 index of each row's first block

// Half `h` of block b. A word past the last one is the last one again, and meets codes that are 0.
fn load_half(b: u32, h: u32, quad: u32) -> HalfBlock {
  let first = b * BLOCK_WORDS + h * BLOCK_WORDS / 2u;
  var words: HalfBlock;
#if HIGH
  let high = w[high_row(first) * params.w_pitch + quad]; // of all of them
#repeat i LOW / 2
  words[i] = Quad(w[(low_row(first) + i) * params.w_pitch + quad], high, high_shift(h * LOW / 2u + i));
#end
#else
#repeat i LOW / 2
  words[i] = w[min(first + i, params.words - 1u) * params.w_pitch + quad];
#end
#endif
  return words;
}

// What the sums of a block start from: of 4 bits what takes the planes' biases out, component `digit` of vec4 2 of the block at start[r] + at.
fn start_sums(start: Starts, at: u32, digit: u32) -> Sums {
  var sums: Sums;
#if BITS == 4
#repeat r ROWS
  sums[r] = vec4<i32>(bitcast<i32>(x_codes[start[r] + at + 2u][digit]));
#end
#endif
  return sums;
}

// The products of half a block, whose codes are vec4 start[r] + at of row r.
fn add_halves(sums: ptr<function, Sums>, start: Starts, at: u32, p: Planes) {
#repeat r ROWS
  (*sums)[r] = add_half((*sums)[r], x_codes[start[r] + at], p);
#end
}

// total + scale · (unit · sum of products + zero · sum of x), of the row whose block begins at vec4 `at`; a minimum is not scaled.
// `part` is where the sum of x is in vec4 2: 2 of a block, 1 and 3 of its halves.
fn end_part(total: vec4<f32>, at: u32, part: u32, sum: vec4<f32>, affine: Affine) -> vec4<f32> {
  let record = x_codes[at + 2u];
  let unit = vec4<f32>(bitcast<f32>(record.x));
  let x_sum = vec4<f32>(bitcast<f32>(record[part]));
#if OFFSET == 2
  return fma(affine.scale, sum * unit, fma(affine.zero, x_sum, total));
#elif OFFSET != 2 && (OFFSET || !SIGNED)
  return fma(affine.scale, fma(sum, unit, affine.zero * x_sum), total);
#elif OFFSET != 2
  return fma(affine.scale, sum * unit, total);
#endif
}

// Ends the sums of a block, or of half a block, and begins anew.
fn end_parts(total: ptr<function, Rows>, start: Starts, at: u32, part: u32, sums: ptr<function, Sums>, seconds: ptr<function, Sums>, affine: Affine) {
#repeat r ROWS
  var sum = vec4<f32>((*sums)[r]);
#if DIGITS == 2
  sum += vec4<f32>((*seconds)[r]) * (1.0 / SECOND);
#endif
  (*total)[r] = end_part((*total)[r], start[r] + at, part, sum, affine);
#end
}

// Adds a block. With HALF its halves are groups of their own.
fn add_block(total: ptr<function, Rows>, start: Starts, b: u32, quad: u32, affine: array<Affine, 1u + HALF>) {
  let at = b * BLOCK_VEC4S;
  var sums = start_sums(start, at, 1u);
  var seconds = start_sums(start, at, 3u); // of the second digit
  let p_0 = planes_of(load_half(b, 0u, quad));
  add_halves(&sums, start, at, p_0);
#if DIGITS == 2
  add_halves(&seconds, start, at + 3u, p_0);
#endif
#if HALF
  end_parts(total, start, at, 1u, &sums, &seconds, affine[0]);
  sums = Sums();
  seconds = Sums();
#endif
  let p_1 = planes_of(load_half(b, 1u, quad));
  add_halves(&sums, start, at + 1u, p_1);
#if DIGITS == 2
  add_halves(&seconds, start, at + 4u, p_1);
#endif
  end_parts(total, start, at, select(2u, 3u, HALF == 1u), &sums, &seconds, affine[HALF]);
}

// What meets the integer sums of a group. Those of q, not of codes, have the weight of q = 0 as a minimum.
fn centred(affine: Affine) -> Affine {
#if !SIGNED
  return affine;
#elif OFFSET == 2
  return Affine(affine.scale, affine.zero + affine.scale * ZERO);
#elif OFFSET != 2
  return Affine(affine.scale, affine.zero + ZERO);
#endif
}
