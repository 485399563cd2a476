// y[m, n] = sum over blocks b of scale[g, n] · (sum over k in b of x[m, k] · code[k, n] + zero[g, n] · sum over k in b of x[m, k]) + bias[n]
// A workgroup makes ROWS rows × LANES quads of y. k is cut into runs of whole blocks of 32 k: SLICES rows of lanes take one each, and their
// sums meet in workgroup memory at the end. So one dispatch does it all.
//
// For few rows of x on a GPU: neighbouring lanes read neighbouring 16 bytes of w, UNROLL words ahead. Offsets meet sums of x over these words,
// a step; all lanes make them first, in workgroup memory, since each lane for itself would add x up as often as there are quads. Values of a
// codebook meet none. Sums of products end with the step, so that they take registers for no longer. Right for subgroups of any size.

#param LANES 8 16 32 64 // lanes along n
#param SLICES 4 8 16 32 // parts of k
#param UNROLL 1 2 4 8 // low words of w in a step: in flight, under one high word

#include "lib/lane.wgsl"
#include "lib/scale.wgsl"
#include "lib/splits.wgsl"
#include "lib/finish.wgsl"
#include "lib/row-factor.wgsl"
#include "lib/grid.wgsl"

#if HIGH && UNROLL * HIGH > LOW || UNROLL > LOW
#error words in flight share a block and a high word: UNROLL must be less
#endif

// Words of k whose sums of x there is room for at a time; a step is UNROLL words, of one group.
const ROOM = 2u * SLICES * LANES * UNROLL;

// Of each step and row, the sums of x; when all steps are done, of each slice, row and lane, its sums, in two halves.
var<workgroup> sums: array<vec2<f32>, 2u * SLICES * ROWS * LANES>;

// Of the words [begin, end): what a step's sum begins with, and the sum of x, which zero multiplies. Codes come with BIAS, and with their ZERO
// where nothing else is added to them. Both are taken off first, so that no sum grows larger than its terms.
fn sum_of_step(row: u32, begin: u32, end: u32) -> vec2<f32> {
  var pairs = vec2<f32>(); // of even k, and of odd k
  if (begin + UNROLL == end) {
#repeat q UNROLL * CODES / 4
    {
      let four = vec4<f32>(read_x(row + begin * WORD_VEC4S + q)); // all in flight at once
      pairs += four.xy + four.zw;
    }
#end
  } else {
    for (var q = begin * WORD_VEC4S; q < end * WORD_VEC4S; q++) {
      let four = vec4<f32>(read_x(row + q));
      pairs += four.xy + four.zw;
    }
  }
#if OFFSET
  let bias = BIAS;
#else
  let bias = BIAS + ZERO;
#endif
  return vec2<f32>(-bias.x * pairs.x - bias.y * pairs.y, pairs.x + pairs.y);
}

// Sums of x over the steps of words [first, end), by all lanes.
fn make_sums(start: ptr<function, RowStarts>, first: u32, end: u32, lane: u32) {
  for (var i = lane; i * UNROLL < end - first; i += SLICES * LANES) {
    let begin = first + i * UNROLL;
#repeat r ROWS
    sums[r * 2u * SLICES * LANES + i] = sum_of_step((*start)[r], begin, min(begin + UNROLL, end));
#end
  }
}

fn mac_word(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, words: Quad) {
  let planes = planes_of(words);
  var x_rows: XRows;
#repeat q CODES / 4
  read_x_rows(&x_rows, start, word * WORD_VEC4S + q);
#repeat i 4
  mac_code(sum, &x_rows, i, code_of(planes, 4u * q + i));
#end
#end
}

// Products of a step.
fn mac_step(sum: ptr<function, Rows>, start: ptr<function, RowStarts>, word: u32, quad: u32) {
  let at = w_row(low_row(word)) + quad;
  var words: array<Quad, UNROLL>;
#if HIGH
  let high = w[w_row(high_row(word)) + quad]; // of all of them
#repeat j UNROLL
  words[j] = Quad(w[at + j * params.w_pitch], high, high_shift(word) + HIGH * j);
#end
#else
#repeat j UNROLL
  words[j] = w[at + j * params.w_pitch];
#end
#endif
#repeat j UNROLL
  mac_word(sum, start, word + j, words[j]);
#end
}

