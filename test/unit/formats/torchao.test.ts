// torchao: bytes worked by hand from pack_int4 and Int4TilePackedTo4dTensor, and a slow packer for each form; for tinygemm it walks lanes
// like the packing kernel.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findLayers } from '../../../src/formats/find-layers.js';
import { importTorchaoInt4, importTorchaoTinygemm, torchaoInt4Layer, torchaoTinygemmLayer } from '../../../src/formats/torchao-int4.js';
import { importTorchaoInt8, torchaoInt8Layer } from '../../../src/formats/torchao-int8.js';
import { checkMatrix, dequantize } from '../../../src/problem/matrix.js';
import { fileOf, TENSORS } from '../../support/every-format.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, floats, infosOf, randoms, raw, seeds, weightsOf } from '../../support/tensors.js';

const { fround } = Math;
const turn = (values: readonly number[], columns: number) =>
  Array.from(
    { length: values.length },
    (_, i) => values[(i % (values.length / columns)) * columns + Math.floor(i / (values.length / columns))]!,
  );

describe('int8', () => {
  test('W = q · scale, whole and in pieces', async () => {
    const shapes = [
      fc.integer({ min: 1, max: 13 }),
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom('F32', 'BF16'),
      fc.boolean(),
      seeds,
    ] as const;
    await fc.assert(
      fc.asyncProperty(...shapes, async (n, k, dtype, one, seed) => {
        const q = randoms(seed, n * k, -128, 127);
        const scale = floats(seed + 1, one ? 1 : n);
        const tensors = { qdata: raw('qdata', 'I8', [n, k], q), scale: raw('scale', dtype, one ? [1, 1] : [n, 1], scale) };
        const expected = q.map((value, i) => fround(value * scale[one ? 0 : Math.floor(i / k)]!));
        expectWeights(dequantize(importTorchaoInt8(tensors)), expected);
        expectWeights(await weightsOf(torchaoInt8Layer(infosOf(tensors), { name: 'x' }), 1), expected);
      }),
    );
  });
  test('Intx: W = (q - zero_point) · scale, of each width, whole and in pieces', async () => {
    const sizes = [fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 8 }), seeds] as const;
    await fc.assert(
      fc.asyncProperty(...sizes, async (n, groups, bits, seed) => {
        const k = 8 * groups;
        const [least, most] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
        const q = randoms(seed, n * k, least, most);
        const zero = randoms(seed + 1, n * groups, least, most);
        const scale = floats(seed + 2, n * groups);
        const tensors = {
          qdata: raw('qdata', 'I8', [n, k], q),
          scale: raw('scale', 'BF16', [n, groups], scale),
          zero_point: raw('zero', 'I8', [n, groups], zero),
        };
        const expected = q.map((value, i) => fround((value - zero[Math.floor(i / 8)]!) * scale[Math.floor(i / 8)]!));
        const matrix = importTorchaoInt8(tensors, { bits });
        checkMatrix(matrix);
        expect(matrix.bits).toBe(bits === 1 ? 2 : bits === 7 ? 8 : bits);
        expectWeights(dequantize(matrix), expected);
        expectWeights(await weightsOf(torchaoInt8Layer(infosOf(tensors), { name: 'x', bits }), 1), expected);
      }),
    );
  });
  test('Intx: refusals', () => {
    const tensors = {
      qdata: raw('q', 'I8', [1, 8], [0, 1, 2, 3, -4, -3, -2, -1]),
      scale: raw('s', 'F32', [1, 1], [1]),
      zero_point: raw('z', 'I8', [1, 1], [0]),
    };
    importTorchaoInt8(tensors, { bits: 3 });
    expectFormat(() => importTorchaoInt8(tensors, { bits: 2 }), 'element 2', 'an int2 of [-2, 1]', '2');
    expectFormat(() => importTorchaoInt8(tensors, { bits: 9 }), 'target_dtype', 'int1 or int2', 'int9');
    expectFormat(
      () => importTorchaoInt8({ ...tensors, zero_point: raw('z', 'I8', [1, 1], [4]) }, { bits: 3 }),
      'element 0',
      'a zero point of [-4, 3]',
      '4',
    );
    expectFormat(() => importTorchaoInt8({ ...tensors, zero_point: raw('z', 'F32', [1, 1], [0]) }, { bits: 3 }), 'dtype', 'I8', 'F32');
    expectFormat(() => importTorchaoInt8({ ...tensors, zero_point: raw('z', 'I8', [1, 2], [0, 0]) }, { bits: 3 }), 'shape');
  });
  test('refusals', () => {
    const scale = raw('s', 'F32', [2], [1, 1]);
    expectFormat(() => importTorchaoInt8({ qdata: raw('q', 'U8', [2, 1], [1, 2]), scale }), 'dtype');
    expectFormat(() => importTorchaoInt8({ qdata: raw('q', 'I8', [3, 1], [1, 2, 3]), scale }), 'shape');
    expectFormat(() => importTorchaoInt8({ qdata: raw('q', 'I8', [2], [1, 2]), scale }), 'shape', /two sizes/);
    expectFormat(
      () => importTorchaoInt8({ qdata: raw('q', 'I8', [2, 1], [1, 2]), scale: raw('s', 'F32', [2], [1, Infinity]) }),
      'element 1',
    );
  });
});

