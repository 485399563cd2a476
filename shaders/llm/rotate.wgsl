// Rotary positions. A head of E elements is E4 quads; its first `rotary` elements turn, the others stay. Pair i turns by the angle of
// position · frequency i, as the product of two complex numbers: that of 256 · (position / 256), and that of position % 256. So a table of
// float32 is right for any position, where cos(position · frequency) in float32 is off by 1e-3 at position 30,000.
//
// angles  (cos, sin), `pairs` to a row: 256 rows from pair `low_base` on, and a row for every 256 positions from `high_base` on

#param ROPE 0 1 // pair i is: 0 elements 2i and 2i + 1; 1 elements i and i + rotary / 2
#param PAD 0 1 // are heads padded (llm/inputs.wgsl)?

fn turn(position: u32, i: u32) -> vec2<f32> {
#if PAD
  if (i >= params.pairs) { return vec2<f32>(1.0, 0.0); } // padding
#endif
  let low = angles[params.low_base + (position % 256u) * params.pairs + i];
  let high = angles[params.high_base + (position / 256u) * params.pairs + i];
  return vec2<f32>(low.x * high.x - low.y * high.y, low.x * high.y + low.y * high.x);
}

// A quad's other quad, whose elements turn with its own; itself if pairs lie within a quad or stay.
fn other_quad(quad: u32) -> u32 {
#if ROPE == 1
  let half = params.rotary / 8u;
  if (quad < half) { return quad + half; }
  if (quad < 2u * half) { return quad - half; }
#endif
  return quad;
}

struct Turn {
  cosines: vec4<f32>,
  sines: vec4<f32>, // of what is added: negative for the first of a pair
}

// How a quad turns; not at all from `rotary` on.
fn turn_of(quad: u32, position: u32) -> Turn {
  if (4u * quad >= params.rotary) { return Turn(vec4<f32>(1.0), vec4<f32>()); }
#if ROPE == 0
  let a = turn(position, 2u * quad);
  let b = turn(position, 2u * quad + 1u);
  return Turn(vec4<f32>(a.xx, b.xx), vec4<f32>(-a.y, a.y, -b.y, b.y));
#else
  let half = params.rotary / 8u;
  let first = 4u * (quad % half);
  let a = turn(position, first);
  let b = turn(position, first + 1u);
  let c = turn(position, first + 2u);
  let d = turn(position, first + 3u);
  let sines = vec4<f32>(a.y, b.y, c.y, d.y);
  return Turn(vec4<f32>(a.x, b.x, c.x, d.x), select(sines, -sines, quad < half));
#endif
}

// A quad after its turn, from what it and its other quad were before.
fn turned(own: vec4<f32>, other: vec4<f32>, by: Turn) -> vec4<f32> {
#if ROPE == 0
  return own * by.cosines + own.yxwz * by.sines;
#else
  return own * by.cosines + other * by.sines;
#endif
}
