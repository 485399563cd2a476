// The parts of the origin-private file system that are used, and where it is. Only the origin's own pages and workers see these files, and a
// browser may clear them.

/** A file. Chromium, Firefox and Safari 26 have createWritable, whose files are whole or not there; Safari before has the other in workers. */
export interface StoredFile {
  getFile(): Promise<Blob>;
  createWritable?(): Promise<{ write(data: Uint8Array<ArrayBuffer>): Promise<void>; close(): Promise<void>; abort(): Promise<void> }>;
  createSyncAccessHandle?(): Promise<{
    truncate(size: number): void;
    write(data: Uint8Array<ArrayBuffer>, options: { readonly at: number }): number;
    flush(): void;
    close(): void;
  }>;
}

export interface StoredFolder {
  getDirectoryHandle(name: string, options?: { readonly create?: boolean }): Promise<StoredFolder>;
  getFileHandle(name: string, options?: { readonly create?: boolean }): Promise<StoredFile>;
  removeEntry(name: string, options?: { readonly recursive?: boolean }): Promise<void>;
  keys(): AsyncIterable<string>;
}

interface Storage {
  getDirectory?(): Promise<StoredFolder>;
  persist?(): Promise<boolean>;
}
const storage = (): Storage | undefined => (globalThis as { navigator?: { storage?: Storage } }).navigator?.storage;

/** The folder of this library, or none that is there. @throws whatever the browser throws, and an Error where there is no such file system */
export async function ownFolder(options: { readonly create: boolean }): Promise<StoredFolder> {
  const root = await storage()?.getDirectory?.();
  if (!root) throw new Error('there is no origin-private file system here');
  return root.getDirectoryHandle('antiquant', options);
}

let asked = false;
/** Asks the browser once to keep the files when space runs short; whether it does is its own. */
export function askToKeep(): void {
  if (asked) return;
  asked = true;
  void storage()
    ?.persist?.()
    .catch(() => false);
}

/** Is it the browser's error for what is not there? */
export const isAbsent = (error: unknown): boolean => (error as { name?: unknown } | undefined)?.name === 'NotFoundError';

/** Writes a file, whole or not at all. @throws whatever the browser throws, a QuotaExceededError if there is no space */
export async function store(folder: StoredFolder, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const file = await folder.getFileHandle(name, { create: true });
  try {
    if (file.createWritable) {
      const into = await file.createWritable();
      try {
        await into.write(bytes);
      } catch (error) {
        await into.abort().catch(() => {});
        throw error;
      }
      await into.close();
    } else if (file.createSyncAccessHandle) {
      const into = await file.createSyncAccessHandle();
      try {
        into.truncate(0);
        if (into.write(bytes, { at: 0 }) !== bytes.length) throw new DOMException('the disk is full', 'QuotaExceededError');
        into.flush();
      } finally {
        into.close();
      }
    } else throw new Error('files cannot be written here: this browser does so in workers only');
  } catch (error) {
    await folder.removeEntry(name).catch(() => {}); // what getFileHandle made
    throw error;
  }
}

export async function names(folder: StoredFolder): Promise<string[]> {
  const all: string[] = [];
  for await (const name of folder.keys()) all.push(name);
  return all;
}

/** A file of JSON; undefined if it is not there, or is none. */
export async function readJson(folder: StoredFolder, name: string): Promise<unknown> {
  try {
    return JSON.parse(await (await (await folder.getFileHandle(name)).getFile()).text());
  } catch {
    return undefined;
  }
}
