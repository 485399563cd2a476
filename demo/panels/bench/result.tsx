// The result of a run: a card for each product, the charts, tables of all times, and the contenders.
import type { Cell, Timing } from '../../../bench/results.js';
import { type Fact, Facts } from '../../ui/facts.js';
import { Notice } from '../../ui/notice.js';
import { counted, milliseconds, percent, short, whole } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import { fullName, Ratios, Shares, Times } from './charts.js';
import { against, bound, bytesOf, counts, ours, players, rate, rivals, spread, workOf } from './figures.js';
import type { Measured } from './jobs/index.js';
import { Roofline } from './roofline.js';

/** From this ratio of our slowest to our fastest sample on, the page warns. */
const RESTLESS = 1.5;

export function Result({ measured }: { readonly measured: Measured }) {
  const { host, software } = measured;
  const { cells } = host;
  const wrong = cells.flatMap(({ m, timings }) => timings.filter((t) => t.wrong).map((t) => ({ m, t })));
  const ownWrong = wrong.filter(({ t }) => t.family.startsWith('ours'));
  const unquiet = Math.max(1, ...cells.flatMap((cell) => ours(cell) ?? []).map(({ ms }) => Math.max(...ms) / Math.min(...ms)));
  return (
    <article class="stack" data-cells={cells.length}>
      {software && (
        <Notice kind="warn">
          This is a software adapter: the CPU runs the shaders. The answers are checked, but the times are not those of a GPU.
        </Notice>
      )}
      {ownWrong.map(({ m, t }) => (
        <Notice key={`${m} ${t.name}`} kind="bad">{`M = ${m}: ${t.name} gave a wrong answer: ${t.wrong}. It is not timed.`}</Notice>
      ))}
      {unquiet >= RESTLESS && (
        <Notice kind="info">
          {`Samples of the same product differ by up to ${short(unquiet, 2)} ×: this machine had other work. Medians of a quiet machine are more reliable.`}
        </Notice>
      )}
      <div class="columns bench-heads" style={{ '--least': '15rem' }}>
        {cells.map((cell) => (
          <Head key={cell.m} cell={cell} />
        ))}
      </div>
      {cells.length > 0 && (
        <>
          <div class="columns" style={{ '--least': '36rem' }}>
            <Ratios cells={cells} />
            <Times cells={cells} />
            <Shares cells={cells} />
            <Roofline cells={cells} />
          </div>
          {cells.map((cell) => (
            <All key={cell.m} cell={cell} />
          ))}
        </>
      )}
      <Facts items={factsOf(measured)} />
    </article>
  );
}

function Head({ cell }: { readonly cell: Cell }) {
  const mine = ours(cell);
  const time = mine && spread(mine.ms);
  const roof = bound(cell);
  return (
    <section class="card bench-head" aria-label={`M = ${cell.m}`} data-m={cell.m} data-ms={time?.median}>
      <h3>M = {cell.m}</h3>
      {mine && time ? (
        <>
          <p class="bench-time">{milliseconds(time.median)}</p>
          <small>
            median of {mine.ms.length}, {milliseconds(time.least)} to {milliseconds(time.most)}
          </small>
          <ul>
            {rivals(cell).map((t) => {
              const { median } = against(cell, t)!;
              return (
                <li key={t.name}>
                  <strong>{short(median >= 1 ? median : 1 / median)} ×</strong> {median >= 1 ? 'faster than' : 'slower than'}{' '}
                  {fullName(t.name)}
                </li>
              );
            })}
            {roof && (
              <li>
                <strong>{percent(roof.share)}</strong> of what {roof.limit === 'copy' ? 'copying' : 'multiplying and adding'} allows
              </li>
            )}
          </ul>
          <code>{mine.detail}</code>
        </>
      ) : (
        <p>Not timed: the product could not run here. See the notes below.</p>
      )}
    </section>
  );
}

