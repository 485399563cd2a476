// quantizeOnGpu: minmax on the GPU (shaders/quantize-weights.wgsl), for weights that are there already, or for large ones. float-pieces.ts
// quantizes weights of files by the same steps.
import { checkDevice } from '../arguments/gpu-objects.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { capsOf } from '../gpu/device.js';
import { allTaken, guarded, type Taken } from '../gpu/guard.js';
import { loadOwn } from '../gpu/own-file.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, record, submit } from '../gpu/recording.js';
import { Tensor } from '../gpu/tensor.js';
import type { Dispatch } from '../plan/dispatch.js';
import { quantizeSteps, SOURCES } from '../plan/quantize-steps.js';
import { wordsOf } from '../problem/code-width.js';
import { groupsIn, type QuantizedMatrix } from '../problem/matrix.js';
import { checkGpuForm, type GpuQuantizeOptions } from '../quantize/gpu-form.js';
import type { Settings } from '../quantize/options.js';
import type { Quantized } from '../quantize/slices.js';

/**
 * Quantizes weights (N, K) on the GPU by minmax and reads the result back. It equals the result of `quantize` in every bit. There is no
 * report, which would need the weights on the CPU.
 * @param weights (N, K) float32, float16 or bfloat16, contiguous; any byte offset. They stay unchanged
 * @param options those of `quantize`, without mode `tensor`
 * @throws ArgumentError as `quantize`, UnsupportedError if a row needs a larger binding than there is, ReadError if the shader cannot be
 *   fetched, ShaderError, GpuError, DeviceLostError
 * @example const { matrix } = await quantizeOnGpu(device, weights, { bits: 4, groupSize: 128 });
 */
export async function quantizeOnGpu(
  device: GPUDevice,
  weights: Tensor,
  options: GpuQuantizeOptions,
): Promise<Pick<Quantized, 'matrix' | 'mode'>> {
  checkDevice(device);
  const tensor = Tensor.given(weights, 'weights', device);
  const { shape, strides, format, dtype } = tensor;
  if (!SOURCES.includes(dtype as FloatDType)) throw new ArgumentError('weights', `dtype ${SOURCES.join(' or ')}`, dtype);
  const [n = 0, k = 0] = shape;
  if (shape.length !== 2 || format !== 'ND' || strides[1] !== 1 || strides[0] !== k)
    throw new ArgumentError('weights', 'contiguous rows (N, K)', `${format} (${shape.join(', ')}) with strides (${strides.join(', ')})`);
  const settings = checkGpuForm(options, { n, k });
  const { bits, mode } = settings;
  const [words, groups] = [n * wordsOf(k, bits), n * groupsIn(settings)];
  await loadShader();
  tensor.assertUsable('weights', device); // it may have been destroyed meanwhile
  const steps = quantizeSteps(capsOf(device), settings, { dtype: dtype as FloatDType, first: tensor.offset });

  const sizes = { codes: 4 * words, grids: 8 * groups };
  const inits = Object.entries(sizes).map(([role, size]) => [role, { label: `quantize ${role}`, usage: BUFFER.output, size }] as const);
  const allocated = guarded(device, 'quantize', () => makeBuffers(device, inits));
  const made = allocated.result;
  try {
    const written = run(device, steps, { buffers: (role) => made.get(role) ?? tensor.buffer, after: [tensor.written, allocated.errors] });
    const read = [...made].map(([role, buffer]) => readWords(device, buffer, { count: sizes[role as 'codes'] / 4, written }));
    const [codes, grids] = (await Promise.all(read)) as [Uint32Array, Uint32Array];
    const { scale, zeroPoint, bad } = gridsOf(grids);
    if (bad >= 0) throw unusable(settings, bad, scale[bad]!);
    return { matrix: matrixOf(settings, { codes, scale, zeroPoint }), mode };
  } finally {
    for (const buffer of made.values()) buffer.destroy();
  }
}

/** Loads the shader's text, before the first dispatch. @throws ReadError */
export async function loadShader(): Promise<void> {
  const { addQuantizeText } = await loadOwn('quantizing', () => import('../wgsl/quantize-text.js'));
  addQuantizeText();
}

/** Enqueues the dispatches. @param on.after what fills the buffers that they read @throws ShaderError */
export function run(
  device: GPUDevice,
  steps: readonly Dispatch[],
  { buffers, after }: { readonly buffers: (role: string) => GPUBuffer; readonly after: readonly (Taken | undefined)[] },
): Taken {
  const { errors } = guarded(device, 'quantize', () => {
    const recording = record(device, steps, buffers);
    submit(device, 'antiquant quantize', (pass) => encodeInto(pass, recording));
    recording.uniforms.destroy();
  });
  return allTaken(...after, pipelineErrors(device, steps), errors);
}

/** The first `count` words of a buffer that `written` fills. @throws as `Tensor.read` */
export async function readWords(
  device: GPUDevice,
  buffer: GPUBuffer,
  { count, written }: { readonly count: number; readonly written: Taken },
): Promise<Uint32Array<ArrayBuffer>> {
  const values = Tensor.own(device, buffer, { shape: [count], dtype: 'int32', release: () => {}, written });
  return new Uint32Array(((await values.read()) as Int32Array<ArrayBuffer>).buffer);
}

/** Scales and zero points of groups, and the first group that has none: its scale is no number, or is infinite. -1: each has. */
export function gridsOf(grids: Uint32Array): { readonly scale: Float32Array; readonly zeroPoint: Float32Array; readonly bad: number } {
  const groups = grids.length / 2;
  const scaleBits = new Uint32Array(groups);
  const zeroPoint = new Float32Array(groups);
  for (let i = 0; i < groups; i++) {
    scaleBits[i] = grids[2 * i]!;
    zeroPoint[i] = grids[2 * i + 1]!;
  }
  const scale = new Float32Array(scaleBits.buffer);
  return { scale, zeroPoint, bad: scale.findIndex((value) => !Number.isFinite(value)) };
}

/** The matrix of these settings. */
export function matrixOf(
  { n, k, bits, groupSize, symmetric, scaleDtype }: Settings,
  { zeroPoint, ...values }: Pick<QuantizedMatrix, 'codes' | 'scale'> & { readonly zeroPoint: Float32Array },
): QuantizedMatrix {
  const zeros = symmetric ? {} : ({ zeroPoint, zeroPointDtype: 'uint8' } as const);
  return { n, k, bits, groupSize, scaleDtype, ...values, ...zeros };
}

/** The place of a group among the weights. @param first the row of group 0 */
export function placeOf({ k, groupSize }: Pick<Settings, 'k' | 'groupSize'>, group: number, first = 0): string {
  const groups = groupsIn({ k, groupSize });
  const begin = (group % groups) * groupSize;
  return `[${first + Math.floor(group / groups)}, ${begin} … ${Math.min(k, begin + groupSize) - 1}]`;
}

/** What weights must be, by the scale that stands for those that are not. */
export const expectedOf = (scale: number, { scaleDtype }: Pick<Settings, 'scaleDtype'>): readonly [expected: string, got: string] =>
  Number.isNaN(scale) ? ['finite numbers of at most 2^126', 'others'] : [`a group whose scale is a ${scaleDtype}`, 'a larger one'];

const unusable = (settings: Settings, at: number, scale: number): ArgumentError =>
  new ArgumentError(`weights${placeOf(settings, at)}`, ...expectedOf(scale, settings));
