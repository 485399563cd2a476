// One weight at a time, for kernels that take few: that of column n of the bindings and of code k, rounded to f32 as `dequantize` rounds it.
// All differences from the middle are exact; docs/numerics.md has the forms whose zero points or minimums are rounded on their own.

#include "lib/scale.wgsl"
#include "lib/one-matrix.wgsl"

#if READ != 1 || ROUND
#error a column at a time: READ must be 1, and ROUND 0
#endif

// The words of a column that have code k, as if four columns were alike.
fn words_of(column: u32, word: u32) -> Quad {
  let low = vec4<u32>(w[w_row(low_row(word)) + column]);
#if HIGH
  return Quad(low, vec4<u32>(w[w_row(high_row(word)) + column]), high_shift(word));
#else
  return low;
#endif
}

fn weight_at(column: u32, k: u32) -> f32 {
  let word = k / CODES;
  let group = word / params.group_words;
  let unit = unit_at(group, column);
  let s = scale_at(group, column, unit);
  let v = value(words_of(column, word), k % CODES).x;
#if OFFSET == 1
  // The middle is taken off the code, where that is exact, and not off the offset, as zero_at does.
  let index = offset_index(group, column);
  return ((v - ZERO) + floats_at(offset[slot(index, IN_U32)], index)) * s;
#elif OFFSET != 1
  return weight_of_value(vec4<f32>(v), vec4<f32>(s), vec4<f32>(zero_at(group, column, unit))).x;
#endif
}
