// Vocabularies that contradict themselves, ids that end an answer, and a package that is not there.
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { FormatError, UnsupportedError } from '../../../src/errors.js';
import { makeTokenizer } from '../../../src/text/tokenizer.js';
import { makeJsonTokenizer } from '../../../src/text/tokenizer-json.js';
import { endsWell } from '../../support/expect-errors.js';
import { gpt2, llama2, type Metadata } from '../../support/vocabularies.js';

const bytes = gpt2();
const spaces = await llama2();
const at = (name: string): string => `tokenizer.ggml.${name}`;
const arrayOf = <T>(of: Metadata, name: string): T[] => [...(of[at(name)] as T[])];
const SMALL = { model: { type: 'BPE', vocab: { a: 0 }, merges: [] }, decoder: { type: 'ByteLevel' } };
/** An array of the vocabulary with one element changed. */
const changed = (of: Metadata, name: string, index: number, value: unknown) => ({
  [at(name)]: Object.assign(arrayOf(of, name), { [index]: value }),
});
const without = (of: Metadata, name: string): Metadata => Object.fromEntries(Object.entries(of).filter(([key]) => key !== at(name)));

const WRONG: readonly (readonly [what: string, metadata: Metadata, field: string, message: string])[] = [
  ['no model', without(bytes, 'model'), 'model', 'expected the name of a tokenizer, got nothing'],
  ['no tokens', without(bytes, 'tokens'), 'tokens', 'expected the texts of tokens, got nothing'],
  ['tokens that are no array', { ...bytes, [at('tokens')]: 5 }, 'tokens', 'expected an array, got 5'],
  ['empty tokens', { ...bytes, [at('tokens')]: [] }, 'tokens', 'expected the texts of tokens, got []'],
  ['a token that is no text', { ...bytes, ...changed(bytes, 'tokens', 7, 7) }, 'tokens[7]', 'expected a string, got 7'],
  ['a token twice', { ...bytes, ...changed(bytes, 'tokens', 7, '!') }, 'tokens[7]', 'expected each token once, got "!" again'],
  ['no merges', without(bytes, 'merges'), 'merges', 'expected pairs of tokens, got nothing'],
  ['a merge of one', { ...bytes, ...changed(bytes, 'merges', 2, 'abc') }, 'merges[2]', 'expected two tokens with a space between, got abc'],
  [
    'a merge with an empty half',
    { ...bytes, ...changed(bytes, 'merges', 2, 'a ') },
    'merges[2]',
    'expected two tokens with a space between',
  ],
  [
    'a merge that makes no token',
    { ...bytes, ...changed(bytes, 'merges', 2, 'q zz') },
    'merges[2]',
    'expected two tokens that make a token, got q zz',
  ],
  ['a merge that is no text', { ...bytes, ...changed(bytes, 'merges', 2, 2) }, 'merges[2]', 'expected a string, got 2'],
  ['too few types', { ...bytes, [at('token_type')]: [1, 1] }, 'token_type', 'expected 50257 elements, one for each token, got 2'],
  [
    'too many types',
    { ...bytes, [at('token_type')]: [...arrayOf(bytes, 'token_type'), 1] },
    'token_type',
    'expected 50257 elements, one for each token, got 50258',
  ],
  ['an unknown type', { ...bytes, ...changed(bytes, 'token_type', 3, 9) }, 'token_type[3]', 'expected a type of tokens, 0 to 6, got 9'],
  ['no scores', without(spaces, 'scores'), 'scores', 'expected a score for each token, got nothing'],
  ['too few scores', { ...spaces, [at('scores')]: [0] }, 'scores', 'expected 32000 elements, one for each token, got 1'],
  ['a score that is no number', { ...spaces, ...changed(spaces, 'scores', 400, Number.NaN) }, 'scores[400]', 'expected a number, got NaN'],
  ['a byte that is none', { ...spaces, ...changed(spaces, 'token_type', 300, 6) }, 'tokens[300]', 'expected a byte, <0x00> to <0xFF>'],
  ['BOS past the end', { ...bytes, [at('bos_token_id')]: 50257 }, 'bos_token_id', 'expected an id below 50257, got 50257'],
  ['EOS past the end', { ...spaces, [at('eos_token_id')]: 32000 }, 'eos_token_id', 'expected an id below 32000, got 32000'],
  ['EOS below 0', { ...spaces, [at('eos_token_id')]: -1 }, 'eos_token_id', 'expected an id below 32000, got -1'],
  ['an EOT that is no number', { ...spaces, [at('eot_token_id')]: '2' }, 'eot_token_id', 'expected an id below 32000, got 2'],
  ['EOM past the end', { ...spaces, [at('eom_token_id')]: 2 ** 32 - 1 }, 'eom_token_id', 'expected an id below 32000'],
  [
    'BOS to be added, and none',
    { ...without(bytes, 'bos_token_id'), [at('add_bos_token')]: true },
    'bos_token_id',
    'expected an id, since add_bos_token is true',
  ],
  [
    'EOS to be added, and none',
    { ...without(bytes, 'eos_token_id'), [at('add_eos_token')]: true },
    'eos_token_id',
    'expected an id, since add_eos_token is true',
  ],
  ['add_bos_token that is no flag', { ...bytes, [at('add_bos_token')]: 1 }, 'add_bos_token', 'expected true or false, got 1'],
  ['add_space_prefix that is no flag', { ...spaces, [at('add_space_prefix')]: 'no' }, 'add_space_prefix', 'expected true or false, got no'],
];

