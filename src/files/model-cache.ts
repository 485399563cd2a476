// Models of URLs that are kept in the origin-private file system: opened through the cache, listed, and removed. A model is a folder: model.json
// has its URL; each of its files is a folder with file.json (URL, version, size) and the chunks, named by their numbers.
import { isMissing, ReadError } from '../errors.js';
import { attach, log, loggerOf } from '../log.js';
import { type CachedSource, type CacheStats, CHUNK, cachedSource, chunkBytes, chunksIn } from './cached-source.js';
import { guardedSource } from './guarded-source.js';
import { nameOfUrl } from './http-request.js';
import { httpSource } from './http-source.js';
import { askToKeep, isAbsent, names, ownFolder, readJson, type StoredFolder, store } from './opfs.js';
import type { ByteSource } from './tensor-file.js';

/** A model in the cache. */
export interface CachedModel {
  /** As it was given to `Llm.load`, without credentials. */
  readonly url: string;
  /** That are there. */
  readonly bytes: number;
  /** Of its files that were opened. */
  readonly total: number;
  readonly files: number;
}

/** A cache of one model. */
export interface ModelCache {
  /** Opens a file of the model. @throws as byteSource */
  open(url: URL): Promise<ByteSource>;
  /** Resolves when all that was fetched is written. */
  settled(): Promise<void>;
  readonly stats: CacheStats;
}

/** How files are fetched. */
export interface ModelCacheOptions {
  readonly fetch?: typeof globalThis.fetch | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface FileRecord {
  readonly url: string;
  readonly version: string;
  readonly size: number;
}

const MODEL = 'model.json';
const FILE = 'file.json';
const WHOLE_UP_TO = 64 * 2 ** 20;

const plainUrl = (url: URL): string => {
  const bare = new URL(url);
  [bare.username, bare.password, bare.hash] = ['', '', ''];
  return bare.href;
};
const json = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;

/** A name for a folder. */
async function nameFor(url: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url)));
  return Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const isRecord = (value: unknown): value is FileRecord => {
  const { url, version, size } = (value ?? {}) as Partial<FileRecord>;
  return typeof url === 'string' && typeof version === 'string' && Number.isSafeInteger(size) && size! >= 0;
};

/** Where a file of the model is kept. */
interface Kept {
  readonly folder: StoredFolder;
  readonly record: FileRecord | undefined;
}

/**
 * Opens the cache of a model. It never fails: without a file system, without space, or after an error of it, `stats.off` says why, and files come
 * from the network alone.
 */
