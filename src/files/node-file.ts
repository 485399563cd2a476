// Reads a file on disk under Node, Deno or Bun. It is opened for each read and closed after it, so that the caller has nothing to close. A
// change of its size or its time of change is an error; both are checked after each read.
import { FormatError, ReadError, UnsupportedError } from '../errors.js';
import { asReadError, guardedSource, memoryFor } from './guarded-source.js';
import type { ByteSource } from './tensor-file.js';

interface Stat {
  readonly size: number;
  readonly mtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
}
/** The parts of Node that are used. They are looked up at run time, so that bundlers see no import. */
interface Handle {
  stat(): Promise<Stat>;
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  close(): Promise<void>;
}
interface Modules {
  readonly fs: { open(path: string): Promise<Handle>; stat(path: string): Promise<Stat>; readdir(path: string): Promise<string[]> };
  readonly path: { join(...parts: string[]): string; dirname(path: string): string };
  readonly url: { fileURLToPath(url: URL): string };
}

/** Bytes of a piece: reads are cut into pieces, between which they can be aborted. */
const PIECE = 8 * 2 ** 20;

/** Node's modules; undefined in browsers. */
export function nodeModules(): Modules | undefined {
  const load = (globalThis as { process?: { getBuiltinModule?(name: string): unknown } }).process?.getBuiltinModule;
  const [fs, path, url] = ['node:fs/promises', 'node:path', 'node:url'].map((name) => load?.(name));
  return fs && path && url ? ({ fs, path, url } as Modules) : undefined;
}

/** Is there a folder of this path? False in browsers. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await nodeModules()?.fs.stat(path))?.isDirectory() ?? false;
  } catch {
    return false; // whoever opens it says why it cannot be read
  }
}

/** Names of what is in a folder. @throws ReadError */
export async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return (await nodeModules()?.fs.readdir(path)) ?? [];
  } catch (error) {
    throw asReadError(error, path);
  }
}

/** @throws ReadError if it cannot be read, FormatError if it has changed, UnsupportedError without a file system */
export async function nodeFile(path: string): Promise<ByteSource> {
  const modules = nodeModules();
  if (!modules) throw new UnsupportedError(path, ['a path needs Node, Deno or Bun; give a File or a URL here']);
  const within = async <T>(work: (handle: Handle) => Promise<T>, signal?: AbortSignal): Promise<T> => {
    let handle: Handle | undefined;
    try {
      handle = await modules.fs.open(path);
      return await work(handle);
    } catch (error) {
      signal?.throwIfAborted();
      throw asReadError(error, path);
    } finally {
      await handle?.close();
    }
  };
  const { size, mtimeMs } = await within(async (handle) => {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new ReadError(path, 'it is no file, but a folder or something else');
    return stat;
  });
  const unchanged = async (handle: Handle): Promise<void> => {
    const now = await handle.stat();
    if (now.size !== size) throw new FormatError({ file: path, field: 'size' }, `${size}, as when it was opened`, String(now.size));
    if (now.mtimeMs !== mtimeMs)
      throw new FormatError({ file: path, field: 'time of change' }, 'as when it was opened', 'a later change: it is another file now');
  };
  const readPart: ByteSource['read'] = (begin, end, signal) =>
    within(async (handle) => {
      await unchanged(handle); // before memory is allocated
      const bytes = memoryFor(end - begin, path);
      let got = 0;
      for (let more = 1; more > 0 && got < bytes.length; got += more) {
        signal?.throwIfAborted();
        more = (await handle.read(bytes, got, Math.min(PIECE, bytes.length - got), begin + got)).bytesRead;
      }
      await unchanged(handle);
      return bytes.subarray(0, got);
    }, signal);
  return guardedSource(path, size, readPart);
}
