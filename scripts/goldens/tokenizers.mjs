// Writes test/fixtures/llm/tokenizers.json: ids by llama.cpp, of texts that this file has.
//   mkdir -p node_modules/.cache/goldens && npm install --prefix node_modules/.cache/goldens --ignore-scripts node-llama-cpp@3.21.1
//   node scripts/goldens/tokenizers.mjs
// llama.cpp takes vocabularies from GGUF files without tensors, which this script writes to a temporary folder.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ADDED, draws, ggufOf, gpt2, llama2, tied } from './vocabularies.mjs';

const home = process.env.LLAMA_CPP ?? join(process.cwd(), 'node_modules/.cache/goldens');
const installed = join(home, 'node_modules/node-llama-cpp');
const { getLlama } = await import(pathToFileURL(join(installed, 'dist/index.js')).href);
const { version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));

// --- Texts.

// biome-ignore format: as many as fit in a line
const PLAIN = [
  '', ' ', '  ', '   ', '    ', '\n', '\n\n', '\r\n', '\t', ' \n ', '\n  \n', 'a', ' a', 'a ', '  a  b   c    d', 'a\nb', 'a\n\n  b', 'x\r\ny\r\n',
  'Hello', 'Hello, world!', 'hello world', ' Hello', 'HELLO WORLD', 'HelloWorld', 'camelCaseWords', 'snake_case_words', 'HTTPRequestHandler',
  "I'm you're he's we've they'll she'd don't", "I'M YOU'RE HE'S WE'VE THEY'LL SHE'D DON'T", "rock'n'roll 'quoted' ''",
  'it’s “curly” quotes – and dashes — …', 'The quick brown fox jumps over the lazy dog.', 'Why is the sky blue?',
  'To be, or not to be: that is the question;', 'a.b.c...d!!!e???', '(parens) [brackets] {braces} <angles>', '0', '1', '12', '123', '1234', '12345',
  '1234567890', '3.14159', '1,000,000', '-42', '1e-5', '0x1F', '2024-01-31T23:59:59Z', '50%', '$9.99', '€10', '½ ¾ ²³', '٣٤٥', '१२३४', 'Ⅷ',
  'a1b22c333d4444', 'naïve café résumé', 'Zürich Österreich Straße', 'São Paulo coração', 'Ångström Øresund', 'İstanbul ıstakoz', 'Ελληνικά γράμματα',
  'Привет, мир!', 'Українська мова', 'שלום עולם', 'مرحبا بالعالم', 'हिन्दी में लिखा', 'ภาษาไทย', 'Tiếng Việt', '한국어 텍스트', '日本語のテキスト', 'こんにちは、世界！',
  '中文文本，没有空格。', '繁體中文', '混合 mixed 文本 text 123', '🙂', '🙂🙂', 'a🙂b', '👨‍👩‍👧‍👦', '👍🏽 thumbs', '🇩🇪🇫🇷', '❤️', '☕ coffee', '𝔘𝔫𝔦𝔠𝔬𝔡𝔢',
  '𠜎𠜱', 'é', 'Å', 'क्षि', '\u200b', 'zero\u200bwidth', 'nb\u00a0space', 'thin\u2009space', 'line\u2028sep', '\ufeffbom', 'soft\u00adhyphen',
  '\u0000', '\u0001\u007f', 'tab\tin\ttext', '\u3000ideographic', '\u0085next', 'function f(x) { return x * 2; }',
  'const a = [1, 2, 3].map((n) => n ** 2);', 'if (a && b || !c) {\n    d();\n}', 'def f(self, *args, **kwargs):\n\treturn None\n',
  '#include <stdio.h>\nint main(void) { return 0; }', 'SELECT * FROM t WHERE id = 1;', '<div class="a">x &amp; y</div>',
  'https://example.org/a/b?c=d&e=f#g', 'user@example.com', '/usr/local/bin:/usr/bin', 'C:\\Windows\\System32', '```js\ncode\n```',
  '# Title\n\n- item\n- item\n  - nested\n', '| a | b |\n|---|---|\n| 1 | 2 |', '\\frac{a}{b} \\alpha_1', '==', '===', '====', '=====', '--------',
  '----------------', '.......', '!!!!!!!!!', '_______', '########', '********', '//////', '"""""', "''''''", 'aaaaaaa',
  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'abababababab', 'hahahahaha', 'the the the the', '        eight', '                sixteen',
  'trailing spaces   ', 'trailing newline\n', ' leading', '\n\nleading newlines', 'a  b', 'a   b', 'a \n b', 'a\t\tb', '\t\ttabs', ' .', ' ,', ' !',
  " 's", " 't", ' ( ', 'x=1', 'x = 1', 'x+=1', 'a->b', 'a::b', 'a<b>c', '@user #tag', '~/.bashrc', '^_^', ':-)', '<3', '\u2014', '°C', '±5', '№1',
  '©®™', '→←↑↓', '∑∏∫√∞', '½', '１２３', 'ｆｕｌｌ　ｗｉｄｔｈ', 'ﬁ ligature', 'ǅ titlecase', 'ʰ modifier', 'a\u0301\u0302', 'ªº', 'Ꭰ cherokee', 'ა georgian', 'Ა',
  'ß ẞ', 'ſ long', 'K kelvin', 'constructor', '__proto__', 'toString valueOf', 'hasOwnProperty', '[object Object]', 'undefined null NaN', '1 2 3 4 5',
  '10 20 30', 'v1.2.3-beta.4', 'a,b;c:d', '(a)(b)', 'a/b', 'a\\b', 'x²', 'H₂O', 'e=mc²', 'Q&A', 'R&D', "O'Neil", "l'été", "'tis", "'''", 'don’t',
  'end.\n\nStart', 'one.Two', 'one. Two', 'end…\n', '?!', '¿Qué?', '¡Hola!', '«guillemets»', '„deutsch“', '「日本」', '（括号）', '、。', '…', '・', '~~~', '``',
  '\\n', '\\u0041', '%20', '&lt;', '\u00e9\u00e8\u00ea',
];

