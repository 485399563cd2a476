// MLC's weights (TVM's tensor cache): ndarray-cache.json, or tensor-cache.json as newer versions call it, lists the records of each
// params_shard_N.bin. The rules are those of TVM's loader, src/runtime/vm/tensor_cache_support.cc, and of its writer, tvm.contrib.tvmjs.
// The container only: what the tensors mean is mlc-weights.ts's matter.

import { FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import { byteSource, checkShards, opened } from './given.js';
import { bytesFor, checkApart, list, object, shapeFrom, text, whole } from './header-checks.js';
import { type Json, plain, record } from './json.js';
import { ELEMENT_BYTES } from './raw-tensor.js';
import { readIndex, type ShardOptions } from './safetensors-index.js';
import { checkShardName, openAll } from './shards.js';
import { clip, show } from './show.js';
import type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';

/** TVM's names for dtypes, old and new → safetensors'. */
const DTYPES: ReadonlyMap<string, string> = new Map([
  ['float64', 'F64'],
  ['float32', 'F32'],
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['float8_e4m3fn', 'F8_E4M3'],
  ['e4m3_float8', 'F8_E4M3'],
  ['float8_e5m2', 'F8_E5M2'],
  ['e5m2_float8', 'F8_E5M2'],
  ...[64, 32, 16, 8].flatMap((bits) => [[`int${bits}`, `I${bits}`] as const, [`uint${bits}`, `U${bits}`] as const]),
  ['bool', 'BOOL'],
]);

/**
 * The tensors of an MLC model, in the order of its index. A record of dtype float32 and format f32-to-bf16 is BF16: those are its bytes. Format
 * f32-to-bf16 on any other dtype changes nothing: the writer puts it on every record.
 * @throws FormatError if the index or the size of a shard is not what the format says, or a shard is not there
 * @example
 * const index = 'https://example.org/llama-q4f16_1-MLC/ndarray-cache.json';
 * const file = await openMlc(await byteSource(index), { resolve: siblings(index)! });
 */
export async function openMlc(source: ByteSource, options: ShardOptions): Promise<TensorFile> {
  byteSource(source, 'source');
  const { resolve, signal } = checkShards(options);
  return tensorsOfCache(source, await readIndex(source, signal), { resolve, signal });
}

export async function tensorsOfCache(
  { name: file }: ByteSource,
  index: ReadonlyMap<string, Json>,
  { resolve }: ShardOptions,
): Promise<TensorFile> {
  const shards = list(index.get('records'), { file, field: 'records' }).map((entry, i) =>
    shardFrom(entry, { file, field: `records[${i}]` }),
  );
  const names = new Set<string>();
  for (const { dataPath, field } of shards) {
    if (names.has(dataPath)) throw new FormatError({ file, field: `${field}.dataPath` }, 'each shard once', `${show(dataPath)} again`);
    names.add(dataPath);
  }
  const sources = await openAll(shards, async ({ dataPath }) => opened(resolve, dataPath), { file, field: 'records' });
  const tensors = new Map<string, TensorInfo>();
  for (const [i, { nbytes, records, field }] of shards.entries()) {
    const source = sources[i]!;
    if (source.size !== nbytes)
      throw new FormatError({ file: source.name, field: 'size' }, `${nbytes}, as ${file} says`, String(source.size));
    const here: TensorInfo[] = [];
    for (const [j, entry] of records.entries()) {
      const info = tensorFrom(entry, { file, field: `${field}.records[${j}]`, source });
      if (tensors.has(info.name)) throw new FormatError({ file, tensor: clip(info.name), field: 'name' }, 'each name once', 'a second one');
      tensors.set(info.name, info);
      here.push(info);
    }
    checkApart(here, 'byteOffset');
  }
  const metadata = index.get('metadata');
  return {
    kind: 'mlc',
    name: file,
    metadata: metadata instanceof Map ? (plain(metadata) as Record<string, unknown>) : record([]),
    tensors,
  };
}

interface Where {
  readonly file: string;
  readonly field: string;
}

function shardFrom(entry: Json, where: Where) {
  const at = (name: string) => ({ file: where.file, field: `${where.field}.${name}` });
  const members = object(entry, where);
  const dataPath = checkShardName(members.get('dataPath'), at('dataPath'));
  const format = text(members.get('format'), at('format'));
  if (format !== 'raw-shard') throw new FormatError(at('format'), 'raw-shard', show(format));
  const nbytes = whole(members.get('nbytes'), at('nbytes'));
  return { dataPath, nbytes, records: list(members.get('records'), at('records')), field: where.field };
}

function tensorFrom(entry: Json, { file, field, source }: Where & { readonly source: ByteSource }): TensorInfo {
  const members = object(entry, { file, field });
  const name = text(members.get('name'), { file, field: `${field}.name` });
  const at = (member: string) => ({ file, tensor: clip(name), field: member });
  const theirs = text(members.get('dtype'), at('dtype'));
  const format = text(members.get('format'), at('format'));
  if (format !== 'raw' && format !== 'f32-to-bf16') throw new FormatError(at('format'), 'raw or f32-to-bf16', show(format));
  const dtype = theirs === 'float32' && format === 'f32-to-bf16' ? 'BF16' : DTYPES.get(theirs);
  if (dtype === undefined) throw new FormatError(at('dtype'), `one of ${[...DTYPES.keys()].join(', ')}`, show(theirs));
  const shape = shapeFrom(members.get('shape'), at('shape'));
  const bytes = bytesFor(shape, { elements: 1, bytes: ELEMENT_BYTES[dtype]! }, at('shape'));
  const nbytes = whole(members.get('nbytes'), at('nbytes'));
  if (nbytes !== bytes) throw new FormatError(at('nbytes'), `${bytes} for ${dtype} ${showShape(shape)}`, String(nbytes));
  const begin = whole(members.get('byteOffset'), at('byteOffset'));
  if (begin + nbytes > source.size)
    throw new FormatError(at('byteOffset'), `${nbytes} bytes within the ${source.size} of ${source.name}`, String(begin));
  return { name, dtype, shape, source, begin, end: begin + nbytes };
}
