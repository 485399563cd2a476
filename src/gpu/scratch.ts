// Scratch buffers: one for each role and device, grown as needed and shared by all layers. Dispatches run in order, so the next call may
// overwrite a buffer.
import { BUFFER, makeBuffer } from './buffers.js';
import { guarded, type Taken } from './guard.js';

export interface Scratch {
  readonly buffer: GPUBuffer;
  /** Rejects if there was no memory for it; the pool then drops the buffer. */
  readonly ready: Taken;
}
const pools = new WeakMap<GPUDevice, Map<string, Scratch>>();

/**
 * A buffer of at least `size` bytes. A buffer that was too small is left to the garbage collector: a recorded pass may still use it.
 * @throws UnsupportedError if the device allows no buffer of this size
 */
export function scratch(device: GPUDevice, role: string, size: number): Scratch {
  let pool = pools.get(device);
  if (!pool) pools.set(device, (pool = new Map()));
  const old = pool.get(role);
  if (old && old.buffer.size >= size) return old;
  const grown = Math.max(size, Math.min(device.limits.maxBufferSize, 2 ** Math.ceil(Math.log2(size))));
  const what = `scratch ${role}`;
  const { result: buffer, errors } = guarded(device, what, () => makeBuffer(device, { label: what, usage: BUFFER.scratch, size: grown }));
  const entry: Scratch = { buffer, ready: errors };
  pool.set(role, entry);
  errors.catch(() => {
    if (pool.get(role) === entry) pool.delete(role);
  });
  return entry;
}

/** The current buffer of a role, if there is one. */
export const scratchNow = (device: GPUDevice, role: string): GPUBuffer | undefined => pools.get(device)?.get(role)?.buffer;
