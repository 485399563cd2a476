// The CPU reference against numbers worked out by hand, exact vectors, and plain loops over logical matrices.
import { describe, expect, test } from 'vitest';
import { type DType, decode16, encode16, type FloatDType, roundTo, toFloat16Bits } from '../../src/dtype.js';
import type { FunctionalOptions } from '../../src/problem/torch-arguments.js';
import { type HostData, type HostTensor, reference, rowMajor, transposeHost } from '../../src/reference/reference.js';
import { referenceMatrix } from '../../src/reference/reference-matrix.js';
import type { ReferenceResult } from '../../src/reference/sums.js';
import { expectArgument } from '../support/expect-errors.js';

const NAN = Number.NaN;
const INF = Number.POSITIVE_INFINITY;
const host = (data: HostData | readonly number[], shape: readonly number[], dtype: DType = 'float32'): HostTensor => ({
  data: Array.isArray(data)
    ? dtype === 'int8'
      ? Int8Array.from(data)
      : dtype === 'int32'
        ? Int32Array.from(data)
        : Float32Array.from(data)
    : (data as HostData),
  shape,
  dtype,
});
const t = transposeHost;
const mod = (a: number, b: number): number => ((a % b) + b) % b;
/** A matrix row by row. */
const matrix = (rows: number, columns: number, at: (r: number, c: number) => number): number[] =>
  Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
/** Words of int4 along the rows of a matrix, by the definition: Σ (v & 15) << 4j. */
function words(rows: number, columns: number, at: (r: number, c: number) => number): Int32Array {
  const out = new Int32Array((rows * columns) / 8);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[Math.floor((r * columns + c) / 8)]! += (mod(at(r, c), 16) * 2 ** (4 * (c % 8))) | 0;
  return out;
}
/** Uniform numbers of [0, 1). */
function random(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}
/** float32 or float16 between `low` and `high` that holds every number between; what the bounds must enclose. */
function expectOrdered({ low, data, high }: ReferenceResult): void {
  data.forEach((value, i) => {
    if (!Number.isNaN(value)) expect(low[i]! <= value && value <= high[i]!, `${low[i]} ${value} ${high[i]}`).toBe(true);
  });
}

describe('by hand', () => {
  const x = host([1, 2], [1, 2]);
  const weight = host([1, -2, 3, 4], [2, 2], 'int8');
  const scale = host([0.5, 2], [2]);

  test('x · w · scale', () => {
    // (1·1 + 2·3) · 0.5, (1·-2 + 2·4) · 2
    expect(reference(x, weight, scale)).toMatchObject({ data: Float32Array.of(3.5, 12), shape: [1, 2], dtype: 'float32' });
  });

  test('the offset is added before the scale, the bias after the sum', () => {
    // W = [[(1+1)/2, (-2-1)·2], [(3+1)/2, (4-1)·2]] = [[1, -6], [2, 6]]
    const { data, exact } = reference(x, weight, scale, { antiquantOffset: host([1, -1], [2]), bias: host([10, 20], [2]) });
    expect([...data]).toEqual([15, 26]);
    expect([...exact]).toEqual([15, 26]);
  });

  test('one bias, one scale, one offset for all columns', () => {
    const options = { antiquantOffset: host([1], [1]), bias: host([100], [1]) };
    expect([...reference(x, weight, host([0.25], [1]), options).data]).toEqual([102.5, 102.25]);
  });

  test('groups: each 32 rows have a scale, and the last group may be short', () => {
    const ones = host(
      matrix(1, 70, () => 1),
      [1, 70],
    );
    const w = host(
      matrix(70, 1, () => 1),
      [70, 1],
      'int8',
    );
    const scales = host([1, 100, 10000], [3, 1]);
    expect([...reference(ones, w, scales, { antiquantGroupSize: 32 }).data]).toEqual([32 + 3200 + 60000]);
    const offsets = host([0, 1, -1], [3, 1]);
    expect([...reference(ones, w, scales, { antiquantGroupSize: 32, antiquantOffset: offsets }).data]).toEqual([32 + 6400]);
  });

  test('int8 outputs: rounded to even, clamped to 9 bits, then the offset, then clamped', () => {
    const one = host([1], [1, 1]);
    const y = (sum: number, scaleOut: number, offset?: number) =>
      reference(one, host([1], [1, 1], 'int8'), host([sum], [1]), {
        quantScale: host([scaleOut], [1]),
        ...(offset !== undefined && { quantOffset: host([offset], [1]) }),
      }).data[0];
    expect([y(2.5, 1), y(3.5, 1), y(400, 1, -256), y(-400, 1, 200), y(10, -2, 3)]).toEqual([2, 4, -1, -56, -17]);
  });
});

