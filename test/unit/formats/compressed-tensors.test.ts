// compressed-tensors: words worked by hand from pack_to_int32's published example, and a slow packer against the importer.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { compressedTensorsLayer, importCompressedTensors } from '../../../src/formats/compressed-tensors.js';
import { FILE_BITS } from '../../../src/problem/code-width.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, floats, infosOf, randoms, raw, seeds, weightsOf } from '../../support/tensors.js';

/** pack_to_int32, number by number: q + 2^(bits-1), the first in the lowest bits, rows padded with 0. */
function packRows(rows: readonly (readonly number[])[], bits: number): number[] {
  return rows.flatMap((row) => {
    const words: number[] = [];
    const inWord = Math.floor(32 / bits);
    for (let i = 0; i < row.length; i += inWord) {
      let word = 0n;
      row.slice(i, i + inWord).forEach((q, j) => {
        word += BigInt(q + 2 ** (bits - 1)) << BigInt(bits * j);
      });
      words.push(Number(BigInt.asIntN(32, word)));
    }
    return words;
  });
}
const grid = (values: readonly number[], columns: number) =>
  Array.from({ length: values.length / columns }, (_, row) => values.slice(row * columns, (row + 1) * columns));
const turn = (rows: readonly (readonly number[])[]) => rows[0]!.map((_, column) => rows.map((row) => row[column]!));

describe('words', () => {
  test('the example in pack_to_int32: [1, 2] of 8 bits are 33409', () => {
    const tensors = {
      weight_packed: raw('weight_packed', 'I32', [1, 1], [33409]),
      weight_scale: raw('weight_scale', 'F32', [1, 1], [1]),
      weight_shape: raw('weight_shape', 'I64', [2], [1, 2]),
    };
    expectFormat(() => importCompressedTensors(tensors), 'shape', /bits to be said/); // one word holds two of 4 bits as well
    const matrix = importCompressedTensors(tensors, { bits: 8 });
    expect([...matrix.codes]).toEqual([33409]);
    expect([...dequantize(matrix)]).toEqual([1, 2]);
  });

  test('4 bits: -8, -7, -1, 0, 1, 2, 6, 7 are codes 0, 1, 7, 8, 9, 10, 14, 15', () => {
    const matrix = importCompressedTensors(
      { weight_packed: raw('w', 'I32', [1, 1], [0xfea98710 | 0]), weight_scale: raw('s', 'F16', [1, 1], [0.5]) },
      { bits: 4 },
    );
    expect([...dequantize(matrix)]).toEqual([-4, -3.5, -0.5, 0, 0.5, 1, 3, 3.5]);
    expect(matrix.scaleDtype).toBe('float16');
  });

  test('3 bits: ten codes in a word, two bits empty', () => {
    // Codes 0 to 7, 7, 4 fill 30 bits of the first word; code 1 is in the second. The two empty bits are not read.
    const words = [0, 1, 2, 3, 4, 5, 6, 7, 7, 4].reduce((word, code, i) => word | (code << (3 * i)), 0x40000000);
    const matrix = importCompressedTensors(
      { weight_packed: raw('w', 'I32', [1, 2], [words, 1]), weight_scale: raw('s', 'F16', [1, 1], [1]) },
      { bits: 3, k: 11 },
    );
    expect([...dequantize(matrix)]).toEqual([-4, -3, -2, -1, 0, 1, 2, 3, 3, 0, -3]);
    expect([...matrix.codes]).toEqual([0x76543210, 0x147]);
    expect(matrix.bits).toBe(3);
  });

  test('7 bits become 8: -64, 0, 63 and a zero point of -64 to 63', () => {
    const words = [0, 64, 127, 65].reduce((word, code, i) => word | (code << (7 * i)), 0);
    const tensors = { weight_packed: raw('w', 'I32', [1, 1], [words]), weight_scale: raw('s', 'F16', [1, 1], [1]) };
    const matrix = importCompressedTensors(tensors, { bits: 7 });
    expect([...dequantize(matrix)]).toEqual([-64, 0, 63, 1]);
    expect(matrix.bits).toBe(8);
    const shifted = importCompressedTensors({ ...tensors, weight_zero_point: raw('z', 'I32', [1, 1], [127]) }, { bits: 7 });
    expect([...dequantize(shifted)]).toEqual([-127, -63, 0, -62]);
    const byte = (value: number) =>
      importCompressedTensors({ ...tensors, weight_zero_point: raw('z', 'I8', [1, 1], [value]) }, { bits: 7 });
    expect([...dequantize(byte(63))]).toEqual([-127, -63, 0, -62]);
    expectFormat(() => byte(64), 'element 0', 'a zero point of [-64, 63]');
  });

  test('words of 7 and of 8 bits have one shape: without bits only words that cannot have 7 are read', () => {
    const tensors = (words: readonly number[]) => ({
      weight_packed: raw('w', 'I32', [1, 8], words),
      weight_scale: raw('s', 'F16', [1, 1], [1]),
      weight_shape: raw('weight_shape', 'I64', [2], [1, 32]),
    });
    expect(importCompressedTensors(tensors([0x80808080 | 0, 0, 0, 0, 0, 0, 0, 0])).bits).toBe(8);
    expectFormat(() => importCompressedTensors(tensors([0x0fffffff, 0, 0, 0, 0, 0, 0, 0])), 'bits', 'bits to be said: 7 or 8');
  });

  test('zero points are packed along N', () => {
    // Rows 0 and 1 with zeros -3 and 2: codes 5 and 10 in one word, 0xa5; codes past N are 0.
    const matrix = importCompressedTensors(
      {
        weight_packed: raw('w', 'I32', [2, 1], [0x88888888 | 0, 0x88888888 | 0]),
        weight_scale: raw('s', 'F32', [2, 1], [1, 1]),
        weight_zero_point: raw('z', 'I32', [1, 1], [0xa5]),
      },
      { bits: 4 },
    );
    expect([...dequantize(matrix)]).toEqual([3, 3, 3, 3, 3, 3, 3, 3, -2, -2, -2, -2, -2, -2, -2, -2]);
  });
});

