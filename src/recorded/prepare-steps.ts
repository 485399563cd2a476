// Compiles and tests what a recording of steps would, all at once and off the calling thread where the browser can.
import { ShaderError } from '../errors.js';
import { preparePipelines } from '../gpu/pipeline.js';
import { selfTest } from '../gpu/self-test.js';
import { inStep } from './build.js';
import { checkStep } from './record-steps.js';
import type { Step } from './steps.js';

/**
 * What does not compile, or fails its test, is left out by the planning of the recording that follows, or named by it.
 * @param steps without dispatches of your own
 * @param rows one of the numbers that will be recorded; undefined for tensors as they are
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 */
export async function prepareSteps(device: GPUDevice, steps: readonly Step[], rows?: number): Promise<void> {
  const cut = { rows, sorted: new Map() };
  const parts = steps.flatMap((step, i) => {
    const checked = checkStep(step, i, { device, rows: [rows] });
    return inStep(i, () => checked.parts(cut));
  });
  const planned = parts.flatMap((part) => ('pipeline' in part ? [] : [part]));
  const variants = planned.flatMap(({ dispatches }) => dispatches);
  await preparePipelines(device, variants).catch((error: unknown) => {
    if (!(error instanceof ShaderError)) throw error;
  });
  const plans = planned.flatMap(({ product }) => (product?.loaded.settings.selfTest ? [product.plan] : []));
  await selfTest(device, plans);
}
