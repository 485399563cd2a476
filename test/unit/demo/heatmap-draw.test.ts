// The pixels of a heatmap: the cell that each shows at any zoom, and visible outliers.
import { expect, test } from 'vitest';
import { clampView, extent, type Level, type Matrix, paint, pyramid, single, wholeView, zoomed } from '../../../demo/ui/heatmap-draw.js';

const colours = Uint32Array.from({ length: 256 }, (_, i) => 1000 + i);
const matrix = (rows: number, columns: number, of: (row: number, column: number) => number): Matrix => ({
  data: Float32Array.from({ length: rows * columns }, (_, i) => of(Math.floor(i / columns), i % columns)),
  rows,
  columns,
});
const painted = (levels: readonly Level[], width: number, height: number, view = wholeView(levels[0]!), [low, high] = [0, 255]) => {
  const pixels = new Uint32Array(width * height);
  paint(pixels, { width, height, view, levels, colours, low: low!, high: high! });
  return [...pixels].map((pixel) => pixel && pixel - 1000);
};

test('one pixel a cell shows each cell, more pixels repeat it', () => {
  const m = matrix(3, 4, (r, c) => 10 * r + c);
  const levels = single(m);
  expect(painted(levels, 4, 3)).toEqual([...m.data]);
  expect(painted(levels, 8, 3).slice(0, 8)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  expect(painted(levels, 2, 2, { left: 2, top: 1, width: 2, height: 2 })).toEqual([12, 13, 22, 23]);
});

test('numbers beyond the ends take the last colours, NaN none', () => {
  const m = { data: Float32Array.of(-Infinity, -5, 0, 127.6, 300, Infinity, NaN), rows: 1, columns: 7 };
  expect(painted(single(m), 7, 1)).toEqual([0, 0, 0, 128, 255, 255, 0]);
  const pixels = new Uint32Array(1);
  paint(pixels, {
    width: 1,
    height: 1,
    view: { left: 6, top: 0, width: 1, height: 1 },
    levels: single(m),
    colours,
    low: 0,
    high: 1,
  });
  expect(pixels[0]).toBe(0);
});

test('one value among millions is seen in a small picture by extremes, whatever its sign', () => {
  for (const [rows, columns, row, column, value] of [
    [1000, 1501, 777, 1500, -200],
    [513, 300, 512, 0, 255],
    [4, 4096, 2, 4095, -200],
    [4096, 1, 4001, 0, -200],
  ] as const) {
    const m = matrix(rows, columns, (r, c) => (r === row && c === column ? value : 1));
    const levels = pyramid(m, 0);
    expect(levels[0]!.data).toBe(m.data);
    for (const level of levels) expect(level.data.filter((found) => found === value)).toHaveLength(1);
    const seen = painted(levels, 100, 100, wholeView(m), [-255, 255]).filter((index) => index !== 128);
    expect(seen.length).toBeGreaterThan(0);
    expect(new Set(seen)).toEqual(new Set([Math.floor(((value + 255) * 255) / 510 + 0.5)]));
  }
});

test('a view stays inside and keeps the place that it is zoomed around', () => {
  const size = { rows: 100, columns: 200 };
  expect(clampView({ left: -5, top: 90, width: 50, height: 50 }, size)).toEqual({ left: 0, top: 50, width: 50, height: 50 });
  expect(clampView({ left: 0, top: 0, width: 1e9, height: 0 }, size)).toEqual({ left: 0, top: 0, width: 200, height: 4 });
  const near = zoomed(wholeView(size), 0.25, { x: 0.5, y: 1 });
  expect(near).toEqual({ left: 75, top: 75, width: 50, height: 25 });
});

test('the extent leaves out what is not finite', () => {
  expect(extent(Float32Array.of(NaN, 3, -Infinity, -2, Infinity))).toEqual([-2, 3]);
  expect(extent(Float32Array.of(NaN))).toEqual([0, 0]);
});
