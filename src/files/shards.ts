// Models in several files: how the others are found from one of them. A name in an index is a stranger's: it may only point into the same folder.
import { reading, text } from '../arguments/check.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError, type FileLocation, FormatError, ReadError } from '../errors.js';
import { type ByteSourceOptions, type BytesFrom, byteSource, checkSourceOptions, isA, locate } from './byte-source.js';
import { nodeModules } from './node-file.js';
import { show } from './show.js';
import type { ByteSource } from './tensor-file.js';

/** The file of this name beside the first one. The name was checked: `a.bin` or `folder/a.bin`, never out of the folder. */
export type Resolver = (name: string) => ByteSource | Promise<ByteSource>;

/**
 * Finds files beside a path or URL. Undefined for what has no place: memory and Blobs.
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
 * Finds files among those that a page was given: an <input multiple>'s FileList, dropped Files, or a Map of names.
 * A File of a folder is found by its place in it (webkitRelativePath, below the folder) or by its name.
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

/** A name, without `./` before it. @throws FormatError if it is no plain path into the folder */
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

/** At most so many files are opened at a time: as many as browsers connect to a host. */
const AT_ONCE = 6;
/** Several times what the largest models have: MLC's have one for each 32 MB. */
const MOST_SHARDS = 20_000;

/** Opens all shards, in their order; the first that fails ends it. @throws FormatError also if they are absurdly many */
export async function openAll<T, U>(items: readonly T[], open: (item: T) => Promise<U>, at: FileLocation): Promise<U[]> {
  if (items.length > MOST_SHARDS) throw new FormatError(at, `at most ${MOST_SHARDS} shards`, String(items.length));
  const opened: U[] = [];
  for (let i = 0; i < items.length; i += AT_ONCE) opened.push(...(await Promise.all(items.slice(i, i + AT_ONCE).map(open))));
  return opened;
}
