// The panel's state: settings in the URL, the picture, and results of the Worker. A mode is computed again only if its settings change: the
// slider of group sizes does not affect the other modes. Results stay while the panel is hidden.
import { computed, effect, signal } from '@preact/signals';
import type { Method, Mode } from '../../../src/formats.js';
import { BITS, type Bits } from '../../../src/problem/code-width.js';
import { type Codec, choice, flag, integer, urlSignal } from '../../app/url-state.js';
import { makeJob } from '../../app/use-job.js';
import type { Cell, View } from '../../ui/heatmap.js';
import { BASES, type Basis, MODES, type Picture, type Settings } from './jobs/data.js';
import type { Original, Part, Variant } from './jobs/index.js';

export const METHODS = ['minmax', 'mse', 'hqq'] as const satisfies readonly Method[];
const LEAST = 8;
export const sizeOf = (exponent: number): number => LEAST * 2 ** exponent;
/** Group sizes are powers of two; the URL has the size. */
const groupCodec: Codec<number> = {
  default: 2,
  parse: (text) => [0, 1, 2, 3, 4, 5, 6].find((exponent) => String(sizeOf(exponent)) === text),
  format: (exponent) => String(sizeOf(exponent)),
};

export const spot = urlSignal('picture.spot', flag(false));
export const bits = urlSignal('picture.bits', choice<Bits>(4, BITS));
export const method = urlSignal('picture.method', choice<Method>('minmax', METHODS));
export const zeroPoints = urlSignal('picture.zeros', flag(true));
export const basis = urlSignal('picture.x', choice<Basis>('identity', BASES));
/** Exponent of the group size (8, 16, …). */
export const exponent = urlSignal('picture.group', groupCodec);
/** Exponent of the factor on differences; 0 chooses a factor. */
export const amplify = urlSignal('picture.amplify', integer(0, { min: 0, max: 9 }));

export const picture = signal<Picture | undefined>(undefined);
export const original = signal<(Original & { readonly key: string }) | undefined>(undefined);
export interface Shown extends Variant {
  readonly key: string;
  readonly settings: Settings;
}
export const shown = signal<Readonly<Partial<Record<Mode, Shown>>>>({});
export const view = signal<View>({ left: 0, top: 0, width: 1, height: 1 });
export const cursor = signal<Cell | undefined>(undefined);

export const settings = computed<Settings>(() => ({
  spot: spot.value,
  basis: basis.value,
  bits: bits.value,
  method: method.value,
  symmetric: !zeroPoints.value && method.value !== 'hqq',
  groupSize: sizeOf(exponent.value),
}));
const originalKey = ({ id }: Picture, { spot: lit, basis: x }: Settings): string => [id, lit, x].join(' ');
function keyOf(mode: Mode, of: Picture, wanted: Settings): string {
  const size = mode === 'group' ? Math.min(of.columns, wanted.groupSize) : '';
  return [originalKey(of, wanted), wanted.bits, wanted.method, wanted.symmetric, size].join(' ');
}

export const building = makeJob('picture.builtIn');
export const opening = makeJob('picture.open');
export const running = makeJob('picture.run');
/** All group sizes for the chart; computed last. */
export const sweeping = makeJob('picture.sweep');
let swept = '';
function sweep(): void {
  const of = picture.value;
  const { spot: lit, bits: width, method: by, symmetric } = settings.value;
  if (running.status.value !== 'done' || !of) {
    sweeping.cancel();
    return;
  }
  const key = [of.id, lit, width, by, symmetric].join(' ');
  if (key === swept) return;
  sweeping.run({ picture: of, spot: lit, bits: width, method: by, symmetric }).then((got) => {
    if (got) swept = key;
  });
}

function show(next: Picture): void {
  if (picture.peek()?.id === next.id) return;
  shown.value = {};
  original.value = undefined;
  cursor.value = undefined;
  view.value = { left: 0, top: 0, width: next.columns, height: next.rows };
  picture.value = next;
}
export async function showBuiltIn(): Promise<void> {
  opening.cancel();
  const got = building.result.peek() ?? (await building.run(undefined));
  if (got) show(got);
}
let last = 0;
export async function showFile(file: File): Promise<void> {
  building.cancel();
  const got = await opening.run({ file, id: ++last });
  if (got) show(got);
}

/** Computes missing results. */
export function run(): void {
  const of = picture.peek();
  const wanted = settings.peek();
  if (!of) {
    if (opening.status.peek() !== 'running') void showBuiltIn();
    return;
  }
  const missing = MODES.filter((mode) => shown.peek()[mode]?.key !== keyOf(mode, of, wanted));
  // If nothing is missing, this cancels a run for settings that are no longer chosen.
  if (missing.length === 0 && running.status.peek() !== 'running' && running.status.peek() !== 'cancelled') return;
  const onPart = (part: Part): void => {
    if ('original' in part) {
      const key = originalKey(of, wanted);
      if (original.peek()?.key !== key) original.value = { ...part.original, key };
    } else {
      const { variant } = part;
      shown.value = { ...shown.peek(), [variant.mode]: { ...variant, settings: wanted, key: keyOf(variant.mode, of, wanted) } };
    }
  };
  void running.run({ ...wanted, picture: of, modes: missing }, { onPart });
}

/** Milliseconds that a control must rest before its change runs. */
const REST = 60;
/** Follows the picture and the settings until the returned function is called. */
export function follow(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = effect(() => {
    void settings.value;
    void picture.value;
    clearTimeout(timer);
    timer = setTimeout(run, REST);
  });
  const stopSweeping = effect(sweep);
  return () => {
    clearTimeout(timer);
    stop();
    stopSweeping();
    for (const job of [building, opening, running, sweeping]) job.cancel();
  };
}
