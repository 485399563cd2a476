// Shows a layer: histograms of its codes and scales, and heatmaps of a part of it.
import { useSignal } from '@preact/signals';
import { useCallback, useMemo } from 'preact/hooks';
import { widthOf } from '../../../src/problem/code-width.js';
import { Button } from '../../ui/button.js';
import { Chart, type ChartProps } from '../../ui/chart.js';
import { Facts } from '../../ui/facts.js';
import { type Cell, Heatmap, type View } from '../../ui/heatmap.js';
import { wholeView } from '../../ui/heatmap-draw.js';
import { percent, short, whole } from '../../ui/numbers.js';
import type { Look, Spread } from './jobs/look.js';
import { wordsOf } from './requantize.js';
import { attempts, corner, look } from './state.js';

const FORMS = {
  symmetric: 'scale · (code − middle)',
  'zero points': 'scale · (code − zero point)',
  minimums: 'scale · code + minimum',
  codebook: 'scale · codebook[code]',
  floats: 'scale · the float that the code is',
} as const;

export function LookAt({ shown }: { readonly shown: Look }) {
  const { quantized, values, least, most, n, k } = shown;
  return (
    <section class="stack model-glance" aria-label="View of the layer">
      <Facts
        items={[
          ...(quantized
            ? ([
                ['Weight', FORMS[quantized.form], `${quantized.bits} bits a code, scales that ${quantized.scaleDtype} holds`],
                [
                  'Groups',
                  quantized.groupSize === k ? 'one for each output' : `${whole(quantized.groupSize)} inputs`,
                  [
                    quantized.permuted && 'inputs are in another order than in x (act-order)',
                    quantized.inputScaled && 'each input of x has a scale, which is in the weights shown',
                  ]
                    .filter(Boolean)
                    .join('; ') || undefined,
                ],
              ] as const)
            : []),
          ['Weights', `${short(least, 4)} to ${short(most, 4)}`, `${whole(n * k)} of them`],
        ]}
      />
      <div class="columns" style={{ '--least': '20rem' }}>
        {quantized && <Codes counts={quantized.codes} />}
        {quantized && <SpreadChart title="Scales" spread={quantized.scales} what="scales" />}
        {values && <SpreadChart title="Weights" spread={values} what="weights" />}
      </div>
      <Maps shown={shown} />
    </section>
  );
}

const total = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

function Codes({ counts }: { readonly counts: readonly number[] }) {
  const all = total(counts);
  const used = counts.filter((count) => count > 0).length;
  const draw = useCallback<ChartProps['draw']>(
    (plot, { width }) =>
      plot.plot({
        width,
        height: 200,
        marginLeft: 44,
        x: { label: 'code', ...(counts.length > 16 && { ticks: counts.flatMap((_, i) => (i % 32 === 0 ? [i] : [])) }) },
        y: { label: 'share of codes', percent: true, grid: true, ticks: 4 },
        marks: [
          plot.barY(counts, {
            x: (_, i) => i,
            y: (count: number) => count / all,
            fill: 'var(--series-1)',
            inset: counts.length > 16 ? 0 : 1,
          }),
          plot.ruleY([0]),
        ],
      }),
    [counts, all],
  );
  return (
    <Chart
      title="Codes"
      lead={`${used} of ${counts.length} codes occur.`}
      draw={draw}
      table={{
        columns: [
          { title: 'Code', numeric: true },
          { title: 'Weights', numeric: true },
          { title: 'Share', numeric: true },
        ],
        rows: counts.map((count, code) => [code, whole(count), percent(count / all)]),
      }}
    />
  );
}

