// Imported matrices into packed buffers, in one piece or in many. Nothing is left on the GPU of a load that is abandoned.

import { ArgumentError, UnsupportedError } from '../errors.js';
import { encodeInto, record, submit } from '../gpu/dispatch.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { windowBytes } from '../plan/binding.js';
import { type Corner, packPiece, pieceData, weightsOf } from '../plan/load-steps.js';
import { type Packed, packedLayout } from '../plan/packed-layout.js';
import type { Step } from '../plan/step.js';
import type { Caps } from '../problem/caps.js';
import { checkMatrix, type QuantizedMatrix, rowsOf } from '../problem/matrix.js';
import type { Weights } from '../problem/problem.js';

/** A layer's buffers, by role, and what is known to come of filling them. */
export interface Buffers {
  readonly packed: Packed;
  readonly buffers: Map<string, GPUBuffer>;
  /** Rejects if there is no memory, or a shader did not compile. */
  readonly done: Promise<void>[];
}

export interface Load extends Buffers {
  readonly device: GPUDevice;
  readonly caps: Caps;
  readonly weights: Weights;
  /** So far every zero point was that of no offset. */
  symmetric: boolean;
}

const WEIGHTS = 0x80 | 0x4 | 0x8; // GPUBufferUsage.STORAGE, and COPY_SRC | COPY_DST to bring layers side by side
const SOURCE = 0x80; // STORAGE
/** Codes of a matrix that are uploaded at once. */
const PIECE_BYTES = 2 ** 25;

/** Buffers for a layer's packed weights, not filled. */
export function allocate(device: GPUDevice, packed: Packed): Buffers {
  device.pushErrorScope('out-of-memory');
  const buffers = new Map<string, GPUBuffer>();
  for (const [role, size] of Object.entries(packed.sizes)) {
    buffers.set(role, device.createBuffer({ label: `antiquant ${role}`, size, usage: WEIGHTS }));
  }
  const total = Object.values(packed.sizes).reduce((a, b) => a + b, 0);
  const memory = device.popErrorScope().then((error) => {
    if (error) throw new UnsupportedError('weights', [`need ${total} bytes of GPU memory: ${error.message}`]);
  });
  memory.catch(() => {}); // reported with `done`
  return { packed, buffers, done: [memory] };
}

/** Runs the steps that fill a layer's buffers from `sources`. @throws ShaderError if one did not compile before */
export function fill(device: GPUDevice, { buffers, done }: Buffers, steps: readonly Step[], sources: (role: string) => GPUBuffer): void {
  const recording = record(device, steps, (role) => buffers.get(role) ?? sources(role));
  submit(device, 'antiquant load', (pass) => encodeInto(pass, recording));
  recording.uniforms.destroy();
  const errors = pipelineErrors(device, steps);
  errors.catch(() => {}); // reported with `done`
  done.push(errors);
}

/**
 * Allocates for a matrix of `size`, of which `first` is a piece or the whole.
 * @throws UnsupportedError if the device cannot hold it
 */
export function beginLoad(
  device: GPUDevice,
  caps: Caps,
  first: QuantizedMatrix,
  {
    size = first,
    ...outputs
  }: Pick<Weights, 'biased' | 'requantized'> & { readonly size?: { readonly n: number; readonly k: number; readonly groupSize: number } },
): Load {
  const weights: Weights = { ...weightsOf(first, size), ...outputs };
  const made = allocate(device, packedLayout(weights, caps));
  const write = (role: string, data: Float32Array | Uint32Array | undefined): void => {
    if (data) device.queue.writeBuffer(made.buffers.get(role)!, 0, data.buffer, data.byteOffset, data.byteLength);
  };
  write('codebook', first.codebook);
  write('permutation', first.permutation);
  return { ...made, device, caps, weights, symmetric: weights.shift === 'offset' };
}

/** Enqueues. @throws ArgumentError if a piece is not what it says, or not of the same kind as the first */
export function loadPiece(load: Load, piece: QuantizedMatrix, corner: Corner = { n: 0, k: 0 }): void {
  checkMatrix(piece);
  const { device, caps, weights, packed } = load;
  const { bits, scaleDtype, shift } = weightsOf(piece);
  for (const [name, got] of Object.entries({ bits, scaleDtype, shift })) {
    const expected = weights[name as 'bits'];
    if (got !== expected)
      throw new ArgumentError(`matrix: ${name} of the piece at (${corner.n}, ${corner.k})`, String(expected), String(got));
  }
  const middle = 2 ** (bits - 1);
  if (load.symmetric) load.symmetric = piece.zeroPoint?.every((zero) => zero === middle) ?? false;
  for (const part of rowsOf(piece, Math.min(PIECE_BYTES, windowBytes(caps)))) {
    const sources = new Map(Object.entries(pieceData(part.matrix)).map(([role, data]) => [role, upload(device, role, data)]));
    fill(
      device,
      load,
      packPiece(part.matrix, { n: corner.n + part.begin, k: corner.k }, weights, packed, caps),
      (role) => sources.get(role)!,
    );
    for (const buffer of sources.values()) buffer.destroy(); // what was submitted still reads them
  }
}

/** The layer's weights once all pieces are in. Zero points that turned out to be none are dropped: products are faster for it. */
export function finishLoad({ weights, packed, buffers, done, symmetric }: Load): Buffers & Pick<Load, 'weights'> {
  if (!symmetric) return { weights, packed, buffers, done };
  for (const [role, buffer] of buffers) {
    if (!role.startsWith('offset')) continue;
    buffer.destroy();
    buffers.delete(role);
  }
  const sizes = Object.fromEntries(Object.entries(packed.sizes).filter(([role]) => buffers.has(role)));
  return { weights: { ...weights, shift: 'none' }, packed: { ...packed, sizes }, buffers, done };
}

export function abandonLoad({ buffers }: Buffers): void {
  for (const buffer of buffers.values()) buffer.destroy();
}

function upload(device: GPUDevice, role: string, data: Uint32Array | Uint16Array | Float32Array): GPUBuffer {
  const size = Math.ceil(data.byteLength / 4) * 4;
  const buffer = device.createBuffer({ label: `antiquant ${role}`, size, usage: SOURCE, mappedAtCreation: true });
  new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  buffer.unmap();
  return buffer;
}
