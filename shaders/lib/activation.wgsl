// x [m, k], f32, f16 or bf16, four consecutive k at a time.

#param X 0 1 2 3 // x is: 0 f32, 1 f16 (shader-f16), 2 f16 as bits, 3 bf16

#if X == 1
enable f16;
alias X4 = vec4<f16>;
#elif X == 0
alias X4 = vec4<f32>;
#else
alias X4 = vec2<u32>;
#endif

@group(0) @binding(1) var<storage, read> x: array<X4>;

// Four consecutive k of x, by vec4 index.
fn read_x(at: u32) -> vec4<f32> {
#if X == 0
  return x[at];
#elif X == 1
  return vec4<f32>(x[at]);
#elif X == 2
  let bits = x[at];
  return vec4<f32>(unpack2x16float(bits.x), unpack2x16float(bits.y));
#else
  let bits = x[at];
  return bitcast<vec4<f32>>(vec4<u32>(bits.x << 16u, bits.x & 0xffff0000u, bits.y << 16u, bits.y & 0xffff0000u));
#endif
}
