// Text → ids and back, from the vocabulary in a GGUF file. Splitting and merging are @huggingface/tokenizers', by the file's arrays. Ids are those of llama.cpp (test/fixtures/llm), but a text that begins with the BOS token gets no second one.
import { flag, onlyFields, optional, text as textGiven } from '../arguments/check.js';
import { FormatError, UnsupportedError } from '../errors.js';
import { show } from '../files/show.js';
import { Detokenizer, type DetokenizerOptions, type TokenTable, tokenBytes } from './detokenizer.js';
import { importTokenizers } from './peers.js';
import { type Metadata, type Reading, readVocabulary, TOKEN, type Vocabulary } from './vocabulary.js';

/** How a text becomes ids. */
export interface EncodeOptions {
  /** Take the texts of control tokens, such as `<|im_start|>`, for these tokens: for prompts that a template made. Default: false, they are plain text. */
  readonly special?: boolean;
  /** Begin with the BOS token, unless the text does. Default: what the file says. */
  readonly addBos?: boolean;
  /** End with the EOS token. Default: what the file says. */
  readonly addEos?: boolean;
}

/** Text to ids and back, by a vocabulary. */
export interface Tokenizer {
  /**
   * Ids of a text, whose lone surrogates count as U+FFFD.
   * @throws FormatError for text that the vocabulary has no tokens for
   */
  encode(text: string, options?: EncodeOptions): number[];
  /** Text of ids. @throws ArgumentError for an id that is no token */
  decode(ids: Iterable<number>, options?: DetokenizerOptions): string;
  /** For ids that come one by one. */
  stream(options?: DetokenizerOptions): Detokenizer;
  /** Ids are below it. A model's head may have more rows, which no text has. */
  readonly size: number;
  /** The bytes that each id adds to a text; of control tokens none. */
  bytes(): readonly Uint8Array<ArrayBuffer>[];
  readonly bos: number | undefined;
  /** Ids that end an answer. */
  readonly stops: ReadonlySet<number>;
  /** Texts of `bos_token`, `eos_token` and `unk_token`, which chat templates ask for. */
  readonly names: Readonly<Record<string, string>>;
}

/** What makes a Tokenizer. */
export interface Parts extends Pick<Tokenizer, 'bos' | 'stops'> {
  /** Ids of a text without BOS and EOS. */
  readonly encode: (text: string, special: boolean) => number[];
  readonly table: TokenTable;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  readonly addBos: boolean;
  readonly addEos: boolean;
}

const OPTIONS = onlyFields({ special: optional(flag), addBos: optional(flag), addEos: optional(flag) });

export function assemble({ encode, table, bos, eos, unknown, stops, ...defaults }: Parts): Tokenizer {
  const ids = { bos_token: bos, eos_token: eos, unk_token: unknown };
  return {
    encode(text, options = {}) {
      const { special = false, addBos = defaults.addBos, addEos = defaults.addEos } = OPTIONS(options, 'options');
      const found = encode(textGiven(text, 'text'), special);
      const before = addBos && bos !== undefined && found[0] !== bos ? [bos] : [];
      const after = addEos && eos !== undefined && found.at(-1) !== eos ? [eos] : [];
      return [...before, ...found, ...after];
    },
    decode(ids, options) {
      const stream = new Detokenizer(table, options);
      let text = '';
      for (const id of ids) text += stream.push(id);
      return text + stream.end();
    },
    stream: (options) => new Detokenizer(table, options),
    size: table.tokens.length,
    bytes: () => tokenBytes(table),
    bos,
    stops,
    names: Object.fromEntries(Object.entries(ids).flatMap(([name, id]) => (id === undefined ? [] : [[name, table.tokens[id]!]]))),
  };
}

/**
 * The tokenizer of a GGUF file, from its metadata. It takes a part of a second for 100,000 tokens.
 * @throws FormatError if the vocabulary contradicts itself; UnsupportedError for an unknown kind of tokenizer, or without
 *   @huggingface/tokenizers; ReadError
 */
export async function makeTokenizer(metadata: Metadata, reading: Reading = {}): Promise<Tokenizer> {
  const vocabulary = await readVocabulary(metadata, reading);
  const { tokens, types, addSpace } = vocabulary;
  const merge = await (vocabulary.model === 'gpt2' ? byteMerger(vocabulary) : spacedMerger(vocabulary));
  const special = splitterOf(vocabulary, [TOKEN.unknown, TOKEN.control, TOKEN.user]);
  const plain = splitterOf(vocabulary, [TOKEN.user]);
  const encode = (text: string, asSpecial: boolean): number[] => {
    const ids: number[] = [];
    let begins = true;
    for (const part of (asSpecial ? special : plain)(text)) {
      if (typeof part === 'number') ids.push(part);
      else
        for (const id of merge(addSpace && begins ? ` ${part}` : part)) {
          if (id === undefined)
            throw new FormatError(
              { file: reading.file, field: 'tokenizer.ggml.tokens' },
              'tokens for every byte',
              `none for some of ${show(part)}`,
            );
          ids.push(id);
        }
      begins = typeof part === 'number';
    }
    return ids;
  };
  return assemble({ ...vocabulary, encode, table: { form: vocabulary.model === 'gpt2' ? 'bytes' : 'spaces', tokens, types, addSpace } });
}

/** Ids of a text without special tokens; undefined where the vocabulary has none. */
type Merger = (text: string) => readonly (number | undefined)[];

/** No token is an empty text: a word without tokens becomes this one, which has no id. */
const NONE = '';
const TEXT: readonly number[] = [TOKEN.undefined, TOKEN.normal, TOKEN.user];

