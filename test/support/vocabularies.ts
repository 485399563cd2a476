// Vocabularies as metadata of GGUF files (scripts/goldens/vocabularies.mjs), and llama.cpp's ids for them. Holds no test.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Metadata = Readonly<Record<string, unknown>>;

interface Vocabularies {
  gpt2(pre?: string): Metadata;
  llama2(added?: readonly (readonly [string, number])[]): Promise<Metadata>;
  tied(seed: number): Metadata;
  draws(seed: number): (most: number) => number;
  ggufOf(metadata: Metadata): Uint8Array<ArrayBuffer>;
  readonly ADDED: readonly (readonly [string, number])[];
}

type Ids = readonly (readonly number[])[];

interface Goldens {
  readonly texts: readonly string[];
  readonly gpt2: Ids;
  /** Ids that differ from those of gpt2, by the number of the text. */
  readonly pres: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  readonly llama2: Ids;
  readonly specialTexts: readonly string[];
  readonly special: Readonly<Record<string, { readonly plain: Ids; readonly special: Ids }>>;
  readonly letters: readonly string[];
  readonly ties: readonly { readonly seed: number; readonly ids: Ids }[];
}

const root = join(import.meta.dirname, '../..');
export const { gpt2, llama2, tied, draws, ggufOf, ADDED }: Vocabularies = await import(join(root, 'scripts/goldens/vocabularies.mjs'));
export const goldens: Goldens = JSON.parse(readFileSync(join(root, 'test/fixtures/llm/tokenizers.json'), 'utf8'));