describe('the exact vectors', () => {
  const xAt = (m: number, k: number): number => (mod(7 * m + 3 * k, 11) - 5) / 4;
  const int8 = (k: number, n: number): number => mod(37 * k + 11 * n, 256) - 128;
  const int4 = (k: number, n: number): number => mod(5 * k + 3 * n, 16) - 8;
  const scaleAt = (q: number, n: number): number => (1 + mod(3 * q + n, 5)) / 16;
  const offsetAt = (q: number, n: number): number => mod(2 * q + n, 7) - 3;
  const biasAt = (_: number, n: number): number => (mod(5 * n, 9) - 4) / 2;
  const floats = (values: readonly number[], shape: readonly number[], dtype: FloatDType) => host(values, shape, dtype);

  const A = (dtype: FloatDType, options: FunctionalOptions<HostTensor> = {}) =>
    reference(
      floats(matrix(2, 8, xAt), [2, 8], dtype),
      host(matrix(8, 3, int8), [8, 3], 'int8'),
      floats(matrix(1, 3, scaleAt), [3], dtype),
      {
        antiquantOffset: floats(matrix(1, 3, offsetAt), [3], dtype),
        bias: floats(matrix(1, 3, biasAt), [3], dtype === 'bfloat16' ? 'float32' : dtype),
        ...options,
      },
    );
  const yA = [-0.03125, 4.4375, 4.40625, -19.03125, -33.1875, -51.46875];

  test('A: int8, per-channel, offset, bias', () => {
    expect([...A('float32').data]).toEqual(yA);
    expect([...A('float32').exact]).toEqual(yA);
  });
  test('A in float16', () => {
    const { data, exact, dtype } = A('float16');
    expect(dtype).toBe('float16');
    expect([...exact]).toEqual(yA);
    expect(Array.from(data, toFloat16Bits)).toEqual([0xa800, 0x4470, 0x4468, 0xccc2, 0xd026, 0xd26f]);
  });
  test('A in bfloat16', () => {
    expect([...A('bfloat16').exact]).toEqual(yA);
    expect([...A('bfloat16').data]).toEqual([-0.03125, 4.4375, 4.40625, -19, -33.25, -51.5]); // 8 bits of mantissa
  });
  test('A with an int8 output', () => {
    const quantScale = host([4], [1]);
    const result = A('float16', { quantScale, quantOffset: host([-3], [1]) });
    expect(result).toMatchObject({ data: Int8Array.of(-3, 15, 15, -79, -128, -128), dtype: 'int8' });
    const columns = A('float32', { quantScale: host([4, 4, 4], [1, 3]), quantOffset: host([-3, -3, -3], [1, 3]) });
    expect([...columns.data]).toEqual([-3, 15, 15, -79, -128, -128]);
  });

  test('B: K = 70 is no whole number of int4 words', () => {
    const padded = t(host(new Int32Array(4 * 9), [4, 9], 'int32'));
    expectArgument(() => reference(host(matrix(2, 70, xAt), [2, 70]), padded, host([1], [1])), 'weight', 'K = 70', 'K = 72');
  });
  test('B, as int8 codes: groups of 32, the last of 6', () => {
    const y = (options: FunctionalOptions<HostTensor> = {}) =>
      reference(host(matrix(2, 70, xAt), [2, 70]), host(matrix(70, 4, int4), [70, 4], 'int8'), host(matrix(3, 4, scaleAt), [3, 4]), {
        antiquantGroupSize: 32,
        antiquantOffset: host(matrix(3, 4, offsetAt), [3, 4]),
        bias: host(matrix(1, 4, biasAt), [4]),
        ...options,
      });
    expect([...y().data]).toEqual([-1.109375, -5.390625, 1.6875, 5.859375, -3.375, 5.515625, -3.5, 4.1875]);
    const int8Output = y({ quantScale: host([16], [1]), quantOffset: host([5], [1]) });
    expect([...int8Output.data]).toEqual([-13, -81, 32, 99, -49, 93, -51, 72]);
  });

  test.each<[string, HostTensor]>([
    ['(K, N/8)', host(words(64, 8, int4), [64, 1], 'int32')],
    [
      'the transpose of (N, K/8)',
      t(
        host(
          words(8, 64, (n, k) => int4(k, n)),
          [8, 8],
          'int32',
        ),
      ),
    ],
    ['unsigned words', host(new Uint32Array(words(64, 8, int4).buffer), [64, 1], 'int32')],
  ])('C: int4 in %s, groups of 32', (_, weight) => {
    const { data } = reference(host(matrix(3, 64, xAt), [3, 64]), weight, host(matrix(2, 8, scaleAt), [2, 8]), { antiquantGroupSize: 32 });
    expect([...data]).toEqual([
      1.75, -6.265625, -2.453125, 3.21875, 6.609375, -0.703125, -6.671875, 2.1875, -3.734375, 5.03125, 0.171875, 5.4375, 0.171875, -2.75,
      3.9375, -0.6875, 2.296875, 1.546875, -3.046875, -1.96875, -4.203125, -3.59375, 6.125, -0.984375,
    ]);
  });

  test("golden-stick's example: zero points, passed negated", () => {
    const [w, x, s, zero] = [[100, -56, 10, 25], [0.1, 1, 0.5, 2.4].map(Math.fround), [0.5, 0.27].map(Math.fround), [-127, -10]]; // 200 as int8 is -56
    const want: number[] = [];
    for (let i = 0; i < 2; i++)
      for (let n = 0; n < 2; n++) {
        let sum = 0;
        for (let k = 0; k < 2; k++) sum += x[2 * i + k]! * (w[2 * k + n]! - zero[n]!) * s[n]!;
        want.push(sum);
      }
    const offset = host(
      zero.map((z) => -z),
      [2],
    );
    const { exact, data } = reference(host(x, [2, 2]), host(w, [2, 2], 'int8'), host(s, [2]), { antiquantOffset: offset });
    exact.forEach((value, i) => {
      expect(value).toBeCloseTo(want[i]!, 10);
      expect(data[i]).toBe(Math.fround(value));
    });
  });
});

