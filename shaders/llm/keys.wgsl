// What QUERIES queries make of a run of keys of one head of the cache: for each the sum of values, weighted by exp(q · k - top), the sum of
// the weights, and top, the largest q · k. Queries come scaled. K and V are read once for all queries.
//
// Keys go in tiles of TILE. First a lane takes keys: their products with all queries. Then a few lanes find the largest of each query, and say
// by how much shrinks what was summed by an earlier one. Then a lane takes a quad of the values' columns, and the keys of its slice. A key
// that is none of a query's has the weight 0, and not a score that is small. What is NaN stays NaN, since every score meets exp.
//
// Loops end at `params.quads` and such for software adapters (llm/heads.wgsl). GPUs (256 lanes) get four quads of a key at once.
// On a CPU a lane takes four keys at once (KEYS): each of its loads is many, and a query's quad then serves four.
//
// A kernel says, before it includes this file, whether one key is not in the cache (NEW: `tops` begin with its scores, `new_value` its value)
// and whether queries begin and end at different keys (CAUSAL: `first_key(query)`, `last_key(query)`). It makes of sums what it wants: `finish(…)`.

#include "llm/cache.wgsl"
#include "llm/cap-of.wgsl"

#param QUERIES 1 2 3 4 5 6 7 8
#param LANES 64 256

// So that scores take at most 8 KiB of workgroup memory, and a query's share of them holds the sums of all lanes.
#if QUERIES == 1
#let TILE 2048
#elif QUERIES == 2
#let TILE 1024
#elif QUERIES <= 4
#let TILE 512
#elif QUERIES <= 8
#let TILE 256
#else
#error QUERIES must be 1 to 8
#endif

#if LANES == 64
#let UNROLL 1
#let KEYS 4
#elif LANES == 256 && QUERIES == 1
#let UNROLL 4
#let KEYS 1
#else
#error LANES must be 64, or 256 with one query
#endif

const SLICES = LANES / E4; // of the keys of a tile; a few lanes may have none
#let PARTS LANES / 8
const LOWEST = -3.4028234e38; // below every score

var<workgroup> queries: array<vec4<f32>, (QUERIES + NEW) * E4>; // [QUERIES, E4], then the new key
var<workgroup> scores: array<f32, QUERIES * TILE>; // [QUERIES, TILE]: scores, then weights; in the end the sums of all lanes
var<workgroup> part_tops: array<f32, LANES>; // [8, PARTS]; in the end the sums of weights, [QUERIES, SLICES]
var<workgroup> tops: array<f32, QUERIES>;
var<workgroup> shrinks: array<f32, QUERIES>;
#if NEW
var<workgroup> new_value: array<vec4<f32>, E4>;
#endif

fn capped_score(score: f32) -> f32 {
  if (params.cap == 0.0) { return score; }
  return capped(score, params.cap);
}

