// The form that float matrices of a file get: the model is then the float64 reference with these weights quantized.
import { afterAll, expect, test } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { dequantize, quantize } from '../../src/formats.js';
import { ArgumentError } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { llmReference } from '../../src/reference/llm.js';
import { llmDevice } from '../support/llm-kernels.js';
import { modelFile } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();
afterAll(() => device.destroy());
const bytes = modelFile({ architecture: 'llama', type: 'F32', seed: 71, sizes: { layers: 1, feedForward: 256 } });
const opened = await openedModel(bytes);
const MATRICES = /^(embedding|head|[qkvo]\.\d|gate\.\d|up\.\d|down\.\d)/;
const IDS = [1, 40, 77, 200, 3];

test.each([
  ['int8 by default', undefined, { bits: 8, groupSize: 32, symmetric: true }],
  ['int4', 'int4', { bits: 4, groupSize: 32 }],
  ['int4 for each output', { bits: 4, mode: 'channel', symmetric: true }, { bits: 4, mode: 'channel', symmetric: true }],
] as const)('%s', async (_, form, settings) => {
  const { config } = opened;
  const kept = new Map<string, Float64Array>();
  const weight = (role: string): Float64Array => {
    const plain = opened.weight(role);
    if (!MATRICES.test(role)) return plain;
    const k = role.startsWith('down') ? config.feedForward : role.startsWith('o.') ? config.heads * config.headWidth : config.width;
    if (!kept.has(role))
      kept.set(role, Float64Array.from(dequantize(quantize(Float32Array.from(plain), { ...settings, n: plain.length / k, k }).matrix)));
    return kept.get(role)!;
  };
  const want = llmReference(config, weight).forward(IDS).slice(-config.vocabulary);
  const file = await openGguf(await byteSource(bytes, { name: 'floats.gguf' }));
  const llm = await Llm.load(file, { device, kv: 'f32', ...(form && { quantize: form }) });
  const got = await llm.logits(IDS);
  const apart = Math.hypot(...got.map((logit, i) => logit - want[i]!)) / Math.hypot(...want);
  expect(apart).toBeLessThan(1e-5);
  expect(llm.explain().notes).toEqual([
    expect.stringContaining(
      `float matrices became ${typeof form === 'object' ? 'codes of 4 bits' : `${form ?? 'int8'} in groups of 32`}: token_embd`,
    ),
  ]);
  llm.destroy();
});

test('a form that there is none of is refused', async () => {
  const file = await openGguf(await byteSource(bytes, { name: 'floats.gguf' }));
  await expect(Llm.load(file, { device, quantize: 'int5' as 'int4' })).rejects.toThrow(ArgumentError);
  await expect(Llm.load(file, { device, quantize: { bits: 4, mode: 'tensor' } })).rejects.toThrow(ArgumentError);
});
