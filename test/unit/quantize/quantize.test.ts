// quantize against groups worked by hand, and against the bounds of its rules.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encode16, type FloatDType, roundTo } from '../../../src/dtype.js';
import { BITS } from '../../../src/problem/code-width.js';
import { checkMatrix, codeAt, dequantize } from '../../../src/problem/matrix.js';
import { hqqObjective } from '../../../src/quantize/hqq.js';
import type { QuantizeOptions } from '../../../src/quantize/options.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { expectArgument } from '../../support/expect-errors.js';
import { normals } from '../../support/normal-weights.js';

const list = (values: Float32Array | undefined): number[] => Array.from(values ?? []);

describe('groups worked by hand', () => {
  test('asymmetric: ends -1 and 6.5 are 15 steps of 0.5, and -1 is code 0', () => {
    // w / 0.5 = -2, -1, 0, 0.5 (to even: 0), 1, 2, 4, 13; plus the zero point 2.
    const w = Float32Array.of(-1, -0.5, 0, 0.25, 0.5, 1, 2, 6.5);
    const { matrix, report } = quantize(w, { n: 1, k: 8, bits: 4, mode: 'channel' });
    expect(matrix.codes).toEqual(Uint32Array.of(0xf6432210));
    expect(list(matrix.scale)).toEqual([0.5]);
    expect(list(matrix.zeroPoint)).toEqual([2]);
    expect(matrix.zeroPointDtype).toBe('uint8');
    expect(report.maxError).toBe(0.25);
    expect(report.rmse).toBe(Math.sqrt(0.0625 / 8));
    expect(report.sqnr).toBeCloseTo(10 * Math.log10((1 + 0.25 + 0.0625 + 0.25 + 1 + 4 + 42.25) / 0.0625), 12);
    expect(report).toMatchObject({ bytes: 4 + 2 + 1, bytesBefore: 32, bitsPerWeight: 7 });
  });

  test('symmetric: ±7 are codes of scale 1, ties go to even', () => {
    // -3.5 → -4, 0.5 → 0, 1.5 → 2, -0.5 → 0, 2.4 → 2; plus 8.
    const w = Float32Array.of(7, -7, 3, -3.5, 0.5, 1.5, -0.5, 2.4);
    const { matrix } = quantize(w, { n: 1, k: 8, bits: 4, symmetric: true });
    expect(matrix.codes).toEqual(Uint32Array.of(0xa8a84b1f));
    expect(list(matrix.scale)).toEqual([1]);
    expect(matrix.zeroPoint).toBeUndefined();
  });

  test('8 bits, a short last group, codes past K are 0', () => {
    // 127.5 = 255 · 0.5: group 0 has scale 0.5, zero 0. Group 1: one value, -2.55 as a float32 over 255, rounded up to float16, code 0.
    const w = Float32Array.of(0, 127.5, 1, 0.75, -2.55);
    const { matrix } = quantize(w, { n: 1, k: 5, bits: 8, groupSize: 4 });
    expect(matrix.codes).toEqual(Uint32Array.of(0x0202ff00, 0));
    expect(list(matrix.zeroPoint)).toEqual([0, 255]);
    // 0.01 lies between the float16 1310 · 2^-17 = 0.009994… and 1311 · 2^-17.
    expect(list(matrix.scale)).toEqual([0.5, 1311 * 2 ** -17]);
  });

  test('scales are rounded up to their dtype', () => {
    // 1/7: float16 has steps of 2^-13 there, bfloat16 of 2^-10, float32 of 2^-26.
    const w = Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0);
    const scaleOf = (scaleDtype: FloatDType) => quantize(w, { n: 1, k: 8, bits: 4, symmetric: true, scaleDtype }).matrix.scale[0];
    expect(scaleOf('float16')).toBe(1171 / 8192);
    expect(scaleOf('bfloat16')).toBe(147 / 1024);
    expect(scaleOf('float32')).toBe(Math.ceil(2 ** 26 / 7) / 2 ** 26);
  });

  test('mode tensor: every row has the scale and zero point of the whole', () => {
    const w = Float32Array.of(1, 2, 3, 15, -1, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, -15);
    const { matrix, mode, report } = quantize(w, { n: 2, k: 8, bits: 4, mode: 'tensor' });
    expect(mode).toBe('tensor');
    expect(list(matrix.scale)).toEqual([2, 2]);
    expect(list(matrix.zeroPoint)).toEqual([8, 8]); // 7.5 to even
    expect(codeAt(matrix, 1, 7)).toBe(0); // -7.5 to even is -8
    expect(codeAt(matrix, 0, 3)).toBe(15); // 7.5 to even is 8: cut
    expect(report.bytes).toBe(8 + 2 + 1);
  });

  test('GPTQ: what is left of one column goes to the next', () => {
    // H = U·D·Uᵀ with U[0, 1] = 1, D = (1, 1, 1). 2.4 → 2 leaves 0.4, so that 0.3 is rounded from 0.7.
    const hessian = Float32Array.of(2, 1, 0, 1, 1, 0, 0, 0, 1);
    const options: QuantizeOptions = { n: 1, k: 3, bits: 4, symmetric: true, scaleDtype: 'float32' };
    const w = Float32Array.of(2.4, 0.3, 7);
    expect(list(dequantize(quantize(w, options).matrix))).toEqual([2, 0, 7]);
    expect(list(dequantize(quantize(w, { ...options, activations: { hessian, damp: 0 } }).matrix))).toEqual([2, 1, 7]);
  });
});

