// The self-test of a variant, once per device. It runs the trial (plan/trial.ts) and disables the variant if it does not compile, returns a
// wrong value, leaves y unwritten or writes outside it.
import { GpuError, ShaderError } from '../errors.js';
import { type Kernel, variantId } from '../kernels/kernel.js';
import { judge, makeTrial, type Trial } from '../plan/trial.js';
import type { Params } from '../wgsl/preprocess.js';
import { BUFFER, type BufferInit, makeBuffer } from './buffers.js';
import { capsOf, whileAlive } from './device.js';
import { describe, disable, findingsOf } from './device-findings.js';
import { allTaken, guarded } from './guard.js';
import { haveCompiled, preparePipelines } from './pipeline.js';
import { encodeInto, type Recording, record } from './recording.js';

/** A variant of a matmul kernel; a Plan is one. */
export interface MatmulVariant {
  readonly kernel: Kernel['name'];
  readonly params: Params;
}

/**
 * Tests the variants that are untested on this device, and disables those that fail; concurrent callers share a test. Rejects only for
 * reasons that are not the variant's: no memory, a lost device. If all have compiled, the work is submitted before this returns.
 */
export async function selfTest(device: GPUDevice, variants: readonly MatmulVariant[]): Promise<void> {
  const { tests } = findingsOf(device);
  const ids = variants.map(({ kernel, params }) => variantId(kernel, params));
  const trials = variants
    .filter((_, i) => !tests.has(ids[i]!) && ids.indexOf(ids[i]!) === i)
    .map((variant) => makeTrial(variant, capsOf(device)));
  const fresh = trials.filter((trial) => trial !== undefined);
  if (fresh.length > 0) {
    const done = run(device, fresh);
    for (const { variant } of fresh) tests.set(variant, done);
    done.catch(() => {
      for (const { variant } of fresh) tests.delete(variant); // tested again at the next use
    });
  }
  await Promise.all(ids.map((id) => tests.get(id)));
}

/** Resolves when a variant is known to work. @throws ShaderError if it does not */
export async function selfTested(device: GPUDevice, variant: MatmulVariant): Promise<void> {
  await selfTest(device, [variant]);
  const id = variantId(variant.kernel, variant.params);
  const report = findingsOf(device).reports.find((one) => one.variant === id);
  if (report) throw new ShaderError(id, [`self-test on ${report.adapter}: ${describe(report)}; later calls use another kernel`]);
}

async function run(device: GPUDevice, trials: readonly Trial[]): Promise<void> {
  let whole = trials;
  if (!trials.every(({ dispatches }) => haveCompiled(device, dispatches))) {
    const compiled = await Promise.all(trials.map((trial) => compile(device, trial)));
    whole = trials.filter((_, i) => compiled[i]);
  }
  if (whole.length === 0) return;
  const outcome = await attempt(device, whole);
  // If the device refuses one trial, all trials of the same submit fail with it.
  const outcomes =
    typeof outcome === 'string' && whole.length > 1 ? await Promise.all(whole.map((trial) => attempt(device, [trial]))) : undefined;
  for (const [i, trial] of whole.entries()) {
    const result = outcomes ? outcomes[i]! : outcome;
    const fault =
      typeof result === 'string'
        ? { where: 'its dispatch', expected: 'to be valid', got: result }
        : judge(trial, result[outcomes ? 0 : i]!);
    if (fault && (await compile(device, trial))) disable(device, { variant: trial.variant, ...fault });
  }
}

/** Do all shaders of the trial compile? Disables the variant if not. */
async function compile(device: GPUDevice, { variant, dispatches }: Trial): Promise<boolean> {
  try {
    await preparePipelines(device, dispatches);
    return true;
  } catch (error) {
    if (!(error instanceof ShaderError)) throw error;
    disable(device, { variant, where: error.variant, expected: 'to compile', got: error.messages.join('\n') });
    return false;
  }
}

/** Runs trials in one submit. Returns the bytes of each `y`, or why the device refused. */
async function attempt(device: GPUDevice, trials: readonly Trial[]): Promise<readonly Uint8Array<ArrayBuffer>[] | string> {
  const made: GPUBuffer[] = [];
  const recordings: Recording[] = [];
  const buffer = (init: BufferInit): GPUBuffer => {
    const one = makeBuffer(device, { ...init, label: `self-test ${init.label}` });
    made.push(one);
    return one;
  };
  const sizes = trials.map(({ contents }) => contents.get('y')!.length);
  const total = sizes.reduce((a, b) => a + b, 0);
  try {
    const { result, errors } = guarded(device, 'self-test', () => {
      const staging = buffer({ label: 'read', usage: BUFFER.staging, size: total });
      const encoder = device.createCommandEncoder({ label: 'antiquant self-test' });
      const pass = encoder.beginComputePass({ label: 'antiquant self-test' });
      const ys = trials.map(({ contents, dispatches }) => {
        const buffers = new Map([...contents].map(([role, bytes]) => [role, buffer({ label: role, usage: BUFFER.output, data: bytes })]));
        const recording = record(device, dispatches, (role) => buffers.get(role)!);
        recordings.push(recording);
        encodeInto(pass, recording);
        return buffers.get('y')!;
      });
      pass.end();
      let at = 0;
      for (const y of ys) {
        encoder.copyBufferToBuffer(y, 0, staging, at, y.size);
        at += y.size;
      }
      device.queue.submit([encoder.finish()]);
      return { staging, mapped: staging.mapAsync(1 /* GPUMapMode.READ */) };
    });
    const { staging, mapped } = result;
    mapped.catch(() => {}); // what refused the work says it better
    await whileAlive(device, allTaken(errors, mapped));
    const bytes = new Uint8Array(staging.getMappedRange().slice(0));
    let from = 0;
    return sizes.map((size) => bytes.slice(from, (from += size)));
  } catch (error) {
    if (error instanceof GpuError) return error.said;
    throw error;
  } finally {
    for (const one of made) one.destroy();
    for (const { uniforms } of recordings) uniforms.destroy();
  }
}
