// What every matmul kernel reads: y[m, n] = sum over k of x[m, k] · W[k, n] + bias[n], where with g = k's group
// W[k, n] = (q[k, n] + offset[g, n]) · scale[g, n], or code[k, n] · scale[g, n] + minimum[g, n], or table[code[k, n]] · scale[g, n].
// One dispatch covers `m` rows of x and the `n` columns of one slab of weights; a quad is four adjacent columns.
//
// x       [m, k]        f32, f16 or bf16; k is a whole number of words, so rows are vec4-aligned
// w       [words, n]    u32 words of packed codes (lib/weights.wgsl), read READ columns at a time
// scale   [groups, n]   f32, or two f16 or bf16 in a u32
// offset  [groups, n]   as scale; the minimum where OFFSET is 2
// bias    [N]           f32, over all slabs; zeros where there is none
//
// Rows of w, scale and offset are w_pitch quads long; columns past n have scale 0. Groups are whole words.

#include "lib/weights.wgsl"
#include "lib/activation.wgsl"
#include "lib/float16.wgsl"

#param SCALE 0 1 2 // scale and offset are: 0 f32, 1 f16, 2 bf16
#param OFFSET 0 1 2 // what is added: 0 nothing, 1 offset, to the code before scaling, 2 offset as a minimum, after scaling
#param READ 1 4 // columns in a load of w, scale and offset: 4 but for adapters that pay for each word

// What a load brings of the columns at an index that counts READ columns.
#if READ == 4
alias Words = vec4<u32>;
alias Columns = vec4<f32>;
#else
alias Words = u32;
alias Columns = f32;
#endif

#if SCALE == 0
alias Scales = Columns;
#elif READ == 4
alias Scales = vec2<u32>;
#else
alias Scales = u32; // of two columns
#endif

struct Params {
  m: u32, // rows of x in this dispatch
  n: u32, // columns in this slab
  k: u32, // length of the sum; x is 0 from here to the end of the last word
  words: u32, // words along k
  group_words: u32, // words in a group; all of them where there are no groups
  w_pitch: u32, // quads in a row of w, scale, offset
  x_base: u32, // vec4 index of x[0, 0]
  x_pitch: u32, // vec4s in a row of x
  column: u32, // this slab's first column of y; a multiple of 4
  y_base: u32, // element index of y[0, 0]
  y_pitch: u32, // elements in a row of y; a multiple of 4
  part_1: u32, // first column of the second part of y, which is a matrix of its own; beyond all columns where there is none
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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> w: array<Words>;
@group(0) @binding(3) var<storage, read> scale: array<Scales>;
#if OFFSET
@group(0) @binding(4) var<storage, read> offset: array<Scales>;
#endif
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>;

// The x values of one word of k, for the row that starts at vec4 index `row`.
fn read_x_word(row: u32, word: u32) -> XWord {
#if BITS == 4
  return XWord(read_x(row + 2u * word), read_x(row + 2u * word + 1u));
#else
  return XWord(read_x(row + word));
#endif
}

// A word of the codes of a quad, whatever READ is.
fn read_words(word: u32, quad: u32) -> vec4<u32> {
#if READ == 4
  return w[word * params.w_pitch + quad];
#else
  let at = 4u * (word * params.w_pitch + quad);
  return vec4<u32>(w[at], w[at + 1u], w[at + 2u], w[at + 3u]);
#endif
}

#include "lib/table.wgsl"
#include "lib/scale.wgsl"
