// The self-test of a variant, once per device: its trial runs (run-trials.ts), and what fails is disabled.
import { ShaderError } from '../errors.js';
import { variantId } from '../kernels/kernel.js';
import type { MatmulVariant } from '../plan/trial.js';
import { describe, findingsOf } from './device-findings.js';
import { loadOwn } from './own-file.js';

const trials = () => loadOwn('the self-test', () => import('./run-trials.js'));

/**
 * Tests those that have not been tested on this device; all that wait for the same answer share it. What fails is disabled; only what
 * says nothing of a variant (no memory, a lost device, a file of this library that cannot be loaded) rejects.
 */
export async function selfTest(device: GPUDevice, variants: readonly MatmulVariant[]): Promise<void> {
  const { tests } = findingsOf(device);
  const byId = new Map(variants.map((variant) => [variantId(variant.kernel, variant.params), variant]));
  const fresh = [...byId].filter(([id]) => !tests.has(id));
  if (fresh.length > 0) {
    const done = trials().then(({ runTrials }) =>
      runTrials(
        device,
        fresh.map(([, variant]) => variant),
      ),
    );
    for (const [id] of fresh) tests.set(id, done);
    done.catch(() => {
      for (const [id] of fresh) tests.delete(id); // tested again at the next use
    });
  }
  await Promise.all([...byId.keys()].map((id) => tests.get(id)));
}

/** Resolves when a variant is known to work. @throws ShaderError if it does not */
export async function selfTested(device: GPUDevice, variant: MatmulVariant): Promise<void> {
  await selfTest(device, [variant]);
  const id = variantId(variant.kernel, variant.params);
  const report = findingsOf(device).reports.find((one) => one.variant === id);
  if (report) throw new ShaderError(id, [`self-test on ${report.adapter}: ${describe(report)}; later calls use another kernel`]);
}
