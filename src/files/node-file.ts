// A file on disk under Node, Deno or Bun. Opened for each read and closed after it: nothing has to be closed by whoever made the source.
import { FormatError, UnsupportedError } from '../errors.js';
import { asFormatError, guardedSource } from './guarded-source.js';
import type { ByteSource } from './tensor-file.js';

/** As much of Node's modules as is used; asked for at run time, so that bundlers see no import. */
interface Handle {
  stat(): Promise<{ readonly size: number; isFile(): boolean }>;
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  close(): Promise<void>;
}
interface Modules {
  readonly fs: { open(path: string): Promise<Handle> };
  readonly path: { join(...parts: string[]): string; dirname(path: string): string };
  readonly url: { fileURLToPath(url: URL): string };
}

/** A read is cut into pieces, so that it can be aborted. */
const PIECE = 8 * 2 ** 20;

/** Undefined in browsers. */
export function nodeModules(): Modules | undefined {
  const load = (globalThis as { process?: { getBuiltinModule?(name: string): unknown } }).process?.getBuiltinModule;
  const [fs, path, url] = ['node:fs/promises', 'node:path', 'node:url'].map((name) => load?.(name));
  return fs && path && url ? ({ fs, path, url } as Modules) : undefined;
}

/** @throws FormatError if it cannot be read, UnsupportedError where there is no file system */
export async function nodeFile(path: string): Promise<ByteSource> {
  const modules = nodeModules();
  if (!modules) throw new UnsupportedError(path, ['a path needs Node, Deno or Bun; give a File or a URL here']);
  const within = async <T>(field: string, work: (handle: Handle) => Promise<T>, signal?: AbortSignal): Promise<T> => {
    let handle: Handle | undefined;
    try {
      handle = await modules.fs.open(path);
      return await work(handle);
    } catch (error) {
      signal?.throwIfAborted();
      throw asFormatError(error, { file: path, field }, 'a file that can be read');
    } finally {
      await handle?.close();
    }
  };
  const size = await within('file', async (handle) => {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new FormatError({ file: path, field: 'file' }, 'a file', 'something else, e.g. a folder');
    return stat.size;
  });
  const readPart: ByteSource['read'] = (begin, end, signal) => {
    const fill = async (handle: Handle): Promise<Uint8Array<ArrayBuffer>> => {
      const now = (await handle.stat()).size;
      if (now !== size) throw new FormatError({ file: path, field: 'size' }, `${size}, as when it was opened`, String(now));
      const bytes = new Uint8Array(end - begin);
      let got = 0;
      for (let more = 1; more > 0 && got < bytes.length; got += more) {
        signal?.throwIfAborted();
        more = (await handle.read(bytes, got, Math.min(PIECE, bytes.length - got), begin + got)).bytesRead;
      }
      return bytes.subarray(0, got);
    };
    return within(`bytes ${begin} to ${end}`, fill, signal);
  };
  return guardedSource(path, size, readPart);
}
