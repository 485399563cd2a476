// Compiles a variant on a device, and runs its self-test there.
import { ShaderError } from '../../src/errors.js';
import { capsOf, requestDevice } from '../../src/gpu/device.js';
import { adapterName } from '../../src/gpu/device-findings.js';
import { preparePipelines } from '../../src/gpu/pipeline.js';
import { selfTested } from '../../src/gpu/self-test.js';
import { kernels } from '../../src/kernels/index.js';
import { makeTrial } from '../../src/trial/trial.js';
import type { Found } from './find.js';

export { findVariant } from './find.js';

export interface Verdict {
  readonly right: boolean;
  readonly lines: readonly string[];
}

const wrong = (error: unknown): Verdict => {
  if (!(error instanceof ShaderError)) throw error;
  return { right: false, lines: error.messages.map((message) => `FAIL ${message}`) };
};

/** Does it compile, and is what it computes right? */
export async function check(gpu: GPU, { shader, params }: Found): Promise<Verdict> {
  const device = await requestDevice({ gpu });
  const adapter = adapterName(device);
  try {
    await preparePipelines(device, [{ shader, params }]);
  } catch (error) {
    return wrong(error);
  }
  const compiles = `compiles on ${adapter}`;
  if (!kernels.some(({ name }) => name === shader)) return { right: true, lines: [compiles, 'no self-test: it is no kernel of a product'] };
  const trial = makeTrial({ kernel: shader, params }, capsOf(device));
  if (!trial) return { right: false, lines: [compiles, 'FAIL no self-test: this device has not what the variant needs'] };
  const { m, weights } = trial.problem;
  const { n, k, groupSize } = weights;
  try {
    await selfTested(device, { kernel: shader, params });
  } catch (error) {
    return wrong(error);
  }
  return { right: true, lines: [compiles, `self-test passed: y (${m}, ${n}) from K = ${k} in groups of ${groupSize}`] };
}
