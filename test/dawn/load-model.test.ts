// loadModel: every layer of a file by its name, equal to what loadLayer makes of it; what is skipped is told, and after an error nothing is left.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { FormatError, findLayers, loadLayer, loadModel, openModel, type Progress } from '../../src/formats.js';
import { type LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { gpu } from '../support/dawn.js';
import { fakeOpfs } from '../support/fake-opfs.js';
import { type MadeTensor, makeSafetensors, makeShards } from '../support/files.js';
import { normals } from '../support/normal-weights.js';
import { randoms } from '../support/tensors.js';

const device = await requestDevice({ gpu });
const alive = aliveBuffers(device);
const folder = mkdtempSync(join(tmpdir(), 'antiquant-load-model-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  device.destroy();
});

const K = 64;
const made = (name: string, dtype: string, shape: readonly number[], { buffer }: { readonly buffer: ArrayBufferLike }): MadeTensor => ({
  name,
  dtype,
  shape,
  bytes: new Uint8Array(buffer),
});
/** Two layers of int8, a float matrix with a bias, an embedding, a norm. */
const tensors = (scale = 0.5): MadeTensor[] => [
  ...['q', 'k'].flatMap((name, i) => [
    made(`${name}.weight`, 'I8', [16, K], Int8Array.from(randoms(i + 1, 16 * K, -100, 100))),
    made(`${name}.weight_scale`, 'F32', [16, 1], new Float32Array(16).fill(scale)),
  ]),
  made('up.weight', 'F32', [24, K], normals('up', 24 * K)),
  made('up.bias', 'F32', [24], Float32Array.from(randoms(9, 24, -9, 9))),
  made('embed.weight', 'F32', [32, K], normals('embed', 32 * K)),
  made('norm.weight', 'F32', [K], new Float32Array(K)),
];
const PLAN = { plan: { selfTest: false, force: { kernel: 'matmul-plain' } } } as const; // which compiles fast
const FLOAT32 = { dtype: 'float32', ...PLAN } as const;
const x = Tensor.from(device, Float32Array.from(randoms(5, 2 * K, -3, 3)), { shape: [2, K], dtype: 'float32' });
const numbers = async (layer: LinearWeightQuant): Promise<number[]> => {
  const y = layer.forward(x);
  const values = [...((await y.read()) as Float32Array)];
  y.destroy();
  return values;
};

const path = join(folder, 'model.safetensors');
writeFileSync(path, makeSafetensors(tensors()));

test('every layer equals that of loadLayer, floats with their bias, in every bit; bytes are told', async () => {
  const told: Progress[] = [];
  const model = await loadModel(device, path, { ...FLOAT32, quantize: 'int8', onProgress: (progress) => told.push(progress) });
  expect([...model.keys()]).toEqual(['q', 'k', 'up', 'embed']);
  expect(model.skipped).toEqual([]);
  const file = await openModel(path);
  const { layers } = await findLayers(file);
  const info = (name: string) => file.tensors.get(name)!;
  const alone: Record<string, LinearWeightQuant> = {
    q: await loadLayer(device, layers.find(({ name }) => name === 'q')!, FLOAT32),
    up: await loadLayer(device, info('up.weight'), { ...FLOAT32, quantize: 'int8', bias: info('up.bias') }),
    embed: await loadLayer(device, info('embed.weight'), { ...FLOAT32, quantize: 'int8' }),
  };
  for (const [name, layer] of Object.entries(alone)) expect(await numbers(model.get(name)!), name).toEqual(await numbers(layer));
  const bytes = 2 * (16 * K + 64) + 4 * 56 * K;
  for (const phase of ['read', 'pack'] as const) {
    const done = told.filter((one) => one.phase === phase).map((one) => one.done);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done.at(-1)).toBe(bytes);
  }
  expect(new Set(told.map(({ total }) => total))).toEqual(new Set([bytes]));
  for (const layer of Object.values(alone)) layer.destroy();
  model.destroy();
  expect(() => model.get('q')!.forward(x)).toThrow(/destroyed/);
});

test('without quantize floats are skipped, with the reason; `only` chooses', async () => {
  const model = await loadModel(device, path, PLAN);
  expect([...model.keys()]).toEqual(['q', 'k']);
  expect(model.skipped.map(({ name }) => name)).toEqual(['up', 'embed']);
  expect(model.skipped[0]!.why).toMatch(/F32: the option quantize/);
  model.destroy();
  const one = await loadModel(device, path, { ...PLAN, quantize: 'int8', only: (name) => name === 'up' });
  expect([[...one.keys()], one.skipped]).toEqual([['up'], []]);
  one.destroy();
});

