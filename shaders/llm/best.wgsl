// The best of all lanes' choices: the largest key, the lowest id of several.

const LANES = 256u;
const FOLD = 16u; // lanes that fold what all lanes have
const NONE = 0xffffffffu;

struct Choice {
  key: u32,
  id: u32, // NONE: nothing yet
}

var<workgroup> choices: array<Choice, LANES>;

fn better(a: Choice, b: Choice) -> Choice {
  if (b.key > a.key || (b.key == a.key && b.id < a.id)) { return b; }
  return a;
}

// Folds every `reach`th entry of choices into this lane's.
fn fold(lane: u32, end: u32, reach: u32) {
  var own = choices[lane];
  for (var i = lane + reach; i < end; i += reach) { own = better(own, choices[i]); }
  choices[lane] = own;
}

// Leaves the best in choices[0]. All lanes call it.
fn best_of(lane: u32, own: Choice) {
  choices[lane] = own;
  workgroupBarrier(); // every lane's choice is there before some are folded
  if (lane < FOLD) { fold(lane, LANES, FOLD); }
  workgroupBarrier(); // they are folded before the last lane folds what is left
  if (lane == 0u) { fold(0u, FOLD, 1u); }
  workgroupBarrier(); // the best is there before all read it
}
