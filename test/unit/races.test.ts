// Every barrier is needed, and no two lanes of a workgroup access the same address between two barriers. wgsl_reflect's detectRaces runs
// all lanes of a workgroup on the CPU and compares their accesses.
//
// The tool finds the addresses that our kernels access, and their order. The tests also compare these with the expected addresses, because
// the tool gets per-lane arguments of some helper functions wrong.
// It cannot check: any number (its sums are wrong, so y is not compared here); f16 (X=1); subgroup operations, which it takes for the
// identity (SUBGROUPS=1); races between workgroups; uniform control flow, unless a lane ends before a barrier.
import { afterEach, describe, expect, test } from 'vitest';
import { detectRaces, MemoryTracker, type RaceDetectionResult } from 'wgsl_reflect/wgsl_reflect.module.js';
import { operandUniforms, yUniforms } from '../../src/kernels/operands.js';
import { sortedWords } from '../../src/problem/experts.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { whole } from '../cases/slice.js';
import { readable, variantText } from '../support/problems.js';

interface Access {
  readonly buffer: string;
  readonly byte: number;
  readonly kind: string;
  readonly lane: number;
}

const record = MemoryTracker.prototype.record;
const M = 2;
const N = 8;

/** One workgroup of a kernel on `words` words of k, with all its accesses to memory. */
function run(
  code: string,
  params: Params,
  words: number,
  more: Readonly<Record<string, number>> = {},
): RaceDetectionResult & { readonly accesses: readonly Access[] } {
  const accesses: Access[] = [];
  // No spy: it would keep every call's arguments, and there are millions.
  MemoryTracker.prototype.record = function (this: MemoryTracker, buffer, byte, size, kind, atomic) {
    accesses.push({ buffer, byte, kind, lane: this.currentInvocation });
    record.call(this, buffer, byte, size, kind, atomic);
  };
  const k = words * (32 / params.BITS!);
  const quads = N / 4;
  const values: Readonly<Record<string, number>> = {
    ...{ m: M, n: N, k, words, group_words: words, w_pitch: quads, x_base: 0, x_pitch: k / 4, column: 0, tiles_n: 1, tiles: 1 },
    ...yUniforms([{ begin: 0, first: 0, pitch: N }]),
    ...more,
  };
  const uniform = Uint32Array.from(operandUniforms, (name) => values[name]!);
  const buffers = {
    0: { uniform: uniform.buffer },
    1: new ArrayBuffer(M * k * 4),
    2: new ArrayBuffer(words * quads * 16),
    3: new ArrayBuffer(quads * 16),
    ...(params.OFFSET! > 0 && { 4: new ArrayBuffer(quads * 16) }),
    5: new ArrayBuffer(quads * 16),
    7: new ArrayBuffer(M * N * 4),
    8: new ArrayBuffer(M * Math.ceil(k / 32) * 8),
    ...(params.CODEBOOK === 1 && { 9: new ArrayBuffer(64) }),
  };
  return { ...detectRaces(readable(code), 'main', [1, 1, 1], { 0: buffers }), accesses };
}
afterEach(() => {
  MemoryTracker.prototype.record = record;
});

/** The text without its i-th barrier, for every i. */
function withoutEach(code: string): string[] {
  const lines = code.split('\n');
  const barriers = lines.flatMap((line, i) => (/(workgroup|storage)Barrier\(\)/.test(line) ? [i] : []));
  return barriers.map((at) => lines.filter((_, i) => i !== at).join('\n'));
}
function replaced(code: string, from: string, to: string): string {
  expect(code.split(from)).toHaveLength(2); // or the test has lost its object
  return code.replace(from, to);
}
const raced = ({ races }: RaceDetectionResult): string[] => [...new Set(races.map(({ bufferId }) => bufferId))].sort();
/** The vec4s of a buffer that were touched, in their order in memory. */
const slots = (accesses: readonly Access[], buffer: string, kind: string): number[] =>
  [...new Set(accesses.filter((access) => access.buffer === buffer && access.kind === kind).map(({ byte }) => byte / 16))].sort(
    (a, b) => a - b,
  );

