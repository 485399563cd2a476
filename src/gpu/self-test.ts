// The self-test of a variant, once per device: runs its trial (run-trials.ts), which disables a variant that fails.
import { ShaderError } from '../errors.js';
import { variantId } from '../kernels/kernel.js';
import type { MatmulVariant } from '../trial/trial.js';
import { describe, findingsOf } from './device-findings.js';
import { loadOwn } from './own-file.js';

const trials = () => loadOwn('the self-test', () => import('./run-trials.js'));

/**
 * Tests the variants that are untested on this device, and disables those that fail; concurrent callers share a test. Rejects only for
 * reasons that are not the variant's: no memory, a lost device, a file of this library that cannot be loaded.
 */
export async function selfTest(device: GPUDevice, variants: readonly MatmulVariant[]): Promise<void> {
  const byId = new Map(variants.map((variant) => [variantId(variant.kernel, variant.params), variant]));
  await testOnce(device, byId, async (fresh) => (await trials()).runTrials(device, [...fresh.values()]));
}

/** Runs the tests of variants, by id, that are untested on this device. @param run rejects only for reasons that are not the variants' */
export async function testOnce<T>(
  device: GPUDevice,
  byId: ReadonlyMap<string, T>,
  run: (fresh: ReadonlyMap<string, T>) => Promise<void>,
): Promise<void> {
  const { tests } = findingsOf(device);
  const fresh = new Map([...byId].filter(([id]) => !tests.has(id)));
  if (fresh.size > 0) {
    const done = run(fresh);
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
