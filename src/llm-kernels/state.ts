// What the kernels of a choice leave for the host: the state of a sequence, and candidates. Pure.

/** Where things lie in the state, in u32 (shaders/llm/pick.wgsl). A host that reads count to ring reads all it needs of up to 64 ids. */
export const STATE = {
  /** Ids that were chosen since the state was zeroed. */
  count: 0,
  /** Why the sequence has ended: FLAGS. */
  flags: 1,
  /** The last id; the embedding's ids are this one. */
  id: 2,
  /** The last 64 ids: the n-th at n % 64. */
  ring: 16,
  ringSize: 64,
  /** Ids by position. */
  list: 80,
} as const;

/** Bits of the state's flags. */
export const FLAGS = {
  /** The last id is a stop id. */
  stopped: 1,
  /** As many ids as were asked for, or as the sequence has positions. */
  full: 2,
  /** A logit is NaN: no id was chosen. */
  notANumber: 4,
} as const;

export const MOST_STOPS = 16;

/** Ids that a host is given to choose from. */
export const MOST_CANDIDATES = 64;

/** Where things lie among the candidates, in u32 (shaders/llm/candidates.wgsl). */
export const CANDIDATES = {
  /** How many there are. */
  count: 0,
  /** 1: a logit is NaN. */
  notANumber: 1,
  /** Pairs of a logit float32 and an id u32. */
  begin: 4,
  bytes: 4 * (4 + 2 * MOST_CANDIDATES),
} as const;

/** Bytes of the state of a sequence of `context` positions, and the id that follows it. */
export const stateBytes = (context: number): number => 4 * (STATE.list + context + 1);
