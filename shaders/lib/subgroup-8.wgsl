// How 8 lanes share x and write y (matmul-subgroup): 32 k of x at a time, of which each lane loads a vec4 and all get the rest by shuffles.
// A register of the tile is a quad (READ 4), which its lane writes.

#include "lib/rows.wgsl"

enable subgroups;

#if READ != 4
#error a lane writes whole quads: READ must be 4
#endif

const SHARED_WORDS = BLOCK_WORDS;

alias Share = vec4<f32>;

// Which vec4 is the lane's, and what makes its values ready for codes_in_place().
struct Seat {
  lane: u32,
  factors: vec4<f32>,
}

fn seat_of(subgroup_lane: u32) -> Seat {
  return Seat(subgroup_lane, in_place_factors(subgroup_lane % WORD_VEC4S));
}

// A lane's vec4 of the words from `word` on, for the row that starts at vec4 index `row`; 0 past the end of the row: by select(), since a
// branch costs software adapters more than the load that it saves.
fn load_share(row: u32, word: u32, seat: Seat) -> Share {
  let at = word * WORD_VEC4S + seat.lane;
  return select(vec4<f32>(), read_x(row + at), at < params.x_pitch);
}

fn sum_share(share: Share) -> f32 {
  return (share.x + share.y) + (share.z + share.w);
}

// As it is passed round.
fn ready_share(share: Share, seat: Seat) -> Share {
  return share * seat.factors;
}

// Word j of those that the lanes hold together.
fn shared_word(own: Share, j: u32) -> XWord {
  var values: XWord;
#repeat i CODES / 4
  values[i] = subgroupShuffle(own, j * WORD_VEC4S + i);
#end
  return values;
}

fn write_shared(total: ptr<function, Tile>, rows: RowRun, tile_n: u32, lane: u32, subgroup_lane: u32, subgroup_size: u32) {
  write_tile(total, subgroup_size == 8u, rows, tile_n * LANES * QUADS + lane);
}
