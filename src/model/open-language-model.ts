// Opens a language model wherever it is: a GGUF file, one or all files of a split one, or a folder of Hugging Face or MLC; in memory, on disk, dropped
// on a page, or behind a URL.
import { property } from '../arguments/check.js';
import { ArgumentError, UnsupportedError } from '../errors.js';
import { type BytesFrom, isA, locate } from '../files/byte-source.js';
import { isFolder, namesIn } from '../files/node-file.js';
import { openModel } from '../files/open-file.js';
import { among, type Resolver, siblings } from '../files/shards.js';
import type { ByteSource, TensorFile } from '../files/tensor-file.js';
import { loadOwn } from '../gpu/own-file.js';
import type { Folder } from './folder-files.js';
import { ggufModel } from './gguf-model.js';
import type { LanguageModel } from './language-model.js';

/** Files of a folder, or of a split GGUF: a FileList, Files, or a Map of names. */
export type ModelFiles = Iterable<File> | ReadonlyMap<string, Blob>;

/** Where a language model can be. */
export type ModelFrom = TensorFile | BytesFrom | ByteSource | ModelFiles;

/** How its files are opened. */
export interface OpenLanguageModelOptions {
  readonly signal?: AbortSignal | undefined;
  /** Opens what is at a URL, in place of range requests alone. */
  readonly fetched?: ((url: URL) => Promise<ByteSource>) | undefined;
  /** Default: the global fetch. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

const isTensorFile = (from: unknown): from is TensorFile =>
  typeof from === 'object' && from !== null && property(from, 'tensors', 'from') !== undefined;

/** Pages that load GGUF files only do not fetch what reads folders. */
async function folderModel(folder: Folder, signal: AbortSignal | undefined): Promise<LanguageModel> {
  const own = await loadOwn('folders of models', () => import('./open-folder.js'));
  return own.openFolder(folder, signal);
}

/** Is it a list of files, rather than one? */
function isFiles(from: unknown): from is ModelFiles {
  if (typeof from !== 'object' || from === null || isA(from, Blob) || isA(from, URL) || ArrayBuffer.isView(from)) return false;
  return property(from, Symbol.iterator, 'from') !== undefined;
}

/**
 * Opens a model and finds its weights; reads headers and settings only.
 * @throws ArgumentError, FormatError, ReadError; UnsupportedError for a model that is not served; the reason of `signal`
 */
export async function openLanguageModel(from: ModelFrom, options: OpenLanguageModelOptions = {}): Promise<LanguageModel> {
  const { signal } = options;
  const aborts = signal ? { signal } : {};
  if (isTensorFile(from)) return ofFile(from, signal);
  if (isFiles(from)) return ofFiles(from, signal);
  if (typeof from === 'string' || isA(from, URL)) {
    const place = locate(from);
    if ('url' in place) return ofUrl(place.url, options);
    if (await isFolder(place.path)) {
      const beside = siblings(`${place.path}/config.json`, aborts)!;
      return ofFolder({ name: place.path, resolve: beside, names: await namesIn(place.path) }, signal);
    }
    if (/\.(safetensors|json)$/i.test(place.path))
      return besideOf(place.path, lastOf(place.path), { resolve: siblings(place.path, aborts)!, signal });
  }
  return ofFile(await openModel(from as BytesFrom | ByteSource, aborts), signal);
}

/** @throws UnsupportedError for safetensors, which no configuration comes with */
async function ofFile(file: TensorFile, signal: AbortSignal | undefined): Promise<LanguageModel> {
  if (file.kind === 'safetensors')
    throw new UnsupportedError(file.name, [
      'safetensors have no configuration: give the folder that config.json is in, or all of its files',
    ]);
  return ggufModel(file, signal);
}

/** GGUF's files, or those of a Hugging Face folder. */
async function ofFolder(folder: Folder & { readonly names: readonly string[] }, signal: AbortSignal | undefined): Promise<LanguageModel> {
  const { name, names, resolve } = folder;
  const has = (end: RegExp): boolean => names.some((one) => end.test(one));
  if (has(/^config\.json$/) && has(/\.safetensors$/)) return folderModel(folder, signal);
  const models = names.filter((one) => /\.gguf$/i.test(one)).sort();
  if (models.length === 0) return folderModel(folder, signal); // it says what is missing
  const stems = new Set(models.map((one) => one.replace(/-\d{5}-of-\d{5}\.gguf$/i, '')));
  if (stems.size > 1) throw new ArgumentError('from', 'the files of one model', `${name}: ${models.slice(0, 8).join(', ')}`);
  return ggufModel(await openModel(await resolve(models[0]!), { resolve, ...(signal && { signal }) }), signal);
}

/** Files that a page was given. Those in folders of the folder are found by their paths. */
async function ofFiles(files: ModelFiles, signal: AbortSignal | undefined): Promise<LanguageModel> {
  const resolve = among(files);
  const given: readonly string[] = isA(files, Map)
    ? [...(files as Map<string, Blob>).keys()]
    : [...(files as Iterable<File>)].map(({ name }) => name);
  if (given.length === 0) throw new ArgumentError('from', 'the files of a model', 'none');
  return ofFolder({ name: `the ${given.length} files given`, resolve, names: [...new Set(given)] }, signal);
}

/** A URL of a file, or of a folder: then it ends in a slash. */
async function ofUrl(url: URL, { signal, fetched, fetch }: OpenLanguageModelOptions): Promise<LanguageModel> {
  const asking = { ...(signal && { signal }), ...(fetch && { fetch }) };
  const at = (name: string): URL => new URL(name.split('/').map(encodeURIComponent).join('/'), url);
  const resolve: Resolver = fetched ? (name) => fetched(at(name)) : siblings(url, asking)!;
  if (url.pathname.endsWith('/')) return folderModel({ name: nameOf(url), resolve }, signal);
  if (/\.(safetensors|json)$/i.test(url.pathname)) return besideOf(nameOf(url), decoded(lastOf(url.pathname)), { resolve, signal });
  return ofFile(await openModel(fetched ? await fetched(url) : url, { resolve, ...asking }), signal);
}

/** Files that say nothing of which weights. */
const WHOLE = ['config.json', 'mlc-chat-config.json', 'ndarray-cache.json', 'tensor-cache.json'];

/** A file of a folder stands for the folder; of weights it says which. @param name of the file in its folder */
async function besideOf(
  from: string,
  name: string,
  { resolve, signal }: { readonly resolve: Resolver; readonly signal: AbortSignal | undefined },
): Promise<LanguageModel> {
  return folderModel({ name: from, resolve, ...(!WHOLE.includes(name) && { names: [name] }) }, signal);
}

const lastOf = (path: string): string => path.split(/[\\/]/).at(-1)!;

/** A part of a URL's path as a name; as it stands if it is not encoded as URLs are. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Without credentials and query, which may be secrets. */
const nameOf = ({ origin, pathname }: URL): string => origin + pathname;
