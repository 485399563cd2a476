// QuantizedMatrix: numbers worked out by hand, refusals, and the reference on it.
import { describe, expect, test } from 'vitest';
import {
  checkMatrix,
  codeAt,
  dequantize,
  inFixedMemory,
  packCodes,
  type QuantizedMatrix,
  rowsOf,
  simplify,
} from '../../../src/problem/matrix.js';
import { reference } from '../../../src/reference/reference.js';
import { referenceMatrix } from '../../../src/reference/reference-matrix.js';
import { expectArgument } from '../../support/expect-errors.js';

/** Two outputs of nine inputs in groups of 8; codes 0 … 8 and 15 … 7. */
const base: QuantizedMatrix = {
  n: 2,
  k: 9,
  bits: 4,
  codes: new Uint32Array([0x76543210, 8, 0x89abcdef, 7]),
  groupSize: 8,
  scale: new Float32Array([0.5, 2, -1, 4]),
  scaleDtype: 'float32',
};
/** The same sizes with codes of e4m3. */
const FLOATS = { bits: 8, codes: new Uint32Array(6), codeForm: 'e4m3' } as const;
const moved = <T extends Uint32Array>(array: T): T => {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
  return array;
};
const column = (matrix: QuantizedMatrix, row: number): number[] => [...dequantize(matrix).subarray(row * matrix.k, (row + 1) * matrix.k)];

describe('dequantize', () => {
  test('without a zero point, code 8 is 0', () => {
    expect(column(base, 0)).toEqual([-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0]);
    expect(column(base, 1)).toEqual([-7, -6, -5, -4, -3, -2, -1, -0, -4]);
  });
  test('zero points of each group', () => {
    const matrix = { ...base, zeroPoint: new Float32Array([0, 8, 15, 6.5]) };
    expect(column(matrix, 0)).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 0]);
    expect(column(matrix, 1).at(-1)).toBe(2);
  });
  test('minimums are added after scaling', () => {
    const matrix = { ...base, minimum: new Float32Array([1, 0.25, 3, -28]) };
    expect(column(matrix, 0)).toEqual([1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 16.25]);
    expect(column(matrix, 1)).toEqual([-12, -11, -10, -9, -8, -7, -6, -5, 0]);
  });
  test('codes of a codebook are indices', () => {
    const matrix = { ...base, codebook: Float32Array.from({ length: 16 }, (_, i) => i * i) };
    expect(column(matrix, 0)).toEqual([0, 0.5, 2, 4.5, 8, 12.5, 18, 24.5, 128]);
  });
  test('a permutation is undone', () => {
    const matrix = { ...base, permutation: new Uint32Array([8, 7, 6, 5, 4, 3, 2, 1, 0]) };
    expect(column(matrix, 0)).toEqual([0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5, -4]);
  });
  test('each input has its scale, in the order of x', () => {
    const inputScale = Float32Array.of(1, 2, -1, 0.5, 0, 4, 1, 8, 0.25);
    expect(column({ ...base, inputScale }, 0)).toEqual([-4, -7, 3, -1.25, -0, -6, -1, -4, 0]);
    const permutation = new Uint32Array([8, 7, 6, 5, 4, 3, 2, 1, 0]);
    expect(column({ ...base, permutation, inputScale }, 0)).toEqual([0, -1, 1, -0.75, -0, -10, -3, -28, -1]);
  });
  test('a weight is rounded before its input’s scale, and their product after it', () => {
    // 7 · (1 + 2^-23) is no float32; with the scale 3 the two roundings differ from one of the whole product.
    const [scale, factor] = [1 + 2 ** -23, 3];
    const matrix = { ...base, scale: new Float32Array(4).fill(scale), inputScale: new Float32Array(9).fill(factor) };
    const twice = Math.fround(Math.fround(-7 * scale) * factor);
    expect(column(matrix, 0)[1]).toBe(twice);
    expect(twice).not.toBe(Math.fround(-7 * scale * factor));
    const beyond = { ...base, scale: new Float32Array(4).fill(1e30), inputScale: new Float32Array(9).fill(1e30) };
    expect(column(beyond, 0)[0]).toBe(Number.NEGATIVE_INFINITY);
  });
  test('8 bits: four codes in a word, code 128 is 0', () => {
    const matrix: QuantizedMatrix = {
      ...base,
      n: 1,
      k: 5,
      bits: 8,
      codes: new Uint32Array([0xff807f00, 0x81]),
      groupSize: 4,
      scale: new Float32Array([1, 3]),
    };
    expect(column(matrix, 0)).toEqual([-128, -1, 0, 127, 3]);
    expect(codeAt(matrix, 0, 3)).toBe(255);
  });
  test('E4M3: numbers of the OCP specification, and a sign', () => {
    // 2^-9 is the least of all, 7 · 2^-9 the largest subnormal, 2^-6 the least normal, 448 the largest of all.
    const worked = [
      [0x00, 0],
      [0x01, 2 ** -9],
      [0x07, 7 * 2 ** -9],
      [0x08, 2 ** -6],
      [0x37, 0.9375],
      [0x38, 1],
      [0x39, 1.125],
      [0x45, 3.25],
      [0x78, 256],
      [0x7e, 448],
    ] as const;
    const codes = worked.flatMap(([code]) => [code, code + 128]);
    const k = codes.length;
    const matrix: QuantizedMatrix = {
      ...{ n: 1, k, bits: 8, codes: packCodes(codes, 1, k, 8), codeForm: 'e4m3', groupSize: k },
      ...{ scale: Float32Array.of(-3), scaleDtype: 'float32' },
    };
    expect(column(matrix, 0)).toEqual(worked.flatMap(([, value]) => [-3 * value, 3 * value]));
  });
  test.each([
    [2, 2],
    [3, 4],
    [5, 16],
    [6, 32],
  ] as const)('%i bits: code %i is 0, and bits above a code are none of it', (bits, middle) => {
    const inWord = bits < 4 ? 8 : 4;
    const [largest, above] = [2 * middle - 1, 2 ** (32 / inWord) - 2 * middle];
    const codes = Uint32Array.of(0 + 2 ** (32 / inWord) * (above + largest), middle);
    const matrix: QuantizedMatrix = {
      n: 1,
      k: inWord + 1,
      bits,
      codes,
      groupSize: inWord,
      scale: Float32Array.of(1, 3),
      scaleDtype: 'float32',
    };
    expect(column(matrix, 0).slice(0, 2)).toEqual([-middle, middle - 1]);
    expect(column(matrix, 0).at(-1)).toBe(0);
    expect(column({ ...matrix, minimum: Float32Array.of(0.5, -3) }, 0).at(-1)).toBe(3 * middle - 3);
    expect(codeAt(matrix, 0, 1)).toBe(largest);
  });
});