test.each(WRONG)('%s', async (_, metadata, field, message) => {
  const error = await makeTokenizer(metadata, { file: 'x.gguf' }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(FormatError);
  expect((error as FormatError).field).toBe(at(field));
  expect((error as FormatError).message).toContain(`x.gguf: ${at(field)}: ${message}`);
});

test.each([
  [
    'a tokenizer of another kind',
    { ...bytes, [at('model')]: 'bert' },
    'tokenizer: tokenizer.ggml.model is "bert", and gpt2 and llama are known',
  ],
  ['an unknown way of splitting', gpt2('klingon'), 'tokenizer: tokenizer.ggml.pre is "klingon", whose way of splitting text is not known'],
  ['a way that is no text', { ...bytes, [at('pre')]: 5 }, 'tokenizer: tokenizer.ggml.pre is 5, whose way of splitting text is not known'],
])('%s is refused by name', async (_, metadata, message) => {
  const error = await makeTokenizer(metadata).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UnsupportedError);
  expect((error as Error).message).toBe(message);
});

test('of a merge that is there twice, the first counts', async () => {
  const [first, second] = arrayOf<string>(bytes, 'merges');
  const twice = { ...bytes, [at('merges')]: [...arrayOf<string>(bytes, 'merges'), first, second] };
  expect((await makeTokenizer(twice)).encode(' the then there')).toEqual((await makeTokenizer(bytes)).encode(' the then there'));
});

test('without a way of splitting, text is split in the old way', async () => {
  const [old, named] = [await makeTokenizer(without(bytes, 'pre')), await makeTokenizer(gpt2('default'))];
  expect(old.encode('a1234.. b')).toEqual(named.encode('a1234.. b'));
});

