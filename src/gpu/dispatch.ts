// Steps → bind groups → a compute pass. Everything that a call needs is made once and kept; encoding it again allocates nothing.
import { shaders } from '../kernels/index.js';
import type { Step } from '../plan/step.js';
import { pipelineOf } from './pipeline.js';

interface Recorded {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number];
}
export interface Recording {
  readonly dispatches: readonly Recorded[];
  readonly uniforms: GPUBuffer;
}

const UNIFORM = 0x40; // GPUBufferUsage.UNIFORM
const ALIGN = 256; // the largest minUniformBufferOffsetAlignment there is

/** Binds the buffers of `steps`, found by role, and writes their uniforms into one buffer. @throws ShaderError */
export function record(device: GPUDevice, steps: readonly Step[], buffer: (role: string) => GPUBuffer): Recording {
  const uniforms = device.createBuffer({ label: 'antiquant uniforms', size: ALIGN * steps.length, usage: UNIFORM, mappedAtCreation: true });
  const words = new Uint32Array(uniforms.getMappedRange());
  const dispatches = steps.map((step, i) => {
    const shader = shaders.get(step.shader)!;
    shader.uniforms.forEach((name, j) => {
      words[(i * ALIGN) / 4 + j] = step.uniforms[name]!;
    });
    const pipeline = pipelineOf(device, step);
    const entries = shader.bindings
      .filter(({ when }) => when?.(step.params) ?? true)
      .map(({ name, binding, access }): GPUBindGroupEntry => {
        if (access === 'uniform') return { binding, resource: { buffer: uniforms, offset: i * ALIGN, size: 4 * shader.uniforms.length } };
        const { buffer: role, offset, size } = step.bindings[name]!;
        return { binding, resource: { buffer: buffer(role), offset, size } };
      });
    const bindGroup = device.createBindGroup({ label: pipeline.label, layout: pipeline.getBindGroupLayout(0), entries });
    return { pipeline, bindGroup, workgroups: step.workgroups };
  });
  uniforms.unmap();
  return { dispatches, uniforms };
}

export function encodeInto(pass: GPUComputePassEncoder, { dispatches }: Recording): void {
  for (const { pipeline, bindGroup, workgroups } of dispatches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(workgroups[0], workgroups[1]);
  }
}

/** One pass, one submit. */
export function submit(device: GPUDevice, label: string, encode: (pass: GPUComputePassEncoder) => void): void {
  const encoder = device.createCommandEncoder({ label });
  const pass = encoder.beginComputePass({ label });
  encode(pass);
  pass.end();
  device.queue.submit([encoder.finish()]);
}