const shapes = fc.record({
  n: fc.integer({ min: 1, max: 90 }),
  groups: fc.integer({ min: 1, max: 4 }),
  size: fc.constantFrom(8, 16, 32),
  tail: fc.integer({ min: 0, max: 7 }),
  bits: fc.constantFrom(...FILE_BITS),
  zero: fc.constantFrom('none', 'packed', 'int8'),
  dtype: fc.constantFrom('F16', 'BF16', 'F32'),
  scheme: fc.constantFrom('group', 'channel', 'tensor'),
  kind: fc.constantFrom('packed', 'int'),
  seed: seeds,
});

describe('against a slow packer', () => {
  test('W = (q - zero) · scale, whole and in pieces', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, groups: wanted, size, tail, bits, zero, dtype, scheme, kind, seed }) => {
        const k = wanted * size - (wanted > 1 || size > tail ? tail : 0);
        const groupSize = scheme === 'group' && wanted > 1 ? size : k;
        const groups = Math.ceil(k / groupSize);
        const [low, high] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
        const q = randoms(seed, n * k, low, high);
        const values = scheme === 'tensor' ? 1 : n * groups;
        const scale = floats(seed + 1, values);
        const zeros = zero === 'none' ? undefined : randoms(seed + 2, values, low, high);
        const scaleShape = scheme === 'tensor' ? [1] : [n, groups];
        const asInt8 = zero === 'int8' || kind === 'int' || scheme === 'tensor';
        const tensors = {
          ...(kind === 'int'
            ? { weight: raw('weight', 'I8', [n, k], q) }
            : { weight_packed: raw('weight_packed', 'I32', [n, Math.ceil(k / Math.floor(32 / bits))], packRows(grid(q, k), bits)) }),
          weight_scale: raw('weight_scale', dtype, scaleShape, scale),
          weight_zero_point:
            zeros &&
            (asInt8
              ? raw('weight_zero_point', 'I8', scaleShape, zeros)
              : raw(
                  'weight_zero_point',
                  'I32',
                  [Math.ceil(n / Math.floor(32 / bits)), groups],
                  turn(grid(packRows(turn(grid(zeros, groups)), bits), Math.ceil(n / Math.floor(32 / bits)))).flat(),
                )),
        };
        const at = (i: number) => (scheme === 'tensor' ? 0 : Math.floor(i / k) * groups + Math.floor((i % k) / groupSize));
        const expected = q.map((value, i) => Math.fround((value - (zeros?.[at(i)] ?? 0)) * scale[at(i)]!));
        const options = { bits, k, ...(groups > 1 && { groupSize }) };
        const matrix = importCompressedTensors({ ...tensors, weight_shape: raw('weight_shape', 'I64', [2], [n, k]) }, options);
        expectWeights(dequantize(matrix), expected);
        const layer = compressedTensorsLayer(infosOf(tensors) as never, { name: 'x', ...options });
        expectWeights(await weightsOf(layer), expected);
      }),
      { numRuns: 300 },
    );
  });

  test('activation order: W[n, input] is in group g_idx[input]', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 2, max: 4 }),
        fc.integer({ min: 0, max: 7 }),
        seeds,
        async (n, groups, tail, seed) => {
          const groupSize = 16;
          const bits = 4;
          const k = groups * groupSize - tail;
          const q = randoms(seed, n * k, -8, 7);
          const scale = floats(seed + 1, n * groups);
          const keys = randoms(seed + 2, k, 0, 1e6);
          const order = keys.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]! || a - b);
          const gIdx = new Array<number>(k);
          order.forEach((input, place) => {
            gIdx[input] = Math.floor(place / groupSize);
          });
          const tensors = {
            weight_packed: raw('weight_packed', 'I32', [n, Math.ceil(k / 8)], packRows(grid(q, k), bits)),
            weight_scale: raw('weight_scale', 'F32', [n, groups], scale),
            weight_g_idx: raw('weight_g_idx', 'I32', [k], gIdx),
          };
          const expected = q.map((value, i) => Math.fround(value * scale[Math.floor(i / k) * groups + gIdx[i % k]!]!));
          const matrix = importCompressedTensors(tensors, { bits, k, groupSize });
          expectWeights(dequantize(matrix), expected);
          expectWeights(await weightsOf(compressedTensorsLayer(infosOf(tensors), { name: 'x', bits, k, groupSize }), 1), expected);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('refusals', () => {
  const good = (): { weight_packed: RawTensor; weight_scale: RawTensor } => ({
    weight_packed: raw('w', 'I32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
    weight_scale: raw('s', 'F16', [2, 2], [1, 2, 3, 4]),
  });
  const four = { bits: 4 } as const;
  test('weight_shape tells the bits', () => {
    for (const [bits, words] of [
      [2, 4],
      [3, 7],
      [4, 8],
      [5, 11],
      [6, 13],
      [8, 16],
    ] as const) {
      const weight_packed = raw('w', 'I32', [2, words], Array(2 * words).fill(-1));
      expect(importCompressedTensors({ ...good(), weight_packed, weight_shape: raw('h', 'I64', [2], [2, 64]) }).bits).toBe(bits);
    }
    // 32 inputs of 3 and of 4 bits both take 4 words. Words of 3 bits have two empty bits.
    const shaped = (value: number) => ({
      ...good(),
      weight_packed: raw('w', 'I32', [2, 4], [value, 2, 3, 4, 5, 6, 7, 8]),
      weight_shape: raw('h', 'I64', [2], [2, 32]),
    });
    expect(importCompressedTensors(shaped(0x40000000)).bits).toBe(4);
    expectFormat(() => importCompressedTensors(shaped(0x3fffffff)), 'bits', 'bits to be said: 3 or 4');
    // 8 inputs of 2, 3 and 4 bits take one word.
    const one = { weight_packed: raw('w', 'I32', [1, 1], [-1]), weight_scale: raw('s', 'F16', [1, 1], [1]) };
    expectFormat(() => importCompressedTensors({ ...one, weight_shape: raw('h', 'I64', [2], [1, 8]) }), 'shape', /bits to be said/);
  });
  test('the good one is taken', () => expect(importCompressedTensors(good(), four).groupSize).toBe(16));
  test('a wrong dtype', () =>
    expectFormat(() => importCompressedTensors({ ...good(), weight_packed: raw('w', 'U8', [2, 4], [1]) }, four), 'dtype'));
  test('NaN scales', () =>
    expectFormat(
      () => importCompressedTensors({ ...good(), weight_scale: raw('s', 'F16', [2, 2], [1, Number.NaN, 1, 1]) }, four),
      'element 1',
    ));
  test('int8 zero points that are no codes', () => {
    const zero = (value: number) => ({ weight_zero_point: raw('z', 'I8', [2, 1], [-8, value]) });
    const given = { weight: raw('w', 'I8', [2, 8], Array(16).fill(0)), weight_scale: raw('s', 'F16', [2, 1], [1, 1]) };
    for (const value of [8, -9, -128, 127])
      expectFormat(() => importCompressedTensors({ ...given, ...zero(value) }, { bits: 4 }), 'element 1', 'a zero point of [-8, 7]');
    expect([...importCompressedTensors({ ...given, ...zero(7) }, { bits: 4 }).zeroPoint!]).toEqual([0, 15]);
    expect([...importCompressedTensors({ ...given, ...zero(127) }, { bits: 8 }).zeroPoint!]).toEqual([120, 255]);
  });
  test('bits that nothing says', () => expectFormat(() => importCompressedTensors(good()), 'shape', /weight_shape/));
  test('a weight_shape of other words', () =>
    expectFormat(
      () => importCompressedTensors({ ...good(), weight_shape: raw('h', 'I64', [2], [2, 65]) }),
      'shape',
      /2 or 3 or 4 or 5 or 6 or 7 or 8 bits/,
    ));
  test('a weight_shape of another N', () =>
    expectFormat(() => importCompressedTensors({ ...good(), weight_shape: raw('h', 'I64', [2], [3, 32]) }, four), 'shape', 'N, K = 3, 32'));
  test('groups that do not fit', () => {
    expectFormat(() => importCompressedTensors(good(), { ...four, groupSize: 8 }), 'shape', '4 groups of 8');
    expectFormat(
      () => importCompressedTensors({ ...good(), weight_scale: raw('s', 'F16', [2, 3], [1, 2, 3, 4, 5, 6]) }, four),
      'groupSize',
      /do not divide/,
    );
    expectFormat(
      () => importCompressedTensors({ ...good(), weight_scale: raw('s', 'F16', [2, 8], Array(16).fill(1)) }, four),
      'groupSize',
      /multiple of 8/,
    );
  });
  test('group indices out of range, or of uneven groups', () => {
    const withIndex = (values: number[]) => importCompressedTensors({ ...good(), weight_g_idx: raw('g', 'I32', [32], values) }, four);
    expectFormat(() => withIndex(Array(31).fill(0).concat(2)), /element 31|group 0/);
    expectFormat(() => withIndex(Array(17).fill(0).concat(Array(15).fill(1))), 'group 0');
    expect(withIndex(Array(32).fill(-1)).permutation).toBeUndefined();
  });
  test('truncated bytes', () => {
    const { weight_packed, weight_scale } = good();
    expectFormat(
      () => importCompressedTensors({ weight_scale, weight_packed: { ...weight_packed, bytes: weight_packed.bytes.slice(4) } }, four),
      'bytes',
      '32',
    );
  });
  test('4-bit values in int8 that are none', () =>
    expectFormat(
      () => importCompressedTensors({ weight: raw('w', 'I8', [1, 2], [7, 8]), weight_scale: raw('s', 'F32', [1], [1]) }, four),
      'element 1',
      /int4/,
    ));
});
