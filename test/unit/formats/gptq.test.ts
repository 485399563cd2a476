// GPTQ: words worked by hand from AutoGPTQ's rule, a slow packer written from its packing code, and refusals. AutoGPTQ,
// nn_modules/qlinear/qlinear_cuda_old.py, pack(): qweight[row] |= intweight[j] << (bits · (j - i)); qzeros[:, col] |= (zeros - 1)[:, j] <<
// (bits · (j - i)); 3 bits: 10 codes, the 11th split 2 + 1, 10 codes, the 22nd split 1 + 2, 10 codes.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundTo } from '../../../src/dtype.js';
import { FormatError } from '../../../src/errors.js';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { type GptqOptions, type GptqTensors, gptqLayer, importGptq } from '../../../src/formats/gptq.js';
import { checkMatrix, dequantize } from '../../../src/problem/matrix.js';
import { infoOf, raw, weightsInPieces } from '../../support/tensors.js';

type Bits = GptqOptions['bits'];

/** pack()'s loop over one list of values: the words of `values`, the first in the lowest bits. */
function packList(values: readonly number[], bits: Bits): number[] {
  const words: number[] = [];
  if (bits !== 3) {
    for (let i = 0; i < values.length; i += 32 / bits)
      words.push(values.slice(i, i + 32 / bits).reduce((word, value, j) => word | (value << (bits * j)), 0));
    return words;
  }
  const at = (index: number): number => values[index] ?? 0;
  for (let i = 0; i < values.length; i += 32) {
    let word = 0;
    for (let j = 0; j < 10; j++) word |= at(i + j) << (3 * j);
    words.push(word | (at(i + 10) << 30));
    word = (at(i + 10) >> 2) & 1;
    for (let j = 0; j < 10; j++) word |= at(i + 11 + j) << (3 * j + 1);
    words.push(word | (at(i + 21) << 31));
    word = (at(i + 21) >> 1) & 3;
    for (let j = 0; j < 10; j++) word |= at(i + 22 + j) << (3 * j + 2);
    words.push(word);
  }
  return words.slice(0, Math.ceil((values.length * bits) / 32));
}

interface Layer {
  readonly n: number;
  readonly k: number;
  readonly bits: Bits;
  /** (N, K), each scale · (code - zero). */
  readonly weights: readonly number[];
  /** (G, N). */
  readonly scales: readonly number[];
  readonly zeros: readonly number[];
  readonly g_idx: readonly number[];
}

/** pack(): floats → words, with what is stored for a zero point. */
function pack({ n, k, bits, weights, scales, zeros, g_idx }: Layer, stored: (zero: number) => number, dtype = 'F16') {
  const groups = scales.length / n;
  const columns = Array.from({ length: n }, (_, row) =>
    packList(
      Array.from({ length: k }, (_, i) => {
        const at = g_idx[i]! * n + row;
        return Math.round((weights[row * k + i]! + zeros[at]! * scales[at]!) / scales[at]!);
      }),
      bits,
    ),
  );
  const rows = columns[0]!.length;
  const qweight = Array.from({ length: rows * n }, (_, i) => columns[i % n]![Math.floor(i / n)]!);
  const qzeros = Array.from({ length: groups }, (_, group) => packList(zeros.slice(group * n, (group + 1) * n).map(stored), bits)).flat();
  return {
    qweight: raw('qweight', 'I32', [rows, n], qweight),
    qzeros: raw('qzeros', 'I32', [groups, Math.ceil((n * bits) / 32)], qzeros),
    scales: raw('scales', dtype, [groups, n], scales),
    g_idx: raw('g_idx', 'I32', [k], g_idx),
  };
}