describe('layouts: the same y from every one', () => {
  const [M, K, N] = [6, 72, 88]; // two and three tile columns of NZ, and more than one row of tiles
  const next = random(7);
  const codes = matrix(N, K, () => Math.floor(16 * next()) - 8); // (N, K)
  const code = (n: number, k: number): number => codes[n * K + k]!;
  const xs = matrix(M, K, () => Math.floor(9 * next()) - 4);
  const scales = matrix(1, N, () => [0.5, 1, 2, -1][Math.floor(4 * next())]!);
  const want = matrix(M, N, (m, n) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += xs[m * K + k]! * code(n, k) * scales[n]!;
    return sum;
  });
  const x = host(xs, [M, K]);
  const scale = host(scales, [N]);
  const NK = host(codes, [N, K], 'int8');
  const KN = host(
    matrix(K, N, (k, n) => code(n, k)),
    [K, N],
    'int8',
  );

  /** FRACTAL_NZ of a matrix, by the definition. */
  function nz<T extends Int8Array | Int32Array>(data: T, rows: number, columns: number, width: number): T {
    const tileRows = Math.ceil(rows / 16);
    const out = new (data.constructor as new (length: number) => T)(Math.ceil(columns / width) * tileRows * 16 * width);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++)
        out[(Math.floor(c / width) * tileRows + Math.floor(r / 16)) * 16 * width + (r % 16) * width + (c % width)] = data[r * columns + c]!;
    return out;
  }
  const tiled = (weight: HostTensor, width: number): HostTensor => {
    const [rows, columns] = weight.shape as [number, number];
    return { ...weight, data: nz(weight.data as Int8Array, rows, columns, width), format: 'FRACTAL_NZ' };
  };
  const int4K = host(words(N, K, code), [N, K / 8], 'int32');
  const int4N = host(
    words(K, N, (k, n) => code(n, k)),
    [K, N / 8],
    'int32',
  );

  test.each<[string, HostTensor]>([
    ['int8 (K, N)', KN],
    ['int8 (N, K), transposed', t(NK)],
    ['int8 NZ of (K, N)', tiled(KN, 32)],
    ['int8 NZ of (N, K), transposed', t(tiled(NK, 32))],
    ['int4 (K, N/8)', int4N],
    ['int4 (N, K/8), transposed', t(int4K)],
    ['int4 NZ of (K, N/8)', tiled(int4N, 8)],
    ['int4 NZ of (N, K/8), transposed', t(tiled(int4K, 8))],
  ])('weight %s', (_, weight) => {
    expect([...reference(x, weight, scale).data]).toEqual(want);
  });

  test.each<[string, HostTensor, readonly number[]]>([
    [
      'transposed',
      t(
        host(
          matrix(K, M, (k, m) => xs[m * K + k]!),
          [K, M],
        ),
      ),
      [M, N],
    ],
    ['in batches', { ...x, shape: [2, 3, K] }, [2, 3, N]],
    [
      'in batches of transposed matrices',
      t(
        host(
          matrix(2 * K, 3, (r, m) => xs[(3 * Math.floor(r / K) + m) * K + (r % K)]!),
          [2, K, 3],
        ),
      ),
      [2, 3, N],
    ],
  ])('x %s', (_, view, shape) => {
    const result = reference(view, KN, scale);
    expect(result.shape).toEqual(shape);
    expect([...result.data]).toEqual(want);
  });

  test.each<[string, HostTensor]>([
    ['(1, N)', host(scales, [1, N])],
    ['(N, 1), transposed', t(host(scales, [N, 1]))],
  ])('scale %s', (_, view) => {
    expect([...reference(x, KN, view).data]).toEqual(want);
  });

  test('scales of groups as (G, N) and as the transpose of (N, G)', () => {
    const wide = host(
      matrix(1, 40, () => 1),
      [1, 40],
    );
    const weight = host(
      matrix(40, 2, () => 1),
      [40, 2],
      'int8',
    );
    const y = (view: HostTensor) => [...reference(wide, weight, view, { antiquantGroupSize: 32 }).data];
    expect(y(host([1, 2, 10, 20], [2, 2]))).toEqual([32 + 80, 64 + 160]);
    expect(y(t(host([1, 10, 2, 20], [2, 2])))).toEqual([32 + 80, 64 + 160]);
  });

  test('a single word of int4 along K, and along N', () => {
    const word = host([0x76210f98], [1, 1], 'int32'); // -8 -7 -1 0 1 2 6 7
    const one = host([1], [1]);
    expect([...reference(host([1, 2, 3, 4, 5, 6, 7, 8], [1, 8]), word, one).data]).toEqual([-8 - 14 - 3 + 0 + 5 + 12 + 42 + 56]);
    expect([...reference(host([2], [1, 1]), word, one).data]).toEqual([-16, -14, -2, 0, 2, 4, 12, 14]);
  });
});

