// Runs one layer of the opened file: loads it by loadLayer, multiplies it with random x, and compares y with the CPU reference. A float
// matrix is quantized first. Without a GPU only the reference runs.

import { layerBytes, loadLayer, type QuantizedMatrix, readBias } from '../../../../src/formats.js';
import {
  capsOf,
  type Explanation,
  type FloatDType,
  type HostTensor,
  LinearWeightQuant,
  type ReferenceResult,
  referenceMatrix,
  Tensor,
  UnsupportedError,
} from '../../../../src/index.js';
import type { CodeBits } from '../../../../src/problem/code-width.js';
import { rowsOf } from '../../../../src/problem/matrix.js';
import type { JobContext } from '../../../worker/rpc.js';
import { type Timing, time, timeInARow } from '../../../worker/timing.js';
import { type Difference, difference } from '../../operator/jobs/compare.js';
import { type Form, formOf } from './look.js';
import type { Model } from './open.js';
import { matrixOf, quantized, type Settings, sizeOf, type Target } from './weights.js';

export interface RunArgs {
  readonly target: Target;
  /** Rows of x. */
  readonly m: number;
  readonly dtype: FloatDType;
  readonly seed: number;
  /** For float matrices. */
  readonly settings: Settings;
}
export interface LayerRun {
  readonly args: RunArgs;
  readonly n: number;
  readonly k: number;
  readonly bias: boolean;
  /** Bits of the codes that are multiplied. */
  readonly bits: CodeBits;
  /** Bits a weight in the file, scales and all; undefined for a float matrix. */
  readonly fileBits?: number;
  readonly groupSize: number;
  readonly form: Form;
  readonly permuted: boolean;
  readonly inputScaled: boolean;
  /** Milliseconds of the reference. */
  readonly referenceTime: number;
  /** The first elements of the first row: reference, low, high, and the GPU's. */
  readonly first: readonly (readonly number[])[];
  /** Undefined without a GPU; `noGpu` says why. */
  readonly gpu?: {
    readonly plan: Explanation;
    readonly difference: Difference;
    readonly time: Timing;
    readonly software: boolean;
    /** Milliseconds from the file to a layer on the GPU. */
    readonly loadTime: number;
  };
  readonly noGpu?: string;
}

/** Nearly normal numbers from a seed: the sum of four uniform numbers (mulberry32) minus their mean. */
function randomX(count: number, seed: number): Float32Array {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => next() + next() + next() + next() - 2);
}

interface Product {
  readonly matrix: QuantizedMatrix;
  readonly x: HostTensor;
  readonly m: number;
  readonly bias: Float32Array | undefined;
}

/** referenceMatrix over some outputs at a time, with pauses; the numbers are the same. */
async function referenceOf(
  { matrix, x, m, bias }: Product,
  accuracy: Explanation['accuracy'] | undefined,
  context: JobContext,
): Promise<ReferenceResult> {
  const { n } = matrix;
  const [exact, data, low, high] = [new Float64Array(m * n), new Float32Array(m * n), new Float32Array(m * n), new Float32Array(m * n)];
  for (const { matrix: run, begin } of rowsOf(matrix, (2 ** 20 * matrix.bits) / 8 / Math.max(1, m / 4))) {
    const own: HostTensor | undefined = bias && { data: bias.subarray(begin, begin + run.n), shape: [run.n], dtype: 'float32' };
    const part = referenceMatrix(x, run, { ...(own && { bias: own }), ...(accuracy && { accuracy }) });
    for (let i = 0; i < m; i++)
      for (const [whole, values] of [
        [exact, part.exact],
        [data, part.data],
        [low, part.low],
        [high, part.high],
      ] as const)
        whole.set(values.subarray(i * run.n, (i + 1) * run.n), i * n + begin);
    context.progress(0.5 + (0.3 * (begin + run.n)) / n, 'The CPU computes the reference.');
    await context.breathe();
  }
  return { exact, data, low, high, shape: [m, n], dtype: x.dtype as FloatDType };
}

export async function run(model: Model, args: RunArgs, context: JobContext): Promise<LayerRun> {
  const { target, m, dtype, seed, settings } = args;
  const { n, k } = sizeOf(model, target);
  const source = target.kind === 'layer' ? model.layers[target.index]! : undefined;
  const matrix = source ? await matrixOf(model, target, context, 0.2) : (await quantized(model, target, settings, context, 0.2)).matrix;
  const bias = source && (await readBias(source, context.signal));
  const x: HostTensor = { data: randomX(m * k, seed), shape: [m, k], dtype };
  const product: Product = { matrix, x, m, bias };
  const { bits, groupSize, permutation, inputScale } = matrix;
  const plain = {
    ...{ args, n, k, bias: bias !== undefined, bits, groupSize, form: formOf(matrix), permuted: permutation !== undefined },
    inputScaled: inputScale !== undefined,
    ...(source && { fileBits: (8 * layerBytes(source)) / (n * k) }),
  };
  const timed = async (accuracy?: Explanation['accuracy']) => {
    const begin = performance.now();
    const want = await referenceOf(product, accuracy, context);
    return { want, referenceTime: performance.now() - begin };
  };
  const firstOf = ({ exact, low, high }: ReferenceResult, y?: Float32Array): number[][] =>
    [0, 1, 2, 3].filter((i) => i < n).map((i) => [exact[i]!, low[i]!, high[i]!, ...(y ? [y[i]!] : [])]);

  let device: GPUDevice;
  try {
    context.progress(0.2, 'Waiting for the GPU.');
    device = await context.device();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    const { want, referenceTime } = await timed();
    return { ...plain, referenceTime, first: firstOf(want), noGpu: error.message };
  }
  const began = performance.now();
  const layer = source
    ? await loadLayer(device, source, {
        dtype,
        signal: context.signal,
        onProgress: ({ done, total }) => context.progress(0.2 + (0.2 * done) / total, 'The layer is loaded onto the GPU.'),
      })
    : new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, dtype, bias: false }).loadMatrix(matrix);
  await device.queue.onSubmittedWorkDone();
  const loadTime = performance.now() - began;
  const input = Tensor.from(device, x.data as Float32Array, { shape: x.shape, dtype });
  try {
    await context.breathe();
    context.progress(0.45, 'The GPU compiles the shader.');
    await layer.prepare([m]);
    const plan = layer.explain(m);
    const { want, referenceTime } = await timed(plan.accuracy);
    context.progress(0.85, 'The GPU runs it.');
    const output = layer.forward(input);
    const y = (await output.read()) as Float32Array;
    output.destroy();
    context.progress(0.9, 'The time is taken.');
    const call = (): void => layer.forward(input).destroy();
    const each = await time(device, call, context.breathe);
    const measured = each.median < 5 ? { ...each, inARow: await timeInARow(device, call) } : each;
    const gpu = { plan, difference: difference(y, want), time: measured, software: capsOf(device).software, loadTime };
    return { ...plain, referenceTime, first: firstOf(want, y), gpu };
  } finally {
    input.destroy();
    layer.destroy();
  }
}
