// What QUERIES queries make of a run of keys of one head of the cache: for each the sum of values, weighted by exp(q · k - top), the sum of
// the weights, and top, the largest q · k. Queries come scaled. K and V are read once for all queries.
//
// Keys go in tiles of TILE. First a lane takes keys: their products with all queries. Then all lanes know the largest of each query, and what
// they summed by an earlier one shrinks. Then a lane takes a quad of the values' columns, and the keys of its slice. Masks are no numbers that
// are large: a key beyond a query's last has the weight 0. What is NaN stays NaN, since every product meets exp.
//
// Loops end at `params.quads` and such, which are numbers that the text knows, because software adapters write loops of known length out, and
// then take minutes to compile. GPUs (256 lanes) get four quads of a key at once.
//
// A kernel says, before it includes this file, whether the last key is not in the cache yet (NEW: it lies behind the queries, its value in
// `new_value`) and whether queries end at different keys (CAUSAL: `last_key(query)`). It makes of sums what it wants: `finish(…)`.

#include "llm/cache.wgsl"

#param QUERIES 1 2 3 4 5 6 7 8 16
#param LANES 64 256

// So that scores take 8 KiB of workgroup memory.
#if QUERIES == 1
#let TILE 2048
#elif QUERIES == 2
#let TILE 1024
#elif QUERIES <= 4
#let TILE 512
#elif QUERIES <= 8
#let TILE 256
#elif QUERIES == 16
#let TILE 128
#else
#error QUERIES must be 1 to 8 or 16
#endif

#if LANES == 64
#let UNROLL 1
#elif LANES == 256
#let UNROLL 4
#else
#error LANES must be 64 or 256
#endif

const SLICES = LANES / E4; // of the keys of a tile; a few lanes may have none
const FOLD = 8u; // lanes that fold what all lanes have of a query
const LOWEST = -3.4028234e38; // below every score

var<workgroup> queries: array<vec4<f32>, (QUERIES + NEW) * E4>; // [QUERIES, E4], then the new key
var<workgroup> scores: array<f32, QUERIES * TILE>; // [QUERIES, TILE]: scores, then weights; in the end a query's sums
var<workgroup> folds: array<f32, QUERIES * LANES>; // [QUERIES, LANES]
#if NEW
var<workgroup> new_value: array<vec4<f32>, E4>;
#endif

fn value_of(head: u32, key: u32, quad: u32) -> vec4<f32> {
#if NEW
  if (key == now.position) { return new_value[quad]; }
#endif
  return floats(v_cache[value_index(head, key, quad)]);
}

// Leaves the largest of each query's LANES numbers among its first FOLD.
fn fold_tops(lane: u32) {
  for (var i = lane; i < QUERIES * FOLD; i += LANES) {
    let first = (i / FOLD) * LANES + i % FOLD;
    var top = folds[first];
    for (var j = FOLD; j < params.lanes; j += FOLD) { top = max(top, folds[first + j]); }
    folds[first] = top;
  }
}

// Leaves the sums of each query's LANES numbers in its first FOLD.
fn fold_sums(lane: u32) {
  for (var i = lane; i < QUERIES * FOLD; i += LANES) {
    let first = (i / FOLD) * LANES + i % FOLD;
    var sum = folds[first];
    for (var j = FOLD; j < params.lanes; j += FOLD) { sum += folds[first + j]; }
    folds[first] = sum;
  }
}

// Keys [begin, end) of a head; all lanes call it with the same. Whoever calls it waits for `queries` before.
fn attend_keys(head: u32, begin: u32, end: u32, lane: u32) {
  let quad = lane % E4;
  let slice = lane / E4;
  var tops: array<f32, QUERIES>;
  var totals: array<f32, QUERIES>; // of this lane's keys
  var sums: array<vec4<f32>, QUERIES>; // of this slice's keys
#repeat g QUERIES
  tops[g] = LOWEST;
#end
  for (var first = begin; first < end; first += TILE) {
    let count = min(TILE, end - first);
    var own: array<f32, QUERIES> = array<f32, QUERIES>();
#repeat g QUERIES
    own[g] = LOWEST;
#end
    for (var t = lane; t < count; t += LANES) {
      let key = first + t;
      var products: array<vec4<f32>, QUERIES> = array<vec4<f32>, QUERIES>();
#if NEW
      if (key == now.position) {
        for (var i = 0u; i < params.quads; i++) {
          let k = queries[QUERIES * E4 + i];
#repeat g QUERIES
          products[g] = fma(queries[g * E4 + i], k, products[g]);
#end
        }
      } else {
#else
      {
#endif
        let at = key_index(head, key, 0u);
        for (var i = 0u; i < params.quads; i += UNROLL) {
#repeat j UNROLL
          let k = floats(k_cache[at + (i + j) * params.capacity]);
#repeat g QUERIES
          products[g] = fma(queries[g * E4 + i + j], k, products[g]);
#end
#end
        }
      }
#repeat g QUERIES
      let score = (products[g].x + products[g].y) + (products[g].z + products[g].w);
      scores[g * TILE + t] = score;
#if CAUSAL
      own[g] = select(own[g], max(own[g], score), key <= last_key(g));
#else
      own[g] = max(own[g], score);
#endif
#end
    }
#repeat g QUERIES
    folds[g * LANES + lane] = own[g];
#end
    workgroupBarrier(); // every lane's largest are there before some are folded
    fold_tops(lane);
    workgroupBarrier(); // they are folded before all read what is left
#repeat g QUERIES
    var top = tops[g];
    for (var i = 0u; i < params.folds; i++) { top = max(top, folds[g * LANES + i]); }
    let shrink = exp(tops[g] - top);
    totals[g] *= shrink;
    sums[g] *= shrink;
    tops[g] = top;
#end
    for (var t = lane; t < count; t += LANES) {
#repeat g QUERIES
      var weight = exp(scores[g * TILE + t] - tops[g]);
#if CAUSAL
      if (first + t > last_key(g)) { weight = 0.0; }
#endif
      scores[g * TILE + t] = weight;
      totals[g] += weight;
#end
    }
    workgroupBarrier(); // the weights are there before values meet them
    if (slice < SLICES) {
      for (var t = slice; t < count; t += SLICES) {
        let value = value_of(head, first + t, quad);
#repeat g QUERIES
        sums[g] = fma(vec4<f32>(scores[g * TILE + t]), value, sums[g]);
#end
      }
    }
    workgroupBarrier(); // values have met all weights before others take their place
  }
#repeat g QUERIES
  folds[g * LANES + lane] = totals[g];
#end
  workgroupBarrier(); // every lane's weights are there before some are added up
  fold_sums(lane);
  workgroupBarrier(); // they are added up before all read what is left
#repeat g QUERIES
  scores[lane] = sums[g].x;
  scores[LANES + lane] = sums[g].y;
  scores[2u * LANES + lane] = sums[g].z;
  scores[3u * LANES + lane] = sums[g].w;
  workgroupBarrier(); // the sums of all slices are there before they are added up
  var total = 0.0;
  for (var i = 0u; i < params.folds; i++) { total += folds[g * LANES + i]; }
  for (var c = lane; c < E; c += LANES) {
    let first = (c % 4u) * LANES + c / 4u;
    var sum = scores[first];
    for (var i = 1u; i < params.slices; i++) { sum += scores[first + i * E4]; }
    finish(g, c, sum, total, tops[g]);
  }
  workgroupBarrier(); // they are read before those of the next query take their place
#end
}
