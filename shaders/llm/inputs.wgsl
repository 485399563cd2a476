// What a layer's q, k and v are before their turn: quads of heads, of E elements each. Heads of another width (PAD) get zeros: `width` elements
// lie in qkv, one head behind the other, and in kernels and the cache they are
//
//   of q and k where halves turn  the first halves of pairs, zeros up to whole quads, the second halves and as many zeros, the rest, zeros
//   others                        as they are, then zeros
//
// Scores do not change by zeros, nor by another order of both q and k.
//
// qkv    f32: heads of rows
// norms  [2, width] weights of the norms of q and of k, one after the other

#param NORM 0 1 // have q and k norms of their own?

#if PAD
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
#if NORM
@group(0) @binding(7) var<storage, read> norms: array<f32>;
#endif

// The element of a head that element i of its padded form is; `width` or more if none.
fn element_of(i: u32, turns: bool) -> u32 {
#if ROPE
  if (turns) {
    let half = params.rotary / 2u;
    if (i >= 2u * half) { return 2u * params.pairs + i - 2u * half; }
    let second = i >= half;
    let pair = select(i, i - half, second);
    return select(params.width, select(pair, params.pairs + pair, second), pair < params.pairs);
  }
#endif
  return i;
}

fn elements_of(quad: u32, turns: bool) -> vec4<u32> {
  let i = 4u * quad;
  return vec4<u32>(element_of(i, turns), element_of(i + 1u, turns), element_of(i + 2u, turns), element_of(i + 3u, turns));
}

fn head_quad(head: u32, quad: u32, turns: bool) -> vec4<f32> {
  let elements = elements_of(quad, turns);
  let at = head * params.width + min(elements, vec4<u32>(params.width - 1u));
  return select(vec4<f32>(), vec4<f32>(qkv[at.x], qkv[at.y], qkv[at.z], qkv[at.w]), elements < vec4<u32>(params.width));
}
#else
@group(0) @binding(2) var<storage, read> qkv: array<vec4<f32>>;
#if NORM
@group(0) @binding(7) var<storage, read> norms: array<vec4<f32>>;
#endif

fn head_quad(head: u32, quad: u32, turns: bool) -> vec4<f32> {
  return qkv[head * E4 + quad];
}
#endif

#if NORM
// The weights of the norm of q or k.
fn norm_quad(is_key: bool, quad: u32) -> vec4<f32> {
#if PAD
  let at = select(0u, params.width, is_key) + min(elements_of(quad, true), vec4<u32>(params.width - 1u)); // zeros take any weight
  return vec4<f32>(norms[at.x], norms[at.y], norms[at.z], norms[at.w]);
#else
  return norms[select(0u, E4, is_key) + quad];
#endif
}
#endif
