// What loadLayer and loadExperts read: a layer of a file, or a float tensor that is quantized while it is loaded. Either comes in pieces.
import { fields, oneOf, optional, property, text } from '../arguments/check.js';
import { ArgumentError, UnsupportedError } from '../errors.js';
import { tensorInfo } from '../files/given.js';
import { floatDtypeOf } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { checkSource } from '../formats/given.js';
import type { LayerSource } from '../formats/layer-source.js';
import { biasOf, type ReadOptions, readPieces, tensorBytes } from '../formats/read-layer.js';
import type { CodeBits } from '../problem/code-width.js';
import { keyOf } from '../problem/key.js';
import { checkMatrix, inFixedMemory } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { type QuantizeForm, settingsFor } from '../quantize/gpu-form.js';
import type { Settings } from '../quantize/options.js';
import { type QuantizeReport, reportOf, type Sums } from '../quantize/report.js';
import { floatPieces, type GpuPiece } from './float-pieces.js';
import { checkPlan, settingsOf } from './planning-options.js';

/** A matrix of a file, however it is stored. */
export interface PieceSource {
  readonly name: string;
  readonly n: number;
  readonly k: number;
  readonly groupSize: number;
  /** Of its codes. */
  readonly bits: CodeBits;
  /** Of the file, without the bias: what `pieces` reads. */
  readonly bytes: number;
  /** Can it be read in pieces? */
  readonly cut: boolean;
  /** Sources of another kind share no dispatch. */
  readonly kind: string;
  /** What all experts of a block have in common, in words. */
  readonly said: string;
  bias(signal: AbortSignal | undefined): Promise<Float32Array<ArrayBuffer> | undefined>;
  pieces(options: ReadOptions): AsyncGenerator<GpuPiece>;
  /** Of floats: how they are quantized, and the errors of the pieces so far. */
  readonly quantized?: { readonly settings: Settings; readonly sums: Sums };
}

/** How a source is read. */
export interface SourceOptions {
  /** The form of float weights. */
  readonly quantize?: QuantizeForm | undefined;
  /** The bias of float weights: a tensor (N,) of the file. */
  readonly bias?: TensorInfo | undefined;
  readonly plan?: unknown;
}

/** @throws ArgumentError, UnsupportedError */
export function sourceOf(device: GPUDevice, source: LayerSource | TensorInfo, options: SourceOptions): PieceSource {
  return isTensor(source) ? floatSource(device, source, options) : layerSource(source, options);
}

/** Is it a tensor, rather than a layer? */
export const isTensor = (source: unknown): source is TensorInfo =>
  typeof source === 'object' &&
  source !== null &&
  property(source, 'make', 'source') === undefined &&
  property(source, 'begin', 'source') !== undefined;

const WORDS = fields({ name: optional(text), format: optional(text) });

function layerSource(layer: LayerSource, { quantize, bias }: SourceOptions): PieceSource {
  checkSource(layer);
  const { n, k, bits, groupSize } = layer;
  const { name = '', format = '' } = WORDS(layer, 'source');
  for (const [option, value] of Object.entries({ quantize, bias }))
    if (value !== undefined) throw new ArgumentError(option, `none, since ${name || 'the layer'} is ${format}`, 'one');
  return {
    name,
    n,
    k,
    groupSize,
    bits,
    bytes: tensorBytes(layer),
    cut: layer.cut !== undefined,
    kind: keyOf({ format, k, bits, groupSize }),
    said: `${format} ${showShape([n, k])} in groups of ${groupSize}`,
    bias: (signal) => biasOf(layer, signal),
    async *pieces(options) {
      for await (const piece of readPieces(layer, options)) {
        checkMatrix(piece.matrix); // the caller may have made the source
        yield { ...piece, matrix: inFixedMemory(piece.matrix) };
      }
    },
  };
}

function floatSource(device: GPUDevice, info: TensorInfo, { quantize, bias, plan }: SourceOptions): PieceSource {
  tensorInfo(info, 'source');
  optional(tensorInfo)(bias, 'bias');
  const { name, dtype: stored, shape, transposed } = info;
  oneOf('F32', 'F16', 'BF16')(stored, `source.dtype of ${name}`);
  if (shape.length !== 2) throw new ArgumentError(`source.shape of ${name}`, '(N, K); partsOf cuts (E, N, K)', showShape(shape));
  if (transposed) throw new UnsupportedError(name, ['it lies as (K, N), and rows are quantized: give quantize() its transpose instead']);
  if (quantize === undefined) throw new ArgumentError('quantize', `int8, int4 or options, since ${name} is ${stored}`, 'none');
  const [n, k] = shape as readonly [number, number];
  const settings = { ...settingsFor(quantize, { n, k }), dtype: floatDtypeOf(stored) };
  const sums: Sums = { squares: 0, errors: 0, largest: 0 };
  const { groupSize } = settings;
  return {
    name,
    n,
    k,
    groupSize,
    bits: settings.bits,
    bytes: info.end - info.begin,
    cut: true,
    kind: keyOf({ ...settings, n: 0 }),
    said: `${stored} ${showShape([n, k])}`,
    bias: (signal) => biasOf({ n, bias }, signal),
    pieces: (options) => floatPieces(device, settingsOf(device, checkPlan(plan)).caps, { info, settings, sums }, options),
    quantized: { settings, sums },
  };
}

/** The report of loaded sources together; undefined if they were quantized in the file. */
export function reportOfAll(sources: readonly PieceSource[]): QuantizeReport | undefined {
  const all = sources.flatMap(({ quantized }) => quantized ?? []);
  const [first] = all;
  if (!first) return undefined;
  const sums: Sums = { squares: 0, errors: 0, largest: 0 };
  for (const { sums: own } of all) {
    sums.squares += own.squares;
    sums.errors += own.errors;
    sums.largest = Math.max(sums.largest, own.largest);
  }
  return reportOf(sums, { ...first.settings, n: first.settings.n * all.length });
}
