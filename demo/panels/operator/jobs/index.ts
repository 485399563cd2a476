// The job of the panel "Operator": quantizes the weights and multiplies, on the GPU if there is one and on the CPU reference. Returns the
// difference, the times, and the numbers that the panel draws.
import { UnsupportedError } from '../../../../src/errors.js';
import type { Explanation } from '../../../../src/layer/explain.js';
import type { QuantizeReport } from '../../../../src/quantize/report.js';
import { type JobContext, type Moved, moved } from '../../../worker/rpc.js';
import { type Choice, refusal } from './choice.js';
import { type Difference, decibels, difference } from './compare.js';
import { sourceOf } from './data.js';
import { type GpuRun, type GpuTime, onGpu } from './gpu.js';
import { type Bytes, bytesOf, inputsOf, quantized, quantizeOptions } from './inputs.js';
import { codesOfMatrix, histogram, type Shown, shownOf } from './layer.js';
import { plainProduct, referenceOf } from './reference.js';

/** The same weights with another number of scales. */
export interface Alternative {
  readonly mode: Choice['mode'];
  readonly groupSize: number | undefined;
  readonly sqnr: number;
  readonly bytes: number;
  readonly bitsPerWeight: number;
}
export interface OperatorRun {
  readonly choice: Choice;
  readonly report: QuantizeReport;
  readonly alternatives: readonly Alternative[];
  /** dB of y: the exact sums with quantized weights against those with the original weights. */
  readonly outputSqnr: number;
  readonly bytes: Bytes;
  readonly weights: Shown;
  /** Number of weights of each code. */
  readonly histogram: readonly number[];
  /** The reference's y, exact sums and intervals. */
  readonly want: Awaited<ReturnType<typeof referenceOf>>;
  /** Undefined without a GPU; `noGpu` says why. */
  readonly run?: { readonly y: GpuRun['y']; readonly plan: Explanation; readonly time: GpuTime; readonly difference: Difference };
  readonly noGpu?: string;
}

/** Most weights that are quantized in other modes for comparison. */
const COMPARED = 2 ** 22;

async function alternativesOf(choice: Choice, weights: Float32Array, context: JobContext): Promise<Alternative[]> {
  const { n, k } = choice;
  if (n * k > COMPARED) return [];
  const found: Alternative[] = [];
  const sizes = [...new Set([128, 64, 32, ...(choice.mode === 'group' ? [choice.groupSize] : [])])].filter((size) => size < k);
  const ways = [
    { mode: 'tensor' } as const,
    { mode: 'channel' } as const,
    ...sizes.sort((a, b) => b - a).map((groupSize) => ({ mode: 'group', groupSize }) as const),
  ];
  for (const way of ways) {
    const { groupSize: _, ...options } = quantizeOptions(choice);
    const { report } = await quantized(weights, { ...options, ...way }, context);
    found.push({
      mode: way.mode,
      groupSize: 'groupSize' in way ? way.groupSize : undefined,
      sqnr: report.sqnr,
      bytes: report.bytes,
      bitsPerWeight: report.bitsPerWeight,
    });
  }
  return found;
}

async function gpuRun(choice: Choice, inputs: Parameters<typeof onGpu>[2], context: JobContext): Promise<GpuRun | string> {
  try {
    return await onGpu(await context.device(), choice, inputs, context);
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return error.message;
  }
}

async function run(choice: Choice, context: JobContext): Promise<Moved<OperatorRun>> {
  const refused = refusal(choice);
  if (refused) throw refused;
  const { n, k, bits } = choice;
  context.progress(0, 'The CPU makes the numbers.');
  const source = await sourceOf(choice, context);
  context.progress(0.03, 'The CPU multiplies them unquantized.');
  const plain = await plainProduct(choice, source, context, (share) =>
    context.progress(0.03 + 0.17 * share, 'The CPU multiplies them unquantized.'),
  );
  context.progress(0.2, 'The CPU quantizes the weights.');
  const layer = await quantized(source.weights, quantizeOptions(choice), context);
  const alternatives = await alternativesOf(choice, source.weights, context);
  const inputs = inputsOf(choice, source, layer, plain);
  await context.breathe();

  const gpu = await gpuRun(choice, inputs, context);
  await context.breathe();
  const onCpu = 'The CPU computes the reference.';
  context.progress(0.5, onCpu);
  const accuracy = typeof gpu === 'string' ? undefined : gpu.plan.accuracy;
  const want = await referenceOf(choice, inputs, accuracy, context, (share) => context.progress(0.5 + 0.48 * share, onCpu));

  const codes = typeof gpu === 'string' ? codesOfMatrix(layer.matrix) : gpu.codes;
  const weights = shownOf(codes, source.weights, { n, k, bits });
  const result: OperatorRun = {
    choice,
    report: layer.report,
    alternatives,
    outputSqnr: decibels(plain, want.exact),
    bytes: bytesOf(choice, inputs.tensors),
    weights,
    histogram: histogram(codes.codes, bits),
    want,
    ...(typeof gpu === 'string'
      ? { noGpu: gpu }
      : { run: { y: gpu.y, plan: gpu.plan, time: gpu.time, difference: difference(gpu.y, want) } }),
  };
  const arrays = [weights.codes, weights.values, weights.errors, want.data, want.low, want.high, want.exact];
  return moved(
    result,
    arrays.map(({ buffer }) => buffer as ArrayBuffer),
  );
}

export const jobs = { run };
