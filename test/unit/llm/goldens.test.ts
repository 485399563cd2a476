// Ids are llama.cpp's.
import { expect, test } from 'vitest';
import { makeTokenizer } from '../../../src/llm/tokenizer.js';
import { ADDED, goldens, gpt2, llama2, tied } from '../../support/vocabularies.js';

const { texts, pres, letters, specialTexts } = goldens;
const rows = (given: readonly string[], ids: readonly (readonly number[])[]) => given.map((text, i) => ({ text, ids: ids[i] }));

test('gpt2', async () => {
  const t = await makeTokenizer(gpt2());
  expect(texts.map((text) => ({ text, ids: t.encode(text) }))).toEqual(rows(texts, goldens.gpt2));
});
test.each(Object.keys(pres))('%s', async (pre) => {
  const t = await makeTokenizer(gpt2(pre));
  expect(texts.map((text) => ({ text, ids: t.encode(text) }))).toEqual(
    rows(
      texts,
      goldens.gpt2.map((ids, i) => pres[pre]![i] ?? ids),
    ),
  );
});
test('llama2', async () => {
  const t = await makeTokenizer(await llama2());
  expect(texts.map((text) => ({ text, ids: t.encode(text, { addBos: false }) }))).toEqual(rows(texts, goldens.llama2));
});
test.each(goldens.ties)('ties $seed', async ({ seed, ids }) => {
  const t = await makeTokenizer(tied(seed));
  expect(letters.map((text) => ({ text, ids: t.encode(text, { addBos: false }) }))).toEqual(rows(letters, ids));
});
test.each(Object.keys(goldens.special))('special %s', async (name) => {
  const more = await llama2(ADDED);
  const m =
    name === 'gpt2'
      ? gpt2()
      : name === 'llama2'
        ? more
        : name === 'phi-3'
          ? { ...more, 'general.name': 'Phi-3 mini' }
          : { ...more, 'tokenizer.ggml.add_space_prefix': false };
  const t = await makeTokenizer(m);
  expect(specialTexts.map((text) => ({ text, ids: t.encode(text, { addBos: false }) }))).toEqual(
    rows(specialTexts, goldens.special[name]!.plain),
  );
  expect(specialTexts.map((text) => ({ text, ids: t.encode(text, { addBos: false, special: true }) }))).toEqual(
    rows(specialTexts, goldens.special[name]!.special),
  );
});
