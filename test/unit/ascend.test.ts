// Ascend's own data formats: int4 words, FRACTAL_NZ, the 64-bit packed scale and the int8 output stage. All numbers are written down,
// none is computed by the code under test.
import { describe, expect, test } from 'vitest';
import { formatCast, fractalIndex, fractalLength, tileColumns } from '../../src/ascend/fractal-nz.js';
import { convertWeightToInt4Pack, unpackInt4 } from '../../src/ascend/int4-pack.js';
import { decodeQuantParam, requantize, roundHalfEven, transQuantParam } from '../../src/ascend/quant-param.js';
import { type RequantizeVector, requantizeVectors } from '../cases/requantize-vectors.js';
import { expectArgument } from '../support/expect-errors.js';

const INF = Number.POSITIVE_INFINITY;

describe('convertWeightToInt4Pack', () => {
  test('the first element goes to the lowest bits', () => {
    expect([...convertWeightToInt4Pack(Int32Array.of(-8, -7, -1, 0, 1, 2, 6, 7), [1, 8])]).toEqual([0x76210f98]);
    expect([...convertWeightToInt4Pack(Int32Array.of(1, 2, 3, 4, 5, 6, 7, -8), [1, 8])]).toEqual([-2023406815]);
  });

  test('int8 codes do as well', () => {
    expect([...convertWeightToInt4Pack(Int8Array.of(-8, -7, -1, 0, 1, 2, 6, 7), [1, 8])]).toEqual([1981878168]);
  });

  test('each row is packed by itself, along the last axis, in two and in three dimensions', () => {
    const codes = Int32Array.from({ length: 32 }, (_, i) => (i < 8 ? 1 : i < 16 ? 2 : i < 24 ? 3 : -1));
    const words = [0x11111111, 0x22222222, 0x33333333, -1];
    expect([...convertWeightToInt4Pack(codes, [2, 16])]).toEqual(words);
    expect([...convertWeightToInt4Pack(codes, [2, 2, 8])]).toEqual(words);
  });

  test('values are masked to four bits, not checked', () => {
    expect([...convertWeightToInt4Pack(Int32Array.of(8, 15, 16, 17, -9, 255, -16, 100), [1, 8])]).toEqual([0x40f710f8]);
  });

  test('the words of the exact vector C', () => {
    // w[k, n] = ((5k + 3n) mod 16) - 8, as (K, N) and as (N, K).
    const [k, n] = [64, 8];
    const alongN = Int32Array.from({ length: k * n }, (_, i) => ((5 * Math.floor(i / n) + 3 * (i % n)) % 16) - 8);
    const alongK = Int32Array.from({ length: k * n }, (_, i) => ((5 * (i % k) + 3 * Math.floor(i / k)) % 16) - 8);
    expect([...convertWeightToInt4Pack(alongN, [k, n]).slice(0, 3)].map((word) => word >>> 0)).toEqual([
      0xda741eb8, 0x2fc9630d, 0x741eb852,
    ]);
    expect(convertWeightToInt4Pack(alongK, [n, k])[0]! >>> 0).toBe(0xb61c72d8);
  });

  test('unpackInt4 takes words apart, signed or not', () => {
    expect([...unpackInt4(Int32Array.of(0x76210f98))]).toEqual([-8, -7, -1, 0, 1, 2, 6, 7]);
    expect([...unpackInt4(Uint32Array.of(0x87654321))]).toEqual([1, 2, 3, 4, 5, 6, 7, -8]);
    expect(unpackInt4(new Int32Array(0))).toHaveLength(0);
  });

  test('there and back for every code in every place', () => {
    const codes = Int8Array.from({ length: 16 * 8 }, (_, i) => ((Math.floor(i / 8) + 3 * (i % 8)) % 16) - 8);
    expect([...unpackInt4(convertWeightToInt4Pack(codes, [16, 8]))]).toEqual([...codes]);
  });

  test('wrong arguments', () => {
    const eight = new Int32Array(8);
    expectArgument(
      () => convertWeightToInt4Pack(new Float32Array(8) as never, [1, 8]),
      'weight',
      'an Int32Array or Int8Array',
      'Float32Array',
    );
    expectArgument(() => convertWeightToInt4Pack(eight, [8]), 'shape', 'two or three dimensions of at least 1', '(8,)');
    expectArgument(() => convertWeightToInt4Pack(eight, [1, 1, 1, 8]), 'shape', 'two or three dimensions', '(1, 1, 1, 8)');
    expectArgument(() => convertWeightToInt4Pack(new Int32Array(0), [0, 8]), 'shape', 'at least 1', '(0, 8)');
    expectArgument(() => convertWeightToInt4Pack(eight, [2, 4]), 'shape', 'a multiple of 8', '(2, 4)');
    expectArgument(() => convertWeightToInt4Pack(eight, [2, 8]), 'weight', '16 elements for (2, 8)', '8');
  });
});

