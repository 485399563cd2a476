// One run, shown: verdict, error, times, bytes, plan, first elements, and the WGSL that ran.
import { useSignal } from '@preact/signals';
import { useCallback, useMemo } from 'preact/hooks';
import { Chart, type ChartSize, type Plot } from '../../ui/chart.js';
import { CodeView } from '../../ui/code-view.js';
import { type Fact, Facts } from '../../ui/facts.js';
import { type Cell, Heatmap, type View } from '../../ui/heatmap.js';
import { extent, wholeView } from '../../ui/heatmap-draw.js';
import { Notice } from '../../ui/notice.js';
import { bytes, counted, milliseconds, short, whole } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import { K, N, SCHEMES } from '../../worker/example.js';
import type { Difference, GpuRun, OperatorRun } from '../../worker/operator.js';

export function Result({ result }: { readonly result: OperatorRun }) {
  const { choice, run, noGpu } = result;
  const y = choice.int8Output ? 'int8' : choice.dtype;
  return (
    <article class="stack" data-inside={run?.difference.inside} data-count={run?.difference.count} data-error={run?.difference.error}>
      <h3>
        {SCHEMES[choice.scheme].label}; {counted(choice.rows, 'row')}
      </h3>
      <p class="mono">
        x ({choice.rows}, {K}) {choice.dtype} → y ({choice.rows}, {N}) {y}
      </p>
      <div role="status">
        {run ? (
          <Notice kind={run.difference.inside === run.difference.count ? 'good' : 'bad'}>{verdict(run.difference)}</Notice>
        ) : (
          <Notice kind="info">{`Not run on a GPU: this is the CPU reference alone. ${noGpu}.`}</Notice>
        )}
      </div>
      <div class="columns" style={{ '--least': '24rem' }}>
        <Facts
          items={[
            ...(run ? gpuFacts(run, choice.int8Output) : []),
            ['Reference', milliseconds(result.referenceTime), 'on the CPU'],
            weights(result),
          ]}
        />
        <First result={result} />
      </div>
      {run && <Maps result={result} run={run} />}
      {run && <Histogram y={run.y} />}
      {run && <Facts items={planFacts(run)} />}
      {run && (
        <details>
          <summary>WGSL that ran</summary>
          <CodeView title={`WGSL of ${run.plan.kernel}`} code={run.plan.wgsl} />
        </details>
      )}
      <details>
        <summary>How to read the results</summary>
        <Reading />
      </details>
    </article>
  );
}

const verdict = ({ count, inside }: Difference): string =>
  inside === count
    ? `All ${whole(count)} elements are inside their intervals.`
    : `${whole(count - inside)} of ${whole(count)} elements are outside their intervals.`;

function gpuFacts({ difference: found, time, software }: GpuRun, int8Output: boolean): Fact[] {
  const equal = `${whole(found.equal)} of ${whole(found.count)} elements equal the rounded reference.`;
  const row = time.inARow ? `; ${time.inARow.calls} calls in a row, ${short(time.inARow.each)} ms each` : '';
  return [
    [
      'Largest error',
      <strong key="error">{int8Output ? counted(found.error, 'code') : short(found.error)}</strong>,
      int8Output ? equal : `rounding alone: ${short(found.rounding)}. The largest |y| is ${short(found.size)}. ${equal}`,
    ],
    [
      'Time',
      <strong key="time">{milliseconds(time.median)}</strong>,
      `${software ? 'on the CPU (software adapter), ' : ''}median of ${time.runs}${row}`,
    ],
  ];
}

function weights({ bytes: { codes, scales, float16 } }: OperatorRun): Fact {
  const times = (float16 / (codes + scales)).toFixed(1);
  return [
    'Weights',
    <strong key="bytes">{bytes(codes + scales)}</strong>,
    `instead of ${bytes(float16)} in float16, ${times} times smaller (codes ${bytes(codes)}, scales and offsets ${bytes(scales)})`,
  ];
}

function planFacts({ plan: { kernel, params, workgroups, why, steps } }: GpuRun): Fact[] {
  const [columns, rows] = workgroups;
  const others = steps.length > 1 ? `; ${steps.length} dispatches: ${steps.map(({ shader }) => shader).join(', ')}` : '';
  return [
    [
      'Kernel',
      <code key="kernel">{kernel}</code>,
      <code key="params">
        {Object.entries(params)
          .map(([name, value]) => `${name}=${value}`)
          .join(' ')}
      </code>,
    ],
    ['Workgroups', `${whole(columns)}${rows > 1 ? ` × ${whole(rows)}` : ''}${others}`],
    ['Why', why.map((line) => <div key={line}>{line}</div>)],
  ];
}

