// loadLayers on layers of real sizes: bytes on their way within the limits, and its time beside that of reading and of packing alone, in turns.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { layerBytes, openModel, readMatrix } from '../../src/formats.js';
import { LinearWeightQuant, requestDevice } from '../../src/index.js';
import { loadThrough } from '../../src/loading/load-layers.js';
import { Traffic } from '../../src/loading/traffic.js';
import { checkpointLayers, writeCheckpoint } from '../support/checkpoint.js';
import { gpu } from '../support/dawn.js';

const folder = await mkdtemp(join(tmpdir(), 'antiquant-'));
afterAll(() => rm(folder, { recursive: true }));

const ROUNDS = 3;
const OPTIONS = { dtype: 'float32', plan: { selfTest: false } } as const;
const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
};
const least = (times: readonly number[]): number => Math.min(...times);

test('loading takes at most 1.5 times reading plus packing, and no more memory than it may', async () => {
  const path = join(folder, 'model.safetensors');
  await writeCheckpoint(path, 2 ** 28);
  const layers = await checkpointLayers(await openModel(path));
  const of = (format: RegExp) => layers.filter((layer) => format.test(layer.format)).slice(0, 2);
  const lists = [of(/GPTQ/), of(/compressed/)];
  expect(lists.map(({ length }) => length)).toEqual([2, 2]);
  const bytes = lists.flat().reduce((sum, layer) => sum + layerBytes(layer), 0);
  const device = await requestDevice({ gpu });
  const [read, pack, load]: [number[], number[], number[]] = [[], [], []];
  // The first round compiles, and reads the file into the system's cache.
  for (let round = 0; round <= ROUNDS; round++) {
    let [reading, packing] = [0, 0];
    for (const source of lists.flat()) {
      let matrix: Awaited<ReturnType<typeof readMatrix>> | undefined;
      reading += await seconds(async () => {
        matrix = await readMatrix(source);
      });
      const { n, k } = source;
      const layer = new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, ...OPTIONS });
      packing += await seconds(async () => {
        layer.loadMatrix(matrix!);
        await device.queue.onSubmittedWorkDone();
      });
      layer.destroy();
    }
    const traffic = new Traffic(device);
    let loaded: LinearWeightQuant[] = [];
    const loading = await seconds(async () => {
      loaded = (await loadThrough(traffic, lists, OPTIONS)).flat();
    });
    for (const layer of loaded) layer.destroy();
    expect(traffic.mostInFlight).toBeLessThanOrEqual(32 * 2 ** 20);
    expect(traffic.mostInHands).toBeLessThanOrEqual(64 * 2 ** 20);
    if (round === 0) continue;
    read.push(reading);
    pack.push(packing);
    load.push(loading);
    const mb = (count: number) => `${(count / 2 ** 20).toFixed(1)} MiB`;
    console.log(
      `${(bytes / 1e6).toFixed(0)} MB: read ${reading.toFixed(2)} s, packed ${packing.toFixed(2)} s, loaded side by side ${loading.toFixed(2)} s, ` +
        `${(loading / (reading + packing)).toFixed(2)} of both; ${mb(traffic.mostInFlight)} in flight, ${mb(traffic.mostInHands)} in hands`,
    );
  }
  expect(least(load)).toBeLessThanOrEqual(1.5 * (least(read) + least(pack)));
  device.destroy();
}, 300_000);
