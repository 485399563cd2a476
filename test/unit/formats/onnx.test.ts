// MatMulNBits against ONNX Runtime's CPU kernels (scripts/goldens/onnx.mjs made the fixtures), and refusals.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundTo } from '../../../src/dtype.js';
import { FormatError } from '../../../src/errors.js';
import { importMatMulNBits, type MatMulNBitsAttributes, type MatMulNBitsTensors } from '../../../src/formats/matmul-nbits.js';
import { checkMatrix, codeAt, dequantize } from '../../../src/problem/matrix.js';
import { matMulNBitsFixtures, readFixture } from '../../support/onnx-fixture.js';
import { raw } from '../../support/tensors.js';

test('there are goldens', () => expect(matMulNBitsFixtures.length).toBeGreaterThanOrEqual(13));

describe.each(matMulNBitsFixtures)('%s', (name) => {
  const { attributes, tensors, dtype, weights, x, y } = readFixture(name);
  const matrix = importMatMulNBits(tensors, attributes);
  const ours = dequantize(matrix);

  test('the weights are what the identity times the node gives', () => {
    checkMatrix(matrix);
    expect(weights.length).toBe(attributes.N * attributes.K);
    // In float16 the node's output is rounded once. Adding 0 makes 0 of -0.
    expect(Array.from(weights, (value) => value + 0)).toEqual(Array.from(ours, (value) => roundTo(value, dtype) + 0));
    expect(ours.some((value) => value > 0) && ours.some((value) => value < 0)).toBe(true);
  });

  test('a product agrees within the rounding of its sums', () => {
    const { N, K } = attributes;
    for (let m = 0; m < 3; m++)
      for (let n = 0; n < N; n++) {
        let sum = 0;
        let size = 0;
        for (let k = 0; k < K; k++) {
          const term = x[m * K + k]! * ours[n * K + k]!;
          sum += term;
          size += Math.abs(term);
        }
        // K products and K sums of float32, after a weight of at most three roundings; then the output's.
        const bound = (K + 4) * 2 ** -24 * size;
        const rounding = dtype === 'float16' ? 2 ** -11 * (Math.abs(sum) + bound) + 2 ** -25 : 0;
        expect(Math.abs(y[m * N + n]! - sum)).toBeLessThanOrEqual(bound + rounding);
      }
  });
});

test('g_idx sorts the columns, and says which input each is for', () => {
  const { attributes, tensors } = readFixture('nbits-4-g_idx.json');
  const { K, block_size } = attributes;
  const g_idx = new Int32Array(tensors.g_idx!.bytes.slice().buffer);
  const { permutation } = importMatMulNBits(tensors, attributes);
  expect(permutation!.length).toBe(K);
  permutation!.forEach((input, column) => {
    expect(g_idx[input]).toBe(Math.floor(column / block_size));
  });
  // In order, or absent, it changes nothing.
  const order = Int32Array.from({ length: K }, (_, k) => Math.floor(k / block_size));
  const plain = importMatMulNBits({ ...tensors, g_idx: undefined }, attributes);
  const inOrder = importMatMulNBits({ ...tensors, g_idx: raw('g_idx', 'I32', [K], order) }, attributes);
  expect(inOrder).toEqual(plain);
  expect(inOrder.permutation).toBeUndefined();
});

/** Blocks as the operator's description packs them, code by code. */
function pack(codes: readonly number[], { N, K, bits = 4, block_size }: MatMulNBitsAttributes, padding: number): Uint8Array {
  const padded = Math.ceil(K / block_size) * block_size;
  const bytes = new Uint8Array((N * padded * bits) / 8);
  for (let n = 0; n < N; n++)
    for (let k = 0; k < padded; k++) {
      const code = k < K ? codes[n * K + k]! : padding;
      const bit = (n * padded + k) * bits;
      bytes[bit >> 3]! |= code << (bit & 7);
    }
  return bytes;
}

const sizes = fc.record({
  N: fc.integer({ min: 1, max: 5 }),
  K: fc.integer({ min: 1, max: 100 }),
  bits: fc.constantFrom(2 as const, 4 as const, 8 as const),
  block_size: fc.constantFrom(16, 32, 64),
});
const DTYPE_OF = { F16: 'float16', BF16: 'bfloat16', F32: 'float32' } as const;

