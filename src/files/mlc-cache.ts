// Opens MLC's weights (TVM's tensor cache): ndarray-cache.json, in newer versions tensor-cache.json, lists the records of each
// params_shard_N.bin. Rules: TVM's loader, src/runtime/vm/tensor_cache_support.cc, and its writer, tvm.contrib.tvmjs.
// formats/mlc-weights.ts decodes the tensors.
import { FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import { byteSource, checkShards, opened } from './given.js';
import { bytesFor, checkApart } from './header-checks.js';
import { paced } from './pace.js';
import { ELEMENT_BYTES } from './raw-tensor.js';
import { type CacheRecord, type ModelIndex, readIndex } from './read-index.js';
import type { ShardOptions } from './safetensors-index.js';
import { openAll } from './shards.js';
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
 * Opens an MLC model; tensors come in the order of its index. A record of dtype float32 and format f32-to-bf16 holds BF16 bytes. On other
 * dtypes the format f32-to-bf16 means nothing: the writer puts it on every record.
 * @throws FormatError if the index or the size of a shard breaks the format; ReadError if a shard is missing
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
  { shards, metadata }: ModelIndex,
  { resolve, signal }: ShardOptions,
): Promise<TensorFile> {
  if (!shards) throw new FormatError({ file, field: 'records' }, 'an array', 'nothing');
  const names = new Set<string>();
  for (const { dataPath, field } of shards) {
    if (names.has(dataPath)) throw new FormatError({ file, field: `${field}.dataPath` }, 'each shard once', `${show(dataPath)} again`);
    names.add(dataPath);
  }
  const sources = await openAll(shards, async ({ dataPath }) => opened(resolve, dataPath), { file, field: 'records' });
  const tensors = new Map<string, TensorInfo>();
  for (const [i, { nbytes, records }] of shards.entries()) {
    const source = sources[i]!;
    if (source.size !== nbytes)
      throw new FormatError({ file: source.name, field: 'size' }, `${nbytes}, as ${file} says`, String(source.size));
    const here: TensorInfo[] = [];
    for (const record of records) {
      const info = tensorFrom(record, { file, source });
      if (tensors.has(info.name)) throw new FormatError({ file, tensor: clip(info.name), field: 'name' }, 'each name once', 'a second one');
      tensors.set(info.name, info);
      here.push(info);
    }
    await paced(checkApart(here, 'byteOffset'), signal);
  }
  return { kind: 'mlc', name: file, metadata, tensors };
}

function tensorFrom(record: CacheRecord, { file, source }: { readonly file: string; readonly source: ByteSource }): TensorInfo {
  const { name, dtype: theirs, format, shape, nbytes, byteOffset: begin } = record;
  const at = (member: string) => ({ file, tensor: clip(name), field: member });
  if (format !== 'raw' && format !== 'f32-to-bf16') throw new FormatError(at('format'), 'raw or f32-to-bf16', show(format));
  const dtype = theirs === 'float32' && format === 'f32-to-bf16' ? 'BF16' : DTYPES.get(theirs);
  if (dtype === undefined) throw new FormatError(at('dtype'), `one of ${[...DTYPES.keys()].join(', ')}`, show(theirs));
  const bytes = bytesFor(shape, { elements: 1, bytes: ELEMENT_BYTES[dtype]! }, at('shape'));
  if (nbytes !== bytes) throw new FormatError(at('nbytes'), `${bytes} for ${dtype} ${showShape(shape)}`, String(nbytes));
  if (begin + nbytes > source.size)
    throw new FormatError(at('byteOffset'), `${nbytes} bytes within the ${source.size} of ${source.name}`, String(begin));
  return { name, dtype, shape, source, begin, end: begin + nbytes };
}