test('any change of a small vocabulary ends in a typed error, or in a tokenizer', async () => {
  const letters = ['a', 'b', 'ab', '\u0120', '<|x|>', '<0x61>', '', '__proto__'];
  const small: Metadata = {
    [at('model')]: 'gpt2',
    [at('pre')]: 'gpt-2',
    [at('tokens')]: letters,
    [at('merges')]: ['a b'],
    [at('token_type')]: [1, 1, 1, 1, 3, 6, 5, 1],
    [at('scores')]: letters.map((_, i) => -i),
    [at('bos_token_id')]: 4,
  };
  const value = fc.oneof(
    fc.constantFrom<unknown>('gpt2', 'llama', 'default', null, Number.NaN, -1, 3, 8, 2 ** 32, 2n ** 60n, true, 'a b', 'ab', ''),
    fc.array(fc.constantFrom<unknown>('a', 'b', 'ab', 'a b', '', ' ', 0, 3, 6, 0.5, true, null), { maxLength: 9 }),
    fc.jsonValue(),
  );
  const names = [
    ...Object.keys(small),
    at('add_bos_token'),
    at('eos_token_id'),
    at('eom_token_id'),
    at('add_space_prefix'),
    'general.name',
  ];
  const change = fc.dictionary(fc.constantFrom(...names), value, { minKeys: 1, maxKeys: 3 });
  let made = 0;
  const use = async (changes: Metadata): Promise<void> => {
    const tokenizer = await makeTokenizer({ ...small, ...changes });
    made++;
    for (const text of ['ab ba', '<|x|>', 'é', '']) {
      const ids = tokenizer.encode(text);
      expect(ids.filter((id) => !(Number.isInteger(id) && id >= 0 && id < tokenizer.size))).toEqual([]);
      tokenizer.decode(ids);
    }
  };
  await fc.assert(
    fc.asyncProperty(change, (changes) => endsWell(() => use(changes))),
    { numRuns: 3000 },
  );
  expect(made).toBeGreaterThan(50);
});

describe('bytes without a token', () => {
  test('gpt2: text that needs them is refused, other text is not', async () => {
    const tokens = arrayOf<string>(bytes, 'tokens');
    const at0 = tokens.indexOf('\u0100'); // the byte 0
    const tokenizer = await makeTokenizer({ ...bytes, ...changed(bytes, 'tokens', at0, 'none such') }, { file: 'x.gguf' });
    expect(tokenizer.encode('abc')).toEqual([39305]);
    expect(() => tokenizer.encode('a\0c')).toThrow(FormatError);
    expect(() => tokenizer.encode('a\0c')).toThrow(
      'x.gguf: tokenizer.ggml.tokens: expected tokens for every byte, got none for some of "a\\u0000c"',
    );
  });
  test('llama: they become the unknown token', async () => {
    const tokenizer = await makeTokenizer({
      ...spaces,
      ...changed(spaces, 'tokens', 3 + 0xf0, 'none such'),
      ...changed(spaces, 'token_type', 3 + 0xf0, 1),
    });
    expect(tokenizer.encode('🙂')).toEqual([1, 29871, 0]);
    expect(tokenizer.decode(tokenizer.encode('a🙂'))).toBe('a');
  });
});

describe('ids that end an answer', () => {
  const stops = async (texts: readonly string[], more: Metadata = {}, type = 3): Promise<string[]> => {
    const tokens = [...arrayOf<string>(bytes, 'tokens'), ...texts];
    const types = [...arrayOf<number>(bytes, 'token_type'), ...texts.map(() => type)];
    const tokenizer = await makeTokenizer({ ...bytes, [at('tokens')]: tokens, [at('token_type')]: types, ...more });
    return [...tokenizer.stops].map((id) => tokens[id]!).sort();
  };
  test('by the keys eos, eot and eom', async () => {
    const keys = { [at('eos_token_id')]: 50257, [at('eot_token_id')]: 50258, [at('eom_token_id')]: 50259 };
    expect(await stops(['ONE!', 'TWO!', 'THREE!', 'FOUR!'], keys)).toEqual(['<|endoftext|>', 'ONE!', 'THREE!', 'TWO!']);
  });
  test('by text, where they are control tokens', async () => {
    expect(await stops(['<|im_start|>', '<|im_end|>'])).toEqual(['<|endoftext|>', '<|im_end|>']);
    expect(await stops(['<|im_start|>', '<|im_end|>'], {}, 1)).toEqual(['<|endoftext|>']);
    expect(await stops(['<|end|>', '<|eot_id|>', '<|eom_id|>'])).toEqual(['<|endoftext|>', '<|end|>', '<|eom_id|>', '<|eot_id|>']);
  });
  test('<|end|> of the harmony format ends a message only', async () => {
    expect(await stops(['<|end|>', '<|return|>', '<|call|>'])).toEqual(['<|call|>', '<|endoftext|>', '<|return|>']);
  });
  test('they are no text, whatever their type is', async () => {
    const tokenizer = await makeTokenizer(without(bytes, 'token_type'));
    expect(tokenizer.decode([64, 50256])).toBe('a');
    expect(tokenizer.encode('<|endoftext|>', { special: true })).toEqual([50256]);
    expect(tokenizer.encode('<|endoftext|>')).not.toContain(50256);
  });
  test('SentencePiece has ids that files may leave out', async () => {
    const bare = ['bos', 'eos', 'unknown'].reduce((of, name) => without(of, `${name}_token_id`), spaces);
    const tokenizer = await makeTokenizer(without(bare, 'add_bos_token'));
    expect([tokenizer.bos, [...tokenizer.stops], tokenizer.encode('a')]).toEqual([1, [2], [1, 263]]);
  });
});