// What the sum of a step begins with.
fn begin_row(x_sum: vec2<f32>, zero: vec4<f32>) -> vec4<f32> {
#if OFFSET == 1 || OFFSET == 3 || OFFSET == 4
  return fma(zero, vec4<f32>(x_sum.y), vec4<f32>(x_sum.x));
#elif OFFSET == 0 || OFFSET == 2
  return vec4<f32>(x_sum.x);
#endif
}

// What the step adds to a row. A minimum is not scaled.
fn end_row(total: vec4<f32>, sum: vec4<f32>, x_sum: vec2<f32>, s: vec4<f32>, zero: vec4<f32>) -> vec4<f32> {
#if OFFSET == 2
  return fma(zero, vec4<f32>(x_sum.y), fma(s, sum, total));
#elif OFFSET != 2
  return fma(s, sum, total);
#endif
}

// The group that a lane is in, and what it has loaded of it.
struct Group {
  index: u32,
  next: u32, // the word at which the next one begins
  scale: vec4<f32>,
  zero: vec4<f32>,
}

// For a word where a step begins.
fn enter(group: ptr<function, Group>, word: u32, quad: u32) {
  if (word < (*group).next) { return; }
  let index = (*group).index;
  let unit = unit_at(index, quad); // again in each group: to keep it would take registers
  (*group).scale = in_units(scale_at(index, quad, unit));
  (*group).zero = zero_at(index, quad, unit);
  (*group).index = index + 1u;
  (*group).next = (index + 1u) * params.group_words;
}

alias RowSums = array<vec2<f32>, ROWS>;

fn begin_step(sum: ptr<function, Rows>, group: Group, step: u32) -> RowSums {
  var x_sums: RowSums;
#repeat r ROWS
#if !CODEBOOK
  x_sums[r] = sums[r * 2u * SLICES * LANES + step];
#endif
  (*sum)[r] = begin_row(x_sums[r], group.zero);
#end
  return x_sums;
}

fn end_step(total: ptr<function, Rows>, sum: Rows, x_sums: RowSums, group: Group) {
#repeat r ROWS
  (*total)[r] = end_row((*total)[r], sum[r], x_sums[r], group.scale, group.zero);
#end
}

// total += the sums over the words of `run`, whose sums of x begin at word `first`.
fn add_run(total: ptr<function, Rows>, start: ptr<function, RowStarts>, run: Run, first: u32, quad: u32) {
  var group = Group(run.begin / params.group_words, run.begin, vec4<f32>(), vec4<f32>());
  var word = run.begin;
  for (; word + UNROLL <= run.end; word += UNROLL) {
    enter(&group, word, quad);
    var sum = Rows();
    let x_sums = begin_step(&sum, group, (word - first) / UNROLL);
    mac_step(&sum, start, word, quad);
    end_step(total, sum, x_sums, group);
  }
  if (word < run.end) { // k ends within a step
    enter(&group, word, quad);
    var sum = Rows();
    let x_sums = begin_step(&sum, group, (word - first) / UNROLL);
    for (; word < run.end; word++) {
      mac_word(&sum, start, word, read_quad(word, quad));
    }
    end_step(total, sum, x_sums, group);
  }
}

