// Formats numbers for the page.

export const whole = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 0 });

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';
/** Three digits; with a power of ten below a thousandth and from a hundred thousand on. */
export function short(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(digits))).replace('-', '−');
  const [mantissa, power] = value.toExponential(Math.max(1, digits - 2)).split('e') as [string, string];
  const raised = [...String(Math.abs(Number(power)))].map((digit) => SUPERSCRIPTS[Number(digit)]).join('');
  return `${mantissa.replace('-', '−')} × 10${Number(power) < 0 ? '⁻' : ''}${raised}`;
}

export const milliseconds = (value: number): string =>
  value < 0.1
    ? `${short(value * 1000)} µs`
    : value < 1
      ? `${value.toFixed(2)} ms`
      : value < 10
        ? `${value.toFixed(1)} ms`
        : `${whole(value)} ms`;

/** Milliseconds, or seconds from one on. */
export const duration = (ms: number): string => (ms < 1000 ? milliseconds(ms) : `${short(ms / 1000)} s`);

/** Bytes in units of 1024. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [count, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 || value >= 100 || Number.isInteger(value) ? whole(value) : value.toFixed(1)} ${units[unit]}`;
}

export const percent = (share: number): string => `${share >= 0.0995 || share === 0 ? (100 * share).toFixed(0) : short(100 * share, 2)} %`;
/** `1 row`, `4 rows`. */
export const counted = (count: number, one: string, many = `${one}s`): string => `${whole(count)} ${count === 1 ? one : many}`;