describe('tokens with names of objects', () => {
  test('are tokens', async () => {
    const names = ['__proto__', 'constructor', '1', 'toString'];
    const tokens = ['<unk>', '<s>', '</s>', '\u2581', ...names, ...'_protcnsu1SigRe'].filter((token, i, all) => all.indexOf(token) === i);
    const tokenizer = await makeTokenizer({
      [at('model')]: 'llama',
      [at('tokens')]: tokens,
      [at('scores')]: tokens.map((_, i) => -i),
      [at('token_type')]: tokens.map((_, i) => (i === 0 ? 2 : i < 3 ? 3 : 1)),
      [at('add_space_prefix')]: false,
      [at('add_bos_token')]: false,
    });
    expect(tokenizer.encode('1')).toEqual([tokens.indexOf('1')]);
    expect(tokenizer.decode(tokenizer.encode('__proto__'))).toBe('__proto__');
  });
});

describe('without @huggingface/tokenizers', () => {
  const PACKAGE = '@huggingface/tokenizers';
  afterEach(() => {
    vi.restoreAllMocks();
    vi.doUnmock(PACKAGE);
    vi.resetModules();
  });
  const thrown = (made: Promise<unknown>): Promise<UnsupportedError> =>
    made.then(
      () => expect.fail('no error'),
      (error) => error,
    );

  test('an error says which package to install', async () => {
    vi.doMock(PACKAGE, () => {
      throw new Error('not installed');
    });
    for (const made of [() => makeTokenizer(bytes), () => makeTokenizer(spaces), () => makeJsonTokenizer({ tokenizer: SMALL })]) {
      const error = await thrown(made());
      expect(error).toBeInstanceOf(UnsupportedError);
      expect(error.reasons[0]).toBe('it cannot be imported: install it by `npm install @huggingface/tokenizers`');
      expect(error.message).toMatch(/^@huggingface\/tokenizers: it cannot be imported/);
      expect(error.cause).toBeInstanceOf(Error);
    }
  });

  test('a version that has another BPE, or merges otherwise, is refused', async () => {
    const real = await vi.importActual<typeof import('@huggingface/tokenizers')>(PACKAGE);
    const refused = '@huggingface/tokenizers: it merges in another way than its versions 0.2';
    for (const broken of ['bpe', 'encode'] as const)
      for (const of of [bytes, spaces]) {
        vi.spyOn(real.BPE.prototype, broken).mockImplementation((given: string | string[]) => [...given].flatMap((text) => [...text]));
        expect((await thrown(makeTokenizer(of))).message).toBe(refused);
        vi.restoreAllMocks();
        expect((await makeTokenizer(of)).encode('the').length).toBeLessThan(3);
      }
    vi.doMock(PACKAGE, () => ({ ...real, BPE: class {} }));
    expect((await thrown(makeTokenizer(bytes))).message).toBe(refused);
  });
});
