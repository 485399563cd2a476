// onnxruntime-web on its WebGPU provider: the same model as an ONNX graph, with all of a token on the GPU. Keys and values stay in one buffer that
// is past and present; the id that is chosen is the next token's input, and ids are read once an answer.
import type { Speaker } from './decode.js';
import { promptIds } from './prompt.js';

type Ort = typeof import('onnxruntime-web');
type Tensor = import('onnxruntime-web').Tensor;

export interface OrtOptions {
  readonly context: number;
  readonly dtype: 'float32' | 'float16';
  readonly sizes: { readonly layers: number; readonly kvHeads: number; readonly headWidth: number; readonly vocabulary: number };
  /** Of the package: which build. */
  readonly file?: string;
  readonly capture?: boolean;
  readonly provider?: object;
}

/** A speaker whose logits can be asked for. */
export interface OrtSpeaker extends Speaker {
  /** Those behind ids, of which the last `decoded` are taken one at a time. */
  logits(ids: readonly number[], decoded: number): Promise<Float32Array>;
}

export async function onnxruntime(
  url: string,
  { context, dtype, sizes, file = 'ort.webgpu.bundle.min.mjs', capture = false, provider = {} }: OrtOptions,
): Promise<OrtSpeaker> {
  // From the root of the server, so that the bundler leaves it alone.
  const ort = (await import(/* @vite-ignore */ new URL(`/ort/${file}`, location.href).href)) as Ort;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL('/ort/', location.href).href;
  ort.env.logLevel = 'warning';
  const session = await ort.InferenceSession.create(url, {
    executionProviders: [{ name: 'webgpu', ...provider }],
    preferredOutputLocation: 'gpu-buffer',
    enableGraphCapture: capture,
  });
  const device = (provider as {device?: GPUDevice}).device ?? ((await ort.env.webgpu.device) as GPUDevice);
  const { layers, kvHeads, headWidth, vocabulary } = sizes;
  const width = dtype === 'float32' ? 4 : 2;
  const bufferOf = (bytes: number): GPUBuffer =>
    device.createBuffer({ size: Math.ceil(bytes / 16) * 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  const onGpu = (gpuBuffer: GPUBuffer, dataType: 'float32' | 'float16' | 'int64' | 'int32', dims: readonly number[]): Tensor =>
    ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType, dims });
  const cache: [string, Tensor][] = Array.from({ length: 2 * layers }, (_, i) => [
    `${i >> 1}.${i % 2 ? 'value' : 'key'}`,
    onGpu(bufferOf(kvHeads * context * headWidth * width), dtype, [1, kvHeads, context, headWidth]),
  ]);
  const past = Object.fromEntries(cache.map(([name, tensor]) => [`past.${name}`, tensor]));
  const present = Object.fromEntries(cache.map(([name, tensor]) => [`present.${name}`, tensor]));
  // An id each, in turns: a run reads one and writes the other.
  const ids = [0, 1].map(() => onGpu(bufferOf(16), 'int64', [1, 1]));
  const logits = onGpu(bufferOf(vocabulary * width), dtype, [1, 1, vocabulary]);
  let length = 0;
  let turn = 0;
  let seed = 0;
  let base = 0;

  const read = async (tensor: Tensor, bytes: number): Promise<ArrayBuffer> => {
    const staging = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(tensor.gpuBuffer as GPUBuffer, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const copy = staging.getMappedRange().slice(0);
    staging.destroy();
    return copy;
  };
  const step = async (input: Tensor, rows: number, withLogits = false): Promise<void> => {
    length += rows;
    const feeds = {
      input_ids: input,
      seqlens_k: new ort.Tensor('int32', Int32Array.of(length - 1), [1]),
      total_sequence_length: new ort.Tensor('int32', Int32Array.of(length), []),
      ...past,
    };
    turn = 1 - turn;
    await session.run(feeds, { next_id: ids[turn]!, ...present, ...(withLogits && { logits }) });
  };
  const given = (list: readonly number[]): Tensor => new ort.Tensor('int64', BigInt64Array.from(list, BigInt), [1, list.length]);
  const chosen = async (): Promise<number> => Number(new BigInt64Array(await read(ids[turn]!, 8))[0]);
  return {
    async prompt(count) {
      length = 0;
      base = count;
      await step(given(promptIds(count, seed++)), count);
      await chosen();
    },
    async decode(count) {
      if (length + count > context) length = base;
      for (let i = 0; i < count; i++) await step(ids[turn]!, 1);
      await chosen();
    },
    async logits(list, decoded) {
      length = 0;
      const first = list.length - decoded;
      await step(given(list.slice(0, first)), first, decoded === 0);
      for (let at = first; at < list.length; at++) await step(given(list.slice(at, at + 1)), 1, at === list.length - 1);
      const bytes = await read(logits, vocabulary * width);
      if (dtype === 'float32') return new Float32Array(bytes);
      const { decode16 } = await import('../../src/dtype.js');
      return decode16(new Uint16Array(bytes), 'float16');
    },
  };
}
