// The bench page's controls and what they show: run, cancel, open a file; targets, charts and tables of what was measured.
import { charts } from './charts.js';
import { run } from './page.js';
import { outcomes } from './report.js';
import type { BenchResult, HostResult } from './results.js';
import type { BenchOptions } from './run.js';
import { CELL_COLUMNS, type Column, cellRow, outcomeRow, TARGET_COLUMNS } from './text.js';

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const form = byId<HTMLFormElement>('form');
const status = byId('status');
const progress = byId<HTMLProgressElement>('progress');
const cancel = byId<HTMLButtonElement>('cancel');
const MOST_WIDE = 760;

function element(name: string, text = '', className = ''): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function fill(table: HTMLElement, columns: readonly Column[], rows: readonly (readonly string[])[]): void {
  const side = (i: number): string => (columns[i]![1] === 'right' ? 'number' : '');
  const head = element('tr');
  head.append(...columns.map(([title], i) => element('th', title, side(i))));
  const body = rows.map((row) => {
    const line = element('tr');
    line.append(...row.map((text, i) => element('td', text, text === 'met' ? 'met' : text === 'NOT MET' ? 'missed' : side(i))));
    return line;
  });
  table.replaceChildren(head, ...body);
}

function hostSection(host: HostResult): HTMLElement {
  const section = element('section');
  const { vendor, architecture, description, device } = host.adapter;
  const adapter = [description || device, architecture, vendor].filter(Boolean).join(', ');
  section.append(element('h2', host.host), element('p', `${adapter}; ${host.engine}; ${host.seconds.toFixed(0)} s`));
  if (host.overhead) {
    const { encode, forward } = host.overhead;
    section.append(element('p', `JavaScript of a call: encode ${encode.toFixed(1)} µs, forward ${forward.toFixed(1)} µs.`));
  }
  const room = Math.min(MOST_WIDE, byId('hosts').clientWidth || MOST_WIDE);
  section.append(...charts(host, room));
  const scroll = element('div', '', 'scroll');
  const table = element('table');
  fill(table, CELL_COLUMNS, host.cells.map(cellRow));
  scroll.append(table);
  section.append(element('h3', 'Every product'), scroll);
  for (const note of host.notes) section.append(element('p', note, 'note'));
  return section;
}

let shown: BenchResult | undefined;
function show(result: BenchResult): void {
  shown = result;
  byId('result').hidden = false;
  fill(
    byId('targets'),
    TARGET_COLUMNS,
    outcomes(result)
      .filter(({ cells }) => cells > 0)
      .map(outcomeRow),
  );
  byId('hosts').replaceChildren(...result.hosts.map(hostSection));
}

byId('save').addEventListener('click', () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(shown, null, 1)], { type: 'application/json' }));
  link.download = 'bench.json';
  link.click();
  URL.revokeObjectURL(link.href);
});

const wrap = (mode: BenchResult['mode'], host: HostResult): BenchResult => ({
  schema: 1,
  date: new Date().toISOString(),
  mode,
  machine: { cpu: 'not known to a page', cores: navigator.hardwareConcurrency, memoryGiB: 0, system: navigator.platform },
  versions: {},
  hosts: [host],
});

let abort: AbortController | undefined;
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const data = new FormData(form);
  const mode = data.get('mode') as BenchOptions['mode'];
  const only = String(data.get('only') ?? '').trim();
  const peers = String(data.get('peers') ?? '') as 'all' | 'none' | '';
  const button = form.querySelector<HTMLButtonElement>('button[type=submit]')!;
  abort = new AbortController();
  button.disabled = true;
  cancel.hidden = false;
  progress.hidden = false;
  try {
    const options = { mode, ...(only && { only }), ...(peers && { peers }) };
    const host = await run(
      'this page',
      options,
      ({ done, total, text }) => {
        progress.max = Math.max(1, total);
        progress.value = done;
        status.textContent = `${done} of ${total}: ${text}`;
      },
      abort.signal,
    );
    status.textContent = host.cells.length > 0 ? `${host.cells.length} products measured.` : 'No product has a name that matches.';
    if (host.cells.length > 0) show(wrap(only || peers ? 'custom' : mode, host));
  } catch (error) {
    const cancelled = error instanceof DOMException && error.name === 'AbortError';
    status.textContent = cancelled ? 'Cancelled; nothing is kept.' : `It did not run: ${(error as Error).message}`;
  } finally {
    button.disabled = false;
    cancel.hidden = true;
    progress.hidden = true;
  }
});
cancel.addEventListener('click', () => {
  status.textContent = 'Cancelling after this sample.';
  abort?.abort();
});

byId<HTMLInputElement>('open').addEventListener('change', async ({ target }) => {
  try {
    const files = [...((target as HTMLInputElement).files ?? [])];
    const results = await Promise.all(files.map(async (file) => JSON.parse(await file.text()) as BenchResult));
    if (results.length === 0) return;
    if (results.some(({ schema, hosts }) => schema !== 1 || !Array.isArray(hosts))) throw new Error('not a report of this bench');
    show({ ...results[0]!, hosts: results.flatMap(({ hosts }) => hosts) });
    status.textContent = `Report of ${new Date(results[0]!.date).toLocaleString()}.`;
  } catch (error) {
    status.textContent = `Could not be opened: ${(error as Error).message}`;
  }
});

let width = innerWidth;
addEventListener('resize', () => {
  if (shown && innerWidth !== width) show(shown);
  width = innerWidth;
});
