// A device that is lost while a layer is loaded. Holds no test.
import { requestDevice } from '../../src/index.js';
import { gpu } from './dawn.js';

/** Loads on a new device, which is destroyed at the sixth report of progress. */
export async function loseWhile(load: (device: GPUDevice, onProgress: () => void) => Promise<unknown>): Promise<void> {
  const device = await requestDevice({ gpu });
  let told = 0;
  await load(device, () => {
    if (++told === 6) device.destroy();
  });
}
