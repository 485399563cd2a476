// Tables, sizes and names as text of a given width. Pure.

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** Shortened in the middle if the line is too wide. */
  readonly flexible?: boolean;
}

/** Shortens `model.layers.10.self_attn.q_proj` to 20 as `model.lay….q_proj`: more of the end than of the beginning. */
export function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  const head = Math.floor((width - 1) / 3);
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`;
}

const LEAST = 12;

export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { width, indent = '', titles = true }: { readonly width: number; readonly indent?: string; readonly titles?: boolean },
): string {
  const all = titles ? [columns.map(({ title }) => title), ...rows] : rows;
  const widths = columns.map((_, i) => Math.max(0, ...all.map((row) => row[i]!.length)));
  let over = indent.length + widths.reduce((sum, one) => sum + one, 2 * (columns.length - 1)) - width;
  columns.forEach(({ flexible }, i) => {
    if (!flexible || over <= 0) return;
    const less = Math.min(over, Math.max(0, widths[i]! - LEAST));
    widths[i]! -= less;
    over -= less;
  });
  const line = (cells: readonly string[]): string =>
    indent +
    cells
      .map((cell, i) => {
        const text = shorten(cell, widths[i]!);
        return columns[i]!.align === 'left' ? text.padEnd(widths[i]!) : text.padStart(widths[i]!);
      })
      .join('  ')
      .trimEnd();
  return `${all.map(line).join('\n')}\n`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal units, three digits. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(value < 9.995 ? 2 : 1)} ${UNITS[unit]}`;
}

export const shapeText = (shape: readonly number[]): string => (shape.length === 0 ? 'scalar' : shape.join(' × '));
export const count = (number: number, what: string, plural = `${what}s`): string => `${number} ${number === 1 ? what : plural}`;
export const decibels = (sqnr: number): string => (Number.isFinite(sqnr) ? sqnr.toFixed(2) : sqnr > 0 ? 'exact' : String(sqnr));

/** Replaces numbers of a name by *: model.layers.*.mlp.up_proj. */
export const withoutNumbers = (name: string): string => name.replace(/(^|[./])\d+(?=$|[./])/g, '$1*');

export { printable as plain } from '../src/errors.js';
