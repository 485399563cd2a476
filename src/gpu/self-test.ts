// The self-test of a variant, once per device: runs its trial (plan/trial.ts) and disables it if it does not compile, gives a wrong
// number or writes where it should not.
import { ShaderError, UnsupportedError } from '../errors.js';
import { type Kernel, variantId } from '../kernels/kernel.js';
import { judge, makeTrial, type Trial } from '../plan/trial.js';
import type { Params } from '../wgsl/preprocess.js';
import { BUFFER, type BufferInit, makeBuffer } from './buffers.js';
import { capsOf, whileAlive } from './device.js';
import { describe, disable, findingsOf } from './device-findings.js';
import { haveCompiled, preparePipelines } from './pipeline.js';
import { encodeInto, type Recording, record } from './recording.js';

/** A variant of a matmul kernel; a Plan is one. */
export interface MatmulVariant {
  readonly kernel: Kernel['name'];
  readonly params: Params;
}

/**
 * Tests those that have not been tested on this device; all that wait for the same answer share it. What fails is disabled; only what
 * says nothing of a variant (no memory, a lost device) rejects. Where all have compiled, their work is submitted before this returns.
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
  // Work that the device refuses takes all that was submitted beside it along.
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

/** Did everything that the trial runs compile? Disables its variant if not. */
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

/** The bytes that each trial left in its `y`, by one submit and one mapped buffer; or why the device refused. */
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
  let errors: Promise<[GPUError | null, GPUError | null]>;
  let staging: GPUBuffer;
  device.pushErrorScope('out-of-memory');
  device.pushErrorScope('validation');
  try {
    staging = buffer({ label: 'read', usage: BUFFER.staging, size: total });
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
  } finally {
    errors = Promise.all([device.popErrorScope(), device.popErrorScope()]);
  }
  try {
    const work = Promise.all([errors, staging.mapAsync(1 /* GPUMapMode.READ */)]);
    work.catch(() => {}); // whoever waits for the device hears of it
    const [[invalid, memory]] = await whileAlive(device, work);
    if (memory) throw new UnsupportedError('self-test', [memory.message]);
    if (invalid) return invalid.message;
    const bytes = new Uint8Array(staging.getMappedRange().slice(0));
    let from = 0;
    return sizes.map((size) => bytes.slice(from, (from += size)));
  } finally {
    for (const one of made) one.destroy();
    for (const { uniforms } of recordings) uniforms.destroy();
  }
}
