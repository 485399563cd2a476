// Tokenizers of Hugging Face folders: the same vocabularies as tokenizer.json give the same ids, and files that contradict themselves are refused.
import fc from 'fast-check';
import { LlamaTokenizer } from 'llama-tokenizer-js';
import { describe, expect, test } from 'vitest';
import { FormatError, UnsupportedError } from '../../../src/errors.js';
import { makeTokenizer } from '../../../src/text/tokenizer.js';
import { makeJsonTokenizer } from '../../../src/text/tokenizer-json.js';
import { endsWell } from '../../support/expect-errors.js';
import { ADDED, goldens, gpt2, llama2 } from '../../support/vocabularies.js';

type Json = Readonly<Record<string, unknown>>;
const idsByText = (tokens: readonly string[]): Json => Object.fromEntries(tokens.map((token, id) => [token, id]));
const token = (id: number, content: string, special = true) => ({
  id,
  content,
  special,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
});

/** GPT-2's tokenizer.json. */
const gpt2Json = (() => {
  const given = gpt2();
  return {
    added_tokens: [token(50256, '<|endoftext|>')],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
    post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
    model: { type: 'BPE', vocab: idsByText(given['tokenizer.ggml.tokens'] as string[]), merges: given['tokenizer.ggml.merges'] },
  };
})();

/** Llama 2's tokenizer.json, whose merges are llama-tokenizer-js's, with the tokens of ADDED. */
const llama2Json = await (async () => {
  const tokens = (await llama2(ADDED))['tokenizer.ggml.tokens'] as string[];
  const bos = { id: '<s>', ids: [1], tokens: ['<s>'] };
  return {
    added_tokens: [
      token(0, '<unk>'),
      token(1, '<s>'),
      token(2, '</s>'),
      ...ADDED.map(([text, type], i) => token(32000 + i, text, type === 3)),
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': bos },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: idsByText(tokens),
      merges: [...new LlamaTokenizer().merges.keys()],
    },
  };
})();
const llama2Config = { bos_token: { content: '<s>' }, eos_token: { content: '</s>' }, unk_token: '<unk>', legacy: true };

