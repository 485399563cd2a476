// The attention of one token. q, k and v of its row lie side by side as the product left them. A workgroup takes QUERIES heads that share a
// head of the cache, and a split of the positions: it norms (NORM) and rotates its queries, and the key of the new position for itself. So
// no workgroup reads what another writes. The one with the first queries of its cache head and the last position writes k and v to the cache.
//
// qkv    [H + 2V, width] f32
// norms  [2, width] weights of the norms of q and of k, one after the other
// att    [H, width] f32
// parts  [splits, H, E + 2] f32: sums, the sum of their weights, top. A split without positions leaves its part as it is
//
// Each head of the cache has whole groups of QUERIES queries: QUERIES divides `group`.

#let NEW 1
#let CAUSAL 0
#let WRITES 1

#include "llm/heads.wgsl"
#include "llm/keys.wgsl"
#include "llm/rotate.wgsl"
#include "llm/inputs.wgsl"
#include "llm/sinks.wgsl"

#param SPLIT 0 1 // do workgroups share a head's positions?

@group(0) @binding(3) var<storage, read> angles: array<vec2<f32>>;
#if SPLIT
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;
#else
@group(0) @binding(6) var<storage, read_write> att: array<f32>;
#endif
#if NORM
var<workgroup> factors: array<f32, QUERIES + 1u>;
#endif

var<private> first_head: u32;
var<private> split: u32;

fn finish(query: u32, c: u32, sum: f32, total: f32, top: f32) {
#if SPLIT
  let part = (split * params.heads + first_head + query) * (E + 2u);
  parts[part + c] = sum;
  if (c == 0u) {
    parts[part + E] = total;
    parts[part + E + 1u] = top;
  }
#else
  let head = first_head + query;
  if (c < params.width) { att[head * params.width + c] = sum / (total + sink_weight(head, top)); }
#endif
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (now.running == 0u) { return; }
  first_head = workgroup.x * QUERIES;
  split = workgroup.y;
  let kv_head = (workgroup.x * QUERIES) / params.group;
  let length = now.position + 1u;
  let start = begin_of(length);
  let span = span_of(length - start, params.splits);
  let begin = start + workgroup.y * span;
  let end = min(begin + span, length);
  if (begin >= length) { return; }

  for (var i = lane; i < (QUERIES + 1u) * E4; i += LANES) {
    let query = i / E4;
    let head = select(params.heads + kv_head, first_head + query, query < QUERIES);
    queries[i] = head_quad(head, i % E4, true);
  }
  for (var i = lane; i < E4; i += LANES) {
    let kv_heads = params.heads / params.group;
    new_value[i] = head_quad(params.heads + kv_heads + kv_head, i, false);
  }
  workgroupBarrier(); // heads are whole before they are normed or rotated
#if NORM
  for (var i = lane; i <= QUERIES; i += LANES) {
    var squares = vec4<f32>();
    for (var j = 0u; j < params.quads; j++) {
      let quad = queries[i * E4 + j];
      squares = fma(quad, quad, squares);
    }
    let mean = ((squares.x + squares.y) + (squares.z + squares.w)) / f32(params.width);
    factors[i] = inverseSqrt(mean + params.epsilon);
  }
  workgroupBarrier(); // factors are there before they are used
#endif
  // A lane has a quad and that which turns with it; what it reads nobody else writes.
  for (var i = lane; i < (QUERIES + 1u) * E4; i += LANES) {
    let is_key = i >= QUERIES * E4;
    let quad = i % E4;
    let partner = other_quad(quad);
    if (partner < quad) { continue; }
    let other = i + (partner - quad);
    var a = queries[i];
    var b = queries[other];
#if NORM
    a *= factors[i / E4] * norm_quad(is_key, quad);
    b *= factors[i / E4] * norm_quad(is_key, partner);
#endif
    let by = turn_of(quad, now.position);
    let scale = select(params.scale, 1.0, is_key);
    queries[i] = turned(a, b, by) * scale;
    if (partner > quad) { queries[other] = turned(b, a, Turn(by.cosines, -by.sines)) * scale; }
  }
  workgroupBarrier(); // queries and the key are whole before anyone multiplies or keeps them

  // The cache's new position. Everyone goes on with what the cache holds of it, as later tokens will.
  let owns = end == length && (workgroup.x * QUERIES) % params.group == 0u;
#if KV == 2
  var key_peak = 0u;
  var value_peak = 0u;
  for (var i = 0u; i < params.quads; i++) {
    key_peak = max(key_peak, peak_of(queries[QUERIES * E4 + i]));
    value_peak = max(value_peak, peak_of(new_value[i]));
  }
  let key_scale = factor_of(key_peak);
  let value_scale = factor_of(value_peak);
  if (owns && lane == 0u) {
    let at = factor_index(kv_head, now.position % params.capacity);
    k_cache[at] = key_scale;
    v_cache[at] = value_scale;
  }
  workgroupBarrier(); // everyone has the peaks before codes take the place of what they are of
#endif
  for (var i = lane; i < E4; i += LANES) {
    let key = queries[QUERIES * E4 + i];
    let value = new_value[i];
#if KV == 2
    let held_key = held(key, key_scale);
    let held_value = held(value, value_scale);
#else
    let held_key = held(key);
    let held_value = held(value);
#endif
    if (owns) {
      let slot = now.position % params.capacity;
      k_cache[key_index(kv_head, slot, i)] = held_key;
      v_cache[value_index(kv_head, slot, i)] = held_value;
      count_clamped(key);
      count_clamped(value);
    }
#if KV == 2
    queries[QUERIES * E4 + i] = floats(held_key) * bitcast<f32>(key_scale);
    new_value[i] = floats(held_value) * bitcast<f32>(value_scale);
#else
    queries[QUERIES * E4 + i] = floats(held_key);
    new_value[i] = floats(held_value);
#endif
  }
  workgroupBarrier(); // they are as the cache has them before anyone reads them
  let has_new = end == length;
  // Nobody else reads these before the next barrier.
  if (lane < QUERIES) {
    var products = vec4<f32>();
    for (var i = 0u; i < params.quads; i++) { products = fma(queries[lane * E4 + i], queries[QUERIES * E4 + i], products); }
    tops[lane] = select(LOWEST, capped_score((products.x + products.y) + (products.z + products.w)), has_new);
  }
  attend_keys(kv_head, begin, min(end, now.position), has_new, lane);
}
