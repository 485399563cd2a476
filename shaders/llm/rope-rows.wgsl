// Rows of a prompt between their product and their attention: q and k are normed (NORM) and rotated, q scaled, k and v written to the cache.
// A lane has a quad of a head of a row; the lanes of a head lie side by side. Rows from `rows` on are padding: they write nothing.
//
// qkv    f32: [T, H + 2V, width], or [T, H, width] and two of [T, V, width], one behind the other
// norms  [2, width] weights of the norms of q and of k, one after the other
// q      [T, H, E] f32

#let WRITES 1

#include "llm/heads.wgsl"
#include "llm/cache.wgsl"
#include "llm/rotate.wgsl"
#include "llm/inputs.wgsl"
#include "lib/grid.wgsl"

const LANES = 128u;
const HEADS = LANES / E4; // of a workgroup; a few lanes may have none

@group(0) @binding(3) var<storage, read> angles: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> q: array<vec4<f32>>;
#if NORM
var<workgroup> squares: array<f32, LANES>;
#endif
#if KV == 2
var<workgroup> peaks: array<u32, LANES>;
#endif

// Where a head of a row begins in qkv, in heads.
fn place_of(row: u32, head: u32) -> u32 {
  if (head < params.heads) { return row * params.q_pitch + head; }
  let kv_heads = params.heads / params.group;
  let begin = select(params.k_begin, params.v_begin - kv_heads, head >= params.heads + kv_heads);
  return begin + row * params.kv_pitch + head - params.heads;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (now.running == 0u) { return; }
  let kv_heads = params.heads / params.group;
  let in_row = params.heads + 2u * kv_heads;
  let first = linear_index(workgroup, workgroups) * HEADS;
  if (first >= now.rows * in_row) { return; }
  let index = first + lane / E4;
  let row = index / in_row;
  let head = index % in_row;
  let quad = lane % E4;
  let has = lane / E4 < HEADS && row < now.rows;
  let partner = other_quad(quad);
  var own = vec4<f32>();
  var other = vec4<f32>();
  if (has) {
    let place = place_of(row, head);
    let turns = head < params.heads + kv_heads;
    own = head_quad(place, quad, turns);
    other = head_quad(place, partner, turns);
  }
#if NORM
  squares[lane] = dot(own, own);
  workgroupBarrier(); // all squares are there before they are added up
#endif
  let position = now.position + row;
  let slot = position % params.capacity;
  let is_value = head >= params.heads + kv_heads;
  let is_key = head >= params.heads && !is_value;
  var done = own;
  if (has && !is_value) {
#if NORM
    var sum = 0.0;
    for (var i = 0u; i < params.quads; i++) { sum += squares[lane - quad + i]; }
    let factor = inverseSqrt(sum / f32(params.width) + params.epsilon);
    own *= factor * norm_quad(is_key, quad);
    other *= factor * norm_quad(is_key, partner);
#endif
    done = turned(own, other, turn_of(quad, position));
  }
#if KV == 2
  peaks[lane] = peak_of(done);
  workgroupBarrier(); // the magnitudes of a head are there before its largest is found
#endif
  if (!has) { return; }
  if (!is_value && !is_key) {
    q[(row * params.heads + head) * E4 + quad] = done * params.scale;
    return;
  }
  let kv_head = head - select(params.heads, params.heads + kv_heads, is_value);
#if KV == 2
  var peak = 0u;
  for (var i = 0u; i < params.quads; i++) { peak = max(peak, peaks[lane - quad + i]); }
  let factor = factor_of(peak);
  let codes = held(done, factor);
  if (is_key) {
    k_cache[key_index(kv_head, slot, quad)] = codes;
    if (quad == 0u) { k_cache[factor_index(kv_head, slot)] = factor; }
  } else {
    v_cache[value_index(kv_head, slot, quad)] = codes;
    if (quad == 0u) { v_cache[factor_index(kv_head, slot)] = factor; }
  }
#else
  if (is_key) {
    k_cache[key_index(kv_head, slot, quad)] = held(done);
  } else {
    v_cache[value_index(kv_head, slot, quad)] = held(done);
  }
  count_clamped(done);
#endif
}
