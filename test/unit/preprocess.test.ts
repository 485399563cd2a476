// The seven directives of src/wgsl/preprocess.ts, and every error in their use.
import { describe, expect, test } from 'vitest';
import { type Params, type Preprocessed, preprocess } from '../../src/wgsl/preprocess.js';

type Files = Readonly<Record<string, string>>;
const text = (...lines: readonly string[]): string => `${lines.join('\n')}\n`;
const run = (files: Files, params: Params = {}): Preprocessed => preprocess(files, 'main.wgsl', params);
/** The lines that come out of a file of these lines. */
const lines = (source: readonly string[], params: Params = {}): string[] => run({ 'main.wgsl': text(...source) }, params).code.split('\n');
/** The message of what is thrown; fails if nothing is. */
function message(files: Files, params: Params = {}): string {
  try {
    run(files, params);
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}
const messageOf = (source: readonly string[], params: Params = {}): string => message({ 'main.wgsl': text(...source) }, params);

describe('plain text', () => {
  test('passes unchanged: comments, blank lines, indentation and WGSL that looks like a directive inside a line', () => {
    const source = ['// a comment', '', '  let a = 1u; // not #if', '/* block #else', '*/', 'let b = a ## b;'];
    expect(lines(source)).toEqual([...source, '']);
  });

  test('a last line without a line break comes out as a line', () => {
    expect(run({ 'main.wgsl': 'a\nb' }).code).toBe('a\nb\n');
  });
});

describe('#param', () => {
  test('becomes an unsigned const where it stands, with its comment', () => {
    const source = ['before', '#param ROWS 1 2 4 // rows in registers', '#param BITS 4 8', 'after'];
    expect(lines(source, { ROWS: 2, BITS: 8 })).toEqual([
      'before',
      'const ROWS = 2u; // rows in registers',
      'const BITS = 8u;',
      'after',
      '',
    ]);
  });

  test('the name is never replaced in the text', () => {
    expect(lines(['#param A 3', 'let x = A; // A'], { A: 3 })[1]).toBe('let x = A; // A');
  });

  test('0 is a value like any other', () => {
    expect(lines(['#param A 0 1', '#if A', 'one', '#else', 'zero', '#endif'], { A: 0 })).toEqual(['const A = 0u;', 'zero', '']);
  });

  test('in a branch that is not taken it declares nothing', () => {
    expect(lines(['#if 0', '#param A 1', '#endif', 'x'])).toEqual(['x', '']);
  });
});

describe('#let', () => {
  const source = ['#param BITS 2 4 8', '#let LOW 2 + 2 * (BITS >= 4) + 4 * (BITS >= 8) // in a low word', '#if LOW == 4', 'four', '#endif'];

  test('becomes an unsigned const with its comment, and is a name in #if, #repeat and other #lets', () => {
    expect(lines(source, { BITS: 4 })).toEqual(['const BITS = 4u;', 'const LOW = 4u; // in a low word', 'four', '']);
    expect(lines(source, { BITS: 8 })).toEqual(['const BITS = 8u;', 'const LOW = 8u; // in a low word', '']);
    const more = ['#param A 3', '#let B A - 1', '#let C B * B', '#repeat i B', 'x', '#end'];
    expect(lines(more, { A: 3 })).toEqual([
      'const A = 3u;',
      'const B = 2u;',
      'const C = 4u;',
      '{ const i = 0u;',
      'x',
      '}',
      '{ const i = 1u;',
      'x',
      '}',
      '',
    ]);
  });

  test('in a branch that is not taken it declares nothing', () => {
    expect(lines(['#if 0', '#let A 1', '#endif', '#let A 2'])).toEqual(['const A = 2u;', '']);
  });

  test('what is wrong with it', () => {
    expect(messageOf(['#let a 1'])).toMatch(/main.wgsl:1: #let needs an UPPER_SNAKE name and a value, got 'a 1'/);
    expect(messageOf(['#let A'])).toMatch(/main.wgsl:1: #let needs an UPPER_SNAKE name and a value/);
    expect(messageOf(['#let A 1', '#let A 2'])).toMatch(/main.wgsl:2: #let A is declared twice/);
    expect(messageOf(['#let A 1 - 2'])).toMatch(/main.wgsl:1: #let A: '1 - 2' is -1/);
    expect(messageOf(['#let A B'])).toMatch(/main.wgsl:1: B is not a declared param/);
    expect(messageOf(['#let A 1'], { A: 1 })).toMatch(/param A is/);
  });
});

describe('#if', () => {
  const choose = (a: number): string[] =>
    lines(
      ['#param A 1 2 3 4', '#if A == 1', 'one', '#elif A == 2', 'two', '#elif A == 3 // a comment', 'three', '#else', 'other', '#endif'],
      {
        A: a,
      },
    ).slice(1, -1);

  test('keeps the first branch that holds, and no other', () => {
    expect([1, 2, 3, 4].map(choose)).toEqual([['one'], ['two'], ['three'], ['other']]);
  });

  test('of two true branches the first is kept', () => {
    expect(lines(['#if 1', 'a', '#elif 1', 'b', '#else', 'c', '#endif'])).toEqual(['a', '']);
  });

  test('without #else may keep nothing', () => {
    expect(lines(['#if 0', 'a', '#elif 0', 'b', '#endif', 'end'])).toEqual(['end', '']);
  });

  test.each([
    [0, 0, ['b-else']],
    [0, 1, ['b-else']],
    [1, 0, ['a', 'a-else', 'a-end']],
    [1, 1, ['a', 'a-b', 'a-end']],
  ])('nests: A=%i B=%i', (A, B, kept) => {
    const source = ['#param A 0 1', '#param B 0 1', '#if A', 'a', '  #if B', 'a-b', '  #else', 'a-else', '  #endif', 'a-end', '#else'];
    expect(lines([...source, 'b-else', '#endif'], { A, B }).slice(2, -1)).toEqual(kept);
  });

  test('inside a dropped branch neither #else nor #elif revives text', () => {
    const inner = ['#if 0', 'a', '#elif 1', 'b', '#else', 'c', '#endif'];
    expect(lines(['#if 0', ...inner, '#endif', '#if 1', 'kept', '#else', ...inner, '#endif'])).toEqual(['kept', '']);
  });

  test('expressions of dropped branches are not evaluated', () => {
    expect(lines(['#if 0', '#if UNKNOWN', '#endif', '#elif 1', 'kept', '#elif UNKNOWN', '#endif'])).toEqual(['kept', '']);
    expect(lines(['#if 0', '#if 0', '#elif UNKNOWN', '#endif', '#endif', 'kept'])).toEqual(['kept', '']);
  });

  // Right answers are those of C, worked out by hand.
  test.each([
    ['1', true],
    ['0', false],
    ['7', true],
    ['!0', true],
    ['!7', false],
    ['!!7', true],
    ['2 == 2', true],
    ['2 != 2', false],
    ['2 < 3', true],
    ['3 < 3', false],
    ['3 <= 3', true],
    ['3 > 2', true],
    ['2 >= 3', false],
    ['10 > 9', true], // as numbers, not as text
    ['1 && 2', true],
    ['1 && 0', false],
    ['0 || 2', true],
    ['0 || 0', false],
    ['1 || 0 && 0', true], // && before ||
    ['(1 || 0) && 0', false],
    ['0 == 1 && 0', false], // == before &&
    ['0 == (1 && 0)', true],
    ['1 < 2 == 1', true], // < before ==
    ['2 == 1 < 2', false],
    ['(2 == 2) < 2', true],
    ['!1 == 0', true], // ! before ==
    ['!(1 == 0)', true],
    ['!2 < 1', true],
    ['3 > 2 > 1', false], // from the left
    ['3 == 3 == 1', true],
    ['2 != 3 != 0', true],
    ['( ( 1 ) )', true],
    ['2 + 3 * 4 == 14', true], // * before +
    ['7 - 2 - 1 == 4', true], // from the left
    ['8 / 2 / 2 == 2', true],
    ['1 + 1 < 2', false], // + before <
    ['0 < 1 - 1 + 1', true],
    ['A_2/A-1==3', true],
    ['A == 4', true],
    ['A_2 == 16', true],
    ['A < A_2 && A_2 > 15', true],
    ['!A', false],
    ['A==4&&!(A_2<=A)', true],
  ])('%s is %s', (expression, holds) => {
    const source = ['#param A 4', '#param A_2 16', `#if ${expression}`, 'yes', '#else', 'no', '#endif'];
    expect(lines(source, { A: 4, A_2: 16 })[2]).toBe(holds ? 'yes' : 'no');
  });
});

describe('#include', () => {
  test('pastes a file where it stands, once for all files', () => {
    const files = {
      'main.wgsl': text('#include "lib/a.wgsl"', 'main', '#include "lib/b.wgsl"', '#include "lib/a.wgsl"'),
      'lib/a.wgsl': text('a'),
      'lib/b.wgsl': text('b begins', '#include "lib/a.wgsl"', 'b ends'),
    };
    expect(run(files).code).toBe(text('a', 'main', 'b begins', 'b ends'));
  });

  test('may go round in a circle', () => {
    const files = { 'main.wgsl': text('#include "a.wgsl"', 'main'), 'a.wgsl': text('#include "main.wgsl"', 'a') };
    expect(run(files).code).toBe(text('a', 'main'));
  });

  test('params of an included file are known after it, and in it those from before', () => {
    const files = {
      'main.wgsl': text('#param OUT 1', '#include "a.wgsl"', '#if IN == 2', 'both', '#endif'),
      'a.wgsl': text('#param IN 2', '#if OUT', 'inside', '#endif'),
    };
    expect(run(files, { OUT: 1, IN: 2 }).code).toBe(text('const OUT = 1u;', 'const IN = 2u;', 'inside', 'both'));
  });

  test('in a dropped branch needs no file', () => {
    expect(lines(['#if 0', '#include "nowhere.wgsl"', '#endif', 'x'])).toEqual(['x', '']);
  });

  test('takes a comment', () => {
    expect(run({ 'main.wgsl': text('#include "a.wgsl" // why'), 'a.wgsl': text('a') }).code).toBe(text('a'));
  });
});

describe('enable and requires', () => {
  test('come first, each once, in the order of meeting, under #if too', () => {
    const files = {
      'main.wgsl': text('fn main() {}', '#if 1', 'enable f16;', '#endif', '#if 0', 'enable chromium_thing;', '#endif', '#include "a.wgsl"'),
      'a.wgsl': text('requires readonly_textures;', '  enable f16;', 'fn a() {}'),
    };
    expect(run(files).code).toBe(text('enable f16;', 'requires readonly_textures;', 'fn main() {}', 'fn a() {}'));
  });

  test('a name that merely begins so stays where it is', () => {
    expect(lines(['let a = 1;', 'enabled = 2;', 'requires_x = 3;'])).toEqual(['let a = 1;', 'enabled = 2;', 'requires_x = 3;', '']);
  });
});

describe('places', () => {
  const files: Files = {
    'main.wgsl': text('// head', '#param A 1 2', '#include "lib/x.wgsl"', '#if A == 1', 'dropped', '#else', 'kept', '#endif', 'tail'),
    'lib/x.wgsl': text('x 1', '#if A == 2', 'enable f16;', 'x 4', '#endif', 'x 6'),
  };

  test('every line of the output has its file and line', () => {
    const { code, places } = run(files, { A: 2 });
    const placed = code
      .trimEnd()
      .split('\n')
      .map((line, i) => `${line} @ ${places[i]?.file}:${places[i]?.line}`);
    expect(placed).toEqual([
      'enable f16; @ lib/x.wgsl:3',
      '// head @ main.wgsl:1',
      'const A = 2u; @ main.wgsl:2',
      'x 1 @ lib/x.wgsl:1',
      'x 4 @ lib/x.wgsl:4',
      'x 6 @ lib/x.wgsl:6',
      'kept @ main.wgsl:7',
      'tail @ main.wgsl:9',
    ]);
    expect(places).toHaveLength(placed.length);
  });

  test('what is enabled twice stands where it was first', () => {
    expect(run({ 'main.wgsl': text('a', 'enable f16;', 'enable f16;') }).places[0]).toEqual({ file: 'main.wgsl', line: 2 });
  });
});

describe('#repeat', () => {
  test('writes its lines in blocks that know their number', () => {
    const source = ['#param ROWS 1 2', 'before', '  #repeat r ROWS', '  sum[r] = x[r];', '  #end', 'after'];
    const block = (r: number): string[] => [`{ const r = ${r}u;`, '  sum[r] = x[r];', '}'];
    expect(lines(source, { ROWS: 2 })).toEqual(['const ROWS = 2u;', 'before', ...block(0), ...block(1), 'after', '']);
  });

  test('nests, counts by expressions, and lets #if ask for the number', () => {
    const source = ['#param N 4', '#repeat i N / 2', '#repeat j 2 * 1', '#if i == j', 'same', '#else', 'other', '#endif', '#end', '#end'];
    const words = lines(source, { N: 4 }).filter((line) => /^[so]/.test(line));
    expect(words).toEqual(['same', 'other', 'other', 'same']);
  });

  test('a count of + - * / and params', () => {
    const times = (count: string, BITS: number): number =>
      lines(['#param BITS 2 4 8', `#repeat i ${count}`, 'x', '#end'], { BITS }).filter((line) => line === 'x').length;
    expect([2, 4, 8].map((BITS) => times('8 / BITS', BITS))).toEqual([4, 2, 1]);
    expect([2, 4, 8].map((BITS) => times('32 / BITS - 1', BITS))).toEqual([15, 7, 3]);
    expect([2, 4, 8].map((BITS) => times('BITS + 1 // a comment', BITS))).toEqual([3, 5, 9]);
  });

  test('zero times, or in a branch not taken, is nothing', () => {
    expect(lines(['a', '#repeat i 0', 'b', '#end', '#if 0', '#repeat i 2', 'b', '#end', '#endif', 'c'])).toEqual(['a', 'c', '']);
  });

  test('the same name again, one after the other', () => {
    expect(lines(['#repeat i 1', 'a', '#end', '#repeat i 1', 'b', '#end']).filter((line) => /^[ab]$/.test(line))).toEqual(['a', 'b']);
  });

  test('every line has its place', () => {
    const { code, places } = run({ 'main.wgsl': text('#repeat i 2', 'a', '#end', 'b') });
    expect(code).toBe('{ const i = 0u;\na\n}\n{ const i = 1u;\na\n}\nb\n');
    expect(places.map(({ line }) => line)).toEqual([1, 2, 3, 1, 2, 3, 4]);
  });

  test.each([
    [['#repeat i 2', 'a'], '1: #repeat without #end'],
    [['a', '#end'], '2: #end without #repeat'],
    [['#repeat 2', '#end'], "1: #repeat needs a snake_case name and a count, got '2'"],
    [['#repeat N 2', '#end'], "1: #repeat needs a snake_case name and a count, got 'N 2'"],
    [['#repeat i 2', '#repeat i 2', '#end', '#end'], '2: #repeat i: the name is taken'],
    [['#repeat i M', '#end'], '1: M is not a declared param'],
    [['#repeat i 1 - 2', '#end'], "1: #repeat i: '1 - 2' is -1"],
    [['#repeat i 1 / 2', '#end'], "1: '1 / 2' is no whole number"],
    [['#repeat i 1', '#if 1', '#end', '#endif'], '2: #if without #endif'],
    [['#if 1', '#repeat i 1', '#endif', '#end'], '3: #endif without #if'],
    [['#repeat i 1', '#end', '#if i', '#endif'], '3: i is not a declared param'],
  ])('%j', (source, expected) => {
    expect(messageOf(source)).toBe(`shaders/main.wgsl:${expected}`);
  });
});

describe('errors cite shaders/file:line', () => {
  const cases: readonly (readonly [string, readonly string[], Params, string])[] = [
    ['an unknown directive', ['a', '#define X 1'], {}, 'shaders/main.wgsl:2: unknown directive #define'],
    ['a lone #', ['#'], {}, 'shaders/main.wgsl:1: unknown directive #'],
    ['an unknown name', ['', '#if ROWS == 1', '#endif'], {}, 'shaders/main.wgsl:2: ROWS is not a declared param'],
    ['a name used before its #param', ['#if A', '#endif', '#param A 1'], { A: 1 }, 'shaders/main.wgsl:1: A is not a declared param'],
    ['an unknown name in #elif', ['#if 0', '#elif X', '#endif'], {}, 'shaders/main.wgsl:2: X is not a declared param'],
    ['a value off the list', ['#param A 1 2'], { A: 3 }, 'shaders/main.wgsl:1: param A must be one of 1 2, got 3'],
    ['a fractional value', ['#param A 1 2'], { A: 1.5 }, 'shaders/main.wgsl:1: param A must be one of 1 2, got 1.5'],
    ['a missing value', ['', '', '#param A 1 2'], {}, 'shaders/main.wgsl:3: no value for param A'],
    ['a param given and not declared', ['#param A 1'], { A: 1, B: 2 }, 'shaders/main.wgsl:0: param B is not declared'],
    [
      'a param declared in a dropped branch only',
      ['#if 0', '#param A 1', '#endif'],
      { A: 1 },
      'shaders/main.wgsl:0: param A is not declared',
    ],
    ['a param declared twice', ['#param A 1', '#param A 1'], { A: 1 }, 'shaders/main.wgsl:2: #param A is declared twice'],
    ['#param without a name', ['#param'], {}, "shaders/main.wgsl:1: #param needs an UPPER_SNAKE name, got ''"],
    ['#param in lower case', ['#param rows 1'], { rows: 1 }, "shaders/main.wgsl:1: #param needs an UPPER_SNAKE name, got 'rows'"],
    ['#param without values', ['#param A // 1 2'], { A: 1 }, 'shaders/main.wgsl:1: #param A needs its legal unsigned values'],
    ['#param with a negative value', ['#param A 1 -2'], { A: 1 }, 'shaders/main.wgsl:1: #param A needs its legal unsigned values'],
    ['a missing include', ['#include "lib/none.wgsl"'], {}, 'shaders/main.wgsl:1: no file shaders/lib/none.wgsl'],
    ['an include without quotes', ['#include lib/a.wgsl'], {}, "shaders/main.wgsl:1: #include needs a quoted path, got 'lib/a.wgsl'"],
    ['an include of two paths', ['#include "a" "b"'], {}, `shaders/main.wgsl:1: #include needs a quoted path, got '"a" "b"'`],
    ['an empty include', ['#include ""'], {}, `shaders/main.wgsl:1: #include needs a quoted path, got '""'`],
    ['an open #if', ['#if 1', '#if 1', '#endif', 'x'], {}, 'shaders/main.wgsl:1: #if without #endif'],
    ['an open #if that is dropped', ['#if 0'], {}, 'shaders/main.wgsl:1: #if without #endif'],
    ['a second #else', ['#if 1', '#else', '#else', '#endif'], {}, 'shaders/main.wgsl:3: a second #else'],
    ['#elif after #else', ['#if 1', '#else', '#elif 1', '#endif'], {}, 'shaders/main.wgsl:3: #elif after #else'],
    ['#endif without #if', ['x', '#endif'], {}, 'shaders/main.wgsl:2: #endif without #if'],
    ['#else without #if', ['#else'], {}, 'shaders/main.wgsl:1: #else without #if'],
    ['#elif without #if', ['#elif 1'], {}, 'shaders/main.wgsl:1: #elif without #if'],
    ['#error', ['#if 1', '#error not with that', '#endif'], {}, 'shaders/main.wgsl:2: not with that'],
    ['an empty expression', ['#if', '#endif'], {}, "shaders/main.wgsl:1: '' ends too early"],
    ['an expression that ends too early', ['#if 1 &&', '#endif'], {}, "shaders/main.wgsl:1: '1 &&' ends too early"],
    ['trailing tokens', ['#if 1 2', '#endif'], {}, "shaders/main.wgsl:1: unexpected '2' in '1 2'"],
    ['a number with a suffix', ['#if 4u', '#endif'], {}, "shaders/main.wgsl:1: unexpected 'u' in '4u'"],
    ['a ) too many', ['#if (1))', '#endif'], {}, "shaders/main.wgsl:1: unexpected ')' in '(1))'"],
    ['a ) too few', ['#if (1', '#endif'], {}, "shaders/main.wgsl:1: '(1' lacks a )"],
    ['an unknown operator', ['#if 1 % 1', '#endif'], {}, "shaders/main.wgsl:1: unexpected '%' in '1 % 1'"],
    [
      'a division with a rest',
      ['#param BITS 3', '', '#if 8 / BITS', '#endif'],
      { BITS: 3 },
      "shaders/main.wgsl:3: '8 / BITS' is no whole number",
    ],
    ['a division by 0', ['#if 1 / 0', '#endif'], {}, "shaders/main.wgsl:1: '1 / 0' is no whole number"],
    ['a single =', ['#if 1 = 1', '#endif'], {}, "shaders/main.wgsl:1: unexpected '=' in '1 = 1'"],
    ['an operator first', ['#if == 1', '#endif'], {}, "shaders/main.wgsl:1: unexpected '==' in '== 1'"],
  ];
  test.each(cases)('%s', (_, source, params, expected) => {
    expect(messageOf(source, params)).toBe(expected);
  });

  test('no such shader', () => {
    expect(message({})).toMatch(/^shaders\/main\.wgsl:0: no file shaders\/main\.wgsl$/);
  });

  test('an error in an included file cites that file', () => {
    const files = { 'main.wgsl': text('#include "lib/a.wgsl"'), 'lib/a.wgsl': text('fine', '#nonsense') };
    expect(message(files)).toBe('shaders/lib/a.wgsl:2: unknown directive #nonsense');
  });

  test('an #if does not reach beyond its file', () => {
    const files = { 'main.wgsl': text('#if 1', '#include "a.wgsl"'), 'a.wgsl': text('#endif') };
    expect(message(files)).toBe('shaders/a.wgsl:1: #endif without #if');
  });

  test('#error in a dropped branch is none', () => {
    expect(lines(['#if 0', '#error no', '#endif', 'x'])).toEqual(['x', '']);
  });

  // Everything unknown is an error: what follows #else or #endif would be taken for a condition by a reader.
  test.each([
    ['#else', ['#if 0', 'a', '#else 0', 'b', '#endif']],
    ['#endif', ['#if 0', 'a', '#endif A']],
  ])('words after %s', (directive, source) => {
    expect(messageOf(source)).toContain(`shaders/main.wgsl:3: unexpected`);
    expect(messageOf(source)).toContain(directive);
  });
});
