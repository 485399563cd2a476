// The panel's state: choices as signals in the URL, and the jobs that follow from them. Keys that the panel "Operator" shares mean the same.
import { computed, effect } from '@preact/signals';
import { BITS, type Bits } from '../../../src/problem/code-width.js';
import { choice, flag, integer, queryOf, text, urlSignal } from '../../app/url-state.js';
import { makeJob } from '../../app/use-job.js';
import { device } from '../../app/worker.js';
import { MODEL, MOST } from '../operator/jobs/choice.js';
import { DEVICES, type DeviceName } from './jobs/devices.js';
import type { ShaderChoice } from './jobs/plan.js';
import type { Variant } from './jobs/text.js';

export const LIMITS = { m: 65536, k: 65536, n: 262144 } as const;

export const product = {
  m: urlSignal('shader.m', integer(64, { min: 1, max: LIMITS.m })),
  k: urlSignal('shader.k', integer(256, { min: 1, max: LIMITS.k })),
  n: urlSignal('shader.n', integer(256, { min: 1, max: LIMITS.n })),
  bits: urlSignal('shader.bits', choice<Bits>(4, BITS)),
  mode: urlSignal('shader.mode', choice<ShaderChoice['mode']>('group', ['tensor', 'channel', 'group'])),
  group: urlSignal('shader.group', integer(32, { min: 32, max: LIMITS.k })),
  dtype: urlSignal('shader.dtype', choice<ShaderChoice['dtype']>('float16', ['float16', 'bfloat16', 'float32'])),
  scales: urlSignal('shader.scales', choice<ShaderChoice['scales']>('x', ['x', 'int64'])),
  format: urlSignal('shader.format', choice<ShaderChoice['format']>('ND', ['ND', 'FRACTAL_NZ'])),
  offset: urlSignal('shader.offset', flag(true)),
  bias: urlSignal('shader.bias', flag(false)),
  int8: urlSignal('shader.int8', flag(false)),
  int8offset: urlSignal('shader.int8offset', flag(false)),
  precise: urlSignal('shader.precise', choice<0 | 1>(0, [0, 1])),
};
/** Choices that only this panel has. */
export const more = {
  codes: urlSignal('shader.codes', choice<ShaderChoice['codes']>('number', ['number', 'minimum', 'codebook', 'float'])),
  transposed: urlSignal('shader.xt', flag(false)),
  permuted: urlSignal('shader.order', flag(false)),
  inputScaled: urlSignal('shader.scaled', flag(false)),
};
export const asDevice = urlSignal(
  'shader.device',
  choice<'mine' | DeviceName>('mine', ['mine', ...(Object.keys(DEVICES) as DeviceName[])]),
);
/** A forced kernel, and one of its tiles as NAME=VALUE,…; empty for the planner's choice. */
export const kernel = urlSignal('shader.kernel', text('', 40));
export const tile = urlSignal('shader.tile', text('', 200));
/** The dispatch that is shown: `call-1`, `load-0`; empty for the product. */
export const stepName = urlSignal('shader.step', text('', 20));
/** A variant's id, as `llm/attend[E=64,…]`: its text is shown in the place of a plan. The panel "Chat" links to it. */
export const shown = urlSignal('shader.show', text('', 400));
/** The marked line of the text; 0 for none. */
export const line = urlSignal('shader.line', integer(0, { min: 0, max: 9999 }));

/** Resets the marked line for another text. */
export function changed(): void {
  line.value = 0;
}
export function force(name: string, of = ''): void {
  kernel.value = name;
  tile.value = of;
  stepName.value = '';
  changed();
}

/** The device of the plan if it is not this browser's: by choice, or because there is none here. */
export const otherDevice = computed<DeviceName | undefined>(() =>
  asDevice.value !== 'mine' ? asDevice.value : device.value.state === 'none' ? 'least' : undefined,
);

export const showTile = (params: Readonly<Record<string, number>>): string =>
  Object.entries(params)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
const variantOf = (id: string): Variant | undefined => {
  const [, shader, params] = /^([\w/-]+)(?:\[([\w=,]*)\])?$/.exec(id) ?? [];
  return shader ? { shader, params: readTile(params ?? '') } : undefined;
};
const readTile = (given: string): Record<string, number> =>
  Object.fromEntries(
    given.split(',').flatMap((pair) => {
      const [, name, value] = /^([A-Z_0-9]+)=(\d+)$/.exec(pair) ?? [];
      return name ? [[name, Number(value)]] : [];
    }),
  );

