// Finds and opens the other files of a model in several files. Names in an index are not trusted: they may only point into the same folder.
import { reading, text } from '../arguments/check.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError, type FileLocation, FormatError, ReadError } from '../errors.js';
import { type ByteSourceOptions, type BytesFrom, byteSource, checkSourceOptions, isA, locate } from './byte-source.js';
import { nodeModules } from './node-file.js';
import { show } from './show.js';
import type { ByteSource } from './tensor-file.js';

/** Opens a file by its name beside the first one. The name was checked: `a.bin` or `folder/a.bin`, inside the folder. */
export type Resolver = (name: string) => ByteSource | Promise<ByteSource>;

/**
 * Finds files beside a path or URL. Undefined for memory and Blobs.
 * @example
 * const config = await (await siblings('models/llama/model.safetensors')!('config.json')).read(0, 100);
 */
export function siblings(from: BytesFrom, options: ByteSourceOptions = {}): Resolver | undefined {
  checkSourceOptions(options);
  if (typeof from !== 'string' && !isA(from, URL)) return undefined;
  const place = locate(from);
  const rest = { ...options, name: undefined };
  if ('path' in place) {
    const { join, dirname } = nodeModules()?.path ?? {};
    return join && dirname ? (name) => byteSource(join(dirname(place.path), name), rest) : undefined;
  }
  return (name) => byteSource(new URL(name.split('/').map(encodeURIComponent).join('/'), place.url), rest);
}

/**
 * Finds files among those of a page: the FileList of an <input multiple>, dropped Files, or a Map of names.
 * A File of a folder is found by its path in the folder (webkitRelativePath) or by its name.
 * @example const resolve = among(input.files);
 */
export function among(files: Iterable<File> | ReadonlyMap<string, Blob>, options: ByteSourceOptions = {}): Resolver {
  checkSourceOptions(options);
  const byName = new Map<string, Blob>();
  const all = reading('files', () =>
    isA(files, Map) ? [...(files as Map<string, Blob>)] : [...(files as Iterable<File>)].map((file) => [file.name, file] as const),
  );
  for (const [name, file] of all) {
    if (!isA(file, Blob)) throw new ArgumentError('files', 'a FileList, Files, or a Map of Blobs', showValue(file));
    byName.set(text(name, 'files: a name'), file);
  }
  if (!isA(files, Map))
    for (const file of files as Iterable<File>) {
      const below = file.webkitRelativePath?.split('/').slice(1).join('/');
      if (below) byName.set(below, file);
    }
  return (name) => {
    const file = byName.get(name);
    if (!file) throw new ReadError(name, `it is not one of the ${byName.size} files given`, { missing: true });
    return byteSource(file, { ...options, name });
  };
}

/** The name without a leading `./`. @throws FormatError unless it is a plain path inside the folder */
export function checkShardName(
  value: unknown,
  at: { readonly file: string; readonly tensor?: string | undefined; readonly field: string },
): string {
  const plain = (part: string): boolean =>
    part !== '' && !/^[. ]+$/.test(part) && !/[\\:*?"<>|\p{Cc}\p{Cs}]/u.test(part) && part.length <= 255;
  const name = typeof value === 'string' ? value.replace(/^(\.\/)+/, '') : '';
  if (name.length > 1024 || !name.split('/').every(plain)) throw new FormatError(at, 'the name of a file in the same folder', show(value));
  return name;
}

/** Files that are opened at once: browsers open as many connections to a host. */
const AT_ONCE = 6;
/** Limit: several times the shards of the largest models; MLC has one for each 32 MB. */
const MOST_SHARDS = 20_000;

/** Opens all shards, in order; the first error ends it. @throws FormatError also for more than MOST_SHARDS */
export async function openAll<T, U>(items: readonly T[], open: (item: T) => Promise<U>, at: FileLocation): Promise<U[]> {
  if (items.length > MOST_SHARDS) throw new FormatError(at, `at most ${MOST_SHARDS} shards`, String(items.length));
  const opened: U[] = [];
  for (let i = 0; i < items.length; i += AT_ONCE) opened.push(...(await Promise.all(items.slice(i, i + AT_ONCE).map(open))));
  return opened;
}
