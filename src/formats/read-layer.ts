// Reads a layer of a file in pieces: byte ranges of its tensors, each imported as a matrix.
import { fields, signal as isSignal, optional, wholeNumber } from '../arguments/check.js';
import { FormatError } from '../errors.js';
import { readFrom, watched } from '../files/given.js';
import { asFloats, type RawTensor } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import type { Progress } from '../progress.js';
import { checkSource } from './given.js';
import type { LayerSource } from './layer-source.js';

/** How a layer of a file is read. */
export interface ReadOptions {
  /** Approximate bytes of a piece; default 16 MiB. A layer that cannot be cut is read in one piece. */
  readonly chunkBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Receives the bytes of the layer that have been read. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** A piece of a matrix, and the position of its first code. */
export interface Piece {
  readonly matrix: QuantizedMatrix;
  readonly n: number;
  readonly k: number;
}

const CHUNK_BYTES = 2 ** 24;
const OPTIONS = fields({ ...watched, chunkBytes: optional(wholeNumber(1)) });

type Tensors = Pick<LayerSource, 'tensors' | 'bias'>;

/** Bytes of a layer's tensors without the bias. */
export const tensorBytes = ({ tensors }: Pick<LayerSource, 'tensors'>): number =>
  Object.values(tensors).reduce((sum, { begin, end }) => sum + end - begin, 0);

/** Bytes of a layer in its file. */
export function layerBytes(layer: LayerSource): number {
  checkSource(layer);
  return tensorBytes(layer) + (layer.bias ? layer.bias.end - layer.bias.begin : 0);
}

/**
 * Reads the matrix of a layer in order, in pieces of about `chunkBytes` of the file. Each piece has new memory.
 * @throws FormatError, ReadError, the reason of `signal`
 */
export async function* readPieces(layer: LayerSource, options: ReadOptions = {}): AsyncGenerator<Piece> {
  checkSource(layer);
  for await (const { tensors, size, n, k } of readRuns(layer, options)) yield { matrix: layer.make(tensors, size), n, k };
}

/** Runs of rows of a layer's tensors, with the size of their part of the matrix and the position of its first weight. */
export interface Run {
  readonly tensors: Readonly<Record<string, RawTensor>>;
  readonly size: { readonly n: number; readonly k: number };
  readonly n: number;
  readonly k: number;
}

/**
 * What `readPieces` imports.
 * @param most bytes of a run that is longer than a unit, whatever `chunkBytes`
 * @throws ArgumentError, FormatError, ReadError, the reason of `signal`
 */
export async function* readRuns(
  layer: Tensors & Pick<LayerSource, 'n' | 'k' | 'cut'>,
  options: ReadOptions,
  most = Number.POSITIVE_INFINITY,
): AsyncGenerator<Run> {
  const { chunkBytes = CHUNK_BYTES, signal, onProgress } = OPTIONS(options, 'options');
  const { n, k, cut, tensors } = layer;
  const total = tensorBytes(layer); // readBias reads the bias
  let done = 0;
  const read = async (info: TensorInfo, first = 0, last = rowsIn(info)): Promise<RawTensor> => {
    signal?.throwIfAborted();
    const row = (info.end - info.begin) / rowsIn(info);
    const bytes = await readFrom(info.source, info.begin + first * row, info.begin + last * row, signal);
    done += bytes.length;
    onProgress?.({ phase: 'read', done, total });
    const shape = first === 0 && last === rowsIn(info) ? info.shape : [last - first, ...info.shape.slice(1)];
    return { name: info.name, file: info.source.name, dtype: info.dtype, shape, bytes };
  };
  const entries = Object.entries(tensors);
  if (!cut) {
    const whole: [string, RawTensor][] = [];
    for (const [name, info] of entries) whole.push([name, await read(info)]);
    yield { tensors: Object.fromEntries(whole), size: { n, k }, n: 0, k: 0 };
    return;
  }
  const length = cut.axis === 'n' ? n : k;
  // Tensors that are not cut are read once.
  const kept: [string, RawTensor][] = [];
  for (const [name, info] of entries) if (!cut.perRow[name]) kept.push([name, await read(info)]);
  const walked = entries.filter(([name]) => cut.perRow[name]);
  for (const [name, info] of walked) {
    const rows = Math.ceil(length / cut.perRow[name]!);
    if (rowsIn(info) !== rows)
      throw new FormatError({ file: info.source.name, tensor: info.name, field: 'shape' }, `${rows} rows`, String(rowsIn(info)));
  }
  const perUnit = walked.reduce((sum, [, info]) => sum + ((info.end - info.begin) / length) * cut.unit, 0);
  const run = cut.unit * Math.max(1, Math.floor(Math.min(chunkBytes, most) / perUnit));
  for (let begin = 0; begin < length; begin += run) {
    const end = Math.min(length, begin + run);
    const parts: [string, RawTensor][] = [];
    for (const [name, info] of walked) {
      const per = cut.perRow[name]!;
      parts.push([name, await read(info, Math.floor(begin / per), Math.ceil(end / per))]);
    }
    const size = cut.axis === 'n' ? { n: end - begin, k } : { n, k: end - begin };
    const [first, column] = cut.axis === 'n' ? [begin, 0] : [0, begin];
    yield { tensors: Object.fromEntries([...kept, ...parts]), size, n: first, k: column };
  }
}

const rowsIn = ({ shape }: TensorInfo): number => shape[0] ?? 1;

/** Reads the matrix of a layer. @throws FormatError, ReadError, the reason of `signal` */
export async function readMatrix(layer: LayerSource, options: Omit<ReadOptions, 'chunkBytes'> = {}): Promise<QuantizedMatrix> {
  checkSource(layer);
  const pieces = readPieces({ ...layer, cut: undefined }, options);
  const { value } = await pieces.next();
  return (value as Piece).matrix;
}

/** Reads the bias of a layer; undefined if it has none. @throws FormatError, ReadError */
export async function readBias(layer: LayerSource, signal?: AbortSignal): Promise<Float32Array<ArrayBuffer> | undefined> {
  checkSource(layer);
  optional(isSignal)(signal, 'signal');
  return biasOf(layer, signal);
}

/** The same of what was checked. */
export async function biasOf(
  { n, bias }: Pick<LayerSource, 'n' | 'bias'>,
  signal: AbortSignal | undefined,
): Promise<Float32Array<ArrayBuffer> | undefined> {
  if (!bias) return undefined;
  const bytes = await readFrom(bias.source, bias.begin, bias.end, signal);
  const values = asFloats({ name: bias.name, file: bias.source.name, dtype: bias.dtype, shape: bias.shape, bytes });
  if (values.length !== n)
    throw new FormatError({ file: bias.source.name, tensor: bias.name, field: 'shape' }, `(${n},)`, `${values.length} values`);
  return values;
}
