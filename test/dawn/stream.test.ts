// Loads a checkpoint of 1 GiB (in `npm test` a quarter of it) from disk to the GPU; memory beside the layers' buffers stays small. A
// software adapter's buffers are in this process's memory and are subtracted.
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findLayers, loadLayer, openModel } from '../../src/formats.js';
import { type LinearWeightQuant, requestDevice } from '../../src/index.js';
import { whole } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

const SIZE = whole ? 2 ** 30 : 2 ** 28; // larger than the limit by far enough
const LIMIT = 200e6;
const folder = await mkdtemp(join(tmpdir(), 'antiquant-'));
afterAll(() => rm(folder, { recursive: true }));

interface Tensor {
  readonly dtype: string;
  readonly shape: readonly number[];
}
const BYTES: Readonly<Record<string, number>> = { F32: 4, I32: 4, I8: 1, F16: 2 };
const sizeOf = ({ dtype, shape }: Tensor): number => shape.reduce((a, b) => a * b, BYTES[dtype]!);

/** A head of 32,000 outputs as bitsandbytes has it, then layers of 11,008 × 4,096, GPTQ and pack-quantized by turns, until the file is as large as it should be. */
function checkpoint(): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>([
    ['lm_head.weight', { dtype: 'I8', shape: [32000, 4096] }],
    ['lm_head.SCB', { dtype: 'F32', shape: [32000] }],
  ]);
  let total = [...tensors.values()].reduce((sum, tensor) => sum + sizeOf(tensor), 0);
  for (let i = 0; total < SIZE; i++) {
    const layer: Record<string, Tensor> =
      i % 2 === 0
        ? {
            qweight: { dtype: 'I32', shape: [512, 11008] },
            qzeros: { dtype: 'I32', shape: [32, 1376] },
            scales: { dtype: 'F16', shape: [32, 11008] },
          }
        : { weight_packed: { dtype: 'I32', shape: [11008, 512] }, weight_scale: { dtype: 'F16', shape: [11008, 32] } };
    for (const [name, tensor] of Object.entries(layer)) {
      tensors.set(`layers.${i}.${name}`, tensor);
      total += sizeOf(tensor);
    }
  }
  return tensors;
}

async function write(path: string): Promise<number> {
  let at = 0;
  const entries = [...checkpoint()].map(([name, tensor]) => {
    const begin = at;
    at += sizeOf(tensor);
    return [name, { ...tensor, data_offsets: [begin, at] }];
  });
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = new BigUint64Array([BigInt(header.length)]);
  // Noise that is finite in whatever dtype it is read: halves and floats below 1.
  const noise = Uint16Array.from({ length: 2 ** 22 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 16) & 0x3bff);
  const file = await open(path, 'w');
  await file.write(new Uint8Array(length.buffer));
  await file.write(header);
  for (let left = at; left > 0; left -= noise.byteLength)
    await file.write(new Uint8Array(noise.buffer, 0, Math.min(left, noise.byteLength)));
  await file.close();
  return 8 + header.length + at;
}

test(`${whole ? '1 GiB needs' : '256 MiB need'} less than 200 MB beside the GPU buffers`, async () => {
  const path = join(folder, 'model.safetensors');
  const size = await write(path);
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
  // A configuration speaks for all layers of a file, so each kind is found under its own.
  const file = await openModel(path);
  const configs = [
    undefined, // bitsandbytes needs none
    { quant_method: 'gptq', bits: 4, group_size: 128, desc_act: false, checkpoint_format: 'gptq' },
    {
      quant_method: 'compressed-tensors',
      format: 'pack-quantized',
      config_groups: {
        group_0: { targets: ['Linear'], weights: { num_bits: 4, type: 'int', symmetric: true, strategy: 'group', group_size: 128 } },
      },
    },
  ];
  const found = await Promise.all(configs.map((config) => findLayers(file, { config: config && { quantization_config: config } })));
  const layers = found.flatMap((one) => one.layers);
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
