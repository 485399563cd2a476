// ids[m] = the place of the greatest of the first `columns` sums of row m, values[m] = that sum. The lowest place on ties, of which -0 and 0
// are one. A NaN among them makes -1 and NaN.
// A workgroup makes one row.
//
// sums    [splits, rows, pitch] vec4<f32>; the splits of a sum are added in order
// ids     [rows] i32, from element ids_base on
// values  [rows] f32, from element values_base on
//
// Sums are compared as whole numbers: a compiler may assume that floats are no NaN, and may take subnormals for 0.

#include "lib/float16.wgsl"
#include "lib/grid.wgsl"

struct Params {
  rows: u32,
  columns: u32, // at least 1
  pitch: u32, // vec4s in a row of sums
  splits: u32,
  split_pitch: u32, // vec4s in a split
  ids_base: u32,
  values_base: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> ids: array<i32>;
@group(0) @binding(3) var<storage, read_write> values: array<u32>;

const LANES = 256u;
const SIGN = 0x80000000u;
const NAN_KEY = 0xffffffffu;

// A key and where it was found. Keys are in the order of the floats that they are made of; 0 is the key of none.
struct Found {
  key: u32,
  column: u32,
}
var<workgroup> found: array<Found, LANES>;

fn better(a: Found, b: Found) -> Found {
  if (b.key > a.key || (b.key == a.key && b.column < a.column)) { return b; }
  return a;
}

fn keys_of(bits: vec4<u32>) -> vec4<u32> {
  let positive = bits | vec4<u32>(SIGN); // and of -0
  let keys = select(positive, ~bits, bits > vec4<u32>(SIGN));
  return select(keys, vec4<u32>(NAN_KEY), (bits & vec4<u32>(~SIGN)) > vec4<u32>(INF_BITS));
}

// The bits of four sums.
fn sums_at(at: u32) -> vec4<u32> {
  let bits = sums[at];
  if (params.splits == 1u) { return bits; }
  var sum = bitcast<vec4<f32>>(bits);
  for (var split = 1u; split < params.splits; split++) {
    sum += bitcast<vec4<f32>>(sums[at + split * params.split_pitch]);
  }
  return bitcast<vec4<u32>>(sum);
}

// For each place in a quad: the best key, and the first quad that has it.
struct Best {
  keys: vec4<u32>,
  quads: vec4<u32>,
}
fn meet(best: Best, quad: u32, bits: vec4<u32>) -> Best {
  let counts = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(params.columns);
  let keys = select(vec4<u32>(), keys_of(bits), counts);
  let greater = keys > best.keys; // and not equal: quads come in order
  return Best(select(best.keys, keys, greater), select(best.quads, vec4<u32>(quad), greater));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = linear_index(workgroup, workgroups);
  if (row >= params.rows) { return; }
  let start = row * params.pitch;
  let last = (params.columns - 1u) / 4u;
  var best: Best;
  // Four loads at a time, none of which waits for another. What is beyond the last quad does not count.
  for (var quad = lane; quad <= last; quad += 4u * LANES) {
    let bits_0 = sums_at(start + quad);
    let bits_1 = sums_at(start + min(quad + LANES, last));
    let bits_2 = sums_at(start + min(quad + 2u * LANES, last));
    let bits_3 = sums_at(start + min(quad + 3u * LANES, last));
    best = meet(best, quad, bits_0);
    best = meet(best, quad + LANES, bits_1);
    best = meet(best, quad + 2u * LANES, bits_2);
    best = meet(best, quad + 3u * LANES, bits_3);
  }
  let columns = 4u * best.quads + vec4<u32>(0u, 1u, 2u, 3u);
  let left = better(Found(best.keys.x, columns.x), Found(best.keys.y, columns.y));
  let right = better(Found(best.keys.z, columns.z), Found(best.keys.w, columns.w));
  found[lane] = better(left, right);
  workgroupBarrier(); // every lane's best is there before it is compared
  for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
    if (lane < reach) {
      found[lane] = better(found[lane], found[lane + reach]);
    }
    workgroupBarrier(); // those of this round are there before the next one reads them
  }
  if (lane > 0u) { return; }
  let greatest = found[0];
  let is_nan = greatest.key == NAN_KEY;
  let quad = sums_at(start + greatest.column / 4u);
  ids[params.ids_base + row] = select(i32(greatest.column), -1, is_nan);
  values[params.values_base + row] = select(quad[greatest.column % 4u], NAN_BITS, is_nan);
}
