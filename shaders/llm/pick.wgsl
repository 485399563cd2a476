// Chooses the next token and moves the sequence on: the largest logit, or with NOISE the largest of logit / temperature + noise, which is a
// sample of the softmax; the lowest id where several are as large. With CUT the sample is of those that top-k, top-p and min-p keep, and noise is
// added to (logit - the largest) / temperature. A NaN among the logits ends the sequence, and says so. One workgroup.
//
// best    [vocabulary / 4, rounded up] (value as bits, id) of four ids each; read by two
// logits  [vocabulary] f32; read by four. With NOISE or ADJUST always
// state   u32 at the offsets below, what the host reads. `id` is where the embedding of the next token reads its id
// bias, counts    llm/logits.wgsl
//
// Ids from `vocabulary` on are padding, and no choice.

#param NOISE 0 1
#param LOGITS 0 1 // reads: 0 best, 1 logits
#param ADJUST 0 1 // logits are changed by bias, penalties and bans
#param CUT 0 1 // only some ids are drawn

#if CUT && !NOISE || (NOISE || ADJUST) && !LOGITS
#error CUT needs NOISE; NOISE and ADJUST need LOGITS
#endif

#include "llm/step.wgsl"
#include "llm/noise.wgsl"
#include "llm/choosing.wgsl"
#include "llm/best.wgsl"
#if LOGITS
#include "llm/logits.wgsl"
#endif
#if CUT
#include "llm/cut.wgsl"
#endif

// Of state:
const COUNT = 0u; // ids that were chosen
const FLAGS = 1u; // why the sequence has ended
const ID = 2u; // the last id
const RING = 16u; // the last RING_SIZE ids: id n at n % RING_SIZE
const RING_SIZE = 64u;
const LIST = RING + RING_SIZE; // ids by position
// Flags:
const STOPPED = 1u; // the last id is a stop id
const FULL = 2u; // as many ids as were asked for, or as the cache has positions
const NOT_A_NUMBER = 4u; // no id was chosen

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> now: Step;
#if LOGITS
@group(0) @binding(2) var<storage, read> logits: array<vec4<u32>>;
#else
@group(0) @binding(2) var<storage, read> best: array<vec4<u32>>;
#endif
@group(0) @binding(3) var<storage, read_write> state: array<u32>;
#if ADJUST
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> counts: array<u32>;
#endif

#if LOGITS
// What is compared, of an id with this key.
fn value_of(key: u32, id: u32, position: u32) -> u32 {
#if NOISE
  if (key == NAN_KEY) { return NAN_KEY; }
  let noise = gumbel(hash_of(params.seed, position, id));
#if CUT
  return key_of(bitcast<u32>(distance_of(key, search[0].top) + noise));
#else
  return key_of(bitcast<u32>(float_of(key) * params.inverse_temperature + noise));
#endif
#else
  return key;
#endif
}

// The best of this lane's ids. With `noisy` of the values that are compared, and of ids that are kept; else of the keys.
fn own_choice(lane: u32, noisy: bool) -> Choice {
  var own = Choice(NO_KEY, NONE);
  let position = now.position + now.rows;
  let quads = (params.vocabulary + 3u) / 4u;
#if CUT
  let found = search[0];
#endif
  for (var i = lane; i < quads; i += LANES) {
    let keys = keys_at(i);
    for (var j = 0u; j < 4u; j++) {
      let key = keys[j];
      let id = 4u * i + j;
      if (key == NO_KEY) { continue; }
#if CUT
      if (!noisy) {
        own = better(own, Choice(key, id));
        continue;
      }
      if (!is_kept(key, found)) { continue; }
#endif
      own = better(own, Choice(value_of(key, id, position), id));
    }
  }
  return own;
}
#else
fn met(own: Choice, bits: u32, id: u32) -> Choice {
  if (id >= params.vocabulary) { return own; }
  let is_nan = (bits & ~SIGN) > INFINITY_BITS;
  return better(own, Choice(select(key_of(bits), NAN_KEY, is_nan), id));
}

// The best of this lane's pairs.
fn own_choice(lane: u32, noisy: bool) -> Choice {
  var own = Choice(NO_KEY, NONE);
  let pairs = (params.vocabulary + 3u) / 4u;
  for (var i = lane; i < (pairs + 1u) / 2u; i += LANES) {
    let two = best[i];
    own = met(own, two.x, two.y);
    if (2u * i + 1u < pairs) { own = met(own, two.z, two.w); }
  }
  return own;
}
#endif

fn move_on(best: Choice) {
  let id = best.id;
  if (best.key == NAN_KEY || id == NONE) {
    state[FLAGS] = NOT_A_NUMBER;
    now.running = 0u;
    return;
  }
  let count = state[COUNT];
  let position = now.position + now.rows;
  state[COUNT] = count + 1u;
  state[ID] = id;
  state[RING + count % RING_SIZE] = id;
  state[LIST + position] = id;
#if ADJUST
  counts[id]++;
  if (position >= params.window) { counts[state[LIST + position - params.window]]--; }
#endif
  now.position = position;
  now.rows = 1u;
  var flags = 0u;
  for (var i = 0u; i < params.stops; i++) {
    if (params.stop_ids[i / 4u][i % 4u] == id) { flags = STOPPED; }
  }
  if (count + 1u >= params.limit || position >= params.context) { flags |= FULL; }
  state[FLAGS] = flags;
  if (flags != 0u) { now.running = 0u; }
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let running = now.running != 0u; // the same for all lanes, but no compiler can know: so all pass the barriers
  var own = Choice(NO_KEY, NONE);
#if CUT
  if (running) { own = own_choice(lane, false); }
  best_of(lane, own);
  find_threshold(lane, choices[0].key);
  own = Choice(NO_KEY, NONE);
#endif
  if (running) { own = own_choice(lane, true); }
  best_of(lane, own);
  if (lane == 0u && running) { move_on(choices[0]); }
}
