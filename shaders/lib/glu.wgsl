// A gated linear unit: activation(gate) ∘ up, of the sums of two matrices. Their columns alternate in pairs, so that a quad of columns,
// (gate, gate, up, up), makes two elements of y without another lane.

// act: 1 silu, 2 gelu by tanh, 3 the clamped SwiGLU of gpt-oss
fn gated(act: u32, quad: vec4<f32>) -> vec2<f32> {
  let gate = quad.xy;
  let up = quad.zw;
  if (act == 2u) {
    // ½ (1 + tanh z) = sigmoid(2 z), and no exp overflows in it
    return gate * sigmoid(1.5957691216 * (gate + 0.044715 * gate * gate * gate)) * up;
  }
  if (act == 3u) {
    let most = min(gate, vec2<f32>(7.0));
    return most * sigmoid(1.702 * most) * (clamp(up, vec2<f32>(-7.0), vec2<f32>(7.0)) + 1.0);
  }
  return gate * sigmoid(gate) * up;
}

// exp(87) is finite, and so are all sums with it. A NaN of z comes with one of the gate, by which the result is multiplied.
fn sigmoid(z: vec2<f32>) -> vec2<f32> {
  return 1.0 / (1.0 + exp(min(-z, vec2<f32>(87.0))));
}
