// bitsandbytes: goldens of ONNX Runtime's MatMulBnb4 (its dequantized weights), bytes worked by hand, and a slow packer with double
// quantization against the importer.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { bitsAndBytesInt8Layer, importBitsAndBytesInt8 } from '../../../src/formats/bitsandbytes.js';
import { BNB4_CODES, bitsAndBytes4Layer, importBitsAndBytes4, importMatMulBnb4 } from '../../../src/formats/bitsandbytes4.js';
import { parseQuantState, type QuantState } from '../../../src/formats/quant-state.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { expectFormat } from '../../support/expect-errors.js';
import { expectWeights, floats, infosOf, randoms, raw, seeds, weightsOf } from '../../support/tensors.js';

const { fround } = Math;

describe('int8', () => {
  test('W = q · SCB / 127, with SCB / 127 rounded to float32', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 13 }), fc.integer({ min: 1, max: 40 }), seeds, async (n, k, seed) => {
        const q = randoms(seed, n * k, -128, 127);
        const SCB = floats(seed + 1, n).map(Math.abs);
        const tensors = {
          weight: raw('weight', 'I8', [n, k], q),
          SCB: raw('SCB', 'F32', [n], SCB),
          weight_format: raw('weight_format', 'U8', [], [0]),
        };
        const expected = q.map((value, i) => fround(value * fround(SCB[Math.floor(i / k)]! / 127)));
        expectWeights(dequantize(importBitsAndBytesInt8(tensors)), expected);
        expectWeights(await weightsOf(bitsAndBytesInt8Layer(infosOf(tensors), { name: 'x' }), 1), expected);
      }),
    );
  });
  test("code 127 is the row's largest", () => {
    const matrix = importBitsAndBytesInt8({ weight: raw('w', 'I8', [1, 2], [127, -127]), SCB: raw('SCB', 'F32', [1], [254]) });
    expect([...dequantize(matrix)]).toEqual([254, -254]);
  });
  test('refusals', () => {
    const weight = raw('w', 'I8', [2, 1], [1, 2]);
    const SCB = raw('SCB', 'F32', [2], [1, 1]);
    expectFormat(() => importBitsAndBytesInt8({ weight, SCB, weight_format: raw('f', 'U8', [], [2]) }), 'value', /rows/);
    expectFormat(() => importBitsAndBytesInt8({ weight, SCB: raw('SCB', 'F32', [3], [1, 1, 1]) }), 'shape');
    expectFormat(() => importBitsAndBytesInt8({ weight, SCB: raw('SCB', 'F32', [2], [1, Number.NaN]) }), 'element 1');
  });
});

describe("ONNX Runtime's MatMulBnb4", () => {
  const folder = join(import.meta.dirname, '../../fixtures/onnx');
  const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));
  const files = readdirSync(folder).filter((file) => file.startsWith('bnb4-'));
  test('there are fixtures of both kinds', () => {
    for (const kind of ['fp4', 'nf4']) expect(files.filter((file) => file.includes(kind)).length).toBeGreaterThan(1);
  });
  test.each(files)('%s', (file) => {
    const { attributes, tensors, weights } = JSON.parse(readFileSync(join(folder, file), 'utf8'));
    const given = (name: string, dtype: string): RawTensor => ({
      name,
      dtype,
      shape: tensors[name].dims,
      bytes: bytes(tensors[name].base64),
    });
    const run = () => importMatMulBnb4({ B: given('B', 'U8'), absmax: given('absmax', 'F32') }, attributes);
    if (file.includes('odd')) expectFormat(run, 'block size', /multiples of 8/);
    else expectWeights(dequantize(run()), new Float32Array(bytes(weights.base64).buffer));
  });
});

