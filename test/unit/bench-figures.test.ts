// The page's figures of the bench: ratios within rounds, and the roofline.
import { expect, test } from 'vitest';
import type { Cell, Timing } from '../../bench/results.js';
import { against, bound, bytesOf, players, rivals, roofOf } from '../../demo/panels/bench/figures.js';

const timing = (family: Timing['family'], ms: readonly number[], more: Partial<Timing> = {}): Timing => ({
  name: family,
  family,
  detail: '',
  count: 1,
  ms,
  ...more,
});
/** 8 · 100 · 50 multiply-adds and 4000 bytes: 10 a byte. */
const cell = (...timings: readonly Timing[]): Cell => ({
  m: 8,
  k: 100,
  n: 50,
  bits: 4,
  group: 0,
  dtype: 'float32',
  offset: false,
  bytes: 4000,
  timings,
});
const ours = timing('ours', [1, 2, 4]);

test('a rival is compared round by round, not median by median', () => {
  const rival = timing('dense', [3, 2, 20]);
  expect(against(cell(ours, rival), rival)).toEqual({ median: 3, least: 1, most: 5 });
});

test('what is wrong or was left out is no rival; limits are nobody', () => {
  const list = cell(timing('ort-gpu', [1], { wrong: 'x' }), timing('dense', [9], { dropped: 'slow' }), timing('copy', [1, 1, 1]), ours);
  expect(players(list).map(({ family }) => family)).toEqual(['ours', 'ort-gpu', 'dense']);
  expect(rivals(list)).toEqual([]);
});

test('the dense product reads four bytes a weight', () => {
  expect(bytesOf(cell(), timing('dense', [1]))).toBe(4 * (100 * 50 + 8 * 150));
  expect(bytesOf(cell(), ours)).toBe(4000);
});

test('the roof is the fastest of each limit, and the nearer one binds', () => {
  // Copy: 8000 bytes in 2 ms; multiply-adds: 400 000 in 2 ms. Ridge at 50 a byte, so a product of 10 a byte is below the slope.
  const limits = [timing('copy', [2, 2, 2], { work: 8000 }), timing('multiply-add', [2, 2, 2], { work: 400_000 })];
  const slower = cell(timing('copy', [4, 4, 4], { work: 8000 }), timing('multiply-add', [2, 2, 2], { work: 400_000 }));
  expect(roofOf([slower, cell(ours, ...limits)])).toEqual({ copy: 4e6, multiplyAdd: 2e8 });
  expect(bound(cell(ours, ...limits))).toEqual({ limit: 'copy', share: 0.5 });
  expect(bound(cell(ours, limits[0]!))).toBeUndefined();
  // A tenth of the bytes: 100 a byte, right of the ridge.
  expect(bound({ ...cell(ours, ...limits), bytes: 400 })).toEqual({ limit: 'multiply-add', share: 0.1 });
});
