// Opens a model in several safetensors files: by model.safetensors.index.json, whose weight_map gives each tensor's file, or without an
// index as NAME-00001-of-00002.safetensors. If files and index differ but the model can be read, `notes` say so.
import { FormatError, isMissing } from '../errors.js';
import { byteSource, checkShards, opened } from './given.js';
import { type ModelIndex, readIndex } from './read-index.js';
import { openSafetensors } from './safetensors.js';
import { openAll, type Resolver } from './shards.js';
import { clip, show } from './show.js';
import type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';

/** How the files that an index names are opened. */
export interface ShardOptions {
  /** Opens a file beside the index (siblings, among, or another function). */
  readonly resolve: Resolver;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens all files of an index. Tensors are those of the index, in its order; other tensors of the files are left out. Metadata are the
 * index's.
 *
 * An index of another version of the model is common beside quantized weights. If none of its files exists, the file that has its name
 * (model.safetensors) is the model. If its files lack tensors of the index, the model is the files' tensors. `notes` say so.
 * @throws FormatError if the index or a shard breaks its format; ReadError if a shard is missing
 * @example
 * const index = 'https://example.org/llama/model.safetensors.index.json';
 * const file = await openSafetensorsIndex(await byteSource(index), { resolve: siblings(index)! });
 */
export async function openSafetensorsIndex(source: ByteSource, options: ShardOptions): Promise<TensorFile> {
  byteSource(source, 'source');
  const { resolve, signal } = checkShards(options);
  return tensorsOfIndex(source, await readIndex(source, signal), { resolve, signal });
}

export async function tensorsOfIndex(
  { name: file }: ByteSource,
  { weightMap, metadata }: ModelIndex,
  { resolve, signal }: ShardOptions,
): Promise<TensorFile> {
  if (!weightMap) throw new FormatError({ file, field: 'weight_map' }, 'an object', 'nothing');
  const names = [...new Set(weightMap.values())];
  const open = async (name: string): Promise<TensorFile | { readonly error: unknown }> => {
    try {
      return await openSafetensors(await opened(resolve, name), { signal });
    } catch (error) {
      if (isMissing(error)) return { error };
      throw error;
    }
  };
  const files = await openAll(names, open, { file, field: 'weight_map' });
  const there = files.filter((one): one is TensorFile => 'tensors' in one);
  if (there.length < files.length) {
    const { error } = files.find((one) => 'error' in one) as { readonly error: unknown };
    if (there.length > 0) throw error;
    return fileBeside(file, { resolve, signal }, error);
  }
  const shards = new Map(names.map((name, i) => [name, there[i]!]));
  const tensors = new Map<string, TensorInfo>();
  const lacking: string[] = [];
  for (const [name, shard] of weightMap) {
    const info = shards.get(shard)!.tensors.get(name);
    if (info) tensors.set(name, info);
    else lacking.push(name);
  }
  const base = { kind: 'safetensors', name: file, metadata } as const;
  if (lacking.length === 0) return { ...base, tensors };
  const first = `${show(lacking[0])}${lacking.length > 1 ? ` and ${lacking.length - 1} more` : ''}`;
  const said = `${file} names ${first}, which ${lacking.length > 1 ? 'are' : 'is'} not in its files`;
  if (there.every((one) => [...one.tensors.keys()].every((name) => tensors.has(name)))) return { ...base, tensors, notes: [said] };
  return {
    ...base,
    tensors: together(there),
    notes: [`${said}: it is of another version of the model; the tensors of its files are read`],
  };
}

/** model.safetensors beside model.safetensors.index.json. @throws `why` if there is none */
async function fileBeside(index: string, { resolve, signal }: ShardOptions, why: unknown): Promise<TensorFile> {
  const name = /([^/\\]+)\.index\.json$/.exec(index)?.[1];
  if (name === undefined) throw why;
  let source: ByteSource;
  try {
    source = await opened(resolve, name);
  } catch (error) {
    throw isMissing(error) ? why : error;
  }
  const note = `none of the files that ${index} names is there: it is of another version of the model; ${name} is read`;
  return { ...(await openSafetensors(source, { signal })), notes: [note] };
}

/** All tensors of some files. @throws FormatError if a name occurs twice */
function together(files: readonly TensorFile[]): Map<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  for (const { name: file, tensors: own } of files)
    for (const [name, info] of own) {
      if (tensors.has(name))
        throw new FormatError({ file, tensor: clip(name), field: 'name' }, 'a tensor in one of the files', 'a second one');
      tensors.set(name, info);
    }
  return tensors;
}

/** NAME-00001-of-00002.safetensors. */
const SHARD = /([^/\\]*)-(\d{5,})-of-(\d{5,})\.safetensors$/;

/** Does the name say that the file is one of several? */
const isShard = (name: string): boolean => Number(SHARD.exec(name)?.[3] ?? 1) > 1;

/** Opens a safetensors file, and those beside it if its name says that it is one of several. */
export const openFirst: typeof openShards = (source, options) =>
  isShard(source.name) ? openShards(source, options) : openSafetensors(source, { signal: options.signal });

/**
 * Opens a model in numbered files without an index, from any one of them, with all tensors of all files.
 * @throws FormatError without a resolver, or if a tensor is in two files; ReadError if a file is missing
 */
export async function openShards(
  source: ByteSource,
  { resolve, signal }: { readonly [Key in keyof ShardOptions]: ShardOptions[Key] | undefined },
): Promise<TensorFile> {
  const { name: file } = source;
  const [, stem, no, of] = SHARD.exec(file)!;
  const field = 'shards';
  if (!resolve)
    throw new FormatError(
      { file, field },
      `a way to open the other ${Number(of) - 1}: option files or resolve; openSafetensors opens one`,
      'none',
    );
  const numbers = Array.from({ length: Math.min(Number(of), 2 ** 20) }, (_, i) => i + 1);
  const name = (number: number): string => `${stem}-${String(number).padStart(no!.length, '0')}-of-${of}.safetensors`;
  const open = async (number: number): Promise<TensorFile> =>
    openSafetensors(number === Number(no) ? source : await opened(resolve, name(number)), { signal });
  const files = await openAll(numbers, open, { file, field });
  return { ...files[0]!, name: file, tensors: together(files) };
}
