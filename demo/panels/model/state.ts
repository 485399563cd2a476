// The panel's state: settings in the URL; the opened file, the chosen layer and their jobs in memory.
import { computed, effect, signal } from '@preact/signals';
import { BITS, type Bits } from '../../../src/problem/code-width.js';
import { choice, flag, integer, text, urlSignal } from '../../app/url-state.js';
import { makeJob } from '../../app/use-job.js';
import type { Given, Requantized } from './jobs/index.js';
import type { Kind, OpenedModel, Row } from './jobs/open.js';
import type { Settings, Target } from './jobs/weights.js';

// ------------------------------------------------------------------------------------------------------------- the list

export const KINDS = {
  all: 'All',
  layer: 'Quantized',
  float: 'Float matrices',
  refused: 'Refused',
  other: 'Other',
} as const satisfies Record<Kind | 'all', string>;
export const COLUMNS = {
  file: 'Order of the file',
  name: 'Name',
  dtype: 'dtype',
  shape: 'Elements',
  bytes: 'Bytes',
  bits: 'Bits a weight',
  role: 'What it is',
} as const;
export type SortBy = keyof typeof COLUMNS;

export const filter = urlSignal('model.find', text(''));
export const kind = urlSignal('model.kind', choice<Kind | 'all'>('all', Object.keys(KINDS) as (Kind | 'all')[]));
export const sortBy = urlSignal('model.sort', choice<SortBy>('file', Object.keys(COLUMNS) as SortBy[]));
export const descending = urlSignal('model.desc', flag(false));

// -------------------------------------------------------------------------------------------------------------- settings

export const bits = urlSignal('model.bits', choice<Bits>(4, BITS));
export const GROUPS = ['tensor', 'channel', '32', '64', '128', '256'] as const;
export const groups = urlSignal('model.groups', choice<(typeof GROUPS)[number]>('32', GROUPS));
export const METHODS = ['minmax', 'mse', 'hqq'] as const;
export const method = urlSignal('model.method', choice<(typeof METHODS)[number]>('minmax', METHODS));
export const symmetric = urlSignal('model.symmetric', flag(false));
export const SCALES = ['float16', 'bfloat16', 'float32'] as const;
export const scaleDtype = urlSignal('model.scales', choice<(typeof SCALES)[number]>('float16', SCALES));
export const ROWS = [1, 4, 16, 64] as const;
export const m = urlSignal('model.m', choice<(typeof ROWS)[number]>(1, ROWS));
export const dtype = urlSignal('model.dtype', choice<(typeof SCALES)[number]>('float16', SCALES));
export const seed = urlSignal('model.seed', integer(1, { min: 0, max: 2 ** 31 - 1 }));
/** Is the sample model open? It is part of the page, so the URL can say so. */
export const sample = urlSignal('model.sample', flag(false));

export const settings = computed<Settings>(() => {
  const mode = groups.value === 'tensor' || groups.value === 'channel' ? groups.value : 'group';
  return {
    bits: bits.value,
    mode,
    ...(mode === 'group' && { groupSize: Number(groups.value) }),
    symmetric: symmetric.value && method.value !== 'hqq',
    method: method.value,
    scaleDtype: scaleDtype.value,
  };
});

// ------------------------------------------------------------------------------------------------------------------ jobs

export const opening = makeJob('model.open');
export const looking = makeJob('model.look');
export const requantizing = makeJob('model.requantize');
export const running = makeJob('model.run');
const holding = makeJob('model.held');
export const speaking = makeJob('model.speaks');

export const model = signal<OpenedModel | undefined>(undefined);
/** What it was opened from. */
export const given = signal<Given | undefined>(undefined);
/** Bits a weight here, of the model that is open; undefined until they are known, and without a GPU. */
export const held = computed(() => (holding.result.value?.model === model.value?.id ? holding.result.value : undefined));
/** Can it chat, or why not; undefined until it is known. */
export const speaks = computed(() => (speaking.result.value?.model === model.value?.id ? speaking.result.value : undefined));
/** The chosen row. */
export const chosen = signal<Row | undefined>(undefined);
export const target = computed<Target | undefined>(() => {
  const [row, file] = [chosen.value, model.value];
  return row && file && row.index !== undefined && (row.kind === 'layer' || row.kind === 'float')
    ? { model: file.id, kind: row.kind, index: row.index }
    : undefined;
});
/** First row and column of the part that is shown. */
export const corner = signal({ row: 0, column: 0 });
/** Attempts for the chosen layer, newest first. */
export const attempts = signal<readonly Requantized[]>([]);

/** Up to so many weights, a chosen layer is read at once. */
const EAGER = 2 ** 26;

const same = (a: Target | undefined, b: Target | undefined): boolean => JSON.stringify(a) === JSON.stringify(b);

export function choose(row: Row): void {
  const before = target.peek();
  chosen.value = row;
  if (same(before, target.peek())) return;
  corner.value = { row: 0, column: 0 };
  attempts.value = [];
  for (const job of [looking, requantizing, running]) job.cancel();
  const file = model.peek();
  const now = target.peek();
  if (!file || !now) return;
  const { n, k } = (now.kind === 'layer' ? file.layers : file.floats)[now.index]!;
  if (n * k <= EAGER) look();
}

export function look(): void {
  const now = target.peek();
  if (now) void looking.run({ target: now, ...corner.peek() });
}

export async function requantize(): Promise<void> {
  const now = target.peek();
  if (!now) return;
  const result = await requantizing.run({ target: now, settings: settings.peek(), ...corner.peek() });
  if (!result || !same(result.args.target, target.peek())) return;
  const key = JSON.stringify(result.args.settings);
  attempts.value = [result, ...attempts.peek().filter(({ args }) => JSON.stringify(args.settings) !== key)].slice(0, 20);
}

export function run(): void {
  const now = target.peek();
  if (now) void running.run({ target: now, m: m.peek(), dtype: dtype.peek(), seed: seed.peek(), settings: settings.peek() });
}

export async function open(from: Given): Promise<void> {
  const opened = await opening.run(from);
  if (!opened) return;
  sample.value = 'sample' in from;
  for (const job of [looking, requantizing, running]) job.cancel();
  model.value = opened;
  given.value = from;
  chosen.value = undefined;
  attempts.value = [];
  void speaking.run({ model: opened.id });
  void holding.run({ model: opened.id });
  const first = opened.rows.find((row) => row.kind === 'layer') ?? opened.rows.find((row) => row.kind === 'float');
  if (first) choose(first);
}

/** Shows the language model of this page to a visitor who has opened nothing. */
export function arrive(): void {
  if (!model.peek() && opening.status.peek() === 'idle') void open({ own: true });
}

/** Opens the panel "Chat" with what is open here: the same files, whose weights come first. */
export async function chat(): Promise<void> {
  const [from, file] = [given.peek(), model.peek()];
  if (!from || !file || 'sample' in from) return;
  const { chatWith } = await import('../chat/state.js');
  await chatWith(
    'own' in from ? from : { files: from.files.toSorted((a, b) => Number(b.name === file.first) - Number(a.name === file.first)) },
  );
}

// A link with sample=1 opens the sample model once the panel is loaded.
effect(() => {
  if (sample.value && !model.peek() && opening.status.peek() === 'idle') void open({ sample: true });
});
