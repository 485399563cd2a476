// The report as text: a table for each host, then the targets. Pure.
import { failures, least, limitRate, median, type Outcome, ours, outcomes, ratio, share } from './report.js';
import { type BenchResult, type Cell, cellName, type HostResult, type Timing } from './results.js';

type Column = readonly [title: string, align: 'left' | 'right'];

/** Columns as wide as their longest entry. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(([title], i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i]![1] === 'left' ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [line(columns.map(([title]) => title)), ...rows.map(line)].join('\n');
}

const NONE = '-';
export const times = (value: number | undefined): string => (value === undefined ? NONE : value.toFixed(value < 10 ? 2 : 1));
export const percent = (value: number | undefined): string => (value === undefined ? NONE : `${Math.round(100 * value)}%`);
const ms = (value: number): string => (value < 10 ? value.toFixed(3) : value.toFixed(1));
const error = (value: number | undefined): string => (value === undefined ? NONE : value.toExponential(0));

/** The fastest right contender of a family, by its median. */
export const fastest = (cell: Cell, family: Timing['family']): Timing | undefined =>
  cell.timings.filter((t) => t.family === family && !t.wrong && !t.dropped).sort((a, b) => median(a.ms) - median(b.ms))[0];

function cellRow(cell: Cell): string[] {
  const mine = ours(cell) ?? cell.timings.find(({ family }) => family === 'ours');
  const peer = fastest(cell, 'ort-gpu') ?? fastest(cell, 'ort-wasm');
  const limit = cell.m === 1 ? 'copy' : 'multiply-add';
  const rate = limitRate(cell, limit);
  return [
    cellName(cell),
    mine ? ms(median(mine.ms)) : NONE,
    mine ? ms(least(mine.ms)) : NONE,
    peer ? ms(median(peer.ms)) : NONE,
    peer ? peer.name.replace('ort ', '') : NONE,
    times(peer && ratio(cell, ours(cell), peer.family)),
    percent(share(cell, limit)),
    rate > 0 ? `${(rate / 1e9).toFixed(1)} ${limit === 'copy' ? 'GB/s' : 'G/s'}` : NONE,
    error(mine?.error),
    error(peer?.error),
    mine?.wrong ? `WRONG: ${mine.wrong}` : (mine?.detail.replace(/\[.*/, '') ?? NONE),
  ];
}

const CELL_COLUMNS: readonly Column[] = [
  ['product', 'left'],
  ['ms', 'right'],
  ['least', 'right'],
  ['peer ms', 'right'],
  ['peer', 'left'],
  ['ratio', 'right'],
  ['of limit', 'right'],
  ['limit', 'right'],
  ['error', 'right'],
  ["peer's", 'right'],
  ['kernel', 'left'],
];

/** The other timed contenders of a cell: the library's other variants, wasm, dense, and slower peers. */
function others(cell: Cell): string[][] {
  const best = fastest(cell, 'ort-gpu') ?? fastest(cell, 'ort-wasm');
  return cell.timings
    .filter((t) => t !== best && !['ours', 'copy', 'multiply-add'].includes(t.family))
    .map((t) => {
      const against = t.family === 'ours-other' ? ratio(cell, t) : undefined;
      const mine = ours(cell);
      return [
        cellName(cell),
        t.name,
        ms(median(t.ms)),
        mine ? times(median(t.ms) / median(mine.ms)) : NONE,
        times(against),
        error(t.error),
        t.wrong ?? (t.dropped ? `once: ${t.dropped}` : ''),
      ];
    });
}

const OTHER_COLUMNS: readonly Column[] = [
  ['product', 'left'],
  ['others', 'left'],
  ['ms', 'right'],
  ['/ ours', 'right'],
  ['ratio', 'right'],
  ['error', 'right'],
  ['', 'left'],
];

export function hostText(host: HostResult): string {
  const { vendor, architecture, description, device } = host.adapter;
  const head = [
    `== ${host.host}: ${host.kind}: ${[description || device, architecture, vendor].filter(Boolean).join(', ')}; ${host.engine}; ${host.seconds.toFixed(0)} s`,
    '',
    table(CELL_COLUMNS, host.cells.map(cellRow)),
  ];
  const rest = host.cells.flatMap(others);
  if (rest.length > 0) {
    head.push('', table(OTHER_COLUMNS, rest));
  }
  if (host.overhead) {
    const { encode, forward } = host.overhead;
    head.push('', `JavaScript of a call, by 500 calls: encode ${encode.toFixed(2)} µs, forward ${forward.toFixed(1)} µs`);
  }
  if (host.notes.length > 0) head.push('', ...host.notes.map((note) => `note: ${note}`));
  return head.join('\n');
}

function outcomeRow({ target, cells, mean, worst, met }: Outcome): string[] {
  const show = target.quantity.startsWith('share') ? percent : target.quantity === 'error' ? error : times;
  const most = target.quantity === 'error' || target.quantity === 'M=4 / M=1';
  return [
    target.where,
    target.what,
    target.quantity,
    `${most ? '≤' : '≥'} ${show(target.mean)}${target.floor ? `, floor ${times(target.floor)}` : ''}`,
    most ? NONE : show(mean),
    show(worst?.value),
    worst ? cellName(worst.cell) : NONE,
    String(cells),
    met === undefined ? 'not measured' : met ? 'met' : 'NOT MET',
  ];
}

const TARGET_COLUMNS: readonly Column[] = [
  ['where', 'left'],
  ['rows', 'left'],
  ['quantity', 'left'],
  ['target', 'left'],
  ['mean', 'right'],
  ['worst', 'right'],
  ['worst product', 'left'],
  ['products', 'right'],
  ['', 'left'],
];

export function reportText(result: BenchResult): string {
  const { machine, versions } = result;
  const wrong = failures(result);
  return [
    `antiquant bench, ${result.mode}, ${result.date}`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    '',
    ...result.hosts.flatMap((host) => [hostText(host), '']),
    'ms: median over rounds, a call. ratio: time of the fastest right peer over ours, in the same round, median over rounds.',
    'of limit: bytes a second against the copy kernel at M = 1, multiply-adds a second against the best multiply-add kernel from M = 128 on.',
    '',
    '== targets (geometric mean over products; worst product against the floor)',
    '',
    table(TARGET_COLUMNS, outcomes(result).map(outcomeRow)),
    '',
    wrong.length === 0 ? 'every answer of the library is within its bound' : `WRONG ANSWERS:\n${wrong.join('\n')}`,
  ].join('\n');
}