test('codes are packed first in the lowest bits, rows from whole words on', () => {
  expect([...packCodes([0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 14, 13, 12, 11, 10, 9, 8, 7], 2, 9, 4)]).toEqual([...base.codes]);
  expect([...packCodes([0, 127, 128, 255, 129], 1, 5, 8)]).toEqual([0xff807f00, 0x81]);
  // 2 and 3 bits lie in nibbles, 5 and 6 in bytes.
  expect([...packCodes([0, 1, 2, 3, 3, 2, 1, 0, 3], 1, 9, 2)]).toEqual([0x01233210, 3]);
  expect([...packCodes([0, 1, 2, 3, 4, 5, 6, 7, 7], 1, 9, 3)]).toEqual([0x76543210, 7]);
  expect([...packCodes([0, 16, 31, 1, 30], 1, 5, 5)]).toEqual([0x011f1000, 30]);
  expect([...packCodes([0, 32, 63, 1, 62], 1, 5, 6)]).toEqual([0x013f2000, 62]);
});

test.each<[string, readonly unknown[], string, string]>([
  ['n', [[1], 2 ** 53, 1, 4], 'a whole number of at least 1', '9007199254740992'],
  ['values', [[1, 2], 2 ** 31, 9, 4], '19327352832 codes for (2147483648, 9)', '2'],
  ['values', [null, 1, 1, 4], 'an object', 'null'],
  ['values[1]', [[1, 16], 1, 2, 4], 'a code of 0 … 15', '16'],
  ['values[0]', [[-1, 1], 1, 2, 8], 'a code of 0 … 255', '-1'],
  ['values[0]', [['1', 1], 1, 2, 8], 'a code of 0 … 255', '"1"'],
  ['values[1]', [Object.assign(Array(3), { 0: 1, 2: 3 }), 1, 3, 8], 'a code of 0 … 255', 'undefined'],
  ['values[1]', [[7, 8], 1, 2, 3], 'a code of 0 … 7', '8'],
  ['values[0]', [[64], 1, 1, 6], 'a code of 0 … 63', '64'],
  ['bits', [[1], 1, 1, 7], '2 or 3 or 4 or 5 or 6 or 8', '7'],
])('codes are not packed where %s is wrong: %j', (argument, given, expected, got) => {
  expectArgument(() => packCodes(...(given as Parameters<typeof packCodes>)), argument, expected, got);
});

