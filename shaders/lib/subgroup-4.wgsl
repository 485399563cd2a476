// How 4 lanes share x and write y (matmul-subgroup): a word of x at a time, of which each lane loads CODES / 4 values and all get the rest
// by broadcasts. A register of the tile is a column (READ 1), so that 4 neighbouring lanes hold a quad.

#include "lib/rows.wgsl"

enable subgroups;

#if READ != 1
#error lanes that share a quad hold a column each: READ must be 1
#endif

const SHARED_WORDS = 1u; // more make SwiftShader slower, whose code is then too long
const VALUES = CODES / 4u; // that a lane loads

#if CODES == 16
alias Share = vec4<f32>;
#elif CODES == 8
alias Share = vec2<f32>;
#elif CODES == 4
alias Share = f32;
#else
#error CODES must be 4, 8 or 16
#endif

alias Seat = u32; // where a lane's values begin in a word

fn seat_of(subgroup_lane: u32) -> Seat {
  return subgroup_lane * VALUES;
}

// A lane's values of a word, for the row that starts at vec4 index `row`.
fn load_share(row: u32, word: u32, seat: Seat) -> Share {
  let first = 4u * row + (word * CODES + seat);
#if CODES == 16
  return read_x(first / 4u);
#elif CODES == 8
  return Share(read_x_value(first), read_x_value(first + 1u));
#elif CODES == 4
  return read_x_value(first);
#else
#error CODES must be 4, 8 or 16
#endif
}

fn sum_share(share: Share) -> f32 {
#if CODES == 16
  return (share.x + share.y) + (share.z + share.w);
#elif CODES == 8
  return share.x + share.y;
#elif CODES == 4
  return share;
#else
#error CODES must be 4, 8 or 16
#endif
}

// As it is passed round.
fn ready_share(share: Share, seat: Seat) -> Share {
  return share;
}

// The word that the lanes hold together. (The lanes are constants: shuffles cost SwiftShader several broadcasts.)
fn shared_word(own: Share, j: u32) -> XWord {
  let a = subgroupBroadcast(own, 0u);
  let b = subgroupBroadcast(own, 1u);
  let c = subgroupBroadcast(own, 2u);
  let d = subgroupBroadcast(own, 3u);
#if CODES == 16
  return x_in_place(XWord(a, b, c, d));
#elif CODES == 8
  return x_in_place(XWord(vec4<f32>(a, b), vec4<f32>(c, d)));
#elif CODES == 4
  return x_in_place(XWord(vec4<f32>(a, b, c, d)));
#else
#error CODES must be 4, 8 or 16
#endif
}

fn quad_across(column: f32) -> vec4<f32> {
  return vec4<f32>(
    subgroupBroadcast(column, 0u),
    subgroupBroadcast(column, 1u),
    subgroupBroadcast(column, 2u),
    subgroupBroadcast(column, 3u),
  );
}

fn quad_for(lane: u32, columns: vec4<f32>) -> vec4<f32> {
  let even = select(quad_across(columns.x), quad_across(columns.z), lane % 4u == 2u);
  let odd = select(quad_across(columns.y), quad_across(columns.w), lane % 4u == 3u);
  return select(even, odd, lane % 2u == 1u);
}

// Each lane writes the quads of every fourth register. Where a quad is not spread over the four lanes of a subgroup in their order, the
// formula makes it.
fn write_shared(total: ptr<function, Tile>, rows: RowRun, tile_n: u32, lane: u32, subgroup_lane: u32, subgroup_size: u32) {
  var quads: Quads;
#repeat r ROWS
#repeat q LOADS / 4
  let columns = vec4<f32>((*total)[r][4u * q], (*total)[r][4u * q + 1u], (*total)[r][4u * q + 2u], (*total)[r][4u * q + 3u]);
  quads[ROWS * q + r] = quad_for(lane, columns);
#end
#end
  let in_order = (subgroup_lane == lane % 4u) & (subgroupBroadcast(lane, 0u) == lane - lane % 4u);
  let first_quad = tile_n * LANES * QUADS + (lane % 4u) * (LANES / 4u) + lane / 4u;
  write_quads(&quads, subgroupAll((subgroup_size == 4u) & in_order), rows, first_quad);
}
