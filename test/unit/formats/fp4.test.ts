// NVFP4 and MXFP4: bytes worked by hand, a slow decoder against the importer, and layers of files under each configuration.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { fp4Layer, importFp4 } from '../../../src/formats/fp4.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { checkMatrix, dequantize } from '../../../src/problem/matrix.js';
import { fileOf } from '../../support/every-format.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, infosOf, randoms, raw, seeds, weightsInPieces } from '../../support/tensors.js';

const { fround } = Math;
const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
const decode4 = (code: number): number => (code > 7 ? -1 : 1) * E2M1[code % 8]!;
const scaleOf = (byte: number): number => (byte < 8 ? byte * 2 ** -9 : 2 ** (Math.floor(byte / 8) - 7) * (1 + (byte % 8) / 8));
/** Code of flat index i: the even k in the low nibble. */
const codeOf = (bytes: readonly number[], i: number): number => (i % 2 === 0 ? bytes[i >> 1]! % 16 : Math.floor(bytes[i >> 1]! / 16));

test('by hand: bytes 10 32 54 76 98 ba dc fe are codes 0 to 15; the scale 0x34 is 1.25', () => {
  const bytes = [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe];
  const weight = raw('w', 'U8', [1, 8], bytes);
  const weight_scale = raw('s', 'F8_E4M3', [1, 1], [0x3a]); // 2^0 · 1.25
  const want = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6].map((value) => value * 5);
  const times = importFp4({ weight, weight_scale, weight_scale_2: raw('g', 'F32', [], [4]) });
  const over = importFp4({ weight_packed: weight, weight_scale, weight_global_scale: raw('g', 'F32', [1], [0.25]) });
  for (const matrix of [times, over]) {
    expectWeights(dequantize(matrix), want);
    expect(matrix).toMatchObject({ n: 1, k: 16, bits: 4, groupSize: 16, scaleForm: { kind: 'e4m3-unit', unit: Float32Array.of(4) } });
    expect([...matrix.codes]).toEqual([0x76543210, 0xfedcba98]);
  }
  const powers = importFp4({ weight_packed: raw('w', 'U8', [1, 16], [...bytes, ...bytes]), weight_scale: raw('s', 'U8', [1, 1], [128]) });
  expect(powers).toMatchObject({ k: 32, groupSize: 32, scaleForm: { kind: 'e8m0' } });
  expectWeights(
    dequantize(powers).subarray(16),
    want.map((value) => (value / 5) * 2),
  );
});

describe('a slow decoder', () => {
  const sizes = [fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }), seeds] as const;
  test.each(['weight_scale_2', 'weight_global_scale'] as const)('NVFP4 with %s: each product rounded to float32', (name) =>
    fc.assert(
      fc.asyncProperty(...sizes, fc.integer({ min: 2 ** 23, max: 2 ** 24 - 1 }), async (n, groups, seed, digits) => {
        const k = 16 * groups;
        const bytes = randoms(seed, (n * k) / 2, 0, 255);
        const scales = randoms(seed + 1, n * groups, 0, 126);
        const whole = fround(digits * 2 ** (name === 'weight_scale_2' ? -36 : -12));
        const unit = name === 'weight_scale_2' ? whole : fround(1 / whole);
        const tensors = {
          [name === 'weight_scale_2' ? 'weight' : 'weight_packed']: raw('w', 'U8', [n, k / 2], bytes),
          weight_scale: raw('s', 'F8_E4M3', [n, groups], scales),
          [name]: raw('g', 'F32', [1], [whole]),
        };
        const want = Array.from({ length: n * k }, (_, i) =>
          fround(fround(scaleOf(scales[Math.floor(i / 16)]!) * unit) * decode4(codeOf(bytes, i))),
        );
        const matrix = importFp4(tensors);
        checkMatrix(matrix);
        expectWeights(dequantize(matrix), want);
        const { weights } = await weightsInPieces(fp4Layer(infosOf(tensors), { name: 'x' }));
        expectWeights(weights, want);
      }),
    ),
  );
  test('MXFP4', () =>
    fc.assert(
      fc.asyncProperty(...sizes, fc.constantFrom('U8', 'F8_E8M0'), async (n, groups, seed, dtype) => {
        const k = 32 * groups;
        const bytes = randoms(seed, (n * k) / 2, 0, 255);
        const scales = randoms(seed + 1, n * groups, 0, 254);
        const tensors = { weight_packed: raw('w', 'U8', [n, k / 2], bytes), weight_scale: raw('s', dtype, [n, groups], scales) };
        const want = Array.from({ length: n * k }, (_, i) => fround(2 ** (scales[Math.floor(i / 32)]! - 127) * decode4(codeOf(bytes, i))));
        checkMatrix(importFp4(tensors));
        expectWeights(dequantize(importFp4(tensors)), want);
        const { weights } = await weightsInPieces(fp4Layer(infosOf(tensors), { name: 'x' }));
        expectWeights(weights, want);
      }),
    ));
});

