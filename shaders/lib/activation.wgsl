// x [m, k], f32, f16 or bf16, four consecutive k at a time.

#include "lib/unpack16.wgsl"

#param X 0 1 2 3 // x is: 0 f32, 1 f16 (shader-f16), 2 f16 as bits, 3 bf16

#if X == 0
alias X4 = vec4<f32>;
#elif X == 1
enable f16;
alias X4 = vec4<f16>;
#elif X == 2 || X == 3
alias X4 = vec2<u32>;
#else
#error X must be 0, 1, 2 or 3
#endif

@group(0) @binding(1) var<storage, read> x: array<X4>;

// Four consecutive k of x, by vec4 index.
fn read_x(at: u32) -> vec4<f32> {
#if X == 0
  return x[at];
#elif X == 1
  return vec4<f32>(x[at]);
#elif X == 2
  return unpack_halves(x[at]);
#elif X == 3
  return unpack_bfloats(x[at]);
#else
#error X must be 0, 1, 2 or 3
#endif
}

// One k of x, by element index.
fn read_x_value(at: u32) -> f32 {
#if X == 0 || X == 1
  return f32(x[at / 4u][at % 4u]);
#elif X == 2
  return half_in(x[at / 4u][(at / 2u) % 2u], at);
#elif X == 3
  return bfloat_in(x[at / 4u][(at / 2u) % 2u], at);
#else
#error X must be 0, 1, 2 or 3
#endif
}