describe('FRACTAL_NZ', () => {
  test('a row of a tile is 32 bytes', () => {
    expect((['int8', 'float16', 'bfloat16', 'int32', 'float32'] as const).map(tileColumns)).toEqual([32, 16, 16, 8, 16]);
  });

  test('check values', () => {
    // int8, R = 20, C = 70: storage (3, 2, 16, 32)
    expect(fractalLength([20, 70], 'int8')).toBe(3 * 2 * 16 * 32);
    expect([fractalIndex(16, 0, 20, 32), fractalIndex(0, 32, 20, 32), fractalIndex(19, 69, 20, 32)]).toEqual([512, 1024, 2661]);
    expect(fractalIndex(17, 65, 20, 64)).toBe(3137); // int4, R = 20, C = 128
    expect(fractalIndex(3, 9, 20, 8)).toBe(281); // packed int32, R = 20, 16 words to a row
  });

  test('storage shapes', () => {
    expect(fractalLength([640, 896], 'int8')).toBe(28 * 40 * 16 * 32);
    expect(fractalLength([1, 1], 'float16')).toBe(256);
    expect(fractalLength([17, 17], 'bfloat16')).toBe(2 * 2 * 16 * 16);
    expect(fractalLength([3, 20, 9], 'int32')).toBe(3 * 2 * 2 * 16 * 8);
  });

  test('formatCast puts elements there and zeros elsewhere', () => {
    const data = Int8Array.from({ length: 20 * 70 }, (_, i) => (i % 127) + 1);
    const nz = formatCast(data, { shape: [20, 70], dtype: 'int8', from: 'ND', to: 'FRACTAL_NZ' });
    expect(nz).toBeInstanceOf(Int8Array);
    expect(nz).toHaveLength(3072);
    expect([nz[0], nz[1], nz[32], nz[512], nz[1024], nz[2661]]).toEqual([
      data[0],
      data[1],
      data[70],
      data[16 * 70],
      data[32],
      data[19 * 70 + 69],
    ]);
    expect(nz.filter((value) => value !== 0)).toHaveLength(20 * 70);
    // Rows 20 to 31 of the first tile column are padding; so are columns 6 to 31 of the last one.
    expect(nz.slice(512 + 4 * 32, 1024).every((value) => value === 0)).toBe(true);
    expect(nz.slice(2048 + 6, 2048 + 32).every((value) => value === 0)).toBe(true);
  });

  test.each([
    ['int8', Int8Array, [20, 70]],
    ['float16', Uint16Array, [17, 33]],
    ['bfloat16', Uint16Array, [16, 16]],
    ['int32', Int32Array, [20, 16]],
    ['int32', Uint32Array, [1, 1]],
    ['float32', Float32Array, [5, 40]],
    ['int8', Int8Array, [2, 3, 18, 34]],
  ] as const)('there and back: %s %o %o', (dtype, Kind, shape) => {
    const data = new Kind((shape as readonly number[]).reduce((a, b) => a * b, 1));
    for (let i = 0; i < data.length; i++) data[i] = (i % 101) + 1;
    const there = formatCast(data, { shape, dtype, from: 'ND', to: 'FRACTAL_NZ' });
    expect(there).toHaveLength(fractalLength(shape, dtype));
    expect(formatCast(there, { shape, dtype, from: 'FRACTAL_NZ', to: 'ND' })).toEqual(data);
  });

  test('leading dimensions stay leading', () => {
    const data = Int8Array.from({ length: 2 * 3 * 4 }, (_, i) => i + 1);
    const nz = formatCast(data, { shape: [2, 3, 4], dtype: 'int8', from: 'ND', to: 'FRACTAL_NZ' });
    expect([nz[0], nz[3], nz[32], nz[512], nz[512 + 2 * 32 + 3]]).toEqual([1, 4, 5, 13, 24]);
  });

  test('packing and tiling may change places', () => {
    const [rows, columns] = [20, 128];
    const codes = Int8Array.from({ length: rows * columns }, (_, i) => ((i * 7) % 16) - 8);
    const words = convertWeightToInt4Pack(codes, [rows, columns]);
    const tiled = unpackInt4(formatCast(words, { shape: [rows, columns / 8], dtype: 'int32', from: 'ND', to: 'FRACTAL_NZ' }));
    const wrong: number[] = [];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const word = (Math.floor(c / 64) * 2 + Math.floor(r / 16)) * 128 + (r % 16) * 8 + Math.floor((c % 64) / 8);
        if (tiled[8 * word + (c % 8)] !== codes[r * columns + c]) wrong.push(r * columns + c);
      }
    expect(wrong).toEqual([]);
  });

  test('ND to ND is a copy', () => {
    const data = Int8Array.of(1, 2, 3, 4);
    const copy = formatCast(data, { shape: [2, 2], dtype: 'int8', from: 'ND', to: 'ND' });
    expect(copy).toEqual(data);
    expect(copy.buffer).not.toBe(data.buffer);
  });

  test('wrong arguments', () => {
    const data = new Int8Array(4);
    const cast = (change: object, values: Int8Array | Int32Array = data) =>
      formatCast(values, { shape: [2, 2], dtype: 'int8', from: 'ND', to: 'FRACTAL_NZ', ...change });
    expectArgument(() => cast({ from: 'NCHW' }), 'from', 'ND or FRACTAL_NZ', 'NCHW');
    expectArgument(() => cast({ to: '29' }), 'to', 'ND or FRACTAL_NZ', '29');
    expectArgument(() => cast({ dtype: 'int64' }), 'dtype', 'int8', 'int64');
    expectArgument(() => cast({ dtype: 'int4' }), 'dtype', 'int8', 'int4');
    expectArgument(() => cast({ shape: [4] }), 'shape', 'two or more dimensions', '(4,)');
    expectArgument(() => cast({ shape: [0, 2] }), 'shape', 'at least 1', '(0, 2)');
    expectArgument(() => cast({ shape: [2, 3] }), 'data', '6 elements for ND (2, 3)', '4');
    expectArgument(() => cast({ from: 'FRACTAL_NZ', to: 'ND' }), 'data', '512 elements for FRACTAL_NZ (2, 2)', '4');
    expectArgument(() => cast({}, new Int32Array(4)), 'data', 'elements of 1 bytes for int8', '4 bytes');
  });
});

