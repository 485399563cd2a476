// AWQ: words worked by hand from AutoAWQ's rule, a slow packer written from its packing code, and refusals.
// AutoAWQ, awq/modules/linear/gemm.py, from_linear(): for i: qweight[:, col] |= intweight[:, col · 8 + order_map[i]] << (4 · i), with
// order_map = [0, 2, 4, 6, 1, 3, 5, 7]; qzeros the same, from unchanged zero points.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundTo } from '../../../src/dtype.js';
import { FormatError } from '../../../src/errors.js';
import { type AwqTensors, awqLayer, importAwq } from '../../../src/formats/awq.js';
import { checkMatrix, dequantize } from '../../../src/problem/matrix.js';
import { infoOf, raw, weightsInPieces } from '../../support/tensors.js';

test('words by hand', () => {
  // Outputs 0 to 7 with codes 0 to 7: nibbles, from the lowest, 0 2 4 6 1 3 5 7. With codes 8 to 15: 8 10 12 14 9 11 13 15.
  const qweight = raw('qweight', 'I32', [2, 1], [0x75316420, 0xfdb9eca8 | 0]);
  // Zero points 1 for output 0, 2 for output 1 (nibble 4), 3 for output 7 (nibble 7), and 0.
  const qzeros = raw('qzeros', 'I32', [1, 1], [0x30020001]);
  const scales = raw('scales', 'F16', [1, 8], [1, 1, 1, 1, 1, 1, 1, 0.5]);
  const matrix = importAwq({ qweight, qzeros, scales });
  checkMatrix(matrix);
  expect(matrix).toMatchObject({ n: 8, k: 2, bits: 4, groupSize: 2, scaleDtype: 'float16' });
  // Rows are outputs, of two inputs each.
  expect(Array.from(dequantize(matrix))).toEqual([-1, 7, -1, 7, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 2, 6]);
});

const ORDER_MAP = [0, 2, 4, 6, 1, 3, 5, 7];
/** from_linear()'s loops over rows of whole numbers. */
const packRows = (rows: readonly (readonly number[])[]): number[] =>
  rows.flatMap((row) =>
    Array.from({ length: row.length / 8 }, (_, col) => {
      let word = 0;
      for (let i = 0; i < 8; i++) word |= row[col * 8 + ORDER_MAP[i]!]! << (i * 4);
      return word;
    }),
  );