describe('edges', () => {
  test('zeros, one value, constants', () => {
    for (const symmetric of [false, true])
      for (const method of ['minmax', 'mse'] as const) {
        const zeros = quantize(new Float32Array(16), { n: 2, k: 8, bits: 4, symmetric, method });
        expect(list(zeros.matrix.scale)).toEqual([1, 1]);
        expect(list(dequantize(zeros.matrix))).toEqual(Array(16).fill(0));
        expect(zeros.report).toMatchObject({ sqnr: Number.POSITIVE_INFINITY, maxError: 0, rmse: 0 });
        for (const value of [1, -1, 15 * 7, 2 ** -10, 3e4]) {
          const one = quantize(new Float32Array(8).fill(value), { n: 1, k: 8, bits: 4, symmetric, method });
          for (const back of dequantize(one.matrix)) expect(Math.abs(back - value)).toBeLessThanOrEqual(Math.abs(value) / 1024);
        }
        expect(
          quantize(Float32Array.of(-3), { n: 1, k: 1, bits: 8, symmetric, method, scaleDtype: 'float32' }).report.sqnr,
        ).toBeGreaterThan(120);
      }
    const hqq = quantize(new Float32Array(8).fill(0.3), { n: 1, k: 8, bits: 4, method: 'hqq' });
    expect(hqq.report.maxError).toBeLessThan(2 ** -12);
  });

  test('subnormal and huge weights', () => {
    const tiny = Float32Array.of(2 ** -149, -(2 ** -140), 0, 0);
    for (const scaleDtype of ['float32', 'float16', 'bfloat16'] as const) {
      const { matrix, report } = quantize(tiny, { n: 1, k: 4, bits: 8, scaleDtype });
      expect(matrix.scale[0]).toBe(scaleDtype === 'float16' ? 2 ** -24 : 2 ** -100);
      expect(report.maxError).toBe(2 ** -140);
    }
    const huge = Float32Array.of(2 ** 126, -(2 ** 126), 1, 0);
    const { matrix } = quantize(huge, { n: 1, k: 4, bits: 8, scaleDtype: 'float32' });
    for (const [i, back] of dequantize(matrix).entries()) expect(Math.abs(back - huge[i]!)).toBeLessThanOrEqual(matrix.scale[0]! * 0.5001);
  });

  test('what is refused, by index', () => {
    const w = new Float32Array(32);
    const options: QuantizeOptions = { n: 4, k: 8, bits: 4, mode: 'channel' };
    for (const [value, got] of [
      [Number.NaN, 'NaN'],
      [Number.NEGATIVE_INFINITY, '-Infinity'],
      [2 ** 127, String(2 ** 127)],
    ] as const) {
      const bad = w.slice();
      bad[21] = value;
      expectArgument(() => quantize(bad, options), 'weights[2, 5]', 'finite number of at most 2^126', got);
      expectArgument(() => quantize(bad, { ...options, mode: 'tensor' }), 'weights[2, 5]', 'finite', got);
    }
    const bits = encode16(w, 'float16');
    bits[9] = 0x7c00;
    expectArgument(() => quantize(bits, options), 'weights[1, 1]', 'finite', 'Infinity');
    const wide = w.slice();
    wide[30] = 1e6; // / 15 is beyond 65504
    for (const method of ['minmax', 'hqq'] as const)
      expectArgument(() => quantize(wide, { ...options, method }), 'weights[3, 0 … 7]', 'a group whose scale is a float16', 'larger');
    expect(quantize(wide, { ...options, scaleDtype: 'bfloat16' }).report.maxError).toBeLessThan(1e6 / 128);

    expectArgument(() => quantize(w, { ...options, n: 5 }), 'weights', '40 elements', '32');
    expectArgument(() => quantize(w, { ...options, bits: 3 as 4 }), 'bits', '4 or 8', '3');
    expectArgument(() => quantize(w, { ...options, mode: 'group', groupSize: 6 }), 'groupSize', 'a multiple of 8', '6');
    expectArgument(() => quantize(w, { ...options, groupSize: 4 }), 'groupSize', 'none, or K = 8', '4');
    expectArgument(() => quantize(w, { ...options, mode: 'group' }), 'groupSize', 'a multiple of 8 up to K = 8', '128');
    expectArgument(() => quantize(w, { ...options, method: 'hqq', symmetric: true }), 'symmetric', 'false for hqq', 'true');
    expectArgument(() => quantize(w, { ...options, dtype: 'float16' }), 'dtype', 'float32', 'float16');
    const activations = (given: object) => () => quantize(w, { ...options, activations: given });
    expectArgument(activations({}), 'activations', 'one of meanAbs', 'none');
    expectArgument(activations({ meanAbs: w, x: w }), 'activations', 'one of', 'meanAbs and x');
    expectArgument(activations({ meanAbs: w }), 'activations.meanAbs', '8 values', '32');
    expectArgument(activations({ meanSquare: new Float32Array(8).fill(-1) }), 'activations.meanSquare[0]', 'not below 0', '-1');
    expectArgument(activations({ hessian: w }), 'activations.hessian', '64 values', '32');
    expectArgument(activations({ x: new Float32Array(12) }), 'activations.x', 'rows of 8', '12');
    const indefinite = new Float32Array(64).fill(1);
    indefinite[0] = -5;
    expectArgument(activations({ hessian: indefinite }), 'activations.damp', 'positive definite', '0.01');
  });
});

