// Chooses the next token and moves the sequence on: the largest logit, or with NOISE the largest of logit / temperature + noise, which is a
// sample of the softmax; the lowest id where several are as large. A NaN among the logits ends the sequence, and says so. One workgroup.
//
// best    [vocabulary / 4, rounded up] (value as bits, id) of four ids each; read by two
// logits  [vocabulary] f32; read by four. With NOISE always
// state   u32 at the offsets below, what the host reads. `id` is where the embedding of the next token reads its id
//
// Ids from `vocabulary` on are padding, and no choice.

#include "llm/step.wgsl"
#include "llm/noise.wgsl"

#param NOISE 0 1
#param LOGITS 0 1 // reads: 0 best, 1 logits

const LANES = 256u;
const FOLD = 16u; // lanes that fold what all lanes have
const NONE = 0xffffffffu;
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

struct Params {
  vocabulary: u32,
  limit: u32, // ids to be chosen
  context: u32, // positions of the sequence
  seed: u32,
  inverse_temperature: f32,
  stops: u32, // how many stop ids there are
  stop_ids: array<vec4<u32>, 4>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> now: Step;
#if LOGITS
@group(0) @binding(2) var<storage, read> logits: array<vec4<f32>>;
#else
@group(0) @binding(2) var<storage, read> best: array<vec4<u32>>;
#endif
@group(0) @binding(3) var<storage, read_write> state: array<u32>;

struct Choice {
  value: f32,
  id: u32, // NONE: nothing yet
}

var<workgroup> choices: array<Choice, LANES>;
var<workgroup> broken: array<u32, LANES>; // is a logit NaN?

fn better(a: Choice, b: Choice) -> Choice {
  if (a.id == NONE) { return b; }
  if (b.id == NONE || a.value > b.value || (a.value == b.value && a.id < b.id)) { return a; }
  return b;
}

// Asked of the bits: a compiler may assume that floats are numbers.
fn is_nan(bits: u32) -> bool {
  return (bits & 0x7fffffffu) > 0x7f800000u;
}

// The best of this lane's ids; its id is NONE if it has none, or one is NaN, which `broken` then says.
fn own_choice(lane: u32) -> Choice {
  var own = Choice(0.0, NONE);
  var nans = 0u;
#if LOGITS
#if NOISE
  let position = now.position + now.rows;
#endif
  let quads = (params.vocabulary + 3u) / 4u;
  for (var i = lane; i < quads; i += LANES) {
    let quad = logits[i];
    for (var j = 0u; j < 4u; j++) {
      let id = 4u * i + j;
      if (id >= params.vocabulary) { continue; }
      if (is_nan(bitcast<u32>(quad[j]))) { nans = 1u; }
#if NOISE
      let noisy = quad[j] * params.inverse_temperature + gumbel(hash_of(params.seed, position, id));
      own = better(own, Choice(noisy, id));
#else
      own = better(own, Choice(quad[j], id));
#endif
    }
  }
#else
  let pairs = (params.vocabulary + 3u) / 4u;
  for (var i = lane; i < (pairs + 1u) / 2u; i += LANES) {
    let two = best[i];
    if (two.y < params.vocabulary) {
      if (is_nan(two.x)) { nans = 1u; }
      own = better(own, Choice(bitcast<f32>(two.x), two.y));
    }
    if (2u * i + 1u < pairs && two.w < params.vocabulary) {
      if (is_nan(two.z)) { nans = 1u; }
      own = better(own, Choice(bitcast<f32>(two.z), two.w));
    }
  }
#endif
  broken[lane] = nans;
  return own;
}

// Folds every `reach`th entry of choices, and what is broken, into this lane's.
fn fold(lane: u32, end: u32, reach: u32) {
  var own = choices[lane];
  var nans = broken[lane];
  for (var i = lane + reach; i < end; i += reach) {
    own = better(own, choices[i]);
    nans |= broken[i];
  }
  choices[lane] = own;
  broken[lane] = nans;
}

fn move_on(id: u32, nans: u32) {
  if (nans != 0u || id == NONE) {
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
  choices[lane] = Choice(0.0, NONE);
  broken[lane] = 0u;
  if (running) { choices[lane] = own_choice(lane); }
  workgroupBarrier(); // every lane's choice is there before some are folded, and all have read `now`
  if (lane < FOLD) { fold(lane, LANES, FOLD); }
  workgroupBarrier(); // they are folded before the last lane folds what is left
  if (lane == 0u && running) {
    fold(0u, FOLD, 1u);
    move_on(choices[0].id, broken[0]);
  }
}
