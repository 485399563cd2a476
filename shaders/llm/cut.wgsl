// Which ids top-k and top-p keep: those whose key is at least `search[0].threshold`. Nothing is sorted: histograms of an interval of keys, one
// after the other, say in which of their bins the threshold lies, until a bin holds one key or is kept as a whole.
//
// top-k keeps ids whose logit is at least the k-th largest. Of these top-p keeps an id if the ids of larger logits weigh less than p of all that
// top-k has kept; a weight is exp((logit - the largest) / temperature), as a whole number of 2^-40. So ids that are as large as the last one
// that is kept are kept, too.
//
// Counts and weights are whole numbers: their sums are the same in any order, and so are the ids that are drawn.
//
// The first histogram has steps of a logit, whose width is a power of two: it covers all weights above 2^-40, and its last bin the rest. Those
// that follow have steps of a key. 512 bins, and four times as many again, are finer than any float.

const BINS = 512u;
const ALL = 0xffffffffu; // as top_p: no id is cut
// Phases:
const COUNTS = 0u; // top-k
const WEIGHS = 1u; // top-p
const DONE = 2u;

struct Sum {
  count: u32,
  low: u32, // weights, in units of 2^-40
  high: u32,
}
struct Search {
  phase: u32,
  low: u32, // the threshold's interval of keys
  high: u32,
  coarse: u32, // has the histogram steps of a logit?
  top: u32, // the largest key
  threshold: u32,
  above: Sum, // keys above the interval
  goal: Sum, // what top-p keeps weighs at least so much; 0: its first histogram will say
}

var<workgroup> bin_counts: array<atomic<u32>, BINS>;
var<workgroup> bin_lows: array<atomic<u32>, BINS>;
var<workgroup> bin_highs: array<atomic<u32>, BINS>;
var<workgroup> parts: array<Sum, LANES>; // two bins each
var<workgroup> groups: array<Sum, FOLD>; // sixteen parts each
var<workgroup> search: array<Search, 1>;

fn plus(a: Sum, b: Sum) -> Sum {
  let low = a.low + b.low;
  return Sum(a.count + b.count, low, a.high + b.high + select(0u, 1u, low < a.low));
}

fn add_to_bin(bin: u32, sum: Sum) {
  atomicAdd(&bin_counts[bin], sum.count);
  if ((sum.low | sum.high) == 0u) { return; }
  let before = atomicAdd(&bin_lows[bin], sum.low);
  let carry = select(0u, 1u, before > ~sum.low);
  atomicAdd(&bin_highs[bin], sum.high + carry);
}

fn bin_sum(bin: u32) -> Sum {
  return Sum(atomicLoad(&bin_counts[bin]), atomicLoad(&bin_lows[bin]), atomicLoad(&bin_highs[bin]));
}

// (logit - the largest) / temperature.
fn distance_of(key: u32, top: u32) -> f32 {
  return select((float_of(key) - float_of(top)) * params.inverse_temperature, 0.0, key == top);
}

fn weight_of(key: u32, top: u32) -> Sum {
  if (params.top_p == ALL) { return Sum(1u, 0u, 0u); }
  let weight = exp(max(distance_of(key, top), -100.0)) * 256.0;
  let high = u32(weight);
  return Sum(1u, u32((weight - f32(high)) * 0x1p32), high);
}

// Steps of a logit from 0 down to a key's. A device may take subnormals for 0: negative ones are below it.
fn step_of(key: u32) -> i32 {
  let step = i32(floor(clamp(float_of(key) * params.steps, -0x1p24, 0x1p24)));
  return select(max(step, 0), min(step, -1), key < SIGN);
}

// The least shift by which a difference of keys becomes a bin.
fn shift_of(low: u32, high: u32) -> u32 {
  return u32(max(i32(firstLeadingBit(high - low)) - 8, 0));
}

fn bin_of(key: u32, now_at: Search) -> u32 {
  if (now_at.coarse != 0u) { return min(u32(step_of(now_at.top) - step_of(key)), BINS - 1u); }
  return (now_at.high - key) >> shift_of(now_at.low, now_at.high);
}

// Lane 0 calls it.
fn begin_search(top: u32) {
  var begun: Search;
  begun.phase = select(select(DONE, WEIGHS, params.top_p != ALL), COUNTS, params.top_k > 0u);
  if (top == NAN_KEY || top == NO_KEY) { begun.phase = DONE; }
  begun.low = NO_KEY + 1u;
  begun.high = top;
  begun.top = top;
  begun.coarse = select(0u, 1u, abs(float_of(top)) * params.steps < 0x1p23);
  search[0] = begun;
}

// The bins of the interval, of this lane's ids.
fn fill(lane: u32, at: Search) {
  let quads = (params.vocabulary + 3u) / 4u;
  var last = Sum(0u, 0u, 0u); // most ids are in the last bin: each lane counts its own
  for (var i = lane; i < quads; i += LANES) {
    let keys = keys_at(i);
    for (var j = 0u; j < 4u; j++) {
      let key = keys[j];
      if (key < at.low || key > at.high) { continue; }
      let bin = bin_of(key, at);
      let sum = weight_of(key, at.top);
      if (bin == BINS - 1u) {
        last = plus(last, sum);
      } else {
        add_to_bin(bin, sum);
      }
    }
  }
  add_to_bin(BINS - 1u, last);
}

