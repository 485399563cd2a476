// MLC: words worked by hand from MLC-LLM's rule, a slow quantizer and packer written from its packing code, and refusals. mlc-llm,
// quantization/group_quantization.py, _quantize(): scale = max |w| of a group / max_int, code = min(max(round(w / scale + max_int), 0), 2 ·
// max_int); utils.py, pack_weight(): sum of code[i · per + r] << (r · bits), 0 past K. max_int = 2^(bits-1) - 1.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundTo } from '../../../src/dtype.js';
import { FormatError } from '../../../src/errors.js';
import { importMlc, MLC_KINDS, type MlcOptions, type MlcTensors, mlcLayer } from '../../../src/formats/mlc-weights.js';
import { checkMatrix, codeAt, dequantize } from '../../../src/problem/matrix.js';
import { infoOf, raw, weightsInPieces } from '../../support/tensors.js';

const plain = (values: ArrayLike<number>): number[] => Array.from(values, (value) => value + 0); // -0 is 0.

describe('words by hand', () => {
  const q_scale = raw('q_scale', 'F16', [1, 1], [0.5]);

  test('4 bits: code 7 is zero, and 15 is 8', () => {
    const q_weight = raw('q_weight', 'U32', [1, 4], [0x76543210, 0xfedcba98, 0x77777777, 0x77777777]);
    const matrix = importMlc({ q_weight, q_scale }, { format: 'q4f16_1' });
    checkMatrix(matrix);
    expect(matrix.zeroPoint).toBeUndefined();
    const want = Array.from({ length: 32 }, (_, i) => (i < 16 ? (i - 7) / 2 : 0));
    expect(plain(dequantize(matrix))).toEqual(want);
  });

  test('3 bits: ten codes in a word, code 3 is zero', () => {
    // Codes 0 to 7, 0, 1 from the lowest bits: 0xfac688 and 1 << 27.
    const q_weight = raw('q_weight', 'U32', [1, 4], [0x08fac688, 0, 0, 7 << 27]);
    const matrix = importMlc({ q_weight, q_scale }, { format: 'q3f16_1' });
    checkMatrix(matrix);
    const codes = [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, ...Array(29).fill(0), 7];
    expect(matrix).toMatchObject({ k: 40, bits: 3, groupSize: 40, scale: Float32Array.of(-0.5) });
    // 7 - code, in nibbles: 7 … 0, 7, 6, then 7 where code is 0, and 0 at last.
    expect(matrix.codes).toEqual(Uint32Array.of(0x01234567, 0x77777767, 0x77777777, 0x77777777, 0x07777777));
    expect(plain(dequantize(matrix))).toEqual(codes.map((code) => (code - 3) / 2));
  });
});

