// Ids against three implementations: llama.cpp (test/fixtures/llm/tokenizers.json, by scripts/goldens/tokenizers.mjs), gpt-3-encoder and
// llama-tokenizer-js. What is decoded is what was encoded.
import fc from 'fast-check';
import { encode as encodeGpt2 } from 'gpt-3-encoder';
import { LlamaTokenizer } from 'llama-tokenizer-js';
import { describe, expect, test } from 'vitest';
import { byteSource, openGguf } from '../../../src/formats.js';
import { makeTokenizer, type Tokenizer } from '../../../src/text/tokenizer.js';
import { ADDED, ggufOf, goldens, gpt2, llama2, type Metadata, tied } from '../../support/vocabularies.js';

const { texts, letters, specialTexts } = goldens;
const rows = (given: readonly string[], ids: readonly (readonly number[])[]) => given.map((text, i) => ({ text, ids: ids[i]! }));
const encoded = (tokenizer: Tokenizer, given: readonly string[], special = false) =>
  rows(
    given,
    given.map((text) => tokenizer.encode(text, { special, addBos: false })),
  );

/** One of each kind, for the tests that need no other. */
const gpt2Tokenizer = await makeTokenizer(gpt2());
const llama2Tokenizer = await makeTokenizer(await llama2(ADDED));
const both = [
  ['gpt2', gpt2Tokenizer],
  ['llama2', llama2Tokenizer],
] as const;

test('there are 200 texts and more, of many scripts', () => {
  expect(new Set(texts).size).toBeGreaterThanOrEqual(200);
  for (const script of ['Latin', 'Cyrillic', 'Han', 'Hiragana', 'Hangul', 'Arabic', 'Devanagari'])
    expect(texts.some((text) => new RegExp(`\\p{Script=${script}}`, 'u').test(text))).toBe(true);
});

describe('ids of llama.cpp', () => {
  test('gpt2', () => expect(encoded(gpt2Tokenizer, texts)).toEqual(rows(texts, goldens.gpt2)));

  /**
   * In the pattern of o200k and Tekken a combining mark belongs to the word: `[\p{Lu}…\p{M}]`. llama.cpp approximates it without marks, so that
   * the mark, the quote and the s after it fall apart. Here `ing` with its mark is a word, and `'s` another (tekken) or its end (gpt-4o).
   */
  const MARKED = "theaaing$!?.한ing\u0301's.";
  const OWN: Readonly<Record<string, readonly string[]>> = { 'gpt-4o': ["ing\u0301's"], tekken: ['ing\u0301', "'s"] };
  test.each(Object.keys(goldens.pres))('tokenizer.ggml.pre = %s', async (pre) => {
    const tokenizer = await makeTokenizer({ ...gpt2(pre), 'tokenizer.ggml.add_bos_token': false });
    const wanted = rows(
      texts,
      texts.map((_, i) => goldens.pres[pre]![i] ?? goldens.gpt2[i]!),
    );
    for (const row of wanted)
      if (row.text === MARKED && OWN[pre])
        row.ids = ['the', 'aaing', '$!?.', '한', ...OWN[pre], '.'].flatMap((word) => tokenizer.encode(word));
    expect(encoded(tokenizer, texts)).toEqual(wanted);
    expect(texts.map((text) => tokenizer.decode(tokenizer.encode(text)))).toEqual(texts);
  });

  test('llama2', async () => {
    const tokenizer = await makeTokenizer(await llama2());
    expect(encoded(tokenizer, texts)).toEqual(rows(texts, goldens.llama2));
  });

  test.each(goldens.ties)('tokens with equal scores, the leftmost pair first: $seed', async ({ seed, ids }) => {
    const tokenizer = await makeTokenizer(tied(seed));
    expect(encoded(tokenizer, letters)).toEqual(rows(letters, ids));
    expect(letters.map((text) => tokenizer.decode(tokenizer.encode(text)))).toEqual(letters);
  });

  const changes: Readonly<Record<string, Metadata>> = {
    gpt2: gpt2(),
    llama2: {},
    'llama2 without a space': { 'tokenizer.ggml.add_space_prefix': false },
    'phi-3': { 'general.name': 'Phi-3 mini' },
  };
  test.each(Object.keys(goldens.special))('special tokens: %s', async (name) => {
    const tokenizer = await makeTokenizer(name === 'gpt2' ? gpt2() : { ...(await llama2(ADDED)), ...changes[name] });
    expect(encoded(tokenizer, specialTexts)).toEqual(rows(specialTexts, goldens.special[name]!.plain));
    expect(encoded(tokenizer, specialTexts, true)).toEqual(rows(specialTexts, goldens.special[name]!.special));
  });
});

describe('ids of other packages', () => {
  test('gpt-3-encoder', () => {
    // Its \s is JavaScript's, with U+FEFF and without U+0085.
    const same = texts.filter((text) => !/[\ufeff\u0085]/.test(text));
    expect(same.length).toBeGreaterThan(280);
    expect(encoded(gpt2Tokenizer, same)).toEqual(rows(same, same.map(encodeGpt2)));
  });

  test('llama-tokenizer-js', () => {
    const other = new LlamaTokenizer();
    expect(texts.map((text) => llama2Tokenizer.encode(text))).toEqual(texts.map((text) => (text === '' ? [1] : other.encode(text))));
  });
});

