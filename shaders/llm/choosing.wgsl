// What a choice of an id is told, and logits as keys: whole numbers in the order of the floats, so that no compiler's rules for infinities,
// subnormals and NaN change which is larger.

struct Params {
  vocabulary: u32,
  limit: u32, // ids to be chosen
  context: u32, // positions of the sequence
  seed: u32,
  inverse_temperature: f32,
  stops: u32, // how many stop ids there are
  repetition: f32,
  inverse_repetition: f32,
  presence: f32,
  frequency: f32,
  window: u32,
  top_k: u32, // 0: all
  top_p: u32, // in units of 2^-32; ALL: all
  least: f32, // of what min-p keeps: a logit minus the largest
  steps: f32, // of the first histogram in a logit's unit: a power of two
  step: f32, // 1 / steps
  rounds: u32, // histograms at most
  stop_ids: array<vec4<u32>, 4>,
}

const SIGN = 0x80000000u;
const INFINITY_BITS = 0x7f800000u;
const BAN = 0xff800000u; // the bits of -infinity
const NAN_KEY = 0xffffffffu; // above all others
const NO_KEY = 0u; // of ids that are padding or banned, below all others

// -0 and 0 are one.
fn key_of(bits: u32) -> u32 {
  return select(bits | SIGN, ~bits, bits > SIGN);
}
fn float_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key ^ SIGN, key >= SIGN));
}
