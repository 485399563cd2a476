// The cache of keys and values of a model, read from the device, as numbers. Holds no test.
import { decode16 } from '../../src/dtype.js';
import type { Config } from '../../src/llm/config.js';
import type { KvDType } from '../../src/llm-kernels/attention.js';

/** Keys or values of a layer, by head, position and element. */
export type Held = (head: number, position: number, element: number) => number;
export interface CacheBytes {
  /** The bytes of `k.0`, `v.0`, `k.1`, … */
  readonly bytes: ReadonlyMap<string, ArrayBuffer>;
  readonly held: (what: 'k' | 'v', layer: number) => Held;
}

/** Finds the buffers of caches that a device makes from now on; those made last count. `stop` ends that. */
export function watchCaches(device: GPUDevice) {
  const create = device.createBuffer;
  const found = new Map<string, GPUBuffer>();
  device.createBuffer = function (this: GPUDevice, descriptor: GPUBufferDescriptor) {
    const buffer = create.call(this, descriptor);
    const name = /^antiquant llm ([kv]\.\d+)$/.exec(descriptor.label ?? '')?.[1];
    if (name) found.set(name, buffer);
    return buffer;
  };
  const stop = (): void => {
    device.createBuffer = create;
  };
  return { stop, read: (config: Config, kv: KvDType) => read(device, found, { config, kv }) };
}

async function read(
  device: GPUDevice,
  found: ReadonlyMap<string, GPUBuffer>,
  { config: { headWidth, kvHeads }, kv }: { readonly config: Config; readonly kv: KvDType },
): Promise<CacheBytes> {
  if (found.size === 0) throw new Error('no cache was made');
  const encoder = device.createCommandEncoder();
  const copies = [...found].map(([name, buffer]) => {
    const copy = device.createBuffer({ size: buffer.size, usage: 0x9 /* MAP_READ | COPY_DST */ });
    encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
    return [name, copy] as const;
  });
  device.queue.submit([encoder.finish()]);
  const bytes = new Map<string, ArrayBuffer>();
  for (const [name, copy] of copies) {
    await copy.mapAsync(1 /* READ */);
    bytes.set(name, copy.getMappedRange().slice(0));
    copy.destroy();
  }
  return {
    bytes,
    held: (what, layer) => {
      const own = bytes.get(`${what}.${layer}`)!;
      const numbers = kv === 'f16' ? decode16(new Uint16Array(own), 'float16') : new Float32Array(own);
      const capacity = numbers.length / (kvHeads * headWidth);
      // K lies quad by quad, V head by head (src/llm-kernels/attention.ts).
      if (what === 'k') return (head, at, i) => numbers[4 * (((head * headWidth) / 4 + (i >> 2)) * capacity + at) + (i & 3)]!;
      return (head, at, i) => numbers[(head * capacity + at) * headWidth + i]!;
    },
  };
}

/**
 * Rounds a reference's keys and values as a device's cache of halves has them, in the order in which llmReference asks: each may be the half
 * above or below, where it lies so near to their middle that the roundings of float32 decide.
 * @param faults receives what is no rounding of the reference's number
 */
export function halvesAs(
  { held }: CacheBytes,
  { layers, kvHeads, headWidth }: Config,
  { half, near, faults }: { readonly half: (value: number) => number; readonly near: number; readonly faults: string[] },
) {
  const pitch = kvHeads * headWidth;
  const taken = Array.from({ length: layers }, () => ({ k: 0, v: 0 }));
  const numbers = taken.map((_, layer) => ({ k: held('k', layer), v: held('v', layer) }));
  let [layer, what, rows, i, flips] = [0, 'k' as 'k' | 'v', 0, 0, 0];
  return {
    /** Before the next `count` rows. */
    begin(count: number): void {
      [layer, what, rows, i] = [0, 'k', count, 0];
    },
    flips: () => flips,
    round(value: number): number {
      const at = taken[layer]![what] + Math.floor(i / pitch);
      const got = numbers[layer]![what](Math.floor((i % pitch) / headWidth), at, i % headWidth);
      const apart = near * (1 + Math.abs(value));
      if (!(got >= half(value - apart) && got <= half(value + apart)))
        faults.push(`${what}.${layer} at position ${at}: ${got} is no rounding of ${value}`);
      if (got !== half(value)) flips++;
      if (++i === rows * pitch) {
        taken[layer]![what] += rows;
        i = 0;
        if (what === 'v') layer++;
        what = what === 'k' ? 'v' : 'k';
      }
      return got;
    },
  };
}