describe('from', () => {
  const names = async (from: Parameters<typeof loadModel>[1], options = {}): Promise<string[]> => {
    const model = await loadModel(device, from, { ...PLAN, ...options });
    const found = [...model.keys()];
    model.destroy();
    return found;
  };
  const shards = makeShards([tensors().slice(0, 2), tensors().slice(2, 4)]);
  const files = [...shards].map(([name, bytes]) => new File([bytes], name));

  test('a file URL, bytes, a File, Files', async () => {
    expect(await names(pathToFileURL(path))).toEqual(['q', 'k']);
    expect(await names(makeSafetensors(tensors()))).toEqual(['q', 'k']);
    expect(await names(new File([makeSafetensors(tensors())], 'a.safetensors'))).toEqual(['q', 'k']);
    expect(await names(files)).toEqual(['q', 'k']);
  });

  /** A server of files by name; it logs what was asked. */
  const serving = (files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>) => {
    const log: string[] = [];
    const fetch = (async (from: string, init: RequestInit) => {
      const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get('Range') ?? '') ?? [];
      log.push(from);
      const file = Object.entries(files).find(([name]) => from.endsWith(`/${name}`))?.[1];
      if (!file) return new Response(null, { status: 404 });
      const end = Math.min(Number(last) + 1, file.length);
      const headers = { ETag: '"1"', 'Content-Range': `bytes ${begin}-${end - 1}/${file.length}` };
      return new Response(file.slice(Number(begin), end), { status: 206, headers });
    }) as typeof globalThis.fetch;
    return { log, fetch };
  };

  test('a hub: its URL, and the configuration beside it', async () => {
    const { log, fetch } = serving({ 'model.safetensors': makeSafetensors(tensors()), 'config.json': new TextEncoder().encode('{}') });
    expect(await names('hf:org/name@v1/model.safetensors', { fetch })).toEqual(['q', 'k']);
    const base = 'https://huggingface.co/org/name/resolve/v1/';
    expect(log[0]).toBe(`${base}model.safetensors`);
    expect(log).toContain(`${base}config.json`);
    expect(log.every((url) => url.startsWith(base))).toBe(true);
    await expect(names('hf:org/name/none.gguf', { fetch })).rejects.toMatchObject({ errorCode: 'ANTIQUANT_READ', missing: true });
    await expect(names('hf:org/none.gguf', { fetch })).rejects.toMatchObject({ errorCode: 'ANTIQUANT_ARGUMENT' });
  });

  test('the cache of a URL: bytes are fetched once', async () => {
    const { storage } = fakeOpfs();
    vi.stubGlobal('navigator', { storage });
    try {
      const { log, fetch } = serving({ 'model.safetensors': makeSafetensors(tensors()) });
      const weights = () => log.filter((url) => url.endsWith('model.safetensors')).length;
      const from = 'https://models.test/a/model.safetensors';
      expect(await names(from, { fetch, cache: true })).toEqual(['q', 'k']);
      const first = weights();
      expect(await names(from, { fetch, cache: true })).toEqual(['q', 'k']);
      expect(first).toBeGreaterThan(0);
      expect(weights() - first).toBeLessThanOrEqual(1); // it asks for the version
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test('the configuration beside it, among the files, or given', async () => {
    // Of GPTQ, where only the configuration says how wide codes are.
    const groups = { qweight: ['I32', [8, 8], 64], qzeros: ['I32', [2, 1], 2], scales: ['F16', [2, 8], 8] } as const;
    const gptq = Object.entries(groups).map(([part, [dtype, shape, words]]) =>
      made(`a.${part}`, dtype, shape, part === 'scales' ? new Uint16Array(16).fill(0x3c00) : new Uint32Array(words)),
    );
    const config = { quantization_config: { quant_method: 'gptq', bits: 4, group_size: 32 } };
    mkdirSync(join(folder, 'gptq'));
    writeFileSync(join(folder, 'gptq', 'model.safetensors'), makeSafetensors(gptq));
    writeFileSync(join(folder, 'gptq', 'config.json'), JSON.stringify(config));
    const weights = new File([makeSafetensors(gptq)], 'model.safetensors');
    expect(await names(join(folder, 'gptq', 'model.safetensors'))).toEqual(['a']);
    expect(await names([weights, new File([JSON.stringify(config)], 'config.json')])).toEqual(['a']);
    expect(await names(weights, { config })).toEqual(['a']);
  });
});

describe('after an error nothing is left', () => {
  test('a layer that contradicts its format', async () => {
    await expect(loadModel(device, makeSafetensors(tensors(Number.NaN)), PLAN)).rejects.toBeInstanceOf(FormatError);
    expect(alive.labels()).toEqual([]);
  });
  test('an abort among the floats', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = ({ done }: Progress): void => {
      if (done > 2 * (16 * K + 64)) controller.abort(reason);
    };
    const loading = loadModel(device, path, { ...PLAN, quantize: 'int8', signal: controller.signal, onProgress });
    await expect(loading).rejects.toBe(reason);
    expect(alive.labels()).toEqual([]);
  });
});
