// HQQ: bytes worked by hand from BitPack, and a slow packer of each packing against the importer.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hqqLayer, hqqMeta, importHqq } from '../../../src/formats/hqq.js';
import { checkMatrix, dequantize } from '../../../src/problem/matrix.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, floats, infosOf, randoms, raw, seeds, weightsOf } from '../../support/tensors.js';

const one = (values: number) => ({
  scale: raw('scale', 'F16', [values, 1], Array(values).fill(1)),
  zero: raw('zero', 'F16', [values, 1], Array(values).fill(0)),
});
const meta = (n: number, k: number, packing: string, group_size?: number) => ({ shape: [n, k] as const, packing, group_size, axis: 1 });

/** BitPack.pack_*: the rows of the grouped matrix in equal parts, the first part in the highest bits; 3 bits pad to ten parts with 0. */
function pack(code: readonly number[], width: number, bits: number, parts: number): number[] {
  const rows = Math.ceil(code.length / width / parts) * parts;
  const step = rows / parts;
  return Array.from({ length: step * width }, (_, i) => {
    let word = 0;
    for (let p = 0; p < parts; p++) word |= (code[i + p * step * width] ?? 0) << (bits * (parts - 1 - p));
    return word;
  });
}

describe('bytes', () => {
  test('4bit_u8: the first half of the rows is in the high nibbles', () => {
    const W_q = raw('W_q', 'U8', [1, 2], [0x1a, 0x2b]);
    expect([...dequantize(importHqq({ W_q, ...one(2) }, meta(2, 2, '4bit_u8')))]).toEqual([1, 2, 10, 11]);
  });
  test('2bit_u8: quarters, the first highest', () => {
    const W_q = raw('W_q', 'U8', [1, 1], [0b00_01_10_11]);
    expect([...dequantize(importHqq({ W_q, ...one(4) }, meta(4, 1, '2bit_u8')))]).toEqual([0, 1, 2, 3]);
  });
  test('3bit_32: ten in a word, the first at bit 27; rows past the last are padding', () => {
    const W_q = raw('W_q', 'I32', [1, 1], [(7 << 27) | (1 << 24) | (2 << 21) | (7 << 18)]);
    expect([...dequantize(importHqq({ W_q, ...one(3) }, meta(3, 1, '3bit_32')))]).toEqual([7, 1, 2]);
  });
  test('W = (code - zero) · scale with a zero that is no whole number', () => {
    const scale = raw('scale', 'F16', [1, 1], [0.25]);
    const zero = raw('zero', 'F16', [1, 1], [7.1171875]);
    const matrix = importHqq({ W_q: raw('W_q', 'U8', [1, 8], [0, 1, 2, 3, 4, 200, 254, 255]), scale, zero }, meta(1, 8, '8bit_u8'));
    expect([...dequantize(matrix)]).toEqual([0, 1, 2, 3, 4, 200, 254, 255].map((code) => (code - 7.1171875) * 0.25));
    expect([matrix.bits, matrix.scaleDtype, matrix.zeroPointDtype]).toEqual([8, 'float16', 'float16']);
    expect([...matrix.zeroPoint!]).toEqual([7.1171875]);
  });
});

test('zero points of the scales’ dtype stay as they are', () => {
  const given = [1.1, 0.003, -3.3, 7.7, 8.1, 4000.7, 1e-9].map(Math.fround);
  const scale = raw('scale', 'F32', [7, 1], Array(7).fill(1));
  const W_q = raw('W_q', 'U8', [7, 8], Array(56).fill(0));
  const matrix = importHqq({ W_q, scale, zero: raw('zero', 'F32', [7, 1], given) }, meta(7, 8, '8bit_u8'));
  checkMatrix(matrix);
  expect([matrix.scaleDtype, matrix.zeroPointDtype]).toEqual(['float32', 'float32']);
  expect([...matrix.zeroPoint!]).toEqual(given);
});

test('others keep a distance from the middle that is a float32, and change by no more than half its last place', () => {
  const given = [1.1, 0.003, -3.3, 7.7, 8.1, 4000.7, 1e-9].map(Math.fround);
  const scale = raw('scale', 'F16', [7, 1], Array(7).fill(1));
  const W_q = raw('W_q', 'U8', [7, 8], Array(56).fill(0));
  const matrix = importHqq({ W_q, scale, zero: raw('zero', 'F32', [7, 1], given) }, meta(7, 8, '8bit_u8'));
  checkMatrix(matrix);
  const { zeroPoint, zeroPointDtype, scaleDtype } = matrix;
  expect([scaleDtype, zeroPointDtype]).toEqual(['float32', undefined]);
  zeroPoint!.forEach((zero, i) => {
    expect(Math.fround(128 - zero)).toBe(128 - zero);
    expect(Math.abs(zero - given[i]!)).toBeLessThanOrEqual(Math.abs(128 - given[i]!) * 2 ** -24);
  });
});