#if EXPERTS != 2
// total += the sums of rows over all of k, as far as this slice has them.
fn add_rows(total: ptr<function, Rows>, rows: RowRun, quad: u32, lane: vec2<u32>) {
  var start = row_starts(rows);
  for (var first = 0u; first < params.words; first += ROOM) {
    let end = min(first + ROOM, params.words);
#if !CODEBOOK
    workgroupBarrier(); // nobody reads the sums before
    make_sums(&start, first, end, lane.y * LANES + lane.x);
    workgroupBarrier(); // they are there before anyone reads them
#endif
    let blocks = (end - first + BLOCK_WORDS - 1u) / BLOCK_WORDS;
    let length = ((blocks + SLICES - 1u) / SLICES) * BLOCK_WORDS;
    let begin = min(first + lane.y * length, end);
    add_run(total, &start, Run(begin, min(begin + length, end)), first, quad);
  }
}
#elif EXPERTS == 2
// total += the sums of all pairs by their weights, as far as this slice has them. As many pairs as there is room for are one long k, of which each
// slice takes a run: it waits for memory as often as one matrix does. A pair that is longer than the room is several parts.
fn add_pairs(total: ptr<function, Rows>, quad: u32, lane: vec2<u32>) {
  let words = (params.words + BLOCK_WORDS - 1u) / BLOCK_WORDS * BLOCK_WORDS;
  let parts = (words + ROOM - 1u) / ROOM; // of a pair
  let length = min(words, ROOM); // of a part
  let steps = length / UNROLL;
  let blocks = length / BLOCK_WORDS;
  let together = ROOM / length;
  let all = pairs() * parts;
  for (var first = 0u; first < all; first += together) {
    let count = min(together, all - first);
#if !CODEBOOK
    workgroupBarrier(); // nobody reads the sums before
    for (var i = lane.y * LANES + lane.x; i < count * steps; i += SLICES * LANES) {
      let part = first + i / steps;
      let begin = part % parts * length + i % steps * UNROLL;
      let row = params.x_base + x_row(part / parts) * params.x_pitch;
      sums[i] = sum_of_step(row, min(begin, params.words), min(begin + UNROLL, params.words));
    }
    workgroupBarrier(); // they are there before anyone reads them
#endif
    let own_blocks = (count * blocks + SLICES - 1u) / SLICES;
    let end = min((lane.y + 1u) * own_blocks, count * blocks);
    for (var next = lane.y * own_blocks; next < end; ) {
      let index = next / blocks; // of the part, among those together
      let begin = next - index * blocks;
      let stop = min(blocks, begin + end - next);
      next += stop - begin;
      let rows = rows_of((first + index) / parts, 1u);
      if (rows.begin >= rows.end) { continue; } // its matrix is in another binding
      var start = row_starts(rows);
      var own = Rows();
      let base = (first + index) % parts * length;
      let run = Run(min(base + begin * BLOCK_WORDS, params.words), min(base + stop * BLOCK_WORDS, params.words));
      add_run(&own, &start, run, base - index * length, quad); // sums of the parts before lie before its own
      (*total)[0] = fma(vec4<f32>(weight_of(rows.begin)), own[0], (*total)[0]);
    }
  }
}
#endif

@compute @workgroup_size(LANES, SLICES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_id) lane: vec3u) {
  let tile = linear_index(workgroup, workgroups);
  if (tile >= params.tiles) { return; }
  load_table(lane.y * LANES + lane.x);
#if EXPERTS != 2
  let rows = rows_of(tile / params.tiles_n, ROWS);
#endif
#if EXPERTS == 1
  if (rows.begin >= rows.end) { return; }
#endif
  let own_quad = (tile % params.tiles_n) * LANES + lane.x;
  let quad = min(own_quad, (params.n - 1u) / 4u); // past the end the last one again, not written
  let factor = row_factor(lane.y * LANES + lane.x, SLICES * LANES);
  var total: Rows;
#if EXPERTS == 2
  add_pairs(&total, quad, lane.xy);
#elif EXPERTS != 2
  add_rows(&total, rows, quad, lane.xy);
#endif
#if !CODEBOOK
  workgroupBarrier(); // nobody reads sums of x any more
#endif
  let slot = lane.y * ROWS * LANES + lane.x;
#repeat r ROWS
  sums[2u * (slot + r * LANES)] = total[r].xy;
  sums[2u * (slot + r * LANES) + 1u] = total[r].zw;
#end
  workgroupBarrier(); // all slices have put their sums before anyone adds them up
  if (4u * own_quad >= params.n) { return; }
#if EXPERTS == 2
  let count = 1u;
#elif EXPERTS != 2
  let count = min(ROWS, rows.end - rows.begin);
#endif
  // The rows are finished by different slices, in a loop that holds no row in registers.
  for (var r = lane.y; r < count; r += SLICES) {
    var sum = vec4<f32>();
    for (var slice = 0u; slice < SLICES; slice++) {
      let at = 2u * ((slice * ROWS + r) * LANES + lane.x);
      sum += vec4<f32>(sums[at], sums[at + 1u]);
    }
#if EXPERTS == 2
    finish_pairs(quad, sum * factor);
#elif EXPERTS != 2
    finish_scaled(rows.begin + r, quad, sum, factor);
#endif
  }
}