const AS = { F16: 'float16', BF16: 'bfloat16', F32: 'float32' } as const;
const layers = fc
  .record({
    format: fc.constantFrom(...(Object.keys(MLC_KINDS) as MlcOptions['format'][])),
    n: fc.integer({ min: 1, max: 40 }),
    groups: fc.integer({ min: 1, max: 5 }),
    short: fc.constantFrom(0, 0, 1, 3, 8, 17, 31),
    seed: fc.integer(),
  })
  .map(({ format, n, groups, short, seed }) => {
    let state = seed >>> 0;
    const next = (below: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below;
    const { bits, group, layout, dtype } = MLC_KINDS[format];
    const k = groups * group - short;
    const maxInt = 2 ** (bits - 1) - 1;
    const per = Math.floor(32 / bits);
    const inGroup = group / per;
    const floats = Array.from({ length: n * k }, () => (next(4001) - 2000) / 977);
    const scales: number[] = [];
    const codes: number[] = [];
    for (let row = 0; row < n; row++)
      for (let g = 0; g < groups; g++) {
        const values = floats.slice(row * k + g * group, Math.min((row + 1) * k, row * k + (g + 1) * group));
        const scale = roundTo(Math.max(...values.map(Math.abs), 0.01) / maxInt, AS[dtype]);
        scales.push(scale);
        for (const value of values) codes.push(Math.min(Math.max(Math.round(value / scale + maxInt), 0), 2 * maxInt));
      }
    const perRow = groups * inGroup;
    const words = new Uint32Array(n * perRow);
    for (let row = 0; row < n; row++)
      for (let column = 0; column < k; column++)
        words[row * perRow + Math.floor(column / per)]! |= codes[row * k + column]! << ((column % per) * bits);
    const weights = codes.map((code, i) =>
      Math.fround(scales[Math.floor(i / k) * groups + Math.floor((i % k) / group)]! * (code - maxInt)),
    );
    const turn = (list: ArrayLike<number>, columns: number): number[] =>
      Array.from({ length: list.length }, (_, i) => list[(i % n) * columns + Math.floor(i / n)]!);
    const turned = layout === 'KN';
    const tensors = {
      q_weight: raw('q_weight', 'U32', turned ? [perRow, n] : [n, perRow], turned ? turn(words, perRow) : words),
      q_scale: raw('q_scale', dtype, turned ? [groups, n] : [n, groups], turned ? turn(scales, groups) : scales),
    };
    return { format, n, k, short, weights, tensors, scaleDtype: AS[dtype] };
  });

const same = (got: ArrayLike<number>, want: ArrayLike<number>): boolean =>
  got.length === want.length && Array.from(want).every((value, i) => value === got[i]);

test('any kind and shape: import undoes quantize and pack, exactly; in pieces, too', async () => {
  const cut = { n: 0, k: 0 };
  await fc.assert(
    fc.asyncProperty(
      layers,
      fc.integer({ min: 1, max: 1000 }),
      async ({ format, n, k, short, weights, tensors, scaleDtype }, chunkBytes) => {
        const matrix = importMlc(tensors, { format, k });
        checkMatrix(matrix);
        expect(matrix).toMatchObject({ n, k, bits: MLC_KINDS[format].bits, scaleDtype });
        expect(matrix.zeroPoint).toBeUndefined();
        expect(same(dequantize(matrix), weights)).toBe(true);
        for (let column = k; column % 8 !== 0; column++) expect(codeAt(matrix, n - 1, column)).toBe(0);
        if (short === 0) expect(importMlc(tensors, { format })).toEqual(matrix);
        const { q_weight, q_scale } = tensors;
        const source = mlcLayer({ q_weight: infoOf(q_weight), q_scale: infoOf(q_scale) }, { name: 'up', format, k });
        expect(source).toMatchObject({ name: 'up', format: `MLC ${format}`, n, k, groupSize: matrix.groupSize });
        expect(same(dequantize(source.make(tensors, { n, k })), weights)).toBe(true);
        const parts = await weightsInPieces(source, chunkBytes);
        expect(same(parts.weights, weights)).toBe(true);
        if (source.cut && parts.pieces > 1) cut[source.cut.axis]++;
      },
    ),
    { numRuns: 250 },
  );
  expect(Math.min(cut.n, cut.k)).toBeGreaterThan(0);
});

test('what is read is not written to', () => {
  const bytes = new Uint8Array(new Uint32Array(4).fill(0x12345678).buffer);
  const q_weight = { name: 'q_weight', dtype: 'U32', shape: [1, 4], bytes };
  importMlc({ q_weight, q_scale: raw('q_scale', 'F16', [1, 1], [1]) }, { format: 'q4f16_1' });
  expect(new Uint32Array(bytes.buffer)[0]).toBe(0x12345678);
});

describe('refused', () => {
  const q_weight = raw('q_weight', 'U32', [2, 8], Array(16).fill(0));
  const q_scale = raw('q_scale', 'F16', [2, 2], [1, 1, 1, 1]);
  const cases: readonly [string, Partial<MlcTensors>, Partial<MlcOptions>, RegExp][] = [
    ['a quantization of another kind', {}, { format: 'q4f16_ft' as 'q4f16_1' }, /q_weight: format: expected q4f16_0, .*got q4f16_ft/],
    ['q_weight of another dtype', { q_weight: { ...q_weight, dtype: 'U8' } }, {}, /q_weight: dtype: expected I32 or U32, got U8/],
    ['q_weight of too few bytes', { q_weight: { ...q_weight, bytes: new Uint8Array(60) } }, {}, /q_weight: bytes: expected 64/],
    ['q_weight of parts of groups', { q_weight: { ...q_weight, shape: [2, 7] } }, {}, /q_weight: shape: expected groups of 4 words, got 7/],
    ['q_scale of another shape', { q_scale: { ...q_scale, shape: [4, 1] } }, {}, /q_scale: shape: expected \(2, 2\)/],
    ['q_scale of another dtype', { q_scale: { ...q_scale, dtype: 'F32' } }, {}, /q_scale: dtype: expected F16, got F32/],
    ['a scale that is not a number', { q_scale: raw('q_scale', 'F16', [2, 2], [1, Number.NaN, 1, 1]) }, {}, /q_scale: element 1/],
    ['k of more groups', {}, { k: 65 }, /q_weight: k: expected one that 2 groups of 32 hold, got 65/],
    ['k of fewer groups', {}, { k: 32 }, /q_weight: k: .*got 32/],
    ['k that is not whole', {}, { k: 63.5 }, /q_weight: k: .*got 63.5/],
  ];
  test.each(cases)('%s', (_, tensors, options, message) => {
    const run = () => importMlc({ q_weight, q_scale, ...tensors }, { format: 'q4f16_1', ...options });
    expect(run).toThrow(FormatError);
    expect(run).toThrow(message);
  });
  test('and the same without the fault is taken', () => {
    expect(importMlc({ q_weight, q_scale }, { format: 'q4f16_1', k: 63 })).toMatchObject({ n: 2, k: 63, groupSize: 32 });
  });
});
