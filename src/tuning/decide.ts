// Decides from measured times whether a candidate replaces the planner's choice. Pure.

/** A candidate is dropped if its best round takes this many times the fastest candidate's best. */
export const HOPELESS = 1.5;
/** A candidate must be faster by this share in the median of the rounds, and faster at all in three quarters of them. */
const MARGIN = 0.03;
const SURE_ROUNDS = 0.75;
/** With fewer rounds there is no decision. */
export const LEAST_ROUNDS = 3;

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/**
 * Which candidate replaces the first one, and the ratio of its time to the first one's.
 * @param times for each candidate its time in each round, in any unit. All have round 0; dropped candidates have fewer rounds. Only times
 *   of the same round are compared, since a busy machine slows all candidates of a round.
 * @returns undefined after too few rounds
 */
export function decide(times: readonly (readonly number[])[]): { readonly index: number; readonly ratio: number } | undefined {
  const own = times[0]!;
  if (own.length < LEAST_ROUNDS) return undefined;
  let best = { index: 0, ratio: 1 };
  times.forEach((list, index) => {
    if (index === 0 || list.length < LEAST_ROUNDS) return;
    const ratios = list.map((time, round) => time / own[round]!);
    const faster = ratios.filter((ratio) => ratio < 1).length;
    const ratio = median(ratios);
    if (ratio < 1 - MARGIN && faster >= SURE_ROUNDS * ratios.length && ratio < best.ratio) best = { index, ratio };
  });
  return best;
}

/** Drops candidates by their best rounds; the first one always stays. */
export function survivors(times: readonly (readonly number[])[], active: readonly number[]): number[] {
  const best = active.map((index) => Math.min(...times[index]!));
  const fastest = Math.min(...best);
  return active.filter((index, i) => index === 0 || best[i]! <= HOPELESS * fastest);
}