describe('int4, plain', () => {
  test('bytes by hand', () => {
    // pack_int4 of fbgemm_gpu: [-8, 7] → low nibble 8, high nibble 7: 0x78. Codes of older plain forms, even high: [1, 2] → 0x12.
    const one = raw('s', 'BF16', [1, 1], [1]);
    const zero = raw('z', 'BF16', [1, 1], [0.5]);
    const low = importTorchaoInt4({ qdata: raw('q', 'I8', [1, 1], [0x78]), scale: one, zero_point: zero }, { nibbleOrder: 'even-low' });
    expect([...dequantize(low)]).toEqual([-7.5, 7.5]);
    const high = importTorchaoInt4({ qdata: raw('q', 'U8', [1, 1], [0x12]), scale: one, zero_point: zero }, { nibbleOrder: 'even-high' });
    expect([...dequantize(high)]).toEqual([-6.5, -5.5]);
  });

  const shapes = fc.record({
    n: fc.integer({ min: 1, max: 9 }),
    groups: fc.integer({ min: 1, max: 4 }),
    tail: fc.constantFrom(0, 2, 4, 6),
    order: fc.constantFrom('even-high' as const, 'even-low' as const),
    signed: fc.boolean(),
    together: fc.boolean(),
    seed: seeds,
  });
  test('W = (code - 8) · scale + zero, to the rounding of zero - 8 · scale', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, groups, tail, order, signed, together, seed }) => {
        const groupSize = 32;
        const k = groups * groupSize - tail;
        const code = randoms(seed, n * k, 0, 15);
        const scale = floats(seed + 1, n * groups);
        const zero = floats(seed + 2, n * groups);
        const stored = signed ? code.map((value) => value ^ 8) : code;
        const bytes = Array.from({ length: (n * k) / 2 }, (_, i) =>
          order === 'even-high' ? (stored[2 * i]! << 4) | stored[2 * i + 1]! : stored[2 * i]! | (stored[2 * i + 1]! << 4),
        );
        const both = turn(scale, groups).flatMap((value, i) => [value, turn(zero, groups)[i]!]);
        const tensors = {
          qdata: raw('qdata', signed ? 'I8' : 'U8', [n, k / 2], bytes),
          ...(together
            ? { scale_and_zero: raw('scale_and_zero', 'BF16', [groups, n, 2], both) }
            : {
                scale: raw('scale', 'BF16', [groups, n], turn(scale, groups)),
                zero_point: raw('zero', 'BF16', [groups, n], turn(zero, groups)),
              }),
        };
        const options = { nibbleOrder: order, ...(groups > 1 && { groupSize }) };
        const expected = code.map((value, i) => {
          const at = Math.floor(i / k) * groups + Math.floor((i % k) / groupSize);
          return fround(value * scale[at]! + fround(zero[at]! - 8 * scale[at]!));
        });
        const matrix = importTorchaoInt4(tensors, options);
        expectWeights(dequantize(matrix), expected);
        expect(matrix.scaleDtype).toBe('float32');
        expectWeights(await weightsOf(torchaoInt4Layer(infosOf(tensors), { name: 'x', ...options }), 1), expected);
      }),
      { numRuns: 200 },
    );
  });

  test('refusals', () => {
    const qdata = raw('q', 'U8', [2, 16], Array(32).fill(0));
    const scale = raw('s', 'BF16', [1, 2], [1, 1]);
    const order = { nibbleOrder: 'even-low' } as const;
    expectFormat(() => importTorchaoInt4({ qdata, scale, zero_point: scale }, {} as never), 'nibbleOrder', 'even-high or even-low');
    expectFormat(() => importTorchaoInt4({ qdata, scale }, order), 'beside it', /zero_point/);
    expectFormat(() => importTorchaoInt4({ qdata, scale: raw('s', 'BF16', [2, 1], [1, 1]), zero_point: scale }, order), 'shape');
    expectFormat(() => importTorchaoInt4({ qdata, scale, zero_point: raw('z', 'BF16', [1, 1], [1]) }, order), 'shape', /as scale/);
    const huge = raw('s', 'F32', [1, 2], [3e38, 1]);
    expectFormat(() => importTorchaoInt4({ qdata, scale: huge, zero_point: scale }, order), 'values', /range/);
  });
});

