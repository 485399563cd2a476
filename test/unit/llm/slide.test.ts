// What stays of a sequence without room, and what is refused.
import { describe, expect, test } from 'vitest';
import { ArgumentError } from '../../../src/errors.js';
import { slid, slideOf } from '../../../src/runtime/slide.js';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('what stays', () => {
  test.each<[ids: number, keep: number, context: number, want: readonly number[]]>([
    [8, 0, 8, upTo(8)],
    [9, 0, 8, [5, 6, 7, 8]],
    [9, 3, 8, [0, 1, 2, 7, 8]],
    [9, 6, 8, [0, 1, 2, 3, 4, 5, 8]],
    [40, 3, 8, [0, 1, 2, 38, 39]],
    [3, 0, 2, [2]],
  ])('%i ids, %i kept, a context of %i', (ids, keep, context, want) => {
    const left = slid(upTo(ids), slideOf({ overflow: 'slide', keep }, context)!);
    expect(left).toEqual(want);
    expect(left.length).toBeLessThanOrEqual(context);
  });
});

test('an end is no slide, and what cannot be kept is refused', () => {
  expect(slideOf({}, 8)).toBeUndefined();
  expect(slideOf({ overflow: 'end' }, 8)).toBeUndefined();
  expect(slideOf({ overflow: 'slide' }, 8)).toEqual({ keep: 0, context: 8 });
  expect(() => slideOf({ overflow: 'slide', keep: 7 }, 8)).toThrow(new ArgumentError('keep', 'at most 6: the context is 8', '7'));
  expect(() => slideOf({ overflow: 'slide' }, 1)).toThrow(ArgumentError);
  expect(() => slideOf({ keep: 2 }, 8)).toThrow(new ArgumentError('keep', "none without overflow: 'slide'", '2'));
});