describe('ids are those of the GGUF file', () => {
  test('gpt2', async () => {
    const tokenizer = await makeJsonTokenizer({ tokenizer: gpt2Json, config: { bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' } });
    // Its own pattern has JavaScript's \s.
    const texts = [...goldens.texts, ...goldens.specialTexts].filter((text) => !/[\ufeff\u0085]/.test(text));
    const other = await makeTokenizer(gpt2());
    for (const text of texts)
      for (const special of [false, true]) expect(tokenizer.encode(text, { special })).toEqual(other.encode(text, { special }));
    for (const text of goldens.texts) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect([tokenizer.size, tokenizer.bos, [...tokenizer.stops], tokenizer.encode('a')]).toEqual([50257, 50256, [50256], [64]]);
  });

  test('llama2', async () => {
    const tokenizer = await makeJsonTokenizer({ tokenizer: llama2Json, config: llama2Config });
    const other = await makeTokenizer(await llama2(ADDED));
    for (const text of [...goldens.texts, ...goldens.specialTexts])
      for (const special of [false, true]) {
        const ids = tokenizer.encode(text, { special });
        expect({ text, ids }).toEqual({ text, ids: other.encode(text, { special }) });
        expect(tokenizer.decode(ids, { special })).toBe(other.decode(ids, { special }));
      }
    for (const text of goldens.texts) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer.names).toEqual({ bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' });
    expect([tokenizer.encode('a', { addBos: false }), tokenizer.encode('a', { addEos: true })]).toEqual([[263], [1, 263, 2]]);
  });
});

test('ids that end an answer come from all three files', async () => {
  const generation = { eos_token_id: [32000, 2] };
  const tokenizer = await makeJsonTokenizer({ tokenizer: llama2Json, config: llama2Config, generation });
  expect([...tokenizer.stops].sort((a, b) => a - b)).toEqual([2, 32000, 32002, 32003]);
  const one = await makeJsonTokenizer({ tokenizer: llama2Json, generation: { eos_token_id: 7 } });
  expect([...one.stops].sort((a, b) => a - b)).toEqual([7, 32002, 32003]);
  expect([one.bos, one.encode('a')]).toEqual([undefined, [263]]);
});

test('BOS and EOS as tokenizer_config.json says', async () => {
  const ids = async (more: Json) => (await makeJsonTokenizer({ tokenizer: llama2Json, config: { ...llama2Config, ...more } })).encode('a');
  expect(await ids({ add_bos_token: false })).toEqual([263]);
  expect(await ids({ add_bos_token: true, add_eos_token: true })).toEqual([1, 263, 2]);
});

test('ids that no token has are no text', async () => {
  const tokenizer = await makeJsonTokenizer({ tokenizer: { ...gpt2Json, added_tokens: [token(50300, '<|last|>')] } });
  expect(tokenizer.size).toBe(50301);
  expect(tokenizer.decode([64, 50299, 65])).toBe('ab');
});

test('Metaspace writes spaces as SentencePiece does', async () => {
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false };
  const tokenizer = await makeJsonTokenizer({
    tokenizer: { ...llama2Json, normalizer: null, pre_tokenizer: metaspace, decoder: metaspace },
  });
  expect(tokenizer.decode(tokenizer.encode('Hello  world é 🙂'))).toBe('Hello  world é 🙂');
});

const model = gpt2Json.model;
test.each([
  ['a file that is no object', 5, {}, {}, 'model', 'expected an object, got 5'],
  ['no model', {}, {}, {}, 'model', 'expected an object, got nothing'],
  ['no vocabulary', { ...gpt2Json, model: { type: 'BPE' } }, {}, {}, 'model.vocab', 'expected tokens, got nothing'],
  [
    'an id that is none',
    { ...gpt2Json, model: { ...model, vocab: { a: 'b' } } },
    {},
    {},
    'model.vocab',
    'expected texts with ids below 4, got ["a", "b"]',
  ],
  [
    'an id far away',
    { ...gpt2Json, model: { ...model, vocab: { a: 1e9 } } },
    {},
    {},
    'model.vocab',
    'expected texts with ids below 4, got ["a", 1000000000]',
  ],
  ['added tokens that are none', { ...gpt2Json, added_tokens: [{ id: 'x' }] }, {}, {}, 'added_tokens[0]', 'expected an id and a content'],
  ['no array of added tokens', { ...gpt2Json, added_tokens: 5 }, {}, {}, 'added_tokens', 'expected an array, got 5'],
  [
    'a step that is unknown',
    { ...gpt2Json, pre_tokenizer: { type: 'Klingon' } },
    {},
    {},
    'model',
    'expected a tokenizer that @huggingface/tokenizers reads, got "Error: Unknown PreTokenizer type: Klingon"',
  ],
  ['a BOS that is no token', gpt2Json, { bos_token: '<none>' }, {}, 'bos_token', 'expected a token of the vocabulary, got "<none>"'],
  ['an EOS past the end', gpt2Json, {}, { eos_token_id: [50257] }, 'eos_token_id', 'expected an id below 50257, got 50257'],
])('%s', async (_, tokenizer, config, generation, field, message) => {
  const error = await makeJsonTokenizer({ tokenizer: tokenizer as Json, config, generation }, { file: 'x' }).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(FormatError);
  expect((error as FormatError).field).toBe(field);
  expect((error as FormatError).message).toContain(`x: ${field}: ${message}`);
});

test('any change of a small file ends in a typed error, or in a tokenizer', async () => {
  const small: Json = {
    added_tokens: [{ id: 3, content: '<|x|>', special: true }],
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
    post_processor: { type: 'ByteLevel' },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] },
  };
  const parts = [...Object.values(small), { type: 'Sequence', decoders: [5] }, { type: 'Replace', pattern: { Regex: '(' }, content: 5 }];
  const value = fc.oneof(fc.constantFrom<unknown>(...parts), fc.jsonValue());
  const within = fc.dictionary(
    fc.constantFrom('type', 'vocab', 'merges', 'unk_token', 'decoders', 'pretokenizers', 'pattern', 'single'),
    value,
  );
  const change = fc.dictionary(fc.constantFrom(...Object.keys(small)), fc.oneof(value, within), { minKeys: 1, maxKeys: 2 });
  let made = 0;
  const use = async (tokenizer: Json): Promise<void> => {
    const { encode, decode } = await makeJsonTokenizer({ tokenizer });
    made++;
    decode(encode('ab <|x|> é'));
  };
  const changed = (changes: Json, inside: boolean) =>
    inside ? { ...small, model: { ...(small.model as Json), ...changes } } : { ...small, ...changes };
  const property = fc.asyncProperty(change, fc.boolean(), (changes, inside) => endsWell(() => use(changed(changes, inside))));
  await fc.assert(property, { numRuns: 3000 });
  expect(made).toBeGreaterThan(50);
});

test('a decoder that is neither is refused by name', async () => {
  const error = await makeJsonTokenizer({ tokenizer: { ...gpt2Json, decoder: { type: 'WordPiece' } } }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UnsupportedError);
  expect((error as Error).message).toContain('tokenizer.json decodes by "WordPiece"');
});