describe('NF4 and FP4', () => {
  test('tables: fp4 is 0, 0.0625, 8, 12, 4, 6, 2, 3 twelfths, as its kernels write them; nf4 rises', () => {
    const written = [0, 5.208333333e-3, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25];
    expectWeights(Float32Array.from(BNB4_CODES.fp4), Float32Array.from([...written, ...written.map((value) => -value)]));
    expect([...BNB4_CODES.nf4]).toEqual([...new Set(BNB4_CODES.nf4)].sort((a, b) => a - b));
  });

  test('the even element is in the high nibble', () => {
    // Codes 15 and 0 in byte 0xf0, then 7 and 8 in 0x78: 1, -1, 0, 0.0796 times absmax.
    const tensors = {
      weight: raw('weight', 'U8', [2, 1], [0xf0, 0x78]),
      absmax: raw('absmax', 'F32', [1], [2]),
      quant_map: raw('quant_map', 'F32', [16], [...BNB4_CODES.nf4]),
    };
    expect([...dequantize(importBitsAndBytes4(tensors, { quant_type: 'nf4', blocksize: 64, shape: [1, 4] }))]).toEqual([
      2,
      -2,
      0,
      fround(2 * fround(0.07958029955625534)),
    ]);
  });

  const shapes = fc.record({
    n: fc.integer({ min: 1, max: 40 }),
    eighths: fc.integer({ min: 1, max: 20 }),
    whole: fc.boolean(),
    blocksize: fc.constantFrom(32, 64),
    nested: fc.boolean(),
    nestedSize: fc.constantFrom(4, 8, 256),
    type: fc.constantFrom('nf4' as const, 'fp4' as const),
    seed: seeds,
  });
  test('W = quant_map[code] · absmax, whole and in pieces, with and without double quantization', async () => {
    let pieces = 0;
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, eighths, whole, blocksize, nested, nestedSize, type, seed }) => {
        const k = whole ? blocksize * (1 + (eighths % 3)) : eighths * 8;
        const code = randoms(seed, n * k, 0, 15);
        const blocks = Math.ceil((n * k) / blocksize);
        const state: QuantState = {
          quant_type: type,
          blocksize,
          shape: [n, k],
          ...(nested && { nested_blocksize: nestedSize, nested_offset: 0.7578125 }),
        };
        const table = randoms(seed + 3, 256, -1000, 1000).map((value) => value / 1024);
        const absmaxCodes = randoms(seed + 1, blocks, 0, 255);
        const nestedMax = floats(seed + 2, Math.ceil(blocks / nestedSize));
        const plain = floats(seed + 1, blocks);
        const absmax = nested
          ? absmaxCodes.map((c, i) => fround(fround(table[c]! * nestedMax[Math.floor(i / nestedSize)]!) + 0.7578125))
          : plain;
        const packed = Array.from({ length: Math.ceil((n * k) / 2) }, (_, i) => (code[2 * i]! << 4) | (code[2 * i + 1] ?? 0));
        const tensors = {
          weight: raw('weight', 'U8', [packed.length, 1], packed),
          absmax: nested ? raw('absmax', 'U8', [blocks], absmaxCodes) : raw('absmax', 'F32', [blocks], plain),
          quant_map: raw('quant_map', 'F32', [16], [...BNB4_CODES[type]]),
          ...(nested && {
            nested_absmax: raw('nested_absmax', 'F32', [nestedMax.length], nestedMax),
            nested_quant_map: raw('nested_quant_map', 'F32', [256], table),
          }),
        };
        const expected = code.map((c, i) => fround(fround(BNB4_CODES[type][c]!) * absmax[Math.floor(i / blocksize)]!));
        expectWeights(dequantize(importBitsAndBytes4(tensors, state)), expected);
        const layer = bitsAndBytes4Layer(infosOf(tensors), { name: 'x', state });
        if (layer.cut && nested && n > layer.cut.unit) pieces++;
        expectWeights(await weightsOf(layer, 1), expected);
      }),
      { numRuns: 300 },
    );
    expect(pieces).toBeGreaterThan(3);
  });
  test('a single row of any length; several whose blocks end inside of words are refused', () => {
    const [k, blocksize] = [93, 64];
    const code = randoms(5, k, 0, 15);
    const packed = Array.from({ length: 47 }, (_, i) => (code[2 * i]! << 4) | (code[2 * i + 1] ?? 0));
    const quant_map = raw('quant_map', 'F32', [16], [...BNB4_CODES.nf4]);
    const tensors = { weight: raw('weight', 'U8', [47, 1], packed), absmax: raw('absmax', 'F32', [2], [3, 5]), quant_map };
    const state = { quant_type: 'nf4', blocksize } as const;
    const expected = code.map((c, i) => fround(fround(BNB4_CODES.nf4[c]!) * (i < 64 ? 3 : 5)));
    expectWeights(dequantize(importBitsAndBytes4(tensors, { ...state, shape: [1, k] })), expected);
    const two = {
      ...tensors,
      weight: raw('weight', 'U8', [93, 1], [...packed, ...packed].slice(1)),
      absmax: raw('a', 'F32', [3], [1, 2, 3]),
    };
    expectFormat(() => importBitsAndBytes4(two, { ...state, shape: [2, k] }), 'block size', /multiples of 8/);
  });

  test('other storage dtypes hold the same bytes', () => {
    const bytes = raw('weight', 'U8', [8, 1], [1, 2, 3, 4, 5, 6, 7, 8]);
    const rest = { absmax: raw('absmax', 'F32', [1], [1]), quant_map: raw('quant_map', 'F32', [16], [...BNB4_CODES.nf4]) };
    const state = { quant_type: 'nf4', blocksize: 64, shape: [2, 8] } as const;
    const as = (dtype: string, shape: number[]) => importBitsAndBytes4({ weight: { ...bytes, dtype, shape }, ...rest }, state);
    expect(as('BF16', [4, 1]).codes).toEqual(as('U8', [8, 1]).codes);
  });

  test('one block over rows that are no whole words', () => {
    const matrix = importBitsAndBytes4(
      {
        weight: raw('weight', 'U8', [5, 1], [0x01, 0x23, 0x45, 0x67, 0x89]),
        absmax: raw('absmax', 'F32', [1], [1]),
        quant_map: raw(
          'quant_map',
          'F32',
          [16],
          randoms(1, 16, 0, 0).map((_, i) => i),
        ),
      },
      { quant_type: 'fp4', blocksize: 64, shape: [2, 5] },
    );
    expect([...dequantize(matrix)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(matrix.groupSize).toBe(5);
  });
});

