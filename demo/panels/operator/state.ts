// The panel's state: the choice in the URL, the library's refusal of it, and the job, which continues while the panel is hidden.
import { computed, type Signal } from '@preact/signals';
import { BITS, type Bits } from '../../../src/problem/code-width.js';
import { choice, flag, integer, urlSignal } from '../../app/url-state.js';
import { makeJob } from '../../app/use-job.js';
import { JobError } from '../../worker/rpc.js';
import { type Choice, type Field, fieldOf, MODEL, MOST, refusal } from './jobs/choice.js';

type Signals = { readonly [Name in keyof Choice]: Signal<Choice[Name]> };

export const chosen: Signals = {
  m: urlSignal('operator.m', integer(64, { min: 1, max: MOST.m })),
  k: urlSignal('operator.k', integer(MODEL.k, { min: 0, max: MOST.k })),
  n: urlSignal('operator.n', integer(MODEL.n, { min: 0, max: MOST.n })),
  bits: urlSignal('operator.bits', choice<Bits>(4, BITS)),
  mode: urlSignal('operator.mode', choice<Choice['mode']>('group', ['tensor', 'channel', 'group'])),
  groupSize: urlSignal('operator.group', integer(32, { min: 1, max: MOST.k })),
  dtype: urlSignal('operator.dtype', choice<Choice['dtype']>('float16', ['float16', 'bfloat16', 'float32'])),
  scales: urlSignal('operator.scales', choice<Choice['scales']>('x', ['x', 'int64'])),
  format: urlSignal('operator.format', choice<Choice['format']>('ND', ['ND', 'FRACTAL_NZ'])),
  offset: urlSignal('operator.offset', flag(true)),
  bias: urlSignal('operator.bias', flag(false)),
  int8Output: urlSignal('operator.int8', flag(false)),
  quantOffset: urlSignal('operator.int8offset', flag(false)),
  innerPrecise: urlSignal('operator.precise', choice<number>(0, [0, 1])),
  data: urlSignal('operator.data', choice<Choice['data']>('model', ['model', 'dct', 'random'])),
  seed: urlSignal('operator.seed', integer(1, { min: 0, max: 2 ** 31 - 1 })),
};
const names = Object.keys(chosen) as (keyof Choice)[];

/** The choice; it follows every control. */
export const wanted = computed(() => Object.fromEntries(names.map((name) => [name, chosen[name].value])) as unknown as Choice);

export const job = makeJob('operator.run');

export interface Problem {
  readonly field: Field;
  /** A sentence. */
  readonly text: string;
  /** The library refuses it; else the page does. */
  readonly library: boolean;
}

/** Why the choice cannot run, and the field that shows it. */
export const problem = computed((): Problem | undefined => {
  const now = wanted.value;
  const refused = refusal(now);
  if (refused) return { field: fieldOf(refused.argument, now), text: `${refused.message}.`, library: true };
  if (now.data !== 'model') return undefined;
  for (const name of ['k', 'n'] as const)
    if (now[name] > MODEL[name]) return { field: name, text: `The trained layer is (${MODEL.n}, ${MODEL.k}).`, library: false };
  return undefined;
});

/** Text at a field: the choice's problem, or the argument that the library refused in the last run. */
export function saidAt(field: Field): string | undefined {
  if (problem.value) return problem.value.field === field ? problem.value.text : undefined;
  const thrown = job.status.value === 'failed' ? job.error.value : undefined;
  if (!(thrown instanceof JobError) || thrown.name !== 'ArgumentError') return undefined;
  return fieldOf(String(thrown.fields.argument), wanted.value) === field ? `${thrown.message}.` : undefined;
}

export const same = (a: Choice | undefined, b: Choice): boolean => a !== undefined && names.every((name) => a[name] === b[name]);
