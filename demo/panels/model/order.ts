// Filters and sorts the rows of the list. Pure.
import type { Kind, Row } from './jobs/open.js';
import type { SortBy } from './state.js';

export const elements = ({ shape }: Row): number => shape.reduce((a, b) => a * b, 1);
const text = new Intl.Collator('en', { numeric: true });

const BY: Readonly<Record<Exclude<SortBy, 'file'>, (a: Row, b: Row) => number>> = {
  name: (a, b) => text.compare(a.name, b.name),
  dtype: (a, b) => text.compare(a.dtype, b.dtype),
  shape: (a, b) => elements(a) - elements(b),
  bytes: (a, b) => a.bytes - b.bytes,
  bits: (a, b) => (a.bits ?? 0) - (b.bits ?? 0),
  role: (a, b) => text.compare(a.what, b.what),
};

export interface Order {
  readonly find: string;
  readonly kind: Kind | 'all';
  readonly sortBy: SortBy;
  readonly descending: boolean;
}

/** Every word of `find` must be in the name, the dtype or the role. */
export function ordered(rows: readonly Row[], { find, kind, sortBy, descending }: Order): readonly Row[] {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  const left = rows.filter((row) => {
    if (kind !== 'all' && row.kind !== kind) return false;
    if (words.length === 0) return true;
    const all = `${row.name} ${row.dtype} ${row.role}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
  if (sortBy !== 'file') left.sort(BY[sortBy]);
  return descending ? left.reverse() : left;
}
