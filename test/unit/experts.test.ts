// Pairs sorted by expert, and the layout of experts in memory: each is a layer's layout, at a multiple of 256 bytes.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UnsupportedError } from '../../src/errors.js';
import { expertLayout } from '../../src/plan/expert-layout.js';
import { packedLayout, slicesOf } from '../../src/plan/packed-layout.js';
import { BLOCK_ROWS, blocksBound, pairCounts, rowsOfExpert, sortedPairs, sortedWords } from '../../src/problem/experts.js';
import { GPU, problemOf } from '../support/problems.js';

const drawn = fc.record({
  experts: fc.integer({ min: 1, max: 12 }),
  ids: fc.array(fc.integer({ min: -3, max: 15 }), { minLength: 1, maxLength: 60 }),
});

test('each block of each list is a run of one expert’s pairs, and every pair is in one', () => {
  fc.assert(
    fc.property(drawn, ({ experts, ids }) => {
      const words = sortedPairs(ids, experts);
      expect(words).toHaveLength(sortedWords(ids.length, experts));
      const of = (id: number): number => (id >= 0 && id < experts ? id : experts);
      const order = [...words.slice(5 * (experts + 2))];
      expect([...order].sort((a, b) => a - b)).toEqual([...ids.keys()]);
      const starts = words.slice(0, experts + 2);
      BLOCK_ROWS.forEach((rows, list) => {
        const first = list * (experts + 2);
        const total = words[first + experts + 1]!;
        expect(total).toBeLessThanOrEqual(blocksBound(ids.length, experts, rows));
        const seen: number[] = [];
        for (let block = 0; block < total; block++) {
          // The last expert with no more blocks before it, as a kernel looks it up.
          const expert = [...Array(experts + 1).keys()].findLast((e) => words[first + e]! <= block)!;
          const begin = starts[expert]! + (block - words[first + expert]!) * rows;
          const run = order.slice(begin, Math.min(begin + rows, starts[expert + 1]!));
          expect(run.length).toBeGreaterThan(0);
          for (const pair of run) expect(of(ids[pair]!)).toBe(expert);
          seen.push(...run);
        }
        expect(seen).toEqual(order);
      });
      const counts = Array.from({ length: experts + 1 }, (_, e) => ids.filter((id) => of(id) === e).length);
      expect([...pairCounts(words, experts)]).toEqual(counts);
    }),
  );
});

test('tiles are chosen for the rows that an expert has on average', () => {
  expect([rowsOfExpert(8, 64), rowsOfExpert(128, 64), rowsOfExpert(140, 64), rowsOfExpert(1024, 64)]).toEqual([1, 2, 2, 16]);
});

describe('the layout', () => {
  const { problem } = problemOf({ m: 1, n: 20, k: 128, bits: 4, dtype: 'float16', group: 32 });
  const { weights } = problem;
  const layout = expertLayout(weights, 7, GPU);

  test('of one expert is a layer’s, at its place in buffers that hold all', () => {
    const one = packedLayout(weights, GPU);
    const all = new Map(slicesOf(weights, layout.packed).map(({ buffer, size }) => [buffer, size]));
    const ends = new Map<string, number>();
    for (let expert = 0; expert < 7; expert++) {
      const own = slicesOf(weights, layout.of(expert));
      expect(own.map(({ buffer, size }) => [buffer, size])).toEqual(slicesOf(weights, one).map(({ buffer, size }) => [buffer, size]));
      for (const { buffer, offset, size } of own) {
        expect(offset % 256).toBe(0);
        expect(offset).toBeGreaterThanOrEqual(ends.get(buffer) ?? 0);
        ends.set(buffer, offset + size);
        expect(offset + size).toBeLessThanOrEqual(all.get(buffer)!);
      }
    }
  });
  test('has the steps that kernels multiply an expert’s number with', () => {
    const { experts } = layout.packed;
    const { w, scale } = layout.of(3).slabs[0]!;
    expect([w.offset, scale.offset, layout.of(3).bias.offset]).toEqual([
      3 * 16 * experts!.w,
      3 * 8 * experts!.scale,
      3 * 16 * experts!.bias,
    ]);
  });
  test('is cut into slabs of whole experts where a binding is too small', () => {
    const small = expertLayout(weights, 7, { ...GPU, maxStorageBufferBindingSize: 4096 });
    expect(small.packed.slabs.map(({ experts }) => experts)).toEqual([
      { begin: 0, count: 3 },
      { begin: 3, count: 3 },
      { begin: 6, count: 1 },
    ]);
    expect(small.of(4).slabs[0]!.w).toMatchObject({ buffer: 'w1', offset: 1280 });
  });
  test('is refused if a matrix, or all biases, exceed a binding', () => {
    expect(() => expertLayout(weights, 7, { ...GPU, maxStorageBufferBindingSize: 1024 })).toThrow(UnsupportedError);
    // 1200 bytes of words for 20 columns of 120 k fit; the 1280 to the next matrix do not.
    const ragged = { ...weights, k: 120 };
    expect(() => expertLayout(ragged, 7, { ...GPU, maxStorageBufferBindingSize: 1276 })).toThrow('more than a binding for a matrix');
    expect(() => expertLayout(weights, 1000, { ...GPU, maxStorageBufferBindingSize: 65536 })).toThrow('bytes for all biases');
  });
});
