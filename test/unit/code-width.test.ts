// The widths of codes and the numbers that depend on them; no other file of src/, cli/ and demo/ compares a width.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BITS, CODE_BITS, CODE_WIDTHS, lowWords, rowsOfWords, widthFor, widthOf, wordsOf } from '../../src/problem/code-width.js';

/** Lists of the widths, branches on one, and arithmetic that code-width.ts has names for. */
const ASKS: Readonly<Record<string, RegExp>> = {
  'a type of the widths': /(?<! \| )\b(?:4 \| 8|8 \| 4)\b(?! \|)/,
  'a list of the widths': /(?:\[|oneOf\()\s*['"]?4['"]?,\s*['"]?8['"]?\s*[\])]|'4' \| '8'/,
  'a branch on a width': /\b(?:bits|BITS)\b!? (?:===|!==|<|>|<=|>=) (?:4|8)\b|\b(?:4|8) (?:===|!==) [\w.]*\b(?:bits|BITS)\b/,
  'codes in a word': /\b32 \/ [\w.]*\b[bB]its\b/,
  'the largest or the middle code': /\b2 \*\* (?:\([\w.]*\b[bB]its\b|[\w.]*\b[bB]its\b)|\b1 << (?:\([\w.]*\b[bB]its\b|[\w.]*\b[bB]its\b)/,
  'a mask of signs': /\b0x8{8}\b|\b0x(?:80){4}\b/i,
};

const codeOf = (file: string): string[] =>
  readFileSync(file, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
    .split('\n')
    .map((line) => line.replace(/(^|\s)\/\/.*$/, ''));

/** What a line asks of a width; undefined if nothing. */
const asked = (line: string): string | undefined => Object.entries(ASKS).find(([, pattern]) => pattern.test(line))?.[0];

test.each(['src', 'cli', 'demo'])('%s/ asks only code-width.ts how wide a code is', (folder) => {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file));
  expect(files.length).toBeGreaterThan(10);
  const found = files
    .filter((file) => !file.endsWith('code-width.ts'))
    .flatMap((file) =>
      codeOf(join(folder, file)).flatMap((line, i) => (asked(line) ? [`${join(folder, file)}:${i + 1} ${asked(line)}`] : [])),
    );
  expect(found).toEqual([]);
});

test.each([
  ['readonly bits: 4 | 8;', 'a type of the widths'],
  ['choice<4 | 8>(4)', 'a type of the widths'],
  ['[4, 8].map((bits) => bits)', 'a list of the widths'],
  ["['4', '8']", 'a list of the widths'],
  ['oneOf(4, 8)', 'a list of the widths'],
  ['const wide = bits === 8;', 'a branch on a width'],
  ['if (matrix.bits !== 4) return;', 'a branch on a width'],
  ['const inWord = 32 / layer.bits;', 'codes in a word'],
  ['const mask = 2 ** bits - 1;', 'the largest or the middle code'],
  ['const zero = 2 ** (choice.bits - 1);', 'the largest or the middle code'],
  ['word ^ 0x88888888', 'a mask of signs'],
  // The bits of a file's codes are the format's own.
  ['readonly bits: 2 | 3 | 4 | 8;', undefined],
  ['readonly bits?: 2 | 4 | 8 | undefined;', undefined],
  ['const widths = [2, 4, 8];', undefined],
  ['const { inWord } = widthOf(bits);', undefined],
])('such a line would be seen: %s', (line, what) => {
  expect(asked(line)).toBe(what);
});

test('what follows from a width', () => {
  expect(BITS).toEqual([4, 8]);
  expect(CODE_BITS).toEqual([2, 3, 4, 5, 6, 8]);
  expect(widthOf(4)).toMatchObject({
    name: 'int4',
    inWord: 8,
    mask: 15,
    zero: 8,
    signs: 0x88888888,
    dtype: 'int32',
    stored: 'I32',
    inElement: 8,
  });
  expect(widthOf(8)).toMatchObject({
    name: 'int8',
    inWord: 4,
    mask: 255,
    zero: 128,
    signs: 0x80808080,
    dtype: 'int8',
    stored: 'I8',
    inElement: 1,
  });
  for (const { bits, array, inElement, inWord, stored } of CODE_WIDTHS) {
    expect(array.BYTES_PER_ELEMENT * 8).toBe(inElement * bits);
    expect(stored).toBe(`I${8 * array.BYTES_PER_ELEMENT}`);
    expect([1, inWord, inWord + 1].map((k) => wordsOf(k, bits))).toEqual([1, 1, 2]);
  }
});

test.each([
  // bits, slot, low, high, codes in a low word, largest code, code of weight 0, signs of a word
  [2, 4, 2, 0, 16, 3, 2, 0x22222222],
  [3, 4, 2, 1, 16, 7, 4, 0x44444444],
  [4, 4, 4, 0, 8, 15, 8, 0x88888888],
  [5, 8, 4, 1, 8, 31, 16, 0x10101010],
  [6, 8, 4, 2, 8, 63, 32, 0x20202020],
  [8, 8, 8, 0, 4, 255, 128, 0x80808080],
] as const)(
  '%i bits lie in slots of %i in the caller’s memory, as %i + %i in the packed layout',
  (bits, slot, low, high, inLow, ...more) => {
    const [mask, zero, signs] = more;
    expect(widthOf(bits)).toMatchObject({ bits, slot, inWord: 32 / slot, low, high, inLow, mask, zero, signs });
    // A block of 32 k has as many words as a code has bits; widths without high parts have no blocks.
    expect([1, 31, 32, 33].map((k) => rowsOfWords(k, bits))).toEqual([high ? bits : 1, bits, bits, high ? 2 * bits : bits + 1]);
    expect([1, inLow, inLow + 1].map((k) => lowWords(k, bits))).toEqual([1, 1, 2]);
  },
);

test('a width that no format of ours has is held by the next one', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8].map((bits) => widthFor(bits).bits)).toEqual([2, 2, 3, 4, 5, 6, 8, 8]);
  expect(() => widthFor(9)).toThrow(RangeError);
});
