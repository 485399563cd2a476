// Three charts of a measurement: every sample, the others' times relative to ours, and the share of each limit that is reached.
import { useCallback, useMemo } from 'preact/hooks';
import type { Cell } from '../../../bench/results.js';
import { Chart, type ChartSize, type Plot } from '../../ui/chart.js';
import { milliseconds, percent, short } from '../../ui/numbers.js';
import { against, counts, limitRate, ours, players, rivals, SERIES, type Series, seriesOf, share, spread } from './figures.js';

/** Colours of the series. Every chart of this panel also gives each series a shape. */
export const RANGE = ['--series-1', '--series-2', '--series-3', '--series-4', '--series-5'].map((name) => `var(${name})`);
export const SYMBOLS = ['circle', 'triangle', 'square', 'diamond', 'cross'] as const;
export const scalesOf = (shown: ReadonlySet<Series>) => {
  const at = SERIES.map((name, i) => ({ name, i })).filter(({ name }) => shown.has(name));
  const domain = at.map(({ name }) => name);
  return {
    color: { domain, range: at.map(({ i }) => RANGE[i]!) },
    symbol: { domain, range: at.map(({ i }) => SYMBOLS[i]!), legend: domain.length > 1 },
  };
};
export const rowsText = (m: number): string => `M = ${m}`;
/** Names that fit a phone; the legend has the series. */
export const shortName = (name: string): string =>
  name.replace('ort webgpu', 'WebGPU').replace('ort wasm', 'CPU').replace(', level', ' level');
export const fullName = (name: string): string =>
  name.replace('ort webgpu', 'onnxruntime-web on WebGPU').replace('ort wasm', 'onnxruntime-web on the CPU');
const LEFT = 116;
const ROW = 26;

interface One {
  readonly m: string;
  readonly who: string;
  readonly series: Series;
}

export function Times({ cells }: { readonly cells: readonly Cell[] }) {
  const { points, medians } = useMemo(() => {
    const list = cells.flatMap((cell) =>
      players(cell)
        .filter(counts)
        .map((t) => ({ m: rowsText(cell.m), who: shortName(t.name), series: seriesOf(t)!, ms: t.ms, spread: spread(t.ms) })),
    );
    return { points: list.flatMap(({ ms, ...one }) => ms.map((value, round) => ({ ...one, value, round }))), medians: list };
  }, [cells]);
  const draw = useCallback(
    (plot: Plot, { width }: ChartSize) =>
      plot.plot({
        ...frame(width, medians),
        x: { type: 'log', label: 'milliseconds a product →', grid: true, ticks: width / 110, tickFormat: (value: number) => short(value) },
        ...scalesOf(new Set(medians.map(({ series }) => series))),
        marks: [
          plot.tickX(points, { x: 'value', y: 'who', fy: 'm', stroke: 'series', strokeOpacity: 0.55 }),
          plot.dot(medians, { x: (one) => one.spread.median, y: 'who', fy: 'm', fill: 'series', symbol: 'series', r: 5 }),
        ],
      }),
    [points, medians],
  );
  return (
    <Chart
      title="Every sample"
      lead="Each line is a round, the mark is the median. Lines close together mean a quiet machine."
      draw={draw}
      table={{
        columns: [{ title: 'Product' }, { title: 'Who' }, ...['Median', 'Least', 'Most'].map((title) => ({ title, numeric: true }))],
        rows: medians.map(({ m, who, spread: s }) => [m, who, milliseconds(s.median), milliseconds(s.least), milliseconds(s.most)]),
      }}
    />
  );
}