describe('quant_state and refusals', () => {
  const json = (text: string): RawTensor => ({ name: 'state', dtype: 'U8', shape: [text.length], bytes: new TextEncoder().encode(text) });
  const good = { quant_type: 'nf4', blocksize: 64, dtype: 'bfloat16', shape: [16, 32] };
  test('what Linear4bit saves', () =>
    expect(parseQuantState(json(JSON.stringify({ ...good, nested_blocksize: 256, nested_dtype: 'float32', nested_offset: 0.25 })))).toEqual(
      {
        quant_type: 'nf4',
        blocksize: 64,
        shape: [16, 32],
        nested_blocksize: 256,
        nested_offset: 0.25,
      },
    ));
  test.each([
    ['{', 'JSON'],
    ['null', 'JSON'],
    ['[]', 'JSON'],
    ['{}', 'quant_type'],
    [JSON.stringify({ ...good, quant_type: 'int8' }), 'quant_type'],
    [JSON.stringify({ ...good, blocksize: 0 }), 'blocksize'],
    [JSON.stringify({ ...good, blocksize: '64' }), 'blocksize'],
    [JSON.stringify({ ...good, shape: [16] }), 'shape'],
    [JSON.stringify({ ...good, shape: [16, -1] }), 'shape'],
    [JSON.stringify({ ...good, nested_blocksize: 1.5 }), 'nested_blocksize'],
    [JSON.stringify({ ...good, nested_offset: 'x' }), 'nested_offset'],
  ])('%s: %s', (text, field) => expectFormat(() => parseQuantState(json(text)), field));
  test('bytes that are no UTF-8, even in a text that nothing reads', () => {
    const { bytes, ...state } = json(JSON.stringify({ ...good, dtype: '?' }));
    expectFormat(() => parseQuantState({ ...state, bytes: bytes.map((byte) => (byte === 63 ? 255 : byte)) }), 'JSON', /UTF-8/);
  });

  const state = { quant_type: 'nf4', blocksize: 64, shape: [2, 64] } as const;
  const tensors = {
    weight: raw('weight', 'U8', [64, 1], Array(64).fill(1)),
    absmax: raw('absmax', 'F32', [2], [1, 1]),
    quant_map: raw('quant_map', 'F32', [16], [...BNB4_CODES.nf4]),
  };
  test('sizes', () => {
    expectFormat(() => importBitsAndBytes4(tensors, { ...state, shape: [2, 63] }), 'shape', /63 bytes/);
    expectFormat(() => importBitsAndBytes4(tensors, { ...state, blocksize: 32 }), 'shape', '(4,)');
    expectFormat(() => importBitsAndBytes4({ ...tensors, quant_map: raw('q', 'F32', [15], Array(15).fill(0)) }, state), 'shape');
    expectFormat(() => importBitsAndBytes4({ ...tensors, absmax: raw('a', 'F32', [2], [1, Number.NaN]) }, state), 'element 1');
    expectFormat(() => importBitsAndBytes4({ ...tensors, weight: { ...tensors.weight, bytes: new Uint8Array(63) } }, state), 'bytes');
  });
  test('half of a double quantization', () => {
    const absmax = raw('absmax', 'U8', [2], [1, 1]);
    expectFormat(() => importBitsAndBytes4({ ...tensors, absmax }, state), 'dtype', /nested_absmax/);
    const nested = { nested_absmax: raw('n', 'F32', [1], [1]), nested_quant_map: raw('m', 'F32', [256], Array(256).fill(0)) };
    expectFormat(() => importBitsAndBytes4({ ...tensors, absmax, ...nested }, state), 'quant_state', /nested_offset/);
    expectFormat(() => importBitsAndBytes4({ ...tensors, ...nested }, state), 'dtype', /U8/);
  });
  test('attributes of MatMulBnb4', () => {
    const run = (attributes: object) =>
      importMatMulBnb4(
        { B: raw('B', 'U8', [64], Array(64).fill(0)), absmax: tensors.absmax },
        { N: 2, K: 64, quant_type: 1, block_size: 64, ...attributes },
      );
    expect(run({}).bits).toBe(4);
    expectFormat(() => run({ quant_type: 2 }), 'quant_type');
    expectFormat(() => run({ N: -2 }), 'N');
    expectFormat(() => run({ block_size: 0 }), 'block_size');
  });
});