// Keys [begin, end) of the cache, and with `has_new` the new one; all lanes call it with the same. Whoever calls it waits for `queries`
// before. Lane g brings tops[g]: with the new key its score, else LOWEST. There are at most `capacity` keys.
fn attend_keys(head: u32, begin: u32, end: u32, has_new: bool, lane: u32) {
  let quad = lane % E4;
  let slice = lane / E4;
  let begin_slot = begin % params.capacity;
  var totals: array<f32, QUERIES>; // of this slice's keys
  var sums: array<vec4<f32>, QUERIES>; // of this slice's keys
#if NEW
  if (has_new && slice == 0u) {
    let value = new_value[quad];
#repeat g QUERIES
    totals[g] = 1.0;
    sums[g] = value;
#end
  }
#endif
  for (var first = begin; first < end; first += TILE) {
    let count = min(TILE, end - first);
    for (var round = lane; round < count; round += LANES * KEYS) {
#if KEYS == 1
      var products: array<vec4<f32>, QUERIES> = array<vec4<f32>, QUERIES>();
      let slot = wrapped(begin_slot + (first - begin) + round);
      let at = key_index(head, slot, 0u);
      for (var i = 0u; i < params.quads; i += UNROLL) {
#repeat j UNROLL
        let k = floats(k_cache[at + (i + j) * params.capacity]);
#repeat g QUERIES
        products[g] = fma(queries[g * E4 + i + j], k, products[g]);
#end
#end
      }
      let factor = key_factor(head, slot);
#repeat g QUERIES
      scores[g * TILE + round] = capped_score(((products[g].x + products[g].y) + (products[g].z + products[g].w)) * factor);
#end
#else
      var products: array<vec4<f32>, QUERIES> = array<vec4<f32>, QUERIES>(); // one of each key
      var keys: array<u32, KEYS> = array<u32, KEYS>();
      var factors_of: array<f32, KEYS> = array<f32, KEYS>();
#repeat c KEYS
      {
        let slot = wrapped(begin_slot + (first - begin) + min(round + c * LANES, count - 1u)); // beyond the last it is the last again
        keys[c] = key_index(head, slot, 0u);
        factors_of[c] = key_factor(head, slot);
      }
#end
      for (var i = 0u; i < params.quads; i++) {
        let at = i * params.capacity;
        let a = floats(k_cache[keys[0] + at]);
        let b = floats(k_cache[keys[1] + at]);
        let c = floats(k_cache[keys[2] + at]);
        let d = floats(k_cache[keys[3] + at]);
#repeat g QUERIES
        let query = queries[g * E4 + i];
        products[g] += vec4<f32>(dot(query, a), dot(query, b), dot(query, c), dot(query, d));
#end
      }
#repeat c KEYS
      if (round + c * LANES < count) {
#repeat g QUERIES
        scores[g * TILE + round + c * LANES] = capped_score(products[g][c] * factors_of[c]);
#end
      }
#end
#endif
    }
    workgroupBarrier(); // all scores are there before their largest are found
    let query = lane / PARTS;
    if (query < QUERIES) {
      var top = LOWEST;
#if CAUSAL
      let own_begin = first_key(query) - min(first, first_key(query));
      let own_end = min(count, last_key(query) + 1u - min(first, last_key(query) + 1u));
      for (var t = lane % PARTS; t < own_end; t += PARTS) { top = select(top, max(top, scores[query * TILE + t]), t >= own_begin); }
#else
      for (var t = lane % PARTS; t < count; t += PARTS) { top = max(top, scores[query * TILE + t]); }
#endif
      part_tops[lane] = top;
    }
    workgroupBarrier(); // each part's largest is there before those of a query are compared
    if (lane < QUERIES) {
      var top = tops[lane];
      for (var i = 0u; i < params.parts; i++) { top = max(top, part_tops[lane * PARTS + i]); }
      shrinks[lane] = exp(tops[lane] - top);
      tops[lane] = top;
    }
    workgroupBarrier(); // the tops are there before scores become weights by them
    for (var i = lane; i < QUERIES * TILE; i += LANES) {
      let t = i % TILE;
      if (t < count) {
        var weight = exp(scores[i] - tops[i / TILE]);
#if CAUSAL
        if (first + t < first_key(i / TILE) || first + t > last_key(i / TILE)) { weight = 0.0; }
#endif
        scores[i] = weight;
      }
    }
    workgroupBarrier(); // the weights are there before values meet them
    if (slice < SLICES) {
#repeat g QUERIES
      totals[g] *= shrinks[g];
      sums[g] *= shrinks[g];
#end
      for (var t = slice; t < count; t += SLICES) {
        let slot = wrapped(begin_slot + (first - begin) + t);
        let value = floats(v_cache[value_index(head, slot, quad)]);
        let factor = value_factor(head, slot);
#repeat g QUERIES
        let weight = scores[g * TILE + t];
        totals[g] += weight;
        sums[g] = fma(vec4<f32>(weight * factor), value, sums[g]);
#end
      }
    }
    workgroupBarrier(); // values have met all weights before scores take their place
  }
  if (slice < SLICES) {
#repeat g QUERIES
    scores[4u * (g * LANES + lane)] = sums[g].x;
    scores[4u * (g * LANES + lane) + 1u] = sums[g].y;
    scores[4u * (g * LANES + lane) + 2u] = sums[g].z;
    scores[4u * (g * LANES + lane) + 3u] = sums[g].w;
    if (quad == 0u) { part_tops[g * SLICES + slice] = totals[g]; }
#end
  }
  workgroupBarrier(); // the sums of all slices are there before they are added up
  for (var i = lane; i < QUERIES * E; i += LANES) {
    let query = i / E;
    let at = 4u * query * LANES + i % E;
    var sum = 0.0;
    var total = 0.0;
    for (var s = 0u; s < params.slices; s++) {
      sum += scores[at + s * E];
      total += part_tops[query * SLICES + s];
    }
    finish(query, i % E, sum, total, tops[query]);
  }
}
