// y is added to what it holds, where the uniform `adds` says so. It is a uniform and no param, so that there are no more variants.

#if ENDING == 1
// A gated linear unit is added to nothing.
#elif Y == 3
fn with_residual(_at: u32, product: vec4<f32>) -> vec4<f32> { return product; }
#else
// at: element index of a quad of y
fn with_residual(at: u32, product: vec4<f32>) -> vec4<f32> {
  if (params.adds == 0u) { return product; }
#if Y == 0
  return product + y[at / 4u];
#elif Y == 1
  return product + unpack_halves(y[at / 4u]);
#elif Y == 2
  return product + unpack_bfloats(y[at / 4u]);
#else
#error Y must be 0, 1, 2 or 3
#endif
}
#endif
