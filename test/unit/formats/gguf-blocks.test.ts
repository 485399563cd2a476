// GGUF's blocks as matrices: against numbers of llama.cpp (scripts/goldens/gguf.mjs) and of gguf-py (gguf-blocks.py), against a slow decoder on random blocks with every
// kind of float16, and refusals.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { roundTo } from '../../../src/dtype.js';
import { FormatError } from '../../../src/errors.js';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import type { TensorInfo } from '../../../src/files/tensor-file.js';
import { ggufLayer, ggufTypes, importGguf } from '../../../src/formats/gguf-blocks.js';
import { type Grid, gridOf } from '../../../src/formats/gguf-iq-grids.js';
import type { GgufTypeName } from '../../../src/formats/gguf-layer.js';
import { checkMatrix, codeAt, dequantize } from '../../../src/problem/matrix.js';
import { narrowBytes } from '../../../src/problem/narrow-scales.js';
import { E4M3_VALUES } from '../../../src/problem/weight-format.js';
import { decode, meanings } from '../../support/gguf-decoder.js';

const names = Object.keys(ggufTypes) as GgufTypeName[];
const tensor = (dtype: string, shape: readonly number[], bytes: Uint8Array): RawTensor => ({
  file: 'a.gguf',
  name: 'blk.0.ffn_up.weight',
  dtype,
  shape,
  bytes,
});

/** The first element that differs, in words; numbers are equal with ===, or, asked for bits, in their signs of zero too. */
function difference(got: Float32Array, want: Float32Array, { bits = false } = {}): string | undefined {
  if (got.length !== want.length) return `${got.length} values, expected ${want.length}`;
  const i = got.findIndex((value, at) => (bits ? !Object.is(value, want[at]) : value !== want[at]));
  return i < 0 ? undefined : `element ${i}: expected ${want[i]}, got ${got[i]}`;
}

let state = 1;
const random = (): number => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
};

/** Random bytes; float16 fields are any finite number, subnormal, zero, largest and negative ones included. They start at an odd address. */
function randomBlocks(name: string, count: number): Uint8Array {
  const { bytes, halves } = meanings[name]!;
  const out = new Uint8Array(count * bytes + 1).subarray(1);
  for (let i = 0; i < out.length; i++) out[i] = Math.floor(256 * random());
  for (let at = 0; at < out.length; at += bytes) {
    for (const half of halves) if ((out[at + half + 1]! & 0x7c) === 0x7c) out[at + half + 1]! &= Math.floor(4 * random()) * 0x40 + 0x3b;
    if (name === 'MXFP4') out[at] = Math.floor(255 * random()); // not 255, NaN
    if (name === 'IQ1_M') out[at + 55]! &= 0xbf; // d, whose bits lie apart, is finite
    if (name === 'NVFP4') for (let i = 0; i < 4; i++) out[at + i] = Math.floor(127 * random()); // no NaN and no sign
  }
  return out;
}

/** Narrow forms of scales; the other types keep the float16 of their blocks. */
const KINDS: Readonly<Partial<Record<GgufTypeName, string>>> = {
  Q2_K: 'uint4',
  Q3_K: 'int8',
  Q4_K: 'uint8',
  Q5_K: 'uint8',
  Q6_K: 'int8',
  IQ4_XS: 'int8',
  MXFP4: 'e8m0',
  NVFP4: 'e4m3',
  IQ1_S: 'int8',
  IQ1_M: 'int8',
  IQ2_XXS: 'int8',
  IQ2_XS: 'int8',
  IQ2_S: 'int8',
  IQ3_XXS: 'int8',
  IQ3_S: 'int8',
};

test('the grids are those of gguf-py', () => {
  const wanted = JSON.parse(readFileSync(join(import.meta.dirname, '../../fixtures/gguf/grids.json'), 'utf8')) as Record<string, string>;
  const own = Object.keys(wanted).map((name) => {
    const width = name.startsWith('IQ3') ? 4 : 8;
    const values = [...gridOf(name as Grid)].flatMap((entry) => Array.from({ length: width }, (_, j) => (entry >>> (4 * j)) & 15));
    return [name, createHash('sha256').update(Uint8Array.from(values)).digest('hex')];
  });
  expect(Object.fromEntries(own)).toEqual(wanted);
});

test('the slow decoder knows every type', () => {
  expect(Object.keys(meanings).sort()).toEqual([...names].sort());
});

const isTernary = (name: string): boolean => name.startsWith('TQ') || name === 'Q2_0';
/** Types that the releases of neither know: blocks by hand and the slow decoder show them. */
const NO_GOLDENS = ['Q1_0', 'Q2_0'];

