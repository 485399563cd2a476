// FP8: numbers worked from the OCP specification, a slow decoder against the importer, and layers of files under each configuration.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { type Fp8Tensors, fp8Layer, importFp8 } from '../../../src/formats/fp8.js';
import { quantizationOf } from '../../../src/formats/quantization-config.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { fileOf } from '../../support/every-format.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, floats, infosOf, randoms, raw, seeds, weightsInPieces } from '../../support/tensors.js';

const { fround } = Math;

/** A sign, 4 bits of exponent, 3 of fraction: by the specification's two formulas. */
function decode(byte: number): number {
  const [sign, exponent, fraction] = [byte > 127 ? -1 : 1, Math.floor(byte / 8) % 16, byte % 8];
  return sign * (exponent > 0 ? 2 ** (exponent - 7) * (1 + fraction / 8) : 2 ** -6 * (fraction / 8));
}
const finite = (seed: number, length: number): number[] => randoms(seed, length, 0, 253).map((i) => (i < 127 ? i : i + 1));
const weight = (n: number, k: number, bytes: readonly number[]) => raw('weight', 'F8_E4M3', [n, k], bytes);
const F32 = (shape: readonly number[], values: readonly number[]) => raw('scale', 'F32', shape, values);

describe('numbers', () => {
  test('all 254 that are no NaN, times the scale', () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte % 128 !== 127);
    const tensors = { weight: weight(1, 254, bytes), weight_scale: F32([], [1]) };
    expectWeights(dequantize(importFp8(tensors)), bytes.map(decode));
    // Worked: 0x38 is 2^0 · 1, 0x7e is 2^8 · 1.75 = 448, 0x01 is 2^-9, 0xc5 is -2^1 · 1.625.
    const few = { weight: weight(1, 4, [0x38, 0x7e, 0x01, 0xc5]), weight_scale_inv: F32([1, 1], [0.5]) };
    expect([...dequantize(importFp8(few))]).toEqual([0.5, 224, 2 ** -10, -1.625]);
    expect(importFp8(few)).toMatchObject({ bits: 8, codeForm: 'e4m3', scaleDtype: 'float32', codes: Uint32Array.of(0xc5017e38) });
  });
  test.each([127, 255])('byte %i is NaN and refused', (bad) => {
    const tensors = { weight: weight(2, 3, [1, 2, 3, 4, bad, 6]), weight_scale: F32([], [1]) };
    expectFormat(() => importFp8(tensors), 'element 4', 'a finite number', `NaN, byte ${bad}`);
  });
});

/** The scale of (row, column), by the shape alone. */
type ScaleAt = (row: number, column: number) => number;