export function Ratios({ cells }: { readonly cells: readonly Cell[] }) {
  const points = useMemo(
    () =>
      cells.flatMap((cell) =>
        rivals(cell).flatMap((t) => {
          const found = against(cell, t);
          return found ? [{ m: rowsText(cell.m), who: shortName(t.name), series: seriesOf(t)!, ...found }] : [];
        }),
      ),
    [cells],
  );
  const draw = useCallback(
    (plot: Plot, { width }: ChartSize) =>
      plot.plot({
        ...frame(width, points),
        x: { type: 'log', label: 'times our time →', grid: true, ticks: width / 110, tickFormat: (value: number) => short(value) },
        ...scalesOf(new Set(points.map(({ series }) => series))),
        marks: [
          plot.ruleX([1], { stroke: 'var(--text)', strokeWidth: 1.5 }),
          plot.ruleY(points, { x1: 'least', x2: 'most', y: 'who', fy: 'm', stroke: 'series', strokeWidth: 2, strokeOpacity: 0.6 }),
          plot.dot(points, { x: 'median', y: 'who', fy: 'm', fill: 'series', symbol: 'series', r: 5 }),
          plot.text(points, { x: 'median', y: 'who', fy: 'm', text: (p) => `${short(p.median)} ×`, dy: -11, fill: 'var(--text)' }),
        ],
      }),
    [points],
  );
  if (points.length === 0) return null;
  return (
    <Chart
      title="The others’ time over ours"
      lead="Right of 1, antiquant is faster. The mark is the median ratio of a contender’s time to ours in the same round; the line spans all rounds."
      draw={draw}
      table={{
        columns: [{ title: 'Product' }, { title: 'Against' }, ...['Median', 'Least', 'Most'].map((title) => ({ title, numeric: true }))],
        rows: points.map(({ m, who, median, least, most }) => [m, who, ...[median, least, most].map((value) => short(value))]),
      }}
    />
  );
}

const LIMITS = { copy: 'copy', 'multiply-add': 'multiply-add' } as const;

export function Shares({ cells }: { readonly cells: readonly Cell[] }) {
  const bars = useMemo(
    () =>
      cells.flatMap((cell) =>
        (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).flatMap((limit) => {
          const value = ours(cell) && share(cell, limit);
          return value === undefined ? [] : [{ m: rowsText(cell.m), who: LIMITS[limit], value, rate: limitRate(cell, limit) / 1e9 }];
        }),
      ),
    [cells],
  );
  const draw = useCallback(
    (plot: Plot, { width }: ChartSize) =>
      plot.plot({
        ...frame(width, bars),
        x: {
          label: 'percent of the limit →',
          grid: true,
          ticks: width / 110,
          domain: [0, Math.max(1, ...bars.map((bar) => bar.value)) * 100],
        },
        color: { domain: Object.values(LIMITS), range: ['var(--series-1)', 'var(--series-3)'] },
        marks: [
          plot.barX(bars, { x: (bar) => 100 * bar.value, y: 'who', fy: 'm', fill: 'who', insetTop: 3, insetBottom: 3 }),
          plot.ruleX([100], { stroke: 'var(--text)', strokeDasharray: '3 3' }),
          plot.ruleX([0], { stroke: 'var(--line-strong)' }),
          plot.text(
            bars.filter((bar) => bar.value <= MOST_BESIDE),
            { ...label, textAnchor: 'start', dx: 5, fill: 'var(--text)' },
          ),
          plot.text(
            bars.filter((bar) => bar.value > MOST_BESIDE),
            { ...label, textAnchor: 'end', dx: -5, fill: 'var(--on-accent)' },
          ),
        ],
      }),
    [bars],
  );
  if (bars.length === 0) return null;
  return (
    <Chart
      title="Share of the limit"
      lead="antiquant’s bytes and multiply-adds a second, as a share of the rates of the fastest copy and the fastest multiply-add kernel in the same round."
      draw={draw}
      table={{
        columns: [{ title: 'Product' }, { title: 'Limit' }, { title: 'Share', numeric: true }, { title: 'The limit does', numeric: true }],
        rows: bars.map(({ m, who, value, rate }) => [m, who, percent(value), `${short(rate)} ${who === 'copy' ? 'GB/s' : 'G/s'}`]),
      }}
    />
  );
}
const MOST_BESIDE = 0.85;
const label = { x: (bar: { value: number }) => 100 * bar.value, y: 'who', fy: 'm', text: (bar: { value: number }) => percent(bar.value) };

/** A row for each name, a block for each product. */
function frame(width: number, list: readonly Pick<One, 'm' | 'who'>[]) {
  const products = [...new Set(list.map(({ m }) => m))];
  const names = [...new Set(list.map(({ who }) => who))];
  return {
    width,
    height: products.length * (names.length * ROW + 14) + 56,
    marginLeft: LEFT,
    marginRight: 52,
    marginBottom: 38,
    marginTop: 8,
    style: { fontSize: '12px' },
    y: { label: null, domain: names },
    fy: { label: null, domain: products, padding: 0.12 },
  };
}
