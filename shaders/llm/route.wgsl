// The experts of a row: h = x · weight / sqrt(mean of x² + epsilon), z = h · router + bias of every expert, the `top` largest z (the lowest id where
// several are as large), and their softmax: the share of each among all experts, divided by the shares of those that are chosen, is the same.
// A workgroup is a row. If a z is NaN, or the largest is no number, all weights are NaN.
//
// x, h     [T, 4 · quads] f32
// weight   [4 · quads] f32
// router   [experts, 4 · quads] f32, and behind it the biases [experts]
// weights  [T, top] f32
// ids      [T, top] i32, the largest z first; -1 in rows from `rows` on, which are padding
// sorted   with SORTED, of one row, in place of ids: its pairs by expert (lib/experts.wgsl), as sort-pairs would leave them

#include "llm/step.wgsl"

#param SORTED 0 1 // leaves: 0 ids, 1 pairs that are sorted

const LANES = 256u;
const MOST = 512u; // experts
const NO_NUMBER = 0x7fc00000u;

struct Params {
  quads: u32, // vec4s in a row
  lanes: u32, // LANES, as a number that compilers do not know: they would write loops out
  experts: u32,
  top: u32,
  parts: u32, // lanes that share four experts; a power of two
  epsilon: f32,
  scale: f32, // of the weights
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> router: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> h: array<vec4<f32>>;
#if SORTED
@group(0) @binding(6) var<storage, read_write> sorted: array<u32>;
#else
@group(0) @binding(6) var<storage, read_write> ids: array<i32>;
#endif
@group(0) @binding(7) var<storage, read_write> weights: array<u32>;

var<workgroup> squares: array<f32, LANES>;
var<workgroup> sums: array<vec4<f32>, LANES>; // of four experts each
var<workgroup> logits: array<f32, MOST>; // no NaN
var<workgroup> broken: array<u32, LANES>; // is one of this lane's NaN?
var<workgroup> chosen: array<u32, MOST>; // experts, the largest logit first

fn is_nan(value: f32) -> bool { return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u; }
fn is_finite(value: f32) -> bool { return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u; }

// How many experts come before this one.
fn rank_of(expert: u32) -> u32 {
  let own = logits[expert];
  var rank = 0u;
  for (var other = 0u; other < params.experts; other++) {
    let value = logits[other];
    rank += u32(value > own || (value == own && other < expert));
  }
  return rank;
}

// The weight of the expert of a rank, as bits.
fn weight_of(rank: u32) -> u32 {
  let largest = logits[chosen[0]];
  var nans = 0u;
  for (var i = 0u; i < params.lanes; i++) { nans |= broken[i]; }
  if (nans != 0u || !is_finite(largest)) { return NO_NUMBER; }
  var sum = 0.0;
  for (var i = 0u; i < params.top; i++) { sum += exp(logits[chosen[i]] - largest); }
  return bitcast<u32>(params.scale * (exp(logits[chosen[rank]] - largest) / sum));
}

// Chosen experts before this one.
fn before(expert: u32) -> u32 {
  var count = 0u;
  for (var i = 0u; i < params.top; i++) { count += u32(chosen[i] < expert); }
  return count;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (now.running == 0u) { return; }
  let row = workgroup.x;
  if (row >= now.rows) {
#if !SORTED
    for (var i = lane; i < params.top; i += LANES) {
      ids[row * params.top + i] = -1;
      weights[row * params.top + i] = 0u;
    }
#endif
    return;
  }
  let begin = row * params.quads;

  var square = vec4<f32>();
  for (var i = lane; i < params.quads; i += LANES) {
    let quad = x[begin + i];
    square = fma(quad, quad, square);
  }
  squares[lane] = (square.x + square.y) + (square.z + square.w);
  workgroupBarrier(); // every lane's squares are there before all add them up
  var total = 0.0;
  for (var i = 0u; i < params.lanes; i++) { total += squares[i]; }
  let factor = inverseSqrt(total / f32(4u * params.quads) + params.epsilon);
  for (var i = lane; i < params.quads; i += LANES) { h[begin + i] = x[begin + i] * factor * weight[i]; }
  storageBarrier(); // the row is normed before others read it

  var nans = 0u;
  let part = lane % params.parts;
  let four = 4u * (lane / params.parts); // the first expert of this lane's
  for (var first = 0u; first < params.experts; first += 4u * (LANES / params.parts)) {
    // Experts that there are not are the last one again.
    var rows: vec4<u32>;
    for (var j = 0u; j < 4u; j++) { rows[j] = min(first + four + j, params.experts - 1u) * params.quads; }
    var own: array<vec4<f32>, 4> = array<vec4<f32>, 4>();
    for (var i = part; i < params.quads; i += params.parts) {
      let quad = h[begin + i];
      own[0] = fma(quad, router[rows.x + i], own[0]);
      own[1] = fma(quad, router[rows.y + i], own[1]);
      own[2] = fma(quad, router[rows.z + i], own[2]);
      own[3] = fma(quad, router[rows.w + i], own[3]);
    }
    let one = vec4<f32>(1.0);
    sums[lane] = vec4<f32>(dot(own[0], one), dot(own[1], one), dot(own[2], one), dot(own[3], one));
    workgroupBarrier(); // all parts are there before they are added up
    for (var i = lane; i < 4u * (LANES / params.parts) && first + i < params.experts; i += LANES) {
      let expert = first + i;
      var logit = router[params.experts * params.quads + expert / 4u][expert % 4u];
      for (var j = 0u; j < params.parts; j++) { logit += sums[(i / 4u) * params.parts + j][i % 4u]; }
      if (is_nan(logit)) {
        nans = 1u;
        logit = bitcast<f32>(0xff7fffffu); // the lowest number, so that they have an order
      }
      logits[expert] = logit;
    }
    workgroupBarrier(); // they are added up before others take their place, and before they are compared
  }
  broken[lane] = nans;
  for (var expert = lane; expert < params.experts; expert += LANES) {
    let rank = rank_of(expert);
    if (rank < params.top) { chosen[rank] = expert; }
  }
  workgroupBarrier(); // all are chosen before they are weighted

  for (var i = lane; i < params.top; i += LANES) {
    weights[row * params.top + i] = weight_of(i);
#if SORTED
    sorted[5u * (params.experts + 2u) + before(chosen[i])] = i;
#else
    ids[row * params.top + i] = i32(chosen[i]);
#endif
  }
#if SORTED
  // Each expert has one pair at most, so blocks of any size are as many.
  let in_list = params.experts + 2u;
  for (var expert = lane; expert < in_list; expert += LANES) {
    let blocks = before(expert);
    for (var list = 0u; list < 4u; list++) { sorted[list * in_list + expert] = blocks; }
  }
#endif
}