test('a factor so small that a GPU may lose products of it: scales are held as float32', () => {
  const weight = raw('w', 'U8', [1, 8], [1, 2, 3, 4, 5, 6, 7, 8]);
  const weight_scale = raw('s', 'F8_E4M3', [1, 1], [3]);
  const of = (factor: number) => importFp4({ weight, weight_scale, weight_scale_2: raw('g', 'F32', [], [factor]) });
  expect(of(2 ** -117).scaleForm).toBeDefined();
  expect(of(2 ** -118).scaleForm).toBeUndefined();
  checkMatrix(of(2 ** -140));
});

test('refusals', () => {
  const weight = raw('w', 'U8', [2, 8], Array(16).fill(1));
  const weight_scale = raw('s', 'F8_E4M3', [2, 1], [0x38, 0x38]);
  const g = raw('g', 'F32', [1], [2]);
  const all = { weight, weight_scale, weight_scale_2: g };
  importFp4(all);
  expectFormat(() => importFp4({ weight, weight_scale }), 'beside it', 'either weight_scale_2 or weight_global_scale', 'neither');
  expectFormat(() => importFp4({ ...all, weight_global_scale: g }), 'beside it', 'either weight_scale_2 or weight_global_scale', 'both');
  expectFormat(() => importFp4({ ...all, weight_packed: weight }), 'beside it', 'either weight_packed or weight', 'both');
  expectFormat(() => importFp4({ weight_scale, weight_scale_2: g }), 'beside it', 'either weight_packed or weight', 'neither');
  expectFormat(() => importFp4({ ...all, weight: { ...weight, dtype: 'I8' } }), 'dtype', 'U8', 'I8');
  expectFormat(() => importFp4({ ...all, weight_scale: raw('s', 'F16', [2, 1], [1, 1]) }), 'dtype', 'F8_E4M3 or U8 or F8_E8M0', 'F16');
  expectFormat(
    () => importFp4({ ...all, weight: raw('w', 'U8', [2, 9], Array(18).fill(1)) }),
    'shape',
    'K of whole groups of 16',
    'K = 18',
  );
  expectFormat(() => importFp4({ ...all, weight_scale: raw('s', 'F8_E4M3', [1, 2], [1, 1]) }), 'shape', '(2, 1)', '(1, 2)');
  expectFormat(() => importFp4({ ...all, weight_scale: raw('s', 'F8_E4M3', [2, 1], [1, 255]) }), 'element 1', 'no NaN', 'byte 255');
  expectFormat(
    () => importFp4({ ...all, weight_scale: raw('s', 'F8_E4M3', [2, 1], [0x81, 1]) }),
    'element 0',
    'without a sign',
    'byte 129',
  );
  for (const bad of [0, -1, 2 ** -149])
    expectFormat(
      () => importFp4({ weight, weight_scale, weight_global_scale: raw('g', 'F32', [1], [bad]) }),
      'value',
      'a number above 0',
      String(bad),
    );
  expectFormat(
    () => importFp4({ ...all, weight_scale_2: raw('g', 'F32', [], [2 ** 127]), weight_scale: raw('s', 'F8_E4M3', [2, 1], [0, 126]) }),
    'element 1',
    'a finite number',
    'Infinity',
  );
  expectFormat(() => importFp4({ ...all, weight_scale_2: raw('g', 'F32', [2], [1, 1]) }), 'shape', '(1,)', '(2,)');
  expectFormat(() => importFp4({ ...all, weight_scale_2: raw('g', 'F16', [1], [1]) }), 'dtype', 'F32', 'F16');
  const powers = raw('s', 'U8', [2, 1], [127, 127]);
  const wide = raw('w', 'U8', [2, 16], Array(32).fill(1));
  importFp4({ weight_packed: wide, weight_scale: powers });
  expectFormat(
    () => importFp4({ weight_packed: wide, weight_scale: powers, weight_scale_2: g }),
    'beside it',
    'weight_scale of F8_E4M3',
    'U8',
  );
});

