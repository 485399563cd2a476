// torch_npu's LinearWeightQuant: words worked by hand, the exact vector of its formulas, and a slow packer against the importer.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { importTorchNpu, torchNpuLayer } from '../../../src/formats/torch-npu.js';
import { BITS } from '../../../src/problem/code-width.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, floats, infosOf, randoms, raw, seeds, weightsOf } from '../../support/tensors.js';

/** npu_convert_weight_to_int4pack: eight along the last axis, the first in the lowest bits. */
const int4Pack = (q: readonly number[]): number[] =>
  Array.from({ length: q.length / 8 }, (_, i) => {
    let word = 0n;
    for (let j = 0; j < 8; j++) word += BigInt(q[8 * i + j]! & 15) << BigInt(4 * j);
    return Number(BigInt.asIntN(32, word));
  });
const turn = <T>(values: readonly T[], columns: number): T[] => {
  const rows = values.length / columns;
  return Array.from({ length: values.length }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
};
/** FRACTAL_NZ: tiles of 16 rows and `width` columns, tile columns outermost, the rest 0. */
function tile(values: readonly number[], rows: number, columns: number, width: number): number[] {
  const down = Math.ceil(rows / 16);
  const out = Array<number>(Math.ceil(columns / width) * down * 16 * width).fill(0);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      out[(Math.floor(c / width) * down + Math.floor(r / 16)) * 16 * width + (r % 16) * width + (c % width)] = values[r * columns + c]!;
  return out;
}

describe('by hand', () => {
  test('int4 words: [-8, -7, -1, 0, 1, 2, 6, 7] are 0x76210f98', () => {
    const matrix = importTorchNpu({ weight: raw('weight', 'I32', [1, 1], [0x76210f98]), antiquant_scale: raw('s', 'F16', [1], [1]) });
    expect([...dequantize(matrix)]).toEqual([-8, -7, -1, 0, 1, 2, 6, 7]);
    expect([...matrix.codes]).toEqual([0xfea98710]);
  });
  test('the offset is added before scaling', () => {
    const matrix = importTorchNpu({
      weight: raw('weight', 'I8', [1, 3], [-128, 0, 127]),
      antiquant_scale: raw('s', 'F16', [1], [0.5]),
      antiquant_offset: raw('o', 'F16', [1], [3]),
    });
    expect([...dequantize(matrix)]).toEqual([-62.5, 1.5, 65]);
    expect([...matrix.zeroPoint!]).toEqual([125]);
  });
  test('64-bit scales: 70507248869376 is 1.0458984375, and its low bits are not read', () => {
    const matrix = importTorchNpu({
      weight: raw('weight', 'I8', [2, 1], [2, 2]),
      antiquant_scale: raw('s', 'I64', [2, 1], [70507248869376, 70507248869376 + 4095]),
      antiquant_offset: raw('o', 'I32', [2, 1], [1, -1]),
    });
    expect([...dequantize(matrix)]).toEqual([3 * 1.0458984375, 1.0458984375]);
  });
});

describe('against a slow packer', () => {
  const shapes = fc.record({
    n: fc.integer({ min: 1, max: 5 }),
    k: fc.integer({ min: 1, max: 10 }),
    ragged: fc.integer({ min: 0, max: 7 }),
    bits: fc.constantFrom(...BITS),
    scheme: fc.constantFrom('group', 'channel', 'tensor'),
    offset: fc.boolean(),
    transposed: fc.boolean(),
    nz: fc.boolean(),
    dtype: fc.constantFrom('F16', 'BF16', 'F32'),
    seed: seeds,
  });
  test('W = (q + offset) · scale, in every layout', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n: n8, k: k8, ragged, bits, scheme, offset, transposed, nz, dtype, seed }) => {
        const less = bits === 8 ? ragged : 0;
        const n = n8 * 8 - less;
        const k = k8 * 8 - less;
        const groupSize = scheme === 'group' && k > 32 ? 32 : k;
        const groups = Math.ceil(k / groupSize);
        const q = randoms(seed, n * k, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1);
        const values = scheme === 'tensor' ? 1 : n * groups;
        const scale = floats(seed + 1, values);
        const offsets = randoms(seed + 2, values, -20, 20);
        const [rows, columns] = transposed ? [k, n] : [n, k];
        const stored = transposed ? turn(q, k) : q;
        const elements = bits === 4 ? int4Pack(stored) : stored;
        const wide = bits === 4 ? columns / 8 : columns;
        const shape = scheme === 'tensor' ? [1] : transposed ? [groups, n] : [n, groups];
        const laid = (list: number[]) => (transposed && scheme !== 'tensor' ? turn(list, groups) : list);
        const tiled = tile(elements, rows, wide, bits === 4 ? 8 : 32);
        const tensors = {
          weight: nz
            ? raw('weight', bits === 4 ? 'I32' : 'I8', [tiled.length / (bits === 4 ? 128 : 512), 1, 16, bits === 4 ? 8 : 32], tiled)
            : raw('weight', bits === 4 ? 'I32' : 'I8', [rows, wide], elements),
          antiquant_scale: raw('antiquant_scale', dtype, shape, laid(scale)),
          ...(offset && { antiquant_offset: raw('antiquant_offset', dtype, shape, laid(offsets)) }),
        };
        const options = {
          transposed,
          ...(groups > 1 && { groupSize }),
          ...(nz && { format: 'FRACTAL_NZ' as const, n, k }),
        };
        const expected = q.map((value, i) => {
          const at = scheme === 'tensor' ? 0 : Math.floor(i / k) * groups + Math.floor((i % k) / groupSize);
          return Math.fround((value + (offset ? offsets[at]! : 0)) * scale[at]!);
        });
        expectWeights(dequantize(importTorchNpu(tensors, options)), expected);
        expectWeights(await weightsOf(torchNpuLayer(infosOf(tensors), { name: 'x', ...options }), 1), expected);
      }),
      { numRuns: 300 },
    );
  });
});

