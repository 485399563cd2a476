// y[i, k] = W[k, ids[i]]: columns of the packed layout, dequantized (lib/one-weight.wgsl) and rounded to y's dtype. Zeros, if the id is no column's.
// One dispatch writes the rows whose columns are in one slab; that of the first slab writes the zeros, too.
// One invocation makes one u32 of y; with a permutation, as many elements, wherever they go. Elements around y keep their bits.
//
// ids          [count / k] i32, from element `ids_base` on
// permutation  [k] u32: code k is of input permutation[k]
// input_scale  [k] f32, in the order of inputs
// y            element `first` on: f32, f16 or bf16 (two in a u32)

#include "lib/one-weight.wgsl"
#include "lib/float16.wgsl"
#include "lib/grid.wgsl"

#param Y 0 1 2 // y is: 0 f32, 1 f16, 2 bf16
#param PERM 0 1 // is there a permutation?
#param SCALED 0 1 // has each input a scale?
#let ELEMENTS 1 + (Y != 0) // of a u32

struct Params {
  count: u32, // elements of this dispatch: ids · k
  k: u32,
  first: u32, // element index of y[0, 0]
  first_word: u32, // the word that holds it
  ids_base: u32,
  n: u32, // columns of all slabs
  begin: u32, // first column of this slab
  columns: u32,
  w_pitch: u32, // quads in a row of w, scale and offset
  group_words: u32, // low words in a group
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
#if PERM
@group(0) @binding(5) var<storage, read> permutation: array<u32>;
#endif
#if SCALED
@group(0) @binding(6) var<storage, read> input_scale: array<f32>;
#endif
#if PERM && ELEMENTS > 1
@group(0) @binding(7) var<storage, read_write> y: array<atomic<u32>>;
#else
@group(0) @binding(7) var<storage, read_write> y: array<u32>;
#endif

fn put(at: u32, value: f32) {
#if Y == 0
  y[at] = bitcast<u32>(value);
#elif Y == 1
  put_half(at, halves_from_floats(vec4<f32>(value)).x);
#elif Y == 2
  put_half(at, bfloats_from_floats(vec4<f32>(value)).x);
#else
#error Y must be 0, 1 or 2
#endif
}

#if ELEMENTS > 1
fn put_half(at: u32, bits: u32) {
  let shift = 16u * (at % 2u);
#if PERM
  // Another invocation writes the other half, perhaps at the same time.
  atomicAnd(&y[at / 2u], ~(0xffffu << shift));
  atomicOr(&y[at / 2u], bits << shift);
#else
  y[at / 2u] = (y[at / 2u] & ~(0xffffu << shift)) | (bits << shift);
#endif
}
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let word = params.first_word + linear_index(workgroup, workgroups) * 64u + lane;
  if (word * ELEMENTS >= params.first + params.count) { return; }
  for (var e = 0u; e < ELEMENTS; e++) {
    let at = word * ELEMENTS + e - params.first; // wraps to a large number before the first element
    if (at >= params.count) { continue; }
    let row = at / params.k;
    let code = at % params.k;
    let id = ids[params.ids_base + row];
    let column = id - params.begin; // of an id in a slab before, a large number; so is a negative id
    let here = column < params.columns;
    let nowhere = id >= params.n;
    if (!here && (!nowhere || params.begin > 0u)) { continue; }
#if PERM
    let input = permutation[code];
#else
    let input = code;
#endif
    var value = 0.0;
    if (here) {
#if SCALED
      value = weight_at(column, code) * input_scale[input];
#else
      value = weight_at(column, code);
#endif
    }
    put(params.first + row * params.k + input, value);
  }
}
