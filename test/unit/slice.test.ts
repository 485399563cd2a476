// What `npm test` leaves to `npm run test:all`: never a kernel, a value or a format that an engine could run.
import { describe, expect, test } from 'vitest';
import { runsOn } from '../cases/cases.js';
import { casesOf, ENGINES, SOFTWARE, valuesOf } from '../cases/engines.js';
import { matrixRunsOn } from '../cases/matrix-cases.js';
import { cover, wordsOf } from '../cases/slice.js';

test('words are values, every two of them, every three', () => {
  expect(wordsOf({ a: 1, b: 2, c: 3 }, 1)).toEqual(['a=1', 'b=2', 'c=3']);
  expect(wordsOf({ a: 1, b: 2, c: 3 }, 2)).toEqual(['a=1 b=2', 'a=1 c=3', 'b=2 c=3']);
  expect(wordsOf({ a: 1, b: 2, c: 3 }, 3)).toEqual(['a=1 b=2 c=3']);
});

test('a cover has every word, what was chosen before, and none of which all words are elsewhere', () => {
  const list = ['ab', 'abc', 'c', 'd', 'cd'];
  const letters = (word: string): string[] => [...word];
  expect(cover(list, letters)).toEqual(['abc', 'd']);
  expect(cover(list, letters, ['ab'])).toEqual(['ab', 'cd']);
});

describe.each(ENGINES)('%s', (engine) => {
  const [some, all] = [casesOf(engine, false), casesOf(engine, true)];
  const caps = SOFTWARE[engine];

  test('every value, also every kernel, that it can run is in the slice', () => {
    const words = (list: typeof all.numbers) => new Set(list.filter((c) => runsOn(c, caps)).flatMap((c) => wordsOf(valuesOf(c), 1)));
    expect([...words(all.numbers)].filter((word) => !words(some.numbers).has(word))).toEqual([]);
    expect(some.numbers.length).toBeLessThan(all.numbers.length / 2);
    const kernels = (list: typeof all.matrices) =>
      new Set(list.filter((c) => matrixRunsOn(c, caps)).flatMap(({ force, shift }) => [force?.kernel ?? 'planned', shift]));
    expect([...kernels(all.matrices)].filter((word) => !kernels(some.matrices).has(word))).toEqual([]);
  });

  test('models of every architecture are in the slice, and of Dawn every value', () => {
    const words = (list: typeof all.models) => new Set(list.flatMap(({ values }) => wordsOf(values, 1)));
    expect(some.models.length).toBeLessThan(all.models.length / 3);
    const left = [...words(all.models)].filter((word) => !words(some.models).has(word));
    if (engine === 'dawn') expect(left).toEqual([]);
    else expect(left.filter((word) => word.startsWith('architecture='))).toEqual([]);
    expect(some.models.map(({ model }) => model.vocabulary ?? 0).every((vocabulary) => vocabulary < 2000)).toBe(true); // fast
  });

  test('a slice is of the tables, in their order, the same each time; formats are whole', () => {
    expect(some.numbers).toEqual(all.numbers.filter((c) => some.numbers.includes(c)));
    expect(casesOf(engine, false)).toEqual(some);
    expect([some.formats, some.nodes]).toEqual([all.formats, all.nodes]);
  });
});
