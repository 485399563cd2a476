// What the kernels of attention know of a layer: one text and one buffer of uniforms for all of them.
//
// quads, parts and slices are numbers that the text knows, too. Loops end at them because software adapters write loops of known length out,
// and then take minutes to compile.

#include "llm/step.wgsl"

struct Params {
  heads: u32, // H
  group: u32, // heads of queries to one of the cache: H / V
  capacity: u32, // positions of the cache
  quads: u32, // E / 4
  parts: u32, // PARTS
  slices: u32, // SLICES
  splits: u32, // workgroups that share a head's positions
  rotary: u32, // elements that turn, a multiple of 8, or of 4 where neighbours turn
  low_base: u32, // first pair of each table of angles
  high_base: u32,
  scale: f32, // of q · k
  epsilon: f32, // of the norms of q and k
  // Where q, k and v of rows lie, in heads: those of q at row · q_pitch, of k at k_begin + row · kv_pitch, of v at v_begin + row · kv_pitch.
  q_pitch: u32,
  kv_pitch: u32,
  k_begin: u32,
  v_begin: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> now: Step;
