// One of two matrices of weights → its half of the columns of both: pairs of the first alternate with pairs of the second (lib/glu.wgsl). The
// other half keeps its bits. One invocation makes the elements of one u32.
//
// Many matrices of experts lie under each other in both.
//
// source  [rows, source_pitch] elements, or runs of them, of 4, 8, 16 or 32 bits: words of codes, scales, what is added, or the bias. A slab of the matrix
// out     [rows, out_pitch] elements. A slab of both

#include "lib/grid.wgsl"

struct Params {
  bits: u32, // of an element
  words: u32, // of out
  out_pitch: u32, // elements
  out_begin: u32, // column of both that is out's first
  side: u32, // 0: the source's columns are the first pair of a quad, 1: the second
  source_pitch: u32,
  source_begin: u32, // column of the matrix that is the source's first; wraps where it lies before the matrix
  source_columns: u32, // of the source
  columns: u32, // of the matrix
  out_step: u32, // words from a matrix of out to the next; all of them where there is one
  source_step: u32, // elements from a matrix of the source to the next
  runs: u32, // of four elements to a quad: 2 where four scales lie before their minima
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let word = linear_index(workgroup, workgroups) * 64u + lane;
  if (word >= params.words) { return; }
  let elements = 32u / params.bits;
  let mask = 0xffffffffu >> (32u - params.bits);
  let matrix = word / params.out_step;
  let first = (word - matrix * params.out_step) * elements;
  var bits = out[word];
  for (var i = 0u; i < elements; i++) {
    let element = first + i;
    let row = element / (params.out_pitch * params.runs);
    let run = (element % (params.out_pitch * params.runs)) / 4u;
    let column = params.out_begin + 4u * (run / params.runs) + element % 4u;
    let own = 2u * (column / 4u) + column % 2u;
    let at = own - params.source_begin;
    if ((column / 2u) % 2u == params.side && own < params.columns && at < params.source_columns) {
      let index = matrix * params.source_step + row * params.source_pitch * params.runs + 4u * ((at / 4u) * params.runs + run % params.runs) + at % 4u;
      let value = (source[index / elements] >> (params.bits * (index % elements))) & mask;
      bits = (bits & ~(mask << (params.bits * i))) | (value << (params.bits * i));
    }
  }
  out[word] = bits;
}
