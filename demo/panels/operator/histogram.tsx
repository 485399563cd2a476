// The histogram of codes.
import { useCallback } from 'preact/hooks';
import { widthOf } from '../../../src/problem/code-width.js';
import { Chart, type ChartSize, type Plot } from '../../ui/chart.js';
import { percent, whole } from '../../ui/numbers.js';
import type { OperatorRun } from './jobs/index.js';

export function Histogram({ result: { histogram, choice } }: { readonly result: OperatorRun }) {
  const total = histogram.reduce((sum, count) => sum + count, 0);
  const draw = useCallback(
    (plot: Plot, { width }: ChartSize) =>
      plot.plot({
        width,
        height: 180,
        marginLeft: 44,
        x: { label: 'code', ticks: Math.min(histogram.length, Math.max(4, Math.floor(width / 40))), tickFormat: 'd' },
        y: { label: 'share of the weights', percent: true, grid: true },
        marks: [
          plot.rectY(histogram, {
            x1: (_: number, code: number) => code - 0.5,
            x2: (_: number, code: number) => code + 0.5,
            y: (count: number) => count / total,
            fill: 'var(--series-1)',
            insetLeft: histogram.length > 16 ? 0 : 1,
            insetRight: histogram.length > 16 ? 0 : 1,
          }),
          plot.ruleY([0]),
        ],
      }),
    [histogram, total],
  );
  const used = histogram.filter((count) => count > 0).length;
  return (
    <Chart
      title="Histogram of codes"
      lead={`${used} of ${histogram.length} codes are used. ${widthOf(choice.bits).zero} is the code of 0 without an offset.`}
      draw={draw}
      table={{
        columns: [{ title: 'Code' }, { title: 'Weights', numeric: true }, { title: 'Share', numeric: true }],
        rows: histogram.map((count, code) => [code, whole(count), percent(count / total)]),
      }}
    />
  );
}