test('any shape, bits, block and kind of zero points: the weights are scale · (code - zero), exactly', () => {
  const kinds = fc.constantFrom('none' as const, 'packed' as const, 'float' as const);
  fc.assert(
    fc.property(sizes, kinds, fc.constantFrom('F16' as const, 'BF16' as const, 'F32' as const), fc.integer(), (size, kind, dtype, seed) => {
      const { N, K, bits, block_size } = size;
      const blocks = Math.ceil(K / block_size);
      let state = seed >>> 0;
      const next = (below: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below;
      const codes = Array.from({ length: N * K }, () => next(2 ** 16) % 2 ** bits);
      const scale = Array.from({ length: N * blocks }, () => roundTo((next(4001) - 2000) / 977, DTYPE_OF[dtype]));
      const perRow = Math.ceil((blocks * bits) / 8);
      const zeros = Array.from({ length: N * blocks }, () =>
        kind === 'float' ? roundTo(next(2 ** bits * 4) / 4, DTYPE_OF[dtype]) : kind === 'packed' ? next(2 ** bits) : 2 ** (bits - 1),
      );
      const zeroBytes = new Uint8Array(N * perRow);
      zeros.forEach((zero, i) => {
        const bit = Math.floor(i / blocks) * perRow * 8 + (i % blocks) * bits;
        if (kind === 'packed') zeroBytes[bit >> 3]! |= zero << (bit & 7);
      });
      const zero_points = {
        none: undefined,
        packed: raw('zero_points', 'U8', seed % 2 ? [N * perRow] : [N, perRow], zeroBytes),
        float: raw('zero_points', dtype, seed % 2 ? [N * blocks] : [N, blocks], zeros),
      }[kind];
      const B = raw('B', 'U8', [N, blocks, (block_size * bits) / 8], pack(codes, size, next(2 ** bits)));
      const scales = raw('scales', dtype, seed % 2 ? [N * blocks] : [N, blocks], scale);
      const matrix = importMatMulNBits({ B, scales, zero_points }, size);
      checkMatrix(matrix);
      expect(matrix.bits).toBe(bits);
      expect(matrix.scaleDtype).toBe(DTYPE_OF[dtype]);
      expect(matrix.zeroPointDtype).toBe({ none: undefined, packed: 'uint8', float: DTYPE_OF[dtype] }[kind]);
      expect(matrix.zeroPoint && [...matrix.zeroPoint]).toEqual(kind === 'none' ? undefined : zeros);
      const weights = dequantize(matrix);
      codes.forEach((code, i) => {
        const at = Math.floor(i / K) * blocks + Math.floor((i % K) / block_size);
        if (weights[i] !== Math.fround(scale[at]! * (code - zeros[at]!))) throw new Error(`weight ${i}: ${weights[i]}`);
      });
      // Past K there is nothing.
      for (let k = K; k % (bits === 8 ? 4 : 8) !== 0; k++) for (let n = 0; n < N; n++) expect(codeAt({ ...matrix, k: K }, n, k)).toBe(0);
    }),
    { numRuns: 200 },
  );
});

describe('refused', () => {
  const attributes: MatMulNBitsAttributes = { N: 2, K: 40, bits: 4, block_size: 32 };
  const B = raw('B', 'U8', [2, 2, 16], new Uint8Array(64));
  const scales = raw('scales', 'F16', [2, 2], [1, 1, 1, 1]);
  const g_idx = (values: readonly number[]) => raw('g_idx', 'I32', [values.length], values);
  const order = Array.from({ length: 40 }, (_, k) => Math.floor(k / 32));
  const cases: readonly [string, Partial<MatMulNBitsTensors>, Partial<MatMulNBitsAttributes>, RegExp][] = [
    ['a block that is no power of two', {}, { block_size: 48 }, /B: block_size: expected a power of two of at least 16, got 48/],
    ['a block of 8', {}, { block_size: 8 }, /block_size: .*got 8/],
    ['3 bits', {}, { bits: 3 as 4 }, /bits: expected 2, 4 or 8, got 3/],
    ['K of 0', {}, { K: 0 }, /K: .*got 0/],
    ['N of 1.5', {}, { N: 1.5 }, /N: .*got 1.5/],
    ['B of another shape', {}, { K: 70 }, /B: shape: expected \(2, 3, 16\).*got \(2, 2, 16\)/],
    ['B of another dtype', { B: { ...B, dtype: 'I8' } }, {}, /B: dtype: expected U8, got I8/],
    ['B of too few bytes', { B: { ...B, bytes: B.bytes.subarray(1) } }, {}, /B: bytes: expected 64/],
    ['scales that are not finite', { scales: raw('scales', 'F16', [4], [1, 1, Number.NaN, 1]) }, {}, /scales: element 2: .*got NaN/],
    [
      'scales of another shape',
      { scales: raw('scales', 'F16', [2], [1, 1]) },
      {},
      /scales: shape: expected \(2, 2\), or flat \(4,\), got \(2,\)/,
    ],
    ['zero points of another dtype', { zero_points: raw('zero_points', 'F32', [4], [1, 1, 1, 1]) }, {}, /expected U8 or F16, got F32/],
    ['zero points of another shape', { zero_points: raw('zero_points', 'U8', [4], [1, 1, 1, 1]) }, {}, /zero_points: shape: /],
    [
      'zero points that are infinite',
      { zero_points: raw('zero_points', 'F16', [4], [1, Number.POSITIVE_INFINITY, 1, 1]) },
      {},
      /zero_points: element 1/,
    ],
    ['g_idx past the blocks', { g_idx: g_idx([...order.slice(1), 2]) }, {}, /g_idx: element 39: expected a group from 0 to 1, got 2/],
    ['g_idx below 0', { g_idx: g_idx([-1, ...order.slice(1)]) }, {}, /g_idx: element 0: .*got -1/],
    ['groups of other sizes', { g_idx: g_idx([1, ...order.slice(1)]) }, {}, /g_idx: group 0: expected 32 inputs, got 31/],
    ['g_idx of another rank', { g_idx: { ...g_idx(order), shape: [64, 1] } }, {}, /g_idx: shape: /],
    ['g_idx of another length', { g_idx: g_idx(order.slice(1)) }, {}, /g_idx: shape: expected \(40,\)/],
  ];
  test.each(cases)('%s', (_, tensors, others, message) => {
    const run = () => importMatMulNBits({ B, scales, ...tensors }, { ...attributes, ...others });
    expect(run).toThrow(FormatError);
    expect(run).toThrow(message);
  });
  test('and the same without the fault is taken', () => {
    expect(importMatMulNBits({ B, scales, g_idx: g_idx(order) }, attributes).groupSize).toBe(32);
  });
});
