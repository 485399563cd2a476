// Recordings: pipelines, bind groups and uniforms of dispatches, made once. Encoding a recording again allocates nothing.
import { shaders } from '../kernels/index.js';
import type { Dispatch } from '../plan/dispatch.js';
import { BUFFER, makeBuffer } from './buffers.js';
import { pipelineOf } from './pipeline.js';

/** A dispatch with its GPU objects. */
export interface RecordedDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number];
}
export interface Recording {
  readonly dispatches: readonly RecordedDispatch[];
  readonly uniforms: GPUBuffer;
}

const ALIGN = 256; // the largest minUniformBufferOffsetAlignment that WebGPU allows

/**
 * Binds the dispatches' buffers by role and writes their uniforms into one buffer.
 * @param buffer the buffer that a role of dispatch `i` stands for
 * @throws ShaderError
 */
export function record(device: GPUDevice, dispatches: readonly Dispatch[], buffer: (role: string, i: number) => GPUBuffer): Recording {
  const pipelines = dispatches.map((dispatch) => pipelineOf(device, dispatch));
  const words = new Uint32Array((ALIGN / 4) * dispatches.length);
  dispatches.forEach(({ shader, uniforms }, i) => {
    words.set(
      shaders.get(shader)!.uniforms.map((name) => uniforms[name]!),
      (i * ALIGN) / 4,
    );
  });
  const uniforms = makeBuffer(device, { label: 'uniforms', usage: BUFFER.uniforms, data: words });
  const recorded = dispatches.map(({ shader: name, params, bindings, workgroups }, i) => {
    const shader = shaders.get(name)!;
    const pipeline = pipelines[i]!;
    const entries = shader.bindings
      .filter(({ when }) => when?.(params) ?? true)
      .map(({ name, binding, access }): GPUBindGroupEntry => {
        if (access === 'uniform') return { binding, resource: { buffer: uniforms, offset: i * ALIGN, size: 4 * shader.uniforms.length } };
        const { buffer: role, offset, size } = bindings[name]!;
        return { binding, resource: { buffer: buffer(role, i), offset, size } };
      });
    const bindGroup = device.createBindGroup({ label: pipeline.label, layout: pipeline.getBindGroupLayout(0), entries });
    return { pipeline, bindGroup, workgroups };
  });
  return { dispatches: recorded, uniforms };
}

export function encodeInto(pass: GPUComputePassEncoder, { dispatches }: Recording): void {
  for (const { pipeline, bindGroup, workgroups } of dispatches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(workgroups[0], workgroups[1]);
  }
}

/** Encodes one pass and submits it. */
export function submit(device: GPUDevice, label: string, encode: (pass: GPUComputePassEncoder) => void): void {
  const encoder = device.createCommandEncoder({ label });
  const pass = encoder.beginComputePass({ label });
  encode(pass);
  pass.end();
  device.queue.submit([encoder.finish()]);
}
