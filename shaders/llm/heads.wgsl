// What the kernels of attention know of a layer: one text and one buffer of uniforms for all of them.
//
// quads, parts and slices are numbers that the text knows, too. Loops end at them because software adapters write loops of known length out,
// and then take minutes to compile.

#include "llm/step.wgsl"

struct Params {
  heads: u32, // H
  group: u32, // heads of queries to one of the cache: H / V
  capacity: u32, // positions of the cache: position p is at p % capacity
  quads: u32, // E / 4
  parts: u32, // PARTS
  slices: u32, // SLICES
  splits: u32, // workgroups that share a head's positions
  rotary: u32, // elements that turn, with those of their padding (llm/inputs.wgsl)
  low_base: u32, // first pair of each table of angles
  high_base: u32,
  scale: f32, // of q · k
  epsilon: f32, // of the norms of q and k
  // Where q, k and v of rows lie, in heads: those of q at row · q_pitch, of k at k_begin + row · kv_pitch, of v at v_begin + row · kv_pitch.
  q_pitch: u32,
  kv_pitch: u32,
  k_begin: u32,
  v_begin: u32,
  width: u32, // elements of a head in qkv and att; E - width are padding
  pairs: u32, // (cos, sin) in a row of angles
  window: u32, // a query meets so many keys at most, its own among them
  cap: f32, // of scores (llm/cap-of.wgsl); 0: none
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;

// The first of so many keys that a window begins with.
fn begin_of(length: u32) -> u32 {
  return length - min(length, params.window);
}
