// loadLayer after an error or an abort: nothing stays on the GPU, and the error says why.
import { expect, test } from 'vitest';
import { byteSource, FormatError, findLayers, type LayerSource, loadLayer, type Progress, type TensorFile } from '../../src/formats.js';
import { requestDevice } from '../../src/index.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { gpu } from '../support/dawn.js';
import { loseWhile } from '../support/lost-device.js';

const device = await requestDevice({ gpu });
const alive = aliveBuffers(device);

/** 64 × 256 int8 with a bias, whose row `bad` has a scale that is no number. */
async function layer(bad = -1): Promise<LayerSource> {
  const scale = new Float32Array(64).fill(0.5);
  if (bad >= 0) scale[bad] = Number.NaN;
  const tensors = {
    'a.weight': { dtype: 'I8', shape: [64, 256], bytes: new Uint8Array(64 * 256).fill(3) },
    'a.weight_scale': { dtype: 'F32', shape: [64, 1], bytes: new Uint8Array(scale.buffer) },
    'a.bias': { dtype: 'F32', shape: [64], bytes: new Uint8Array(new Float32Array(64).fill(1).buffer) },
  };
  const entries = await Promise.all(
    Object.entries(tensors).map(async ([name, { bytes, ...rest }]) => {
      const source = await byteSource(bytes);
      return [name, { name, ...rest, source, begin: 0, end: bytes.length }] as const;
    }),
  );
  const file: TensorFile = { kind: 'safetensors', name: 'made', metadata: {}, tensors: new Map(entries) };
  return (await findLayers(file)).layers[0]!;
}
const PIECES = { chunkBytes: 2000, dtype: 'float32' } as const;

test('a whole load leaves the layer’s own buffers, and progress ends at the end', async () => {
  const told: [number, number][] = [];
  const loaded = await loadLayer(device, await layer(), {
    ...PIECES,
    onProgress: ({ phase, done, total }) => told.push([phase === 'read' ? done : Number.NaN, total]),
  });
  expect(alive.labels()).toEqual(['antiquant columnBias', 'antiquant scale0', 'antiquant w0']);
  expect(told.length).toBeGreaterThan(5);
  expect(told.every(([done, total], i) => total === told[0]![1] && done > (told[i - 1]?.[0] ?? 0))).toBe(true);
  expect(told.at(-1)![0]).toBe(64 * 256 + 64 * 4);
  loaded.destroy();
  expect(alive.labels()).toEqual([]);
});

test('weights are rounded to the dtype if that is asked for', async () => {
  const options = { ...PIECES, dtype: 'float16', plan: { selfTest: false } } as const;
  for (const [weightRounding, ROUND] of [
    ['dtype', 1],
    ['none', 0],
  ] as const) {
    const loaded = await loadLayer(device, await layer(), { ...options, weightRounding });
    expect(loaded.explain(1).params).toMatchObject({ ROUND });
    loaded.destroy();
  }
});

test('aborted between pieces: the reason, and no buffer', async () => {
  const abort = new AbortController();
  const reason = new Error('enough');
  const onProgress = ({ done }: Progress): void => {
    if (done > 8000) abort.abort(reason);
  };
  await expect(loadLayer(device, await layer(), { ...PIECES, onProgress, signal: abort.signal })).rejects.toBe(reason);
  expect(alive.labels()).toEqual([]);
});

test('a scale that is NaN in a later piece: a FormatError, and no buffer', async () => {
  const failed = loadLayer(device, await layer(40), PIECES);
  await expect(failed).rejects.toThrow(FormatError);
  await expect(failed).rejects.toThrow('a.weight_scale');
  expect(alive.labels()).toEqual([]);
});

test('a device that is lost half-way: its error', async () => {
  const source = await layer();
  await expect(loseWhile((own, onProgress) => loadLayer(own, source, { ...PIECES, onProgress }))).rejects.toThrow(/lost/);
});
