// Writes y, four adjacent columns of a row at once: adds the bias, then what y holds (`adds`), then rounds. Or it adds the bias and requantizes.
//
// y      [m, y_pitch]   f32; or f16, bf16 (two in a u32) or int8 (four in a u32). Rows may be further apart than they are long. N, the
//                       distance of rows and the first element are multiples of 4; another y gets its sums as f32 in scratch memory
//                       first, from where round-rows brings them to it. Columns of several layers go to a matrix for each, a part of y
// quant  [2, N]         the output scale (f32 bits), then the output offset (i32), for int8 only
//
// y has a twin where `twin` is not 0: y times a scale of each column, which lies behind the bias. The next norm's weight makes RMSNorm of it.
//
// With ENDING 1 a quad of columns makes two elements of y: lib/glu.wgsl. The distance of rows and the first element are then multiples of 2.
//
// Who includes it includes lib/residual.wgsl, or lib/no-residual.wgsl.

#include "lib/operands.wgsl"
#include "lib/requantize.wgsl"
#include "lib/unpack16.wgsl"

#param Y 0 1 2 3 // y is: 0 f32, 1 f16, 2 bf16, 3 int8
#param ENDING 0 1 // y is: 0 the product, 1 a gated linear unit of it

#if ENDING == 1
#include "lib/glu.wgsl"
#if Y == 0
alias Y4 = vec2<f32>;
#elif Y == 1 || Y == 2
alias Y4 = u32;
#else
#error Y must be 0, 1 or 2 with ENDING 1
#endif
#elif Y == 0
alias Y4 = vec4<f32>;
#elif Y == 3
alias Y4 = u32;
#elif Y == 1 || Y == 2
alias Y4 = vec2<u32>;
#else
#error Y must be 0, 1, 2 or 3
#endif

#if Y == 3
@group(0) @binding(6) var<storage, read> quant: array<vec4<u32>>;
#endif
@group(0) @binding(7) var<storage, read_write> y: array<Y4>;

// A part of y: its first column, its first element, and elements (as many as columns) in a row.
struct Part {
  begin: u32,
  base: u32,
  pitch: u32,
}

fn part_of(column: u32) -> Part {
  var part = Part(0u, params.y_base, params.y_pitch);
  if (column >= params.part_1) {
    part = Part(params.part_1, params.y_base_1, params.y_pitch_1);
  }
  if (column >= params.part_2) {
    part = Part(params.part_2, params.y_base_2, params.y_pitch_2);
  }
  if (column >= params.part_3) {
    part = Part(params.part_3, params.y_base_3, params.y_pitch_3);
  }
  return part;
}

// sum is without the bias, m a position in the order of rows. Columns between two parts are nobody's.
fn write_quad(m: u32, quad: u32, sum: vec4<f32>) {
  let total = sum + bias[bias_start() + params.column / 4u + quad];
#if EXPERTS
  put_quad(y_row(m), quad, select(total, vec4<f32>(), is_zero()));
#else
  put_quad(m, quad, total);
#endif
}

// Split `split` of a sum over k: y is then [splits, m, y_pitch] f32, for round-rows to add. Split 0 has the bias.
fn write_split(split: u32, m: u32, quad: u32, sum: vec4<f32>) {
  if (split == 0u) {
    write_quad(m, quad, sum);
  } else {
    put_quad(split * params.m + m, quad, sum);
  }
}

#if Y == 0 && ENDING == 0
fn as_stored(values: vec4<f32>) -> vec4<f32> { return values; } // four elements of y
#elif Y == 1 && ENDING == 0
fn as_stored(values: vec4<f32>) -> vec2<u32> {
  let h = halves_from_floats(values);
  return vec2<u32>(h.x | (h.y << 16u), h.z | (h.w << 16u));
}
#elif Y == 2 && ENDING == 0
fn as_stored(values: vec4<f32>) -> vec2<u32> {
  let h = bfloats_from_floats(values);
  return vec2<u32>(h.x | (h.y << 16u), h.z | (h.w << 16u));
}
#endif

// m is the row of y.
#if ENDING == 1
fn put_quad(m: u32, quad: u32, product: vec4<f32>) {
  if (4u * quad >= params.n) { return; }
  let at = (params.y_base + m * params.y_pitch + params.column / 2u) / 2u + quad;
  let pair = gated(params.act, product);
#if Y == 0
  y[at] = pair;
#elif Y == 1
  let h = halves_from_floats(pair.xyxy);
  y[at] = h.x | (h.y << 16u);
#elif Y == 2
  let h = bfloats_from_floats(pair.xyxy);
  y[at] = h.x | (h.y << 16u);
#else
#error Y must be 0, 1 or 2 with ENDING 1
#endif
}
#else
fn put_quad(m: u32, quad: u32, product: vec4<f32>) {
  let column = params.column + 4u * quad;
  let part = part_of(column);
  if (4u * quad >= params.n || column - part.begin >= part.pitch) { return; }
  let at = part.base + m * part.pitch + column - part.begin;
  let total = with_residual(at, product);
#if Y != 3
  y[at / 4u] = as_stored(total);
  leave_twin(at, column, total);
#elif Y == 3
  let s = bitcast<vec4<f32>>(quant[column / 4u]);
  let o = bitcast<vec4<i32>>(quant[arrayLength(&quant) / 2u + column / 4u]);
  let q = requantize(total, s, o);
  y[at / 4u] = q.x | (q.y << 8u) | (q.z << 16u) | (q.w << 24u);
#else
#error Y must be 0, 1, 2 or 3
#endif
}
#endif
