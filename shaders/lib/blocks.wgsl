// How workgroups share the product: first along n, then rows of x in blocks, then k in splits. A split is a run of whole spans of
// 32 k; with more than one of them, y is scratch memory [splits, m, y_pitch] f32, and round-rows adds them up.

#include "lib/operands.wgsl"

const SPAN_WORDS = 32u / CODES;

struct Place {
  tile_n: u32,
  m: u32, // the first row
  split: u32,
  splits: u32,
}

fn place_of(tile: u32, rows: u32) -> Place {
  let blocks = (params.m + rows - 1u) / rows;
  let index = tile / params.tiles_n;
  return Place(tile % params.tiles_n, (index % blocks) * rows, index / blocks, params.tiles / (params.tiles_n * blocks));
}

// The words that one of several takes of k.
struct Run {
  begin: u32,
  end: u32,
}

fn run_at(index: u32, runs: u32) -> Run {
  let spans = (params.words + SPAN_WORDS - 1u) / SPAN_WORDS;
  let length = ((spans + runs - 1u) / runs) * SPAN_WORDS;
  let begin = min(index * length, params.words);
  return Run(begin, min(begin + length, params.words));
}

// Sums of x go over spans of 32 k; where groups are not whole spans, over the longest runs of 2, 4, 8 … k that they are whole ones of.
// This is the binary logarithm of a span's words.
fn span_shift() -> u32 {
  let in_group = select(SPAN_WORDS, params.group_words, params.group_words < params.words);
  return min(firstTrailingBit(in_group), firstTrailingBit(SPAN_WORDS));
}

// The first group that begins after the run; 0 if there is nothing in it.
fn groups_end(run: Run) -> u32 {
  return select(0u, (run.end + params.group_words - 1u) / params.group_words, run.begin < run.end);
}