describe('words by hand', () => {
  /** One output whose eight codes are the nibbles of a word, in the company of seven others. */
  const scales = raw('scales', 'F16', [1, 8], [1, 2, 1, 1, 1, 1, 1, 0.5]);
  const qweight = raw('qweight', 'I32', [1, 8], [0x87654321, 0xffffffff | 0, 0, 0, 0, 0, 0, 0x00000001]);

  test('4 bits along K, zero points along N less one', () => {
    // Stored 7 6 0 15 7 7 7 7 for outputs 0 to 7: zero points 8 7 1 0 (16 without its carry) 8 8 8 8.
    const qzeros = raw('qzeros', 'I32', [1, 1], [0x7777f067]);
    const weights = dequantize(importGptq({ qweight, qzeros, scales }, { bits: 4, checkpointFormat: 'gptq' }));
    const row = (n: number) => Array.from(weights.subarray(n * 8, n * 8 + 8));
    expect(row(0)).toEqual([-7, -6, -5, -4, -3, -2, -1, 0]);
    expect(row(1)).toEqual(Array(8).fill(2 * (15 - 7)));
    expect(row(2)).toEqual(Array(8).fill(-1));
    expect(row(3).map(Math.abs)).toEqual(Array(8).fill(0));
    expect(row(7)).toEqual([-3.5, -4, -4, -4, -4, -4, -4, -4]);
  });

  test('gptq_v2 stores zero points as they are', () => {
    const qzeros = raw('qzeros', 'I32', [1, 1], [0x7777f067]);
    const { zeroPoint } = importGptq({ qweight, qzeros, scales }, { bits: 4, checkpointFormat: 'gptq_v2' });
    expect(Array.from(zeroPoint!)).toEqual([7, 6, 0, 15, 7, 7, 7, 7]);
  });

  test('3 bits without gaps: codes 0 to 7, four times', () => {
    // 24 bits of eight codes are 0xfac688; 96 bits of four times that, cut in three. Code 10 is 2: its low bits 10 end word 0, its high
    // bit 0 begins word 1. Code 21 is 5: 1 ends word 1, 10 begins word 2.
    const packed = raw(
      'qweight',
      'I32',
      [3, 1],
      [0x88fac688, 0xc688fac6, 0xfac688fa].map((word) => word | 0),
    );
    const one = raw('scales', 'F16', [1, 1], [1]);
    const matrix = importGptq({ qweight: packed, scales: one }, { bits: 3 });
    checkMatrix(matrix);
    expect(matrix.bits).toBe(3);
    expect(matrix.codes).toEqual(new Uint32Array(4).fill(0x76543210));
    expect(Array.from(dequantize(matrix))).toEqual(Array.from({ length: 32 }, (_, i) => (i % 8) - 4));
  });

  test('8 bits: four codes in a word', () => {
    const packed = raw('qweight', 'I32', [1, 1], [0xff807f00 | 0]);
    const one = raw('scales', 'F16', [1, 1], [1]);
    const qzeros = raw('qzeros', 'I32', [1, 1], [0x7f]);
    expect(Array.from(dequantize(importGptq({ qweight: packed, qzeros, scales: one }, { bits: 8 })))).toEqual([-128, -1, 0, 127]);
  });
});

describe('auto', () => {
  const qweight = raw('qweight', 'I32', [2, 8], Array(16).fill(0));
  const scales = raw('scales', 'F16', [2, 8], Array(16).fill(1));
  const zerosOf = (words: readonly number[], checkpointFormat?: GptqOptions['checkpointFormat']) => {
    const qzeros = raw('qzeros', 'I32', [2, 1], words);
    return Array.from(importGptq({ qweight, qzeros, scales }, { bits: 4, checkpointFormat }).zeroPoint!);
  };
  test.each([
    ['all 7: v1, symmetric', [0x77777777, 0x77777777], undefined, Array(16).fill(8)],
    ['all 8: v2, symmetric', [0x88888888 | 0, 0x88888888 | 0], undefined, Array(16).fill(8)],
    ['all 8, said to be v1', [0x88888888 | 0, 0x88888888 | 0], 'gptq', Array(16).fill(9)],
    ['all 7, said to be v2', [0x77777777, 0x77777777], 'gptq_v2', Array(16).fill(7)],
    ['one that is not 8: v1', [0x88888888 | 0, 0x78888888], 'auto', [...Array(15).fill(9), 8]],
  ] as const)('%s', (_, words, said, want) => {
    expect(zerosOf(words, said)).toEqual(want);
  });
});