test('float16 zero points are kept as they are, with 4 bits', () => {
  const given = [2 ** -24, 2 ** -10 + 2 ** -20, 1.0009765625, 7.99609375, 15.9921875, -0.5];
  const four = { scale: raw('scale', 'F16', [6, 1], Array(6).fill(1)), zero: raw('zero', 'F16', [6, 1], given) };
  expect([...importHqq({ W_q: raw('W_q', 'U8', [3, 8], Array(24).fill(0)), ...four }, meta(6, 8, '4bit_u8')).zeroPoint!]).toEqual(given);
});

const PACKINGS = { '8bit_u8': [8, 1], '4bit_u8': [4, 2], '3bit_32': [3, 10], '2bit_u8': [2, 4], '1bit_u8': [1, 8] } as const;

describe('against a slow packer', () => {
  const shapes = fc.record({
    packing: fc.constantFrom(...(Object.keys(PACKINGS) as (keyof typeof PACKINGS)[])),
    eighths: fc.integer({ min: 1, max: 3 }),
    group: fc.constantFrom(8, 16, 24, 64, undefined),
    k: fc.integer({ min: 1, max: 9 }),
    ragged: fc.boolean(),
    asFloat: fc.boolean(),
    dtype: fc.constantFrom('F16', 'BF16', 'F32'),
    seed: seeds,
  });
  test('W = (code - zero) · scale', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ packing, eighths, group, k: eights, ragged, asFloat, dtype, seed }) => {
        const [bits, parts] = PACKINGS[packing];
        const k = ragged && group === undefined ? eights : eights * 8;
        const n = eighths * 8 * (group ? group / 8 : 1); // so that blocks fill the matrix, in eight equal parts
        const block = group ?? k;
        const code = randoms(seed, n * k, 0, 2 ** bits - 1);
        const scale = floats(seed + 1, (n * k) / block);
        const zero = randoms(seed + 2, (n * k) / block, -300, 4000).map((value) => value / 256);
        const bytes = pack(code, block, bits, parts);
        const W_q = raw('W_q', parts === 10 ? 'I32' : 'U8', [bytes.length / block, block], bytes);
        const tensors = {
          // view_as_float: the same bytes under another name.
          W_q: asFloat && W_q.bytes.length % 2 === 0 ? { ...W_q, dtype: 'F16', shape: [W_q.bytes.length / 2] } : W_q,
          scale: raw('scale', dtype, [scale.length, 1], scale),
          zero: raw('zero', 'F32', [zero.length, 1], zero),
        };
        const settings = meta(n, k, packing, group);
        const expected = code.map((value, i) => Math.fround((value - zero[Math.floor(i / block)]!) * scale[Math.floor(i / block)]!));
        expectWeights(dequantize(importHqq(tensors, settings)), expected);
        expectWeights(await weightsOf(hqqLayer(infosOf(tensors), { name: 'x', meta: settings }), 1), expected);
      }),
      { numRuns: 200 },
    );
  });
});

describe('settings and refusals', () => {
  test('settings are small tensors', () => {
    const tensors = {
      shape: raw('shape', 'I64', [2], [4096, 11008]),
      packing: raw(
        'packing',
        'U8',
        [7],
        [...'4bit_u8'].map((letter) => letter.charCodeAt(0)),
      ),
      group_size: raw('group_size', 'I32', [], [64]),
      axis: raw('axis', 'U8', [], [1]),
    };
    expect(hqqMeta(tensors)).toEqual(meta(4096, 11008, '4bit_u8', 64));
    expectFormat(() => hqqMeta({ ...tensors, shape: raw('shape', 'I64', [3], [1, 2, 3]) }), 'values', 'N and K');
  });
  const W_q = raw('W_q', 'U8', [4, 16], Array(64).fill(0));
  test('axis 0', () =>
    expectFormat(() => importHqq({ W_q, ...one(8) }, { ...meta(8, 16, '4bit_u8', 16), axis: 0 }), 'axis', /groups along k/));
  test('axis 0 with one scale for all is taken', () =>
    expect(importHqq({ W_q, ...one(1) }, { ...meta(8, 16, '4bit_u8'), axis: 0 }).groupSize).toBe(16));
  test('unknown packing', () => expectFormat(() => importHqq({ W_q, ...one(8) }, meta(8, 16, '5bit_32', 16)), 'packing'));
  test('wrong sizes', () => {
    expectFormat(() => importHqq({ W_q, ...one(7) }, meta(8, 16, '4bit_u8', 16)), 'shape', /8 values/);
    expectFormat(() => importHqq({ W_q, ...one(8) }, meta(8, 16, '8bit_u8', 16)), 'shape', /128 bytes/);
    expectFormat(() => importHqq({ W_q, ...one(8) }, meta(8, 16, '4bit_u8', 48)), 'group_size', /divisor/);
    expectFormat(() => importHqq({ W_q: { ...W_q, bytes: W_q.bytes.slice(1) }, ...one(8) }, meta(8, 16, '4bit_u8', 16)), 'bytes');
  });
  test('blocks that meet rows inside a word', () =>
    expectFormat(() => importHqq({ W_q, ...one(32) }, meta(32, 4, '4bit_u8', 2)), 'block size', /multiples of 8/));
});
