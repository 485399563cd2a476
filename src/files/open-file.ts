// openModel: opens a model in any container, from memory, a Blob, a URL or a path. Its first bytes tell the container. readTensor and
// tensorParts read a tensor's bytes, all at once or in pieces of whole rows.
import { anything, callback, fields, signal as isSignal, optional, property, wholeNumber } from '../arguments/check.js';
import { ArgumentError, FormatError } from '../errors.js';
import { type ByteSourceOptions, type BytesFrom, byteSource } from './byte-source.js';
import { byteSource as checkSource, readFrom, tensorInfo } from './given.js';
import type { RawTensor } from './raw-tensor.js';
import { among, type Resolver, siblings } from './shards.js';
import type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';

/** How a model's files are found and fetched. */
export interface OpenOptions extends ByteSourceOptions {
  /** Files of a page that contain the model's other files, e.g. of an <input multiple>. */
  readonly files?: Iterable<File> | ReadonlyMap<string, Blob> | undefined;
  /** Opens the other files of a model in several files. Default: `files`, or the files beside the path or URL. */
  readonly resolve?: Resolver | undefined;
}

/** Files that people open by mistake, by their first bytes. */
const MISTAKES = [
  ['PK\u0003\u0004', "a zip archive, perhaps torch's .pt, .pth or .bin: save it as safetensors"],
  ['\u0080', "a Python pickle, perhaps torch's: save it as safetensors"],
  ['version https://git-lfs', 'a pointer of Git LFS, not the file itself: git lfs pull'],
  ['<', 'a page of HTML or XML: a download that failed?'],
  ['tjgg', 'GGML of before GGUF: convert it with llama.cpp'],
  ['lmgg', 'GGML of before GGUF: convert it with llama.cpp'],
  ['\u001f\u008b', 'a gzip archive'],
] as const;

/** All writers begin ModelProto with its version, field 1; another field of ModelProto follows. */
const isOnnx = ([key, version = 0, next = 0]: Uint8Array, file: string): boolean =>
  (key === 0x08 && version >= 1 && version < 32 && [0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x42, 0x72].includes(next)) ||
  /\.onnx$/i.test(file);

/** What opens a container, fetched when a file is one. */
const OPENERS = {
  gguf: () => import('./gguf.js'),
  onnx: () => import('./onnx.js'),
  safetensors: () => import('./safetensors.js'),
  shards: () => import('./safetensors-index.js'),
  mlc: () => import('./mlc-cache.js'),
  index: () => import('./read-index.js'),
} as const;

const isSource = (from: BytesFrom | ByteSource): from is ByteSource =>
  typeof from === 'object' && from !== null && property(from, 'read', 'from') !== undefined;

const OPEN = fields({ files: anything, signal: optional(isSignal), resolve: optional(callback) });

/**
 * Opens a model: safetensors, also in numbered files with or without model.safetensors.index.json, GGUF, also split, ONNX, or MLC's
 * ndarray-cache.json or tensor-cache.json with its shards. It reads headers, not tensors.
 * @throws FormatError for any other file, or one that contradicts its format; ReadError if a file cannot be read; UnsupportedError if it
 * cannot be read in parts
 * @example
 * const file = await openModel('https://example.org/llama/model.safetensors.index.json', { signal });
 * const picked = await openModel(input.files[0], { files: input.files });
 */
