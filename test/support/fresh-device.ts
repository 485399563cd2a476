// A device of Dawn for each test of a file. Holds no test.
import { afterEach, beforeEach, vi } from 'vitest';
import { requestDevice } from '../../src/index.js';
import { gpu } from './dawn.js';

/** `take` is given a new device before each test; after it spies are gone and the device is destroyed. */
export function deviceForEach(take: (device: GPUDevice) => void): void {
  let device: GPUDevice;
  beforeEach(async () => {
    device = await requestDevice({ gpu });
    take(device);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    device.destroy();
  });
}

/** Submits one pass. */
export function submitPass(device: GPUDevice, encode: (pass: GPUComputePassEncoder) => void): void {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  encode(pass);
  pass.end();
  device.queue.submit([encoder.finish()]);
}
