// The jobs of the panel "Operator": one product on the CPU reference and, where there is a GPU, on it; their difference and their times.
import {
  capsOf,
  type Explanation,
  type HostTensor,
  LinearWeightQuant,
  type ReferenceResult,
  reference,
  Tensor,
  UnsupportedError,
} from '../../src/index.js';
import { type Choice, type Inputs, layerOptions, makeInputs, SCHEMES, weightBytes } from './example.js';
import type { JobContext } from './rpc.js';
import { type Timing, time, timeInARow } from './timing.js';

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
export interface GpuRun {
  readonly y: Float32Array | Int8Array;
  readonly plan: Explanation;
  readonly difference: Difference;
  readonly time: Timing;
  /** The time is that of the CPU's cores. */
  readonly software: boolean;
}
export interface OperatorRun {
  readonly choice: Choice;
  readonly want: ReferenceResult;
  /** Milliseconds of the reference. */
  readonly referenceTime: number;
  readonly bytes: ReturnType<typeof weightBytes>;
  /** Undefined without a GPU; `noGpu` says why. */
  readonly run?: GpuRun;
  readonly noGpu?: string;
}

/** The functional form, which the reference follows, has weight (K, N) and scales (G, N): the same bytes, read the other way round. */
function transposed(tensor: HostTensor): HostTensor {
  const [rows, columns] = tensor.shape;
  return columns === undefined ? tensor : { ...tensor, shape: [columns, rows!], strides: [1, columns] };
}

function referenceOf(choice: Choice, { x, tensors }: Inputs): ReferenceResult {
  const { weight, antiquantScale, antiquantOffset, quantScale } = tensors;
  return reference(x, transposed(weight!), transposed(antiquantScale!), {
    antiquantGroupSize: SCHEMES[choice.scheme].groupSize,
    ...(antiquantOffset && { antiquantOffset: transposed(antiquantOffset) }),
    ...(quantScale && { quantScale }),
  });
}

export function difference(y: ArrayLike<number>, { data, exact, low, high, dtype }: ReferenceResult): Difference {
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

const upload = (device: GPUDevice, { data, shape, dtype }: HostTensor): Tensor => Tensor.from(device, data, { shape, dtype });

async function onGpu(device: GPUDevice, choice: Choice, inputs: Inputs, want: ReferenceResult, context: JobContext): Promise<GpuRun> {
  const layer = new LinearWeightQuant(device, layerOptions(choice));
  const given = Object.entries(inputs.tensors).map(([name, tensor]) => [name, upload(device, tensor)] as const);
  const x = upload(device, inputs.x);
  try {
    layer.load(Object.fromEntries(given));
    context.progress(0.5, 'The GPU compiles the shader.');
    await layer.prepare([choice.rows]);
    context.progress(0.7, 'The GPU runs it.');
    const result = layer.forward(x);
    const y = (await result.read()) as Float32Array | Int8Array;
    result.destroy();
    context.progress(0.8, 'The time is taken.');
    const call = (): void => layer.forward(x).destroy();
    const single = await time(device, call, context.breathe);
    const measured = single.median < 5 ? { ...single, inARow: await timeInARow(device, call) } : single;
    return { y, plan: layer.explain(choice.rows), difference: difference(y, want), time: measured, software: capsOf(device).software };
  } finally {
    for (const [, tensor] of given) tensor.destroy();
    x.destroy();
    layer.destroy();
  }
}

export const jobs = {
  run: async (choice: Choice, context: JobContext): Promise<OperatorRun> => {
    context.progress(0.05, 'The CPU makes the inputs.');
    const inputs = makeInputs(choice);
    await context.breathe();
    context.progress(0.1, 'The CPU computes the reference.');
    const begin = performance.now();
    const want = referenceOf(choice, inputs);
    const plain = { choice, want, referenceTime: performance.now() - begin, bytes: weightBytes(inputs) };
    await context.breathe();
    let device: GPUDevice;
    try {
      device = await context.device();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      return { ...plain, noGpu: error.message };
    }
    return { ...plain, run: await onGpu(device, choice, inputs, want, context) };
  },
};
