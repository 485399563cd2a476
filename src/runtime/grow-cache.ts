// A cache of more positions: its buffers, and the copies of what the smaller one has.
import { UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { whileAlive } from '../gpu/device.js';
import { guarded, guardedSubmit, type Taken } from '../gpu/guard.js';
import type { Config } from '../llm/config.js';
import type { Caps } from '../problem/caps.js';
import { cacheSizes, growth, type KvDType } from './memory.js';

const PARTS = ['k', 'v'] as const;

/** Buffers of a cache by name: `k.3`, `v.3`, and `parts` where splits are joined. */
export type Cache = ReadonlyMap<string, GPUBuffer>;

/** @throws UnsupportedError if a layer's keys exceed a binding, or there is no memory; DeviceLostError */
export async function makeCache(
  device: GPUDevice,
  config: Config,
  { kv, capacity, caps }: { readonly kv: KvDType; readonly capacity: number; readonly caps: Caps },
): Promise<Cache> {
  const what = `a cache of ${capacity} positions`;
  const { parts, ...sizes } = cacheSizes(config, kv, capacity);
  const { maxStorageBufferBindingSize: largest } = caps;
  if (Math.max(sizes.k, parts) > largest)
    throw new UnsupportedError(what, [`a layer's keys need ${sizes.k} bytes, parts ${parts}, maxStorageBufferBindingSize is ${largest}`]);
  const init = (name: string, size: number) => [name, { label: `llm ${name}`, usage: BUFFER.output, size }] as const;
  const { result: made, errors } = guarded(device, what, () =>
    makeBuffers(device, [
      ...Array.from({ length: config.layers }, (_, layer) => PARTS.map((part) => init(`${part}.${layer}`, sizes[part]))).flat(),
      ...(parts > 0 ? [init('parts', parts)] : []),
    ]),
  );
  try {
    await whileAlive(device, errors);
    return made;
  } catch (error) {
    for (const buffer of made.values()) buffer.destroy();
    throw error;
  }
}

/** Copies of a cache to a larger one. */
export interface CopyOptions {
  readonly from: Cache;
  readonly to: Cache;
  readonly kv: KvDType;
  readonly capacities: readonly [from: number, to: number];
  /** Positions that are copied, from the first on. */
  readonly used: number;
}

/** Enqueues the copies. */
export function copyCache(device: GPUDevice, config: Config, { from, to, kv, capacities, used }: CopyOptions): Taken {
  const encoder = device.createCommandEncoder({ label: 'antiquant llm cache' });
  for (let layer = 0; layer < config.layers; layer++)
    for (const part of PARTS)
      for (const run of growth(config, part, { kv, from: capacities[0], to: capacities[1], used }))
        encoder.copyBufferToBuffer(from.get(`${part}.${layer}`)!, run.from, to.get(`${part}.${layer}`)!, run.to, run.size);
  return guardedSubmit(device, 'the cache', () => device.queue.submit([encoder.finish()]));
}
