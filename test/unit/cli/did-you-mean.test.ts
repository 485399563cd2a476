// Names that somebody meant: commands, options, and layers by a pattern.
import { expect, test } from 'vitest';
import { edits, meant, meantBy } from '../../../cli/did-you-mean.js';

test.each([
  ['', '', 0],
  ['abc', 'abc', 0],
  ['abc', 'abd', 1],
  ['abc', 'ab', 1],
  ['abc', 'xabc', 1],
  ['abc', 'acb', 1],
  ['kitten', 'sitting', 3],
  ['', 'abc', 3],
])('%s → %s: %i edits', (a, b, count) => {
  expect(edits(a, b)).toBe(count);
  expect(edits(b, a)).toBe(count);
});

test('to a part of a text', () => {
  expect(edits('atn', 'layers.0.attn.q', true)).toBe(1);
  expect(edits('attn', 'layers.0.attn.q', true)).toBe(0);
  expect(edits('zz', 'layers', true)).toBe(2);
});

test('a third of the letters may be wrong', () => {
  expect(meant('verfy', ['inspect', 'verify'])).toBe('verify');
  expect(meant('VERIFY', ['verify'])).toBe('verify');
  expect(meant('ve', ['verify'])).toBeUndefined();
  expect(meant('constructor', ['inspect'])).toBeUndefined();
});

test('by a pattern that matches none', () => {
  const names = ['model.layers.0.mlp.up_proj', 'model.layers.0.self_attn.q_proj'];
  expect(meantBy(/layers\.0\.self_atn/, names)).toBe(names[1]);
  expect(meantBy(/^blk\.7\.ffn$/, names)).toBeUndefined();
  expect(meantBy(/^\d+$/, names)).toBeUndefined();
});
