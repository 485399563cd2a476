// What a model takes on the GPU against what was told before, and models that the device cannot hold.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { UnsupportedError } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { FOLDER_FORMATS, type FolderFormatName } from '../support/folder-formats.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';
import { asFiles, filesOf, folderParts } from '../support/model-folder.js';

const device = await llmDevice();
const alive = aliveBuffers(device);

/** At 256 positions the cache is whole from the beginning. */
const CONTEXT = 256;
// Layers side by side begin at multiples of 256 bytes, which small models feel.
const NEAR = 0.1;

async function check(from: Parameters<typeof Llm.estimate>[0], ordered = false): Promise<void> {
  const told = await Llm.estimate(from, { device, context: CONTEXT, kv: 'f32' });
  expect(told.context).toBe(CONTEXT);
  expect(told.total).toBe(told.weights + told.cache + told.rows + told.logits + told.loading);
  const llm = await Llm.load(from, { device, context: CONTEXT, kv: 'f32' });
  const { memory } = llm.explain();
  // Whether GPTQ's inputs have an order, g_idx says when it is read: room for two products is told.
  expect(told).toMatchObject({ cache: memory.cache, logits: memory.logits });
  if (!ordered) expect(told.rows).toBe(memory.rows);
  expect(told.rows).toBeGreaterThanOrEqual(memory.rows);
  const taken = alive.bytes();
  const without = told.total - told.loading;
  expect(Math.abs(without / taken - 1), `${without} told, ${taken} taken`).toBeLessThan(NEAR);
  llm.destroy();
}

describe('weights, cache and scratch are near what was told', () => {
  test.each(Object.keys(FOLDER_FORMATS) as FolderFormatName[])('%s', async (format) => {
    const sizes = { layers: 2, width: 256, heads: 8, kvHeads: 8, feedForward: 512 };
    const type = format === 'gpt-oss' ? 'gpt_oss' : 'llama';
    await check(asFiles(filesOf(folderParts({ type, format, sizes }))), format.startsWith('GPTQ'));
  });

  test.each<ModelOptions>([
    { architecture: 'llama', type: 'Q4_0' },
    { architecture: 'qwen2', type: 'Q8_0', tied: true },
    { architecture: 'qwen3', type: 'Q4_K' },
    { architecture: 'llama', type: 'Q6_K' },
  ])('$architecture $type', async (options) => {
    await check(modelFile({ ...options, sizes: { layers: 2, feedForward: 1024 } }));
  });
});

test('headers alone are read, and no device is needed', async () => {
  const bytes = modelFile({ architecture: 'llama' });
  const reads: number[] = [];
  const read = async (begin: number, end: number) => {
    reads.push(end);
    return bytes.slice(begin, end);
  };
  const source = { name: 'm.gguf', size: bytes.length, read };
  const [short, long] = [await Llm.estimate(source, { context: 512 }), await Llm.estimate(source)];
  expect(Math.max(...reads)).toBeLessThan(bytes.length / 2);
  expect(long.context).toBe(2048);
  expect(long.cache).toBe(4 * short.cache);
  expect((await Llm.estimate(source, { context: 512, kv: 'f32' })).cache).toBe(2 * short.cache);
  await expect(Llm.estimate(source, { context: 4096 })).rejects.toThrow('context: expected at most 2048');
});

describe('a model that the device cannot hold is refused with its parts, before weights are read', () => {
  afterEach(() => vi.restoreAllMocks());
  const unread = { onProgress: () => expect.fail('weights were read') };
  const PARTS = /weights \d+ MiB; a cache of \d+ positions \d+ MiB; rows of prompts \d+ MiB; loading \d+ MiB; together \d+ MiB/;

  test('for want of memory', async () => {
    const file = modelFile({ architecture: 'llama', sizes: { layers: 1 } });
    vi.spyOn(device, 'createBuffer').mockImplementation(() => {
      throw new RangeError('the end of memory');
    });
    const load = () => Llm.load(file, { device, ...unread });
    await expect(load()).rejects.toThrow(UnsupportedError);
    await expect(load()).rejects.toThrow(PARTS);
    await expect(load()).rejects.toThrow(/the end of memory/);
  });

  test('by an error of the GPU', async () => {
    const file = modelFile({ architecture: 'llama', sizes: { layers: 1 } });
    vi.spyOn(device, 'popErrorScope').mockImplementation(async () => ({ message: 'out of memory' }) as GPUError);
    await expect(Llm.load(file, { device, ...unread })).rejects.toThrow(/no GPU memory: out of memory; weights/);
    for (let scopes = 2; scopes > 0; scopes--) {
      vi.restoreAllMocks();
      await device.popErrorScope();
    }
    expect(alive.bytes()).toBe(0);
  });

  test('for a cache that no binding holds', async () => {
    const file = modelFile({ architecture: 'llama', sizes: { layers: 1, kvHeads: 8, contextLength: 2 ** 24 } });
    const load = () => Llm.load(file, { device, context: 2 ** 22, kv: 'f32', ...unread });
    await expect(load()).rejects.toThrow(/keys of a layer at 4194304 positions need 4294967296 bytes, the largest binding has/);
    await expect(load()).rejects.toThrow(PARTS);
  });
});