const chosen = computed<ShaderChoice>(() => ({
  m: product.m.value,
  k: product.k.value,
  n: product.n.value,
  bits: product.bits.value,
  mode: product.mode.value,
  group: product.group.value,
  dtype: product.dtype.value,
  scales: product.scales.value,
  format: product.format.value,
  offset: product.offset.value,
  bias: product.bias.value,
  int8: product.int8.value,
  int8Offset: product.int8.value && product.int8offset.value,
  precise: product.precise.value,
  codes: more.codes.value,
  transposed: more.transposed.value,
  permuted: more.permuted.value,
  inputScaled: more.inputScaled.value,
  ...(kernel.value && { force: { kernel: kernel.value, ...(tile.value && { tile: readTile(tile.value) }) } }),
}));

// ------------------------------------------------------------------------------------------------------------------ jobs

export const plan = makeJob('shader.plan');
export const source = makeJob('shader.text');
export const reflection = makeJob('shader.reflect');
export const compilation = makeJob('shader.compile');

/** The dispatch that is shown, by its index in the call or in the load. */
export const shownStep = computed(() => {
  const planned = plan.result.value;
  if (!planned) return undefined;
  const [, list, at] = /^(call|load)-(\d+)$/.exec(stepName.value) ?? [];
  const found = list && (list === 'call' ? planned.dispatches : planned.load)[Number(at)];
  if (found) return { name: stepName.value, step: found };
  const main = planned.dispatches[planned.main];
  return main && { name: `call-${planned.main}`, step: main };
});
const variant = computed<Variant | undefined>(() => {
  const asked = variantOf(shown.value);
  if (asked) return asked;
  const found = shownStep.value?.step ?? plan.result.value?.variant;
  return found && { shader: found.shader, params: found.params };
});
/** As text, so that an equal plan does not render the text again. */
const variantKey = computed(() => JSON.stringify(variant.value));

/** While the panel is shown: plans the choice and fetches the text of the dispatch that is shown. */
export function follow(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stops = [
    effect(() => {
      const other = otherDevice.value;
      const { state } = device.value;
      const args = { choice: chosen.value, ...(other && { caps: DEVICES[other].caps }) };
      // The job opens a lost device again.
      if (other || (state !== 'opening' && state !== 'none')) void plan.run(args);
    }),
    effect(() => {
      if (variantKey.value === undefined) return;
      const wanted: Variant = JSON.parse(variantKey.value);
      void source.run(wanted);
      void reflection.run(wanted);
    }),
    effect(() => {
      clearTimeout(timer);
      if (variantKey.value === undefined || device.value.state !== 'ready') return;
      // Delayed, so that not every typed digit plans.
      timer = setTimeout(measure, 300);
    }),
  ];
  return () => {
    clearTimeout(timer);
    for (const stop of stops) stop();
    for (const job of [plan, source, reflection, compilation]) job.cancel();
  };
}

export function measure(): void {
  const wanted = variant.peek();
  if (wanted) void compilation.run(wanted);
}

/** The query of the same product in the panel "Operator"; undefined if that panel cannot show it. */
export function operatorQuery(): string | undefined {
  const { m, k, n } = product;
  if (m.value > MOST.m || k.value > MOST.k || n.value > MOST.n) return undefined;
  if (more.codes.value !== 'number' || more.transposed.value || more.permuted.value || more.inputScaled.value) return undefined;
  const query = new URLSearchParams({ panel: 'operator' });
  for (const [name, value] of Object.entries(product)) {
    const now: unknown = value.value;
    query.set(name, typeof now === 'boolean' ? String(Number(now)) : String(now));
  }
  // Its trained layer is small.
  if (k.value > MODEL.k || n.value > MODEL.n) query.set('data', 'random');
  return `?${query}`;
}
/** The query of this panel's current state, with a marked line. */
export function lineQuery(at: number): string {
  const query = new URLSearchParams(queryOf('shader'));
  query.set('line', String(at));
  return `?${query}`;
}