/**
 * matrix_to_m16n8k16_Bint4_layout on the bytes of Int4TilePackedTo4dTensor (even k high): what each lane of a warp reads and where it
 * writes it. A word is, from the lowest nibble: the high nibbles of the lane's four bytes, then their low nibbles.
 */
function packTinygemm(code: readonly number[], n: number, k: number, innerKTiles: number): number[] {
  const bytes = Array.from({ length: (n * k) / 2 }, (_, i) => (code[2 * i]! << 4) | code[2 * i + 1]!);
  const supers = k / (innerKTiles * 16);
  const out: number[] = [];
  for (let nTile = 0; nTile < n / 8; nTile++)
    for (let kOuter = 0; kOuter < supers; kOuter++)
      for (let t = 0; t < 32; t++)
        for (let inner = 0; inner < innerKTiles; inner += 2) {
          const first = ((kOuter * innerKTiles + inner) * 16) / 2 + (t % 4);
          const v = [first, first + 4, first + 8, first + 12].map((at) => bytes[((nTile * 8 + Math.floor(t / 4)) * k) / 2 + at]!);
          let word = 0n;
          v.forEach((byte, j) => {
            word |= (BigInt(byte >> 4) << BigInt(4 * j)) | (BigInt(byte & 15) << BigInt(16 + 4 * j));
          });
          out.push(Number(BigInt.asIntN(32, word)));
        }
  return out;
}

describe('int4, tinygemm', () => {
  test('a word by hand', () => {
    // Row 0 holds codes k mod 16, the other rows 0. Lane 1 of the first 32 k reads bytes 1, 5, 9 and 13: k = 2, 10, 18, 26, then 3, 11, 19,
    // 27.
    const words = Array<number>(32).fill(0);
    words[0] = 0x91918080 | 0;
    words[1] = 0xb3b3a2a2 | 0;
    words[2] = 0xd5d5c4c4 | 0;
    words[3] = 0xf7f7e6e6 | 0;
    const both = Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? 1 : 8));
    const matrix = importTorchaoTinygemm({
      qdata: raw('q', 'I32', [1, 1, 32, 1], words),
      scale_and_zero: raw('sz', 'BF16', [1, 8, 2], both),
    });
    expect([...dequantize(matrix).subarray(0, 33)]).toEqual([...Array.from({ length: 32 }, (_, k) => k % 16), 0]);
  });

  const shapes = fc.record({
    tiles: fc.integer({ min: 1, max: 3 }),
    supers: fc.integer({ min: 1, max: 3 }),
    inner: fc.constantFrom(2, 4, 8),
    groups: fc.constantFrom(1, 2),
    lessN: fc.integer({ min: 0, max: 7 }),
    lessK: fc.integer({ min: 0, max: 31 }),
    seed: seeds,
  });
  test('W = (code - 8) · scale + zero, without the padding', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ tiles, supers, inner, groups, lessN, lessK, seed }) => {
        const [rows, columns] = [tiles * 8, supers * inner * 16];
        const [n, k] = [rows - lessN, columns - lessK];
        const groupSize = columns / groups;
        const code = randoms(seed, rows * columns, 0, 15);
        const both = floats(seed + 1, groups * rows * 2);
        const tensors = {
          qdata: raw('qdata', 'I32', [tiles, supers, 32, inner / 2], packTinygemm(code, rows, columns, inner)),
          scale_and_zero: raw('scale_and_zero', 'BF16', [groups, rows, 2], both),
        };
        const expected = Array.from({ length: n * k }, (_, i) => {
          const [row, column] = [Math.floor(i / k), i % k];
          const at = 2 * (Math.floor(column / groupSize) * rows + row);
          return fround(code[row * columns + column]! * both[at]! + fround(both[at + 1]! - 8 * both[at]!));
        });
        expectWeights(dequantize(importTorchaoTinygemm(tensors, { n, k })), expected);
        expectWeights(await weightsOf(torchaoTinygemmLayer(infosOf(tensors), { name: 'x', n, k }), 1), expected);
      }),
    );
  });

  test('refusals', () => {
    const scale_and_zero = raw('sz', 'BF16', [1, 8, 2], Array(16).fill(1));
    const make = (shape: number[], options = {}) =>
      importTorchaoTinygemm({ qdata: raw('q', 'I32', shape, Array(shape.reduce((a, b) => a * b, 1)).fill(0)), scale_and_zero }, options);
    expect(make([1, 1, 32, 4]).k).toBe(128);
    expectFormat(() => make([1, 1, 64, 4]), 'shape', /innerKTiles/);
    expectFormat(() => make([1, 1, 32, 3]), 'shape', /innerKTiles/);
    expectFormat(() => make([2, 1, 32, 4]), 'shape', /16 outputs/);
    expectFormat(() => make([1, 1, 32, 4], { n: 9 }), 'shape', /9/);
  });
});

