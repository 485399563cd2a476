// Weights as GGUF files have them, on a device that a real GPU's caps are pretended for: how many bits each takes in the buffers that were
// made, and what happens where a device takes subnormal halves for 0.
import { describe, expect, test } from 'vitest';
import { importGguf } from '../../src/formats.js';
import { findingsOf } from '../../src/gpu/device-findings.js';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { referenceMatrix } from '../../src/reference/reference-matrix.js';
import { sources } from '../../src/wgsl/sources.js';
import { gpu } from '../support/dawn.js';
import { meanings } from '../support/gguf-decoder.js';

const [N, K] = [64, 512];

/** Random blocks, whose halves are small positive numbers; `tiny`: subnormal ones. */
function tensorOf(dtype: string, { tiny = false, n = N, k = K } = {}) {
  const { size, bytes: length, halves } = meanings[dtype]!;
  let state = 7;
  const bytes = Uint8Array.from({ length: (n * k * length) / size }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24);
  for (let at = 0; at < bytes.length; at += length) {
    for (const half of halves) bytes[at + half + 1] = tiny ? bytes[at + half + 1]! & 3 : 0x10 + (bytes[at + half + 1]! & 7);
    if (dtype === 'MXFP4') bytes[at] = 118 + (bytes[at]! & 7);
  }
  return { name: dtype, dtype, shape: [n, k], bytes };
}
const layerOf = (device: GPUDevice, caps: object = {}, { n = N, k = K } = {}) =>
  new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32', plan: { caps } });

/** The most bits that a weight may take. */
const MOST: readonly (readonly [string, number])[] = [
  ['Q4_K', 4.63],
  ['Q5_K', 5.63],
  ['Q6_K', 6.57],
  ['Q3_K', 3.57],
  ['Q2_K', 2.63],
  ['MXFP4', 4.25],
  ['IQ4_XS', 4.32],
  ['Q5_0', 5.5],
  ['Q4_0', 4.5],
  ['Q8_0', 8.5],
  ['TQ2_0', 2.07],
];

test.each(MOST)('%s takes at most %f bits a weight, in buffers that were made', async (dtype, most) => {
  const device = await requestDevice({ gpu });
  const layer = layerOf(device, { software: false, wideCodes: false }).loadMatrix(importGguf(tensorOf(dtype)));
  const made = [...layer.loaded.buffers].filter(([role]) => /^(w|scale|offset)\d+$/.test(role));
  const bits = (8 * made.reduce((sum, [, { size }]) => sum + size, 0)) / (N * K);
  expect(bits).toBeLessThanOrEqual(most);
  expect(layer.explain(1).weights.bitsPerWeight).toBe(bits);
  const { held, bits: inFile } = layer.explain(1).weights;
  expect([layer.held, layer.bits]).toEqual([held, inFile]);
  expect(held).toBe(inFile);
  device.destroy();
});

describe('units that are subnormal halves', () => {
  const matrix = importGguf(tensorOf('Q4_K', { tiny: true }));
  const x = Float32Array.from({ length: K }, (_, i) => ((i * 7) % 11) - 5);
  const shape = [1, K];

  test('give what float32 scales give, in every bit', async () => {
    const device = await requestDevice({ gpu });
    const input = Tensor.from(device, x, { shape, dtype: 'float32' });
    const [two, one] = [layerOf(device), layerOf(device, { scaleUnits: false })].map((layer) => layer.loadMatrix(matrix));
    expect([two, one].map((layer) => layer!.explain(1).weights.scaleDtype)).toEqual(['uint8', 'float32']);
    const [a, b] = [await two!.forward(input).read(), await one!.forward(input).read()];
    expect(a).toEqual(b);
    expect((a as Float32Array).some((value) => value !== 0)).toBe(true);
    device.destroy();
  });

  test('a device that takes them for 0 is found out, and the next layer holds float32 scales', async () => {
    const device = await requestDevice({ gpu });
    const file = 'lib/scale.wgsl';
    const texts = sources as Record<string, string>;
    const text = texts[file]!;
    const flushed = text.replaceAll('unpack2x16float(', 'flushed(');
    expect(flushed).not.toBe(text);
    texts[file] = `${flushed}\nfn flushed(pair: u32) -> vec2<f32> {
      let both = unpack2x16float(pair);
      return select(both, vec2<f32>(), abs(both) < vec2<f32>(0x1p-14));
    }\n`;
    try {
      const layer = layerOf(device).loadMatrix(matrix);
      const input = Tensor.from(device, x, { shape, dtype: 'float32' });
      await expect(layer.forward(input).read()).rejects.toThrow(/self-test/);
      expect(findingsOf(device).unitsFail).toBe(true);
      const again = layerOf(device).loadMatrix(matrix);
      expect(again.explain(1).weights.scaleDtype).toBe('float32');
      expect(again.explain(1).notes.join()).toContain('scales of two levels failed a self-test');
      const { low, high } = referenceMatrix({ data: x, shape, dtype: 'float32' }, matrix, { accuracy: again.explain(1).accuracy });
      const y = (await again.forward(input).read()) as Float32Array;
      expect(y.every((value, i) => value >= low[i]! && value <= high[i]!)).toBe(true);
    } finally {
      texts[file] = text;
      device.destroy();
    }
  });
});
