// Reads headers of GGUF files (versions 2 and 3, little-endian, also split): key-values and the positions of tensors. Rules: ggml's
// docs/gguf.md, and ggml's reader (src/gguf.cpp) where the document says less.
// Why not @huggingface/gguf (0.4.6): it takes a URL, or a path under Node, but no Blob, memory or AbortSignal. It checks no tensor's range,
// type or overlap, reads zeros past the end of a file, stores keys in a plain object, and restarts a long array with each 2 MB it reads.
// It made the golden parse in test/fixtures/gguf instead (scripts/goldens/gguf-container.mjs).
import { FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import { type Cursor, openCursor } from './cursor.js';
import { GGML_TYPES, REMOVED_GGML_TYPES } from './ggml-types.js';
import { type Budget, headerBudget, typedValue } from './gguf-values.js';
import { byteSource, checkFound, opened } from './given.js';
import { bytesFor, checkApart } from './header-checks.js';
import { record } from './json.js';
import { paced } from './pace.js';
import { openAll, type Resolver } from './shards.js';
import { clip, show } from './show.js';
import type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';

/** Options for a model in several files. */
export interface GgufOptions {
  /** Opens the other files of a split model, NAME-00002-of-00003.gguf. */
  readonly resolve?: Resolver | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Limits: many times the numbers of real files, and small enough that a hostile file does not fill the memory. */
const MOST = { header: 256 * 2 ** 20, keys: 65_536, tensors: 2 ** 17, name: 65_535, dimensions: 4 };
const NO_PAD = 32;

/**
 * Opens a GGUF file, or all files of a split one; reads headers only. `metadata` holds the key-values by key: numbers (bigint past 2^53),
 * strings, booleans, arrays; arrays of more than 1024 elements as GgufArray. Shapes are row-major, the reverse of GGUF's.
 * @throws FormatError if a header breaks the format's rules, for version 1 and for big-endian files
 * @example
 * const file = await openGguf(await byteSource('llama-Q4_K_M.gguf'));
 * console.log(file.metadata['general.architecture'], file.tensors.get('blk.0.attn_q.weight'));
 */
export async function openGguf(source: ByteSource, options: GgufOptions = {}): Promise<TensorFile> {
  byteSource(source, 'source');
  const { resolve, signal } = checkFound(options);
  const one = await openOne(source, signal);
  return one.metadata['split.count'] === undefined || one.metadata['split.count'] === 1 ? one : openSplit(one, { source, resolve, signal });
}

async function openOne(source: ByteSource, signal: AbortSignal | undefined): Promise<TensorFile> {
  const { name: file } = source;
  const what = source.size > MOST.header ? `the ${MOST.header} bytes that a header may have` : 'the file';
  const cursor = openCursor(source, { end: Math.min(source.size, MOST.header), what, signal });
  await cursor.fill(24, 'header');
  const magic = cursor.utf8(4);
  if (magic !== 'GGUF') throw new FormatError({ file, field: 'magic' }, 'GGUF', show(magic));
  checkVersion(cursor.u32(), file);
  const tensorCount = cursor.u64('tensor_count');
  const keyCount = cursor.u64('metadata_kv_count');
  atMost(tensorCount, MOST.tensors, { file, field: 'tensor_count' });
  atMost(keyCount, MOST.keys, { file, field: 'metadata_kv_count' });

  const metadata = new Map<string, unknown>();
  const types = new Map<string, string>();
  const budget = headerBudget();
  for (let i = 0; i < keyCount; i++) await keyValue(cursor, `metadata_kv[${i}]`, { metadata, types, budget });
  const alignment = alignmentFrom(metadata, types, file);

  const infos: TensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) infos.push(await tensorInfo(cursor, `tensor_infos[${i}]`, alignment));
  const data = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, TensorInfo>();
  for (const info of infos) {
    const { name } = info;
    const tensor = clip(name);
    if (tensors.has(name)) throw new FormatError({ file, tensor, field: 'name' }, 'each name once', 'a second one');
    const placed = { ...info, begin: data + info.begin, end: data + info.end };
    if (!(placed.end <= source.size))
      throw new FormatError(
        { file, tensor, field: 'offset' },
        `${info.end - info.begin} bytes within the ${Math.max(0, source.size - data)} of data`,
        String(info.begin),
      );
    tensors.set(name, placed);
  }
  await paced(checkApart([...tensors.values()], 'offset'), signal);
  return { kind: 'gguf', name: file, metadata: record(metadata), tensors };
}

function checkVersion(version: number, file: string): void {
  const got =
    version === 1 ? '1, of 2023, with counts of 32 bits' : version % 65_536 === 0 ? `${version >>> 24}, big-endian` : String(version);
  if (version !== 2 && version !== 3) throw new FormatError({ file, field: 'version' }, '2 or 3, little-endian', got);
}

function atMost(value: number, most: number, at: { readonly file: string; readonly tensor?: string; readonly field: string }): void {
  if (value > most) throw new FormatError(at, `at most ${most}`, String(value));
}

/** Reads the name of a key or tensor, a gguf_string_t: UTF-8, not empty. */
async function name(cursor: Cursor, field: string): Promise<string> {
  const at = { file: cursor.source.name, field };
  await cursor.fill(8, field);
  const length = cursor.u64(field);
  atMost(length, MOST.name, at);
  await cursor.fill(length, field);
  const read = cursor.strictUtf8(length);
  if (!read) throw new FormatError(at, 'a name in UTF-8', read === '' ? 'an empty one' : 'other bytes');
  return read;
}

interface Keys {
  readonly metadata: Map<string, unknown>;
  readonly types: Map<string, string>;
  readonly budget: Budget;
}

async function keyValue(cursor: Cursor, field: string, { metadata, types, budget }: Keys): Promise<void> {
  const key = await name(cursor, `${field}.key`);
  if (metadata.has(key)) throw new FormatError({ file: cursor.source.name, field: clip(key) }, 'each key once', 'a second one');
  const { type, value } = await typedValue(cursor, clip(key), budget);
  metadata.set(key, value);
  types.set(key, type);
}

/** "It must be a multiple of 8. … If the alignment is not specified, assume it is 32." ggml requires a power of two. */
function alignmentFrom(metadata: ReadonlyMap<string, unknown>, types: ReadonlyMap<string, string>, file: string): number {
  const key = 'general.alignment';
  if (!metadata.has(key)) return NO_PAD;
  const value = metadata.get(key) as number;
  const fits = types.get(key) === 'UINT32' && value >= 8 && Number.isInteger(Math.log2(value));
  if (!fits) throw new FormatError({ file, field: key }, 'a power of two of at least 8 as UINT32', `${show(value)} as ${types.get(key)}`);
  return value;
}

/** Reads a gguf_tensor_info_t; begin and end are relative to the start of the data. */
async function tensorInfo(cursor: Cursor, field: string, alignment: number): Promise<TensorInfo> {
  const { source } = cursor;
  const own = await name(cursor, `${field}.name`);
  const at = (member: string) => ({ file: source.name, tensor: clip(own), field: member });
  await cursor.fill(4, `${field}.n_dimensions`);
  const rank = cursor.u32();
  atMost(rank, MOST.dimensions, at('n_dimensions'));
  await cursor.fill(8 * rank + 12, `${field}.dimensions`);
  const shape = Array.from({ length: rank }, (_, i) => cursor.u64(`${field}.dimensions[${i}]`)).reverse();
  const id = cursor.u32();
  const type = GGML_TYPES.get(id);
  if (!type) {
    const removed = REMOVED_GGML_TYPES.get(id);
    throw new FormatError(at('type'), 'a type of ggml (0 to 42)', removed ? `${id}, ${removed}, which ggml removed` : String(id));
  }
  const inner = shape.at(-1) ?? 1;
  if (inner % type.elements !== 0)
    throw new FormatError(at('dimensions[0]'), `a multiple of ${type.elements}, ${type.name}'s block`, `${inner} of ${showShape(shape)}`);
  const bytes = bytesFor(shape, type, at('dimensions'));
  const begin = cursor.u64(`${field}.offset`);
  if (begin % alignment !== 0) throw new FormatError(at('offset'), `a multiple of ${alignment}`, String(begin));
  return { name: own, dtype: type.name, shape, source, begin, end: begin + bytes };
}

interface Split extends GgufOptions {
  readonly source: ByteSource;
}

/** Opens all files of llama.cpp's gguf-split: each has split.no and split.count, and names differ in the number only. */
async function openSplit(one: TensorFile, { source, resolve, signal }: Split): Promise<TensorFile> {
  const { name: file, metadata } = one;
  const count = metadata['split.count'];
  const [, stem, no, of] = /([^/\\]*)-(\d{5})-of-(\d{5})\.gguf$/.exec(file) ?? [];
  if (stem === undefined || Number(of) !== count || !resolve)
    throw new FormatError({ file, field: 'split.count' }, 'a file NAME-00001-of-0000N.gguf, and a way to open the others', show(count));
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  const openPart = async (number: number): Promise<TensorFile> => {
    const open = number === Number(no) ? source : await opened(resolve, `${stem}-${String(number).padStart(5, '0')}-of-${of}.gguf`);
    const part = open === source ? one : await openOne(open, signal);
    for (const [field, expected] of [['split.no', number - 1] as const, ['split.count', count] as const])
      if (part.metadata[field] !== expected) throw new FormatError({ file: part.name, field }, `${expected}`, show(part.metadata[field]));
    return part;
  };
  const files = await openAll(numbers, openPart, { file, field: 'split.count' });
  const tensors = new Map<string, TensorInfo>();
  for (const part of files)
    for (const info of part.tensors.values()) {
      if (tensors.has(info.name))
        throw new FormatError(
          { file: part.name, tensor: clip(info.name), field: 'name' },
          'a tensor in one file of the split',
          'a second one',
        );
      tensors.set(info.name, info);
    }
  const total = files[0]!.metadata['split.tensors.count'];
  if (total !== undefined && total !== tensors.size)
    throw new FormatError({ file, field: 'split.tensors.count' }, `${tensors.size}, what the files have`, show(total));
  return { kind: 'gguf', name: file, metadata: files[0]!.metadata, tensors };
}