const layers = fc
  .record({
    n: fc.integer({ min: 1, max: 40 }),
    blocks: fc.integer({ min: 1, max: 5 }),
    bits: fc.constantFrom<Bits>(2, 3, 4, 8),
    group: fc.constantFrom(8, 16, 24, 32, 40, 64, -1),
    actOrder: fc.boolean(),
    seed: fc.integer(),
  })
  .map(({ n, blocks, bits, group, actOrder, seed }) => {
    let state = seed >>> 0;
    const next = (below: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below;
    const k = 32 * blocks;
    const groupSize = group === -1 ? k : group;
    const groups = Math.ceil(k / groupSize);
    const perm = Array.from({ length: k }, (_, i) => i);
    if (actOrder)
      for (let i = k - 1; i > 0; i--) {
        const j = next(i + 1);
        [perm[i], perm[j]] = [perm[j]!, perm[i]!];
      }
    // AutoGPTQ, quantization/gptq.py: g_idx = [i // group_size], then taken by the inverse of the order.
    const g_idx: number[] = [];
    perm.forEach((input, i) => {
      g_idx[input] = Math.floor(i / groupSize);
    });
    const scales = Array.from({ length: groups * n }, () => roundTo((1 + next(2000)) / 977, 'float16'));
    const zeros = Array.from({ length: groups * n }, () => next(2 ** bits));
    const weights = Array.from({ length: n * k }, (_, i) => {
      const at = g_idx[i % k]! * n + Math.floor(i / k);
      return scales[at]! * ((next(2 ** 16) % 2 ** bits) - zeros[at]!);
    });
    return { n, k, bits, groupSize: group, g_idx, weights, scales, zeros, trivial: g_idx.every((g, i) => g === Math.floor(i / groupSize)) };
  });

/** The first index where two lists differ, as numbers. */
const differs = (got: ArrayLike<number>, want: ArrayLike<number>): number =>
  Array.from(want).findIndex((value, i) => value !== got[i]) + (got.length === want.length ? 0 : Number.NaN);

test('any shape, bits, group, order and checkpoint format: import undoes pack, exactly', () => {
  fc.assert(
    fc.property(layers, fc.constantFrom('gptq' as const, 'gptq_v2' as const), (layer, checkpointFormat) => {
      const mask = 2 ** layer.bits - 1;
      const tensors = pack(layer, (zero) => (checkpointFormat === 'gptq' ? (zero - 1) & mask : zero));
      const options = { bits: layer.bits, groupSize: layer.groupSize, checkpointFormat };
      const matrix = importGptq(tensors, options);
      checkMatrix(matrix);
      expect(matrix.scaleDtype).toBe('float16');
      expect(matrix.permutation === undefined).toBe(layer.trivial);
      expect(differs(dequantize(matrix), layer.weights)).toBe(-1);
      if (matrix.permutation) {
        expect(Array.from(matrix.permutation).sort((a, b) => a - b)).toEqual(layer.g_idx.map((_, i) => i));
        // Stable: within a group, inputs keep their order.
        matrix.permutation.forEach((input, i) => {
          if (i > 0 && layer.g_idx[input] === layer.g_idx[matrix.permutation![i - 1]!])
            expect(input).toBeGreaterThan(matrix.permutation![i - 1]!);
        });
      } else {
        expect(importGptq({ ...tensors, g_idx: undefined }, options)).toEqual(matrix);
        const none = raw('g_idx', 'I32', [layer.k], Array(layer.k).fill(0));
        expect(importGptq({ ...tensors, g_idx: none }, options)).toEqual(matrix);
      }
    }),
    { numRuns: 200 },
  );
});

test('without qzeros the zero point is 2^(bits-1)', () => {
  fc.assert(
    fc.property(layers, (layer) => {
      const middle = 2 ** (layer.bits - 1);
      const zeros = layer.zeros.map(() => middle);
      const weights = layer.weights.map((_, i) => {
        const at = layer.g_idx[i % layer.k]! * layer.n + Math.floor(i / layer.k);
        return layer.scales[at]! * (((i * 7) % 2 ** layer.bits) - middle);
      });
      const { qzeros, ...tensors } = pack({ ...layer, zeros, weights }, (zero) => zero);
      const options = { bits: layer.bits, groupSize: layer.groupSize };
      expect(differs(dequantize(importGptq(tensors, options)), weights)).toBe(-1);
      expect(differs(dequantize(importGptq({ ...tensors, qzeros }, options)), weights)).toBe(-1); // All 2^(bits-1): v2.
    }),
    { numRuns: 60 },
  );
});

describe('a layer of a file', () => {
  const infos = (tensors: GptqTensors) =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]: [string, RawTensor]) => [name, infoOf(tensor)]),
    ) as unknown as Parameters<typeof gptqLayer>[0];

  test('in pieces along k it is what it is whole', async () => {
    let cut = 0;
    await fc.assert(
      fc.asyncProperty(layers, fc.integer({ min: 1, max: 1500 }), fc.boolean(), async (layer, chunkBytes, withIndex) => {
        const { g_idx, ...rest } = pack(layer, (zero) => zero);
        const tensors = withIndex ? { ...rest, g_idx } : rest;
        const options = { name: 'up', bits: layer.bits, groupSize: layer.groupSize, checkpointFormat: 'gptq_v2' as const };
        const source = gptqLayer(infos(tensors), { ...options, descAct: !layer.trivial });
        expect(source).toMatchObject({ name: 'up', format: 'GPTQ', n: layer.n, k: layer.k, bits: layer.bits });
        if (!withIndex && !layer.trivial) return;
        expect(differs(dequantize(source.make(tensors, layer)), layer.weights)).toBe(-1);
        if (source.cut) expect(source.cut.unit % 32).toBe(0); // whole blocks of the packed layout
        const parts = await weightsInPieces(source, chunkBytes);
        expect(differs(parts.weights, layer.weights)).toBe(-1);
        if (parts.pieces > 1) cut++;
      }),
      { numRuns: 200 },
    );
    expect(cut).toBeGreaterThan(0);
  });

  const k = 64;
  const layer: Layer = {
    n: 8,
    k,
    bits: 4,
    weights: Array(8 * k).fill(0),
    scales: Array(16).fill(1),
    zeros: Array(16).fill(8),
    g_idx: Array.from({ length: k }, (_, i) => i >> 5),
  };
  const tensors = pack(layer, (zero) => zero - 1);
  const options = { name: 'up', bits: 4 as const };

  test('it is cut only where each piece tells all', () => {
    const cutOf = (others: object) => gptqLayer(infos(tensors), { ...options, ...others }).cut;
    expect(cutOf({})).toBeUndefined(); // g_idx may be in any order.
    expect(cutOf({ descAct: true, checkpointFormat: 'gptq' })).toBeUndefined();
    expect(cutOf({ descAct: false })).toBeUndefined(); // A piece of zero points might tell another checkpoint format.
    const perRow = { qweight: 8, qzeros: 32, scales: 32, g_idx: 1 };
    expect(cutOf({ descAct: false, checkpointFormat: 'gptq' })).toEqual({ axis: 'k', unit: 32, perRow });
    expect(cutOf({ descAct: false, symmetric: true })).toEqual({ axis: 'k', unit: 32, perRow });
  });

  // Whole groups, and whole blocks of 32 k: their least common multiple.
  test.each([
    [4, 8, 32],
    [4, 24, 96],
    [2, 48, 96],
    [8, 20, 160],
    [4, 128, 128],
  ] as const)('%i bits in groups of %i are cut at multiples of %i', (bits, groupSize, unit) => {
    const [n, k] = [8, 960];
    const groups = Math.ceil(k / groupSize);
    const qweight = raw('qweight', 'I32', [(k * bits) / 32, n], Array((n * k * bits) / 32).fill(0));
    const scales = raw('scales', 'F16', [groups, n], Array(groups * n).fill(1));
    expect(gptqLayer(infos({ qweight, scales }), { name: 'up', bits, groupSize }).cut).toMatchObject({ axis: 'k', unit });
  });

  test('what is wrong before anything is read names the file', () => {
    expect(() => gptqLayer(infos(tensors), { ...options, groupSize: 16 })).toThrow(/^test: scales: shape: expected 4 groups of 16/);
  });

  test('g_idx out of order without desc_act is refused', () => {
    const source = gptqLayer(infos(tensors), { ...options, descAct: false, symmetric: true });
    const g_idx = raw('g_idx', 'I32', [k], [1, ...layer.g_idx.slice(1, -1), 0]);
    expect(() => source.make({ ...tensors, g_idx }, { n: 8, k })).toThrow(/g_idx: element 1: expected group 1 without desc_act, got 0/);
  });
});

