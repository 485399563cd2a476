// Stripped shaders: the same lines and columns without comments, which preprocess to the same code.
import { expect, test } from 'vitest';
import { allVariants, shaders } from '../../src/kernels/index.js';
import { addBestText } from '../../src/wgsl/best-text.js';
import { addGluText } from '../../src/wgsl/glu-text.js';
import { addLlmText } from '../../src/wgsl/llm-text.js';
import { type Params, preprocess } from '../../src/wgsl/preprocess.js';
import { addQuantizeText } from '../../src/wgsl/quantize-text.js';
import { addRowsText } from '../../src/wgsl/rows-text.js';
import { addSortText } from '../../src/wgsl/sort-text.js';
import { sources } from '../../src/wgsl/sources.js';
import { strip } from '../../src/wgsl/strip.js';

addQuantizeText();
addBestText();
addGluText();
addRowsText();
addSortText();
addLlmText();
const stripped = Object.fromEntries(Object.entries(sources).map(([file, text]) => [file, strip(text)]));
const code = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

test('comments go, lines and columns stay', () => {
  expect(strip('// a\n  let a = b / c; // d\n\n#include "lib/x.wgsl" // e\n')).toBe('\n  let a = b / c;\n\n#include "lib/x.wgsl"\n');
});

test.each(Object.keys(sources))('%s: only comments to the end of a line, and as many lines as before', (file) => {
  expect(sources[file]).not.toMatch(/\/\*|\*\//);
  expect(stripped[file]!.split('\n')).toHaveLength(sources[file]!.split('\n').length);
  expect(stripped[file]).not.toContain('//');
  expect(strip(stripped[file]!)).toBe(stripped[file]);
});

test('every shader gives the same code from the same places', () => {
  const all = allVariants();
  for (const name of shaders.keys()) {
    const own = all.filter(({ shader }) => shader.name === name);
    const some = own.filter((_, i) => i % Math.ceil(own.length / 8) === 0);
    for (const { params } of some) compare(name, params);
  }
}, 60_000);

function compare(name: string, params: Params): void {
  const readable = preprocess(sources, `${name}.wgsl`, params);
  const short = preprocess(stripped, `${name}.wgsl`, params);
  expect(code(short.code)).toEqual(code(strip(readable.code)));
  const places = (text: typeof short) => text.places.filter((_, i) => strip(text.code.split('\n')[i]!).trim() !== '');
  expect(places(short)).toEqual(places(readable));
}
