// The prompts of the bench, and the room for them.

/** Positions that contenders beside each other have room for. */
export const CONTEXT = 512;

/** Ids of a prompt: letters, since bytes of a random text are no UTF-8, and a peer's stream ends at them. */
export const promptIds = (count: number, seed = 0): number[] =>
  Array.from({ length: count }, (_, i) => 64 + ((((i + 1) * 2654435761 + seed * 40503) >>> 8) % 26));