/** Tokens of these kinds, by text. */
const idsOf = ({ tokens, types }: Vocabulary, kinds: readonly number[]): Map<string, number> => {
  const ids = new Map<string, number>();
  for (let id = 0; id < tokens.length; id++) if (tokens[id] !== NONE && kinds.includes(types[id]!)) ids.set(tokens[id]!, id);
  return ids;
};

/** Byte pairs, merged in the order of the file's merges. Plain text must not become a control token, so these are merged by none. */
function byteMerger(vocabulary: Vocabulary): Promise<Merger> {
  const { merges, splitting } = vocabulary;
  const { patterns, ignoreMerges } = splitting!;
  const ids = idsOf(vocabulary, TEXT);
  const ranks = new Map<string, number>();
  for (let rank = merges.length - 1; rank >= 0; rank--) ranks.set(merges[rank]!, rank); // of equal ones the first counts
  const split = patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }));
  return mergerOf({
    ids,
    rank: (left, right) => (ids.has(left + right) ? ranks.get(`${left} ${right}`) : undefined),
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...split, { type: 'ByteLevel', add_prefix_space: false, use_regex: false }] },
    model: { ignore_merges: ignoreMerges },
    probe: merges.find((merge) => Array.from(merge).length === 3)?.replace(' ', ''),
  });
}

/**
 * SentencePiece's pairs: any two neighbours that make a token are merged, the highest score first, then the leftmost; what is no token in the
 * end becomes bytes. A list of merges cannot say this, since it ranks the pairs that make one token. Neither control tokens nor bytes are
 * merged (`pieces_` of SentencePiece's model_interface.cc).
 */
async function spacedMerger(vocabulary: Vocabulary): Promise<Merger> {
  const { scores, unknown } = vocabulary;
  const merged = idsOf(vocabulary, TEXT);
  const ranks = new Map([...new Set(scores)].sort((a, b) => b - a).map((score, rank) => [score, rank]));
  const merge = await mergerOf({
    ids: idsOf(vocabulary, [...TEXT, TOKEN.byte]),
    rank(left, right) {
      const id = merged.get(left + right);
      return id === undefined ? undefined : ranks.get(scores[id]!);
    },
    pre_tokenizer: null,
    model: { byte_fallback: true },
    probe: [...merged.keys()].find((token) => Array.from(token).length === 2),
  });
  return (text) => merge(text.replaceAll(' ', '\u2581')).map((id) => id ?? unknown);
}

interface Merging {
  readonly ids: Map<string, number>;
  /** The lowest is merged first, of equal ones the leftmost; undefined: not at all. */
  readonly rank: (left: string, right: string) => number | undefined;
  readonly pre_tokenizer: object | null;
  readonly model: object;
  /** A text of two letters that is merged to one token. */
  readonly probe: string | undefined;
}

/**
 * A BPE of @huggingface/tokenizers. It gets its ids and ranks after it is made: an object of all texts, and a JSON text for each merge, would
 * take most of the time.
 */
async function mergerOf({ ids, rank, pre_tokenizer, model: more, probe }: Merging): Promise<Merger> {
  const { Tokenizer, BPE } = await importTokenizers();
  const model = { type: 'BPE', vocab: {}, merges: [], unk_token: NONE, ...more };
  const tokenizer = new Tokenizer({ added_tokens: [], normalizer: null, pre_tokenizer, post_processor: null, decoder: null, model }, {});
  const bpe = tokenizer.model;
  const other = () => new UnsupportedError('@huggingface/tokenizers', ['it merges in another way than its versions 0.2']);
  if (!(bpe instanceof BPE)) throw other();
  bpe.tokens_to_ids = ids;
  bpe.bpe_ranks = new (class extends Map<string, number> {
    override get(pair: string): number | undefined {
      const [left, right] = JSON.parse(pair) as [string, string];
      return rank(left, right);
    }
  })();
  // A version that asked for ids or ranks in another way would leave letters.
  if (probe !== undefined && ids.has(probe) && (bpe.bpe(probe).length !== 1 || bpe.encode([probe]).join() !== probe)) throw other();
  return (text) => tokenizer.encode(text).ids;
}

/** Cuts a text at tokens of these kinds, the leftmost and of these the longest first: texts and ids. */
function splitterOf({ tokens, types, trimAfter }: Vocabulary, kinds: readonly number[]): (text: string) => (string | number)[] {
  const byFirst = new Map<number, number[]>();
  for (let id = 0; id < tokens.length; id++) {
    if (!kinds.includes(types[id]!) || tokens[id] === '') continue;
    const first = tokens[id]!.charCodeAt(0);
    const others = byFirst.get(first);
    if (others) others.push(id);
    else byFirst.set(first, [id]);
  }
  for (const ids of byFirst.values()) ids.sort((a, b) => tokens[b]!.length - tokens[a]!.length);
  return (text) => {
    const parts: (string | number)[] = [];
    let begin = 0;
    for (let at = 0; at < text.length; ) {
      const id = byFirst.get(text.charCodeAt(at))?.find((token) => text.startsWith(tokens[token]!, at));
      if (id === undefined) {
        at++;
        continue;
      }
      if (at > begin) parts.push(text.slice(begin, at));
      parts.push(id);
      at += tokens[id]!.length;
      if (trimAfter.has(id)) while (/[ \t-\r]/.test(text.charAt(at))) at++;
      begin = at;
    }
    if (begin < text.length) parts.push(text.slice(begin));
    return parts;
  };
}
