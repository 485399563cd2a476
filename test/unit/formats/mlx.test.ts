// MLX: words worked by hand from mlx's rule, a packer that writes a row bit by bit, layers of a file with a configuration, and refusals.
// mlx/ops.cpp, quantize(): 2, 4 and 8 bits fill words, the first k in the lowest bits; 3, 5 and 6 bits fill bytes: 8 codes in 3, 8 in 5, 4 in 3.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.js';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { importMlx, type MlxOptions, type MlxTensors, mlxLayer } from '../../../src/formats/mlx.js';
import { quantizationOf } from '../../../src/formats/quantization-config.js';
import { checkMatrix, codeAt, dequantize, type QuantizedMatrix } from '../../../src/problem/matrix.js';
import { fileOf } from '../../support/every-format.js';
import { expectWeights, floats, infosOf, randoms, raw, seeds, weightsInPieces } from '../../support/tensors.js';

type Width = QuantizedMatrix['bits'];
const repeated = (list: readonly number[], length: number) => Array.from({ length }, (_, i) => list[i % list.length]!);

describe('words by hand: 32 codes in a group, half of each and less 3', () => {
  test.each<[Width, codes: readonly number[], words: readonly number[]]>([
    [2, [0, 1, 2, 3], [0xe4e4e4e4, 0xe4e4e4e4]],
    // 8 codes are the bytes 88 c6 fa.
    [3, [0, 1, 2, 3, 4, 5, 6, 7], [0x88fac688, 0xc688fac6, 0xfac688fa]],
    [4, [0, 1, 2, 3, 4, 5, 6, 15], repeated([0xf6543210], 4)],
    // 8 codes are the bytes 38 eb cd bb ff.
    [5, [24, 25, 26, 27, 28, 29, 30, 31], [0xbbcdeb38, 0xcdeb38ff, 0xeb38ffbb, 0x38ffbbcd, 0xffbbcdeb]],
    // 4 codes are the bytes 81 30 fc.
    [6, [1, 2, 3, 63], repeated([0x81fc3081, 0x3081fc30, 0xfc3081fc], 6)],
    [8, [1, 2, 128, 255], repeated([0xff800201], 8)],
  ])('%i bits', (bits, codes, words) => {
    const weight = raw('weight', 'U32', [1, words.length], words);
    const [scales, biases] = [raw('scales', 'F16', [1, 1], [0.5]), raw('biases', 'F16', [1, 1], [-3])];
    const matrix = importMlx({ weight, scales, biases }, { bits, groupSize: 32 });
    checkMatrix(matrix);
    expect(matrix).toMatchObject({ n: 1, k: 32, bits, groupSize: 32, scaleDtype: 'float16' });
    expect(Array.from({ length: 32 }, (_, column) => codeAt(matrix, 0, column))).toEqual(repeated(codes, 32));
    expect([...dequantize(matrix)]).toEqual(repeated(codes, 32).map((code) => code / 2 - 3));
  });
});

/** A row of codes as bytes: each code's bits, the lowest first, one after another. */
function pack(codes: readonly number[], bits: number): number[] {
  const run = codes.map((code) => [...code.toString(2).padStart(bits, '0')].reverse().join('')).join('');
  return Array.from({ length: run.length / 8 }, (_, i) => Number.parseInt([...run.slice(8 * i, 8 * i + 8)].reverse().join(''), 2));
}

const AS = { F16: 'float16', BF16: 'bfloat16', F32: 'float32' } as const;
const layers = fc
  .record({
    bits: fc.constantFrom<Width>(2, 3, 4, 5, 6, 8),
    groupSize: fc.constantFrom(32, 64, 128),
    dtype: fc.constantFrom('F16' as const, 'BF16' as const, 'F32' as const),
    n: fc.integer({ min: 1, max: 13 }),
    groups: fc.integer({ min: 1, max: 4 }),
    seed: seeds,
  })
  .map(({ bits, groupSize, dtype, n, groups, seed }) => {
    const k = groups * groupSize;
    const codes = randoms(seed, n * k, 0, 2 ** bits - 1);
    const [scale, minimum] = [floats(seed, n * groups), floats(seed + 1, n * groups)];
    const rows = Array.from({ length: n }, (_, row) => pack(codes.slice(row * k, (row + 1) * k), bits)).flat();
    const tensors = {
      weight: { ...raw('weight', 'U8', [], rows), dtype: 'U32', shape: [n, (k * bits) / 32] },
      scales: raw('scales', dtype, [n, groups], scale),
      biases: raw('biases', dtype, [n, groups], minimum),
    };
    const weights = codes.map((code, i) => {
      const group = Math.floor(i / k) * groups + Math.floor((i % k) / groupSize);
      return Math.fround(scale[group]! * code + minimum[group]!);
    });
    return { tensors, weights, bits, groupSize, want: { n, k, bits, groupSize, scaleDtype: AS[dtype] } };
  });

