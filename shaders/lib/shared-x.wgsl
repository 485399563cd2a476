// Rows of x that the lanes of a subgroup load together and pass round: each lane loads its share of a span of k, and all lanes get all of it
// by broadcasts or shuffles. Part of matmul-subgroup.wgsl, which has WIDTH.

#include "lib/rows.wgsl"

#if WIDTH == 4
const SPAN_WORDS = 1u; // words of k that a subgroup loads at a time: more make SwiftShader slower, whose code is then too long
const SHARE = CODES / WIDTH; // values that a lane loads of them
#if BITS == 4
alias Share = vec2<f32>;
#else
alias Share = f32;
#endif
#else
const SPAN_WORDS = 4u * WIDTH / CODES; // words of k that a subgroup loads at a time
const WORD_QUADS = CODES / 4u; // vec4s of x in a word of k
alias Share = vec4<f32>;
#endif

// What a lane holds of a row of x: its values of the span, and the sum of all that it held in this group.
struct Own {
  values: Share,
  sum: f32,
}
alias OwnRows = array<Own, ROWS>;

#if WIDTH == 4
// Value `at % 4` of the vec4 `at / 4` of x.
fn read_value(at: u32) -> f32 {
#if X <= 1
  return f32(x[at / 4u][at % 4u]);
#else
  let bits = x[at / 4u][(at / 2u) % 2u];
#if X == 2
  let pair = unpack2x16float(bits);
  return select(pair.x, pair.y, at % 2u == 1u);
#else
  return bitcast<f32>(select(bits << 16u, bits & 0xffff0000u, at % 2u == 1u));
#endif
#endif
}

// The lane's share of the word at value `at` of a row, which is never past its end.
fn load_own(own: ptr<function, OwnRows>, start: ptr<function, RowStarts>, at: u32) {
#repeat r ROWS
  let first = 4u * (*start)[r] + at;
#if BITS == 4
  let values = Share(read_value(first), read_value(first + 1u));
  (*own)[r] = Own(values, (*own)[r].sum + (values.x + values.y));
#else
  let values = read_value(first);
  (*own)[r] = Own(values, (*own)[r].sum + values);
#endif
#end
}

// The word of x that the lanes hold together. (The lanes are constants: shuffles cost SwiftShader several broadcasts.)
fn word_of(own: Share) -> XWord {
#if BITS == 4
  let a = subgroupBroadcast(own, 0u);
  let b = subgroupBroadcast(own, 1u);
  let c = subgroupBroadcast(own, 2u);
  let d = subgroupBroadcast(own, 3u);
  return x_in_place(XWord(vec4<f32>(a, b), vec4<f32>(c, d)));
#else
  return x_in_place(XWord(vec4<f32>(
    subgroupBroadcast(own, 0u),
    subgroupBroadcast(own, 1u),
    subgroupBroadcast(own, 2u),
    subgroupBroadcast(own, 3u),
  )));
#endif
}
#else
// The vec4 `at` of every row, 0 past its end: by select(), since a branch costs software adapters more than the load that it saves. They are
// ready for codes_in_place().
fn load_own(own: ptr<function, OwnRows>, start: ptr<function, RowStarts>, at: u32, factors: vec4<f32>) {
  let inside = at < params.x_pitch;
#repeat r ROWS
  let values = select(vec4<f32>(), read_x((*start)[r] + at), inside);
  (*own)[r] = Own(values * factors, (*own)[r].sum + ((values.x + values.y) + (values.z + values.w)));
#end
}

// The word of x that starts with what `lane` holds.
fn word_from(own: vec4<f32>, lane: u32) -> XWord {
#if BITS == 4
  return XWord(subgroupShuffle(own, lane), subgroupShuffle(own, lane + 1u));
#else
  return XWord(subgroupShuffle(own, lane));
#endif
}
#endif

// Of all lanes of the subgroup. (Software adapters make subgroupAdd() of loops over the lanes.)
fn over_subgroup(own: f32) -> f32 {
  let pairs = own + subgroupShuffleXor(own, 1u);
  let fours = pairs + subgroupShuffleXor(pairs, 2u);
#if WIDTH == 8
  return fours + subgroupShuffleXor(fours, 4u);
#else
  return fours;
#endif
}

fn end_sums(own: ptr<function, OwnRows>) -> RowSums {
  var x_sum: RowSums;
#repeat r ROWS
  x_sum[r] = over_subgroup((*own)[r].sum);
  (*own)[r].sum = 0.0;
#end
  return x_sum;
}