describe('scales', () => {
  const sizes = [fc.integer({ min: 2, max: 30 }), fc.integer({ min: 1, max: 60 }), fc.constantFrom('F32', 'BF16'), seeds] as const;
  const check = async (n: number, k: number, seed: number, scales: Omit<Fp8Tensors<RawTensor>, 'weight'>, options: object, at: ScaleAt) => {
    const bytes = finite(seed, n * k);
    const tensors = { weight: weight(n, k, bytes), ...scales };
    const expected = bytes.map((byte, i) => fround(decode(byte) * at(Math.floor(i / k), i % k)));
    expectWeights(dequantize(importFp8(tensors, options)), expected);
    const { weights } = await weightsInPieces(fp8Layer(infosOf(tensors), { name: 'x', ...options }));
    expectWeights(weights, expected);
  };
  test('for all, and for outputs', () =>
    fc.assert(
      fc.asyncProperty(...sizes, async (n, k, dtype, seed) => {
        const list = floats(seed, n);
        for (const shape of [[], [1], [1, 1]])
          await check(n, k, seed, { weight_scale: raw('s', dtype, shape, [list[0]!]) }, {}, () => list[0]!);
        for (const shape of [[n], [n, 1]]) await check(n, k, seed, { weight_scale: raw('s', dtype, shape, list) }, {}, (row) => list[row]!);
      }),
      { numRuns: 25 },
    ));
  test('for blocks that divide neither N nor K', () =>
    fc.assert(
      fc.asyncProperty(...sizes, fc.integer({ min: 2, max: 9 }), fc.constantFrom(4, 8, 12), async (n, k, dtype, seed, rows, columns) => {
        const [down, across] = [Math.ceil(n / rows), Math.ceil(k / columns)];
        const list = floats(seed, down * across);
        const scales = { weight_scale_inv: raw('s', dtype, [down, across], list) };
        await check(
          n,
          k,
          seed,
          scales,
          { blockSize: [rows, columns] },
          (row, column) => list[Math.floor(row / rows) * across + Math.floor(column / columns)]!,
        );
      }),
      { numRuns: 60 },
    ));
  test('for blocks of 128 × 128, of which pieces hold whole ones', async () => {
    const [n, k] = [300, 200];
    const list = floats(5, 6);
    const tensors = { weight: weight(n, k, finite(6, n * k)), weight_scale_inv: raw('s', 'F32', [3, 2], list) };
    const layer = fp8Layer(infosOf(tensors), { name: 'x' });
    expect(layer).toMatchObject({ format: 'FP8', n, k, bits: 8, groupSize: 128, cut: { axis: 'n', unit: 128 } });
    const { weights, pieces } = await weightsInPieces(layer);
    expect(pieces).toBe(3);
    expectWeights(
      weights,
      finite(6, n * k).map((byte, i) => fround(decode(byte) * list[2 * Math.floor(i / k / 128) + Math.floor((i % k) / 128)]!)),
    );
  });
  test('for groups: floats, and powers of two in bytes', async () => {
    const list = floats(7, 12);
    const at = (row: number, column: number) => 3 * row + Math.floor(column / 32);
    await check(4, 96, 8, { weight_scale: raw('s', 'BF16', [4, 3], list) }, { groupSize: 32 }, (row, column) => list[at(row, column)]!);
    const bytes = randoms(9, 12, 110, 130);
    for (const dtype of ['U8', 'F8_E8M0']) {
      const scales = { weight_scale: raw('s', dtype, [4, 3], bytes) };
      await check(4, 96, 8, scales, {}, (row, column) => 2 ** (bytes[at(row, column)]! - 127));
      expect(importFp8({ weight: weight(4, 96, finite(1, 384)), ...scales }).scaleForm).toEqual({ kind: 'e8m0' });
      const nan = raw('s', dtype, [4, 3], [...bytes.slice(0, 11), 255]);
      expectFormat(
        () => importFp8({ weight: weight(4, 96, finite(1, 384)), weight_scale: nan }),
        'element 11',
        'a power of two',
        'byte 255',
      );
    }
  });
  test('refusals', () => {
    const w = weight(4, 8, finite(1, 32));
    const one = F32([], [1]);
    expectFormat(() => importFp8({ weight: w }), 'beside it', 'either weight_scale or weight_scale_inv', 'neither');
    expectFormat(() => importFp8({ weight: w, weight_scale: one, weight_scale_inv: one }), 'beside it', 'either', 'both');
    expectFormat(() => importFp8({ weight: { ...w, dtype: 'F8_E5M2' }, weight_scale: one }), 'dtype', 'F8_E4M3', 'F8_E5M2');
    expectFormat(() => importFp8({ weight: w, weight_scale: raw('s', 'I8', [4], [1, 1, 1, 1]) }), 'dtype', 'F16 or BF16 or F32', 'I8');
    expectFormat(
      () => importFp8({ weight: w, weight_scale: F32([3, 1], [1, 1, 1]) }),
      'shape',
      '(1), (4, 1), (4, groups) or (1, 1)',
      '(3, 1)',
    );
    expectFormat(
      () => importFp8({ weight: w, weight_scale: F32([2, 2], [1, 1, 1, 1]) }, { blockSize: [3, 8] }),
      'shape',
      '(2, 1) for blocks',
    );
    expectFormat(() => importFp8({ weight: w, weight_scale: F32([], [Number.NaN]) }), 'element 0', 'a finite number', 'NaN');
    expectFormat(() => importFp8({ weight: w, weight_scale: one }, { blockSize: [128] }), 'blockSize', 'two sizes', '(128,)');
    expectFormat(() => importFp8({ weight: { ...w, shape: [4, 2, 4] }, weight_scale: one }), 'shape', 'two sizes', '(4, 2, 4)');
  });
});

