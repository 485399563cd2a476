// One choice, computed: the reference by the Worker, the product by the GPU, the difference between both, and the time of a product.
import { capsOf } from '../src/gpu/device.js';
import { type Explanation, type HostTensor, LinearWeightQuant, Tensor } from '../src/index.js';
import { type Choice, layerOptions } from './example.js';
import type { Answer, Reply } from './worker.js';

/** Asks the Worker; one question at a time. Rejects with a sentence. */
export function askReference(choice: Choice): Promise<Answer> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  return new Promise<Answer>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Reply>) => ('answer' in data ? resolve(data.answer) : reject(new Error(data.error)));
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`the Worker that computes the reference failed: ${event.message || 'its script did not load'}`));
    };
    worker.postMessage(choice);
  }).finally(() => worker.terminate());
}

export interface Difference {
  readonly count: number;
  /** Elements within [low, high]. */
  readonly inside: number;
  /** Elements equal to the reference, rounded once. */
  readonly equal: number;
  /** Largest |y - exact|; for int8 the largest distance in codes. */
  readonly error: number;
  /** The same for the reference itself: what rounding y once costs. */
  readonly rounding: number;
  /** Largest |exact|. */
  readonly size: number;
}

export function difference(y: ArrayLike<number>, { want }: Answer): Difference {
  const { data, exact, low, high, dtype } = want;
  let [inside, equal, error, rounding, size] = [0, 0, 0, 0, 0];
  for (let i = 0; i < data.length; i++) {
    const [value, best] = [y[i]!, data[i]!];
    const truth = dtype === 'int8' ? best : exact[i]!;
    if (value >= low[i]! && value <= high[i]!) inside++;
    if (value === best) equal++;
    error = Math.max(error, Math.abs(value - truth));
    rounding = Math.max(rounding, Math.abs(best - truth));
    size = Math.max(size, Math.abs(exact[i]!));
  }
  return { count: data.length, inside, equal, error, rounding, size };
}

export interface GpuRun {
  readonly y: ArrayLike<number>;
  readonly plan: Explanation;
  readonly difference: Difference;
  readonly time: Timing;
  /** The time is that of the CPU's cores. */
  readonly software: boolean;
}
export interface Timing {
  /** Median, in milliseconds. */
  readonly median: number;
  readonly runs: number;
  /** Milliseconds of each of `calls` that are submitted together, for those that are short beside a round trip. */
  readonly inARow?: { readonly calls: number; readonly each: number };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** Submits and waits until the queue is done: two times to warm up, then 5 to 15 times, for about half a second. */
async function time(device: GPUDevice, submit: () => void): Promise<Timing> {
  const times: number[] = [];
  const until = performance.now() + 500;
  for (let i = 0; i < 17 && (i < 7 || performance.now() < until); i++) {
    const begin = performance.now();
    submit();
    await device.queue.onSubmittedWorkDone();
    times.push(performance.now() - begin);
  }
  const kept = times.slice(2);
  return { median: median(kept), runs: kept.length };
}

const CALLS = 32;
async function timeInARow(device: GPUDevice, call: () => void): Promise<NonNullable<Timing['inARow']>> {
  const each: number[] = [];
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    for (let j = 0; j < CALLS; j++) call();
    await device.queue.onSubmittedWorkDone();
    each.push((performance.now() - begin) / CALLS);
  }
  return { calls: CALLS, each: median(each) };
}

/** What submitting nothing and waiting for it takes: the part of every time that is not the product. */
export const roundTrip = (device: GPUDevice): Promise<Timing> =>
  time(device, () => device.queue.submit([device.createCommandEncoder().finish()]));

const upload = (device: GPUDevice, { data, shape, dtype }: HostTensor): Tensor => Tensor.from(device, data, { shape, dtype });

export async function runOnGpu(device: GPUDevice, choice: Choice, answer: Answer): Promise<GpuRun> {
  const layer = new LinearWeightQuant(device, layerOptions(choice));
  const given = Object.entries(answer.tensors).map(([name, tensor]) => [name, upload(device, tensor)] as const);
  const x = upload(device, answer.x);
  try {
    layer.load(Object.fromEntries(given));
    await layer.prepare([choice.rows]);
    const result = layer.forward(x);
    const y = (await result.read()) as Float32Array | Int8Array;
    result.destroy();
    const call = (): void => layer.forward(x).destroy();
    const single = await time(device, call);
    const measured = single.median < 5 ? { ...single, inARow: await timeInARow(device, call) } : single;
    const { software } = capsOf(device);
    return { y, plan: layer.explain(choice.rows), difference: difference(y, answer), time: measured, software };
  } finally {
    for (const [, tensor] of given) tensor.destroy();
    x.destroy();
    layer.destroy();
  }
}
