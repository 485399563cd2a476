// How workgroups share the product: first along n, then along m, then k in splits. A split is a run of whole blocks of 32 k; with more
// than one of them, y is scratch memory [splits, m, y_pitch] f32, and round-rows adds them up.

#include "lib/operands.wgsl"

struct Place {
  tile_n: u32,
  rows: RowRun,
  split: u32,
  splits: u32,
  run: Run, // the words of the split
}

fn place_of(tile: u32, rows: u32) -> Place {
#if EXPERTS
  return Place(tile % params.tiles_n, rows_of(tile / params.tiles_n, rows), 0u, 1u, run_at(0u, 1u));
#else
  let tiles_m = (params.m + rows - 1u) / rows;
  let index = tile / params.tiles_n;
  let split = index / tiles_m;
  let splits = params.tiles / (params.tiles_n * tiles_m);
  return Place(tile % params.tiles_n, rows_of(index % tiles_m, rows), split, splits, run_at(split, splits));
#endif
}

// Run `index` of so many of k.
fn run_at(index: u32, runs: u32) -> Run {
  let blocks = (params.words + BLOCK_WORDS - 1u) / BLOCK_WORDS;
  let length = ((blocks + runs - 1u) / runs) * BLOCK_WORDS;
  let begin = min(index * length, params.words);
  return Run(begin, min(begin + length, params.words));
}

// The first group that begins after the run; 0 if there is nothing in it.
fn groups_end(run: Run) -> u32 {
  return select(0u, (run.end + params.group_words - 1u) / params.group_words, run.begin < run.end);
}

// The words of a group that are in the run.
fn words_in(run: Run, group: u32) -> Run {
  return Run(max(run.begin, group * params.group_words), min(run.end, (group + 1u) * params.group_words));
}