function First({ result: { want, run } }: { readonly result: OperatorRun }) {
  const digits = (value: number): string => (want.dtype === 'int8' ? String(value) : value.toFixed(5));
  const shown = [0, 1, 2, 3].map((i) => {
    const values = [want.dtype === 'int8' ? want.data[i]! : want.exact[i]!, want.low[i]!, want.high[i]!, ...(run ? [run.y[i]!] : [])];
    return [`0, ${i}`, ...values.map(digits)];
  });
  const numeric = ['Reference', 'Low', 'High', ...(run ? ['WebGPU'] : [])].map((title) => ({ title, numeric: true }));
  return <Table caption="First elements of y and their intervals" columns={[{ title: 'm, n' }, ...numeric]} rows={shown} />;
}

/** y and its error, moved together. */
function Maps({ result: { choice, want }, run: { y } }: { readonly result: OperatorRun; readonly run: GpuRun }) {
  const size = { rows: choice.rows, columns: N };
  const view = useSignal<View>(wholeView(size));
  const cursor = useSignal<Cell | undefined>(undefined);
  const error = useMemo(() => {
    const truth = want.dtype === 'int8' ? want.data : want.exact;
    return Float32Array.from(y, (value, i) => value - truth[i]!);
  }, [y, want]);
  const shared = { ...size, view, cursor, axes: ['m', 'n'] as const };
  const at = (m: number, n: number): number => m * N + n;
  return (
    <div class="columns" style={{ '--least': '24rem' }}>
      <Heatmap title="y" data={y} {...shared} />
      <Heatmap
        title="Error of y"
        data={error}
        reduce="extreme"
        {...shared}
        read={(m, n) => `${short(error[at(m, n)]!)}, of ${short(want.low[at(m, n)]!, 5)} to ${short(want.high[at(m, n)]!, 5)}`}
      />
    </div>
  );
}

const BINS = 24;
/** How often y takes which values. */
function Histogram({ y }: { readonly y: GpuRun['y'] }) {
  const bins = useMemo(() => {
    const [low, high] = extent(y);
    const width = (high - low) / BINS || 1;
    const counts = new Uint32Array(BINS);
    for (const value of y) counts[Math.min(BINS - 1, Math.floor((value - low) / width))]!++;
    return [...counts].map((count, i) => ({ from: low + i * width, to: low + (i + 1) * width, count }));
  }, [y]);
  const draw = useCallback(
    (plot: Plot, { width }: ChartSize) =>
      plot.plot({
        width,
        height: 160,
        x: { label: 'y' },
        y: { label: 'elements', grid: true },
        marks: [plot.rectY(bins, { x1: 'from', x2: 'to', y: 'count', fill: 'var(--series-1)' }), plot.ruleY([0])],
      }),
    [bins],
  );
  const rows = bins.map(({ from, to, count }) => [`${short(from)} to ${short(to)}`, whole(count)]);
  return <Chart title="Values of y" draw={draw} table={{ columns: [{ title: 'y' }, { title: 'Elements', numeric: true }], rows }} />;
}

const Reading = () => (
  <Facts
    items={[
      [
        'Interval',
        'For each element of y, the least and the greatest value that a correct kernel with float32 sums may give: the float64 sum, less and plus the most that float32 roundings can add up to for these inputs, each end rounded to the dtype of y. A result outside it is an error of the kernel.',
      ],
      [
        'Largest error',
        'The largest distance between y and the float64 sum. Rounding the float64 sum itself to the dtype of y already gives the error called rounding alone. With int8 output it is counted in codes, from the reference’s code.',
      ],
      [
        'Time',
        'From the call of forward() until the queue reports that its work is done, the median of several calls after two to warm up. The round trip is part of it and browsers round their clocks to 0.1 ms or coarser; a short product is therefore also called many times in a row before one wait, and the time divided by their number.',
      ],
      ['Weights', 'Bytes of the codes, scales and offsets as they are given to load(), against the same matrix in float16.'],
    ]}
  />
);
