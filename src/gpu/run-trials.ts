// Runs trials (plan/trial.ts), and disables a variant that does not compile, returns a wrong value, leaves y unwritten or writes outside it.
// self-test.ts imports this file on demand: bundlers put it, the trials and the reference into a separate file.
import { GpuError, ShaderError } from '../errors.js';
import { hasUnits } from '../problem/weight-format.js';
import { judge } from '../trial/judge.js';
import { type MatmulVariant, makeTrial, type Trial } from '../trial/trial.js';
import { BUFFER, type BufferInit, makeBuffer } from './buffers.js';
import { capsOf, whileAlive } from './device.js';
import { disable, holdScalesWide } from './device-findings.js';
import { allTaken, guarded } from './guard.js';
import { haveCompiled, preparePipelines } from './pipeline.js';
import { encodeInto, type Recording, record } from './recording.js';

/** Runs trials, and disables variants that fail. Rejects only for reasons that are not the variants': no memory, a lost device. */
export async function runTrials(device: GPUDevice, variants: readonly MatmulVariant[]): Promise<void> {
  const trials = variants.flatMap((variant) => makeTrial(variant, capsOf(device)) ?? []);
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
    if (!fault || !(await compile(device, trial))) continue;
    disable(device, { variant: trial.variant, ...fault });
    if (hasUnits(trial.problem.weights.scaleDtype)) holdScalesWide(device);
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
    mapped.catch(() => {}); // the error scope says more
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