const cases = fc.record({
  seed: fc.string({ maxLength: 8 }),
  n: fc.integer({ min: 1, max: 6 }),
  words: fc.integer({ min: 1, max: 12 }),
  extra: fc.integer({ min: 0, max: 3 }),
  bits: fc.constantFrom(...BITS),
  mode: fc.constantFrom('tensor' as const, 'channel' as const, 'group' as const),
  group: fc.integer({ min: 1, max: 3 }),
  symmetric: fc.boolean(),
  scaleDtype: fc.constantFrom<FloatDType>('float32', 'float16', 'bfloat16'),
  dtype: fc.constantFrom<FloatDType>('float32', 'float16', 'bfloat16'),
  size: fc.constantFrom(1, 0.01, 1000),
  shift: fc.constantFrom(0, 3, -0.5),
});
type Drawn = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** Adds up what `count` gives for each of 200 draws. */
function countIn(count: (drawn: Drawn) => number): number {
  let sum = 0;
  const counts = fc.property(cases, (drawn) => {
    sum += count(drawn);
  });
  fc.assert(counts, { numRuns: 200 });
  return sum;
}

function made({ seed, n, words, extra, bits, mode, group, symmetric, scaleDtype, dtype, size, shift }: Drawn) {
  const inWord = 32 / bits;
  const k = words * inWord + extra;
  const values = normals(seed, n * k).map((value) => roundTo(size * (value + shift), dtype));
  values[0] = 0;
  const groupSize = mode === 'group' ? Math.min(words, group) * inWord : undefined;
  const weights = dtype === 'float32' ? values : encode16(values, dtype);
  const options: QuantizeOptions = { n, k, bits, mode, groupSize, symmetric, scaleDtype, dtype };
  return { values, weights, options, n, k };
}

