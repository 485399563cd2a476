// The sum as the formula writes it: every weight dequantized, then multiplied with x, one k after the other. Every 32 k their sum goes to
// the total, so that the chain of roundings is short.
// Slow and right for all inputs: Inf and NaN in x, scale or offset come out as the formula has them.

#include "lib/operands.wgsl"
#include "lib/scale.wgsl"

fn formula(m: u32, quad: u32) -> vec4<f32> {
  return formula_of(m, quad, 0u, params.words);
}

// The part of it that words [begin, end) make.
fn formula_of(m: u32, quad: u32, begin: u32, end: u32) -> vec4<f32> {
  var total = vec4<f32>(0.0);
  var sum = vec4<f32>(0.0);
  let row = params.x_base + x_row(m) * params.x_pitch;
  for (var word = begin; word < end; word++) {
    let affine = read_affine(word / params.group_words, quad);
    let words = read_quad(word, quad);
    let count = min(CODES, params.k - word * CODES); // the last word may be short
    for (var i = 0u; i < count; i++) {
      let at = row + (word * CODES + i) / 4u;
      sum += read_x(at)[i % 4u] * weight(words, i, affine);
    }
    if ((word + 1u) % BLOCK_WORDS == 0u) {
      total += sum;
      sum = vec4<f32>(0.0);
    }
  }
  return total + sum;
}
