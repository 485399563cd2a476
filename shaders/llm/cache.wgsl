// Keys and values of the positions so far, of V heads with room for `capacity` positions. A layer with a window needs no more: position p is
// in slot p % capacity.
//
// k_cache  [V, E / 4, capacity] quads: lanes that take one key each read neighbouring quads
// v_cache  [V, capacity, E / 4] quads: lanes that take one quad each do
//
// A quad is four floats, or four halves in two u32. The largest half is 65,504: finite values beyond become ±65,504 and are counted; Inf and
// NaN stay what they are. Or a quad is four int8 in a u32, and behind all quads lies, as f32, what the codes of a position of a head are
// multiplied by: [V, capacity], its largest magnitude / 127. A position with Inf or NaN is all NaN.

#include "lib/float16.wgsl"

#param E 32 64 80 96 128 256 // elements of a head
#param KV 0 1 2 // the cache holds: 0 f32, 1 f16, 2 int8
#let E4 E / 4

#if KV == 0
#if WRITES
@group(0) @binding(4) var<storage, read_write> k_cache: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> v_cache: array<vec4<f32>>;
#else
@group(0) @binding(4) var<storage, read> k_cache: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> v_cache: array<vec4<f32>>;
#endif
#elif KV == 1
#if WRITES
@group(0) @binding(4) var<storage, read_write> k_cache: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read_write> v_cache: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read_write> clamped: array<atomic<u32>>; // [0]: values that were clamped
#else
@group(0) @binding(4) var<storage, read> k_cache: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read> v_cache: array<vec2<u32>>;
#endif
#elif KV == 2
#if WRITES
@group(0) @binding(4) var<storage, read_write> k_cache: array<u32>;
@group(0) @binding(5) var<storage, read_write> v_cache: array<u32>;
#else
@group(0) @binding(4) var<storage, read> k_cache: array<u32>;
@group(0) @binding(5) var<storage, read> v_cache: array<u32>;
#endif
#else
#error KV must be 0, 1 or 2
#endif

fn key_index(head: u32, slot: u32, quad: u32) -> u32 {
  return (head * E4 + quad) * params.capacity + slot;
}

fn value_index(head: u32, slot: u32, quad: u32) -> u32 {
  return (head * params.capacity + slot) * E4 + quad;
}

// Of a slot below 2 · capacity.
fn wrapped(slot: u32) -> u32 {
  return select(slot, slot - params.capacity, slot >= params.capacity);
}

// What the codes of a position are multiplied by; 1 where there are no codes.
#if KV == 2
fn factor_index(head: u32, slot: u32) -> u32 {
  return ((params.heads / params.group) * E4 + head) * params.capacity + slot;
}
fn key_factor(head: u32, slot: u32) -> f32 { return bitcast<f32>(k_cache[factor_index(head, slot)]); }
fn value_factor(head: u32, slot: u32) -> f32 { return bitcast<f32>(v_cache[factor_index(head, slot)]); }

// Magnitudes as bits, whose order is that of the floats; Inf and NaN are the largest.
fn peak_of(quad: vec4<f32>) -> u32 {
  let magnitude = bitcast<vec4<u32>>(quad) & vec4<u32>(0x7fffffffu);
  return max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w));
}
fn factor_of(peak: u32) -> u32 {
  return select(bitcast<u32>(bitcast<f32>(peak) / 127.0), 0x7fc00000u, peak >= INF_BITS);
}
// Of a zero factor any code is right.
fn held(quad: vec4<f32>, factor: u32) -> u32 {
  let codes = vec4<i32>(clamp(round(quad / bitcast<f32>(factor)), vec4<f32>(-127.0), vec4<f32>(127.0))) & vec4<i32>(255);
  return u32(codes.x | (codes.y << 8u) | (codes.z << 16u) | (codes.w << 24u));
}
fn floats(quad: u32) -> vec4<f32> {
  return vec4<f32>((vec4<i32>(i32(quad)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}
#else
fn key_factor(head: u32, slot: u32) -> f32 { return 1.0; }
fn value_factor(head: u32, slot: u32) -> f32 { return 1.0; }
#endif

#if KV == 1
const LARGEST_HALF = 0x477fe000u; // 65,504 as the bits of a float

fn beyond_halves(quad: vec4<f32>) -> vec4<bool> {
  let magnitude = bitcast<vec4<u32>>(quad) & vec4<u32>(0x7fffffffu);
  return (magnitude > vec4<u32>(LARGEST_HALF)) & (magnitude < vec4<u32>(INF_BITS));
}

fn held(quad: vec4<f32>) -> vec2<u32> {
  let largest = (bitcast<vec4<u32>>(quad) & vec4<u32>(0x80000000u)) | vec4<u32>(LARGEST_HALF);
  let halves = halves_from_floats(select(quad, bitcast<vec4<f32>>(largest), beyond_halves(quad)));
  return halves.xz | (halves.yw << vec2<u32>(16u));
}

fn floats(quad: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(quad.x), unpack2x16float(quad.y));
}

#if WRITES
fn count_clamped(quad: vec4<f32>) {
  let beyond = select(vec4<u32>(0u), vec4<u32>(1u), beyond_halves(quad));
  let count = beyond.x + beyond.y + beyond.z + beyond.w;
  if (count > 0u) { atomicAdd(&clamped[0], count); }
}
#endif
#else
#if KV == 0
fn held(quad: vec4<f32>) -> vec4<f32> { return quad; }
fn floats(quad: vec4<f32>) -> vec4<f32> { return quad; }
#endif
#if WRITES
fn count_clamped(quad: vec4<f32>) {}
#endif
#endif
