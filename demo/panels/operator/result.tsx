// Shows a run: verdict, error, times, cost and saving of quantizing; then the maps, the codes, the WGSL.
import { CodeView } from '../../ui/code-view.js';
import { type Fact, Facts } from '../../ui/facts.js';
import { Notice } from '../../ui/notice.js';
import { bytes, counted, milliseconds, percent, short, whole } from '../../ui/numbers.js';
import { PanelLink } from '../../ui/panel-link.js';
import { Table } from '../../ui/table.js';
import type { Difference } from './jobs/compare.js';
import type { GpuTime } from './jobs/gpu.js';
import type { OperatorRun } from './jobs/index.js';
import { OutputMaps, WeightMaps } from './maps.js';
import { Reading } from './reading.js';
import { decibels, granularity, title } from './words.js';

export function Result({ result }: { readonly result: OperatorRun }) {
  const { choice, run, noGpu, want } = result;
  return (
    <article
      class="stack operator-result"
      data-inside={run?.difference.inside}
      data-count={run?.difference.count}
      data-error={run?.difference.error}
      data-rms={run?.difference.rms}
    >
      <div>
        <h3>{title(choice)}</h3>
        <p class="mono">
          x ({choice.m}, {choice.k}) {choice.dtype} → y ({choice.m}, {choice.n}) {want.dtype}
        </p>
      </div>
      <div role="status">
        {run ? (
          <Notice kind={run.difference.inside === run.difference.count ? 'good' : 'bad'}>{verdict(run.difference)}</Notice>
        ) : (
          <Notice kind="info">{`Not run on a GPU: only the CPU reference ran. ${noGpu}.`}</Notice>
        )}
      </div>
      <div class="operator-cards">
        {run && <Card title="Error of y" items={errors(run.difference, want.dtype)} />}
        <Card title="Time" items={[...(run ? gpuTime(run.time) : []), cpuTime(result), ...(run ? [kernel(result, run)] : [])]} />
        <Card title="Weights" items={weights(result)}>
          <Sizes result={result} />
        </Card>
        {result.alternatives.length > 0 && (
          <section class="card">
            <h4>What groups buy</h4>
            <Ways result={result} />
          </section>
        )}
      </div>
      <WeightMaps result={result} />
      <OutputMaps result={result} />
      <details>
        <summary>First elements of y and their intervals</summary>
        <First result={result} />
      </details>
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

const Card = ({ title: name, items, children }: { title: string; items: readonly Fact[]; children?: preact.ComponentChildren }) => (
  <section class="card">
    <h4>{name}</h4>
    <Facts items={items} />
    {children}
  </section>
);

const verdict = ({ count, inside }: Difference): string =>
  inside === count
    ? `${count === 1 ? 'The one element is inside its interval' : `All ${whole(count)} elements are inside their intervals`}.`
    : `${whole(count - inside)} of ${whole(count)} elements are outside their intervals.`;

function errors(found: Difference, dtype: string): Fact[] {
  const int8 = dtype === 'int8';
  const show = (value: number): string => (int8 ? `${short(value)} codes` : short(value));
  return [
    [
      'Largest',
      <strong key="error">{int8 ? counted(found.error, 'code') : short(found.error)}</strong>,
      int8 ? undefined : `rounding y once costs ${short(found.rounding)}; the largest |y| is ${short(found.size)}`,
    ],
    ['RMS', show(found.rms)],
    [
      'Allowed',
      int8 ? counted(found.bound, 'code') : short(found.bound),
      `the largest distance from the exact sum to an end of its interval${dtype === 'float32' ? `; the largest error is ${percent(found.share)} of its bound` : ''}`,
    ],
    ['Equal', `${whole(found.equal)} of ${whole(found.count)}`, 'elements equal the reference, rounded once'],
  ];
}

function gpuTime({ by, each, samples, times, call, calls, software }: GpuTime): Fact[] {
  const how = by === 'timestamps' ? 'by timestamps of the GPU' : 'by the clock, from submitting until done';
  return [
    [
      software ? 'WebGPU, on the CPU' : 'GPU',
      <strong key="time">{milliseconds(each)}</strong>,
      `${how}: median of ${counted(samples, 'sample')} of ${counted(times, 'product')}${software ? '. The adapter is software: this is not the time of a GPU' : ''}`,
    ],
    ['One call', milliseconds(call), `round trip: from forward() until the queue is done, median of ${calls}`],
  ];
}

const cpuTime = ({ want }: OperatorRun): Fact => [
  'CPU reference',
  milliseconds(want.milliseconds),
  'float64 sums with their bounds, in JavaScript',
];

/** The kernel, with a link to this product in the panel "What runs". */
const kernel = ({ choice }: OperatorRun, { plan }: NonNullable<OperatorRun['run']>): Fact => [
  'Kernel',
  <PanelLink key="kernel" panel="shader" state={productState(choice)}>
    <code>{plan.kernel}</code>
  </PanelLink>,
  `${counted(plan.dispatches.length, 'dispatch', 'dispatches')}: what runs, and why`,
];

const productState = ({ m, k, n, bits, mode, groupSize, dtype, scales, format, offset, bias, ...rest }: OperatorRun['choice']) => ({
  ...{ m, k, n, bits, mode, group: groupSize, dtype, scales, format, offset, bias },
  ...{ int8: rest.int8Output, int8offset: rest.quantOffset, precise: rest.innerPrecise },
});

const weights = ({ report, outputSqnr, bytes: size, choice: { n, k } }: OperatorRun): Fact[] => [
  ['Signal to noise', <strong key="sqnr">{decibels(report.sqnr)}</strong>, `of the weights; ${decibels(outputSqnr)} of y`],
  ['Largest error', short(report.maxError), `of a weight; RMS ${short(report.rmse)}`],
  [
    'Bits a weight',
    report.bitsPerWeight.toFixed(2),
    `in a file; ${((8 * (size.codes + size.scales + size.offsets)) / (n * k)).toFixed(2)} in the tensors below`,
  ],
];

/** Bars of the bytes of codes and of floats. */
function Sizes({ result: { bytes: size } }: { readonly result: OperatorRun }) {
  const own = size.codes + size.scales + size.offsets;
  const parts = [
    `codes ${bytes(size.codes)}`,
    `scales ${bytes(size.scales)}`,
    ...(size.offsets > 0 ? [`offsets ${bytes(size.offsets)}`] : []),
  ];
  const rows: readonly (readonly [string, number, string, readonly number[]])[] = [
    ['quantized', own, parts.join(', '), [size.codes, size.scales + size.offsets]],
    ['float16', size.float16, `${(size.float16 / own).toFixed(1)} times as much`, [size.float16]],
    ['float32', size.float32, `${(size.float32 / own).toFixed(1)} times as much`, [size.float32]],
  ];
  return (
    <dl class="operator-sizes">
      {rows.map(([name, total, remark, bars]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <span class="operator-bar" aria-hidden="true">
              {bars.map((part, i) => (
                <span key={i} style={{ width: `${(100 * part) / size.float32}%` }} />
              ))}
            </span>
            <strong>{bytes(total)}</strong> <small>{remark}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Ways({ result: { alternatives, choice } }: { readonly result: OperatorRun }) {
  const rows = alternatives.map((way) => {
    const own = way.mode === choice.mode && (way.mode !== 'group' || way.groupSize === choice.groupSize);
    const name = granularity({ mode: way.mode, groupSize: way.groupSize });
    const mark = (text: string) => (own ? <strong>{text}</strong> : text);
    return [
      own ? <strong>{name} (this)</strong> : name,
      mark(decibels(way.sqnr)),
      mark(way.bitsPerWeight.toFixed(2)),
      mark(bytes(way.bytes)),
    ];
  });
  return (
    <Table
      caption={`These weights as int${choice.bits}, and their signal to noise: 6 dB more is half the error`}
      columns={[
        { title: 'One scale' },
        { title: 'SQNR', numeric: true },
        { title: 'Bits', numeric: true },
        { title: 'Bytes', numeric: true },
      ]}
      rows={rows}
    />
  );
}

function First({ result: { want, run, choice } }: { readonly result: OperatorRun }) {
  const int8 = want.dtype === 'int8';
  const digits = (value: number): string => (int8 ? String(value) : value.toFixed(5));
  const shown = [0, 1, 2, 3].slice(0, choice.n).map((i) => {
    const values = [int8 ? want.data[i]! : want.exact[i]!, want.low[i]!, want.high[i]!, ...(run ? [run.y[i]!] : [])];
    return [`0, ${i}`, ...values.map(digits)];
  });
  const numeric = ['Reference', 'Low', 'High', ...(run ? ['WebGPU'] : [])].map((name) => ({ title: name, numeric: true }));
  return <Table caption="First elements of y and their intervals" hideCaption columns={[{ title: 'm, n' }, ...numeric]} rows={shown} />;
}
