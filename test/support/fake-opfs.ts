// The origin-private file system in memory, as browsers have it, with their faults: no space, no writing on the page's thread. Holds no test.
import type { StoredFile, StoredFolder } from '../../src/files/opfs.js';

export interface FakeOptions {
  /** Bytes that fit. */
  readonly quota?: number;
  /** How files are written. */
  readonly writes?: 'writable' | 'sync' | 'not';
}

export interface FakeFolder extends StoredFolder {
  readonly entries: Map<string, FakeFolder | { bytes: Uint8Array<ArrayBuffer> }>;
}

const absent = (name: string): DOMException => new DOMException(`${name} is not there`, 'NotFoundError');
const isFolder = (entry: unknown): entry is FakeFolder => typeof entry === 'object' && entry !== null && 'entries' in entry;

/** A file system, and `navigator.storage` of it. */
export function fakeOpfs({ quota = Number.POSITIVE_INFINITY, writes = 'writable' }: FakeOptions = {}) {
  let used = 0;
  const put = (file: { bytes: Uint8Array<ArrayBuffer> }, bytes: Uint8Array<ArrayBuffer>): void => {
    if (used + bytes.length - file.bytes.length > quota) throw new DOMException('the quota has been exceeded', 'QuotaExceededError');
    used += bytes.length - file.bytes.length;
    file.bytes = bytes.slice();
  };
  const fileOf = (file: { bytes: Uint8Array<ArrayBuffer> }): StoredFile => ({
    getFile: async () => new Blob([file.bytes]),
    ...(writes === 'writable' && {
      async createWritable() {
        const parts: Uint8Array<ArrayBuffer>[] = [];
        return {
          write: async (bytes: Uint8Array<ArrayBuffer>) => void parts.push(bytes.slice()),
          close: async () => put(file, parts[0]!),
          abort: async () => {},
        };
      },
    }),
    ...(writes === 'sync' && {
      async createSyncAccessHandle() {
        return {
          truncate: () => put(file, new Uint8Array(0)),
          write(bytes: Uint8Array<ArrayBuffer>) {
            put(file, bytes);
            return bytes.length;
          },
          flush() {},
          close() {},
        };
      },
    }),
  });
  const folder = (): FakeFolder => {
    const entries: FakeFolder['entries'] = new Map();
    return {
      entries,
      async getDirectoryHandle(name, options) {
        const found = entries.get(name) ?? (options?.create ? folder() : undefined);
        if (!found) throw absent(name);
        if (!isFolder(found)) throw new DOMException('it is a file', 'TypeMismatchError');
        entries.set(name, found);
        return found;
      },
      async getFileHandle(name, options) {
        const found = entries.get(name) ?? (options?.create ? { bytes: new Uint8Array(0) } : undefined);
        if (!found) throw absent(name);
        if (isFolder(found)) throw new DOMException('it is a folder', 'TypeMismatchError');
        entries.set(name, found);
        return fileOf(found);
      },
      async removeEntry(name) {
        const size = (entry: unknown): number =>
          isFolder(entry)
            ? [...entry.entries.values()].reduce((sum, one) => sum + size(one), 0)
            : (entry as { bytes: Uint8Array }).bytes.length;
        const found = entries.get(name);
        if (!found) throw absent(name);
        used -= size(found);
        entries.delete(name);
      },
      async *keys() {
        yield* [...entries.keys()];
      },
    };
  };
  const root = folder();
  return { root, storage: { getDirectory: async () => root, persist: async () => true } };
}