describe.each(names)('%s', (name) => {
  const type = ggufTypes[name];

  test('equals what llama.cpp or gguf-py reads', () => {
    if (NO_GOLDENS.includes(name)) {
      expect(readdirSync(join(import.meta.dirname, '../../fixtures/gguf'))).not.toContain(`${name}.bin`);
      return;
    }
    const fixture = readFileSync(join(import.meta.dirname, `../../fixtures/gguf/${name}.bin`));
    const blocks = (2 * 256 * type.bytes) / type.blockSize;
    const want = new Float32Array(fixture.buffer.slice(fixture.byteOffset + blocks, fixture.byteOffset + fixture.byteLength));
    expect(want.length).toBe(2 * 256);
    expect(new Set(want).size).toBeGreaterThan(isTernary(name) ? 3 : /^IQ[12]/.test(name) ? 30 : 100);
    const matrix = importGguf(tensor(name, [2, 256], fixture.subarray(0, blocks)));
    expect(difference(dequantize(matrix), want)).toBeUndefined();
  });

  test.each([
    [1, 1],
    [7, 3],
    [33, 5],
  ])('equals the definition in every bit: %i rows of %i blocks', (n, perRow) => {
    const k = perRow * type.blockSize;
    const bytes = randomBlocks(name, n * perRow);
    const matrix = importGguf(tensor(name, [n, k], bytes));
    expect(matrix).toMatchObject({ n, k, bits: type.bits, groupSize: type.groupSize, scaleDtype: type.scaleDtype });
    expect(matrix.zeroPoint).toBeUndefined();
    // Negated scales give zeros another sign.
    expect(difference(dequantize(matrix), decode(name, bytes), { bits: !isTernary(name) })).toBeUndefined();
    for (const list of [matrix.scale, matrix.minimum ?? []])
      expect(Array.from(list, (value) => roundTo(value, matrix.scaleDtype)).every((value, i) => value === list[i])).toBe(true);
  });

  test('its narrow form of scales is they, in every bit', () => {
    const { size, bytes: length, halves } = meanings[name]!;
    const bytes = randomBlocks(name, 3 * 40);
    // Units that are subnormal float16 in every third block; the least of them in the first.
    for (const half of halves)
      for (let block = 0; block < 120; block += 3) bytes.set([Math.floor(255 * random()) + 1, (block % 2) << 7], block * length + half);
    for (const half of halves) bytes.set([1, 0], half);
    const matrix = importGguf(tensor(name, [3, 40 * size], bytes));
    checkMatrix(matrix);
    expect(matrix.scaleForm?.kind).toBe(KINDS[name]);
    if (!matrix.scaleForm) return;
    const { scaleForm, scale, minimum, groupSize } = matrix;
    const perOutput = (40 * size) / groupSize;
    for (const [values, unit] of [
      [scale, scaleForm.unit],
      [minimum, scaleForm.minimumUnit],
    ] as const) {
      expect(unit?.length).toBe(values && ['int8', 'uint8', 'uint4'].includes(scaleForm.kind) ? 120 : undefined);
      if (!values) continue;
      const levels = narrowBytes(scaleForm.kind, { values, unit, perOutput, perUnit: size / groupSize });
      const same = Float32Array.from(values, (_, i) => {
        const level = scaleForm.kind === 'int8' ? (levels[i]! << 24) >> 24 : levels[i]!;
        const alone = scaleForm.kind === 'e8m0' ? 2 ** (level - 127) : E4M3_VALUES[level]!;
        return unit ? level * unit[Math.floor((i * groupSize) / size)]! : alone;
      });
      // A level of 0 gives a zero of its unit's sign, or of the other: both are 0 in every product.
      expect(difference(same, values)).toBeUndefined();
    }
  });

  test('refuses a number that is not finite, and names its block', () => {
    const { size, bytes, halves } = meanings[name]!;
    for (const half of halves)
      for (const [high, low, got] of [
        [0x7c, 0, 'Infinity'],
        [0xfc, 0, '-Infinity'],
        [0x7e, 1, 'NaN'],
      ] as const) {
        const blocks = new Uint8Array(6 * bytes); // scales of 0, so that a product with them is NaN
        blocks.set([low, high], 4 * bytes + half);
        const field = half === halves[0] ? 'd' : name.endsWith('_1') ? 'm' : 'dmin';
        expect(() => importGguf(tensor(name, [3, 2 * size], blocks))).toThrow(
          new FormatError({ file: 'a.gguf', tensor: 'blk.0.ffn_up.weight', field: `${field} of block 4` }, 'a finite number', got),
        );
      }
  });

  test('refuses other sizes', () => {
    const { size, bytes } = meanings[name]!;
    const make = (shape: number[], length: number) => () => importGguf(tensor(name, shape, new Uint8Array(length)));
    expect(make([2, size], 2 * bytes)).not.toThrow();
    for (const length of [0, bytes, 2 * bytes - 1, 2 * bytes + 1])
      expect(make([2, size], length)).toThrow(
        `a.gguf: blk.0.ffn_up.weight: bytes: expected ${2 * bytes} for (2, ${size}), ${bytes} a block of ${size}, got ${length}`,
      );
    expect(make([1, size + size / 2], 2 * bytes)).toThrow(`shape: expected a multiple of ${size} as K for ${name}, got (1, ${size * 1.5})`);
    const shapes: [number[], number][] = [
      [[], 0],
      [[size], 0],
      [[1, size, 1], bytes],
      [[0, size], 0],
      [[1, 0], 0],
      [[-1, -size], bytes],
      [[1.5, 2 * size], 3 * bytes],
      [[Number.NaN, size], Number.NaN],
      [[2 ** 60, size], bytes],
    ];
    for (const [shape, length] of shapes) expect(make(shape, length)).toThrow('shape: expected two sizes (N, K) of at least 1, got (');
    expect(make([2 ** 40, size], bytes)).toThrow(FormatError); // and allocates nothing for it
  });
});

