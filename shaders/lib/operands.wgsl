// What every matmul kernel reads besides scales and offsets (lib/scale.wgsl): y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n].
// One dispatch covers `m` rows of x and the `n` columns of one slab of weights; a quad is four adjacent columns.
//
// x     [m, k]      f32, f16 or bf16 (lib/activation.wgsl); k is a whole number of words, so rows are vec4-aligned
// w     [rows, n]   u32 words of packed codes (lib/packed.wgsl)
// bias  [N]         f32, over all slabs; zeros where there is none
//
// Rows of w, scale and offset are w_pitch quads long; columns past n have scale 0. Groups are whole low words. With EXPERTS the matrices of a
// binding begin w_step, scale_step, offset_step and bias_step quads apart.

#include "lib/packed.wgsl"
#include "lib/activation.wgsl"
#include "lib/experts.wgsl"

struct Params {
  m: u32, // rows of x in this dispatch
  n: u32, // columns in this slab
  k: u32, // length of the sum; x is 0 from here to the end of the last word
  words: u32, // low words along k
  group_words: u32, // low words in a group; all of them where there are no groups
  w_pitch: u32, // quads in a row of w, scale, offset
  x_base: u32, // vec4 index of x[0, 0]
  x_pitch: u32, // vec4s in a row of x
  column: u32, // this slab's first column of y; a multiple of 4
  y_base: u32, // element index of y[0, 0]
  y_pitch: u32, // elements in a row of y; a multiple of 4
  part_1: u32, // first column of the second part of y, which is another matrix; beyond all columns where there is none
  y_base_1: u32,
  y_pitch_1: u32,
  part_2: u32,
  y_base_2: u32,
  y_pitch_2: u32,
  part_3: u32,
  y_base_3: u32,
  y_pitch_3: u32,
  tiles_n: u32, // workgroups along n
  tiles: u32, // workgroups that have work
  adds: u32, // 1: the product is added to what y holds
  twin: u32, // from an element of y to its twin; 0: there is none
  twin_scale: u32, // quad of the bias where its scales begin
  row_scale: u32, // what the sums of the row are multiplied by (lib/row-factor.wgsl): 0 nothing, 1 a factor, 2 RMSNorm's
  row_base: u32, // element of x's binding at which it or its row begins
  row_width: u32, // elements of the row
  row_epsilon: u32, // f32 bits
  act: u32, // the activation of a gated linear unit: lib/glu.wgsl
  experts: u32, // matrices; the following are of EXPERTS alone
  first_expert: u32, // the first in the bindings
  bound_experts: u32, // how many are there; one more where the pairs without an expert count
  per_row: u32, // pairs of a row of x
  w_step: u32, // quads from a matrix to the next
  scale_step: u32,
  offset_step: u32,
  bias_step: u32,
  weights_base: u32, // element of the first pair's weight
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>;

// The x values of one word of k, for the row that starts at vec4 index `row`.
fn read_x_word(row: u32, word: u32) -> XWord {
  var values: XWord;
#repeat i CODES / 4
  values[i] = read_x(row + WORD_VEC4S * word + i);
#end
  return values;
}

// A run of words.
struct Run {
  begin: u32,
  end: u32,
}
