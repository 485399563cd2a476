// What the float64 reference says with the model of the page.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { llmReference } from '../../src/reference/llm.js';
import { makeTokenizer } from '../../src/text/tokenizer.js';
import { openedModel } from '../../test/support/model-weights.js';

const path = join(import.meta.dirname, '../../models/kjv.gguf');

/** Ids behind a text, always the likeliest, their text, and the logits before each. */
export async function likeliest(text: string, count: number) {
  const { file, config, weight } = await openedModel(new Uint8Array(readFileSync(path)));
  const tokenizer = await makeTokenizer(file.metadata);
  const reference = llmReference(config, weight);
  const prompt = tokenizer.encode(text);
  const ids: number[] = [];
  const rows: Float64Array[] = [];
  for (let next: readonly number[] = prompt; ids.length < count; next = [ids.at(-1)!]) {
    const row = reference.forward(next).slice(-config.vocabulary);
    rows.push(row);
    ids.push(row.indexOf(Math.max(...row)));
  }
  return { prompt, ids, rows, text: ids.map((id) => tokenizer.decode([id])).join('') };
}

/** Shares of a row of logits, by id. */
export function sharesOf(row: Float64Array): Float64Array {
  const top = Math.max(...row);
  const total = row.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
  return row.map((logit) => Math.exp(logit - top) / total);
}
