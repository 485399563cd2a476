// A choice in words.
import { bytes } from '../../ui/numbers.js';
import type { Choice, Data } from './jobs/choice.js';

export const DATA: Readonly<Record<Data, string>> = { model: 'Trained layer', dct: 'Cosine basis', random: 'Random' };

export const DATA_HINTS: Readonly<Record<Data, string>> = {
  model:
    'The matrix (256, 256) of the queries in the first layer of the language model that the panel “Chat” runs, dequantized from the file’s Q4_K. Row m of x is its input for one token; it has no bias.',
  dct: 'The basis of the discrete cosine transform: row n is the cosine of frequency n. Row m of x is a wave, whose frequency rises with m.',
  random: 'Normal numbers; one weight in 1,000 is ten times as large.',
};

export const granularity = ({ mode, groupSize }: Pick<Choice, 'mode'> & { readonly groupSize: number | undefined }): string =>
  mode === 'group' ? `groups of ${groupSize}` : mode === 'channel' ? 'per channel' : 'per tensor';

export function title(choice: Choice): string {
  const parts = [`int${choice.bits}`, granularity(choice), ...(choice.offset ? ['with offsets'] : [])];
  const more = [
    ...(choice.scales === 'int64' ? ['64-bit scales'] : []),
    ...(choice.format === 'FRACTAL_NZ' ? ['FRACTAL_NZ'] : []),
    ...(choice.bias ? ['bias'] : []),
    ...(choice.quantOffset ? ['output offset'] : []),
    ...(choice.innerPrecise === 1 ? ['innerPrecise 1'] : []),
  ];
  const data = choice.data === 'random' ? `random, seed ${choice.seed}` : DATA[choice.data].toLowerCase();
  return [parts.join(', '), ...more, data].join(' · ');
}

export const decibels = (value: number): string => (value === Number.POSITIVE_INFINITY ? '∞ dB' : `${value.toFixed(1)} dB`);
export const times = (part: number, all: number): string => `${bytes(all)}, ${(all / part).toFixed(1)} times as much`;
