// Where measured choices are kept between runs: IndexedDB in browsers and their workers, a JSON file under Node, Deno and Bun, nothing
// elsewhere. A store that cannot be opened, read or written is as good as none: what is missing is measured again.
import { optional, text } from '../arguments/check.js';
import type { TuningStore } from './store.js';

const DATABASE = 'antiquant';
const TABLE = 'tuning';

const finished = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export function indexedDbStore(factory: IDBFactory = indexedDB): TuningStore {
  const within = async <T>(mode: IDBTransactionMode, work: (table: IDBObjectStore) => IDBRequest<T>): Promise<T> => {
    const opening = factory.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE);
    const database = await finished(opening);
    try {
      return await finished(work(database.transaction(TABLE, mode).objectStore(TABLE)));
    } finally {
      database.close(); // waits for the transaction
    }
  };
  return {
    get: (key) => within('readonly', (table) => table.get(key)),
    set: async (key, value) => {
      await within('readwrite', (table) => table.put(value, key));
    },
  };
}

/** As much of Node's process and modules as is used; asked for at run time, so that bundlers see no import. */
interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  getBuiltinModule?(name: string): unknown;
}
interface Modules {
  readonly fs: {
    readFile(file: string, encoding: 'utf8'): Promise<string>;
    writeFile(file: string, text: string): Promise<void>;
    rename(from: string, to: string): Promise<void>;
    mkdir(folder: string, options: { readonly recursive: true }): Promise<unknown>;
  };
  readonly os: { homedir(): string; platform(): string };
  readonly path: { join(...parts: string[]): string; dirname(file: string): string };
}
const host = (): Host | undefined => (globalThis as { process?: Host }).process;
function modules(): Modules | undefined {
  const load = host()?.getBuiltinModule;
  const [fs, os, path] = ['node:fs/promises', 'node:os', 'node:path'].map((name) => load?.(name));
  return fs && os && path ? ({ fs, os, path } as Modules) : undefined;
}

/**
 * One JSON file for all keys, written whole under another name first, so that a reader never sees half of it.
 * @param file default: antiquant/tuning.json in $XDG_CACHE_HOME, ~/Library/Caches, %LOCALAPPDATA% or ~/.cache
 */
export function fileStore(file?: string): TuningStore {
  optional(text)(file, 'file');
  const open = (): Modules & { readonly file: string } => {
    const found = modules();
    if (!found) throw new Error('no file system');
    const { os, path } = found;
    const { XDG_CACHE_HOME, LOCALAPPDATA } = host()!.env;
    const caches: Readonly<Record<string, string | undefined>> = {
      darwin: path.join(os.homedir(), 'Library', 'Caches'),
      win32: LOCALAPPDATA,
    };
    const cache = XDG_CACHE_HOME || caches[os.platform()] || path.join(os.homedir(), '.cache');
    return { ...found, file: file ?? path.join(cache, 'antiquant', 'tuning.json') };
  };
  const read = async (): Promise<Record<string, unknown>> => {
    const { fs, file } = open();
    try {
      const all: unknown = JSON.parse(await fs.readFile(file, 'utf8'));
      return typeof all === 'object' && all !== null && !Array.isArray(all) ? { ...all } : {};
    } catch {
      return {};
    }
  };
  return {
    get: async (key) => (await read())[key],
    async set(key, value) {
      const { fs, path, file } = open();
      const all = JSON.stringify({ ...(await read()), [key]: value }, null, 1);
      await fs.mkdir(path.dirname(file), { recursive: true });
      const whole = `${file}.${host()!.pid}`;
      await fs.writeFile(whole, all);
      await fs.rename(whole, file);
    },
  };
}

let standard: TuningStore | undefined;
/** The store of this kind of program; undefined where there is none. */
export function defaultStore(): TuningStore | undefined {
  try {
    standard ??= typeof indexedDB === 'undefined' ? modules() && fileStore() : indexedDbStore();
  } catch {
    return undefined; // a page that may not ask
  }
  return standard;
}
