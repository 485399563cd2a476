// Makes GPU buffers; no other file calls createBuffer.
import { wholeWords } from '../dtype.js';
import { UnsupportedError } from '../errors.js';

/** GPUBufferUsage; not every engine has the global. */
export const USAGE = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, UNIFORM: 0x40, STORAGE: 0x80, QUERY_RESOLVE: 0x200 } as const;

/** Usages by purpose. */
export const BUFFER = {
  /** Weights, copied when layers are joined; tensors, copied by other libraries. */
  weights: USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST,
  tensor: USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST,
  /** Written by the GPU and read back; other libraries copy into it. */
  output: USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST,
  /** Written by the CPU, again and again, and read by the GPU. */
  source: USAGE.STORAGE | USAGE.COPY_DST,
  /** Written and read by the GPU; or filled at creation and read by the GPU once. */
  scratch: USAGE.STORAGE,
  uniforms: USAGE.UNIFORM,
  staging: USAGE.MAP_READ | USAGE.COPY_DST,
} as const;

/** Any view of bytes; they go to the GPU unchanged. */
export type BufferData = Pick<Uint8Array, 'buffer' | 'byteOffset' | 'byteLength'>;

export type BufferInit = { readonly label: string; readonly usage: GPUBufferUsageFlags } & (
  | { readonly size: number }
  | { readonly data: BufferData }
);

/**
 * Makes a buffer of `size` bytes, or one with `data`, rounded up to whole words. Call it inside an error scope (guard.ts), which reports a
 * lack of GPU memory.
 * @param init.label purpose of the buffer, without the library's name
 * @throws UnsupportedError if the device allows no buffer of this size, or mapping it needs more memory than there is
 */
export function makeBuffer(device: GPUDevice, init: BufferInit): GPUBuffer {
  const { label, usage } = init;
  const data = 'data' in init ? init.data : undefined;
  const size = Math.max(4, 'data' in init ? wholeWords(init.data.byteLength) : init.size); // nothing can be bound of an empty one
  const { maxBufferSize } = device.limits;
  if (size > maxBufferSize) throw new UnsupportedError(label, [`needs ${size} bytes, maxBufferSize is ${maxBufferSize}`]);
  let buffer: GPUBuffer | undefined;
  try {
    buffer = device.createBuffer({ label: `antiquant ${label}`, size, usage, mappedAtCreation: data !== undefined });
    if (data) {
      new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      buffer.unmap();
    }
    return buffer;
  } catch (error) {
    buffer?.destroy();
    throw new UnsupportedError(label, [`no memory for a buffer of ${size} bytes: ${(error as Error).message}`]);
  }
}

/** Makes all buffers, by role, or none. @throws UnsupportedError */
export function makeBuffers(device: GPUDevice, inits: Iterable<readonly [role: string, init: BufferInit]>): Map<string, GPUBuffer> {
  const buffers = new Map<string, GPUBuffer>();
  try {
    for (const [role, init] of inits) buffers.set(role, makeBuffer(device, init));
    return buffers;
  } catch (error) {
    for (const buffer of buffers.values()) buffer.destroy();
    throw error;
  }
}
