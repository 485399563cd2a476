// How text is split into words before byte pairs are merged, by the name in `tokenizer.ggml.pre`. Patterns are those of the models'
// tokenizer.json (Split, Isolated, one after the other). Names, and which of them share a pattern, are llama.cpp's (llm_tokenizer_bpe in
// src/llama-vocab.cpp), whose ids test/fixtures/llm holds. Where llama.cpp approximates a pattern (gpt-4o, tekken), the model's own is here.

export interface Splitting {
  /** Each splits what the one before left. */
  readonly patterns: readonly string[];
  /** A word that is a token stays whole (`ignore_merges` of tokenizer.json). */
  readonly ignoreMerges: boolean;
  /** Where the file has no `add_bos_token`. */
  readonly addBos: boolean;
}

const { raw } = String;
const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACES = raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const SIGNS = raw` ?[^\s\p{L}\p{N}]+[\r\n]*`;
const LETTERS = raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
const GPT2 = raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const LLAMA3 = raw`${CONTRACTION}|${LETTERS}|\p{N}{1,3}|${SIGNS}|${SPACES}`;
const QWEN2 = raw`${CONTRACTION}|${LETTERS}|\p{N}|${SIGNS}|${SPACES}`;
const QWEN35 = raw`${CONTRACTION}|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|${SPACES}`;
/** A word of small letters after large ones, or of large ones: `HTTPRequest` is two. */
const cased = (end: string): string =>
  [raw`*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`, raw`+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`]
    .map((tail) => raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]${tail}${end}`)
    .join('|');
const GPT4O = raw`${cased(`${CONTRACTION}?`)}|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${SPACES}`;
const TEKKEN = raw`${cased('')}|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${SPACES}`;
const CHINESE = raw`[一-龥\u0800-一가-\ud7ff]+`;
const DEEPSEEK3 = raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${SPACES}`;

const LATE = { ignoreMerges: false, addBos: false };
const GROUPS: readonly (Splitting & { readonly names: string })[] = [
  { names: 'default', patterns: [raw`[\p{P}\$\+<=>\^~\|]+`, GPT2, raw`\p{N}+`, '[0-9][0-9][0-9]'], ...LATE },
  { names: 'gpt-2 phi-2 mpt olmo jais gigachat a.x-4.0 mellum exaone4 trillion granite-docling', patterns: [GPT2], ...LATE },
  { names: 'smollm starcoder refact command-r codeshell exaone minerva-7b mellum2', patterns: [raw`\p{N}`, GPT2], ...LATE },
  { names: 'llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2', patterns: [LLAMA3], ignoreMerges: true, addBos: true },
  { names: 'dbrx smaug-bpe glm4 chatglm-bpe', patterns: [LLAMA3], ...LATE },
  { names: 'qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2', patterns: [QWEN2], ...LATE },
  { names: 'qwen35', patterns: [QWEN35], ...LATE },
  { names: 'gpt-4o llama4 kanana2', patterns: [GPT4O], ...LATE },
  { names: 'tekken', patterns: [TEKKEN], ignoreMerges: true, addBos: true },
  { names: 'falcon', patterns: [raw`[\p{P}\$\+<=>\^~\|${'`'}]+`, GPT2, '[0-9][0-9][0-9]'], ...LATE },
  { names: 'deepseek-coder', patterns: [raw`[\r\n]`, raw`\s?\p{L}+`, raw`\s?\p{P}+`, CHINESE, raw`\p{N}`], ...LATE },
  { names: 'deepseek-v3 hunyuan-dense', patterns: [raw`\p{N}{1,3}`, '[一-龥\u3040-ゟ゠-ヿ]+', DEEPSEEK3], ...LATE },
];

/** Name in `tokenizer.ggml.pre` → how text is split. */
export const SPLITTINGS: ReadonlyMap<string, Splitting> = new Map(
  GROUPS.flatMap(({ names, ...splitting }) => names.split(' ').map((name) => [name, splitting] as const)),
);
