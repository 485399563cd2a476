// From times to a choice. Pure.

/** A candidate whose best round takes this many times as long as the fastest one's is not measured again. */
export const HOPELESS = 1.5;
/** What a candidate must be faster by, in the median of the rounds and of all but a quarter of them at all. */
const MARGIN = 0.03;
const SURE_ROUNDS = 0.75;
/** Fewer rounds say nothing. */
export const LEAST_ROUNDS = 3;

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/**
 * Which candidate takes the place of the first one, and its time as a share of the first one's.
 * @param times of each candidate its time in each round, in any unit; all have round 0, one that was dropped has fewer. Times of a round
 *   are compared with each other only: a machine that is busy is busy for all.
 * @returns undefined if too few rounds were run to tell
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

/** Which of the candidates that are still measured stay so, by their best rounds; the first always does. */
export function survivors(times: readonly (readonly number[])[], active: readonly number[]): number[] {
  const best = active.map((index) => Math.min(...times[index]!));
  const fastest = Math.min(...best);
  return active.filter((index, i) => index === 0 || best[i]! <= HOPELESS * fastest);
}
