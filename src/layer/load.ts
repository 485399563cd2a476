// Imported matrices into packed buffers, in one piece or in many. Nothing is left on the GPU of a load that is abandoned.

import { ArgumentError, UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, record, submit } from '../gpu/recording.js';
import { windowBytes } from '../plan/binding.js';
import type { Dispatch } from '../plan/dispatch.js';
import { type Corner, pieceData, pieceSteps, weightsOf } from '../plan/load-steps.js';
import { type Packed, packedBytes, packedLayout, slicesOf, withoutOffsets } from '../plan/packed-layout.js';
import type { Caps } from '../problem/caps.js';
import { widthOf } from '../problem/code-width.js';
import { type QuantizedMatrix, rowsOf } from '../problem/matrix.js';
import type { Weights } from '../problem/problem.js';

/** A layer's buffers, by role, and what is known to come of filling them. */
export interface Buffers {
  readonly weights: Weights;
  readonly packed: Packed;
  readonly buffers: Map<string, GPUBuffer>;
  /** Rejects if there is no memory, or a shader did not compile. */
  readonly done: Promise<void>[];
}

export interface Load extends Buffers {
  readonly device: GPUDevice;
  readonly caps: Caps;
  /** So far every zero point was that of no offset. */
  symmetric: boolean;
}

/** Codes of a matrix that are uploaded at once. */
const PIECE_BYTES = 2 ** 25;

/** Buffers for a layer's packed weights, not filled. */
export function allocate(device: GPUDevice, { weights, packed }: Pick<Buffers, 'weights' | 'packed'>): Buffers {
  device.pushErrorScope('out-of-memory');
  const buffers = new Map<string, GPUBuffer>();
  for (const { buffer, size } of slicesOf(weights, packed)) {
    buffers.set(buffer, makeBuffer(device, { label: buffer, usage: BUFFER.weights, size }));
  }
  const total = packedBytes(weights, packed);
  const memory = device.popErrorScope().then((error) => {
    if (error) throw new UnsupportedError('weights', [`need ${total} bytes of GPU memory: ${error.message}`]);
  });
  memory.catch(() => {}); // reported with `done`
  return { weights, packed, buffers, done: [memory] };
}

/** Runs the dispatches that fill a layer's buffers from `sources`. @throws ShaderError if one did not compile before */
export function fill(
  device: GPUDevice,
  { buffers, done }: Buffers,
  { dispatches, sources }: { readonly dispatches: readonly Dispatch[]; readonly sources: (role: string) => GPUBuffer },
): void {
  const recording = record(device, dispatches, (role) => buffers.get(role) ?? sources(role));
  submit(device, 'antiquant load', (pass) => encodeInto(pass, recording));
  recording.uniforms.destroy();
  const errors = pipelineErrors(device, dispatches);
  errors.catch(() => {}); // reported with `done`
  done.push(errors);
}

/**
 * Allocates for a matrix of `size`, of which `first` is a piece or the whole.
 * @throws UnsupportedError if the device cannot hold it
 */
export function beginLoad(
  device: GPUDevice,
  first: QuantizedMatrix,
  {
    caps,
    size = first,
    ...outputs
  }: Pick<Weights, 'biased' | 'requantized'> & {
    readonly caps: Caps;
    readonly size?: Pick<QuantizedMatrix, 'n' | 'k' | 'groupSize'>;
  },
): Load {
  const weights: Weights = { ...weightsOf(first, size), ...outputs };
  const made = allocate(device, { weights, packed: packedLayout(weights, caps) });
  const write = (role: string, data: Float32Array | Uint32Array | undefined): void => {
    if (data) device.queue.writeBuffer(made.buffers.get(role)!, 0, data.buffer, data.byteOffset, data.byteLength);
  };
  write('codebook', first.codebook);
  write('permutation', first.permutation);
  return { ...made, device, caps, symmetric: weights.shift === 'offset' };
}

/** Enqueues a piece that `checkMatrix` has taken. @throws ArgumentError if it is not of the same kind as the first */
export function loadPiece(load: Load, piece: QuantizedMatrix, corner: Corner = { n: 0, k: 0 }): void {
  const { device, caps, weights, packed } = load;
  const { bits, scaleDtype, shift } = weightsOf(piece);
  for (const [name, got] of Object.entries({ bits, scaleDtype, shift })) {
    const expected = weights[name as 'bits'];
    if (got !== expected)
      throw new ArgumentError(`matrix: ${name} of the piece at (${corner.n}, ${corner.k})`, String(expected), String(got));
  }
  const { zero } = widthOf(bits);
  if (load.symmetric) load.symmetric = piece.zeroPoint?.every((point) => point === zero) ?? false;
  for (const part of rowsOf(piece, Math.min(PIECE_BYTES, windowBytes(caps)))) {
    const sources = new Map(
      Object.entries(pieceData(part.matrix)).map(([role, data]) => [
        role,
        makeBuffer(device, { label: role, usage: BUFFER.scratch, data }),
      ]),
    );
    const at = { n: corner.n + part.begin, k: corner.k };
    const dispatches = pieceSteps({ piece: part.matrix, corner: at, weights, caps }, packed);
    fill(device, load, { dispatches, sources: (role) => sources.get(role)! });
    for (const buffer of sources.values()) buffer.destroy(); // what was submitted still reads them
  }
}

/** The layer's weights once all pieces are in. Zero points that turned out to be none are dropped: products are faster for it. */
export function finishLoad({ weights, packed, buffers, done, symmetric }: Load): Buffers {
  if (!symmetric) return { weights, packed, buffers, done };
  const less = withoutOffsets(packed);
  for (const { buffer } of less.dropped) {
    buffers.get(buffer)!.destroy();
    buffers.delete(buffer);
  }
  return { weights: { ...weights, shift: 'none' }, packed: less.packed, buffers, done };
}

export function abandonLoad({ buffers }: Buffers): void {
  for (const buffer of buffers.values()) buffer.destroy();
}