export async function openModel(from: BytesFrom | ByteSource, options: OpenOptions = {}): Promise<TensorFile> {
  const { files, signal, resolve: own } = OPEN(options, 'options') as OpenOptions;
  if (isSource(from)) checkSource(from, 'from');
  const source = isSource(from) ? from : await byteSource(from, options);
  const resolve = own ?? (files ? among(files, options) : isSource(from) ? undefined : siblings(from, options));
  const { name: file } = source;
  const first = await readFrom(source, 0, Math.min(source.size, 64), signal);
  const start = Array.from(first, (byte) => String.fromCharCode(byte)).join('');
  if (start.startsWith('GGUF')) return (await OPENERS.gguf()).openGguf(source, { resolve, signal });
  // A header's length has 8 bytes, and up to 4 GB the last 4 are 0. Text and other files do not begin like this.
  if (start.slice(4, 8) === '\0\0\0\0' && !/\.onnx$/i.test(file)) return (await OPENERS.shards()).openFirst(source, { resolve, signal });
  if (/^(\u00ef\u00bb\u00bf)?\s*[{[]/.test(start)) {
    const index = await (await OPENERS.index()).readIndex(source, signal);
    const open = index.weightMap
      ? (await OPENERS.shards()).tensorsOfIndex
      : index.shards
        ? (await OPENERS.mlc()).tensorsOfCache
        : undefined;
    if (!open) throw new FormatError({ file, field: 'index' }, 'weight_map (safetensors) or records (MLC)', 'neither');
    if (!resolve) throw new FormatError({ file, field: 'shards' }, 'a way to open them: option files or resolve', 'none');
    return open(source, index, { resolve, signal });
  }
  if (isOnnx(first, file)) return (await OPENERS.onnx()).openOnnx(source, { resolve, signal });
  const mistake = MISTAKES.find(([begin]) => start.trimStart().startsWith(begin))?.[1];
  if (mistake) throw new FormatError({ file, field: 'first bytes' }, 'safetensors, GGUF or a JSON index', mistake);
  return (await OPENERS.safetensors()).openSafetensors(source, { signal });
}

const PART = fields({ begin: optional(wholeNumber(0)), end: optional(wholeNumber(0)), signal: optional(isSignal) });
const PARTS = fields({ bytes: optional(wholeNumber(1)), signal: optional(isSignal) });

/** The range of a tensor's bytes to read. */
export interface ReadTensorOptions {
  /** First byte, relative to the tensor. Ranges are whole rows of the first axis. Default: 0. */
  readonly begin?: number | undefined;
  /** End, relative to the tensor. Default: the tensor's end. */
  readonly end?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Bytes of a row of a tensor's first axis; undefined if there are no rows. */
const rowBytes = ({ shape, begin, end }: TensorInfo): number | undefined => (shape[0] ? (end - begin) / shape[0] : undefined);

/**
 * Reads a tensor, or a range of its rows, which has a shorter first axis.
 * @throws ArgumentError if a range is not whole rows, FormatError if the file ends before, ReadError, the reason of `signal`
 * @example const scales = asFloats(await readTensor(file.tensors.get('model.layers.0.mlp.up_proj.scales')!));
 */
export async function readTensor(info: TensorInfo, options: ReadTensorOptions = {}): Promise<RawTensor> {
  tensorInfo(info, 'info');
  const { begin = 0, end = info.end - info.begin, signal } = PART(options, 'options');
  const { name, dtype, source, shape } = info;
  const size = info.end - info.begin;
  const row = rowBytes(info);
  const part = begin !== 0 || end !== size;
  if (part) {
    const fits = row !== undefined && row > 0 && begin % row === 0 && end % row === 0 && begin >= 0 && begin <= end && end <= size;
    if (!fits) throw new ArgumentError(`${name}: begin, end`, `whole rows of ${row ?? size} bytes up to ${size}`, `${begin}, ${end}`);
  }
  const bytes = await readFrom(source, info.begin + begin, info.begin + end, signal);
  return { name, file: source.name, dtype, shape: part ? [(end - begin) / row!, ...shape.slice(1)] : shape, bytes };
}

/** Some rows of a tensor, and the progress of reading. */
export interface TensorPart {
  readonly tensor: RawTensor;
  /** Bytes of the tensor up to the end of this part. */
  readonly done: number;
  readonly total: number;
}

/** Size of a tensor's parts. */
export interface PartsOptions {
  /** A part has as many rows as fit, at least one. Default: 16 MiB. */
  readonly bytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a tensor in parts of whole rows, one after another.
 * @throws as readTensor
 * @example for await (const { tensor, done, total } of tensorParts(info)) { use(tensor); show(done / total); }
 */
export async function* tensorParts(info: TensorInfo, options: PartsOptions = {}): AsyncGenerator<TensorPart> {
  tensorInfo(info, 'info');
  const { bytes = 16 * 2 ** 20, signal } = PARTS(options, 'options');
  const total = info.end - info.begin;
  const row = rowBytes(info);
  const step = row ? Math.max(1, Math.floor(bytes / row)) * row : total;
  let begin = 0;
  do {
    const done = Math.min(total, begin + step);
    yield { tensor: await readTensor(info, { begin, end: done, ...(signal && { signal }) }), done, total };
    begin = done;
  } while (begin < total);
}
