// Selects cases of long tables for `npm test`, so that every word (a value of a case) and every pair of words still occurs in some case.
// `npm run test:all` runs every case. Holds no test.

/** Is this `npm run test:all`? The one place that asks. */
export const whole: boolean =
  (globalThis as { process?: { env: Readonly<Record<string, string | undefined>> } }).process?.env.ANTIQUANT_ALL === '1';

/** `chosen`, and few more of `all`, so that they have every word that `all` have; those with many new ones first. */
export function cover<T>(all: readonly T[], wordsOf: (one: T) => readonly string[], chosen: readonly T[] = []): T[] {
  // Of a long table, a part is covered first: hardly any of the others has a new word then.
  if (all.length > LONG) {
    const part = all.filter((_, i) => i % Math.ceil(all.length / LONG) === 0);
    return coverAll(all, wordsOf, coverAll(part, wordsOf, chosen));
  }
  return coverAll(all, wordsOf, chosen);
}
const LONG = 4096;

function coverAll<T>(all: readonly T[], wordsOf: (one: T) => readonly string[], chosen: readonly T[]): T[] {
  const seen = new Set(chosen.flatMap(wordsOf));
  const unseen = (words: Iterable<string>): string[] => [...new Set(words)].filter((word) => !seen.has(word));
  let left = all.map((one) => ({ one, words: unseen(wordsOf(one)) }));
  const out = new Set(chosen);
  for (let gain = left.reduce((most, { words }) => Math.max(most, words.length), 0); gain > 0; gain--) {
    left = left.filter(({ words }) => words.length > 0);
    for (const entry of left) {
      entry.words = unseen(entry.words);
      if (entry.words.length < gain) continue;
      out.add(entry.one);
      for (const word of entry.words) seen.add(word);
      entry.words = [];
    }
  }
  return [...out];
}

/** `a=1`, `b=2`: the values of a record; `a=1 b=2`: every two of them; and so on. */
export function wordsOf(record: object, together: 1 | 2 | 3): string[] {
  const values = Object.entries(record).map(([name, value]) => `${name}=${value}`);
  const longer = (words: string[], from: number, left: number): string[] =>
    left === 0 ? [words.join(' ')] : values.slice(from).flatMap((value, i) => longer([...words, value], from + i + 1, left - 1));
  return longer([], 0, together);
}

/** In `npm run test:all` all; in `npm test` so few that every one of their `values` (an object's own, if nothing else is said) still is in one. */
export function sliced<T extends object>(all: readonly T[], values: (one: T) => object = (one) => one): readonly T[] {
  if (whole) return all;
  const chosen = new Set(cover(all, (one) => wordsOf(values(one), 1)));
  return all.filter((one) => chosen.has(one));
}