test('arrays on memory that can grow are copied to memory that cannot, and others are not', () => {
  const buffer = new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(16, { maxByteLength: 64 });
  const scale = new Float32Array(buffer);
  scale.set(base.scale);
  const fixed = inFixedMemory({ ...base, scale });
  expect(fixed).toEqual(base);
  const inputScale = new Float32Array(new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(36, { maxByteLength: 64 }));
  expect(inFixedMemory({ ...base, inputScale }).inputScale).toEqual(new Float32Array(9));
  expect(inFixedMemory({ ...base, inputScale }).inputScale!.buffer).not.toBe(inputScale.buffer);
  expect([fixed.scale.buffer === buffer, fixed.codes === base.codes]).toEqual([false, true]);
});

test('zero points that are all 2^(bits-1) are none', () => {
  expect(simplify({ ...base, zeroPoint: new Float32Array(4).fill(8) })).toEqual(base);
  const inputScale = new Float32Array(9).fill(3);
  expect(simplify({ ...base, inputScale, zeroPoint: new Float32Array(4).fill(8) })).toEqual({ ...base, inputScale });
  const real = { ...base, zeroPoint: new Float32Array([8, 8, 8, 7]) };
  expect(simplify(real)).toBe(real);
});

test('runs of rows are views of the same memory, and together the matrix', () => {
  const tall: QuantizedMatrix = {
    ...base,
    n: 10,
    codes: new Uint32Array(20).map((_, i) => i),
    scale: new Float32Array(20).map((_, i) => i),
    minimum: new Float32Array(20),
    inputScale: new Float32Array(9).map((_, i) => i),
  };
  const runs = [...rowsOf(tall, 1)];
  expect(runs.map(({ begin, matrix }) => [begin, matrix.n])).toEqual([
    [0, 4],
    [4, 4],
    [8, 2],
  ]);
  expect(runs.every(({ matrix }) => matrix.codes.buffer === tall.codes.buffer)).toBe(true);
  expect(runs.flatMap(({ matrix }) => [...dequantize(matrix)])).toEqual([...dequantize(tall)]);
});

