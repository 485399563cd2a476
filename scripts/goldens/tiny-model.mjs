// Writes examples/tiny-model, which transformers.js loads: a tokenizer of three words, and a model whose hidden states are twice the rows of
// a table of 64 columns, row v all v: `node scripts/goldens/tiny-model.mjs`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FLOAT, floats, INT64, model, node, value } from './onnx-fields.mjs';

const WORDS = ['[UNK]', 'one', 'two', 'three'];
const COLUMNS = 64;
const table = Float32Array.from({ length: WORDS.length * COLUMNS }, (_, i) => Math.floor(i / COLUMNS));
const bytes = model({
  name: 'tiny',
  nodes: [node('Gather', ['table', 'input_ids'], 'rows'), node('Add', ['rows', 'rows'], 'last_hidden_state')],
  tensors: [floats('table', [WORDS.length, COLUMNS], table)],
  inputs: [value('input_ids', INT64, ['batch', 'tokens'])],
  outputs: [value('last_hidden_state', FLOAT, ['batch', 'tokens', COLUMNS])],
});

const folder = join(import.meta.dirname, '../../examples/tiny-model');
mkdirSync(join(folder, 'onnx'), { recursive: true });
writeFileSync(join(folder, 'onnx', 'model.onnx'), bytes);
const json = (name, data) => writeFileSync(join(folder, name), `${JSON.stringify(data, null, 2)}\n`);
json('config.json', { model_type: 'bert', hidden_size: COLUMNS, vocab_size: WORDS.length });
json('tokenizer_config.json', { tokenizer_class: 'PreTrainedTokenizerFast', unk_token: WORDS[0] });
json('tokenizer.json', {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: null,
  decoder: null,
  model: { type: 'WordLevel', vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])), unk_token: WORDS[0] },
});