test('minmax: no error is above half a scale; the scale is of its dtype; the report is of what is written', () => {
  fc.assert(
    fc.property(cases, (drawn) => {
      const { values, weights, options, n, k } = made(drawn);
      const { matrix, report } = quantize(weights, options);
      checkMatrix(matrix);
      const back = dequantize(matrix);
      const groups = Math.ceil(k / matrix.groupSize);
      let [squares, errors, largest] = [0, 0, 0];
      for (let row = 0; row < n; row++)
        for (let column = 0; column < k; column++) {
          const i = row * k + column;
          const scale = matrix.scale[row * groups + Math.floor(column / matrix.groupSize)]!;
          const error = Math.abs(values[i]! - back[i]!);
          // 2^-16: the group's width and the product are rounded to float32, at most 255 scales each.
          expect(error).toBeLessThanOrEqual(scale * (0.5 + 2 ** -16));
          if (values[i] === 0) expect(back[i]).toBe(0);
          [squares, errors, largest] = [squares + values[i]! ** 2, errors + error ** 2, Math.max(largest, error)];
        }
      for (const scale of matrix.scale) expect(roundTo(scale, drawn.scaleDtype)).toBe(scale);
      for (const zero of matrix.zeroPoint ?? []) expect(Number.isInteger(zero) && zero >= 0 && zero < 2 ** drawn.bits).toBe(true);
      if (drawn.mode === 'tensor') expect(new Set(matrix.scale).size).toBe(1);
      expect(report.maxError).toBe(largest);
      expect(report.rmse).toBe(Math.sqrt(errors / (n * k)));
      if (errors > 0) expect(report.sqnr).toBeCloseTo(10 * Math.log10(squares / errors), 9);
      else expect(report.sqnr).toBe(Number.POSITIVE_INFINITY);
    }),
    { numRuns: 300 },
  );
});

test('mse is never worse than minmax, group by group', () => {
  const better = countIn((drawn) => {
    let found = 0;
    const { values, weights, options, n, k } = made(drawn);
    const [plain, clipped] = (['minmax', 'mse'] as const).map((method) => quantize(weights, { ...options, method }).matrix) as [
      never,
      never,
    ];
    const [a, b] = [dequantize(plain), dequantize(clipped)];
    const { groupSize } = clipped as { groupSize: number };
    const span = drawn.mode === 'tensor' ? n * k : groupSize;
    for (let row = 0; row < (drawn.mode === 'tensor' ? 1 : n); row++)
      for (let begin = 0; begin < (drawn.mode === 'tensor' ? 1 : k); begin += span) {
        const end = drawn.mode === 'tensor' ? n * k : Math.min(k, begin + span);
        let [plainError, clippedError, size] = [0, 0, 0];
        for (let i = row * k + begin; i < row * k + end; i++) {
          plainError += (values[i]! - a[i]!) ** 2;
          clippedError += (values[i]! - b[i]!) ** 2;
          size = Math.max(size, Math.abs(values[i]!));
        }
        // The search does not round its products to float32, 2^-24 of a weight.
        expect(clippedError).toBeLessThanOrEqual(plainError + (end - begin) * (2 ** -22 * size) * Math.sqrt(plainError) + 1e-30);
        if (clippedError < 0.99 * plainError) found++;
      }
    return found;
  });
  expect(better).toBeGreaterThan(100);
});

