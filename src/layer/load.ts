// Repacks imported matrices into packed buffers, in one piece or several. An abandoned load frees its buffers.

import { wholeWords } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { findingsOf } from '../gpu/device-findings.js';
import { allTaken, guarded, type Taken } from '../gpu/guard.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, record, submit } from '../gpu/recording.js';
import type { Tensor } from '../gpu/tensor.js';
import { type Slice, windowBytes } from '../plan/binding.js';
import type { Dispatch } from '../plan/dispatch.js';
import {
  codebookSlice,
  inputScaleSlice,
  type Packed,
  packedBytes,
  packedLayout,
  permutationSlice,
  slicesOf,
  withoutOffsets,
} from '../plan/packed-layout.js';
import { type Corner, pieceSteps, valuesOf, weightsOf } from '../plan/piece-steps.js';
import type { Caps } from '../problem/caps.js';
import { widthOf } from '../problem/code-width.js';
import { type QuantizedMatrix, rowsOf } from '../problem/matrix.js';
import type { Weights, WeightTensors } from '../problem/problem.js';
import type { QuantizeReport } from '../quantize/report.js';

/** A layer's buffers by role, with the errors of filling them. */
export interface Buffers {
  readonly weights: Weights;
  readonly packed: Packed;
  readonly buffers: Map<string, GPUBuffer>;
  /** Each rejects if there was no memory, a shader did not compile, or the GPU refused. */
  readonly done: Taken[];
  /** Of weights that were quantized on their way. */
  readonly report?: QuantizeReport | undefined;
  /** The values of a codebook that is a table. */
  readonly codebook?: Float32Array | undefined;
}

export interface Load extends Buffers {
  readonly device: GPUDevice;
  readonly caps: Caps;
  /** Of the first piece. */
  readonly codebook: Float32Array | undefined;
  /** Every zero point so far was 2^(bits-1). */
  symmetric: boolean;
}

/** Bytes of codes that are uploaded at once. */
const PIECE_BYTES = 2 ** 25;

/** Allocates the buffers of a layer's packed weights, but for those that it shares. */
export function allocate(
  device: GPUDevice,
  { weights, packed }: Pick<Buffers, 'weights' | 'packed'>,
  shared: ReadonlyMap<string, GPUBuffer> = new Map(),
): Buffers {
  const own = slicesOf(weights, packed).filter(({ buffer }) => !shared.has(buffer));
  const inits = own.map(({ buffer, size }) => [buffer, { label: buffer, usage: BUFFER.weights, size }] as const);
  const what = `weights of ${packedBytes(weights, packed)} bytes`;
  const { result: buffers, errors } = guarded(device, what, () => makeBuffers(device, inits));
  return { weights, packed, buffers: new Map([...buffers, ...shared]), done: [errors] };
}

/**
 * Runs the dispatches that fill a layer's buffers from `sources`.
 * @param fill.written rejects if a source was not written
 * @throws ShaderError if a dispatch did not compile before
 */
export function fill(
  device: GPUDevice,
  { buffers, done }: Buffers,
  {
    dispatches,
    sources,
    written,
  }: {
    readonly dispatches: readonly Dispatch[];
    readonly sources: (role: string) => GPUBuffer;
    readonly written?: readonly (Taken | undefined)[];
  },
): void {
  const { errors } = guarded(device, 'load', () => {
    const recording = record(device, dispatches, (role) => buffers.get(role) ?? sources(role));
    submit(device, 'antiquant load', (pass) => encodeInto(pass, recording));
    recording.uniforms.destroy();
  });
  done.push(allTaken(...(written ?? []), pipelineErrors(device, dispatches), errors));
}

/** `fill` from the caller's tensors, by their names. @throws ShaderError if a dispatch did not compile before */
export function fillFrom(
  device: GPUDevice,
  made: Buffers,
  { dispatches, given }: { readonly dispatches: readonly Dispatch[]; readonly given: WeightTensors<Tensor> },
): void {
  const tensors = new Map(Object.entries(given).filter(([, tensor]) => tensor !== undefined) as [string, Tensor][]);
  const written = [...tensors.values()].map((tensor) => tensor.written);
  fill(device, made, { dispatches, sources: (role) => tensors.get(role)!.buffer, written });
}

/** What is loaded, on which device. */
type Outline = Pick<Weights, 'biased' | 'requantized'> & {
  readonly caps: Caps;
  readonly size?: Pick<QuantizedMatrix, 'n' | 'k' | 'groupSize'>;
};

/** Where a matrix goes, if not to buffers of its own as one matrix. */
export interface Place {
  readonly layout?: (weights: Weights, caps: Caps) => Packed;
  /** Buffers by role that hold other matrices too. */
  readonly shared?: ReadonlyMap<string, GPUBuffer>;
}

/** How the device holds a matrix of `size`; `first` is a piece of it or all of it. */
export function heldAs(
  device: GPUDevice,
  first: QuantizedMatrix,
  { caps: own, size = first, biased, requantized }: Outline,
): { readonly weights: Weights; readonly caps: Caps } {
  const caps = { ...own, scaleUnits: own.scaleUnits && !findingsOf(device).unitsFail };
  return { weights: { ...weightsOf(first, size, caps), biased, requantized }, caps };
}

