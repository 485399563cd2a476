// BitNet: the example of Transformers' unpack_weights, a slow packer, and layers of files under each linear_class.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bitNetLayer, importBitNet } from '../../../src/formats/bitnet.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { checkMatrix, dequantize } from '../../../src/problem/matrix.js';
import { fileOf } from '../../support/every-format.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, infosOf, randoms, raw, seeds, weightsOf } from '../../support/tensors.js';

const one = (dtype: string, value: number, shape: readonly number[] = [1]) => raw('s', dtype, shape, [value]);

test('the example of unpack_weights', () => {
  const weight = raw('w', 'U8', [2, 2], [0b10100001, 0b00011000, 0b10010000, 0b00001010]);
  const matrix = importBitNet({ weight, weight_scale: one('F32', 1) }, { linearClass: 'autobitlinear' });
  checkMatrix(matrix);
  expect(matrix).toMatchObject({ n: 8, k: 2, bits: 2, groupSize: 2 });
  expectWeights(dequantize(matrix), [0, -1, -1, 1, -1, 1, -1, 1, 1, 0, 0, -1, 1, -1, 1, -1]);
});

test('any shape and scale, for both classes', () =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 30 }),
      fc.constantFrom('F32', 'BF16', 'F16'),
      seeds,
      async (rows, k, dtype, seed) => {
        const t = randoms(seed, 4 * rows * k, -1, 1);
        const bytes = Array.from({ length: rows * k }, (_, i) =>
          [0, 1, 2, 3].reduce((byte, part) => byte + (t[i + part * rows * k]! + 1) * 4 ** part, 0),
        );
        const [value] = randoms(seed + 1, 1, 1, 200).map((digits) => digits / 64);
        const tensors = { weight: raw('w', 'U8', [rows, k], bytes), weight_scale: one(dtype, value!) };
        expectWeights(
          dequantize(importBitNet(tensors, { linearClass: 'autobitlinear' })),
          t.map((q) => q * value!),
        );
        const divided = t.map((q) => Math.fround(q / value!));
        expectWeights(dequantize(importBitNet(tensors, { linearClass: 'bitlinear' })), divided);
        expectWeights(await weightsOf(bitNetLayer(infosOf(tensors), { name: 'x', linearClass: 'bitlinear' })), divided);
      },
    ),
  ));

test('refusals', () => {
  const weight = raw('w', 'U8', [1, 3], [0, 0b01010101, 0b00110000]);
  const weight_scale = one('F32', 1);
  const as = { linearClass: 'bitlinear' } as const;
  expectFormat(() => importBitNet({ weight, weight_scale }, as), 'element 2', 'four of 0, 1 and 2', 'byte 48');
  expectFormat(() => importBitNet({ weight: { ...weight, dtype: 'I8' }, weight_scale }, as), 'dtype', 'U8', 'I8');
  expectFormat(() => importBitNet({ weight, weight_scale: raw('s', 'F32', [3], [1, 1, 1]) }, as), 'shape', '(1,)', '(3,)');
  const zeros = raw('w', 'U8', [1, 3], [0, 0, 0]);
  expectFormat(() => importBitNet({ weight: zeros, weight_scale: one('F32', 0) }, as), 'value', 'a number other than 0', '0');
  expectFormat(() => importBitNet({ weight: zeros, weight_scale: one('F32', Number.NaN) }, as), 'element 0', 'a finite number', 'NaN');
});

describe('config.json', () => {
  const tensors = [raw('a.weight', 'U8', [2, 8], randoms(1, 16, 0, 2)), raw('a.weight_scale', 'BF16', [1], [4])];
  const find = (config: object | undefined) => findLayers(fileOf(tensors), config && { config: { quantization_config: config } });
  test.each<[object, number]>([
    [{ quant_method: 'bitnet', linear_class: 'autobitlinear', quantization_mode: 'offline' }, 4],
    [{ quant_method: 'bitnet', linear_class: 'bitlinear' }, 0.25],
    [{ quant_method: 'bitnet' }, 0.25],
  ])('%o', async (config, largest) => {
    const { layers, notYet } = await find(config);
    expect(notYet).toEqual([]);
    expect(layers.map(({ format, n, k, bits }) => [format, n, k, bits])).toEqual([['BitNet', 8, 8, 2]]);
    expect(Math.max(...dequantize(await readMatrix(layers[0]!)).map(Math.abs))).toBe(largest);
  });
  test('a scale that may multiply or divide is refused', async () => {
    const because = async (config: object | undefined) => (await find(config)).refused.map(({ error }) => [error.field, error.got]);
    expect(await because(undefined)).toEqual([['linear_class', 'none']]);
    expect(await because({ quant_method: 'bitnet', linear_class: 'Other' })).toEqual([['linear_class', 'other']]);
    expect(await because({ quant_method: 'gptq' })).toEqual([['quant_method', 'gptq']]);
  });
});
