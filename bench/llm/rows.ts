// The rows of the table: what is measured, what it is held against, and how the report shows it.
import type { Spread } from './clocks.js';

export interface Row {
  readonly what: string;
  /** A ratio, or a count. */
  readonly measured: Spread;
  /** What it should be. */
  readonly floor?: { readonly atLeast: number } | { readonly atMost: number };
  /** How it was measured, and the figures behind a ratio. */
  readonly how: string;
}

const number = (value: number): string => (Number.isInteger(value) ? String(value) : value.toPrecision(3));
const met = ({ measured: { median }, floor }: Row): string => {
  if (!floor) return '';
  return ('atLeast' in floor ? median >= floor.atLeast : median <= floor.atMost) ? 'reached' : 'not reached';
};
const shown = ({ median, least, most }: Spread): string =>
  least === most ? number(median) : `${number(median)} (${number(least)} to ${number(most)})`;
const bound = ({ floor }: Row): string => (floor ? ('atLeast' in floor ? `≥ ${floor.atLeast}` : `≤ ${floor.atMost}`) : '');

/** A table in Markdown. */
export const tableOf = (rows: readonly Row[]): string =>
  [
    '| | floor | measured | | how |',
    '|---|--:|--:|---|---|',
    ...rows.map((row) => `| ${[row.what, bound(row), shown(row.measured), met(row), row.how].join(' | ')} |`),
  ].join('\n');