test('any width, group and shape: import undoes pack, exactly; in pieces, too', async () => {
  let cut = 0;
  await fc.assert(
    fc.asyncProperty(layers, fc.integer({ min: 1, max: 1000 }), async ({ tensors, weights, bits, groupSize, want }, chunkBytes) => {
      const matrix = importMlx(tensors, { bits, groupSize });
      checkMatrix(matrix);
      expect(matrix).toMatchObject(want);
      expectWeights(dequantize(matrix), weights);
      // The shapes have the product of both settings.
      expect(importMlx(tensors, { bits })).toEqual(matrix);
      expect(importMlx(tensors, { groupSize })).toEqual(matrix);
      const source = mlxLayer(infosOf(tensors), { name: 'up', bits, groupSize });
      expect(source).toMatchObject({ name: 'up', format: 'MLX', n: want.n, k: want.k, bits, groupSize });
      const parts = await weightsInPieces(source, chunkBytes);
      expectWeights(parts.weights, weights);
      if (parts.pieces > 1) cut++;
    }),
    { numRuns: 150 },
  );
  expect(cut).toBeGreaterThan(0);
});

test('what is read is not written to', () => {
  const bytes = new Uint8Array(new Uint32Array(3).fill(0x12345678).buffer);
  const one = raw('scales', 'F16', [1, 1], [1]);
  importMlx({ weight: { name: 'weight', dtype: 'U32', shape: [1, 3], bytes }, scales: one, biases: one }, { bits: 3 });
  expect(new Uint32Array(bytes.buffer)).toEqual(new Uint32Array(3).fill(0x12345678));
});

/** The tensors of a layer of 8 outputs, whose groups have `inGroup` bits. */
const layer = (name: string, inGroup: number, dtype = 'F16') => [
  raw(`${name}.weight`, 'U32', [8, inGroup / 16], randoms(1, inGroup / 2, 0, 2 ** 32 - 1)),
  raw(`${name}.scales`, dtype, [8, 2], Array(16).fill(1)),
  raw(`${name}.biases`, dtype, [8, 2], Array(16).fill(0.5)),
];