const layers = fc
  .record({
    columns: fc.integer({ min: 1, max: 20 }),
    k: fc.integer({ min: 1, max: 300 }),
    group: fc.constantFrom(8, 16, 32, 64, 128, -1),
    dtype: fc.constantFrom('F16' as const, 'BF16' as const, 'F32' as const),
    seed: fc.integer(),
  })
  .map(({ columns, k, group, dtype, seed }) => {
    let state = seed >>> 0;
    const next = (below: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below;
    const n = columns * 8;
    const groupSize = group === -1 ? k : group;
    const groups = Math.ceil(k / groupSize);
    const as = { F16: 'float16', BF16: 'bfloat16', F32: 'float32' } as const;
    const scales = Array.from({ length: groups * n }, () => roundTo((1 + next(2000)) / 977, as[dtype]));
    const zeros = Array.from({ length: groups * n }, () => next(16));
    const codes = Array.from({ length: k }, () => Array.from({ length: n }, () => next(2 ** 16) % 16));
    const weights = Array.from({ length: n * k }, (_, i) => {
      const [row, column] = [Math.floor(i / k), i % k];
      const at = Math.floor(column / groupSize) * n + row;
      return Math.fround(scales[at]! * (codes[column]![row]! - zeros[at]!));
    });
    const tensors = {
      qweight: raw('qweight', 'I32', [k, columns], packRows(codes)),
      qzeros: raw('qzeros', 'I32', [groups, columns], packRows(Array.from({ length: groups }, (_, g) => zeros.slice(g * n, (g + 1) * n)))),
      scales: raw('scales', dtype, [groups, n], scales),
    };
    return { n, k, groupSize: group, scaleDtype: as[dtype], weights, tensors };
  });

const same = (got: ArrayLike<number>, want: ArrayLike<number>): boolean =>
  got.length === want.length && Array.from(want).every((value, i) => value === got[i]);

test('any shape, group and dtype: import undoes pack, exactly; in pieces along k, too', async () => {
  let cut = 0;
  await fc.assert(
    fc.asyncProperty(layers, fc.integer({ min: 1, max: 5000 }), async ({ n, k, groupSize, scaleDtype, weights, tensors }, chunkBytes) => {
      const matrix = importAwq(tensors, { groupSize });
      checkMatrix(matrix);
      expect(matrix).toMatchObject({ n, k, scaleDtype });
      expect(same(dequantize(matrix), weights)).toBe(true);
      const { qweight, qzeros, scales } = tensors;
      const infos = { qweight: infoOf(qweight), qzeros: infoOf(qzeros), scales: infoOf(scales) };
      const source = awqLayer(infos, { name: 'up', groupSize });
      expect(source).toMatchObject({ name: 'up', format: 'AWQ', n, k, bits: 4, groupSize: matrix.groupSize });
      expect(same(dequantize(source.make(tensors, { n, k })), weights)).toBe(true);
      const parts = await weightsInPieces(source, chunkBytes);
      expect(same(parts.weights, weights)).toBe(true);
      if (parts.pieces > 1) cut++;
    }),
    { numRuns: 120 },
  );
  expect(cut).toBeGreaterThan(0);
});

describe('refused', () => {
  const qweight = raw('qweight', 'I32', [64, 2], Array(128).fill(0));
  const qzeros = raw('qzeros', 'I32', [2, 2], Array(4).fill(0));
  const scales = raw('scales', 'F16', [2, 16], Array(32).fill(1));
  const cases: readonly [string, Partial<AwqTensors>, number | undefined, RegExp][] = [
    ['qweight of another dtype', { qweight: { ...qweight, dtype: 'I16' } }, 32, /qweight: dtype: expected I32 or U32, got I16/],
    ['qweight of another rank', { qweight: { ...qweight, shape: [128] } }, 32, /qweight: shape: expected two sizes/],
    ['qweight of too many bytes', { qweight: { ...qweight, bytes: new Uint8Array(516) } }, 32, /qweight: bytes: expected 512/],
    // The GEMV version packs along K: (N, K / 8).
    ['qweight of another version', { qweight: { ...qweight, shape: [16, 8] } }, undefined, /scales: shape: expected \(2, 64\)/],
    ['qzeros of another shape', { qzeros: { ...qzeros, shape: [1, 4] } }, 32, /qzeros: shape: expected \(2, 2\)/],
    ['scales of another dtype', { scales: { ...scales, dtype: 'I16' } }, 32, /scales: dtype: /],
    [
      'a scale that is not a number',
      { scales: raw('scales', 'F16', [2, 16], [Number.NaN, ...Array(31).fill(1)]) },
      32,
      /scales: element 0/,
    ],
    ['groupSize 0', {}, 0, /scales: groupSize: expected a whole number of at least 1, or -1, got 0/],
    ['groupSize that gives other groups', {}, 16, /scales: shape: expected 4 groups of 16 for K = 64, got 2/],
    ['groupSize of half words', {}, 36, /groupSize: expected a multiple of 8, or all of K, got 36/],
  ];
  test.each(cases)('%s', (_, tensors, groupSize, message) => {
    const run = () => importAwq({ qweight, qzeros, scales, ...tensors }, { groupSize });
    expect(run).toThrow(FormatError);
    expect(run).toThrow(message);
  });
  test('and the same without the fault is taken', () => {
    expect(importAwq({ qweight, qzeros, scales })).toMatchObject({ n: 16, k: 64, groupSize: 32 });
  });
});
