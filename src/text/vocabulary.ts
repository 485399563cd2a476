// The vocabulary in a GGUF file's metadata, checked. Rules: ggml's docs/gguf.md, section "Tokenizer"; defaults and duplicates: llama.cpp's
// llama_vocab::impl::load (src/llama-vocab.cpp).
import { FormatError, UnsupportedError } from '../errors.js';
import { isGgufArray, readGgufArray } from '../files/gguf-values.js';
import { clip, show } from '../files/show.js';
import { SPLITTINGS, type Splitting } from './split-patterns.js';

/** Kinds of tokens: numbers of `tokenizer.ggml.token_type`. */
export const TOKEN = { undefined: 0, normal: 1, unknown: 2, control: 3, user: 4, unused: 5, byte: 6 } as const;

/** What a tokenizer is made of. Ids are positions in `tokens`. */
export interface Vocabulary {
  readonly model: 'gpt2' | 'llama';
  /** For `gpt2`. */
  readonly splitting: Splitting | undefined;
  readonly tokens: readonly string[];
  /** A number of TOKEN for each token. */
  readonly types: Uint8Array;
  /** For `llama`: of two pairs, that with the higher score is merged first. */
  readonly scores: readonly number[];
  /** For `gpt2`: pairs in the order of merging, with a space between. */
  readonly merges: readonly string[];
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  readonly stops: ReadonlySet<number>;
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** A space is put before the first word, and before the first after a special token. */
  readonly addSpace: boolean;
  /** White space after special tokens belongs to them. */
  readonly trimAfter: ReadonlySet<number>;
}

export type Metadata = Readonly<Record<string, unknown>>;

