// The roofline: the rate that the measured limits allow at each intensity, and every contender below it.
import { useCallback, useMemo } from 'preact/hooks';
import type { Cell } from '../../../bench/results.js';
import { Chart, type ChartSize, type Plot } from '../../ui/chart.js';
import { percent, short } from '../../ui/numbers.js';
import { fullName, scalesOf } from './charts.js';
import { bytesOf, counts, players, rate, roofOf, seriesOf, workOf } from './figures.js';

export function Roofline({ cells }: { readonly cells: readonly Cell[] }) {
  const roof = useMemo(() => roofOf(cells), [cells]);
  const points = useMemo(
    () =>
      cells.flatMap((cell) =>
        players(cell)
          .filter(counts)
          .map((t) => ({
            m: cell.m,
            who: t.name,
            series: seriesOf(t)!,
            intensity: workOf(cell) / bytesOf(cell, t),
            speed: rate(workOf(cell), t) / 1e9,
          })),
      ),
    [cells],
  );
  const draw = useCallback(
    (plot: Plot, { width }: ChartSize) => {
      if (!roof) return document.createElement('span');
      const [copy, top] = [roof.copy / 1e9, roof.multiplyAdd / 1e9];
      const ridge = top / copy;
      const all = [...points.map(({ intensity }) => intensity), ridge];
      const [low, high] = [Math.min(...all) / 2.5, Math.max(...all) * 2.5];
      const line = [low, ridge, high].map((x) => ({ x, y: Math.min(top, copy * x) }));
      const speeds = [...points.map(({ speed }) => speed), line[0]!.y];
      return plot.plot({
        width,
        height: Math.max(300, Math.min(440, width * 0.6)),
        marginLeft: 52,
        marginRight: 20,
        marginTop: 24,
        marginBottom: 40,
        style: { fontSize: '12px' },
        x: { type: 'log', label: 'multiply-adds a byte →', domain: [low, high], grid: true, ticks: width / 110, tickFormat: text },
        y: {
          type: 'log',
          label: '↑ billion multiply-adds a second',
          domain: [Math.min(...speeds) / 2, top * 2],
          grid: true,
          ticks: 5,
          tickFormat: text,
        },
        ...scalesOf(new Set(points.map(({ series }) => series))),
        marks: [
          plot.areaY(line, { x: 'x', y1: Math.min(...speeds) / 2, y2: 'y', fill: 'var(--accent)', fillOpacity: 0.06 }),
          plot.line(line, { x: 'x', y: 'y', stroke: 'var(--text)', strokeWidth: 2, strokeLinejoin: 'round' }),
          plot.text([{ x: high, y: top }], {
            x: 'x',
            y: 'y',
            text: () => `multiply-add: ${short(top)} G/s`,
            textAnchor: 'end',
            dy: -10,
            fill: 'var(--text)',
          }),
          plot.text([{ x: Math.sqrt(low * ridge), y: copy * Math.sqrt(low * ridge) }], {
            x: 'x',
            y: 'y',
            text: () => `copy: ${short(copy)} GB/s`,
            textAnchor: 'end',
            dx: -6,
            dy: -8,
            fill: 'var(--text)',
          }),
          plot.dot(points, { x: 'intensity', y: 'speed', fill: 'series', symbol: 'series', r: 5.5, stroke: 'var(--card)', strokeWidth: 1 }),
          plot.text(
            points.filter(({ series }) => series === 'antiquant'),
            {
              x: 'intensity',
              y: 'speed',
              text: (p) => `M = ${p.m}`,
              dx: 10,
              dy: 4,
              textAnchor: 'start',
              fill: 'var(--text)',
              stroke: 'var(--card)',
              strokeWidth: 3,
            },
          ),
          plot.tip(
            points,
            plot.pointer({
              x: 'intensity',
              y: 'speed',
              title: (p) => `${fullName(p.who)}, M = ${p.m}\n${short(p.speed)} G/s`,
              fill: 'var(--raised)',
              stroke: 'var(--line-strong)',
            }),
          ),
        ],
      });
    },
    [roof, points],
  );
  if (!roof || points.length === 0) return null;
  const most = (intensity: number): number => Math.min(roof.multiplyAdd, roof.copy * intensity) / 1e9;
  return (
    <Chart
      title="Under the roof"
      lead="Left of the ridge bytes are the limit, right of it multiply-adds. Both lines are measured on this machine. More rows and fewer bits move a product to the right."
      draw={draw}
      table={{
        columns: [
          { title: 'Product' },
          { title: 'Who' },
          ...['Multiply-adds a byte', 'Billion a second', 'Of the roof'].map((title) => ({ title, numeric: true })),
        ],
        rows: points.map(({ m, who, intensity, speed }) => [
          `M = ${m}`,
          fullName(who),
          short(intensity),
          short(speed),
          percent(speed / most(intensity)),
        ]),
      }}
    />
  );
}
const text = (value: number): string => short(value);
