// The one place that makes GPU buffers.
import { wholeWords } from '../dtype.js';
import { UnsupportedError } from '../errors.js';

/** GPUBufferUsage, which not every engine has as a global. */
export const USAGE = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, UNIFORM: 0x40, STORAGE: 0x80, QUERY_RESOLVE: 0x200 } as const;

/** Usages by what a buffer is for. */
export const BUFFER = {
  /** Weights, copied when layers are joined; tensors, copied by other libraries. */
  weights: USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST,
  tensor: USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST,
  /** Written by the GPU and read back; other libraries copy into it. */
  output: USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST,
  /** Written by the CPU, again and again, and read by the GPU. */
  source: USAGE.STORAGE | USAGE.COPY_DST,
  /** Written by the GPU for the GPU; or filled when it is made, and read by it once. */
  scratch: USAGE.STORAGE,
  uniforms: USAGE.UNIFORM,
  staging: USAGE.MAP_READ | USAGE.COPY_DST,
} as const;

/** What `data` may be: bytes go to the GPU as they are. */
export type BufferData = Pick<Uint8Array, 'buffer' | 'byteOffset' | 'byteLength'>;

export type BufferInit = { readonly label: string; readonly usage: GPUBufferUsageFlags } & (
  | { readonly size: number }
  | { readonly data: BufferData }
);

/**
 * A buffer of `size` bytes, or one that holds `data`, up to the next whole word. Called inside an error scope (guard.ts), or by what
 * opens one: a GPU that has no memory for it says so there.
 * @param init.label what it is for, without the library's name
 * @throws UnsupportedError if the device allows no buffer as large, or there is no memory to fill it from
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

/** Buffers by role: all of them, or none. @throws UnsupportedError */
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