function SpreadChart({
  title,
  spread: { low, high, counts },
  what,
}: {
  readonly title: string;
  readonly spread: Spread;
  readonly what: string;
}) {
  const step = (high - low) / counts.length;
  const bins = useMemo(
    () => (high > low ? counts.map((count, i) => ({ from: low + i * step, to: low + (i + 1) * step, count })) : []),
    [counts, low, high, step],
  );
  const draw = useCallback<ChartProps['draw']>(
    (plot, { width }) =>
      plot.plot({
        width,
        height: 200,
        marginLeft: 52,
        x: { label: title.toLowerCase(), nice: false, ticks: Math.max(3, Math.floor(width / 90)) },
        y: { label: what, grid: true, ticks: 4, tickFormat: 's' },
        marks: [plot.rectY(bins, { x1: 'from', x2: 'to', y: 'count', fill: 'var(--series-2)', inset: 0.5 }), plot.ruleY([0])],
      }),
    [bins, title, what],
  );
  const sum = total(counts);
  if (bins.length === 0) return <p>{`All ${whole(sum)} ${what} are ${short(low, 5)}.`}</p>;
  return (
    <Chart
      title={title}
      lead={`${whole(sum)} ${what}, ${short(low)} to ${short(high)}.`}
      draw={draw}
      table={{
        columns: [
          { title: 'From', numeric: true },
          { title: 'To', numeric: true },
          { title: what, numeric: true },
        ],
        rows: bins.map(({ from, to, count }) => [short(from, 4), short(to, 4), whole(count)]),
      }}
    />
  );
}

function Maps({ shown: { part, quantized, n, k } }: { readonly shown: Look }) {
  const { row, column, rows, columns, weights, codes, scales } = part;
  const view = useSignal<View>(wholeView(part));
  const cursor = useSignal<Cell | undefined>(undefined);
  const shared = { rows, columns, view, cursor, axes: ['n', 'k'] as const };
  // A cell's position counts from the part's corner; the readout shows its position in the matrix.
  const place = (r: number, c: number): string => (row + column > 0 ? `(${whole(row + r)}, ${whole(column + c)}) of the matrix, ` : '');
  const read = (r: number, c: number): string => {
    const i = r * columns + c;
    return `${place(r, c)}${codes ? `code ${codes[i]}, scale ${short(scales![i]!, 4)}, ` : ''}weight ${short(weights[i]!, 5)}`;
  };
  const latest = attempts.value.find(({ args }) => args.row === row && args.column === column);
  const isWhole = rows === n && columns === k;
  return (
    <div class="stack">
      <div class="model-part">
        <h4>
          {isWhole
            ? 'The whole matrix'
            : `Outputs ${whole(row)} to ${whole(row + rows - 1)}, inputs ${whole(column)} to ${whole(column + columns - 1)}`}
        </h4>
        {!isWhole && <Move part={part} size={{ n, k }} />}
      </div>
      <div class="columns" style={{ '--least': '22rem' }}>
        <Heatmap title="Weights" data={weights} {...shared} read={read} />
        {codes && quantized && (
          <Heatmap title="Codes" data={codes} colours="sequential" domain={[0, widthOf(quantized.bits).mask]} {...shared} read={read} />
        )}
        {latest && (
          <Heatmap
            title={`Error of ${wordsOf(latest.args.settings)}`}
            data={latest.error}
            reduce="extreme"
            {...shared}
            read={(r, c) => `${place(r, c)}${short(latest.error[r * columns + c]!, 4)} from ${short(weights[r * columns + c]!, 5)}`}
          />
        )}
      </div>
    </div>
  );
}

/** Buttons to the neighbouring parts. */
function Move({
  part: { row, column, rows, columns },
  size: { n, k },
}: {
  readonly part: Look['part'];
  readonly size: { readonly n: number; readonly k: number };
}) {
  const go = (down: number, right: number): void => {
    corner.value = {
      row: Math.max(0, Math.min(n - rows, row + down * rows)),
      column: Math.max(0, Math.min(k - columns, column + right * columns)),
    };
    look();
  };
  return (
    <span class="model-move">
      <Button kind="quiet" label="Outputs before" disabled={row === 0} onClick={() => go(-1, 0)}>
        ↑
      </Button>
      <Button kind="quiet" label="Outputs after" disabled={row + rows >= n} onClick={() => go(1, 0)}>
        ↓
      </Button>
      <Button kind="quiet" label="Inputs before" disabled={column === 0} onClick={() => go(0, -1)}>
        ←
      </Button>
      <Button kind="quiet" label="Inputs after" disabled={column + columns >= k} onClick={() => go(0, 1)}>
        →
      </Button>
    </span>
  );
}
