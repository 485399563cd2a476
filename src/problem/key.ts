// Cache keys. A key is made of all fields of the plain data that it stands for, so that a new field is in it by itself. Who wants two
// different things to share a key takes fields out of the data first, by name, and says why.

type Plain = string | number | boolean | bigint | null | undefined | object;

/** Text that two pieces of plain data share only if they are equal. Fields that are undefined count as absent; their order does not count. */
export function keyOf(data: Plain): string {
  if (Array.isArray(data)) return `[${data.map(keyOf).join(' ')}]`;
  if (typeof data !== 'object' || data === null) return typeof data === 'string' ? JSON.stringify(data) : String(data);
  const fields = Object.entries(data).filter(([, value]) => value !== undefined);
  return `{${fields
    .map(([name, value]) => `${name}=${keyOf(value as Plain)}`)
    .sort()
    .join(' ')}}`;
}

/** `keyOf(a) === keyOf(b)`, without making text: for what is asked at every call. */
export function sameData(a: Plain, b: Plain): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Number.isNaN(a) && Number.isNaN(b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [a as Record<string, Plain>, b as Record<string, Plain>];
  for (const name in left) if (!sameData(left[name], right[name])) return false;
  for (const name in right) if (right[name] !== undefined && left[name] === undefined) return false;
  return true;
}