describe('dtypes', () => {
  const one = host([1], [1, 1], 'int8');

  test('float16 comes as bits, or as numbers that are rounded to it', () => {
    const third = Math.fround(1 / 3);
    const bits = (values: readonly number[], dtype: 'float16' | 'bfloat16') => encode16(Float32Array.from(values), dtype);
    for (const [dtype, rounded] of [
      ['float16', 0.333251953125],
      ['bfloat16', 0.333984375],
    ] as const) {
      const unit = host([1], [1], dtype);
      expect(reference(host([third], [1, 1], dtype), one, unit).exact[0]).toBe(rounded);
      expect(reference(host(bits([third], dtype), [1, 1], dtype), one, unit).exact[0]).toBe(rounded);
      expect(reference(host([1], [1, 1], dtype), one, host([third], [1], dtype)).exact[0]).toBe(rounded);
    }
  });

  test('dequantized weights are not rounded: y is rounded once', () => {
    // In float16 (64 - 1.30…) · 0.0107… would be rounded twice on the way; here only the product with 1 is.
    const [offset, scale] = [host(Uint16Array.of(0xbd37), [1], 'float16'), host(Uint16Array.of(0x2173), [1], 'float16')];
    const { exact, data } = reference(host([1], [1, 1], 'float16'), host([64], [1, 1], 'int8'), scale, { antiquantOffset: offset });
    expect(exact[0]).toBe((64 - 1.3037109375) * (1395 / 131072));
    expect(toFloat16Bits(data[0]!)).toBe(0x3957); // 0x3956 with the roundings between
  });

  // x is 1, so y is W. As bits: code, offset, scale, and W by two roundings.
  test.each([
    ['float16', 64, 0xbd37, 0x2173, 0x3956],
    ['float16', -123, 0xc069, 0x26e2, 0xc2bb],
    ['bfloat16', -74, 0x407f, 0x3b30, 0xbe40],
    ['bfloat16', 35, 0x3ffb, 0x3c11, 0x3ea8],
  ] as const)('weightRounding rounds weight + offset, then its product with the scale: %s %i', (dtype, code, offset, scale, rounded) => {
    const y = (weightRounding: 'none' | 'dtype', outputDtype: FloatDType) =>
      reference(
        { data: encode16([1], dtype), shape: [1, 1], dtype },
        host([code], [1, 1], 'int8'),
        { data: Uint16Array.of(scale), shape: [1], dtype },
        { antiquantOffset: { data: Uint16Array.of(offset), shape: [1], dtype }, weightRounding, outputDtype },
      );
    const [want] = decode16(Uint16Array.of(rounded), dtype);
    const { exact, low, high } = y('dtype', 'float32');
    expect(exact[0]).toBe(want);
    expect(high[0]! - low[0]!).toBeLessThan(1e-4 * Math.abs(want!)); // it holds no weight rounded otherwise
    expect(y('none', 'float32').exact[0]).not.toBe(want);
    expect(y('none', dtype).data[0]).not.toBe(want); // one rounding
  });

  test('weightRounding changes nothing for float32', () => {
    const y = (weightRounding: 'none' | 'dtype') =>
      reference(host([0.1, 0.7], [1, 2]), host([3, -5], [2, 1], 'int8'), host([0.3], [1]), {
        antiquantOffset: host([0.1], [1]),
        weightRounding,
      });
    expect(y('dtype')).toEqual(y('none'));
  });

  test('weightRounding of imported matrices: value · scale; code · scale, then with the minimum; code - zero point, then · scale', () => {
    const form = { n: 1, k: 1, bits: 4, codes: Uint32Array.of(3), groupSize: 1, scaleDtype: 'float32' } as const;
    const [scale, value, minimum] = [Math.fround(1 / 3), Math.fround(0.7), Math.fround(0.123456)];
    const of = (more: object): number =>
      referenceMatrix(
        { data: encode16([1], 'float16'), shape: [1, 1], dtype: 'float16' },
        { ...form, scale: Float32Array.of(scale), ...more },
        { weightRounding: 'dtype', outputDtype: 'float32' },
      ).exact[0]!;
    const half = (v: number): number => roundTo(v, 'float16');
    expect(of({})).toBe(half(-5 * scale));
    expect(of({ zeroPoint: Float32Array.of(2.7) })).toBe(half(half(3 - 8 + Math.fround(8 - Math.fround(2.7))) * scale));
    expect(of({ minimum: Float32Array.of(minimum) })).toBe(half(half(3 * scale) + minimum));
    expect(of({ codebook: new Float32Array(16).fill(value) })).toBe(half(value * scale));
  });

  test('a packed scale counts with 10 bits of mantissa, and its offsets are int32', () => {
    const x = host([2], [1, 1], 'float16');
    const scale = host(BigInt64Array.of(0x40003dcccccdn, 0x7f803f801fffn), [2], 'int64'); // 0.1 and 1, with dirty low bits
    const weight = host([3, 5], [1, 2], 'int8');
    const { exact } = reference(x, weight, scale, { antiquantOffset: host([-1, 100], [2], 'int32') });
    expect([...exact]).toEqual([2 * 2 * 0.0999755859375, 2 * 105]);
    expect([...reference(x, weight, host(new BigUint64Array((scale.data as BigInt64Array).buffer), [1, 2], 'int64')).exact]).toEqual([
      2 * 3 * 0.0999755859375,
      10,
    ]);
  });

  test('a packed output scale holds its own offset; another one is not read', () => {
    const packed = host(BigInt64Array.of(0x404040200000n), [1], 'int64'); // 2.5, offset 2
    const y = (options: FunctionalOptions<HostTensor>) => reference(host([3], [1, 1]), one, host([1], [1]), options).data[0];
    expect(y({ quantScale: packed })).toBe(10); // 7.5 rounds to 8
    expect(y({ quantScale: packed, quantOffset: host([50], [1]) })).toBe(10);
    expect(y({ quantScale: host([2.5], [1]), quantOffset: host([50], [1]) })).toBe(58);
    expect(y({ quantScale: host([0.1], [1]), quantOffset: host([0.5], [1]) })).toBe(0);
  });

  test('an int8 output starts from the sum, not from a float16 of it', () => {
    // 2049 is no float16: 2048 · 0.125 is 256, 2049 · 0.125 rounds to 256 as well, but 2049 · 0.0615… does not.
    const x = host([1, 1], [1, 2], 'float16');
    const weight = host([127, 1], [2, 1], 'int8');
    const y = reference(x, weight, host([16.015625], [1], 'float16'), {
      quantScale: host([0.0615234375], [1]),
      quantOffset: host([-20], [1]),
    });
    expect(y.exact[0]).toBe(2050);
    expect(y.data[0]).toBe(106); // round(126.12) - 20
  });

  test('Inf, NaN and overflow', () => {
    const y = (value: number, dtype: FloatDType = 'float32', scale = 1) =>
      reference(host([value], [1, 1], dtype), one, host([scale], [1], dtype));
    expect(y(INF).data[0]).toBe(INF);
    expect(y(-INF).data[0]).toBe(-INF);
    expect(y(NAN).data[0]).toBeNaN();
    expect(y(60000, 'float16', 2).data[0]).toBe(INF);
    expect(y(3e38, 'float32', 10).data[0]).toBe(INF);
    const zeros = reference(host([INF, -INF], [1, 2]), host([1, 1], [2, 1], 'int8'), host([1], [1]));
    expect(zeros.data[0]).toBeNaN();
    const int8 = (value: number) => reference(host([value], [1, 1]), one, host([1], [1]), { quantScale: host([1], [1]) }).data[0];
    expect([int8(INF), int8(-INF), int8(NAN)]).toEqual([127, -128, 0]);
  });
});

