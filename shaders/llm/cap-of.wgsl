// Caps: cap · tanh(x / cap).

// Within 8 roundings of tanh(x) for any x: near 0 by its continued fraction, x / (1 + x² / (3 + x² / (5 + x² / (7 + x² / 9)))), which leaves
// out 2e-9 of it at 5/8; beyond by exp, which cannot overflow. WGSL's own tanh may be off by more, and some overflow. NaN stays NaN.
fn tanh_of(x: f32) -> f32 {
  let size = abs(x);
  let square = size * size;
  let near = size * (945.0 + square * (105.0 + square)) / (945.0 + square * (420.0 + square * 15.0));
  let shrunk = exp(-2.0 * size);
  let far = (1.0 - shrunk) / (1.0 + shrunk);
  let y = select(far, near, size < 0.625);
  return select(y, -y, x < 0.0);
}

fn capped(x: f32, cap: f32) -> f32 {
  return cap * tanh_of(x / cap);
}
