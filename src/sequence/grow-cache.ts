// A cache of more positions: its buffers, and the copies of what the smaller one has.
import { UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { whileAlive } from '../gpu/device.js';
import { guarded, guardedSubmit, type Taken } from '../gpu/guard.js';
import type { Config } from '../llm/config.js';
import type { KvDType } from '../llm-kernels/attention.js';
import type { Caps } from '../problem/caps.js';
import { cacheSizes, growth, slotsOf } from './memory.js';

const PARTS = ['k', 'v'] as const;

/** Buffers of a cache by name: `k.3`, `v.3`, and `parts` where splits are joined. */
export type Cache = ReadonlyMap<string, GPUBuffer>;

/** Does a buffer of this name have keys or values? */
export const isCache = (name: string): boolean => /^[kv]\.\d+$/.test(name);

/** How a cache grows. */
export interface Growth {
  readonly kv: KvDType;
  /** Positions of sequences before and afterwards. */
  readonly capacities: readonly [from: number, to: number];
}

/** Layers whose cache is of another size afterwards: rings stay at that of their window. */
const changed = (config: Config, [from, to]: Growth['capacities']): readonly number[] =>
  Array.from({ length: config.layers }, (_, layer) => layer).filter((layer) => slotsOf(config, from, layer) !== slotsOf(config, to, layer));

/**
 * The buffers that are of another size then.
 * @throws UnsupportedError if a layer's keys exceed a binding, or there is no memory; DeviceLostError
 */
export async function makeCache(
  device: GPUDevice,
  config: Config,
  { kv, capacities, caps }: Growth & { readonly caps: Caps },
): Promise<Cache> {
  const [, capacity] = capacities;
  const what = `a cache of ${capacity} positions`;
  const sizes = changed(config, capacities).map((layer) => ({ layer, ...cacheSizes(config, kv, capacity, layer) }));
  const [keys, parts] = [Math.max(0, ...sizes.map(({ k }) => k)), Math.max(0, ...sizes.map((size) => size.parts))];
  const { maxStorageBufferBindingSize: largest } = caps;
  if (Math.max(keys, parts) > largest)
    throw new UnsupportedError(what, [`a layer's keys need ${keys} bytes, parts ${parts}, maxStorageBufferBindingSize is ${largest}`]);
  const init = (name: string, size: number) => [name, { label: `llm ${name}`, usage: BUFFER.output, size }] as const;
  const { result: made, errors } = guarded(device, what, () =>
    makeBuffers(device, [
      ...sizes.flatMap(({ layer, ...size }) => PARTS.map((part) => init(`${part}.${layer}`, size[part]))),
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
export interface CopyOptions extends Growth {
  readonly from: Cache;
  readonly to: Cache;
  /** Positions that are copied, from the first on. */
  readonly used: number;
}

/** Enqueues the copies. */
export function copyCache(device: GPUDevice, config: Config, { from, to, kv, capacities, used }: CopyOptions): Taken {
  const encoder = device.createCommandEncoder({ label: 'antiquant llm cache' });
  for (const layer of changed(config, capacities))
    for (const part of PARTS)
      for (const run of growth(config, part, {
        kv,
        from: slotsOf(config, capacities[0], layer),
        to: slotsOf(config, capacities[1], layer),
        used,
      }))
        encoder.copyBufferToBuffer(from.get(`${part}.${layer}`)!, run.from, to.get(`${part}.${layer}`)!, run.to, run.size);
  return guardedSubmit(device, 'the cache', () => device.queue.submit([encoder.finish()]));
}
