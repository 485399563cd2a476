// packed[row, n] = a low or a high word of the codes of w[n, …] (lib/weights.wgsl); a code is q + ZERO, and of a k past the end ZERO: x is 0
// there, so that any code would do.
// One invocation makes one word.
//
// source  weights in two's complement or as unsigned codes, each in SLOT bits, as many to a u32 as it holds, as elements
//         e = base + n·stride_n + k·stride_k, or FRACTAL_NZ
// packed  [rows, n] u32
// One dispatch covers the columns and rows that one window of source holds; base is relative to that window and may wrap below 0.

#include "lib/weights.wgsl"
#include "lib/grid.wgsl"

#param NZ 0 1 2 // source is: 0 strided, 1 FRACTAL_NZ of (N, K), 2 FRACTAL_NZ of (K, N)

#let SLOT 4 + 4 * (BITS > 4)
const SLOTS = 32u / SLOT; // codes in a u32 of source

struct Params {
  n_count: u32, // columns of this dispatch
  row_count: u32, // rows of packed of this dispatch
  n: u32, // the first column, counted in source
  row: u32, // the first row
  k: u32, // length of k
  base: u32, // element index of source's (0, 0)
  stride_n: u32,
  stride_k: u32,
  tile_rows: u32, // FRACTAL_NZ: tiles of 16 rows along the matrix
  packed_base: u32, // index of the first word made here
  packed_pitch: u32, // words in a row of packed
  mask: u32, // the bits of a code in source; what is above them in its slot is dropped
  flip: u32, // turns an element into a code by exclusive or: ZERO in two's complement, 0 where it is a code
  lift: u32, // is added to a code
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> packed: array<u32>;

// Of a matrix in FRACTAL_NZ: tiles of 16 rows × 32 bytes, down the columns of tiles.
fn nz_element(row: u32, column: u32) -> u32 {
  const TILE_COLUMNS = 8u * SLOTS;
  let in_tile = (row % 16u) * TILE_COLUMNS + column % TILE_COLUMNS;
  return params.base + ((column / TILE_COLUMNS) * params.tile_rows + row / 16u) * 16u * TILE_COLUMNS + in_tile;
}

fn element(n: u32, k: u32) -> u32 {
#if NZ == 0
  return params.base + n * params.stride_n + k * params.stride_k;
#elif NZ == 1
  return nz_element(n, k);
#elif NZ == 2
  return nz_element(k, n);
#else
#error NZ must be 0, 1 or 2
#endif
}

// The code of column n and k.
fn code_at(n: u32, k: u32) -> u32 {
  if (k >= params.k) { return u32(ZERO); }
  let at = element(params.n + n, k);
  let shift = SLOT * (at % SLOTS);
  let code = (source[at / SLOTS] >> shift) & params.mask;
  return ((code ^ params.flip) + params.lift) & MASK.x;
}

fn low_word(n: u32, first: u32) -> u32 {
  var word = 0u;
  for (var i = 0u; i < CODES; i++) {
    word |= extractBits(code_at(n, first + i), 0u, LOW) << (LOW * i);
  }
  return word;
}

#if HIGH
fn high_word(n: u32, first: u32) -> u32 {
  var word = 0u;
  for (var i = 0u; i < CODES * HIGH_WORDS; i++) {
    word |= (code_at(n, first + i) >> LOW) << (LOW * (i % CODES) + HIGH * (i / CODES));
  }
  return word;
}
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = linear_index(workgroup, workgroups) * 64u + lane;
  let n = index % params.n_count;
  if (index / params.n_count >= params.row_count) { return; }
  let row = params.row + index / params.n_count;
  let first = 32u * (row / BITS); // k of the block
  let inside = row % BITS;
  let at = params.packed_base + (row - params.row) * params.packed_pitch + n;
#if HIGH
  if (inside >= LOW) {
    let of_high = first + (inside - LOW) * (CODES * HIGH_WORDS);
    packed[at] = high_word(n, of_high);
    return;
  }
#endif
  let of_low = first + inside * CODES;
  packed[at] = low_word(n, of_low);
}