test.each<[string, Partial<QuantizedMatrix>, string, string]>([
  ['n', { n: 0 }, 'a whole number of at least 1', '0'],
  ['bits', { bits: 7 as never }, '2 or 3 or 4 or 5 or 6 or 8', '7'],
  ['bits', { bits: 1 as never }, '2 or 3 or 4 or 5 or 6 or 8', '1'],
  ['groupSize', { groupSize: 4 }, 'a multiple of 8 up to K = 9, or K', '4'],
  ['groupSize', { groupSize: 16 }, 'a multiple of 8 up to K = 9, or K', '16'],
  ['codes', { codes: new Uint32Array(3) }, '4 words for (2, 9) of 4 bits', '3'],
  ['scale', { scale: new Float32Array(3) }, '4 values, 2 for each of 2 outputs', '3'],
  ['zeroPoint', { zeroPoint: new Float32Array(2) }, '4 values', '2'],
  ['minimum', { zeroPoint: new Float32Array(4), minimum: new Float32Array(4) }, 'none beside zeroPoint', 'one'],
  ['codebook', { codebook: new Float32Array(15) }, '16 values, for 4 bits', '15'],
  ['codeForm', { codeForm: 'e4m3' }, 'none, or 8 bits', 'e4m3 of 4 bits'],
  ['codeForm', { codeForm: 'e5m2' as never }, 'e4m3', '"e5m2"'],
  ['codeForm', { ...FLOATS, zeroPoint: new Float32Array(4) }, 'none beside zeroPoint', 'one'],
  ['codes, code 14', { ...FLOATS, codes: Uint32Array.of(0, 0, 0, 0x7f7e00, 0, 0) }, 'no NaN of e4m3: neither 127 nor 255', '127'],
  ['codes, code 23', { ...FLOATS, codes: Uint32Array.of(0, 0, 0, 0, 0, 0xff000000) }, 'no NaN of e4m3: neither 127 nor 255', '255'],
  ['permutation', { permutation: new Uint32Array(8) }, '9 inputs', '8'],
  ['permutation[3]', { permutation: new Uint32Array([0, 1, 2, 9, 4, 5, 6, 7, 8]) }, 'an input below 9', '9'],
  ['permutation[1]', { permutation: new Uint32Array(9) }, 'each input once', '0 again'],
  ['permutation', { permutation: Int32Array.of(0, 1, 2, -1, 4, 5, 6, 7, 8) as never }, 'a Uint32Array', 'an Int32Array of 9'],
  ['inputScale', { inputScale: new Float32Array(8) }, '9 values, one for each input', '8'],
  ['inputScale', { inputScale: new Float64Array(9) as never }, 'a Float32Array', 'a Float64Array of 9'],
  ['inputScale[4]', { inputScale: Float32Array.of(1, 1, 1, 1, Number.NaN, 1, 1, 1, 1) }, 'a number that float32 holds', 'NaN'],
  ['inputScale[0]', { inputScale: new Float32Array(9).fill(Number.POSITIVE_INFINITY) }, 'a number that float32 holds', 'Infinity'],
  ['n', { n: '2' as never }, 'a whole number of at least 1', '"2"'],
  ['bits', { bits: '4' as never }, '2 or 3 or 4 or 5 or 6 or 8', '"4"'],
  ['codes', { codes: new Float32Array(4) as never }, 'a Uint32Array', 'a Float32Array of 4'],
  ['codes', { codes: [0, 0, 0, 0] as never }, 'a Uint32Array', '[0, 0, 0, 0]'],
  ['codes', { codes: moved(new Uint32Array(4)) }, '4 words', '0'],
  ['scale', { scale: new Float64Array(4).fill(1) as never }, 'a Float32Array', 'a Float64Array of 4'],
  ['scale', { scale: new Proxy(new Float32Array(4), {}) as never }, 'a Float32Array', 'a Float32Array'],
  ['scale[2]', { scale: new Float32Array([1, 1, Number.NaN, 1]) }, 'a number that float32 holds', 'NaN'],
  ['scale[1]', { scaleDtype: 'float16', scale: new Float32Array([1, 70000, 1, 1]) }, 'a number that float16 holds', '70000'],
  ['scale[0]', { scaleDtype: 'float16', scale: new Float32Array([1e-9, 1, 1, 1]) }, 'a number that float16 holds', '1'],
  ['scale[3]', { scaleDtype: 'bfloat16', scale: new Float32Array([1, 1, 1, 257]) }, 'a number that bfloat16 holds', '257'],
  ['scaleDtype', { scaleDtype: 'float8' as never }, 'float32 or float16 or bfloat16', '"float8"'],
  ['zeroPoint', { zeroPoint: new Uint8Array(4) as never }, 'a Float32Array', 'a Uint8Array of 4'],
  ['zeroPoint[0]', { zeroPoint: new Float32Array(4).fill(Number.POSITIVE_INFINITY) }, 'a zero point whose distance from 8', 'Infinity'],
  ['zeroPoint[2]', { scaleDtype: 'float16', zeroPoint: new Float32Array([0, 1, 1e5, 2]) }, 'whose distance from 8 float16 holds', '100000'],
  ['minimum[0]', { minimum: new Float32Array(4).fill(Number.NaN) }, 'a number that float32 holds', 'NaN'],
  ['codebook[15]', { codebook: Float32Array.from({ length: 16 }, (_, i) => i / (15 - i)) }, 'a number that float32 holds', 'Infinity'],
])('%s that does not go with the rest is refused', (field, change, expected, got) => {
  expectArgument(() => checkMatrix({ ...base, ...change }), `matrix.${field}`, expected, got);
});

