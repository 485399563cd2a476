// Beside the product: what y holds is added to it, where the uniform `adds` says so, and y has a twin, where `twin` does. They are uniforms and no
// params, so that there are no more variants.

#if Y == 3 || ENDING == 1
// int8, or a gated linear unit: neither is added, nor has a twin.
fn with_residual(_at: u32, product: vec4<f32>) -> vec4<f32> { return product; }
fn leave_twin(_at: u32, _column: u32, _total: vec4<f32>) {}
#elif Y != 3 && ENDING != 1
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
#error Y must be 0, 1 or 2 here
#endif
}

// y times a scale of each column, which lies behind the bias.
fn leave_twin(at: u32, column: u32, total: vec4<f32>) {
  if (params.twin != 0u) {
    y[(at + params.twin) / 4u] = as_stored(total * bias[params.twin_scale + column / 4u]);
  }
}
#endif
