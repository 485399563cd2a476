// Selects cases of long tables for `npm test`, so that every word (a value of a case) and every pair of words still occurs in some case.
// `npm run test:all` runs every case. Holds no test.

/** Is this `npm run test:all`? The one place that asks. */
export const whole: boolean =
  (globalThis as { process?: { env: Readonly<Record<string, string | undefined>> } }).process?.env.ANTIQUANT_ALL === '1';

/** `chosen`, and few more of `all`, so that they have every word that `all` have; those with many new ones first. */
export function cover<T>(all: readonly T[], wordsOf: (one: T) => readonly string[], chosen: readonly T[] = []): T[] {
  const seen = new Set(chosen.flatMap(wordsOf));
  const left = all.map((one) => [...new Set(wordsOf(one))]);
  const out = new Set(chosen);
  for (let gain = Math.max(0, ...left.map(({ length }) => length)); gain > 0; gain--)
    all.forEach((one, i) => {
      left[i] = left[i]!.filter((word) => !seen.has(word));
      if (left[i]!.length < gain) return;
      out.add(one);
      for (const word of left[i]!) seen.add(word);
    });
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
