// The attention of a prompt's rows: each row meets the positions up to its own, those that were in the cache before among them, and no more
// than a window. The queries of a head of the cache are those of all rows: query i is head i % group of row i / group. A workgroup takes
// QUERIES of them, so that K and V are read once for each tile of queries.
//
// q    [T, H, E] f32, rotated and scaled, as llm/rope-rows leaves it
// att  [T, H, width] f32; rows from `rows` on stay as they are

#let NEW 0
#let CAUSAL 1
#let WRITES 0

#include "llm/heads.wgsl"
#include "llm/keys.wgsl"
#include "llm/sinks.wgsl"

@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> att: array<f32>;

var<private> first_query: u32;
var<private> kv_head: u32;

fn last_key(query: u32) -> u32 {
  return now.position + (first_query + query) / params.group;
}

fn first_key(query: u32) -> u32 {
  return begin_of(last_key(query) + 1u);
}

// Where a query's head begins in q and att, in heads.
fn head_of(query: u32) -> u32 {
  let i = first_query + query;
  return (i / params.group) * params.heads + kv_head * params.group + i % params.group;
}

fn finish(query: u32, c: u32, sum: f32, total: f32, top: f32) {
  if (c < params.width && first_query + query < now.rows * params.group) {
    let sink = sink_weight(kv_head * params.group + (first_query + query) % params.group, top);
    att[head_of(query) * params.width + c] = sum / (total + sink);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (now.running == 0u) { return; }
  let count = now.rows * params.group;
  let first = workgroup.x * QUERIES;
  if (first >= count) { return; }
  first_query = first;
  kv_head = workgroup.y;
  for (var i = lane; i < QUERIES * E4; i += LANES) {
    let query = i / E4;
    var quad = vec4<f32>();
    if (first + query < count) { quad = q[head_of(query) * E4 + i % E4]; }
    queries[i] = quad;
  }
  if (lane < QUERIES) { tops[lane] = LOWEST; }
  workgroupBarrier(); // queries and tops are there before anyone reads them
  let last = min(first + QUERIES, count) - 1u;
  attend_keys(workgroup.y, begin_of(now.position + first / params.group + 1u), now.position + last / params.group + 1u, false, lane);
}
