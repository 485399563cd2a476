// The cache of a model's files, for loads that ask for it. Pages that keep nothing do not fetch what does.
import { isA, locate } from '../files/byte-source.js';
import type { ModelCache, ModelCacheOptions } from '../files/model-cache.js';
import { loadOwn } from '../gpu/own-file.js';

export const caching = () => loadOwn('caching', () => import('../files/model-cache.js'));

/** The URL of a server; undefined for anything else. @throws ArgumentError for text that is no address */
export function serverUrl(from: unknown): URL | undefined {
  if (typeof from !== 'string' && !isA(from, URL)) return undefined;
  const place = locate(from);
  return 'url' in place && /^https?:$/.test(place.url.protocol) ? place.url : undefined;
}

/** The cache of what comes from a server; undefined for anything else. */
export async function cacheOf(from: unknown, asking: ModelCacheOptions): Promise<ModelCache | undefined> {
  const url = serverUrl(from);
  return url && (await caching()).modelCache(url, asking);
}