describe('the interval of right answers', () => {
  const make = (dtype: FloatDType, options: FunctionalOptions<HostTensor> = {}, k = 96, group = 32) => {
    const next = random(k);
    const [m, n] = [3, 5];
    const uniform = (): number => 2 * next() - 1;
    const x = matrix(m, k, uniform);
    const w = matrix(k, n, () => Math.floor(256 * next()) - 128);
    const s = matrix(Math.ceil(k / group), n, () => 0.01 + next());
    const result = reference(host(x, [m, k], dtype), host(w, [k, n], 'int8'), host(s, [Math.ceil(k / group), n], dtype), {
      antiquantGroupSize: group,
      ...options,
    });
    return { x, w, s, m, n, k, group, result };
  };

  test.each(['float32', 'float16', 'bfloat16'] as const)('holds y: %s', (dtype) => {
    expectOrdered(make(dtype).result);
  });
  test.each([4, -4, 0.01])('holds y: int8 by %f', (scale) => {
    const { result } = make('float32', { quantScale: host([scale], [1]), quantOffset: host([3], [1]) });
    expectOrdered(result);
    for (let i = 0; i < result.data.length; i++) expect(result.high[i]! - result.low[i]!).toBeLessThanOrEqual(1);
  });

  test('holds a float32 sum by the formula, and one by the group algebra of the kernels', () => {
    const { x, w, s, m, n, k, group, result } = make('float32', {}, 4096, 64);
    const f = Math.fround;
    for (let i = 0; i < m; i++)
      for (let c = 0; c < n; c++) {
        const scale = (j: number): number => f(s[Math.floor(j / group) * n + c]!);
        let formula = 0;
        let algebra = 0;
        for (let g = 0; g < k / group; g++) {
          let [codes, xSum] = [0, 0];
          for (let j = g * group; j < (g + 1) * group; j++) {
            const value = f(x[i * k + j]!);
            formula = f(formula + f(value * f(w[j * n + c]! * scale(j))));
            codes = f(codes + f(value * (w[j * n + c]! + 128)));
            xSum = f(xSum + value);
          }
          algebra = f(algebra + f(scale(g * group) * f(codes + f(-128 * xSum))));
        }
        const at = i * n + c;
        expect(formula).not.toBe(result.exact[at]); // it was rounded on the way
        for (const sum of [formula, algebra]) expect(sum >= result.low[at]! && sum <= result.high[at]!, `${at}: ${sum}`).toBe(true);
      }
  });

  test('does not hold a sum that lacks one of its 96 terms', () => {
    const { x, w, s, m, n, k, group, result } = make('float32');
    let missed = 0;
    let terms = 0;
    for (let i = 0; i < m; i++)
      for (let c = 0; c < n; c++)
        for (let j = 0; j < k; j++) {
          const term = x[i * k + j]! * w[j * n + c]! * s[Math.floor(j / group) * n + c]!;
          if (Math.abs(term) < 0.2) continue; // of about 16
          terms++;
          const without = result.exact[i * n + c]! - term;
          if (without >= result.low[i * n + c]! && without <= result.high[i * n + c]!) missed++;
        }
    expect(terms).toBeGreaterThan(1000);
    expect(missed).toBe(0);
  });

  test('grows with k, and is narrow: a few units in the last place for short sums', () => {
    const width = (k: number): number => {
      const ones = host(
        matrix(1, k, () => 1),
        [1, k],
      );
      const { low, high } = reference(
        ones,
        host(
          matrix(k, 1, () => 1),
          [k, 1],
          'int8',
        ),
        host([1], [1]),
      );
      return (high[0]! - low[0]!) / k;
    };
    expect(width(8)).toBeGreaterThan(0);
    // 2 · (8 + 1 + 64) roundings of 2^-24 each, of 129 + 128: inside a kernel an int8 of 1 is the code 129, less 128.
    expect(width(8)).toBeLessThan(2.3e-3);
    expect(width(1024)).toBeGreaterThan(width(8));
  });

  test('is 48 roundings of codes and K/32 + 64 of sums of weights, however long the sum', () => {
    const k = 4096;
    const x = Float32Array.from({ length: k }, (_, i) => (i % 7) / 7);
    const w = Int8Array.from({ length: k }, (_, i) => (i % 255) - 127);
    const s = Math.fround(0.01);
    const { low, high, exact } = reference(host(x, [1, k]), host(w, [k, 1], 'int8'), host([s], [1]));
    let [codes, weights] = [0, 0];
    for (let j = 0; j < k; j++) {
      const value = x[j]!;
      codes += value * (Math.abs(w[j]! * s) + 128 * s);
      weights += value * Math.abs(w[j]! * s);
    }
    const allowed = 2 ** -24 * (48 * codes + (k / 32 + 64) * weights + 2 * Math.abs(exact[0]!));
    expect(high[0]! - exact[0]!).toBeLessThanOrEqual(allowed * 1.001);
    expect(exact[0]! - low[0]!).toBeLessThanOrEqual(allowed * 1.001);
    expect(high[0]! - low[0]!).toBeGreaterThan(allowed);
  });

  test('holds what a device gives that takes a subnormal scale for 0, beside a huge x', () => {
    const s = Math.fround(2 ** -130);
    const y = reference(host([2 ** 127, 2 ** 127], [1, 2]), host([100, 27], [2, 1], 'int8'), host([s], [1]));
    expect(y.data[0]).toBe(127 / 8);
    expect(y.low[0]!).toBeLessThanOrEqual(0);
    const plain = reference(host([1, 1], [1, 2]), host([100, 27], [2, 1], 'int8'), host([0.125], [1]));
    expect(plain.low[0]!).toBeGreaterThan(127 / 8 - 1e-3);
  });

  test('of an int8 at a tie holds both neighbours, whatever the sign of the scale', () => {
    const y = (scale: number) =>
      reference(host([2.5], [1, 1]), host([1], [1, 1], 'int8'), host([1], [1]), { quantScale: host([scale], [1]) });
    expect(y(1)).toMatchObject({ low: Int8Array.of(2), data: Int8Array.of(2), high: Int8Array.of(3) });
    expect(y(-1)).toMatchObject({ low: Int8Array.of(-3), data: Int8Array.of(-2), high: Int8Array.of(-2) });
  });

  test('is one number where the sum is not finite', () => {
    const { low, data, high } = reference(host([INF], [1, 1]), host([1], [1, 1], 'int8'), host([1], [1]));
    expect([low[0], data[0], high[0]]).toEqual([INF, INF, INF]);
  });
});