test('MXFP4 refuses the exponent that stands for NaN', () => {
  const blocks = new Uint8Array(3 * 17);
  blocks[34] = 255;
  expect(() => importGguf(tensor('MXFP4', [3, 32], blocks))).toThrow(
    'a.gguf: blk.0.ffn_up.weight: e of block 2: expected a finite number, got NaN',
  );
});

test.each(['F16', 'Q8_1', 'constructor', '__proto__'])('%s is none of the types', (dtype) => {
  expect(() => importGguf(tensor(dtype, [1, 32], new Uint8Array(34)))).toThrow(/dtype: expected Q4_0 or .* or IQ3_S, got /);
  expect(ggufLayer(info({ dtype }))).toBeUndefined();
});

const info = (more: Partial<TensorInfo>): TensorInfo => ({
  name: 'blk.3.attn_q.weight',
  dtype: 'Q6_K',
  shape: [12, 512],
  source: { name: 'a.gguf', size: 0, read: () => Promise.reject(new Error('not read here')) },
  begin: 0,
  end: 0,
  ...more,
});

describe('a layer', () => {
  test('says what its matrix will be', () => {
    const weight = info({});
    const bias = info({ name: 'blk.3.attn_q.bias', dtype: 'F32', shape: [12] });
    expect(ggufLayer(weight, bias)).toMatchObject({
      name: 'blk.3.attn_q',
      format: 'GGUF Q6_K',
      n: 12,
      k: 512,
      bits: 6,
      groupSize: 16,
      tensors: { weight },
      bias,
      cut: { axis: 'n', unit: 4, perRow: { weight: 1 } },
    });
    expect(ggufLayer(weight)?.bias).toBeUndefined();
  });

  test('is none for tensors that are not (N, K)', () => {
    expect(ggufLayer(info({ shape: [4, 12, 512] }))).toBeUndefined();
    expect(ggufLayer(info({ shape: [512] }))).toBeUndefined();
  });

  test.each(names)('made of a run of rows is that part of the matrix: %s', (dtype) => {
    const layer = ggufLayer(info({ dtype }))!;
    const rowBytes = (512 / ggufTypes[dtype].blockSize) * ggufTypes[dtype].bytes;
    const bytes = randomBlocks(dtype, (12 * 512) / ggufTypes[dtype].blockSize);
    const whole = layer.make({ weight: tensor(dtype, [12, 512], bytes) }, { n: 12, k: 512 });
    const rows = bytes.subarray(4 * rowBytes, 8 * rowBytes);
    const part = layer.make({ weight: tensor(dtype, [4, 512], rows) }, { n: 4, k: 512 });
    expect(difference(dequantize(part), dequantize(whole).subarray(4 * 512, 8 * 512), { bits: true })).toBeUndefined();
    expect(codeAt(part, 1, 511)).toBe(codeAt(whole, 5, 511));
    expect(() => layer.make({ weight: tensor(dtype, [4, 512], rows) }, { n: 8, k: 512 })).toThrow('shape: expected (8, 512), got (4, 512)');
  });
});
