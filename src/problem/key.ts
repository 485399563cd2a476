// Cache keys. A key holds all fields of plain data, so a new field is part of it automatically. A caller that wants different data to share
// a key removes fields first, by name, and says why.

type Plain = string | number | boolean | bigint | null | undefined | object;

/** A text that is equal for equal data only. An undefined field counts as absent; the order of fields does not count. */
export function keyOf(data: Plain): string {
  if (Array.isArray(data)) return `[${data.map(keyOf).join(' ')}]`;
  if (typeof data !== 'object' || data === null) return typeof data === 'string' ? JSON.stringify(data) : String(data);
  const fields = Object.entries(data).filter(([, value]) => value !== undefined);
  return `{${fields
    .map(([name, value]) => `${name}=${keyOf(value as Plain)}`)
    .sort()
    .join(' ')}}`;
}

/** `keyOf(a) === keyOf(b)` without making texts: it runs at every call. */
export function sameData(a: Plain, b: Plain): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Number.isNaN(a) && Number.isNaN(b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [a as Record<string, Plain>, b as Record<string, Plain>];
  for (const name in left) if (!sameData(left[name], right[name])) return false;
  for (const name in right) if (right[name] !== undefined && left[name] === undefined) return false;
  return true;
}