/** Texts with the texts of special tokens in them. */
// biome-ignore format: as many as fit in a line
const SPECIAL = [
  '<|endoftext|>', 'a<|endoftext|>b', '<|endoftext|><|endoftext|> c', '<|endoftext', '<s>', '</s>', '<s>a', '<s> a</s>', 'a <s> b </s> c', '<s></s>',
  '<unk>', 'x<unk>y', '<0x41>', '<0x0A>', 'a<0xFF>b', '<|user|>', '<|user|>\n hello<|end|>\n', '<|user|>x', '<|user|>xy <|user|> y', ' <|plain|> ',
  'a<|plain|>b', 'in two words here', 'two words', '<|plain|>  two words  ', '<|end|><|end|>', '<s><|user|>Hi<|end|></s>', '<|use|>', '<|user|', '<s',
];

/** Runs of characters of every kind, so that borders between kinds meet. */
const draw = draws(1);
// biome-ignore format: as many as fit in a line
const KINDS = [
  'a', 'Z', 'é', 'É', ' ', '  ', '\n', '\r\n', '1', '42', '.', '!?', "'s", "'LL", '_', '中', 'の', '한', '🙂', '\u0301', '$', '\t', '-', '/', 'the',
  'ing',
];
const MIXED = Array.from({ length: 60 }, () => Array.from({ length: 3 + draw(12) }, () => KINDS[draw(KINDS.length)]).join(''));
const LETTERS = Array.from({ length: 200 }, () => Array.from({ length: 1 + draw(24) }, () => 'aaab c'[draw(6)]).join(''));
const TEXTS = [...new Set([...PLAIN, ...MIXED])];

// What llama.cpp asks for beside a vocabulary.
const SHAPE = {
  'general.architecture': 'llama',
  'general.name': 'vocabulary',
  'llama.context_length': 128,
  'llama.embedding_length': 8,
  'llama.block_count': 1,
  'llama.feed_forward_length': 8,
  'llama.attention.head_count': 1,
  'llama.rope.dimension_count': 8,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
};

// --- llama.cpp.

const folder = mkdtempSync(join(tmpdir(), 'goldens-'));
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'disabled' });
async function idsOf(metadata, texts, special) {
  const path = join(folder, 'vocabulary.gguf');
  writeFileSync(path, ggufOf({ ...SHAPE, ...metadata }));
  const model = await llama.loadModel({ modelPath: path, vocabOnly: true });
  const ids = texts.map((text) => model.tokenize(text, special));
  await model.dispose();
  return ids;
}

/** Names in tokenizer.ggml.pre, one of each group that shares its patterns. */
const PRES = ['default', 'smollm', 'llama-bpe', 'dbrx', 'qwen2', 'qwen35', 'gpt-4o', 'tekken', 'falcon', 'deepseek-coder', 'deepseek-v3'];
const base = await idsOf(gpt2('gpt-2'), TEXTS, false);
const pres = {};
for (const pre of PRES) {
  const ids = await idsOf({ ...gpt2(pre), 'tokenizer.ggml.add_bos_token': false }, TEXTS, false);
  // Only those that differ, by the number of the text.
  pres[pre] = Object.fromEntries(ids.flatMap((row, i) => (JSON.stringify(row) === JSON.stringify(base[i]) ? [] : [[i, row]])));
}
const more = await llama2(ADDED);
const special = {};
for (const [name, metadata] of Object.entries({
  gpt2: gpt2(),
  llama2: more,
  'llama2 without a space': { ...more, 'tokenizer.ggml.add_space_prefix': false },
  'phi-3': { ...more, 'general.name': 'Phi-3 mini' },
}))
  special[name] = { plain: await idsOf(metadata, SPECIAL, false), special: await idsOf(metadata, SPECIAL, true) };
const ties = [];
for (const seed of [1, 2, 3, 4]) ties.push({ seed, ids: await idsOf(tied(seed), LETTERS, false) });
const result = {
  by: `node-llama-cpp ${version}`,
  texts: TEXTS,
  gpt2: base,
  pres,
  llama2: await idsOf(await llama2(), TEXTS, false),
  specialTexts: SPECIAL,
  special,
  letters: LETTERS,
  ties,
};
rmSync(folder, { recursive: true });
const path = 'test/fixtures/llm/tokenizers.json';
writeFileSync(path, JSON.stringify(result));
execFileSync(process.execPath, ['node_modules/@biomejs/biome/bin/biome', 'format', '--write', path]);
console.log(`${TEXTS.length} texts, ${SPECIAL.length} with special tokens, ${LETTERS.length} of ties`);
process.exit(0);
