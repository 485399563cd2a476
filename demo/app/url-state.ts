// State in the URL. urlSignal('PANEL.KEY', codec) makes a signal that starts with the value in ?panel=PANEL&KEY=…. While its panel is
// shown, values other than the default are written to the URL by replaceState, and the signal follows back and forward. A value that the
// codec refuses becomes the default. Values of hidden panels stay in memory.
import { effect, type Signal, signal } from '@preact/signals';

export interface Codec<T> {
  readonly default: T;
  /** The value of a text; undefined if the text is invalid. */
  parse(text: string): T | undefined;
  format(value: T): string;
}

// -------------------------------------------------------------------------------------------------------------- codecs

export interface Range {
  readonly min: number;
  readonly max: number;
}
/** Whole numbers of [min, max]. */
export const integer = (value: number, { min, max }: Range): Codec<number> => ({
  default: value,
  parse: (text) => (/^-?\d+$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined),
  format: String,
});
/** Numbers of [min, max]. */
export const number = (value: number, { min, max }: Range): Codec<number> => ({
  default: value,
  parse: (text) => (text.trim() !== '' && Number(text) >= min && Number(text) <= max ? Number(text) : undefined),
  format: String,
});
/** A text or number from a list. */
export const choice = <const T extends string | number>(value: NoInfer<T>, values: readonly T[]): Codec<T> => ({
  default: value,
  parse: (text) => values.find((one) => String(one) === text),
  format: String,
});
/** `1` and `0`. */
export const flag = (value: boolean): Codec<boolean> => ({
  default: value,
  parse: (text) => (text === '1' ? true : text === '0' ? false : undefined),
  format: (on) => (on ? '1' : '0'),
});
/** Any text of at most `most` characters. */
export const text = (value: string, most = 200): Codec<string> => ({
  default: value,
  parse: (given) => (given.length <= most ? given : undefined),
  format: (given) => given,
});

// --------------------------------------------------------------------------------------------------------------- signals

interface Bound {
  readonly panel: string;
  readonly key: string;
  /** Text for the URL; undefined for the default. */
  write(): string | undefined;
  read(given: string | null): void;
}
const bounds: Bound[] = [];
/** The number of bound signals. Through it the effect below sees signals of panels that load later. */
const bound = signal(0);
const RESERVED = ['panel', 'debug'];

/** The panel that is shown. */
export const panel: Signal<string> = signal('');
let panels: readonly string[] = [];

/**
 * @param name 'PANEL.KEY'; the URL has KEY while PANEL is shown
 * @example const rows = urlSignal('operator.m', integer(1, { min: 1, max: 4096 }));
 */
export function urlSignal<T>(name: string, codec: Codec<T>): Signal<T> {
  const [owner, key] = name.split('.') as [string, string];
  if (!key || RESERVED.includes(key) || bounds.some((one) => one.panel === owner && one.key === key)) {
    throw new Error(`urlSignal: expected a new name of the form PANEL.KEY, KEY none of ${RESERVED.join(', ')}; got ${name}`);
  }
  const value = signal(codec.default);
  const plain = codec.format(codec.default);
  const read = (given: string | null): void => {
    value.value = (given === null ? undefined : codec.parse(given)) ?? codec.default;
  };
  const write = (): string | undefined => {
    const now = codec.format(value.value);
    return now === plain ? undefined : now;
  };
  const query = new URLSearchParams(location.search);
  if (panelOf(query) === owner) read(query.get(key));
  bounds.push({ panel: owner, key, write, read });
  bound.value++;
  return value;
}

/** The panel's current signals as a query. An effect or component that calls it follows them. */
export function queryOf(owner: string): string {
  void bound.value;
  const query = new URLSearchParams();
  query.set('panel', owner);
  for (const one of bounds) {
    const written = one.panel === owner ? one.write() : undefined;
    if (written !== undefined) query.set(one.key, written);
  }
  if (new URLSearchParams(location.search).has('debug')) query.set('debug', '');
  return `?${query}`;
}

const panelOf = (query: URLSearchParams): string => {
  const asked = query.get('panel') ?? '';
  return panels.includes(asked) ? asked : (panels[0] ?? '');
};

let timer: ReturnType<typeof setTimeout> | undefined;
/** Keys of the URL that no signal has claimed yet; their panel may still be loading. */
let unclaimed: ReadonlySet<string> = new Set();
function writeNow(): void {
  clearTimeout(timer);
  timer = undefined;
  const query = new URLSearchParams(queryOf(panel.peek()));
  const old = new URLSearchParams(location.search);
  for (const key of unclaimed) if (!bounds.some((one) => one.panel === panel.peek() && one.key === key)) query.set(key, old.get(key) ?? '');
  const next = `?${query}`;
  if (next !== location.search) history.replaceState(null, '', next + location.hash);
}

/** Shows another panel, as a link would: a new entry of the history. */
export function showPanel(name: string): void {
  if (name === panel.peek()) return;
  if (timer !== undefined) writeNow();
  unclaimed = new Set();
  history.pushState(null, '', queryOf(name));
  panel.value = name;
}

/** Binds the URL; app.tsx calls it once with the names of the panels, the first of which is the default. */
export function bindUrl(names: readonly string[]): void {
  panels = names;
  const read = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const query = new URLSearchParams(location.search);
    panel.value = panelOf(query);
    unclaimed = new Set([...query.keys()].filter((key) => !RESERVED.includes(key)));
    for (const one of bounds) if (one.panel === panel.value) one.read(query.get(one.key));
  };
  read();
  addEventListener('popstate', read);
  addEventListener('pagehide', () => timer !== undefined && writeNow());
  let first = true;
  effect(() => {
    queryOf(panel.value);
    if (first) first = false;
    // Browsers refuse more than some 100 changes in half a minute; a slider makes them within a second.
    else timer ??= setTimeout(writeNow, 200);
  });
}
