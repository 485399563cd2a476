// Scratch buffers: one of each role per device, grown as needed and shared by all layers. Dispatches run in order, so a buffer is
// free again when the next call writes it.

import { BUFFER, makeBuffer } from './buffers.js';

const pools = new WeakMap<GPUDevice, Map<string, GPUBuffer>>();

/** A buffer of at least `size` bytes. One that was too small is left to the garbage collector: a recorded pass may still use it. */
export function scratch(device: GPUDevice, role: string, size: number): GPUBuffer {
  let pool = pools.get(device);
  if (!pool) pools.set(device, (pool = new Map()));
  const old = pool.get(role);
  if (old && old.size >= size) return old;
  const grown = Math.min(device.limits.maxBufferSize, 2 ** Math.ceil(Math.log2(size)));
  const buffer = makeBuffer(device, { label: `scratch ${role}`, usage: BUFFER.scratch, size: grown });
  pool.set(role, buffer);
  return buffer;
}