// (high, low) of a · b.
fn wide_product(a: u32, b: u32) -> vec2<u32> {
  let middle = (a >> 16u) * (b & 0xffffu);
  let other = (a & 0xffffu) * (b >> 16u);
  let lowest = (a & 0xffffu) * (b & 0xffffu);
  let carried = (middle & 0xffffu) + (other & 0xffffu) + (lowest >> 16u);
  return vec2<u32>((a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u) + (carried >> 16u), a * b);
}

// p of what top-k keeps, rounded up; at least 1.
fn goal_of(kept: Sum) -> Sum {
  let small = wide_product(kept.low, params.top_p);
  let large = wide_product(kept.high, params.top_p);
  let goal = plus(Sum(0u, large.y, large.x), plus(Sum(0u, small.x, 0u), Sum(0u, select(0u, 1u, small.y > 0u), 0u)));
  return Sum(0u, select(goal.low, 1u, (goal.low | goal.high) == 0u), goal.high);
}

// Is the threshold above the keys that sum up to this?
fn reaches(sum: Sum, at: Search) -> bool {
  if (at.phase == COUNTS) { return sum.count >= params.top_k; }
  return sum.high > at.goal.high || (sum.high == at.goal.high && sum.low >= at.goal.low);
}

// top-k has found its threshold: what it keeps is where top-p begins.
fn counted(at: Search, threshold: u32) {
  var next = at;
  next.threshold = threshold;
  next.phase = select(DONE, WEIGHS, params.top_p != ALL);
  next.low = max(threshold, NO_KEY + 1u);
  next.high = at.top;
  next.coarse = select(0u, 1u, abs(float_of(at.top)) * params.steps < 0x1p23);
  next.above = Sum(0u, 0u, 0u);
  search[0] = next;
}

// Narrows the interval to the bin with the threshold. Lane 0 calls it.
fn narrow(given: Search) {
  var at = given;
  if (at.phase == COUNTS || (at.goal.low | at.goal.high) == 0u) {
    var all = at.above;
    for (var i = 0u; i < FOLD; i++) { all = plus(all, groups[i]); }
    if (at.phase == COUNTS && all.count < params.top_k) {
      counted(at, NO_KEY);
      return;
    }
    if (at.phase == WEIGHS) { at.goal = goal_of(all); }
  }
  var sum = at.above;
  var group = 0u;
  for (; group < FOLD - 1u; group++) {
    let next = plus(sum, groups[group]);
    if (reaches(next, at)) { break; }
    sum = next;
  }
  var part = group * (LANES / FOLD);
  for (; part < (group + 1u) * (LANES / FOLD) - 1u; part++) {
    let next = plus(sum, parts[part]);
    if (reaches(next, at)) { break; }
    sum = next;
  }
  var bin = 2u * part;
  if (!reaches(plus(sum, bin_sum(bin)), at)) {
    sum = plus(sum, bin_sum(bin));
    bin++;
  }
  let through = plus(sum, bin_sum(bin));
  let high = at.high;
  if (at.coarse != 0u) {
    let step = step_of(at.top) - i32(bin);
    if (bin < BINS - 1u) { at.low = max(at.low, key_of(bitcast<u32>(f32(step) * params.step))); }
    if (bin > 0u) { at.high = min(high, key_of(bitcast<u32>(f32(step + 1) * params.step)) - 1u); }
    at.coarse = 0u;
  } else {
    let shift = shift_of(at.low, high);
    at.high = high - (bin << shift);
    at.low = at.high - min((1u << shift) - 1u, at.high - at.low);
  }
  at.above = sum;
  let single = at.low == at.high;
  if (at.phase == COUNTS && (single || through.count == params.top_k)) {
    counted(at, at.low);
    return;
  }
  if (at.phase == WEIGHS && (single || through.count == sum.count + 1u)) {
    at.threshold = at.low;
    at.phase = DONE;
  }
  search[0] = at;
}

// Finds the threshold. All lanes call it, with the same `top`, the largest key.
fn find_threshold(lane: u32, top: u32) {
  if (lane == 0u) { begin_search(top); }
  for (var round = 0u; round < params.rounds; round++) {
    let at = workgroupUniformLoad(&search)[0]; // with a barrier: the interval is there, and bins were read before they are cleared
    if (at.phase == DONE) { break; }
    for (var bin = lane; bin < BINS; bin += LANES) {
      atomicStore(&bin_counts[bin], 0u);
      atomicStore(&bin_lows[bin], 0u);
      atomicStore(&bin_highs[bin], 0u);
    }
    workgroupBarrier(); // bins are empty before ids go into them
    fill(lane, at);
    workgroupBarrier(); // all ids are in their bins before these are added up
    parts[lane] = plus(bin_sum(2u * lane), bin_sum(2u * lane + 1u));
    workgroupBarrier(); // the parts are there before they are added up
    if (lane < FOLD) {
      var sum = Sum(0u, 0u, 0u);
      for (var i = 0u; i < LANES / FOLD; i++) { sum = plus(sum, parts[lane * (LANES / FOLD) + i]); }
      groups[lane] = sum;
    }
    workgroupBarrier(); // and the groups before one lane looks for the threshold among them
    if (lane == 0u) { narrow(at); }
  }
  workgroupBarrier(); // the threshold is there before all read it
}

// Does top-k, top-p and min-p keep it?
fn is_kept(key: u32, found: Search) -> bool {
  return key >= found.threshold && (key == found.top || float_of(key) - float_of(found.top) >= params.least);
}
