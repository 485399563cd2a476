// onnxruntime-web on its native WebGPU provider: the same model as an ONNX graph (onnx-model.ts), with all of a token on the GPU. Keys and values
// stay in one buffer that is past and present, an id that is chosen is the next token's input, and ids are read once an answer.
import type { Config } from '../../src/llm/config.js';
import type { Speaker } from './decode.js';
import { promptIds } from './prompt.js';

type Ort = typeof import('onnxruntime-web');
type Tensor = import('onnxruntime-web').Tensor;

/** A speaker whose logits can be asked for. */
export interface OrtSpeaker extends Speaker {
  /** Those behind ids, the last `decoded` of which are taken one at a time. */
  logits(ids: readonly number[], decoded: number): Promise<Float32Array<ArrayBuffer>>;
  /** Rows of a prompt that are taken at once from now on; at first all are. */
  inPieces(rows: number): void;
}

export interface OrtOptions {
  /** Positions of the cache, as the graph has it. */
  readonly context: number;
  readonly config: Pick<Config, 'layers' | 'kvHeads' | 'headWidth' | 'vocabulary'>;
  /** Default: one that the provider makes for itself. */
  readonly device?: GPUDevice | undefined;
}

const FLOAT_BYTES = 4;
const ID_BYTES = 8;

export async function onnxruntime(url: string, { context, config, device: own }: OrtOptions): Promise<OrtSpeaker> {
  // From the root of the server, so that the bundler leaves it alone.
  const ort = (await import(/* @vite-ignore */ new URL('/ort/ort.webgpu.bundle.min.mjs', location.href).href)) as Ort;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL('/ort/', location.href).href;
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(url, {
    executionProviders: [{ name: 'webgpu', validationMode: 'disabled', ...(own && { device: own }) }],
    preferredOutputLocation: 'gpu-buffer',
  });
  const device = own ?? ((await ort.env.webgpu.device) as GPUDevice);
  const { layers, kvHeads, headWidth, vocabulary } = config;
  const tensor = (dataType: 'float32' | 'int64', dims: readonly number[]): Tensor => {
    const bytes = dims.reduce((a, b) => a * b, dataType === 'float32' ? FLOAT_BYTES : ID_BYTES);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return ort.Tensor.fromGpuBuffer(device.createBuffer({ size: Math.ceil(bytes / 16) * 16, usage }), { dataType, dims });
  };
  const cache = Array.from({ length: 2 * layers }, (_, i) => ({
    name: `${i >> 1}.${i % 2 ? 'value' : 'key'}`,
    tensor: tensor('float32', [1, kvHeads, context, headWidth]),
  }));
  const past = Object.fromEntries(cache.map((one) => [`past.${one.name}`, one.tensor]));
  const present = Object.fromEntries(cache.map((one) => [`present.${one.name}`, one.tensor]));
  // In turns: a run reads one and writes the other.
  const ids = [tensor('int64', [1, 1]), tensor('int64', [1, 1])];
  const logits = tensor('float32', [1, 1, vocabulary]);
  let piece = context;
  let turn = 0;
  let [length, base, seed] = [0, 0, 0];

  async function read({ gpuBuffer }: Tensor, size: number): Promise<ArrayBuffer> {
    const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(gpuBuffer as GPUBuffer, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const copy = staging.getMappedRange().slice(0);
    staging.destroy();
    return copy;
  }
  const given = (list: readonly number[]): Tensor => new ort.Tensor('int64', BigInt64Array.from(list, BigInt), [1, list.length]);
  async function take(input: Tensor, withLogits = false): Promise<void> {
    length += input.dims[1]!;
    turn = 1 - turn;
    const sizes = {
      seqlens_k: new ort.Tensor('int32', Int32Array.of(length - 1), [1]),
      total_sequence_length: new ort.Tensor('int32', Int32Array.of(length), []),
    };
    await session.run({ input_ids: input, ...sizes, ...past }, { next_id: ids[turn]!, ...present, ...(withLogits && { logits }) });
  }
  async function takeAll(list: readonly number[], withLogits = false): Promise<void> {
    length = 0;
    for (let at = 0; at < list.length; at += piece) await take(given(list.slice(at, at + piece)), withLogits && at + piece >= list.length);
  }
  const settled = (): Promise<unknown> => read(ids[turn]!, ID_BYTES);
  return {
    inPieces(rows) {
      piece = rows;
    },
    async prompt(count) {
      base = count;
      await takeAll(promptIds(count, seed++));
      await settled();
    },
    async decode(count) {
      if (length + count > context) length = base;
      for (let i = 0; i < count; i++) await take(ids[turn]!);
      await settled();
    },
    async logits(list, decoded) {
      const first = list.length - decoded;
      await takeAll(list.slice(0, first), decoded === 0);
      for (let at = first; at < list.length; at++) await take(given([list[at]!]), at === list.length - 1);
      return new Float32Array(await read(logits, vocabulary * FLOAT_BYTES));
    },
  };
}
