// The bench's report: ratios by round, means and floors, verdicts, tables.
import { describe, expect, test } from 'vitest';
import { failures, geometricMean, median, outcomeOf, ratio, share } from '../../bench/report.js';
import { type BenchResult, type Cell, cellName, type HostResult, type Timing } from '../../bench/results.js';
import type { Target } from '../../bench/targets.js';
import { TARGETS } from '../../bench/targets.js';
import { reportText, table } from '../../bench/text.js';

const timing = (family: Timing['family'], ms: number[], change: Partial<Timing> = {}): Timing => ({
  name: family,
  family,
  detail: '',
  count: 1,
  ms,
  ...change,
});
const cell = (timings: Timing[], change: Partial<Cell> = {}): Cell => ({
  m: 1,
  k: 2048,
  n: 2048,
  bits: 4,
  group: 32,
  dtype: 'float32',
  offset: false,
  bytes: 1000,
  timings,
  ...change,
});
const host = (cells: Cell[], change: Partial<HostResult> = {}): HostResult => ({
  host: 'dawn',
  kind: 'lavapipe',
  adapter: { vendor: 'mesa', architecture: '', device: '', description: 'llvmpipe' },
  features: [],
  engine: 'Node',
  cells,
  notes: [],
  seconds: 1,
  ...change,
});
const target: Target = { where: 'lavapipe', what: 'M = 1', kind: 'lavapipe', quantity: 'ratio', cells: () => true, mean: 4, floor: 3 };

describe('ratio', () => {
  test('is taken in each round, then its median', () => {
    // 4, 2 and 10 times; medians of the times alone would give 20 / 4 = 5.
    const c = cell([timing('ours', [1, 10, 4]), timing('ort-gpu', [4, 20, 40])]);
    expect(ratio(c)).toBe(4);
  });
  test('is to the fastest peer of the round', () => {
    const c = cell([timing('ours', [1, 1, 1]), timing('ort-gpu', [9, 3, 9]), timing('ort-gpu', [5, 9, 9])]);
    expect(ratio(c)).toBe(5);
  });
  test('leaves out peers that are wrong or were dropped', () => {
    const slow = timing('ort-gpu', [8, 8, 8]);
    expect(ratio(cell([timing('ours', [1, 1, 1]), slow, timing('ort-gpu', [2, 2, 2], { wrong: 'error above' })]))).toBe(8);
    expect(ratio(cell([timing('ours', [1, 1, 1]), slow, timing('ort-gpu', [2], { dropped: 'slower' })]))).toBe(8);
  });
  test('is nothing without a peer, and nothing for an answer of ours that is wrong', () => {
    expect(ratio(cell([timing('ours', [1])]))).toBeUndefined();
    expect(ratio(cell([timing('ours', [1], { wrong: 'outside' }), timing('ort-gpu', [2])]))).toBeUndefined();
  });
  test('takes the wasm peer when asked', () => {
    const c = cell([timing('ours', [2]), timing('ort-gpu', [4]), timing('ort-wasm', [3])]);
    expect(ratio(c, c.timings[0], 'ort-wasm')).toBe(1.5);
  });
});

describe('share', () => {
  test('of the copy: bytes a second against the best copy of the round', () => {
    // 1000 bytes in 2 ms against 2000 in 2 ms, then in 1 ms, then in 4 ms.
    const c = cell([timing('ours', [2, 2, 2]), timing('copy', [2, 1, 4], { work: 2000 }), timing('copy', [9, 9, 9], { work: 2000 })]);
    expect(share(c, 'copy')).toBe(0.5);
  });
  test('of the multiply-adds', () => {
    const c = cell([timing('ours', [4]), timing('multiply-add', [1], { work: 10 * 4 * 5 })], { m: 10, k: 4, n: 5 });
    expect(share(c, 'multiply-add')).toBe(0.25);
  });
});

