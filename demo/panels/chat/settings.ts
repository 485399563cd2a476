// The settings as tables: what an answer is asked with, and how a model is held. A row is a control, a key of the URL and an option of the
// library; controls.tsx shows the rows, and the jobs get their values by the names of the options.
import type { Signal } from '@preact/signals';
import { choice, number, urlSignal } from '../../app/url-state.js';

interface Row {
  /** The library's name of the option. */
  readonly option: string;
  readonly label: string;
  readonly hint?: string;
}
export interface NumberRow extends Row {
  readonly value: Signal<number>;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** This number stands for an option that is not given. */
  readonly none?: number;
}
export interface ChoiceRow extends Row {
  readonly value: Signal<string>;
  readonly choices: readonly (readonly [value: string, label: string])[];
}
export type SettingRow = NumberRow | ChoiceRow;

/** @param key of the URL @param plain its value where the URL has none */
const numberRow = (key: string, plain: number, row: Omit<NumberRow, 'value'>): NumberRow => ({
  ...row,
  value: urlSignal(`chat.${key}`, number(plain, row)),
});
const choiceRow = (key: string, plain: string, row: Omit<ChoiceRow, 'value'>): ChoiceRow => ({
  ...row,
  value: urlSignal(
    `chat.${key}`,
    choice<string>(
      plain,
      row.choices.map(([value]) => value),
    ),
  ),
});

/** How an answer is chosen: options of `generate`. */
export const SPEAKING = [
  numberRow('temperature', 0.7, {
    ...{ option: 'temperature', label: 'Temperature', min: 0, max: 5, step: 0.1 },
    hint: '0: always the likeliest token.',
  }),
  numberRow('seed', 1, {
    ...{ option: 'seed', label: 'Seed', min: 0, max: 2 ** 32 - 1, step: 1 },
    hint: 'The same seed, the same text.',
  }),
  numberRow('max', 60, {
    ...{ option: 'maxTokens', label: 'Most tokens', min: 1, max: 8192, step: 1 },
    hint: 'An answer may end before.',
  }),
  numberRow('topK', 0, {
    ...{ option: 'topK', label: 'Top-k', min: 0, max: 1_000_000, step: 1, none: 0 },
    hint: 'Of so many of the likeliest; 0: of all.',
  }),
  numberRow('topP', 1, {
    ...{ option: 'topP', label: 'Top-p', min: 0, max: 1, step: 0.01, none: 1 },
    hint: 'Of the likeliest with this share; 1: of all.',
  }),
  numberRow('minP', 0, {
    ...{ option: 'minP', label: 'Min-p', min: 0, max: 1, step: 0.01, none: 0 },
    hint: 'At least this share of the likeliest’s.',
  }),
] as const satisfies readonly SettingRow[];

/** How a model is held: options of `Llm.load`. They count from the next load on. */
export const HOLDING = [
  numberRow('context', 0, {
    ...{ option: 'context', label: 'Context, in tokens', min: 0, max: 1_048_576, step: 1, none: 0 },
    hint: '0: as trained, at most 4,096.',
  }),
  choiceRow('kv', 'f16', {
    ...{ option: 'kv', label: 'Keys and values as' },
    choices: [
      ['f16', 'float16'],
      ['f32', 'float32'],
      ['q8', 'int8'],
    ],
  }),
] as const satisfies readonly SettingRow[];

/** The rows as options of the library. */
export const optionsOf = (rows: readonly SettingRow[]): Record<string, number | string> =>
  Object.fromEntries(
    rows.flatMap((row): [string, number | string][] => {
      const value = row.value.peek();
      return 'none' in row && value === row.none ? [] : [[row.option, value]];
    }),
  );

export const [temperature, seed] = SPEAKING.map(({ value }) => value) as [Signal<number>, Signal<number>];
