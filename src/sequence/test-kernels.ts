// The self-test of the kernels of shaders/llm, once a device: runs their trials (llm-trials/trials.ts) before their first numbers count. The runner
// imports this file on demand: bundlers put it, the trials and the reference into a separate file.
import { ShaderError } from '../errors.js';
import { BUFFER, makeBuffer, USAGE } from '../gpu/buffers.js';
import { capsOf, whileAlive } from '../gpu/device.js';
import { describe, disable, findingsOf } from '../gpu/device-findings.js';
import { allTaken, guarded } from '../gpu/guard.js';
import { preparePipelines } from '../gpu/pipeline.js';
import { testOnce } from '../gpu/self-test.js';
import { variantId } from '../kernels/kernel.js';
import type { LlmDispatch } from '../llm-kernels/shaders.js';
import { judgeTrial, type LlmTrial } from '../llm-trials/trial.js';
import { trialOf } from '../llm-trials/trials.js';
import { bindDispatch } from './bind-steps.js';

/**
 * Tests the variants that are untested on this device; concurrent callers share a test.
 * @throws ShaderError for one that does not compile, gives wrong numbers or writes where it must not: no other kernel does its work;
 *   UnsupportedError without memory, GpuError, DeviceLostError
 */
export async function testKernels(device: GPUDevice, dispatches: readonly LlmDispatch[]): Promise<void> {
  const byId = new Map(dispatches.map((dispatch) => [variantId(dispatch.shader.name, dispatch.params), dispatch]));
  await testOnce(device, byId, (fresh) => run(device, fresh));
  for (const found of findingsOf(device).reports)
    if (byId.has(found.variant)) throw new ShaderError(found.variant, [`self-test on ${found.adapter}: ${describe(found)}`]);
}

/** Compiles variants, and leaves out those that do not, which are reported. */
async function compiled(device: GPUDevice, variants: ReadonlyMap<string, LlmDispatch>): Promise<readonly LlmDispatch[]> {
  const whole = await Promise.all(
    [...variants].map(async ([variant, dispatch]) => {
      try {
        await preparePipelines(device, [{ shader: dispatch.shader.name, params: dispatch.params }]);
        return dispatch;
      } catch (error) {
        if (!(error instanceof ShaderError)) throw error;
        disable(device, { variant, where: variant, expected: 'to compile', got: error.messages.join('\n') });
        return [];
      }
    }),
  );
  return whole.flat();
}

/** Runs the trials of variants, and reports those that fail. */
async function run(device: GPUDevice, variants: ReadonlyMap<string, LlmDispatch>): Promise<void> {
  const dispatches = await compiled(device, variants);
  const caps = capsOf(device);
  const trials = dispatches.flatMap((dispatch) => trialOf(dispatch, caps) ?? []);
  const made: GPUBuffer[] = [];
  const make = (...[init]: [Parameters<typeof makeBuffer>[1]]): GPUBuffer => {
    const one = makeBuffer(device, { ...init, label: `llm self-test ${init.label}` });
    made.push(one);
    return one;
  };
  const parts = partsOf(trials);
  if (parts.length === 0) return;
  try {
    const { result, errors } = guarded(device, 'self-test of a language model', () => {
      const staging = make({ label: 'read', usage: BUFFER.staging, size: parts.reduce((sum, { size }) => sum + size, 0) });
      const encoder = device.createCommandEncoder({ label: 'antiquant llm self-test' });
      const pass = encoder.beginComputePass();
      const buffers = trials.map((trial) => {
        const own = buffersOf(trial, make);
        const params = make({ label: 'params', usage: BUFFER.uniforms, data: new Uint8Array(trial.dispatch.uniforms) });
        const { pipeline, bindGroups, workgroups } = bindDispatch(device, trial.dispatch, params, (name) => own.get(name)!);
        pass.setPipeline(pipeline);
        for (const [i, group] of bindGroups.entries()) pass.setBindGroup(i, group);
        pass.dispatchWorkgroups(...workgroups);
        return own;
      });
      pass.end();
      let at = 0;
      for (const { of, name, size } of parts) {
        encoder.copyBufferToBuffer(buffers[of]!.get(name)!, 0, staging, at, size);
        at += size;
      }
      device.queue.submit([encoder.finish()]);
      return [staging, staging.mapAsync(1 /* GPUMapMode.READ */)] as const;
    });
    const [staging, mapped] = result;
    mapped.catch(() => {}); // the error scope says more
    await whileAlive(device, allTaken(errors, mapped));
    const left = new Uint32Array(staging.getMappedRange().slice(0));
    let at = 0;
    for (const { of, name, size } of parts) {
      const trial = trials[of]!;
      const fault = judgeTrial(trial, name, left.slice(at, (at += size / 4)));
      if (fault) disable(device, { variant: trial.variant, ...fault });
    }
  } finally {
    for (const one of made) one.destroy();
  }
}

/** The buffers that trials write, in the order in which they are read. */
const partsOf = (trials: readonly LlmTrial[]) =>
  trials.flatMap(({ wanted, given }, of) => Object.keys(wanted).map((name) => ({ of, name, size: given[name]!.byteLength })));

const buffersOf = ({ given }: LlmTrial, make: (init: Parameters<typeof makeBuffer>[1]) => GPUBuffer): ReadonlyMap<string, GPUBuffer> =>
  new Map(
    Object.entries(given).map(([label, data]) => [
      label,
      make({ label, usage: label === 'now' ? BUFFER.output | USAGE.UNIFORM : BUFFER.output, data }),
    ]),
  );
