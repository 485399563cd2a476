// Reads the JSON index of a model in several files: safetensors' model.safetensors.index.json or MLC's ndarray-cache.json. Its members tell
// which one it is. Only names, positions and some metadata are stored.
import { type FileLocation, FormatError } from '../errors.js';
import { readFrom } from './given.js';
import { object, shapeFrom, text, whole } from './header-checks.js';
import { type Json, type JsonReader, openJson, plain, record, withoutMark } from './json.js';
import { paced, type Steps } from './pace.js';
import { MOST_TENSORS } from './safetensors.js';
import { checkShardName } from './shards.js';
import { clip, show } from './show.js';
import type { ByteSource } from './tensor-file.js';

/** Most bytes of an index. Those of the largest models have a few million. */
export const LONGEST_INDEX = 100_000_000;
const MOST_VALUES = 256;
const MOST_METADATA = 4096;

/** A tensor of an MLC shard, before its place is checked. */
export interface CacheRecord {
  readonly name: string;
  readonly field: string;
  /** TVM's name of the dtype. */
  readonly dtype: string;
  readonly format: string;
  readonly shape: readonly number[];
  readonly nbytes: number;
  readonly byteOffset: number;
}

export interface CacheShard {
  readonly dataPath: string;
  readonly nbytes: number;
  readonly records: readonly CacheRecord[];
  readonly field: string;
}

export interface ModelIndex {
  readonly metadata: Readonly<Record<string, unknown>>;
  /** safetensors: tensor → shard. */
  readonly weightMap?: ReadonlyMap<string, string> | undefined;
  /** MLC. */
  readonly shards?: readonly CacheShard[] | undefined;
}

/** @throws FormatError, the reason of `signal` */
export async function readIndex(source: ByteSource, signal?: AbortSignal): Promise<ModelIndex> {
  const { name: file, size } = source;
  if (size > LONGEST_INDEX) throw new FormatError({ file, field: 'size' }, `at most ${LONGEST_INDEX} for an index`, String(size));
  const reader = openJson(withoutMark(await readFrom(source, 0, size, signal)), { at: { file, field: 'index' } });
  return paced(indexFrom(reader, file), signal);
}

const tooMany = (at: FileLocation): FormatError => new FormatError(at, `at most ${MOST_TENSORS} tensors`, 'more');

function* indexFrom(reader: JsonReader, file: string): Steps<ModelIndex> {
  const found: { metadata?: Json; weightMap?: Map<string, string>; shards?: CacheShard[] } = {};
  const seen = new Set<string>();
  const each = (name: string): Steps<void> | undefined => {
    if (seen.size < MOST_VALUES) seen.add(name);
    if (name === 'metadata') found.metadata = reader.value(MOST_METADATA);
    else if (name === 'weight_map') return weightsFrom(reader, file, (found.weightMap = new Map()));
    else if (name === 'records') return shardsFrom(reader, file, (found.shards = []));
    else return reader.skip();
    return undefined;
  };
  if (!reader.isObject()) throw new FormatError(reader.at, 'an object', show(reader.value(MOST_VALUES)));
  yield* reader.members(each, (name) => seen.has(name));
  reader.end();
  const { metadata = null, ...rest } = found;
  return {
    ...rest,
    metadata: metadata === null ? record([]) : (plain(object(metadata, { file, field: 'metadata' })) as Record<string, unknown>),
  };
}

function* weightsFrom(reader: JsonReader, file: string, map: Map<string, string>): Steps<void> {
  if (!reader.isObject()) object(reader.value(MOST_VALUES), { file, field: 'weight_map' });
  const names = new Map<string, string>();
  const each = (name: string): undefined => {
    const at = { file, tensor: clip(name), field: 'weight_map' };
    if (map.size === MOST_TENSORS) throw tooMany({ file, field: 'weight_map' });
    const shard = checkShardName(reader.value(MOST_VALUES), at);
    if (!names.has(shard)) names.set(shard, shard);
    map.set(name, names.get(shard)!); // one string for all tensors of a shard
  };
  yield* reader.members(each, (name) => map.has(name), true);
}

function* shardsFrom(reader: JsonReader, file: string, shards: CacheShard[]): Steps<void> {
  let tensors = 0;
  yield* reader.items((i) => shard(i));
  function* shard(i: number): Steps<void> {
    const field = `records[${i}]`;
    const at = (name: string) => ({ file, field: `${field}.${name}` });
    if (!reader.isObject()) object(reader.value(MOST_VALUES), { file, field });
    const members = new Map<string, Json>();
    let records: CacheRecord[] | undefined;
    const each = (name: string): Steps<void> | undefined => {
      if (name !== 'records') {
        if (members.size === MOST_VALUES) throw reader.wrong(`no more than ${MOST_VALUES} members`);
        members.set(name, reader.value(MOST_VALUES));
        return undefined;
      }
      const own: CacheRecord[] = (records = []);
      return reader.items((j) => {
        if (tensors++ === MOST_TENSORS) throw tooMany({ file, field: 'records' });
        own.push(recordFrom(reader.value(MOST_VALUES), { file, field: `${field}.records[${j}]` }));
        return undefined;
      });
    };
    yield* reader.members(each, (name) => members.has(name) || (name === 'records' && records !== undefined));
    const dataPath = checkShardName(members.get('dataPath'), at('dataPath'));
    const format = text(members.get('format'), at('format'));
    if (format !== 'raw-shard') throw new FormatError(at('format'), 'raw-shard', show(format));
    if (!records) throw new FormatError(at('records'), 'an array', 'nothing');
    shards.push({ dataPath, nbytes: whole(members.get('nbytes'), at('nbytes')), records, field });
  }
}

function recordFrom(entry: Json, { file, field }: { readonly file: string; readonly field: string }): CacheRecord {
  const members = object(entry, { file, field });
  const name = text(members.get('name'), { file, field: `${field}.name` });
  const at = (member: string) => ({ file, tensor: clip(name), field: member });
  return {
    name,
    field,
    dtype: text(members.get('dtype'), at('dtype')),
    format: text(members.get('format'), at('format')),
    shape: shapeFrom(members.get('shape'), at('shape')),
    nbytes: whole(members.get('nbytes'), at('nbytes')),
    byteOffset: whole(members.get('byteOffset'), at('byteOffset')),
  };
}
