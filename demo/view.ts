// Results → elements of the page. Builds nodes and text only; computes nothing.
import type { Caps, Explanation } from '../src/index.js';
import { type Choice, K, N, SCHEMES, weightBytes } from './example.js';
import type { Difference, GpuRun, Timing } from './run.js';
import type { Answer } from './worker.js';

type Child = Node | string;

export function element<T extends keyof HTMLElementTagNameMap>(tag: T, className: string, ...children: Child[]): HTMLElementTagNameMap[T] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// ---------------------------------------------------------------------------------------------------------------- numbers

const whole = (value: number): string => value.toLocaleString('en');
const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** Three digits; a power of ten below a thousandth. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(3)));
  const [digits, power] = value.toExponential(1).split('e') as [string, string];
  const raised = [...String(Math.abs(Number(power)))].map((digit) => SUPERSCRIPTS[Number(digit)]).join('');
  return `${digits} × 10${Number(power) < 0 ? '⁻' : ''}${raised}`;
}
const milliseconds = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
const kib = (bytes: number): string => `${whole(Math.round(bytes / 1024))} KiB`;
const rowsText = (rows: number): string => (rows === 1 ? '1 row' : `${rows} rows`);

export const title = ({ rows, scheme, dtype, int8Output }: Choice): string =>
  `${SCHEMES[scheme].label}; ${rowsText(rows)}, ${dtype}${int8Output ? ', int8 output' : ''}`;

// ------------------------------------------------------------------------------------------------------------------ device

const fact = (name: string, ...value: Child[]): HTMLElement => element('div', '', element('dt', '', name), element('dd', '', ...value));

export function deviceFacts({ adapterInfo: info }: GPUDevice, caps: Caps, trip: Timing): HTMLElement[] {
  const given = (text: string | undefined): string => text || 'not disclosed';
  return [
    fact('Vendor', given(info.vendor)),
    fact('Architecture', given(info.architecture)),
    fact('Description', given(info.description)),
    fact('Kind', caps.software ? 'software adapter, runs on the CPU' : 'GPU'),
    fact('shader-f16', caps.f16 ? 'yes' : 'no: float16 is read and written as bits'),
    fact('subgroups', caps.subgroups ? `yes, of at most ${caps.maxSubgroupSize}` : 'no'),
    fact('Largest buffer', `${whole(Math.floor(caps.maxBufferSize / 2 ** 20))} MiB`),
    fact('Round trip of an empty submission', milliseconds(trip.median)),
  ];
}

// -------------------------------------------------------------------------------------------------------------------- card

/** A card before its results. */
export function emptyCard(choice: Choice): HTMLElement {
  const card = element('article', 'card');
  card.setAttribute('aria-busy', 'true');
  card.append(...heading(choice), element('p', 'pending', 'Waiting.'));
  return card;
}

/** Says in a card what is being done. */
export const showProgress = (card: HTMLElement, text: string): void => card.querySelector('.pending')?.replaceChildren(text);

function heading({ rows, scheme, dtype, int8Output }: Choice): HTMLElement[] {
  const kind = rows === 1 ? 'Decode, 1 row' : `${rows >= 64 ? 'Prefill, ' : ''}${rows} rows`;
  const y = int8Output ? 'int8' : dtype;
  return [
    element('p', 'kicker', kind),
    element('h3', '', SCHEMES[scheme].label),
    element('p', 'shapes', `x (${rows}, ${K}) ${dtype} → y (${rows}, ${N}) ${y}`),
  ];
}

/** A card with its results. Without an answer, or a run that was begun, `problems` say why. */
export function fillCard(
  card: HTMLElement,
  { choice, answer, run, problems }: { choice: Choice; answer?: Answer | undefined; run?: GpuRun | undefined; problems: readonly string[] },
): void {
  card.removeAttribute('aria-busy');
  card.replaceChildren(...heading(choice));
  for (const problem of problems) card.append(element('p', 'verdict bad', problem));
  if (!run && problems.length === 0) card.append(element('p', 'verdict plain', 'Not run on a GPU: this is the CPU reference alone.'));
  if (run) card.append(verdict(run.difference));
  if (run) Object.assign(card.dataset, { count: run.difference.count, inside: run.difference.inside, error: run.difference.error });
  if (answer) {
    const facts = element('dl', 'facts');
    if (run) facts.append(errorFact(run.difference, choice), timeFact(run));
    facts.append(fact('Reference', milliseconds(answer.milliseconds), element('small', '', ' on the CPU')), weightFact(answer));
    if (run) facts.append(...planFacts(run.plan));
    card.append(facts, firstElements(answer, run));
  }
  if (run) card.append(wgsl(run.plan));
}