describe('act_pre_scale: x is multiplied by it', () => {
  const int8 = { qdata: raw('q', 'I8', [2, 3], [1, 2, 3, -4, 5, -6]), scale: raw('s', 'F32', [2, 1], [1, 2]) };
  const int4 = {
    qdata: raw('q', 'I8', [1, 1], [0x78]),
    scale: raw('s', 'BF16', [1, 1], [1]),
    zero_point: raw('z', 'BF16', [1, 1], [0.5]),
  };
  const order = { nibbleOrder: 'even-low' } as const;
  test.each<[string, number[], number[], number[]]>([
    ['for each input', [3], [0.5, 2, -1], [0.5, 2, -1]],
    ['for each input, in a row', [1, 3], [0.5, 2, -1], [0.5, 2, -1]],
    ['one for all', [1], [4], [4, 4, 4]],
    ['one for all, without a size', [], [4], [4, 4, 4]],
  ])('%s', async (_, shape, given, expected) => {
    const tensors = { ...int8, act_pre_scale: raw('p', 'BF16', shape, given) };
    expect([...importTorchaoInt8(tensors).inputScale!]).toEqual(expected);
    const weights = [1, 2, 3, -8, 10, -12].map((value, i) => value * expected[i % 3]!);
    expect([...dequantize(importTorchaoInt8(tensors))]).toEqual(weights);
    expectWeights(await weightsOf(torchaoInt8Layer(infosOf(tensors), { name: 'x' }), 1), weights);
  });
  test('of int4: plain, and without the padding of tiles', async () => {
    const act_pre_scale = raw('p', 'F32', [2], [2, -4]);
    expect([...dequantize(importTorchaoInt4({ ...int4, act_pre_scale }, order))]).toEqual([-15, -30]);
    expect(await weightsOf(torchaoInt4Layer(infosOf({ ...int4, act_pre_scale }), { name: 'x', ...order }), 1)).toEqual(
      Float32Array.of(-15, -30),
    );
    const tiles = {
      qdata: raw('q', 'I32', [1, 1, 32, 1], Array(32).fill(0)),
      scale_and_zero: raw('sz', 'BF16', [1, 8, 2], Array(16).fill(1)),
      act_pre_scale: raw('p', 'BF16', [3], [1, 2, 4]),
    };
    expect([...dequantize(importTorchaoTinygemm(tiles, { n: 1, k: 3 }))]).toEqual([-7, -14, -28]);
    expectFormat(() => importTorchaoTinygemm(tiles, { n: 1, k: 4 }), 'shape', '(4,), (1, 4) or one number');
  });
  test('others are refused', () => {
    const of = (shape: number[], values: number[], dtype = 'F32') => ({ ...int8, act_pre_scale: raw('p', dtype, shape, values) });
    expectFormat(() => importTorchaoInt8(of([2], [1, 1])), 'shape', '(3,), (1, 3) or one number');
    expectFormat(() => importTorchaoInt8(of([3, 1], [1, 1, 1])), 'shape', '(3,), (1, 3) or one number');
    expectFormat(() => importTorchaoInt8(of([3], [1, Number.NaN, 1])), 'element 1');
    expectFormat(() => importTorchaoInt8(of([3], [1, 1, 1], 'I32')), 'dtype');
  });
  test('is found beside the layers of a file', async () => {
    for (const name of ['ao4', 'aotile', 'ao8']) {
      const more = raw(
        `${name}._weight_act_pre_scale`,
        'BF16',
        [64],
        Array.from({ length: 64 }, (_, i) => 1 + i / 64),
      );
      const { layers, refused } = await findLayers(fileOf([...TENSORS[name]!, more]), {
        torchao: { nibbleOrder: 'even-low', groupSize: 32 },
      });
      expect(refused).toEqual([]);
      const [plain] = (await findLayers(fileOf(TENSORS[name]!), { torchao: { nibbleOrder: 'even-low', groupSize: 32 } })).layers;
      const weights = await weightsOf(plain!);
      expect(await weightsOf(layers[0]!)).toEqual(weights.map((value, i) => value * (1 + (i % 64) / 64)));
    }
  });
});