describe('layers of files', () => {
  const bytes = randoms(3, 8 * 16, 0, 255);
  const scales = randoms(4, 8 * 2, 0x30, 0x40);
  const find = (method: string | undefined, parts: readonly RawTensor[], rest: object = {}) =>
    findLayers(
      fileOf(parts.map((part) => ({ ...part, name: `a.${part.name}` }))),
      method ? { config: { quantization_config: { quant_method: method, ...rest } } } : {},
    );
  const scale = raw('weight_scale', 'F8_E4M3', [8, 2], scales);
  const modelopt = [raw('weight', 'U8', [8, 16], bytes), scale, raw('weight_scale_2', 'F32', [], [0.5])];
  const packed = [raw('weight_packed', 'U8', [8, 16], bytes), scale, raw('weight_global_scale', 'F32', [1], [2])];
  const want = Array.from({ length: 256 }, (_, i) => 0.5 * scaleOf(scales[Math.floor(i / 16)]!) * decode4(codeOf(bytes, i)));
  test.each<[string | undefined, readonly RawTensor[]]>([
    [undefined, modelopt],
    ['modelopt', [...modelopt, raw('input_scale', 'F32', [], [3]), raw('v_scale', 'F32', [], [3])]],
    ['modelopt_fp4', modelopt],
    ['compressed-tensors', [...packed, raw('input_global_scale', 'F32', [1], [3])]],
  ])('%s', async (method, parts) => {
    const { layers, refused, notYet } = await find(method, parts, { format: 'nvfp4-pack-quantized' });
    expect([refused, notYet]).toEqual([[], []]);
    expect(layers.map(({ name, format, bits, groupSize }) => [name, format, bits, groupSize])).toEqual([['a', 'NVFP4', 4, 16]]);
    expectWeights(dequantize(await readMatrix(layers[0]!)), want);
  });
  test('compressed-tensors mxfp4-pack-quantized', async () => {
    const { layers } = await find('compressed-tensors', [packed[0]!, raw('weight_scale', 'U8', [8, 1], Array(8).fill(126))]);
    expect(layers.map(({ format, groupSize }) => [format, groupSize])).toEqual([['MXFP4', 32]]);
    expectWeights(
      dequantize(await readMatrix(layers[0]!)),
      Array.from({ length: 256 }, (_, i) => 0.5 * decode4(codeOf(bytes, i))),
    );
  });
  test('refused by name: what changes x, transforms, another method', async () => {
    const because = async (method: string, parts: readonly RawTensor[], rest: object = {}) =>
      (await find(method, parts, rest)).refused[0]!.error;
    expect((await because('modelopt', [...modelopt, raw('pre_quant_scale', 'F32', [32], Array(32).fill(1))])).tensor).toBe(
      'a.pre_quant_scale',
    );
    expect((await because('compressed-tensors', packed, { transform_config: { config_groups: { a: {} } } })).field).toBe(
      'transform_config',
    );
    expect((await because('gptq', packed)).field).toBe('quant_method');
  });
});
