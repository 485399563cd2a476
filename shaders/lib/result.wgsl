// Writes y: adds the bias, then rounds or requantizes four adjacent columns of a row at once.
//
// y      [m, N]   f32; or f16, bf16 (two in a u32) or int8 (four in a u32), where N and y's first element are multiples of 4
// quant  [2, N]   the output scale (f32 bits), then the output offset (i32), for int8 only

#include "lib/operands.wgsl"
#include "lib/requantize.wgsl"

#param Y 0 1 2 3 // y is: 0 f32, 1 f16, 2 bf16, 3 int8

#if Y == 0
alias Y4 = f32;
#elif Y == 3
alias Y4 = u32;
#else
alias Y4 = vec2<u32>;
#endif

#if Y == 3
@group(0) @binding(6) var<storage, read> quant: array<vec4<u32>>;
#endif
@group(0) @binding(7) var<storage, read_write> y: array<Y4>;

// sum is without the bias. Columns past n are not written.
fn write_quad(m: u32, quad: u32, sum: vec4<f32>) {
  let column = params.column + 4u * quad;
  let total = sum + bias[column / 4u];
  let at = params.y_base + m * params.y_pitch + column;
#if Y == 0
  let count = params.n - 4u * quad;
  y[at] = total.x;
  if (count > 1u) { y[at + 1u] = total.y; }
  if (count > 2u) { y[at + 2u] = total.z; }
  if (count > 3u) { y[at + 3u] = total.w; }
#elif Y == 1
  y[at / 4u] = vec2<u32>(
    half_from_float(total.x) | (half_from_float(total.y) << 16u),
    half_from_float(total.z) | (half_from_float(total.w) << 16u),
  );
#elif Y == 2
  y[at / 4u] = vec2<u32>(
    bfloat_from_float(total.x) | (bfloat_from_float(total.y) << 16u),
    bfloat_from_float(total.z) | (bfloat_from_float(total.w) << 16u),
  );
#else
  let s = bitcast<vec4<f32>>(quant[column / 4u]);
  let o = bitcast<vec4<i32>>(quant[arrayLength(&quant) / 2u + column / 4u]);
  y[at / 4u] = requantize(total.x, s.x, o.x)
    | (requantize(total.y, s.y, o.y) << 8u)
    | (requantize(total.z, s.z, o.z) << 16u)
    | (requantize(total.w, s.w, o.w) << 24u);
#endif
}