describe('layers of files', () => {
  const bytes = finite(3, 24 * 40);
  const find = (method: string | undefined, parts: readonly RawTensor[], rest: object = {}) => {
    const tensors = [{ ...weight(24, 40, bytes), name: 'a.weight' }, ...parts.map((part) => ({ ...part, name: `a.${part.name}` }))];
    return findLayers(fileOf(tensors), method ? { config: { quantization_config: { quant_method: method, ...rest } } } : {});
  };
  const blocks = raw('weight_scale_inv', 'F32', [3, 2], [1, 2, 3, 4, 5, 6]);
  test.each<[string | undefined, readonly RawTensor[], object]>([
    [undefined, [raw('weight_scale', 'F32', [], [2]), raw('input_scale', 'F32', [], [3])], {}],
    ['fp8', [raw('weight_scale', 'F32', [], [2]), raw('input_scale', 'F32', [], [3])], { activation_scheme: 'static' }],
    ['fp8', [raw('weight_scale_inv', 'BF16', [1, 1], [2])], { weight_block_size: [128, 128] }],
    ['fbgemm_fp8', [raw('weight_scale', 'F32', [24, 1], Array(24).fill(2)), raw('input_scale_ub', 'F32', [1], [9])], {}],
    ['modelopt', [raw('weight_scale', 'F32', [], [2]), raw('input_scale', 'F32', [], [3]), raw('k_scale', 'F32', [], [3])], {}],
    ['compressed-tensors', [raw('weight_scale', 'BF16', [24, 1], Array(24).fill(2))], { format: 'float-quantized' }],
  ])('%s', async (method, parts, rest) => {
    const { layers, refused, notYet } = await find(method, parts, rest);
    expect([refused, notYet]).toEqual([[], []]);
    expect(layers.map(({ name, format }) => [name, format])).toEqual([['a', 'FP8']]);
    expectWeights(
      dequantize(await readMatrix(layers[0]!)),
      bytes.map((byte) => 2 * decode(byte)),
    );
  });
  test('blocks as the configuration says', async () => {
    const want = bytes.map((byte, i) => decode(byte) * (1 + 2 * Math.floor(i / 40 / 8) + Math.floor((i % 40) / 32)));
    for (const [method, config] of [
      ['fp8', { weight_block_size: [8, 32] }],
      ['compressed-tensors', { config_groups: { group_0: { weights: { strategy: 'block', block_structure: [8, 32] } } } }],
    ] as const) {
      const { layers } = await find(method, [blocks], config);
      expectWeights(dequantize(await readMatrix(layers[0]!)), want);
    }
    const { refused } = await find('fp8', [blocks]);
    expect(refused[0]!.error.message).toContain('(1, 1) for blocks');
    expect(quantizationOf({ quant_method: 'fp8', weight_block_size: [8, 0] }).blockSize).toBeUndefined();
  });
  test('refused by name: a scale of inputs that changes x, transforms, another method', async () => {
    const scale = raw('weight_scale', 'F32', [], [2]);
    const because = async (method: string | undefined, parts: readonly RawTensor[], rest: object = {}) =>
      (await find(method, parts, rest)).refused[0]!.error;
    expect((await because('modelopt', [scale, raw('pre_quant_scale', 'F32', [40], Array(40).fill(1))])).tensor).toBe('a.pre_quant_scale');
    expect((await because('fp8', [scale, raw('weight_zero_point', 'F32', [], [0])])).tensor).toBe('a.weight_zero_point');
    const transforms = { transform_config: { config_groups: { a: {} } } };
    expect((await because('compressed-tensors', [scale], transforms)).field).toBe('transform_config');
    expect((await because('gptq', [scale])).field).toBe('quant_method');
  });
  test('experts of three dimensions are named, not read', async () => {
    const w = { ...raw('a.weight', 'F8_E4M3', [2, 4, 8], finite(1, 64)) };
    const { layers, notYet } = await findLayers(fileOf([w, raw('a.weight_scale_inv', 'F32', [2, 1, 1], [1, 1])]));
    expect([layers, notYet.map(({ format }) => format)]).toEqual([[], ['FP8']]);
  });
});