test('hqq: zero points that scaleDtype holds, and an objective no larger than that of minmax', () => {
  const better = countIn((drawn) => {
    let found = 0;
    const { values, weights, options, k } = made({ ...drawn, symmetric: false, mode: 'group' });
    const top = 2 ** drawn.bits - 1;
    const [plain, hqq] = (['minmax', 'hqq'] as const).map((method) => quantize(weights, { ...options, method }).matrix);
    const groups = Math.ceil(k / hqq!.groupSize);
    for (let i = 0; i < hqq!.scale.length; i++) {
      const offset = 2 ** (drawn.bits - 1) - hqq!.zeroPoint![i]!;
      expect(roundTo(offset, drawn.scaleDtype)).toBe(offset);
      const begin = Math.floor(i / groups) * k + (i % groups) * hqq!.groupSize;
      const end = Math.min((Math.floor(i / groups) + 1) * k, begin + hqq!.groupSize);
      const of = (matrix: typeof plain) =>
        hqqObjective({ w: values, begin, end, top, importance: undefined }, { scale: matrix!.scale[i]!, zero: matrix!.zeroPoint![i]! });
      expect(of(hqq)).toBeLessThanOrEqual(of(plain));
      if (of(hqq) < 0.99 * of(plain)) found++;
    }
    return found;
  });
  expect(better).toBeGreaterThan(100);
});

test.each(['float32', 'float16', 'bfloat16'] as const)(
  'hqq finds a better zero point for most groups of normal weights: %s',
  (scaleDtype) => {
    const [n, k] = [64, 64];
    const w = normals('hqq', n * k);
    const [plain, hqq] = (['minmax', 'hqq'] as const).map((method) => quantize(w, { n, k, bits: 4, method, scaleDtype }).matrix);
    const objective = ({ scale, zeroPoint }: typeof plain & object, row: number): number =>
      hqqObjective(
        { w, begin: row * k, end: (row + 1) * k, top: 15, importance: undefined },
        { scale: scale[row]!, zero: zeroPoint![row]! },
      );
    const better = Array.from({ length: n }, (_, row) => +(objective(hqq!, row) < 0.99 * objective(plain!, row)));
    expect(better.reduce((a, b) => a + b, 0)).toBeGreaterThan(n / 2);
  },
);

test('slices and rows side by side change nothing: a row alone gives the same codes', () => {
  const [n, k] = [11, 4096]; // several slices
  const w = normals('slices', n * k);
  const options = { bits: 4, groupSize: 128, method: 'mse' } as const;
  const { matrix } = quantize(w, { n, k, ...options });
  for (const row of [0, 5, 10]) {
    const alone = quantize(w.subarray(row * k, (row + 1) * k), { n: 1, k, ...options }).matrix;
    expect(alone.codes).toEqual(matrix.codes.slice((row * k) / 8, ((row + 1) * k) / 8));
    expect(alone.scale).toEqual(matrix.scale.slice((row * k) / 128, ((row + 1) * k) / 128));
  }
});

test('groupSize 0, as the command line has it, is a scale for each output', () => {
  const weights = normals('zero', 4 * 64);
  const options = { n: 4, k: 64, bits: 4 } as const;
  expect(quantize(weights, { ...options, groupSize: 0 })).toEqual(quantize(weights, options));
  expectArgument(() => quantize(weights, { ...options, mode: 'group', groupSize: 0 }), 'groupSize', 'a multiple of 8', '0');
});
