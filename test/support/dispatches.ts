// Counts the dispatches of a call. Holds no test.
import { vi } from 'vitest';

/** Dispatches of a call, by a pass that only counts. */
export function dispatches(encode: (pass: GPUComputePassEncoder) => void): number {
  const dispatchWorkgroups = vi.fn();
  encode({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups } as unknown as GPUComputePassEncoder);
  return dispatchWorkgroups.mock.calls.length;
}
