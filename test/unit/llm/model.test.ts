// models/kjv.gguf: its header, its size, and its weights as this package reads them against those of scripts/model, which wrote it. The fixture
// is by scripts/model/forward.py and names the file by its hash.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type GgufArray, readGgufArray } from '../../../src/files/gguf-values.js';
import { openModel, readTensor } from '../../../src/files/open-file.js';
import { asFloats } from '../../../src/files/raw-tensor.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { dequantize } from '../../../src/problem/matrix.js';

const root = join(import.meta.dirname, '../../..');
const bytes = readFileSync(join(root, 'models/kjv.gguf'));
interface Fixture {
  readonly file: string;
  readonly ids: readonly number[];
  readonly norm: number;
  /** The greatest logits with their ids. */
  readonly top: readonly (readonly [number, number])[];
  /** Row of the embedding → its first values. */
  readonly embedding: Readonly<Record<string, readonly number[]>>;
  /** Of a tensor's float32 values, zeros without a sign. */
  readonly sha256: Readonly<Record<string, string>>;
}
const fixture: Fixture = JSON.parse(readFileSync(join(root, 'test/fixtures/llm/kjv-logits.json'), 'utf8'));
const hash = (of: Uint8Array): string => createHash('sha256').update(of).digest('hex');
const file = await openModel(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));

const [VOCABULARY, WIDTH, INNER, KV, LAYERS] = [1024, 256, 512, 128, 3];
/** Name → GGUF's type, and the shape with the outputs first. */
const tensors: Readonly<Record<string, readonly [string, readonly number[]]>> = {
  'token_embd.weight': ['Q6_K', [VOCABULARY, WIDTH]],
  'output_norm.weight': ['F32', [WIDTH]],
  ...Object.fromEntries(
    Array.from({ length: LAYERS }, (_, layer) =>
      Object.entries({
        attn_norm: ['F32', [WIDTH]],
        attn_q: ['Q4_K', [WIDTH, WIDTH]],
        attn_k: ['Q4_K', [KV, WIDTH]],
        attn_v: ['Q6_K', [KV, WIDTH]],
        attn_output: ['Q4_K', [WIDTH, WIDTH]],
        ffn_norm: ['F32', [WIDTH]],
        ffn_gate: ['Q4_K', [INNER, WIDTH]],
        ffn_up: ['Q4_K', [INNER, WIDTH]],
        ffn_down: ['Q6_K', [WIDTH, INNER]],
      } as const).map(([name, of]) => [`blk.${layer}.${name}.weight`, of] as const),
    ).flat(),
  ),
};

test('is the file that the fixture and the README speak of, of at most 1.5 MB', () => {
  expect(hash(bytes)).toBe(fixture.file);
  expect(bytes.length).toBeLessThanOrEqual(1_500_000);
  expect(readFileSync(join(root, 'models/README.md'), 'utf8')).toContain(`${bytes.length.toLocaleString('en')} bytes`);
});

describe('the header', () => {
  test('a llama of these sizes', () => {
    expect(file.metadata).toMatchObject({
      'general.architecture': 'llama',
      'general.name': 'kjv',
      'general.license': 'apache-2.0',
      'llama.context_length': 256,
      'llama.embedding_length': WIDTH,
      'llama.block_count': LAYERS,
      'llama.feed_forward_length': INNER,
      'llama.attention.head_count': 4,
      'llama.attention.head_count_kv': 2,
      'llama.attention.layer_norm_rms_epsilon': Math.fround(1e-5),
      'llama.rope.dimension_count': 64,
      'llama.rope.freq_base': 10000,
      'llama.vocab_size': VOCABULARY,
    });
  });

  test('a vocabulary of GPT-2’s form', async () => {
    expect(file.metadata).toMatchObject({
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': 'gpt-2',
      'tokenizer.ggml.bos_token_id': VOCABULARY - 1,
      'tokenizer.ggml.eos_token_id': VOCABULARY - 1,
      'tokenizer.ggml.add_bos_token': true,
      'tokenizer.ggml.add_eos_token': false,
    });
    const [pieces, kinds, merges] = await Promise.all(
      ['tokens', 'token_type', 'merges'].map(async (key) => {
        const found = file.metadata[`tokenizer.ggml.${key}`];
        return Array.isArray(found) ? found : await readGgufArray(found as GgufArray);
      }),
    );
    expect(new Set(pieces).size).toBe(VOCABULARY);
    expect(pieces!.at(-1)).toBe('<|endoftext|>');
    expect(kinds).toEqual(Array.from({ length: VOCABULARY }, (_, id) => (id === VOCABULARY - 1 ? 3 : 1)));
    // All bytes are pieces, and each merge joins two pieces that were there before to the next one.
    expect(pieces!.slice(0, 256).every((piece) => (piece as string).length === 1)).toBe(true);
    const before = new Set(pieces!.slice(0, 256));
    for (const [n, merge] of merges!.entries()) {
      const pair = (merge as string).split(' ');
      expect(pair.length === 2 && pair.every((piece) => before.has(piece)), merge as string).toBe(true);
      expect(pieces![256 + n]).toBe(pair.join(''));
      before.add(pair.join(''));
    }
    expect(merges).toHaveLength(VOCABULARY - 257);
  });

  test('tensors of these types and shapes, and no others', () => {
    expect(Object.fromEntries([...file.tensors.values()].map(({ name, dtype, shape }) => [name, [dtype, shape]]))).toEqual(tensors);
  });
});

describe('weights are those that the writer meant', async () => {
  const { layers } = await findLayers(file);
  const values = async (name: string): Promise<Float32Array> => {
    const layer = layers.find((one) => `${one.name}.weight` === name);
    if (layer) return dequantize(await readMatrix(layer));
    return asFloats(await readTensor(file.tensors.get(name)!));
  };

  test.each(Object.keys(tensors))('%s', async (name) => {
    const found = (await values(name)).map((value) => value + 0);
    expect(hash(new Uint8Array(found.buffer, found.byteOffset, found.byteLength))).toBe(fixture.sha256[name]);
  });

  test('rows of the embedding', async () => {
    const found = await values('token_embd.weight');
    for (const [row, wanted] of Object.entries(fixture.embedding))
      expect([...found.subarray(+row * WIDTH, +row * WIDTH + wanted.length)]).toEqual(wanted);
  });
});

test('the fixture’s logits are in order, below their norm, and of ids of the vocabulary', () => {
  expect(fixture.ids[0]).toBe(VOCABULARY - 1);
  expect(fixture.top).toHaveLength(32);
  const size = Math.hypot(...fixture.top.map(([, logit]) => logit));
  expect(size).toBeLessThan(fixture.norm);
  for (const [n, [id, logit]] of fixture.top.entries()) {
    expect(Number.isInteger(id) && id >= 0 && id < VOCABULARY).toBe(true);
    if (n > 0) expect(logit).toBeLessThanOrEqual(fixture.top[n - 1]![1]);
  }
});