describe('refused', () => {
  const n = 8;
  const qweight = raw('qweight', 'I32', [8, n], Array(64).fill(0));
  const qzeros = raw('qzeros', 'I32', [2, 1], [0, 0]);
  const scales = raw('scales', 'F16', [2, n], Array(16).fill(1));
  const g_idx = (values: readonly number[]) => raw('g_idx', 'I32', [values.length], values);
  const order = Array.from({ length: 64 }, (_, i) => i >> 5);
  const cases: readonly [string, Partial<GptqTensors>, Partial<GptqOptions>, RegExp][] = [
    ['5 bits', {}, { bits: 5 as 4 }, /qweight: bits: expected 2, 3, 4 or 8, got 5/],
    ['rows of 3 bits that end within a code', {}, { bits: 3 }, /qweight: shape: .*got 8 rows for 3 bits/],
    ['qweight of another dtype', { qweight: { ...qweight, dtype: 'F32' } }, {}, /qweight: dtype: expected I32 or U32, got F32/],
    ['qweight of another rank', { qweight: { ...qweight, shape: [64] } }, {}, /qweight: shape: expected two sizes/],
    ['qweight of no rows', { qweight: { ...qweight, shape: [0, 8] } }, {}, /qweight: shape: expected two sizes of at least 1/],
    ['qweight of too few bytes', { qweight: { ...qweight, bytes: qweight.bytes.subarray(4) } }, {}, /qweight: bytes: expected 256/],
    ['scales for other outputs', { scales: raw('scales', 'F16', [2, 4], Array(8).fill(1)) }, {}, /scales: shape: expected \(2, 8\)/],
    ['scales of integers', { scales: { ...scales, dtype: 'I16' } }, {}, /scales: dtype: /],
    ['a scale that is not a number', { scales: raw('scales', 'F16', [2, n], [Number.NaN, ...Array(15).fill(1)]) }, {}, /scales: element 0/],
    ['an infinite scale', { scales: raw('scales', 'F16', [2, n], [...Array(15).fill(1), 1e9]) }, {}, /scales: element 15: .*got Infinity/],
    ['qzeros of another shape', { qzeros: raw('qzeros', 'I32', [2, 2], [0, 0, 0, 0]) }, {}, /qzeros: shape: expected \(2, 1\)/],
    ['groupSize 0', {}, { groupSize: 0 }, /scales: groupSize: expected a whole number of at least 1, or -1, got 0/],
    ['groupSize -2', {}, { groupSize: -2 }, /groupSize: .*got -2/],
    ['groupSize NaN', {}, { groupSize: Number.NaN }, /groupSize: .*got NaN/],
    ['groupSize 1.5', {}, { groupSize: 1.5 }, /groupSize: .*got 1.5/],
    ['groupSize that gives other groups', {}, { groupSize: 16 }, /scales: shape: expected 4 groups of 16 for K = 64, got 2/],
    ['groupSize of half words', {}, { groupSize: 36 }, /groupSize: expected a multiple of 8, or all of K, got 36/],
    ['groups that do not divide K', { scales: raw('scales', 'F16', [3, n], Array(24).fill(1)) }, {}, /groupSize: expected to be told/],
    ['g_idx past the groups', { g_idx: g_idx([...order.slice(1), 2]) }, {}, /g_idx: element 63: expected a group from 0 to 1, got 2/],
    ['g_idx below 0', { g_idx: g_idx([-1, ...order.slice(1)]) }, {}, /g_idx: element 0: .*got -1/],
    ['g_idx of another length', { g_idx: g_idx(order.slice(1)) }, {}, /g_idx: shape: expected \(64,\)/],
    ['groups of uneven sizes', { g_idx: g_idx([1, ...order.slice(1)]) }, {}, /g_idx: group 0: expected 32 inputs, got 31/],
  ];
  test.each(cases)('%s', (_, tensors, options, message) => {
    const run = () => importGptq({ qweight, qzeros, scales, ...tensors }, { bits: 4, ...options });
    expect(run).toThrow(FormatError);
    expect(run).toThrow(message);
  });
  test('and the same without the fault is taken', () => {
    expect(importGptq({ qweight, qzeros, scales, g_idx: g_idx(order) }, { bits: 4 })).toMatchObject({ n: 8, k: 64, groupSize: 32 });
  });
});
