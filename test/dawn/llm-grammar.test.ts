// JSON that fits a schema, of a model that has read no JSON: the example of docs/llm.md, run as it stands there, on an Llm and on an LlmWorker.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { requestDevice } from '../../src/index.js';
import { ArgumentError, type Candidate, type CompleteOptions, Llm, LlmWorker, type Piece, type TokenBytes } from '../../src/llm.js';
import { gpu } from '../support/dawn.js';
import { channelWorker, closeChannels } from '../support/llm-worker.js';
import { xgrammar } from '../support/xgrammar.js';

const root = join(import.meta.dirname, '../..');
const example = /### JSON that fits a schema[\s\S]*?```js\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs/llm.md'), 'utf8'))![1]!;
const bytes = new Uint8Array(readFileSync(join(root, 'models/kjv.gguf')));
Object.defineProperty(globalThis.navigator ?? Object.defineProperty(globalThis, 'navigator', { value: {} }).navigator, 'gpu', {
  value: gpu,
  configurable: true,
});

const schema = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 24 },
    kind: { enum: ['prophet', 'king', 'shepherd'] },
    years: { type: 'integer', minimum: 1, maximum: 969 },
    sons: { type: 'array', items: { type: 'string', maxLength: 8 }, minItems: 1, maxItems: 3 },
    just: { type: 'boolean' },
  },
  required: ['name', 'kind', 'years', 'sons', 'just'],
  additionalProperties: false,
};
/** Why a value does not fit the schema. */
function faultOf(value: unknown): string | undefined {
  const { name, kind, years, sons, just, ...rest } = value as Record<string, unknown>;
  const isText = (text: unknown, most: number): boolean => typeof text === 'string' && [...text].length <= most;
  if (!isText(name, 24)) return 'name';
  if (!['prophet', 'king', 'shepherd'].includes(kind as string)) return 'kind';
  if (!(Number.isInteger(years) && (years as number) >= 1 && (years as number) <= 969)) return 'years';
  if (!(Array.isArray(sons) && sons.length >= 1 && sons.length <= 3 && sons.every((son) => isText(son, 8)))) return 'sons';
  if (typeof just !== 'boolean') return 'just';
  return Object.keys(rest).length > 0 ? 'more' : undefined;
}

/** What the example uses of a model. */
interface Speaking {
  vocabulary(): Promise<TokenBytes>;
  complete(text: string, options?: CompleteOptions): AsyncIterable<Piece>;
}
const PROMPT = 'And the king had a servant, and ';
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as new (
  ...words: string[]
) => (...given: unknown[]) => Promise<string>;

/** Runs the example with chances of a seed. */
function asked(llm: Speaking, seed: number): Promise<string> {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const given = { ...grammars, llm, schema, prompt: PROMPT, Math: Object.create(Math, { random: { value: random } }) };
  return new AsyncFunction(...Object.keys(given), `${example}\nmatcher.dispose();\nreturn json;`)(...Object.values(given));
}

/** A model that tells what its samplers were given, and chose. */
function watched(llm: Speaking, seen: (candidates: readonly Candidate[], id: number) => void): Speaking {
  return {
    vocabulary: () => llm.vocabulary(),
    complete: (text, { sampler, ...options } = {}) =>
      llm.complete(text, {
        ...options,
        sampler: async (candidates) => {
          const id = await sampler!(candidates);
          seen(candidates, id);
          return id;
        },
      }),
  };
}

const grammars = xgrammar();
const device = await requestDevice({ gpu });
const llm = await Llm.load(bytes, { device });
afterAll(() => {
  llm.destroy();
  device.destroy();
});
afterEach(closeChannels);

test('the vocabulary is the bytes of the ids, of which texts are made', async () => {
  const { tokens, stops } = await llm.vocabulary();
  const tokenizer = await llm.tokenizer();
  expect(tokens).toHaveLength(llm.config.vocabulary);
  expect(stops).toEqual([...tokenizer.stops]);
  for (const text of ['In the beginning', 'naïve “words” — 𝄞\n']) {
    const ids = tokenizer.encode(text);
    expect(Buffer.concat(ids.map((id) => tokens[id]!)).toString()).toBe(text);
  }
  for (const id of stops) expect(tokens[id]).toHaveLength(0);
});

describe('the example', () => {
  const answers: string[] = [];
  test.each([1, 2, 3, 4, 5])('answers with JSON that fits the schema, seed %i', async (seed) => {
    let outside = 0;
    const json = await asked(
      watched(llm, (candidates, id) => {
        if (!candidates.some((one) => one.id === id)) outside++;
      }),
      seed,
    );
    answers.push(json);
    expect(faultOf(JSON.parse(json)), json).toBeUndefined();
    expect(outside, 'ids that were none of the candidates').toBeGreaterThan(0);
  });
  test('answers differ by seed, and without the sampler the model says no JSON', async () => {
    expect(new Set(answers).size).toBeGreaterThan(3);
    let text = '';
    for await (const piece of llm.complete(PROMPT, { maxTokens: 60 })) text += piece.text;
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
  });
  test('is the same on an LlmWorker', async () => {
    const worker = await LlmWorker.load(bytes, { worker: () => channelWorker() });
    expect(await worker.vocabulary()).toEqual(await llm.vocabulary());
    for (const seed of [1, 2]) expect(await asked(worker, seed)).toBe(answers[seed - 1]);
    worker.destroy();
  });
});

test.each(['Llm', 'LlmWorker'])('an %s ends with an ArgumentError where a sampler finds no id that fits, and goes on', async (which) => {
  const speaking = which === 'Llm' ? llm : await LlmWorker.load(bytes, { worker: () => channelWorker() });
  const textOf = async (options: CompleteOptions): Promise<string> => {
    let text = '';
    for await (const piece of speaking.complete(PROMPT, { maxTokens: 6, ...options })) text += piece.text;
    return text;
  };
  const want = await textOf({});
  for (const none of [-1, undefined, null]) {
    let turns = 0;
    const sampler = ([first]: readonly Candidate[]): number => (turns++ < 2 ? first!.id : (none as number));
    const error = await textOf({ sampler }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ArgumentError);
    expect(error).toMatchObject({ argument: 'what sampler returns' });
    expect(await textOf({})).toBe(want);
  }
  if (which === 'LlmWorker') speaking.destroy();
});