export const verdictText = ({ count, inside }: Difference): string =>
  inside === count
    ? `All ${whole(count)} elements are inside their intervals.`
    : `${whole(count - inside)} of ${whole(count)} elements are outside their intervals.`;

const verdict = (found: Difference): HTMLElement =>
  element('p', `verdict ${found.inside === found.count ? 'good' : 'bad'}`, verdictText(found));

export const errorText = ({ error }: Difference, { int8Output }: Choice): string =>
  int8Output ? `${error} ${error === 1 ? 'code' : 'codes'}` : short(error);

function errorFact(found: Difference, choice: Choice): HTMLElement {
  const equal = `${whole(found.equal)} of ${whole(found.count)} elements equal the rounded reference.`;
  const detail = choice.int8Output
    ? ` ${equal}`
    : ` (rounding alone: ${short(found.rounding)}). The largest |y| is ${short(found.size)}. ${equal}`;
  return fact('Largest error', element('strong', '', errorText(found, choice)), element('small', '', detail));
}

function timeFact({ time: { median, runs, inARow }, software }: GpuRun): HTMLElement {
  const row = inARow ? `; ${inARow.calls} calls in a row, ${short(inARow.each)} ms each` : '';
  return fact(
    'Time',
    element('strong', '', milliseconds(median)),
    element('small', '', ` ${software ? 'on the CPU (software adapter), ' : ''}median of ${runs}${row}`),
  );
}

function weightFact(answer: Answer): HTMLElement {
  const { codes, scales, float16 } = weightBytes(answer);
  const bar = element('span', 'bar', element('span', ''));
  bar.setAttribute('aria-hidden', 'true');
  bar.style.setProperty('--share', String((codes + scales) / float16));
  const times = (float16 / (codes + scales)).toFixed(1);
  const detail = ` instead of ${kib(float16)} in float16, ${times} times smaller (codes ${kib(codes)}, scales${answer.tensors.antiquantOffset ? ' and offsets' : ''} ${kib(scales)})`;
  return fact('Weights', element('strong', '', kib(codes + scales)), element('small', '', detail), bar);
}

function planFacts({ kernel, params, workgroups, why, steps }: Explanation): HTMLElement[] {
  const chips = Object.entries(params).map(([name, value]) => element('code', 'chip', `${name}=${value}`));
  const [columns, rows] = workgroups;
  const others = steps.length > 1 ? `; ${steps.length} dispatches: ${steps.map(({ shader }) => shader).join(', ')}` : '';
  return [
    fact('Kernel', element('code', 'kernel', kernel), element('span', 'chips', ...chips)),
    fact('Workgroups', `${whole(columns)}${rows > 1 ? ` × ${whole(rows)}` : ''}${others}`),
    fact('Why', element('ul', '', ...why.map((line) => element('li', '', line)))),
  ];
}

function firstElements({ want }: Answer, run: GpuRun | undefined): HTMLElement {
  const digits = (value: number): string => (want.dtype === 'int8' ? String(value) : value.toFixed(5));
  const names = ['y', 'Reference', 'Low', 'High', ...(run ? ['WebGPU'] : [])];
  const rows = [0, 1, 2, 3].map((i) => {
    const shown = [want.dtype === 'int8' ? want.data[i]! : want.exact[i]!, want.low[i]!, want.high[i]!, ...(run ? [run.y[i]!] : [])];
    const head = element('th', '', `0, ${i}`);
    head.scope = 'row';
    return element('tr', '', head, ...shown.map((value, j) => element('td', j === 3 ? 'gpu' : '', digits(value))));
  });
  const heads = names.map((name) => {
    const cell = element('th', '', name);
    cell.scope = 'col';
    return cell;
  });
  return element(
    'table',
    '',
    element('caption', '', 'First elements of y and their intervals'),
    element('thead', '', element('tr', '', ...heads)),
    element('tbody', '', ...rows),
  );
}

/** The text that ran, whole; comments set apart. */
function wgsl({ kernel, wgsl: text }: Explanation): HTMLElement {
  const block = element('pre', '');
  for (const line of text.trimEnd().split('\n')) {
    const at = line.indexOf('//');
    if (at < 0) block.append(`${line}\n`);
    else block.append(line.slice(0, at), element('span', 'comment', line.slice(at)), '\n');
  }
  block.tabIndex = 0;
  block.setAttribute('role', 'region');
  block.setAttribute('aria-label', `WGSL of ${kernel}`);
  const lines = text.trimEnd().split('\n').length;
  return element('details', '', element('summary', '', 'WGSL that ran', element('small', '', ` ${kernel}, ${lines} lines`)), block);
}
