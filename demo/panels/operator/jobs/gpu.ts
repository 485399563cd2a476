// The layer on the GPU: loaded, compiled, run and read back, its weights read back too, and timed.
import type { DType, Format } from '../../../../src/dtype.js';
import { record } from '../../../../src/gpu/recording.js';
import { scratch } from '../../../../src/gpu/scratch.js';
import { capsOf, type Explanation, type HostTensor, LinearWeightQuant, Tensor, type TensorData } from '../../../../src/index.js';
import { planFor } from '../../../../src/layer/loaded-weights.js';
import { contiguousX, makeProblem } from '../../../../src/problem/problem.js';
import { makeStopwatch } from '../../../../src/tuning/stopwatch.js';
import type { JobContext } from '../../../worker/rpc.js';
import { median, time } from '../../../worker/timing.js';
import { type Choice, layerOptions } from './choice.js';
import { type Inputs, inFormat } from './inputs.js';
import { type Codes, codesOfLayer } from './layer.js';

export interface GpuTime {
  /** What the products alone took: by the GPU's own timestamps, or by the clock from submitting many until they are done. */
  readonly by: 'timestamps' | 'clock';
  /** Median, in milliseconds of one product. */
  readonly each: number;
  readonly samples: number;
  /** Products in a sample. */
  readonly times: number;
  /** Median milliseconds from the call of forward() until the queue is done: with the round trip. */
  readonly call: number;
  readonly calls: number;
  /** The adapter is software: the time is that of the CPU's cores. */
  readonly software: boolean;
}
export interface GpuRun {
  readonly y: Float32Array | Int8Array;
  readonly codes: Codes;
  readonly plan: Explanation;
  readonly time: GpuTime;
}

const upload = (
  device: GPUDevice,
  {
    data,
    shape,
    dtype,
    format = 'ND',
  }: { readonly data: HostTensor['data']; readonly shape: readonly number[]; readonly dtype: DType; readonly format?: Format },
): Tensor => Tensor.from(device, data as TensorData, { shape, dtype, format });

/** A sample lasts some milliseconds, by as many products as that takes: browsers round timestamps to 0.1 ms. */
const [SAMPLE, MOST_PRODUCTS, SAMPLES] = [8, 64, 7];

async function timeOf(layer: LinearWeightQuant, x: Tensor, y: Tensor, rows: number, { breathe }: JobContext): Promise<GpuTime> {
  const { device, loaded } = layer;
  const single = await time(device, () => layer.forward(x).destroy(), breathe);
  const plan = planFor(loaded, makeProblem(loaded, { m: rows, x: contiguousX(rows, loaded.weights.k) }));
  const buffers: Readonly<Record<string, GPUBuffer>> = { x: x.buffer, y: y.buffer };
  const find = (role: string): GPUBuffer => buffers[role] ?? loaded.buffers.get(role) ?? scratch(device, role, plan.scratch[role]!).buffer;
  const recording = record(device, plan.dispatches, find);
  const watch = await makeStopwatch(device, recording);
  try {
    const first = await watch.time(recording, 1);
    const times = Math.max(1, Math.min(MOST_PRODUCTS, Math.ceil(SAMPLE / Math.max(0.01, first))));
    const each: number[] = [];
    const until = performance.now() + 1000;
    while (each.length < SAMPLES && (each.length < 3 || performance.now() < until)) {
      await breathe();
      each.push((await watch.time(recording, times)) / times);
    }
    return {
      by: watch.by,
      each: median(each),
      samples: each.length,
      times,
      call: single.median,
      calls: single.runs,
      software: capsOf(device).software,
    };
  } finally {
    recording.uniforms.destroy();
    watch.destroy();
  }
}

/** @throws ArgumentError, UnsupportedError, ShaderError, DeviceLostError */
export async function onGpu(device: GPUDevice, choice: Choice, { x: hostX, tensors }: Inputs, context: JobContext): Promise<GpuRun> {
  const layer = new LinearWeightQuant(device, layerOptions(choice));
  const made: Tensor[] = [];
  const tensor = (host: HostTensor): Tensor => {
    const one = upload(device, host);
    made.push(one);
    return one;
  };
  try {
    const given = { ...tensors, weight: inFormat(choice, tensors) };
    layer.load(Object.fromEntries(Object.entries(given).map(([name, host]) => [name, tensor(host as HostTensor)])));
    const x = tensor(hostX);
    context.progress(0.3, 'The GPU compiles the shader.');
    await layer.prepare([choice.m]);
    context.progress(0.4, 'The GPU runs it.');
    const result = layer.forward(x);
    made.push(result);
    const y = (await result.read()) as Float32Array | Int8Array;
    const codes = await codesOfLayer(layer);
    context.progress(0.45, 'The GPU is timed.');
    return { y, codes, plan: layer.explain(choice.m), time: await timeOf(layer, x, result, choice.m, context) };
  } finally {
    for (const one of made) one.destroy();
    layer.destroy();
  }
}