describe('a target', () => {
  const ratios = (...list: number[]): Cell[] =>
    list.map((value, i) => cell([timing('ours', [1]), timing('ort-gpu', [value])], { k: i + 1 }));
  test('is met by the geometric mean and the worst cell together', () => {
    expect(outcomeOf(target, [host(ratios(3, 12))])).toMatchObject({
      cells: 2,
      met: true,
      mean: expect.closeTo(6, 12),
      worst: { value: 3 },
    });
    expect(outcomeOf(target, [host(ratios(2.9, 12))]).met).toBe(false);
    expect(outcomeOf(target, [host(ratios(3, 4))]).met).toBe(false);
  });
  test('counts the cells of its kind of adapter in all hosts, and only those', () => {
    const others = host(ratios(1), { kind: 'swiftshader' });
    expect(outcomeOf(target, [host(ratios(4)), others, host(ratios(9))])).toMatchObject({ cells: 2, mean: expect.closeTo(6, 12) });
  });
  test('that no cell speaks of is neither met nor missed', () => {
    expect(outcomeOf(target, [])).toEqual({ target, cells: 0 });
    expect(outcomeOf({ ...target, cells: (c) => c.m > 1 }, [host(ratios(9))]).met).toBeUndefined();
  });
  test('of an error is an upper bound on the worst cell', () => {
    const errors = [1e-7, 3e-6].map((error, i) => cell([timing('ours', [1], { error })], { k: i + 1 }));
    const bound: Target = { ...target, quantity: 'error', mean: 2e-6 };
    expect(outcomeOf(bound, [host(errors)])).toMatchObject({ met: false, worst: { value: 3e-6 } });
    expect(outcomeOf(bound, [host(errors.slice(0, 1))]).met).toBe(true);
  });
  test("without subgroups is not taken from the planner's own choice", () => {
    const c = cell([timing('ours', [1]), timing('ort-gpu', [9])]);
    const without = timing('ours-other', [3], { name: 'antiquant without subgroups' });
    const own: Target = { ...target, quantity: 'ratio without subgroups' };
    expect(outcomeOf(own, [host([c])]).cells).toBe(0);
    expect(outcomeOf(own, [host([cell([...c.timings, without])])])).toMatchObject({ cells: 1, worst: { value: 3 } });
  });
  test('of four rows against one finds the other cell', () => {
    const cells = [cell([timing('ours', [2])]), cell([timing('ours', [3])], { m: 4 })];
    const most: Target = { ...target, quantity: 'M=4 / M=1', cells: (c) => c.m === 4, mean: 1.6 };
    expect(outcomeOf(most, [host(cells)])).toMatchObject({ met: true, worst: { value: 1.5 } });
  });
  test('names of the table are unique', () => {
    const names = TARGETS.map(({ where, what, quantity }) => `${where} ${what} ${quantity}`);
    expect(new Set(names).size).toBe(names.length);
  });
});

test('failures are wrong answers of the library, not of peers', () => {
  const wrong = { wrong: '3 elements outside' };
  const cells = [cell([timing('ours', [1]), timing('ours-other', [1], wrong), timing('ort-gpu', [1], wrong)])];
  const result = { hosts: [host(cells)] } as unknown as BenchResult;
  expect(failures(result)).toEqual([`dawn: ${cellName(cells[0]!)}: ours-other, : 3 elements outside`]);
});

test('medians and means', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(geometricMean([2, 8])).toBeCloseTo(4, 12);
});

test('tables line up', () => {
  const columns = [
    ['a', 'left'],
    ['number', 'right'],
  ] as const;
  expect(
    table(columns, [
      ['long', '1'],
      ['b', '12345678'],
    ]),
  ).toBe('a       number\nlong         1\nb     12345678');
});

test('the text says what was measured, missed and not measured', () => {
  const result: BenchResult = {
    schema: 1,
    date: '2026-01-01T00:00:00Z',
    mode: 'quick',
    machine: { cpu: 'two', cores: 2, memoryGiB: 8, system: 'Linux' },
    versions: { antiquant: '0.1.0' },
    hosts: [host([cell([timing('ours', [1, 1, 1], { error: 1e-7 }), timing('ort-gpu', [9, 9, 9])])])],
  };
  const lines = reportText(result)
    .split('\n')
    .map((line) => line.replace(/ +/g, ' '));
  const find = (start: string): string => lines.find((line) => line.startsWith(start))!;
  expect(find('q4 g32 f32 2048x2048 M=1')).toContain(' 9.00 ');
  expect(find('lavapipe, f32, g32 M = 1')).toMatch(/9\.00 9\.00 q4 g32 f32 2048x2048 M=1 1 met$/);
  expect(find('lavapipe, f16, g32 M = 1')).toMatch(/not measured$/);
  expect(lines.some((line) => line.startsWith('SwiftShader'))).toBe(false);
  expect(lines.at(-1)).toBe('every answer of the library is within its bound');
});
