// The buffers of a device that are alive, and how many bytes they have taken at most. Holds no test.
import { afterEach, beforeEach } from 'vitest';

export interface AliveBuffers {
  /** Their labels, sorted. */
  labels(): string[];
  /** Their bytes. */
  bytes(): number;
  /** The most bytes since the test began. */
  peak(): number;
}

/** Follows the buffers that are made during a test of this file. */
export function aliveBuffers(device: GPUDevice): AliveBuffers {
  const create = device.createBuffer.bind(device);
  let alive = new Set<GPUBuffer>();
  let [bytes, peak] = [0, 0];
  beforeEach(() => {
    alive = new Set();
    [bytes, peak] = [0, 0];
    device.createBuffer = (descriptor) => {
      const buffer = create(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      alive.add(buffer);
      bytes += buffer.size;
      peak = Math.max(peak, bytes);
      buffer.destroy = () => {
        if (alive.delete(buffer)) bytes -= buffer.size;
        destroy();
      };
      return buffer;
    };
  });
  afterEach(() => {
    device.createBuffer = create;
  });
  return { labels: () => [...alive].map(({ label }) => label).sort(), bytes: () => bytes, peak: () => peak };
}
