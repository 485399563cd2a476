// Finds the name that somebody meant. Pure.

/** Edits (a letter more, less, another one, or two exchanged) from `word` to `text`; with `within`, to the part of `text` that is nearest. */
export function edits(word: string, text: string, within = false): number {
  let before: number[] = [];
  let row = Array.from({ length: text.length + 1 }, (_, i) => (within ? 0 : i));
  for (let j = 1; j <= word.length; j++) {
    const next = [j];
    for (let i = 1; i <= text.length; i++) {
      const other = word[j - 1] === text[i - 1] ? 0 : 1;
      let least = Math.min(row[i]! + 1, next[i - 1]! + 1, row[i - 1]! + other);
      if (i > 1 && j > 1 && word[j - 1] === text[i - 2] && word[j - 2] === text[i - 1]) least = Math.min(least, before[i - 2]! + 1);
      next.push(least);
    }
    [before, row] = [row, next];
  }
  return within ? Math.min(...row) : row.at(-1)!;
}

/** A third of a word's letters may be wrong. */
const mostOf = (word: string): number => Math.max(1, Math.floor(word.length / 3));

function nearest(word: string, names: Iterable<string>, within: boolean): string | undefined {
  let found: string | undefined;
  let least = mostOf(word) + 1;
  for (const name of names) {
    const count = edits(word.toLowerCase(), name.toLowerCase(), within);
    if (count < least) [found, least] = [name, count];
  }
  return found;
}

/** The name that is like the word; undefined if none is. */
export const meant = (word: string, names: Iterable<string>): string | undefined => nearest(word, names, false);

/** Longer patterns are looked for by their first letters. */
const LONGEST = 64;
const MOST_NAMES = 5000;

/** The first name with a part that is like the letters of a pattern that matches none. */
export function meantBy(pattern: RegExp, names: readonly string[]): string | undefined {
  const word = pattern.source.replace(/\\([dwsbDWSB])|[\\^$()[\]{}?*+|]/g, '').slice(0, LONGEST);
  return word === '' ? undefined : nearest(word, names.slice(0, MOST_NAMES), true);
}

/** `; did you mean NAME?`, or nothing. */
export const didYouMean = (name: string | undefined): string => (name === undefined ? '' : `; did you mean ${name}?`);
