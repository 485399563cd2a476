// Loads a checkpoint of 1 GiB (in `npm test` a quarter of it) from disk to the GPU; memory beside the layers' buffers stays small. A
// software adapter's buffers are in this process's memory and are subtracted.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadLayer, openModel } from '../../src/formats.js';
import { type LinearWeightQuant, requestDevice } from '../../src/index.js';
import { whole } from '../cases/slice.js';
import { checkpointLayers, writeCheckpoint } from '../support/checkpoint.js';
import { gpu } from '../support/dawn.js';

const SIZE = whole ? 2 ** 30 : 2 ** 28; // larger than the limit by far enough
const LIMIT = 200e6;
const folder = await mkdtemp(join(tmpdir(), 'antiquant-'));
afterAll(() => rm(folder, { recursive: true }));

test(`${whole ? '1 GiB needs' : '256 MiB need'} less than 200 MB beside the GPU buffers`, async () => {
  const path = join(folder, 'model.safetensors');
  const size = await writeCheckpoint(path, SIZE);
  expect(size).toBeGreaterThan(SIZE);
  const device = await requestDevice({ gpu });
  // Layers' own buffers, as they come and go; what is uploaded from is not among them.
  let buffers = 0;
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    if (!/^antiquant (w|scale|offset)\d|^antiquant column/.test(descriptor.label ?? '')) return buffer;
    buffers += descriptor.size;
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      buffers -= descriptor.size;
      destroy();
    };
    return buffer;
  };
  const layers = await checkpointLayers(await openModel(path));
  expect(new Set(layers.map(({ format }) => format)).size).toBe(3);
  expect(layers.length).toBeGreaterThan(whole ? 30 : 5);
  // The first layer compiles the shaders that all of them share.
  (await loadLayer(device, layers[1]!, { dtype: 'float32' })).destroy();
  expect(buffers).toBe(0);
  const before = process.memoryUsage().rss;
  let peak = 0;
  const sample = (): void => {
    peak = Math.max(peak, process.memoryUsage().rss - before - buffers);
  };
  const timer = setInterval(sample, 5);
  const start = performance.now();
  const loaded: LinearWeightQuant[] = [];
  for (const source of layers) {
    loaded.push(await loadLayer(device, source, { dtype: 'float32', onProgress: sample }));
  }
  const seconds = (performance.now() - start) / 1000;
  clearInterval(timer);
  console.log(
    `${(size / 1e6).toFixed(0)} MB in ${layers.length} layers: ${(buffers / 1e6).toFixed(0)} MB of GPU buffers, at most ${(peak / 1e6).toFixed(0)} MB ` +
      `of memory beside them, ${(size / 1e6 / seconds).toFixed(0)} MB/s`,
  );
  for (const layer of loaded) layer.destroy();
  expect(peak).toBeLessThan(LIMIT);
}, 300_000);