const COLUMNS = [
  { title: 'Who' },
  ...['Median', 'Least to most', 'Times ours', 'GB/s', 'G multiply-adds/s', 'Calls a sample', 'Error'].map((title) => ({
    title,
    numeric: true,
  })),
  { title: 'Answer' },
];

function All({ cell }: { readonly cell: Cell }) {
  const { m, k, n } = cell;
  const limits = cell.timings.filter(({ family }) => family === 'copy' || family === 'multiply-add');
  return (
    <details class="bench-all">
      <summary>Every time, M = {m}</summary>
      <Table
        caption={`x (${m}, ${k}) · weights (${k}, ${n}), ${whole(cell.bytes)} bytes of weights, scales, x and y`}
        columns={COLUMNS}
        rows={[...players(cell), ...limits].map((t) => rowOf(cell, t))}
      />
    </details>
  );
}

function rowOf(cell: Cell, t: Timing) {
  const s = spread(t.ms);
  const found = counts(t) ? against(cell, t) : undefined;
  const none = '–';
  const limit = t.work !== undefined;
  const amount = { bytes: limit ? t.work! : bytesOf(cell, t), adds: limit ? t.work! : workOf(cell) };
  const giga = (value: number): string => short(rate(value, t) / 1e9);
  return [
    <span key="who" title={t.detail}>
      {fullName(t.name)}
    </span>,
    milliseconds(s.median),
    t.dropped ? 'timed once' : `${milliseconds(s.least)} – ${milliseconds(s.most)}`,
    !limit && found ? short(found.median) : none,
    t.family === 'multiply-add' ? none : giga(amount.bytes),
    t.family === 'copy' ? none : giga(amount.adds),
    whole(t.count),
    t.error === undefined ? none : short(t.error, 2),
    t.wrong ? `wrong: ${t.wrong}` : t.dropped ? `left out: ${t.dropped}` : limit ? 'a limit' : 'right',
  ];
}

function factsOf({ settings, host, versions, isolated, checked }: Measured): Fact[] {
  const { k, n, rounds, sample, peers } = settings;
  const details = [
    ...new Set(host.cells.flatMap((cell) => cell.timings.filter(({ family }) => family.startsWith('ort')).map((t) => t.detail))),
  ];
  return [
    [
      'Adapter',
      [host.adapter.description || host.adapter.device, host.adapter.architecture, host.adapter.vendor].filter(Boolean).join(', '),
    ],
    [
      'Browser',
      `${host.engine}, in a Worker; ${isolated ? 'isolated: WebAssembly may have threads' : 'not isolated from other origins: WebAssembly has one thread'}`,
    ],
    [
      'Checked before timing',
      `${counted(checked.rows, 'row')} of y, all ${whole(n)} columns, against the float64 reference`,
      `Ours must be inside the interval of every element; others within ${short(checked.tolerance)} of the largest element. A wrong contender is not timed.`,
    ],
    [
      'Timed in turns',
      `${rounds} rounds; samples of about ${sample} ms`,
      'In a round each contender has one sample; the first contender changes. A sample is several calls and one wait. Weights, x and y stay on the GPU.',
    ],
    [
      'onnxruntime-web',
      versions['onnxruntime-web'] ?? (peers.length > 0 ? 'did not load' : 'not asked for'),
      details.length > 0
        ? `${details.join('; ')}. Its operator is MatMulNBits; level 0 multiplies in the dtype of x, level 4 may round x to int8.`
        : undefined,
    ],
    [
      'Weights',
      `int${settings.bits}, ${settings.group === 0 ? 'one scale a column' : `groups of ${settings.group}`}${settings.offset ? ', with offsets' : ''}; (${k}, ${n}); seeded random`,
    ],
    ...(host.notes.length > 0 ? [['Notes', host.notes.map((note) => <div key={note}>{note}</div>)] as Fact] : []),
    ['Took', `${host.seconds.toFixed(0)} s`],
  ];
}
