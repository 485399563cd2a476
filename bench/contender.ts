// A contender multiplies `count` times and resolves when it is done. This file has its type, and WebGPU helpers that contenders share.
import type { HostTensor } from '../src/index.js';
import type { Family } from './results.js';
import type { Session } from './shapes.js';

/** The engine: a browser page, or Node with Dawn. */
export interface Engine {
  readonly device: GPUDevice;
  /** Resolves when `device` has finished all submitted work. */
  readonly wait: (device: GPUDevice) => Promise<void>;
  /** Loads a file of onnxruntime-web's dist, or rejects. */
  readonly ort: (file: string) => Promise<typeof import('onnxruntime-web')>;
  /** Folder of its wasm files; by default `ort` has set it. */
  readonly ortFiles?: string;
  readonly browser: boolean;
}

/** The session's tensors in memory. x has the rows of the session's largest M; smaller products take the first rows. */
export interface Operands {
  readonly session: Session;
  readonly x: HostTensor;
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

export interface Run {
  readonly detail: string;
  readonly call: (count: number) => Promise<void>;
  /** y (M, N) of the last call; limits have no y. */
  readonly read?: () => Promise<ArrayLike<number>>;
  /** For limits: bytes or multiply-adds of a call. */
  readonly work?: number;
  /** Milliseconds after a sample in which its threads may still be busy. */
  readonly settle?: number;
  readonly free: () => void;
}

export interface Contender {
  readonly name: string;
  readonly family: Family;
  /** Prepares and compiles products of m rows; a string says why it cannot. */
  readonly prepare: (m: number) => Promise<Run | string>;
  readonly destroy: () => Promise<void>;
}

export const STORAGE = 0x80 | 0x4 | 0x8; // GPUBufferUsage: STORAGE, COPY_SRC, COPY_DST

export const bytesOf = ({ data }: HostTensor): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** The first m rows of x, as bytes. */
export const rowsOf = ({ x, session }: Operands, m: number): Uint8Array =>
  bytesOf(x).subarray(0, m * session.k * (x.dtype === 'float32' ? 4 : 2));

export function bufferOf(device: GPUDevice, bytes: Uint8Array, usage = STORAGE): GPUBuffer {
  const buffer = device.createBuffer({ size: Math.ceil(bytes.length / 4) * 4, usage, mappedAtCreation: true });
  new Uint8Array(buffer.getMappedRange()).set(bytes);
  buffer.unmap();
  return buffer;
}

export const emptyBuffer = (device: GPUDevice, size: number): GPUBuffer =>
  device.createBuffer({ size: Math.ceil(size / 16) * 16, usage: STORAGE });

/** Reads the bytes of a buffer of any device. */
export async function readBuffer(device: GPUDevice, buffer: GPUBuffer, size: number): Promise<ArrayBuffer> {
  const staging = device.createBuffer({ size: Math.ceil(size / 4) * 4, usage: 0x1 | 0x8 }); // MAP_READ, COPY_DST
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, staging.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  const bytes = staging.getMappedRange().slice(0, size);
  staging.destroy();
  return bytes;
}

/** Submits `count` repetitions of the work that `encode` records, in one pass. */
export async function inOnePass(engine: Engine, count: number, encode: (pass: GPUComputePassEncoder) => void): Promise<void> {
  const { device } = engine;
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < count; i++) encode(pass);
  pass.end();
  device.queue.submit([encoder.finish()]);
  await engine.wait(device);
}

export interface OwnKernel {
  readonly label: string;
  readonly code: string;
  readonly entryPoint: string;
  /** In order of their bindings. */
  readonly bindings: readonly { readonly type: GPUBufferBindingType; readonly buffer: GPUBuffer }[];
  readonly workgroups: readonly [number, number];
}

/** A kernel of the bench, ready to dispatch. */
export async function ownKernel(device: GPUDevice, kernel: OwnKernel): Promise<(pass: GPUComputePassEncoder) => void> {
  const { label, code, entryPoint, bindings, workgroups } = kernel;
  const layout = device.createBindGroupLayout({
    entries: bindings.map(({ type }, binding) => ({ binding, visibility: 0x4, buffer: { type } })), // COMPUTE
  });
  const pipeline = await device.createComputePipelineAsync({
    label,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ label, code }), entryPoint },
  });
  const entries = bindings.map(({ buffer }, binding) => ({ binding, resource: { buffer } }));
  const bindGroup = device.createBindGroup({ layout, entries });
  return (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...workgroups);
  };
}
