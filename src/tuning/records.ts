// The stored form of measured choices. Their key names the adapter, the library's version and a hash of the kernels' text, so that choices
// of another adapter or build are never used. Pure.

import { kernels } from '../kernels/index.js';
import { variantId } from '../kernels/kernel.js';
import type { Tuned } from '../plan/findings.js';
import { VERSION } from '../version.js';
import { isOnDemand, sources } from '../wgsl/sources.js';
import { strip } from '../wgsl/strip.js';

/** problemClass → measured choice. */
export type Records = Readonly<Record<string, Tuned>>;

/** FNV-1a over UTF-16 units, two of them side by side: 64 bits as 16 hexadecimal digits. */
function hash(texts: readonly string[]): string {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (const text of texts)
    for (let i = 0; i <= text.length; i++) {
      const unit = i < text.length ? text.charCodeAt(i) : 0x10000; // marks the end of a text
      a = Math.imul(a ^ unit, 0x01000193);
      b = Math.imul(b ^ unit, 0x01000197);
    }
  return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
}

/** The key of an adapter's measured choices. */
export function storeKey(adapter: string): string {
  const texts = Object.keys(sources)
    .filter((name) => !isOnDemand(name))
    .sort()
    .flatMap((name) => [name, strip(sources[name]!)]); // comments do not count, and the package leaves them out
  const tiles = kernels.flatMap(({ name, tiles }) => tiles.map((tile) => variantId(name, tile)));
  return `antiquant ${VERSION} ${hash([...texts, ...tiles])} ${adapter}`;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** The valid choices of a stored value; a foreign or broken value has none. */
export function parseRecords(value: unknown): Records {
  if (!isRecord(value)) return {};
  const sound = (entry: unknown): entry is Tuned =>
    isRecord(entry) &&
    typeof entry.kernel === 'string' &&
    isRecord(entry.tile) &&
    Object.values(entry.tile).every(isNumber) &&
    isNumber(entry.ratio) &&
    isNumber(entry.candidates) &&
    typeof entry.date === 'string' &&
    (entry.short === undefined || isNumber(entry.short));
  return Object.fromEntries(Object.entries(value).filter((pair): pair is [string, Tuned] => sound(pair[1])));
}