/** Allocates for a matrix of `size`; `first` is a piece of it or all of it. @throws UnsupportedError if the device cannot hold it */
export function beginLoad(device: GPUDevice, first: QuantizedMatrix, { layout = packedLayout, shared, ...outline }: Outline & Place): Load {
  const { weights, caps } = heldAs(device, first, outline);
  const made = allocate(device, { weights, packed: layout(weights, caps) }, shared);
  if (weights.codebook === 'table') upload(device, made, codebookSlice, first.codebook);
  upload(device, made, permutationSlice(weights), first.permutation);
  // A zero point that is no byte stays where codes are as in the file.
  const droppable = weights.shift === 'offset' || weights.shift === 'zero8' || (weights.shift === 'zero' && weights.held === weights.bits);
  return { ...made, device, caps, codebook: first.codebook, symmetric: droppable };
}

/** Writes values that dispatches do not repack into a layer's buffer, from byte `at` on. */
function upload(
  device: GPUDevice,
  { buffers, done }: Buffers,
  { buffer }: Slice,
  data: Float32Array | Uint32Array | undefined,
  at = 0,
): void {
  if (!data) return;
  const { errors } = guarded(device, 'load', () =>
    device.queue.writeBuffer(buffers.get(buffer)!, at, data.buffer, data.byteOffset, data.byteLength),
  );
  done.push(errors);
}

/**
 * Enqueues a piece that passed `checkMatrix`.
 * @param place.packed where it goes, if not to the load's one matrix
 * @param place.codes its codes, if they are on the GPU already and fit a binding; the matrix then has none
 * @throws ArgumentError if it differs in kind from the first
 */
export function loadPiece(
  load: Load,
  piece: QuantizedMatrix,
  corner: Corner = { n: 0, k: 0 },
  { packed = load.packed, codes }: { readonly packed?: Packed; readonly codes?: GPUBuffer | undefined } = {},
): void {
  const { device, caps, weights } = load;
  const { bits, held, scaleDtype, shift, codebook, inputScaled } = weightsOf(piece, { ...weights, n: piece.n }, caps);
  for (const [name, got] of Object.entries({ bits, held, scaleDtype, shift, codebook, inputScaled })) {
    const expected = weights[name as 'bits'];
    if (got !== expected)
      throw new ArgumentError(`matrix: ${name} of the piece at (${corner.n}, ${corner.k})`, String(expected), String(got));
  }
  // Pieces of the same k have the same scales of inputs.
  if (corner.n === 0) upload(device, load, inputScaleSlice(weights), piece.inputScale, 4 * corner.k);
  const { zero } = widthOf(bits);
  if (load.symmetric) load.symmetric = piece.zeroPoint?.every((point) => point === zero) ?? false;
  // One set of buffers takes the runs of rows in turn: the GPU reads a run before the next one overwrites it.
  let sources: Map<string, GPUBuffer> | undefined;
  try {
    for (const part of rowsOf(piece, codes ? Number.POSITIVE_INFINITY : Math.min(PIECE_BYTES, windowBytes(caps)))) {
      const values = valuesOf(part.matrix, weights);
      const data = Object.entries(values).map(([role, { data }]) => [role, data] as readonly [string, Uploaded]);
      if (!codes) data.unshift(['codes', part.matrix.codes]);
      const { errors } = guarded(device, 'load', () => {
        // The first run of rows is the longest.
        sources ??= makeBuffers(
          device,
          data.map(([role, { byteLength }]) => [role, { label: role, usage: BUFFER.source, size: wholeWords(byteLength) }]),
        );
        for (const [role, values] of data) write(device, sources.get(role)!, values);
      });
      load.done.push(errors);
      const at = { n: corner.n + part.begin, k: corner.k };
      const dispatches = pieceSteps({ piece: part.matrix, values, corner: at, weights, caps }, packed);
      fill(device, load, { dispatches, sources: (role) => sources!.get(role) ?? codes! });
    }
  } finally {
    for (const buffer of sources?.values() ?? []) buffer.destroy(); // submitted work still reads them
  }
}

type Uploaded = Uint32Array | Uint16Array | Float32Array | Uint8Array;

/** Writes all bytes of `data`. The queue takes whole words, so the last 1 to 3 bytes are written as a separate word. */
export function write(device: GPUDevice, buffer: GPUBuffer, { buffer: bytes, byteOffset, byteLength }: Uploaded): void {
  const words = byteLength - (byteLength % 4);
  device.queue.writeBuffer(buffer, 0, bytes, byteOffset, words);
  if (words === byteLength) return;
  const last = new Uint8Array(4);
  last.set(new Uint8Array(bytes, byteOffset + words, byteLength - words));
  device.queue.writeBuffer(buffer, words, last);
}

/** Ends a load. Zero points that are all 2^(bits-1) are dropped: products are faster without. */
export function finishLoad(
  { weights, packed, buffers, done, codebook, symmetric }: Buffers & Pick<Load, 'symmetric'>,
  report?: QuantizeReport,
): Buffers {
  if (!symmetric) return { weights, packed, buffers, done, codebook, report };
  const less = withoutOffsets(packed);
  for (const { buffer } of less.dropped) {
    buffers.get(buffer)!.destroy();
    buffers.delete(buffer);
  }
  return { weights: { ...weights, shift: 'none' }, packed: less.packed, buffers, done, codebook, report };
}

export function abandonLoad({ buffers }: Buffers): void {
  for (const buffer of buffers.values()) buffer.destroy();
}

/** Runs a part of a load. If it throws, the load's buffers are freed. */
export function orAbandon(load: Buffers, work: () => void): void {
  try {
    work();
  } catch (error) {
    abandonLoad(load);
    throw error;
  }
}