/** In `npm run test:all` each of a kernel's tiles below, else the first. */
const some = <T>(list: readonly T[]): readonly T[] => (whole ? list : list.slice(0, 1));
const F32 = { X: 0, SCALE: 0, OFFSET: 1, CODEBOOK: 0, ROUND: 0, EXPERTS: 0, READ: 4, ENDING: 0, Y: 0 };
/** Barriers of lib/row-factor.wgsl, which come first in the text. */
const OF_FACTOR = 3;
describe.each(
  some([
    { ...F32, BITS: 4, ROWS: 1, LANES: 16, SLICES: 16, UNROLL: 4, TRICK: 0 },
    { ...F32, BITS: 8, ROWS: 2, LANES: 64, SLICES: 4, UNROLL: 4, TRICK: 1 },
  ]),
)('matmul-decode BITS=$BITS ROWS=$ROWS SLICES=$SLICES', (params) => {
  const { ROWS, LANES, SLICES, UNROLL } = params;
  const { code } = variantText('matmul-decode', params);
  const words = SLICES * params.BITS; // a block for each slice
  const all = SLICES * ROWS * LANES;

  test('has no race: lanes make sums of x, all slices read theirs, and then each fills its slots, which those that finish rows read', () => {
    const { races, errors, accesses } = run(code, params, words);
    expect({ races, errors }).toEqual({ races: [], errors: [] });
    // Sums of x lie in the same memory before: two to a vec4.
    const made = Array.from({ length: ROWS }, (_, r) =>
      Array.from({ length: words / UNROLL }, (_, i) => r * SLICES * LANES + i / 2),
    ).flat();
    expect(slots(accesses, 'sums', 'write')).toEqual(
      [...new Set([...made, ...Array.from({ length: 2 * all }, (_, i) => i / 2)])].sort((a, b) => a - b),
    );
    const quads = [0, 1]; // lanes past N read nothing of what they have made
    const read = Array.from({ length: SLICES }, (_, slice) =>
      [0, 1].slice(0, ROWS).flatMap((r) => quads.flatMap((q) => [0, 0.5].map((half) => (slice * ROWS + r) * LANES + q + half))),
    ).flat();
    expect(slots(accesses, 'sums', 'read')).toEqual([...new Set([...made, ...read])].sort((a, b) => a - b));
  });

  test('has one without the barrier before sums of x are read, before they make room, or before slices meet', () => {
    const texts = withoutEach(code);
    expect(texts).toHaveLength(OF_FACTOR + 4);
    for (const text of texts.slice(OF_FACTOR + 1)) expect(raced(run(text, params, words))).toEqual(['sums']);
  });

  test('and without the first, where k has more steps than sums of x have room', () => {
    const text = replaced(withoutEach(code)[OF_FACTOR]!, /const ROOM = .*;/.exec(code)![0], `const ROOM = ${words / 2}u;`);
    expect(raced(run(text, params, words))).toEqual(['sums']);
  });

  test('has none if lanes make the factor of a row, and one without any of its barriers', () => {
    const factor = { row_scale: 2, row_base: 0, row_width: 4 * all };
    expect(raced(run(code, params, words, factor))).toEqual([]);
    for (const text of withoutEach(code).slice(0, OF_FACTOR)) expect(raced(run(text, params, words, factor))).toEqual(['sums']);
    const values = { ...params, OFFSET: 0, CODEBOOK: 2, TRICK: 0 }; // no sums of x, whose barrier would come next
    const texts = withoutEach(variantText('matmul-decode', values).code);
    expect(texts).toHaveLength(OF_FACTOR + 2);
    expect(raced(run(texts[OF_FACTOR]!, values, words, factor))).toEqual(['sums']);
  });

  test('has one if slices share slots', () => {
    expect(raced(run(replaced(code, 'let slot = lane.y * ROWS * LANES + lane.x;', 'let slot = lane.x;'), params, words))).toEqual(['sums']);
  });
});