describe('the 64-bit packed scale', () => {
  const encode = (scale: number, offset?: number, roundMode = 0): bigint =>
    transQuantParam(Float32Array.of(scale), offset === undefined ? undefined : Float32Array.of(offset), { roundMode })[0]!;

  test.each([
    [70507248869376n, 1.0458984375, 1],
    [140463653937152n, 0.1741943359375, -2],
    [70784266256384n, -0.5458984375, 3],
    [70369813069824n, 1.421875, 0],
  ])('decodes %s to %f and %i', (packed, scale, offset) => {
    expect(decodeQuantParam(packed)).toEqual({ scale, offset });
  });

  test('decoding masks what others leave in the low 13 bits, and takes negative int64s', () => {
    expect(decodeQuantParam(0x40003f801fffn)).toEqual({ scale: 1, offset: 0 });
    expect(decodeQuantParam(BigInt.asIntN(64, 0xffffc0003f800000n))).toEqual({ scale: 1, offset: 0 });
    expect(decodeQuantParam(0x602000000000n | 0x3f800000n)).toEqual({ scale: 1, offset: -255 });
  });

  test.each<[number, number | undefined, bigint]>([
    [1, undefined, 0x40003f800000n],
    [0.1, undefined, 0x40003dccc000n],
    [2.5, -3.5, 0x7f8040200000n],
    [2.5, 2.5, 0x404040200000n],
    [-0.75, 300, 0x5fe0bf400000n],
    [1e-40, undefined, 0x400000010000n],
    [1, -300, 0x60003f800000n], // offset -256
    [1, 0.5, 0x40003f800000n], // a tie to 0
    [1, 1.5, 0x40403f800000n], // a tie to 2
    [1, -0.5, 0x40003f800000n],
    [-0, undefined, 0x400080000000n],
  ])('encodes %f with offset %s', (scale, offset, packed) => {
    expect(encode(scale, offset)).toBe(packed);
  });

  test('roundMode 1 rounds the mantissa to 10 bits, nearest even, and subnormals to 0', () => {
    expect(encode(1e-40, undefined, 1)).toBe(0x400000000000n);
    expect(encode(-1e-40, undefined, 1)).toBe(0x400080000000n);
    expect(encode(3.4028234e38, undefined, 1)).toBe(0x40007f800000n); // Inf
    expect(encode(0.1, undefined, 1)).toBe(0x40003dccc000n); // 0x3dcccccd: below the midpoint
    expect(encode(1 + 2 ** -10 + 2 ** -11, undefined, 1)).toBe(0x40003f804000n); // a tie, up to even
    expect(encode(1 + 2 ** -11, undefined, 1)).toBe(0x40003f800000n); // a tie, down to even
    expect(encode(1 + 2 ** -11 + 2 ** -23, undefined, 1)).toBe(0x40003f802000n);
    expect(encode(1 + 2 ** -11 + 2 ** -23, undefined, 0)).toBe(0x40003f800000n); // cut
  });

  test('decodes to what was encoded, for scales of 10 bits and all offsets', () => {
    for (let offset = -256; offset <= 255; offset++) {
      const scale = (1024 + ((offset + 256) % 1024)) * 2 ** ((offset % 60) - 10) * (offset % 2 === 0 ? 1 : -1);
      expect(decodeQuantParam(encode(scale, offset))).toEqual({ scale, offset });
      expect(decodeQuantParam(encode(scale, offset, 1))).toEqual({ scale, offset });
    }
  });

  test('one element serves for all of the other', () => {
    const [three, one] = [Float32Array.of(1, 2, 4), Float32Array.of(5)];
    const decoded = (scale: Float32Array, offset?: Float32Array) => Array.from(transQuantParam(scale, offset), decodeQuantParam);
    expect(decoded(three, one)).toEqual([1, 2, 4].map((scale) => ({ scale, offset: 5 })));
    expect(decoded(one, three)).toEqual([1, 2, 4].map((offset) => ({ scale: 5, offset })));
    expect(decoded(three, three)).toEqual([1, 2, 4].map((value) => ({ scale: value, offset: value })));
    expect(decoded(three)).toEqual([1, 2, 4].map((scale) => ({ scale, offset: 0 })));
    expect(transQuantParam(three)).toBeInstanceOf(BigInt64Array);
  });

  test('wrong arguments', () => {
    const one = Float32Array.of(1);
    expectArgument(() => transQuantParam(one, undefined, { roundMode: 2 }), 'roundMode', '0 or 1', '2');
    expectArgument(() => transQuantParam([1] as never), 'scale', 'a Float32Array', '[1]');
    expectArgument(() => transQuantParam(undefined as never), 'scale', 'a Float32Array', 'undefined');
    expectArgument(() => transQuantParam(one, new Float64Array(1) as never), 'offset', 'a Float32Array', 'Float64Array');
    expectArgument(() => transQuantParam(new Float32Array(0)), 'scale', 'at least one element', 'none');
    expectArgument(() => transQuantParam(one, new Float32Array(0)), 'offset', 'at least one element', 'none');
    expectArgument(() => transQuantParam(Float32Array.of(1, Number.NaN)), 'scale[1]', 'a finite number', 'NaN');
    expectArgument(() => transQuantParam(Float32Array.of(INF)), 'scale[0]', 'a finite number', 'Infinity');
    expectArgument(() => transQuantParam(one, Float32Array.of(0, -INF)), 'offset[1]', 'a finite number', '-Infinity');
    expectArgument(() => transQuantParam(Float32Array.of(1, 2), Float32Array.of(1, 2, 3)), 'offset', '2 elements as scale, or one', '3');
    expectArgument(() => transQuantParam(Float32Array.of(1, 2, 3), Float32Array.of(1, 2)), 'offset', '3 elements as scale, or one', '2');
  });
});

describe('requantize', () => {
  test.each<RequantizeVector>([
    ...requantizeVectors,
    [INF, 1, -256, -1],
    [INF, 0, 5, 0], // NaN
  ])('%f times %f, offset %i: %i', (sum, scale, offset, code) => {
    expect(requantize(sum, scale, offset)).toBe(code + 0);
  });

  test('the sum and its product with the scale are float32', () => {
    expect(requantize(0.5 + 2 ** -30, 1, 0)).toBe(0); // a tie once it is a float32
    expect(requantize(0.5 + 2 ** -24, 1, 0)).toBe(1);
    // 1.5 · 0.99999994 is a hair below 1.5, and so is its float32.
    expect(requantize(1.5, 0.9999999403953552, 0)).toBe(1);
    expect(requantize(1 + 2 ** -23, 0.5 - 2 ** -25, 0)).toBe(0); // a little above a half, and a half as a float32
  });
});

test('roundHalfEven', () => {
  const values = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, 2.4, 2.6, -2.4, -2.6, 3, -3, 1e15 + 0.5];
  expect(values.map((value) => roundHalfEven(value) + 0)).toEqual([0, 2, 2, 0, -2, -2, 0, 2, 3, -2, -3, 3, -3, 1e15]);
});
