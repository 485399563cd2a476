// to[i] = from[i]: the most bytes a second that a kernel can read and write. One of the bench's two limits.
// Three shapes of the same copy, since adapters differ in which is fastest: a word, a vec4, or eight words an invocation.
//
// source, target   [i]   u32 or vec4<u32>, the same buffers under two types; no entry point uses both

const LANES = 256u;

@group(0) @binding(0) var<storage, read> source_words: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_words: array<u32>;
@group(0) @binding(0) var<storage, read> source_quads: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> target_quads: array<vec4<u32>>;

@compute @workgroup_size(LANES) fn words(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&target_words)) {
    target_words[id.x] = source_words[id.x];
  }
}

@compute @workgroup_size(LANES) fn quads(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&target_quads)) {
    target_quads[id.x] = source_quads[id.x];
  }
}

// Neighbouring lanes take neighbouring words. The length is a multiple of 8 · LANES.
@compute @workgroup_size(LANES) fn eights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 8u * LANES + lane;
  let w0 = source_words[i];
  let w1 = source_words[i + LANES];
  let w2 = source_words[i + 2u * LANES];
  let w3 = source_words[i + 3u * LANES];
  let w4 = source_words[i + 4u * LANES];
  let w5 = source_words[i + 5u * LANES];
  let w6 = source_words[i + 6u * LANES];
  let w7 = source_words[i + 7u * LANES];
  target_words[i] = w0;
  target_words[i + LANES] = w1;
  target_words[i + 2u * LANES] = w2;
  target_words[i + 3u * LANES] = w3;
  target_words[i + 4u * LANES] = w4;
  target_words[i + 5u * LANES] = w5;
  target_words[i + 6u * LANES] = w6;
  target_words[i + 7u * LANES] = w7;
}
