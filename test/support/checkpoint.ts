// A checkpoint of real sizes on disk, with layers of three formats. Holds no test.
import { open } from 'node:fs/promises';
import { findLayers, type LayerSource, type TensorFile } from '../../src/formats.js';

interface Tensor {
  readonly dtype: string;
  readonly shape: readonly number[];
}
const BYTES: Readonly<Record<string, number>> = { F32: 4, I32: 4, I8: 1, F16: 2 };
const sizeOf = ({ dtype, shape }: Tensor): number => shape.reduce((a, b) => a * b, BYTES[dtype]!);

/** A head of 32,000 outputs as bitsandbytes has it, then layers of 11,008 × 4,096, GPTQ and pack-quantized by turns, until the file is as large as it should be. */
function checkpoint(size: number): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>([
    ['lm_head.weight', { dtype: 'I8', shape: [32000, 4096] }],
    ['lm_head.SCB', { dtype: 'F32', shape: [32000] }],
  ]);
  let total = [...tensors.values()].reduce((sum, tensor) => sum + sizeOf(tensor), 0);
  for (let i = 0; total < size; i++) {
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

/** Writes a file of at least `size` bytes. Returns how many it has. */
export async function writeCheckpoint(path: string, size: number): Promise<number> {
  let at = 0;
  const entries = [...checkpoint(size)].map(([name, tensor]) => {
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

/** Its layers. */
export async function checkpointLayers(file: TensorFile): Promise<LayerSource[]> {
  // A configuration speaks for all layers of a file, so each kind is found under its own.
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
  return found.flatMap((one) => one.layers);
}