describe('refusals', () => {
  const weight = raw('weight', 'I32', [2, 8], Array(16).fill(0));
  const antiquant_scale = raw('s', 'F16', [2, 2], [1, 1, 1, 1]);
  test('the good one is taken', () => expect(importTorchNpu({ weight, antiquant_scale }).groupSize).toBe(32));
  test('dtypes', () => {
    expectFormat(() => importTorchNpu({ weight: raw('w', 'U8', [2, 1], [1, 1]), antiquant_scale }), 'dtype');
    expectFormat(() => importTorchNpu({ weight, antiquant_scale: raw('s', 'I32', [2], [1, 1]) }), 'dtype');
    expectFormat(() => importTorchNpu({ weight, antiquant_scale, antiquant_offset: raw('o', 'I32', [2, 2], [1, 1, 1, 1]) }), 'dtype');
  });
  test('shapes', () => {
    expectFormat(() => importTorchNpu({ weight, antiquant_scale: raw('s', 'F16', [3], [1, 1, 1]) }), 'shape');
    expectFormat(() => importTorchNpu({ weight, antiquant_scale, antiquant_offset: raw('o', 'F16', [2], [1, 1]) }), 'shape', /as s$/);
    expectFormat(() => importTorchNpu({ weight, antiquant_scale }, { k: 32 }), 'shape', 'N, K = 2, 32');
    expectFormat(() => importTorchNpu({ weight, antiquant_scale }, { groupSize: 16 }), 'shape', '4 groups of 16');
  });
  test('tiles without sizes, or of other sizes', () => {
    expectFormat(() => importTorchNpu({ weight, antiquant_scale }, { format: 'FRACTAL_NZ' }), 'n and k');
    expectFormat(() => importTorchNpu({ weight, antiquant_scale }, { format: 'FRACTAL_NZ', n: 2, k: 64 }), 'bytes', /512/);
  });
  test('scales that are not finite', () => {
    expectFormat(() => importTorchNpu({ weight, antiquant_scale: raw('s', 'F16', [2], [1, Infinity]) }), 'element 1');
    expectFormat(() => importTorchNpu({ weight, antiquant_scale: raw('s', 'I64', [2], [0x7f800000, 0]) }), 'element 0');
  });
});