describe('config.json', () => {
  const quantization = { group_size: 64, bits: 4, 'model.down': { group_size: 32, bits: 6 }, 'model.gate': false };
  const found = async (tensors: Parameters<typeof fileOf>[0], config: unknown) => {
    const { layers, refused } = await findLayers(fileOf(tensors, { metadata: {} }), { config });
    return {
      layers: layers.map(({ name, format, bits, groupSize, k }) => [name, format, bits, groupSize, k]),
      refused: refused.map(({ name, error }) => [name, error.field, error.expected, error.got]),
    };
  };

  test('settings of the model and of a layer', async () => {
    const tensors = [...layer('model.up', 256), ...layer('model.down', 192), raw('model.gate.weight', 'F16', [8, 4], Array(32).fill(1))];
    const want = {
      layers: [
        ['model.up', 'MLX', 4, 64, 128],
        ['model.down', 'MLX', 6, 32, 64],
      ],
      refused: [],
    };
    expect(await found(tensors, { model_type: 'llama', quantization })).toEqual(want);
    expect(await found(tensors, { quantization, quantization_config: quantization })).toEqual(want);
    expect(await found(tensors, { quantization, quantization_config: { quant_method: 'mxfp4' } })).toEqual(want);
    expect(await found(tensors, { quantization_config: quantization })).toEqual(want);
  });
  test('what quantizationOf reads of it', () => {
    const read = quantizationOf({ quantization: { ...quantization, mode: 'affine' }, tie_word_embeddings: false });
    expect(read).toMatchObject({ bits: 4, groupSizes: [64], mode: 'affine', method: undefined, mlc: undefined });
    expect([...read.layers]).toEqual([
      ['model.down', { groupSize: 32, bits: 6, mode: undefined }],
      ['model.gate', false],
    ]);
  });
  test('a layer has its bias', async () => {
    const tensors = [...layer('up', 256), raw('up.bias', 'F16', [8], Array(8).fill(1))];
    const { layers } = await findLayers(fileOf(tensors, { metadata: {} }), { config: { quantization } });
    expect(layers[0]!.bias?.name).toBe('up.bias');
  });
  test('without one, shapes may fit several settings', async () => {
    expect(await found(layer('up', 256), undefined)).toEqual({
      layers: [],
      refused: [['up', 'bits', 'bits and groupSize to be said: 2 and 128 or 4 and 64 or 8 and 32', 'none and none']],
    });
    expect((await found(layer('up', 96), undefined)).layers).toEqual([['up', 'MLX', 3, 32, 64]]);
  });
  test('a layer that it says is not quantized, and settings that contradict shapes', async () => {
    const config = { quantization };
    expect((await found(layer('model.gate', 256), config)).refused).toEqual([
      ['model.gate', 'quantization', expect.stringMatching(/floats/), 'U32'],
    ]);
    expect((await found(layer('up', 128), config)).refused).toEqual([
      ['up', 'bits', expect.stringMatching(/said: 2 and 64 or 4 and 32/), '4 and 64'],
    ]);
    expect((await found(layer('up', 224), { quantization: { bits: 7 } })).refused).toEqual([
      ['up', 'shape', expect.stringMatching(/groups of 32 or 64 or 128 codes/), '224 bits for each scale'],
    ]);
  });
  test('modes of floats, by their shapes, and as the configuration says', async () => {
    for (const [mode, inGroup, bits, groupSize] of [
      ['nvfp4', 64, 4, 16],
      ['mxfp4', 128, 4, 32],
      ['mxfp8', 256, 8, 32],
    ] as const) {
      const [weight] = layer('up', inGroup);
      const tensors = [weight!, raw('up.scales', 'U8', [8, 2], Array(16).fill(1))];
      const want = { layers: [['up', `MLX ${mode}`, bits, groupSize, 2 * groupSize]], refused: [] };
      for (const config of [undefined, { quantization: { group_size: groupSize, bits, mode } }])
        expect(await found(tensors, config)).toEqual(want);
      const other = mode === 'mxfp4' ? 'nvfp4' : 'mxfp4';
      for (const said of ['affine', other])
        expect((await found(tensors, { quantization: { group_size: groupSize, bits, mode: said } })).refused).toEqual([
          ['up', 'mode', `${mode}, as the tensors are`, said],
        ]);
      expect((await found(tensors, { quantization: { group_size: 64, bits, mode } })).refused).toEqual([
        ['up', 'bits', `${bits} and ${groupSize} of ${mode}`, `${bits} and 64`],
      ]);
      expect((await found([...tensors, raw('up.biases', 'F16', [8, 2], Array(16).fill(1))], undefined)).refused).toEqual([
        ['up', 'beside it', 'scales of mode affine', mode],
      ]);
      // A scale of the whole layer, of which the rule is not known here.
      const whole = [...tensors, raw('up.global_scale', 'F32', [1], [1])];
      expect((await found(whole, undefined)).refused[0]![1]).toBe('beside up');
    }
    const [weight] = layer('up', 192);
    expect((await found([weight!, raw('up.scales', 'U8', [8, 2], Array(16).fill(1))], undefined)).refused).toEqual([
      ['up', 'shape', 'bits for each scale: 64 for nvfp4 or 128 for mxfp4 or 256 for mxfp8', '192'],
    ]);
  });
  test('modes that are not known are refused by name', async () => {
    expect((await found(layer('up', 256), { quantization: { ...quantization, mode: 'Other' } })).refused[0]).toContain('other');
  });
  test("a layer's settings without a mode mean affine", async () => {
    const model = { group_size: 32, bits: 4, mode: 'mxfp4', up: { group_size: 64, bits: 4 } };
    expect((await found(layer('up', 256), { quantization: model })).layers).toHaveLength(1);
  });
  test('biases are missing', async () => {
    expect((await found(layer('up', 256).slice(0, 2), { quantization })).refused).toEqual([['up', 'beside it', 'biases', 'none']]);
  });
});

describe('refused', () => {
  const [weight, scales, biases] = layer('x', 256) as [RawTensor, RawTensor, RawTensor];
  const cases: readonly [string, Partial<MlxTensors>, MlxOptions, RegExp][] = [
    ['a weight of another dtype', { weight: { ...weight, dtype: 'I32' } }, {}, /x.weight: dtype: expected U32, got I32/],
    ['scales of another dtype', { scales: { ...scales, dtype: 'I8' } }, {}, /x.scales: dtype: expected F16 or BF16 or F32 or U8, got I8/],
    ['no biases', { biases: undefined }, {}, /x.scales: beside it: expected biases, got none/],
    ['another mode than the tensors have', {}, { mode: 'mxfp4' }, /x.scales: mode: expected affine, as the tensors are, got mxfp4/],
    ['biases of another dtype than scales', { biases: { ...biases, dtype: 'BF16' } }, {}, /x.biases: dtype: expected F16, got BF16/],
    ['a weight of three dimensions', { weight: { ...weight, shape: [1, 8, 16] } }, {}, /x.weight: shape: expected two sizes/],
    ['scales of other outputs', { scales: { ...scales, shape: [2, 8] } }, {}, /x.scales: shape: expected \(8, 8\)/],
    ['biases of another shape', { biases: { ...biases, shape: [2, 8] } }, {}, /x.biases: shape: expected \(8, 2\)/],
    ['a weight of too few bytes', { weight: { ...weight, bytes: new Uint8Array(4) } }, {}, /x.weight: bytes: expected 512/],
    ['groups of 16', {}, { bits: 4, groupSize: 16 }, /x.weight: bits: .*got 4 and 16/],
    ['other bits than the shapes have', {}, { bits: 6 }, /x.weight: bits: .*got 6 and 64/],
    ['a bias that is not a number', { biases: raw('x.biases', 'F16', [8, 2], Array(16).fill(Number.NaN)) }, {}, /x.biases: element 0/],
  ];
  test.each(cases)('%s', (_, tensors, options, message) => {
    const run = () => importMlx({ weight, scales, biases, ...tensors }, { groupSize: 64, ...options });
    expect(run).toThrow(FormatError);
    expect(run).toThrow(message);
  });
  test('and the same without the fault is taken', () => {
    expect(importMlx({ weight, scales, biases }, { groupSize: 64 })).toMatchObject({ n: 8, k: 128, bits: 4 });
  });
});

