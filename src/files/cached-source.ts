// A file of a URL, of which what was read once is kept in chunks. A chunk is a file of its own, written whole or not at all: which chunks there
// are is which files of their size there are, whatever ended the page. Bytes come from a chunk where it is there, else by range requests of whole chunks,
// which are written behind while the caller goes on.
import { guardedSource, memoryFor } from './guarded-source.js';
import { names, type StoredFolder, store } from './opfs.js';
import type { ByteSource } from './tensor-file.js';

/** Bytes of a chunk; the last of a file may be shorter. */
export const CHUNK = 4 * 2 ** 20;
/** Chunks of a request at most. */
const AT_ONCE = 4;
/** Chunks that are held in memory until they are written. */
const BACKLOG = 4;

/** What a cache did, in bytes. */
export interface CacheStats {
  /** Read from the cache. */
  cached: number;
  /** Fetched from the network. */
  fetched: number;
  /** Written to the cache. */
  stored: number;
  /** Why nothing more is written. */
  off?: string | undefined;
}

/** A file's chunks. */
export interface Chunks {
  readonly folder: StoredFolder;
  /** Numbers of those that are there. */
  readonly have: Set<number>;
}

export const chunkBytes = (chunk: number, size: number): number => Math.max(0, Math.min(CHUNK, size - chunk * CHUNK));

/** Numbers of the chunks of a file of `size` bytes that are there whole: a page that ended while one was made may have left an empty or a shorter one. */
export async function chunksIn(folder: StoredFolder, size: number): Promise<Set<number>> {
  const numbers = (await names(folder)).filter((name) => /^(0|[1-9]\d{0,8})$/.test(name)).map(Number);
  const sizes = await Promise.all(
    numbers.map(async (chunk) => {
      try {
        return (await (await folder.getFileHandle(String(chunk))).getFile()).size;
      } catch {
        return 0; // removed meanwhile
      }
    }),
  );
  return new Set(numbers.filter((chunk, i) => sizes[i]! > 0 && sizes[i] === chunkBytes(chunk, size)));
}

interface Sources {
  /** The network. */
  readonly source: ByteSource;
  readonly chunks: Chunks;
  readonly stats: CacheStats;
  /** Tells that the cache cannot be written. */
  readonly off: (error: unknown) => void;
}

/** A source, and the end of its writing. */
export interface CachedSource extends ByteSource {
  /** Resolves when all that was fetched is written, or cannot be. */
  settled(): Promise<void>;
}

/** `read` throws as the source's. Whatever the cache does, bytes come. */
export function cachedSource({ source, chunks, stats, off }: Sources): CachedSource {
  const { name, size } = source;
  const { folder, have } = chunks;
  /** Chunks on their way from the network. */
  const coming = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();
  /** Chunks that wait for being written. */
  const writing = new Map<number, Uint8Array<ArrayBuffer>>();
  let last: Promise<void> = Promise.resolve();

  /** A part of a stored chunk; undefined if it is not there as it should be. */
  const stored = async (chunk: number, begin: number, end: number): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    if (!have.has(chunk)) return undefined;
    try {
      const file = await (await folder.getFileHandle(String(chunk))).getFile();
      if (file.size !== chunkBytes(chunk, size)) throw new Error('a chunk of another size');
      const bytes = new Uint8Array(await file.slice(begin, end).arrayBuffer());
      if (bytes.length !== end - begin) throw new Error('a chunk that ends early');
      stats.cached += bytes.length;
      return bytes;
    } catch {
      have.delete(chunk); // the browser, or another page, has removed it
      return undefined;
    }
  };

  const keep = (chunk: number, bytes: Uint8Array<ArrayBuffer>): void => {
    if (stats.off !== undefined) return;
    writing.set(chunk, bytes);
    last = last.then(async () => {
      try {
        if (stats.off !== undefined) return;
        await store(folder, String(chunk), bytes);
        have.add(chunk);
        stats.stored += bytes.length;
      } catch (error) {
        off(error);
      } finally {
        writing.delete(chunk);
      }
    });
  };

  /** Asks for chunks `from` to below `to`, and keeps them. */
  const request = (from: number, to: number, signal: AbortSignal | undefined): void => {
    const begin = from * CHUNK;
    const end = Math.min(size, to * CHUNK);
    const all = source.read(begin, end, signal).then((bytes) => {
      stats.fetched += bytes.length;
      return bytes;
    });
    for (let chunk = from; chunk < to; chunk++) {
      const at = chunk * CHUNK - begin;
      const one = all.then((bytes) => bytes.slice(at, at + CHUNK)); // memory of its own: others of the request may go
      coming.set(chunk, one);
      one
        .then((bytes) => keep(chunk, bytes))
        .then(
          () => coming.delete(chunk),
          () => coming.delete(chunk),
        );
    }
  };

  const direct: ByteSource['read'] = async (begin, end, signal) => {
    const bytes = await source.read(begin, end, signal);
    stats.fetched += bytes.length;
    return bytes;
  };

  const guarded = guardedSource(name, size, async (begin, end, signal) => {
    const out = memoryFor(end - begin, name);
    const until = Math.ceil(end / CHUNK);
    for (let chunk = Math.floor(begin / CHUNK); chunk < until; chunk++) {
      const first = chunk * CHUNK;
      const [from, to] = [Math.max(begin, first) - first, Math.min(end, first + CHUNK) - first];
      let part = writing.get(chunk)?.subarray(from, to) ?? (await stored(chunk, from, to));
      if (!part && stats.off !== undefined && !coming.has(chunk)) {
        // The rest may come at once, but for chunks that are there.
        let next = chunk + 1;
        while (next < until && !have.has(next) && !writing.has(next)) next++;
        const stop = Math.min(end, next * CHUNK);
        out.set(await direct(first + from, stop, signal), first + from - begin);
        chunk = next - 1;
        continue;
      }
      while (!part) {
        signal?.throwIfAborted();
        const known = coming.get(chunk);
        if (!known && writing.size >= BACKLOG) {
          await last;
          part = writing.get(chunk)?.subarray(from, to) ?? (await stored(chunk, from, to)); // another reader may have asked for it
          continue;
        }
        if (!known) {
          let next = chunk + 1;
          while (next < until && next - chunk < AT_ONCE && !have.has(next) && !writing.has(next) && !coming.has(next)) next++;
          request(chunk, next, signal);
        }
        try {
          part = (await coming.get(chunk)!).subarray(from, to);
        } catch (error) {
          // Of another reader's request, which its signal may have ended.
          if (!known || signal?.aborted) throw error;
        }
      }
      out.set(part, first + from - begin);
    }
    return out;
  });
  return { ...guarded, settled: () => last };
}