describe('round trips', () => {
  test.each(both)('%s: all texts, with and without special tokens', (_, tokenizer) => {
    for (const special of [false, true])
      for (const text of [...texts, ...letters, ...specialTexts])
        expect(tokenizer.decode(tokenizer.encode(text, { special }), { special })).toBe(special ? withBos(tokenizer, text) : text);
  });
  /** What is decoded of a text whose special tokens count, shown: it begins with BOS if the file says so. */
  const withBos = (tokenizer: Tokenizer, text: string): string => {
    const bos = tokenizer === llama2Tokenizer ? '<s>' : '';
    return text.startsWith(bos) ? text : bos + text;
  };

  test.each(both)('%s: any text', (_, tokenizer) => {
    const anything = fc.string({ unit: 'binary', maxLength: 60 }).filter((text) => !text.includes('\u2581'));
    fc.assert(
      fc.property(anything, (text) => tokenizer.decode(tokenizer.encode(text)) === text),
      { numRuns: 500 },
    );
  });

  test.each(both)('%s: half a character becomes U+FFFD', (_, tokenizer) =>
    expect(tokenizer.decode(tokenizer.encode('a\ud83d b\ude42'))).toBe('a\ufffd b\ufffd'),
  );

  test.each(both)('%s: a long text', (_, tokenizer) => {
    const text = texts.join('').repeat(20) + 'a'.repeat(5000);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test('SentencePiece writes ▁ and a space alike', () => expect(llama2Tokenizer.decode(llama2Tokenizer.encode('a▁b'))).toBe('a b'));
});

describe('BOS, EOS and special tokens', () => {
  const ids = (options: object, text = 'a', tokenizer = llama2Tokenizer) => tokenizer.encode(text, options);
  test('BOS as the file says, or as asked for', () => {
    expect(ids({})).toEqual([1, 263]);
    expect(ids({ addBos: false })).toEqual([263]);
    expect(ids({}, '')).toEqual([1]);
    expect(ids({ addBos: false }, '')).toEqual([]);
    expect(ids({ addBos: true }, 'a', gpt2Tokenizer)).toEqual([50256, 64]);
    expect(ids({}, 'a', gpt2Tokenizer)).toEqual([64]);
  });
  test('a text that begins with BOS gets no second one', () => {
    expect(ids({ special: true }, '<s>a')).toEqual([1, 263]);
    expect(ids({ special: false }, '<s>a').filter((id) => id === 1)).toEqual([1]);
  });
  test('EOS', async () => {
    expect(ids({ addEos: true })).toEqual([1, 263, 2]);
    const adds = await makeTokenizer({ ...(await llama2()), 'tokenizer.ggml.add_eos_token': true });
    expect(adds.encode('a')).toEqual([1, 263, 2]);
    expect(adds.encode('a', { addEos: false })).toEqual([1, 263]);
  });
  test('plain text never becomes a control token', () => {
    const control = new Set([0, 1, 2, 32000, 32001, 32002, 32003]);
    for (const text of specialTexts) expect(ids({ addBos: false }, text).filter((id) => control.has(id))).toEqual([]);
    for (const text of specialTexts) expect(gpt2Tokenizer.encode(text)).not.toContain(50256);
  });
  test('nor where a merge makes one', async () => {
    const given = gpt2();
    const types = [...(given['tokenizer.ggml.token_type'] as number[])];
    types[gpt2Tokenizer.encode(' the')[0]!] = 3;
    const tokenizer = await makeTokenizer({ ...given, 'tokenizer.ggml.token_type': types });
    expect(tokenizer.encode(' the', { special: false }).length).toBeGreaterThan(1);
    expect(tokenizer.decode(tokenizer.encode(' the'))).toBe(' the');
  });
  test('control tokens are shown only where asked for', () => {
    expect(llama2Tokenizer.decode([1, 32000, 22172, 2])).toBe('hello');
    expect(llama2Tokenizer.decode([1, 32000, 22172, 2], { special: true })).toBe('<s><|user|>hello</s>');
  });
  test('names for templates', () => {
    expect(llama2Tokenizer.names).toEqual({ bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' });
    expect(gpt2Tokenizer.names).toEqual({ bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' });
  });
  test('size, bos and stops', () => {
    expect([gpt2Tokenizer.size, gpt2Tokenizer.bos, [...gpt2Tokenizer.stops]]).toEqual([50257, 50256, [50256]]);
    expect([llama2Tokenizer.size, llama2Tokenizer.bos]).toEqual([32006, 1]);
    // </s> by its key, <|end|> and <|endoftext|> by their texts.
    expect([...llama2Tokenizer.stops]).toEqual([2, 32002, 32003]);
  });
});

test('wrong arguments', () => {
  expect(() => gpt2Tokenizer.encode(5 as never)).toThrow('text: expected a string, got 5');
  expect(() => gpt2Tokenizer.encode('a', { bos: true } as never)).toThrow(
    'bos: expected special or addBos or addEos, got an unknown option',
  );
  expect(() => gpt2Tokenizer.decode([50257])).toThrow('id: expected an id below 50257, got 50257');
  expect(() => gpt2Tokenizer.decode([-1])).toThrow('id: expected an id below 50257, got -1');
  expect(() => gpt2Tokenizer.decode([1.5])).toThrow('id: expected an id below 50257, got 1.5');
});

test.each([
  ['gpt2', gpt2()],
  ['llama2', await llama2(ADDED)],
])('from the bytes of a file, whose long arrays stay there until they are read: %s', async (name, metadata) => {
  const file = await openGguf(await byteSource(new Blob([ggufOf(metadata)])));
  expect(Array.isArray(file.metadata['tokenizer.ggml.tokens'])).toBe(false);
  const tokenizer = await makeTokenizer(file.metadata);
  const wanted = name === 'gpt2' ? gpt2Tokenizer : llama2Tokenizer;
  for (const text of texts) expect(tokenizer.encode(text)).toEqual(wanted.encode(text));
});
