// Tokenizers of Hugging Face folders: tokenizer.json and tokenizer_config.json, read by @huggingface/tokenizers as they are.
import { FormatError, UnsupportedError } from '../errors.js';
import { show } from '../files/show.js';
import type { TokenTable } from './detokenizer.js';
import { importTokenizers } from './peers.js';
import { assemble, type Tokenizer } from './tokenizer.js';
import { endsByText, type Reading, TOKEN } from './vocabulary.js';

type Json = Readonly<Record<string, unknown>>;

/** Parsed files of a folder. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: Json;
  /** tokenizer_config.json */
  readonly config?: Json | undefined;
  /** generation_config.json, for the ids that end an answer */
  readonly generation?: Json | undefined;
}

interface Added {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

const isRecord = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The tokenizer of a folder.
 * @throws FormatError for files that contradict themselves; UnsupportedError for another way of decoding than byte level or
 *   SentencePiece's, or without @huggingface/tokenizers
 */
export async function makeJsonTokenizer(
  { tokenizer, config = {}, generation = {} }: TokenizerFiles,
  { file }: Reading = {},
): Promise<Tokenizer> {
  const at = file ?? 'tokenizer.json';
  const wrong = (field: string, expected: string, got: unknown): FormatError => new FormatError({ file: at, field }, expected, show(got));
  if (!isRecord(tokenizer) || !isRecord(tokenizer.model))
    throw wrong('model', 'an object', isRecord(tokenizer) ? tokenizer.model : tokenizer);
  const added = addedTokens(tokenizer.added_tokens ?? [], wrong);
  const { tokens, types } = vocabularyOf(tokenizer.model, added, wrong);
  const { form, addSpace } = wayOfDecoding(tokenizer);

  const { Tokenizer } = await importTokenizers();
  /** The package trusts its files: what it throws is about them. */
  const attempt = <T>(run: () => T): T => {
    try {
      return run();
    } catch (cause) {
      const error = wrong('model', 'a tokenizer that @huggingface/tokenizers reads', String(cause));
      error.cause = cause;
      throw error;
    }
  };
  const none = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  const made = (tokens: readonly Added[]) => attempt(() => new Tokenizer({ ...none, ...tokenizer, added_tokens: tokens }, config));
  const special = made(added);
  let plain = added.some((token) => token.special) ? undefined : special;
  const encode = (text: string, asSpecial: boolean): number[] => {
    const by = asSpecial ? special : (plain ??= made(added.filter((token) => !token.special)));
    const { ids } = attempt(() => by.encode(text, { add_special_tokens: false }));
    if (ids.some((id) => id === undefined)) throw wrong('model.vocab', 'tokens for every text', `none for some of ${text}`);
    return ids;
  };

  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const named = (name: string): number | undefined => {
    const given = config[name];
    const text = isRecord(given) ? given.content : given;
    if (text === undefined || text === null) return undefined;
    const id = typeof text === 'string' ? idOf.get(text) : undefined;
    if (id === undefined) throw new FormatError({ file, field: name }, 'a token of the vocabulary', show(text));
    return id;
  };
  const [bos, eos, unknown] = [named('bos_token'), named('eos_token'), named('unk_token')];
  const ends = [generation.eos_token_id ?? []].flat();
  for (const id of ends)
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= tokens.length)
      throw new FormatError({ file, field: 'eos_token_id' }, `an id below ${tokens.length}`, show(id));
  // What the post-processor puts around a text, if tokenizer_config.json does not say it.
  const around = attempt(() => special.encode('a').ids);
  const adds = (name: string, found: boolean): boolean => (typeof config[name] === 'boolean' ? config[name] : found);
  return assemble({
    encode,
    table: { form, tokens, types, addSpace },
    bos,
    eos,
    unknown,
    stops: new Set([...(ends as number[]), ...(eos === undefined ? [] : [eos]), ...endsByText(tokens, types)]),
    addBos: bos !== undefined && adds('add_bos_token', around[0] === bos),
    addEos: eos !== undefined && adds('add_eos_token', around.at(-1) === eos),
  });
}

type Wrong = (field: string, expected: string, got: unknown) => FormatError;

function addedTokens(given: unknown, wrong: Wrong): Added[] {
  if (!Array.isArray(given)) throw wrong('added_tokens', 'an array', given);
  return given.map((token: unknown, i) => {
    const holds = isRecord(token) && Number.isInteger(token.id) && (token.id as number) >= 0 && typeof token.content === 'string';
    if (!holds) throw wrong(`added_tokens[${i}]`, 'an id and a content', isRecord(token) ? JSON.stringify(token) : token);
    return { ...token, special: token.special === true } as unknown as Added;
  });
}

/** Texts by id; ids that no token has are empty. */
function vocabularyOf(model: Json, added: readonly Added[], wrong: Wrong): Pick<TokenTable, 'tokens' | 'types'> {
  const { vocab } = model;
  const entries: readonly (readonly [unknown, unknown])[] = Array.isArray(vocab)
    ? vocab.map((entry: unknown, id) => [Array.isArray(entry) ? entry[0] : entry, id] as const)
    : isRecord(vocab)
      ? Object.entries(vocab)
      : [];
  const most = 2 * (entries.length + added.length);
  const tokens: string[] = [];
  const put = (token: unknown, id: unknown, field: string): void => {
    const holds = typeof token === 'string' && Number.isInteger(id) && (id as number) >= 0 && (id as number) < most;
    if (!holds) throw wrong(field, `texts with ids below ${most}`, [token, id]);
    tokens[id as number] = token;
  };
  if (entries.length === 0) throw wrong('model.vocab', 'tokens', vocab);
  for (const [token, id] of entries) put(token, id, 'model.vocab');
  for (const { content, id } of added) put(content, id, 'added_tokens');
  const dense = Array.from(tokens, (token) => token ?? '');
  const bytes = model.byte_fallback === true;
  const types = Uint8Array.from(dense, (token) =>
    token === '' ? TOKEN.unused : bytes && /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? TOKEN.byte : TOKEN.normal,
  );
  for (const { id, special } of added) types[id] = special ? TOKEN.control : TOKEN.user;
  return { tokens: dense, types };
}

/** All steps of a decoder, of sequences in it too. */
const steps = (given: unknown): Json[] => {
  if (!isRecord(given)) return [];
  const inner = given.decoders;
  return Array.isArray(inner) ? inner.flatMap(steps) : [given];
};

/** How tokens are text, by the decoder's steps. */
function wayOfDecoding({ decoder }: Json): Pick<TokenTable, 'form' | 'addSpace'> {
  const all = steps(decoder);
  const of = (type: string): Json | undefined => all.find((step) => step.type === type);
  if (of('ByteLevel')) return { form: 'bytes', addSpace: false };
  const metaspace = of('Metaspace');
  if (metaspace) return { form: 'spaces', addSpace: metaspace.prepend_scheme !== 'never' && metaspace.add_prefix_space !== false };
  const { content, pattern } = of('Replace') ?? {};
  if (isRecord(pattern) && pattern.String === '\u2581' && content === ' ') return { form: 'spaces', addSpace: of('Strip')?.start === 1 };
  const names = all.map((step) => show(step.type)).join(', ');
  throw new UnsupportedError('tokenizer', [
    `tokenizer.json decodes by ${names || 'nothing'}, and ByteLevel, Metaspace and Replace of ▁ are known`,
  ]);
}
