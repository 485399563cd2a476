// The sample model: a safetensors file in memory, written by the library. It has two small blocks with layers of two formats, a float
// embedding and head, and one layer that is broken on purpose. It is opened like any other file.

import { encode16 } from '../../../../src/dtype.js';
import {
  compressedTensorsTensors,
  quantize,
  type RawTensor,
  type TensorToWrite,
  torchNpuTensors,
  writeSafetensors,
} from '../../../../src/formats.js';
import type { JobContext } from '../../../worker/rpc.js';

const HIDDEN = 256;
const INNER = 768;
const WORDS = 1024;

/** Uniform numbers of [-1, 1): mulberry32. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

/** A few wave patterns with noise, and a few inputs that are four times as large, so that groups make a difference. */
function makeWeights(n: number, k: number, seed: number): Float32Array {
  const next = noise(seed);
  const waves = Array.from({ length: 3 }, () => ({ rows: 4 * next(), columns: 9 * next(), size: 0.02 * (1 + next()) }));
  const loud = new Set(Array.from({ length: 4 }, () => Math.floor(((1 + next()) * k) / 2)));
  return Float32Array.from({ length: n * k }, (_, i) => {
    const [row, column] = [Math.floor(i / k), i % k];
    let value = 0.05 * (next() + next() + next());
    for (const { rows, columns, size } of waves) value += size * Math.sin((6.28 * rows * row) / n + (6.28 * columns * column) / k);
    return loud.has(column) ? 4 * value : value;
  });
}

const floats = (name: string, shape: readonly number[], values: Float32Array): RawTensor => {
  const bits = encode16(values, 'float16');
  return { name, dtype: 'F16', shape, bytes: new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength) };
};

/** Makes the file, under 3 MB, in some tenths of a second. */
export async function makeSample(context: JobContext): Promise<File> {
  const tensors: TensorToWrite[] = [floats('model.embed_tokens.weight', [WORDS, HIDDEN], makeWeights(WORDS, HIDDEN, 1))];
  const shapes = [
    ['self_attn.q_proj', HIDDEN, HIDDEN],
    ['self_attn.k_proj', HIDDEN, HIDDEN],
    ['self_attn.v_proj', HIDDEN, HIDDEN],
    ['self_attn.o_proj', HIDDEN, HIDDEN],
    ['mlp.gate_proj', INNER, HIDDEN],
    ['mlp.up_proj', INNER, HIDDEN],
    ['mlp.down_proj', HIDDEN, INNER],
  ] as const;
  let seed = 2;
  for (const block of [0, 1]) {
    tensors.push(floats(`model.layers.${block}.input_layernorm.weight`, [HIDDEN], new Float32Array(HIDDEN).fill(1)));
    for (const [part, n, k] of shapes) {
      const name = `model.layers.${block}.${part}`;
      context.progress((block + shapes.findIndex(([one]) => one === part) / shapes.length) / 2, 'The sample model is being quantized.');
      await context.breathe();
      const weights = makeWeights(n, k, seed++);
      if (part.startsWith('mlp')) {
        // 8 bits, a scale for each output, and a bias.
        const layer = quantize(weights, { n, k, bits: 8, symmetric: true });
        const bias = floats('bias', [n], makeWeights(n, 1, seed++));
        tensors.push(...torchNpuTensors(name, layer, { bias }));
      } else tensors.push(...compressedTensorsTensors(name, quantize(weights, { n, k, bits: 4, groupSize: 32, method: 'mse' })));
    }
  }
  tensors.push(floats('lm_head.weight', [WORDS, HIDDEN], makeWeights(WORDS, HIDDEN, 90)));
  // One layer with scales for another number of outputs: it is refused with the reason.
  for (const tensor of compressedTensorsTensors(
    'model.broken_on_purpose',
    quantize(makeWeights(64, 64, 91), { n: 64, k: 64, bits: 4, groupSize: 32 }),
  ))
    tensors.push(
      tensor.name.endsWith('weight_scale') ? { ...tensor, shape: [63, 2], bytes: tensor.bytes.subarray(0, 63 * 2 * 2) } : tensor,
    );
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  await writeSafetensors({ write: (bytes) => pieces.push(new Uint8Array(bytes)) }, tensors, {
    metadata: { format: 'pt', made_by: 'antiquant, from a seed' },
  });
  return new File(pieces, 'made-up.safetensors');
}