describe('wrong arguments', () => {
  const x = host(new Float32Array(3 * 8), [3, 8]);
  const weight = host(new Int8Array(8 * 4), [8, 4], 'int8');
  const scale = host(new Float32Array(4), [4]);
  const call = (change: { x?: HostTensor; weight?: HostTensor; scale?: HostTensor } & FunctionalOptions<HostTensor>) => () => {
    const { x: otherX = x, weight: otherWeight = weight, scale: otherScale = scale, ...options } = change;
    return reference(otherX, otherWeight, otherScale, options);
  };
  test('are refused in the words of (K, N)', () => {
    expect(call({})).not.toThrow();
    expectArgument(call({ weight: host(new Int8Array(36), [9, 4], 'int8') }), 'weight', 'K = 8 as x', 'K = 9, of shape (9, 4)');
    expectArgument(call({ weight: t(weight) }), 'weight', 'K = 8 as x', 'K = 4');
    expectArgument(call({ scale: host(new Float32Array(5), [5]) }), 'antiquantScale', '(4,)', '(5,)');
    expectArgument(call({ scale: host(new Float32Array(4), [4, 1]) }), 'antiquantScale', '(1, 4)', '(4, 1)');
    expectArgument(call({ antiquantOffset: host(new Float32Array(1), [1]) }), 'antiquantOffset', '(4,)', '(1,)');
    expectArgument(call({ bias: host(new Float32Array(3), [3]) }), 'bias', '(4,)', '(3,)');
    expectArgument(call({ quantOffset: host(new Float32Array(4), [4]) }), 'quantOffset', 'a quantScale', 'none');
    expectArgument(call({ quantScale: host(new Float32Array(2), [2]) }), 'quantScale', '(4,)', '(2,)');
    expectArgument(call({ antiquantGroupSize: 8 }), 'antiquantGroupSize', 'a multiple of 32', '8');
    expectArgument(call({ innerPrecise: 2 }), 'innerPrecise', '0 or 1', '2');
    expectArgument(call({ x: host(new Float32Array(8), [8]) }), 'x', 'at least two dimensions', '(8,)');
    expectArgument(call({ x: host(new Int8Array(24), [3, 8], 'int8') }), 'x', 'dtype float32', 'int8');
    expectArgument(call({ scale: { ...scale, dtype: 'float16' } }), 'antiquantScale', 'dtype float32', 'float16');
  });
  test('data that are too short', () => {
    expectArgument(call({ x: host(new Float32Array(23), [3, 8]) }), 'x', '24 elements for ND (3, 8)', '23');
    expectArgument(call({ weight: host(new Int8Array(31), [8, 4], 'int8') }), 'weight', '32 elements for ND (8, 4)', '31');
    expectArgument(call({ weight: { ...weight, format: 'FRACTAL_NZ' } }), 'weight', '512 elements for FRACTAL_NZ (8, 4)', '32');
    expectArgument(call({ scale: host(new Float32Array(3), [4]) }), 'antiquantScale', '4 elements', '3');
    expectArgument(call({ bias: host(new Float32Array(3), [4]) }), 'bias', '4 elements', '3');
  });
});

test('rowMajor and transposeHost', () => {
  expect(rowMajor([2, 3, 4])).toEqual([12, 4, 1]);
  expect(rowMajor([5])).toEqual([1]);
  const tensor = host(new Float32Array(24), [2, 3, 4]);
  expect(t(tensor)).toEqual({ ...tensor, shape: [2, 4, 3], strides: [12, 1, 4] });
  expect(t(t(tensor))).toEqual({ ...tensor, strides: [12, 4, 1] });
});