export async function modelCache(model: URL, { fetch: ask = globalThis.fetch, signal }: ModelCacheOptions = {}): Promise<ModelCache> {
  // The browser's own cache would hold the same bytes once more.
  const fetch = attach<typeof globalThis.fetch>((url, init) => ask(url, { ...init, cache: 'no-store' }), loggerOf(ask));
  const stats: CacheStats = { cached: 0, fetched: 0, stored: 0 };
  const off = (error: unknown): void => {
    const { name, message } = (error ?? {}) as { name?: string; message?: string };
    if (stats.off !== undefined) return;
    stats.off = name === 'QuotaExceededError' ? `there is no more space: ${message}` : (message ?? String(error));
    log(ask, 'uncached', `the cache is written no more: ${stats.off}`, { why: stats.off });
  };
  /** Undefined after an error. */
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    if (stats.off !== undefined) return undefined;
    try {
      return await work();
    } catch (error) {
      off(error);
      return undefined;
    }
  };
  const folder = await attempt(async () => {
    const own = await (await ownFolder({ create: true })).getDirectoryHandle(await nameFor(plainUrl(model)), { create: true });
    await store(own, MODEL, json({ url: plainUrl(model) }));
    askToKeep();
    return own;
  });
  const opened: CachedSource[] = [];

  const kept = (url: URL): Promise<Kept | undefined> =>
    attempt(async () => {
      const own = await folder!.getDirectoryHandle(await nameFor(plainUrl(url)), { create: true });
      const record = await readJson(own, FILE);
      return { folder: own, record: isRecord(record) && record.url === plainUrl(url) ? record : undefined };
    });

  /** Chunks of this version; those of another are removed. */
  const chunksOf = (url: URL, { folder: own, record }: Kept, now: FileRecord) =>
    attempt(async () => {
      if (record?.version === now.version && record.size === now.size) return { folder: own, have: await chunksIn(own, now.size) };
      const name = await nameFor(plainUrl(url));
      await folder!.removeEntry(name, { recursive: true });
      const fresh = await folder!.getDirectoryHandle(name, { create: true });
      await store(fresh, FILE, json(now));
      return { folder: fresh, have: new Set<number>() };
    });

  const through = (source: ByteSource, chunks: { readonly folder: StoredFolder; readonly have: Set<number> }): ByteSource => {
    const made = cachedSource({ source, chunks, stats, off });
    opened.push(made);
    return made;
  };

  const open = async (url: URL): Promise<ByteSource> => {
    const own = await kept(url);
    let source: Awaited<ReturnType<typeof httpSource>>;
    try {
      source = await httpSource(url, { fetch, wholeUpTo: WHOLE_UP_TO, signal });
    } catch (error) {
      const found = own && (await offline(url, own, error));
      if (found) return through(...found);
      if (own && !own.record) await attempt(async () => folder!.removeEntry(await nameFor(plainUrl(url)), { recursive: true }));
      throw error;
    }
    const chunks = own && (await chunksOf(url, own, { url: plainUrl(url), version: source.version, size: source.size }));
    return chunks ? through(source, chunks) : counted(source, stats);
  };

  /** Without a network a file is served if all of it is there. @throws ReadError for a file that the model did not have */
  const offline = async (url: URL, { folder: own, record }: Kept, error: unknown) => {
    if (!(error instanceof ReadError) || error.status !== undefined || isMissing(error)) return undefined;
    if (!record) {
      const others = await attempt(async () => (await names(folder!)).length > 2); // model.json, and the folder that was made for this file
      if (others) throw new ReadError(nameOfUrl(url), 'there is no network, and it is not in the cache of this model', { missing: true });
      return undefined;
    }
    const have = await attempt(() => chunksIn(own, record.size));
    if (!have || have.size < Math.ceil(record.size / CHUNK)) return undefined;
    const none = guardedSource(nameOfUrl(url), record.size, () => Promise.reject(error));
    return [none, { folder: own, have }] as const;
  };

  return { open, stats, settled: async () => void (await Promise.all(opened.map((source) => source.settled()))) };
}

/** A source whose bytes are counted as fetched. */
const counted = (source: ByteSource, stats: CacheStats): ByteSource => ({
  ...source,
  async read(begin, end, signal) {
    const bytes = await source.read(begin, end, signal);
    stats.fetched += bytes.length;
    return bytes;
  },
});

/** The library's folder, if there is one. */
async function existing(): Promise<StoredFolder | undefined> {
  try {
    return await ownFolder({ create: false });
  } catch {
    return undefined;
  }
}

/** All models of the cache; none where there is no cache. */
export async function cachedModels(): Promise<CachedModel[]> {
  const root = await existing();
  if (!root) return [];
  const found: CachedModel[] = [];
  for (const name of await names(root)) {
    const model = await root.getDirectoryHandle(name).catch(() => undefined);
    const said = model && ((await readJson(model, MODEL)) as { url?: unknown } | undefined);
    if (!model || typeof said?.url !== 'string') continue;
    let [bytes, total, files] = [0, 0, 0];
    for (const one of await names(model)) {
      const file = await model.getDirectoryHandle(one).catch(() => undefined);
      const record = file && (await readJson(file, FILE));
      if (!file || !isRecord(record)) continue;
      for (const chunk of await chunksIn(file, record.size)) bytes += chunkBytes(chunk, record.size);
      total += record.size;
      files++;
    }
    found.push({ url: said.url, bytes, total, files });
  }
  return found;
}

/** Removes a model from the cache. @returns was it there? */
export async function evictModel(url: URL): Promise<boolean> {
  const root = await existing();
  try {
    await root?.removeEntry(await nameFor(plainUrl(url)), { recursive: true });
    return root !== undefined;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw new ReadError(nameOfUrl(url), `it cannot be removed from the cache: ${(error as Error).message}`);
  }
}
