// ModelOpt's int4: bytes worked by hand from pack_int4_in_uint8, and a slow packer of its rule.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findLayers } from '../../../src/formats/find-layers.js';
import { importModelOptInt4, modelOptInt4Layer } from '../../../src/formats/modelopt.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { fileOf, TENSORS } from '../../support/every-format.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, floats, infosOf, randoms, raw, seeds, weightsOf } from '../../support/tensors.js';

const { fround } = Math;

test('bytes by hand: the low nibble is of the even output', () => {
  // q = [[1, -8], [-1, 7]]: val0 | val1 << 4 along N → 0xf1, 0x78.
  const weight = raw('w', 'U8', [1, 2], [0xf1, 0x78]);
  const weight_scale = raw('s', 'F32', [2, 1], [0.5, 2]);
  const matrix = importModelOptInt4({ weight, weight_scale });
  expect([...dequantize(matrix)]).toEqual([0.5, -4, -2, 14]);
  expect(matrix.inputScale).toBeUndefined();
  const scaled = importModelOptInt4({ weight, weight_scale, pre_quant_scale: raw('p', 'BF16', [2], [4, -0.5]) });
  expect([...scaled.inputScale!]).toEqual([4, -0.5]);
  expect([...dequantize(scaled)]).toEqual([2, 2, -8, -7]);
});

test('W = q · scale, whole and in pieces', async () => {
  const shapes = fc.record({
    half: fc.integer({ min: 1, max: 7 }),
    k: fc.constantFrom(3, 8, 10, 13, 32, 36),
    groups: fc.constantFrom(1, 2, 4),
    scaled: fc.boolean(),
    seed: seeds,
  });
  await fc.assert(
    fc.asyncProperty(shapes, async ({ half, k: each, groups, scaled, seed }) => {
      const [n, k] = [2 * half, groups === 1 ? each : 32 * groups];
      const q = randoms(seed, n * k, -8, 7);
      const scale = floats(seed + 1, n * groups);
      const inputs = floats(seed + 2, k);
      const bytes = Array.from({ length: half * k }, (_, i) => {
        const [row, column] = [Math.floor(i / k), i % k];
        return (q[2 * row * k + column]! & 15) | ((q[(2 * row + 1) * k + column]! & 15) << 4);
      });
      const tensors = {
        weight: raw('weight', 'U8', [half, k], bytes),
        weight_scale: raw('weight_scale', 'BF16', [n, groups], scale),
        ...(scaled && { pre_quant_scale: raw('pre_quant_scale', 'F32', [k], inputs) }),
      };
      const expected = q.map((value, i) => {
        const weight = fround(value * scale[Math.floor(i / k) * groups + Math.floor((i % k) / (k / groups))]!);
        return scaled ? fround(weight * inputs[i % k]!) : weight;
      });
      expectWeights(dequantize(importModelOptInt4(tensors)), expected);
      expectWeights(await weightsOf(modelOptInt4Layer(infosOf(tensors), { name: 'x' }), 1), expected);
    }),
  );
});

describe('refusals', () => {
  const weight = raw('w', 'U8', [1, 8], Array(8).fill(0));
  const scale = (shape: number[]) => raw('s', 'F32', shape, Array(shape.reduce((a, b) => a * b, 1)).fill(1));
  test('of shapes and dtypes', () => {
    expectFormat(() => importModelOptInt4({ weight: raw('w', 'I8', [1, 8], Array(8).fill(0)), weight_scale: scale([2, 1]) }), 'dtype');
    expectFormat(() => importModelOptInt4({ weight, weight_scale: scale([1, 1]) }), 'shape', '2 outputs');
    expectFormat(() => importModelOptInt4({ weight, weight_scale: scale([2, 3]) }), 'shape', '(2, groups), which divide K = 8');
    expectFormat(() => importModelOptInt4({ weight, weight_scale: scale([2]) }), 'shape', '(2, groups)');
    const pre_quant_scale = raw('p', 'F32', [2], [1, 1]);
    expectFormat(() => importModelOptInt4({ weight, weight_scale: scale([2, 1]), pre_quant_scale }), 'shape', '(8,)');
  });
  test('of another quant_method, and of W4A8, which has a second scale', async () => {
    const find = async (config: object, more: ReturnType<typeof raw>[] = []) =>
      findLayers(fileOf([...TENSORS.opt!, ...more]), { config: { quantization_config: config } });
    expect((await find({ quant_method: 'modelopt' })).layers.map(({ format }) => format)).toEqual(['ModelOpt int4']);
    expect((await find({ quant_method: 'awq' })).refused[0]!.error.field).toBe('quant_method');
    const { layers, refused } = await find({ quant_method: 'modelopt' }, [raw('opt.weight_scale_2', 'F32', [1], [1])]);
    expect(layers).toEqual([]);
    expect(refused[0]!.error).toMatchObject({ tensor: 'opt.weight_scale_2', field: 'beside opt' });
  });
});
