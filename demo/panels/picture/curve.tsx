// The chart of all group sizes: PSNR of the weights over bits per weight.
import { useCallback } from 'preact/hooks';
import { Chart, type ChartSize, type Plot } from '../../ui/chart.js';
import type { Point } from './jobs/index.js';
import { shown, sweeping } from './state.js';

const nameOf = ({ mode, groupSize }: Point): string => (mode === 'group' ? `groups of ${groupSize}` : `per ${mode}`);
const SERIES = { tensor: 'var(--series-2)', channel: 'var(--series-3)', group: 'var(--series-1)' } as const;

/** Points whose labels do not overlap, from the largest groups on. */
function apart(groups: readonly Point[]): Point[] {
  const kept: Point[] = [];
  for (const one of groups.toReversed()) if (one.bitsPerWeight - (kept.at(-1)?.bitsPerWeight ?? 0) > 0.1) kept.push(one);
  return kept;
}

export function Curve() {
  const points = sweeping.result.value;
  const size = shown.value.group?.matrix.groupSize;
  const draw = useCallback(
    (plot: Plot, { width }: ChartSize) => {
      const groups = points?.filter(({ mode }) => mode === 'group') ?? [];
      const at = { x: 'bitsPerWeight', y: 'psnr' } as const;
      return plot.plot({
        width,
        height: 260,
        marginLeft: 48,
        marginRight: 32,
        marginTop: 28,
        marginBottom: 40,
        style: { fontSize: '12px' },
        x: { label: 'bits per weight', nice: true, labelAnchor: 'center', ticks: 6 },
        y: { label: 'PSNR of the weights, dB', nice: true, insetBottom: 12, grid: true, ticks: 5, labelArrow: 'none' },
        marks: [
          plot.line(groups, { ...at, stroke: SERIES.group, strokeWidth: 2 }),
          plot.dot(points ?? [], { ...at, r: 4, fill: ({ mode }: Point) => SERIES[mode] }),
          plot.dot(
            groups.filter((one) => one.groupSize === size),
            { ...at, r: 8, stroke: 'currentColor', strokeWidth: 2 },
          ),
          plot.text(apart(groups), {
            ...at,
            text: ({ groupSize }: Point) => String(groupSize),
            dx: 10,
            dy: 10,
            textAnchor: 'start',
            fill: 'currentColor',
          }),
          plot.text(
            (points ?? []).filter(({ mode }) => mode === 'tensor'),
            { ...at, text: nameOf, dx: 10, textAnchor: 'start', fill: 'currentColor' },
          ),
        ],
      });
    },
    [points, size],
  );
  if (!points) return <div class="picture-curve" aria-hidden="true" />;
  return (
    <Chart
      title="Every group size"
      lead="Up is better, left is smaller. Each point of the line is a group size; the ring marks the one that is shown."
      draw={draw}
      table={{
        columns: [{ title: 'Scales' }, { title: 'Bits per weight', numeric: true }, { title: 'PSNR, dB', numeric: true }],
        rows: points.map((one) => [nameOf(one), one.bitsPerWeight.toFixed(3), one.psnr.toFixed(2)]),
      }}
    />
  );
}