export interface Reading {
  /** Name of the file, for messages. */
  readonly file?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An error about a field below `tokenizer.ggml`. */
type Wrong = (name: string, expected: string, got: unknown) => FormatError;

const KEY = 'tokenizer.ggml.';

/**
 * Tokens that end a turn. Files of many models name one of several in `eos_token_id`, and a chat would not stop at the others. Source: the
 * models' generation_config.json; llama.cpp has a list like it (special_eog_ids).
 */
const ENDS = new Set(
  `<|eot_id|> <|eom_id|> <|im_end|> <|end|> <|return|> <|call|> <end_of_turn> <|endoftext|> <|end_of_text|> <EOT> [EOT] [EOS]
   <end_of_utterance> <｜end▁of▁sentence｜>`.split(/\s+/),
);
/** In the harmony format (gpt-oss) this ends a message, and the turn goes on. */
const HARMONY = { needs: ['<|return|>', '<|call|>'], goesOn: '<|end|>' };

/** Control tokens that end a turn, by their text. */
export function endsByText(tokens: readonly string[], types: Uint8Array): number[] {
  const found = new Map<string, number>();
  for (let id = 0; id < tokens.length; id++) if (types[id] === TOKEN.control && ENDS.has(tokens[id]!)) found.set(tokens[id]!, id);
  if (HARMONY.needs.every((text) => found.has(text))) found.delete(HARMONY.goesOn);
  return [...found.values()];
}

/** Reads fields below `tokenizer.ggml`, and checks their types. */
function fieldsOf(metadata: Metadata, { file, signal }: Reading) {
  const wrong: Wrong = (name, expected, got) =>
    new FormatError({ file, field: KEY + name }, expected, typeof got === 'string' ? got : show(got));
  return {
    wrong,
    get: (name: string): unknown => metadata[KEY + name],
    async list<T>(name: string, holds: (value: unknown) => boolean, what: string): Promise<readonly T[] | undefined> {
      const value = metadata[KEY + name];
      if (value === undefined) return undefined;
      if (!Array.isArray(value) && !isGgufArray(value)) throw wrong(name, 'an array', value);
      const read = Array.isArray(value) ? value : await readGgufArray(value, { signal });
      const at = read.findIndex((element) => !holds(element));
      if (at >= 0) throw wrong(`${name}[${at}]`, what, read[at]);
      return read as T[];
    },
    /** An id below `size`. */
    id(name: string, size: number, otherwise: number | undefined): number | undefined {
      const value = metadata[`${KEY}${name}_token_id`] ?? (otherwise !== undefined && otherwise < size ? otherwise : undefined);
      const fits = value === undefined || (isWhole(value) && value < size);
      if (!fits) throw wrong(`${name}_token_id`, `an id below ${size}`, value);
      return value;
    },
    flag(name: string, otherwise: boolean): boolean {
      const value = metadata[KEY + name] ?? otherwise;
      if (typeof value !== 'boolean') throw wrong(name, 'true or false', value);
      return value;
    },
  };
}
type Fields = ReturnType<typeof fieldsOf>;

const isText = (value: unknown): boolean => typeof value === 'string';
const isWhole = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
const isType = (value: unknown): boolean => isWhole(value) && value <= TOKEN.byte;
const isNumber = (value: unknown): boolean => typeof value === 'number' && !Number.isNaN(value);

/**
 * Reads and checks the vocabulary of a GGUF file; long arrays are read from the file.
 * @throws FormatError if its arrays disagree; UnsupportedError for another kind of tokenizer or way of splitting; ReadError
 */
export async function readVocabulary(metadata: Metadata, reading: Reading = {}): Promise<Vocabulary> {
  const fields = fieldsOf(metadata, reading);
  const model = fields.get('model');
  if (typeof model !== 'string') throw fields.wrong('model', 'the name of a tokenizer', model);
  if (model !== 'gpt2' && model !== 'llama')
    throw new UnsupportedError('tokenizer', [`${KEY}model is ${show(model)}, and gpt2 and llama are known`]);
  const splitting = model === 'gpt2' ? splittingOf(fields.get('pre') ?? 'default') : undefined;
  const arrays = await arraysOf(fields, model);
  const { tokens, types } = arrays;

  // SentencePiece's ids, which files of Llama 1 and 2 may leave out.
  const usual = model === 'llama' ? { bos: 1, eos: 2, unknown: 0 } : undefined;
  const id = (name: string, otherwise?: number) => fields.id(name, tokens.length, otherwise);
  const [bos, eos, unknown] = [id('bos', usual?.bos), id('eos', usual?.eos), id('unknown', usual?.unknown)];
  const ends = [eos, id('eot'), id('eom')].filter((end) => end !== undefined);
  // Whatever their types, these are no text of an answer.
  for (const token of [bos, ...ends]) if (token !== undefined && types[token] === TOKEN.normal) types[token] = TOKEN.control;
  const addBos = fields.flag('add_bos_token', splitting?.addBos ?? true);
  const addEos = fields.flag('add_eos_token', false);
  if (addBos && bos === undefined) throw fields.wrong('bos_token_id', 'an id, since add_bos_token is true', bos);
  if (addEos && eos === undefined) throw fields.wrong('eos_token_id', 'an id, since add_eos_token is true', eos);
  return {
    model,
    splitting,
    ...arrays,
    bos,
    eos,
    unknown,
    stops: new Set([...ends, ...endsByText(tokens, types)]),
    addBos,
    addEos,
    addSpace: fields.flag('add_space_prefix', model === 'llama'),
    trimAfter: trimmedAfter(metadata['general.name'], tokens, types),
  };
}

async function arraysOf(fields: Fields, model: Vocabulary['model']): Promise<Pick<Vocabulary, 'tokens' | 'types' | 'scores' | 'merges'>> {
  const { wrong } = fields;
  const tokens = await fields.list<string>('tokens', isText, 'a string');
  if (!tokens || tokens.length === 0) throw wrong('tokens', 'the texts of tokens', tokens);
  const beside = async (name: string, holds: (value: unknown) => boolean, what: string): Promise<readonly number[] | undefined> => {
    const values = await fields.list<number>(name, holds, what);
    if (values && values.length !== tokens.length) throw wrong(name, `${tokens.length} elements, one for each token`, `${values.length}`);
    return values;
  };
  const types = Uint8Array.from((await beside('token_type', isType, 'a type of tokens, 0 to 6')) ?? tokens.map(() => TOKEN.normal));
  for (let id = 0; id < tokens.length; id++)
    if (types[id] === TOKEN.byte && !/^<0x[0-9A-Fa-f]{2}>$/.test(tokens[id]!))
      throw wrong(`tokens[${id}]`, 'a byte, <0x00> to <0xFF>', tokens[id]);
  const scores = await beside('scores', isNumber, 'a number');
  if (model === 'llama' && !scores) throw wrong('scores', 'a score for each token', scores);
  const merges = model === 'gpt2' ? await fields.list<string>('merges', isText, 'a string') : [];
  if (!merges) throw wrong('merges', 'pairs of tokens', merges);
  checkMerges(merges, distinctTokens(tokens, wrong), wrong);
  return { tokens, types, scores: scores ?? [], merges };
}

function splittingOf(name: unknown): Splitting {
  const splitting = SPLITTINGS.get(name as string);
  if (!splitting) throw new UnsupportedError('tokenizer', [`${KEY}pre is ${show(name)}, whose way of splitting text is not known`]);
  return splitting;
}

function distinctTokens(tokens: readonly string[], wrong: Wrong): ReadonlySet<string> {
  const distinct = new Set<string>();
  for (const [at, token] of tokens.entries()) {
    if (distinct.has(token)) throw wrong(`tokens[${at}]`, 'each token once', `${show(token)} again`);
    if (token !== '') distinct.add(token); // what is empty is no token
  }
  return distinct;
}

/** Merges are two texts with a space between; what they make is a token. */
function checkMerges(merges: readonly string[], tokens: ReadonlySet<string>, wrong: Wrong): void {
  for (const [at, merge] of merges.entries()) {
    const cut = merge.indexOf(' ', 1);
    if (cut < 0 || cut === merge.length - 1) throw wrong(`merges[${at}]`, 'two tokens with a space between', merge);
    if (!tokens.has(merge.slice(0, cut) + merge.slice(cut + 1))) throw wrong(`merges[${at}]`, 'two tokens that make a token', clip(merge));
  }
}

/**
 * Phi-3's tokenizer.json lets special tokens take the white space after them (`rstrip`), which GGUF has no field for. llama.cpp, too, goes
 * by the name of the model.
 */
function trimmedAfter(name: unknown, tokens: readonly string[], types: Uint8Array): ReadonlySet<number> {
  const trimmed = new Set<number>();
  if (typeof name !== 'string' || !/phi-?3/i.test(name)) return trimmed;
  const SPECIAL: readonly number[] = [TOKEN.control, TOKEN.user];
  for (let id = 0; id < tokens.length; id++)
    if (tokens[id] === '</s>' || (SPECIAL.includes(types[id]!) && !['<s>', '<|endoftext|>'].includes(tokens[id]!))) trimmed.add(id);
  return trimmed;
}
