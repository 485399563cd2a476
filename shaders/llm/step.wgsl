// Where the sequence stands. llm/pick writes it at the end of each token, all others read it as a uniform: between tokens the host writes
// nothing. Where the host chooses ids (llm/candidates), it writes it for each token.
struct Step {
  running: u32, // 0: the sequence has ended, and every kernel returns at once
  position: u32, // of the first row: so many keys were in the cache before it
  rows: u32, // 1 for a token; of a prompt those that are no padding
}

// Keys of each of so many splits of a length; the last splits may have none.
fn span_of(length: u32, splits: u32) -> u32 {
  return (length + splits - 1u) / splits;
}
