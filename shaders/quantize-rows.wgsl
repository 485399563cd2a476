// code[m, k] = round(x[m, k] / step[m, b]), step[m, b] = largest |x| of block b / 127, for the 32 k of each block
// One invocation makes one block of one row: codes, and the sums that offsets and code zeros multiply (lib/quantized.wgsl).
//
// x      [m, k]      lib/activation.wgsl; rows of x_pitch vec4s, the last block may be short
// codes  [m, pitch]  vec4<u32>
//
// step has 16 bits of mantissa. So it is exactly a power of two where largest is 127 times one, and code · step is exact.
// A block with an Inf or NaN gets a NaN as its unit; the product that meets it is NaN, and is made again from x.

#include "lib/activation.wgsl"
#include "lib/float16.wgsl"
#include "lib/quantized.wgsl"
#include "lib/grid.wgsl"

struct Params {
  m: u32, // rows of x
  x_base: u32, // vec4 index of x[0, 0]
  x_pitch: u32, // vec4s in a row of x
  blocks: u32, // in a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> codes: array<vec4<u32>>;

const BLOCK_X = 8u; // vec4s of x in a block
const SMALLEST = 0x1p-110; // below, a step could be subnormal: the block becomes 0
const ONES = 0x01010101u;

alias Block = array<vec4<f32>, BLOCK_X>;

// The codes of the values, in the order of k, and what they leave in place of the values.
fn digit(values: ptr<function, Block>, steps: f32, step: f32) -> array<u32, BLOCK_X> {
  var packed: array<u32, BLOCK_X>;
  for (var q = 0u; q < BLOCK_X; q++) {
    let rounded = clamp(round((*values)[q] * steps), vec4<f32>(-127.0), vec4<f32>(127.0));
    let bytes = vec4<u32>(vec4<i32>(rounded)) & vec4<u32>(0xffu);
    packed[q] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
    (*values)[q] -= rounded * step;
  }
  return packed;
}

fn signed_bytes(word: u32) -> vec4<i32> {
  return vec4<i32>(bitcast<i32>(word << 24u), bitcast<i32>(word << 16u), bitcast<i32>(word << 8u), bitcast<i32>(word)) >> vec4<u32>(24u);
}

// Sums of the codes of even and of odd k, in half `half` of the block.
fn sums(packed: ptr<function, array<u32, BLOCK_X>>, half: u32) -> vec2<i32> {
  var sum = vec4<i32>(0);
  for (var q = 0u; q < BLOCK_X / 2u; q++) {
    sum += signed_bytes((*packed)[half * BLOCK_X / 2u + q]);
  }
  return sum.xy + sum.zw;
}

#if BITS != 4
// Every PARTS-th code from code p of the u32s on that begin at `first`: byte b is that of code PARTS · b + p.
fn every(packed: ptr<function, array<u32, BLOCK_X>>, first: u32, p: u32) -> u32 {
  var bytes = 0u;
#repeat b 4
  let i = PARTS * b + p;
  bytes |= (((*packed)[first + i / 4u] >> (8u * (i % 4u))) & 0xffu) << (8u * b);
#end
  return bytes;
}
#endif

// Writes the codes as the planes of packed words want them (planes_of() in lib/dot4.wgsl).
fn put_digit(at: u32, packed: ptr<function, array<u32, BLOCK_X>>) {
  var out: array<u32, BLOCK_X>;
#if BITS == 4
  for (var q = 0u; q < BLOCK_X; q += 2u) {
    let a = (*packed)[q];
    let b = (*packed)[q + 1u];
    let even = (a & 0xffu) | ((a >> 8u) & 0xff00u) | ((b & 0xffu) << 16u) | ((b << 8u) & 0xff000000u);
    out[q] = negate_bytes(even);
    out[q + 1u] = ((a >> 8u) & 0xffu) | ((a >> 16u) & 0xff00u) | ((b << 8u) & 0xff0000u) | (b & 0xff000000u);
  }
#elif BITS != 4
#repeat j LOW
#repeat p PARTS
  out[PARTS * j + p] = every(packed, PARTS * j, p);
#end
#end
#endif
  codes[at] = vec4<u32>(out[0], out[1], out[2], out[3]);
  codes[at + 1u] = vec4<u32>(out[4], out[5], out[6], out[7]);
}

// What a sum of 4-bit products starts from: the planes' biases, times x.
fn start_of(sum: vec2<i32>) -> u32 {
  return bitcast<u32>(112 * sum.x - 15 * sum.y);
}

// -b for each signed byte b: its complement plus one, without a carry between bytes.
fn negate_bytes(word: u32) -> u32 {
  let low = (~word & 0x7f7f7f7fu) + ONES;
  return low ^ (~word & 0x80808080u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = linear_index(workgroup, workgroups) * 64u + lane;
  if (i >= params.m * params.blocks) { return; }
  let m = i / params.blocks;
  let b = i % params.blocks;
  let row = params.x_base + m * params.x_pitch;
  var values: Block;
  var largest = 0.0;
  var bad = false;
  for (var q = 0u; q < BLOCK_X; q++) {
    let at = b * BLOCK_X + q;
    if (at < params.x_pitch) {
      let value = read_x(row + at);
      bad |= any_nonfinite(value);
      values[q] = value;
      let size = abs(value);
      largest = max(largest, max(max(size.x, size.y), max(size.z, size.w)));
    }
  }
  // largest / 127, rounded to 16 bits of mantissa.
  let step = bitcast<f32>((bitcast<u32>(largest * (1.0 / 127.0)) + 0x80u) & 0xffffff00u);
  let usable = largest >= SMALLEST && !bad;
  let steps = select(0.0, 1.0 / step, usable);

  let at = m * quantized_pitch(params.blocks) + b * BLOCK_VEC4S;
  var first = digit(&values, steps, step);
  put_digit(at, &first);
  let first_sums = array<vec2<i32>, 2>(sums(&first, 0u), sums(&first, 1u));
  var totals = vec2<f32>(f32(first_sums[0].x + first_sums[0].y), f32(first_sums[1].x + first_sums[1].y)); // of the halves
#if DIGITS == 2
  var second = digit(&values, steps * SECOND, 0.0);
  put_digit(at + 3u, &second);
  let second_sums = array<vec2<i32>, 2>(sums(&second, 0u), sums(&second, 1u));
  totals += vec2<f32>(f32(second_sums[0].x + second_sums[0].y), f32(second_sums[1].x + second_sums[1].y)) * (1.0 / SECOND);
#endif
  // int4: the product's sum comes out 16 times as large.
  let unit = select(0u, bitcast<u32>(step * select(1.0, 0x1p-4, BITS == 4u)), usable);
  let marked = select(unit, NAN_BITS, bad);
  let halves = bitcast<vec2<u32>>(select(vec2<f32>(0.0), step * totals, usable));
  let whole = bitcast<u32>(select(0.0, step * (totals.x + totals.y), usable));
#if BITS != 4
  codes[at + 2u] = vec4<u32>(marked, halves.x, whole, halves.y);
#elif BITS == 4
#if DIGITS == 2
  let second_start = start_of(second_sums[0] + second_sums[1]);
#else
  let second_start = 0u;
#endif
  codes[at + 2u] = vec4<u32>(marked, start_of(first_sums[0] + first_sums[1]), whole, second_start);
#endif
}
