// Quanto: layers of 8 bits in a file, and what is left to its packed layouts.
import { expect, test } from 'vitest';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { fileOf } from '../../support/every-format.js';
import { expectWeights, floats, randoms, raw, weightsOf } from '../../support/tensors.js';

const find = (data: RawTensor, scale: RawTensor, more: readonly RawTensor[] = [], config: unknown = undefined) =>
  findLayers(fileOf([data, scale, ...more].map((tensor) => ({ ...tensor, name: `a.${tensor.name}` }))), { config });

test('int8: q · scale, whole and in pieces', async () => {
  const q = randoms(1, 6 * 20, -128, 127);
  const scale = floats(2, 6);
  const more = [raw('input_scale', 'F16', [], [3]), raw('output_scale', 'F16', [], [2]), raw('bias', 'F16', [6], [1, 2, 3, 4, 5, 6])];
  const { layers, refused, notYet } = await find(raw('weight._data', 'I8', [6, 20], q), raw('weight._scale', 'F16', [6, 1], scale), more, {
    quantization_config: { quant_method: 'quanto' },
  });
  expect([refused, notYet]).toEqual([[], []]);
  expect(layers.map(({ name, format, n, k, bits }) => [name, format, n, k, bits])).toEqual([['a', 'Quanto int8', 6, 20, 8]]);
  expect(layers[0]!.bias?.name).toBe('a.bias');
  const want = q.map((value, i) => Math.fround(value * scale[Math.floor(i / 20)]!));
  expectWeights(dequantize(await readMatrix(layers[0]!)), want);
  expectWeights(await weightsOf(layers[0]!), want);
});

test('float8: 0x38 is 1, 0xc5 is -3.25', async () => {
  const { layers } = await find(raw('weight._data', 'F8_E4M3', [1, 4], [0x38, 0xc5, 0, 0x01]), raw('weight._scale', 'BF16', [], [0.5]));
  expect(layers.map(({ format }) => format)).toEqual(['Quanto float8']);
  expectWeights(dequantize(await readMatrix(layers[0]!)), [0.5, -1.625, 0, 2 ** -10]);
});

test('what is packed, and what has a shift, is not read', async () => {
  const scale = raw('weight._scale', 'F16', [4, 1], [1, 1, 1, 1]);
  const packed = await find(raw('weight._data', 'U8', [2, 8], Array(16).fill(1)), scale, [
    raw('weight._shift', 'F16', [4, 1], [1, 1, 1, 1]),
  ]);
  expect([packed.layers, packed.notYet.map(({ format }) => format)]).toEqual([[], ['Quanto']]);
  const shifted = await find(raw('weight._data', 'I8', [4, 8], Array(32).fill(1)), scale, [
    raw('weight._shift', 'F16', [4, 1], [1, 1, 1, 1]),
  ]);
  expect(shifted.refused[0]!.error.tensor).toBe('a.weight._shift');
  const across = await find(raw('weight._data', 'I8', [4, 8], Array(32).fill(1)), raw('weight._scale', 'F16', [1, 8], Array(8).fill(1)));
  expect(across.refused[0]!.error.field).toBe('shape');
});