describe('floats: bytes by hand, and a slow decoder', () => {
  const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
  const decode4 = (code: number) => (code > 7 ? -1 : 1) * e2m1[code % 8]!;
  const decode8 = (byte: number): number => {
    const [exponent, fraction] = [Math.floor(byte / 8) % 16, byte % 8];
    return (byte > 127 ? -1 : 1) * (exponent > 0 ? 2 ** (exponent - 7) * (1 + fraction / 8) : 2 ** -6 * (fraction / 8));
  };
  const words = (bytes: readonly number[], n: number) => ({ ...raw('w', 'U8', [], bytes), dtype: 'U32', shape: [n, bytes.length / n / 4] });

  test('nvfp4: a group of 16 with the scale 1.5, 0x3c', () => {
    // The even k in the low nibble: bytes 10 32 54 76 98 ba dc fe are codes 0 to 15.
    const weight = words([0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe], 1);
    const matrix = importMlx({ weight, scales: raw('s', 'U8', [1, 1], [0x3c]) });
    expect(matrix).toMatchObject({ n: 1, k: 16, bits: 4, groupSize: 16, scaleForm: { kind: 'e4m3' } });
    expectWeights(dequantize(matrix), [0, 0.75, 1.5, 2.25, 3, 4.5, 6, 9, -0, -0.75, -1.5, -2.25, -3, -4.5, -6, -9]);
  });
  test.each(['nvfp4', 'mxfp4', 'mxfp8'] as const)('%s, whole and in pieces', async (mode) => {
    const [n, groups, size] = [6, 3, mode === 'nvfp4' ? 16 : 32];
    const k = groups * size;
    const of8 = mode === 'mxfp8';
    const bytes = randoms(11, of8 ? n * k : (n * k) / 2, 0, 255).map((byte) => (of8 && byte % 128 === 127 ? 0 : byte));
    const scaleBytes = randoms(12, n * groups, mode === 'nvfp4' ? 0 : 120, 126);
    const tensors = { weight: words(bytes, n), scales: raw('s', 'U8', [n, groups], scaleBytes) };
    const want = Array.from({ length: n * k }, (_, i) => {
      const byte = scaleBytes[Math.floor(i / k) * groups + Math.floor((i % k) / size)]!;
      const value = of8 ? decode8(bytes[i]!) : decode4((bytes[i >> 1]! >> (4 * (i % 2))) & 15);
      return (mode === 'nvfp4' ? decode8(byte) : 2 ** (byte - 127)) * value;
    });
    checkMatrix(importMlx(tensors));
    expectWeights(dequantize(importMlx(tensors, { mode })), want);
    expectWeights((await weightsInPieces(mlxLayer(infosOf(tensors), { name: 'x' }))).weights, want);
  });
  test('NaN, and a scale with a sign', () => {
    const of4 = words(Array(16).fill(0), 2);
    expect(() => importMlx({ weight: of4, scales: raw('s', 'U8', [2, 1], [0x80, 0]) })).toThrow(
      /s: element 0: expected a scale of E4M3, without a sign/,
    );
    expect(() => importMlx({ weight: of4, scales: raw('s', 'U8', [2, 1], [0, 127]) })).toThrow(/s: element 1: .*byte 127/);
    const of8 = words([...Array(40).fill(0), 255, ...Array(23).fill(0)], 2);
    expect(() => importMlx({ weight: of8, scales: raw('s', 'U8', [2, 1], [0, 1]) })).toThrow(
      /w: element 40: expected a finite number, got NaN, byte 255/,
    );
    expect(() => importMlx({ weight: words(Array(64).fill(0), 2), scales: raw('s', 'U8', [2, 1], [0, 255]) })).toThrow(
      /s: element 1: expected a power of two/,
    );
  });
});