describe.each(
  some([
    { ...F32, BITS: 8, ROWS: 2 },
    { ...F32, BITS: 4, ROWS: 4 },
  ]),
)('matmul-tiled BITS=$BITS ROWS=$ROWS', (params: Params) => {
  const { code } = variantText('matmul-tiled', params);
  const words = 64 / (32 / params.BITS!); // two steps of 32 k: the second barrier separates them

  test('has no race: both tiles are filled and read, slot by slot', () => {
    const { races, errors, accesses } = run(code, params, words);
    expect({ races, errors }).toEqual({ races: [], errors: [] });
    const x = Array.from({ length: 16 * 8 * params.ROWS! }, (_, i) => i);
    const w = Array.from({ length: 512 }, (_, i) => i);
    expect(slots(accesses, 'x_tile', 'write')).toEqual(x);
    expect(slots(accesses, 'x_tile', 'read')).toEqual(x);
    expect(slots(accesses, 'w_tile', 'write')).toEqual(w);
    expect(slots(accesses, 'w_tile', 'read')).toEqual(w);
  });

  test('has one without either of its two barriers', () => {
    const texts = withoutEach(code);
    expect(texts).toHaveLength(2);
    for (const text of texts) expect(raced(run(text, params, words))).toEqual(['w_tile', 'x_tile']);
  });

  test('has one if rows of x overlap', () => {
    expect(raced(run(replaced(code, 'return row * TILE_VEC4S + ', 'return row * 3u + '), params, words))).toEqual(['x_tile']);
  });
});

describe.each([
  { kernel: 'matmul-codebook', barriers: 1, own: { ROWS: 2, LANES: 64, TRICK: 0 } },
  { kernel: 'matmul-tiled', barriers: 3, own: { ROWS: 1 } },
])('$kernel with a codebook', ({ kernel, barriers, own }) => {
  const params: Params = { ...F32, BITS: 4, OFFSET: 0, CODEBOOK: 1, ...own };
  const { code } = variantText(kernel, params);

  test('has no race: 16 lanes load the table before anyone reads it', () => {
    const { races, errors, accesses } = run(code, params, 4);
    expect({ races, errors }).toEqual({ races: [], errors: [] });
    const touched = accesses.filter(({ buffer, kind }) => buffer === 'table' && kind === 'write').map(({ byte }) => byte / 4);
    expect(touched.sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i));
    expect(accesses.some(({ buffer, kind }) => buffer === 'table' && kind === 'read')).toBe(true);
  });

  test('has one without its barrier', () => {
    const texts = withoutEach(code);
    expect(texts).toHaveLength(barriers);
    expect(raced(run(texts[0]!, params, 4))).toEqual(['table']);
  });
});

describe('sort-pairs', () => {
  const { code } = variantText('sort-pairs', {});
  const [pairs, experts] = [256, 254]; // a round of each loop for every lane: the tool loses the barrier behind a loop without rounds
  /** Races and errors; and the words that were written. */
  const sort = (text: string) => {
    const buffers = {
      0: { uniform: Uint32Array.of(pairs, experts, 0).buffer },
      1: Int32Array.from({ length: pairs }, (_, i) => ((7 * i) % 260) - 2).buffer,
      2: new ArrayBuffer(4 * sortedWords(pairs, experts)),
    };
    return { ...detectRaces(readable(text), 'main', [1, 1, 1], { 0: buffers }), buffers };
  };
  test('has no race', () => {
    const { races, errors } = sort(code);
    expect({ races, errors }).toEqual({ races: [], errors: [] });
  });
  test('has one without any barrier of its sum over lanes', () => {
    const texts = withoutEach(code).filter((text) => text.split('workgroupBarrier()').length < code.split('workgroupBarrier()').length);
    expect(texts).toHaveLength(3);
    for (const text of texts) expect(raced(sort(text))).toEqual(['sums']);
  });
});