test.each<['uint8' | 'float32' | 'float16' | 'bfloat16', number, string]>([
  ['uint8', -1, 'a whole number of 0 … 15'],
  ['uint8', 16, 'a whole number of 0 … 15'],
  ['uint8', 256, 'a whole number of 0 … 15'],
  ['uint8', 0.5, 'a whole number of 0 … 15'],
  ['uint8', Number.NaN, 'a whole number of 0 … 15'],
  ['float16', 1 + 2 ** -11, 'a number that float16 holds'],
  ['bfloat16', 257, 'a number that bfloat16 holds'],
  ['float32', Number.POSITIVE_INFINITY, 'a number that float32 holds'],
])('a zero point that %s does not hold is refused: %d', (zeroPointDtype, bad, expected) => {
  const given = { ...base, zeroPointDtype, zeroPoint: Float32Array.of(0, 15, bad, 8) };
  expectArgument(() => checkMatrix(given), 'matrix.zeroPoint[2]', expected, String(bad));
  expect(() => checkMatrix({ ...given, zeroPoint: Float32Array.of(0, 15, 7, 8) })).not.toThrow();
});

test('zero points of a dtype are held themselves, others as their distance from the middle', () => {
  // 8 - 0.0001 is no float16.
  const zeroPoint = new Float32Array(4).fill(Math.fround(2 ** -14));
  const given: QuantizedMatrix = { ...base, scaleDtype: 'float16', zeroPoint };
  expectArgument(() => checkMatrix(given), 'matrix.zeroPoint[0]', 'whose distance from 8 float16 holds', String(2 ** -14));
  expect(() => checkMatrix({ ...given, zeroPointDtype: 'float16' })).not.toThrow();
});

describe('the reference', () => {
  const x = { data: new Float32Array([1, 2, 0, -1, 0.5, 3, 1, 1, 2]), shape: [1, 9], dtype: 'float32' as const };
  const product = (matrix: QuantizedMatrix): number[] => {
    const weights = dequantize(matrix);
    return [0, 1].map((n) => x.data.reduce((sum, value, k) => sum + value * weights[n * 9 + k]!, 0));
  };
  test.each<[string, Partial<QuantizedMatrix>]>([
    ['no shift', {}],
    ['zero points', { zeroPoint: new Float32Array([0, 8, 15, 6.5]) }],
    ['minimums', { minimum: new Float32Array([1, 0.25, 3, -28]) }],
    ['a codebook', { codebook: Float32Array.from({ length: 16 }, (_, i) => i * i) }],
    ['floats', { ...FLOATS, codes: Uint32Array.of(0x38b90701, 0x3d42c530, 0x28, 0xb8394c01, 0x3842c580, 0xaf) }],
    ['a permutation', { permutation: new Uint32Array([8, 7, 6, 5, 4, 3, 2, 1, 0]) }],
    ['scales of inputs', { inputScale: Float32Array.of(1, 2, -1, 0.5, 0, 4, 1, 8, 0.25) }],
    [
      'scales of inputs and a permutation',
      { inputScale: Float32Array.of(1, 2, -1, 0.5, 0, 4, 1, 8, 0.25), permutation: new Uint32Array([2, 7, 6, 5, 4, 3, 8, 1, 0]) },
    ],
  ])('is x · dequantize(matrix)ᵀ with %s', (_, change) => {
    const { exact, low, high } = referenceMatrix(x, { ...base, ...change });
    expect([...exact]).toEqual(product({ ...base, ...change }));
    for (const [i, sum] of exact.entries()) {
      expect(low[i]!).toBeLessThanOrEqual(sum);
      expect(high[i]! - low[i]!).toBeLessThan(0.05) /* far below a step of a code */;
    }
  });
  test('is that of the operator where the operator can say the same', () => {
    const k = 64;
    const q = Int8Array.from({ length: 2 * k }, (_, i) => ((i * 37) % 256) - 128);
    const scale = new Float32Array([0.5, 0.25, 3, 2]);
    const offset = new Float32Array([1, -2, 0, 7]);
    const xs = { data: Float32Array.from({ length: 3 * k }, (_, i) => Math.sin(i)), shape: [3, k], dtype: 'float32' as const };
    const grouped = (data: Float32Array) => ({ data, shape: [2, 2], strides: [1, 2], dtype: 'float32' as const });
    const want = reference(xs, { data: q, shape: [k, 2], strides: [1, k], dtype: 'int8' }, grouped(scale), {
      antiquantOffset: grouped(offset),
      antiquantGroupSize: 32,
    });
    const got = referenceMatrix(xs, {
      n: 2,
      k,
      bits: 8,
      codes: packCodes(
        Array.from(q, (value) => value + 128),
        2,
        k,
        8,
      ),
      groupSize: 32,
      scale,
      scaleDtype: 'float32',
      zeroPoint: offset.map((value) => 128 - value),
    });
    expect(got).toEqual(want);
  });
});
