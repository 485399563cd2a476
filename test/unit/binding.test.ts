// Windows of buffers, pieces of ranges, folded grids: the arithmetic that keeps dispatches within a device's limits.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UnsupportedError } from '../../src/errors.js';
import { fitting, pieces, window, windowBytes } from '../../src/plan/binding.js';
import { grid } from '../../src/plan/dispatch.js';
import { GPU, LEAST } from '../support/problems.js';

describe('window', () => {
  test('worked examples', () => {
    // Element 100 of f32 is byte 400; the multiple of 256 before it is 256, which is element 64.
    expect(window(GPU, { buffer: 'x', bits: 32, first: 100, length: 10 })).toEqual({ buffer: 'x', offset: 256, size: 184, base: -64 });
    expect(window(GPU, { buffer: 'x', bits: 32, first: 0, length: 1 })).toEqual({ buffer: 'x', offset: 0, size: 4, base: -0 });
    expect(window(GPU, { buffer: 'w', bits: 4, first: 1025, length: 3 })).toEqual({ buffer: 'w', offset: 512, size: 4, base: -1024 }); // bytes 512 and 513
    expect(window(GPU, { buffer: 'y', bits: 8, first: 255, length: 2 })).toEqual({ buffer: 'y', offset: 0, size: 260, base: -0 }); // whole words
    expect(window(GPU, { buffer: 's', bits: 64, first: 33, length: 2 })).toEqual({ buffer: 's', offset: 256, size: 24, base: -32 });
  });

  test('starts aligned, holds its elements and no word more, and base leads to element 0', () => {
    const align = fc.constantFrom(32, 64, 256);
    const bits = fc.constantFrom(4, 8, 16, 32, 64);
    fc.assert(
      fc.property(align, bits, fc.nat(1e6), fc.integer({ min: 1, max: 1e5 }), (a, b, first, length) => {
        const { offset, size, base } = window({ ...LEAST, minStorageBufferOffsetAlignment: a }, { buffer: 'x', bits: b, first, length });
        expect(offset % a).toBe(0);
        expect(first * b - 8 * offset).toBeGreaterThanOrEqual(0);
        expect(first * b - 8 * offset).toBeLessThan(8 * a);
        expect(size % 4).toBe(0);
        const slack = 8 * (offset + size) - (first + length) * b;
        expect(slack).toBeGreaterThanOrEqual(0);
        expect(slack).toBeLessThan(32);
        expect(Number.isInteger(base)).toBe(true);
        expect(8 * offset + (first + base) * b).toBe(first * b);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test('what fits is what may lie anywhere: the limit less an alignment, and at most 2^30', () => {
    expect(windowBytes({ ...LEAST, maxStorageBufferBindingSize: 4096, minStorageBufferOffsetAlignment: 256 })).toBe(3840);
    expect(windowBytes({ ...LEAST, maxStorageBufferBindingSize: 2 ** 32, minStorageBufferOffsetAlignment: 32 })).toBe(2 ** 30 - 32);
  });
});

describe('fitting', () => {
  const caps = { ...LEAST, maxStorageBufferBindingSize: 4096 };
  test('counts whole things', () => {
    expect([1, 3840, 1920, 1921, 1000].map((bytes) => fitting(caps, { what: 'y', bytes }))).toEqual([3840, 1, 2, 1, 3]);
  });
  test('says what needs how much, and which limit is how large', () => {
    expect(() => fitting(caps, { what: 'y (3, 5000)', bytes: 20000 })).toThrow(UnsupportedError);
    expect(() => fitting(caps, { what: 'y (3, 5000)', bytes: 20000 })).toThrow(
      /^y \(3, 5000\): .*needs bindings of 2\d{4} bytes.*maxStorageBufferBindingSize is 4096$/,
    );
  });
  test('or that no window is larger', () => {
    const large = { ...LEAST, maxStorageBufferBindingSize: 2 ** 32 };
    expect(() => fitting(large, { what: 'x', bytes: 2 ** 30 })).toThrow(/^x: .*1073742080 bytes.* 1073741824$/);
  });
  // 3900 bytes do not fit, because a window may start up to 256 bytes early. The words must not say that 3900 is more than 4096.
  test('the need that it names is more than the limit that it names', () => {
    let message = '';
    try {
      fitting(caps, { what: 'x', bytes: 3900 });
    } catch (error) {
      message = String(error);
    }
    const [, need, limit] = /needs bindings of (\d+) bytes.* (\d+)$/.exec(message) ?? [];
    expect(Number(need), message).toBeGreaterThan(Number(limit));
  });
});

describe('pieces', () => {
  test('worked examples', () => {
    expect([...pieces({ end: 10 }, 4)]).toEqual([
      { begin: 0, count: 4 },
      { begin: 4, count: 4 },
      { begin: 8, count: 2 },
    ]);
    expect([...pieces({ end: 3 }, 4)]).toEqual([{ begin: 0, count: 3 }]);
    expect([...pieces({ begin: 5, end: 10 }, 4)]).toEqual([
      { begin: 5, count: 4 },
      { begin: 9, count: 1 },
    ]);
    expect([...pieces({ end: 0 }, 4)]).toEqual([]);
  });
});

describe('grid', () => {
  const caps = { ...LEAST, maxComputeWorkgroupsPerDimension: 10 };
  test('folds what is wider than the limit', () => {
    expect([1, 10, 11, 25, 99, 100].map((count) => grid(caps, { what: 'x', workgroups: count }))).toEqual([
      [1, 1],
      [10, 1],
      [6, 2],
      [9, 3],
      [10, 10],
      [10, 10],
    ]);
  });
  test('covers the count within the limit, with less than a row to spare', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 65535 ** 2 }), (count) => {
        const [x, y] = grid(LEAST, { what: 'x', workgroups: count });
        expect(Math.max(x, y)).toBeLessThanOrEqual(65535);
        expect(x * y).toBeGreaterThanOrEqual(count);
        expect(x * y - count).toBeLessThan(y);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
  test('says what needs how much, and which limit is how large', () => {
    expect(() => grid(caps, { what: 'matmul-plain[]', workgroups: 101 })).toThrow(UnsupportedError);
    expect(() => grid(caps, { what: 'matmul-plain[]', workgroups: 101 })).toThrow(
      /^matmul-plain\[\]: .*101 workgroups.*maxComputeWorkgroupsPerDimension is 10/,
    );
  });
});
