// sorted = the pairs (row of x, expert) in the order of their experts; those whose id is no expert come last (lib/experts.wgsl has the form).
// One workgroup counts the pairs of each expert, adds the counts up, and scatters the pairs. Their order within an expert is not defined; no
// row of y depends on it.
//
// ids  [pairs] i32, from element `base` on

const LANES = 256u;
const LISTS = 5u; // of blocks of 1, 2, 4 and 8 rows; and what only this shader reads: each expert's pairs, then where its next pair goes

struct Params {
  pairs: u32,
  experts: u32,
  base: u32, // element of ids[0]
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> sorted: array<atomic<u32>>;

var<workgroup> sums: array<vec4<u32>, LANES>;

// The expert of a pair, or `experts` if its id is none: a negative id is larger than all, taken as unsigned.
fn expert_of(pair: u32) -> u32 {
  return min(ids[params.base + pair], params.experts);
}

// How many blocks so many pairs are, for each list.
fn blocks_of(pairs: u32) -> vec4<u32> {
  let shift = vec4<u32>(0u, 1u, 2u, 3u);
  return (vec4<u32>(pairs) + (vec4<u32>(1u) << shift) - vec4<u32>(1u)) >> shift;
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let in_list = params.experts + 2u;
  let own_list = (LISTS - 1u) * in_list;
  let order = LISTS * in_list;

  for (var i = lane; i < in_list; i += LANES) {
    atomicStore(&sorted[own_list + i], 0u);
  }
  storageBarrier(); // all counts are 0 before anyone counts
  for (var pair = lane; pair < params.pairs; pair += LANES) {
    atomicAdd(&sorted[own_list + expert_of(pair)], 1u);
  }
  storageBarrier(); // all pairs are counted before anyone adds counts up

  // Each lane adds up a run of experts; then what the lanes before it have.
  let run = (in_list + LANES - 1u) / LANES;
  var own: vec4<u32>;
  for (var j = 0u; j < run; j++) {
    let i = lane * run + j;
    if (i < in_list) {
      own += blocks_of(atomicLoad(&sorted[own_list + i]));
    }
  }
  sums[lane] = own;
  workgroupBarrier(); // all sums are there before anyone reads them
  for (var reach = 1u; reach < LANES; reach *= 2u) {
    let before = select(vec4<u32>(), sums[max(lane, reach) - reach], lane >= reach);
    workgroupBarrier(); // everyone has read them before they are replaced
    sums[lane] += before;
    workgroupBarrier(); // all sums of this round are there before anyone reads them
  }
  var total = sums[lane] - own;
  for (var j = 0u; j < run; j++) {
    let i = lane * run + j;
    if (i < in_list) {
      let blocks = blocks_of(atomicLoad(&sorted[own_list + i]));
      atomicStore(&sorted[own_list + i], total.x);
      atomicStore(&sorted[i], total.x);
      atomicStore(&sorted[in_list + i], total.y);
      atomicStore(&sorted[2u * in_list + i], total.z);
      atomicStore(&sorted[3u * in_list + i], total.w);
      total += blocks;
    }
  }
  storageBarrier(); // the lists are whole before pairs are placed by them
  for (var pair = lane; pair < params.pairs; pair += LANES) {
    let at = atomicAdd(&sorted[own_list + expert_of(pair)], 1u);
    atomicStore(&sorted[order + at], pair);
  }
}
