// A model in several safetensors files: model.safetensors.index.json, whose weight_map says which file holds which tensor.

import { FormatError } from '../errors.js';
import { byteSource, checkShards, opened, readFrom } from './given.js';
import { object } from './header-checks.js';
import { type Json, parseJson, plain, record } from './json.js';
import { openSafetensors } from './safetensors.js';
import { checkShardName, openAll, type Resolver } from './shards.js';
import { clip } from './show.js';
import type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';

/** Bytes of an index. Those of the largest models have a few million. */
export const LONGEST_INDEX = 100_000_000;

/** How the files that an index names are opened. */
export interface ShardOptions {
  /** Opens a file beside the index (siblings, among, or yours). */
  readonly resolve: Resolver;
  readonly signal?: AbortSignal | undefined;
}

/** An index as JSON. @throws FormatError */
export async function readIndex(source: ByteSource, signal?: AbortSignal): Promise<ReadonlyMap<string, Json>> {
  const { name: file, size } = source;
  if (size > LONGEST_INDEX) throw new FormatError({ file, field: 'size' }, `at most ${LONGEST_INDEX} for an index`, String(size));
  const at = { file, field: 'index' };
  return object(parseJson(await readFrom(source, 0, size, signal), { at, tensorOf: ([, name]) => name }), at);
}

/**
 * The tensors that an index names, from all its files, in the index's order. Tensors that the files have beside these are left out: the index
 * says what the model is. Metadata are the index's own.
 * @throws FormatError if the index or a shard is not what its format says, a shard is not there, or lacks a tensor of the index
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
  index: ReadonlyMap<string, Json>,
  { resolve, signal }: ShardOptions,
): Promise<TensorFile> {
  const map = object(index.get('weight_map'), { file, field: 'weight_map' });
  const shardOf = new Map(
    [...map].map(([tensor, shard]) => [tensor, checkShardName(shard, { file, tensor: clip(tensor), field: 'weight_map' })]),
  );
  const names = [...new Set(shardOf.values())];
  const files = await openAll(names, async (name) => openSafetensors(await opened(resolve, name), { signal }), {
    file,
    field: 'weight_map',
  });
  const shards = new Map(names.map((name, i) => [name, files[i]!]));
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shard] of shardOf) {
    const info = shards.get(shard)!.tensors.get(name);
    if (!info) throw new FormatError({ file, tensor: clip(name), field: 'weight_map' }, `a tensor of ${shard}`, 'none of this name there');
    tensors.set(name, info);
  }
  const metadata = index.get('metadata');
  return {
    kind: 'safetensors',
    name: file,
    metadata: metadata === undefined ? record([]) : (plain(object(metadata, { file, field: 'metadata' })) as Record<string, unknown>),
    tensors,
  };
}
