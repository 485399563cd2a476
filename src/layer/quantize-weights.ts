// quantizeOnGpu: minmax on the GPU (shaders/quantize-weights.wgsl), for weights that are there already, or for large ones.
import { anything, type Check, fields } from '../arguments/check.js';
import { checkDevice } from '../arguments/gpu-objects.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { capsOf } from '../gpu/device.js';
import { allTaken, guarded } from '../gpu/guard.js';
import { loadOwn } from '../gpu/own-file.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, record, submit } from '../gpu/recording.js';
import { Tensor } from '../gpu/tensor.js';
import { quantizeSteps, SOURCES } from '../plan/quantize-steps.js';
import { wordsOf } from '../problem/code-width.js';
import { groupsIn, type QuantizedMatrix } from '../problem/matrix.js';
import { checkForm, type QuantizeOptions, type Settings } from '../quantize/options.js';
import type { Quantized } from '../quantize/slices.js';

const OPTIONS = fields({
  bits: anything,
  mode: anything,
  groupSize: anything,
  symmetric: anything,
  scaleDtype: anything,
}) as Check<GpuQuantizeOptions>;

/** The options of `quantize` that `quantizeOnGpu` takes. */
export type GpuQuantizeOptions = Pick<QuantizeOptions, 'bits' | 'mode' | 'groupSize' | 'symmetric' | 'scaleDtype'>;

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
  const settings = checkForm({ ...OPTIONS(options, 'options'), n, k, method: 'minmax' });
  if (settings.mode === 'tensor') throw new ArgumentError('mode', 'channel or group', 'tensor');
  const { bits, groupSize, symmetric, scaleDtype, mode } = settings;
  const [words, groups] = [n * wordsOf(k, bits), n * groupsIn(settings)];
  const { addQuantizeText } = await loadOwn('quantizing', () => import('../wgsl/quantize-text.js'));
  addQuantizeText();
  tensor.assertUsable('weights', device); // it may have been destroyed meanwhile
  const steps = quantizeSteps(capsOf(device), settings, { dtype: dtype as FloatDType, first: tensor.offset });

  const sizes = { codes: 4 * words, grids: 8 * groups };
  const inits = Object.entries(sizes).map(([role, size]) => [role, { label: `quantize ${role}`, usage: BUFFER.output, size }] as const);
  const allocated = guarded(device, 'quantize', () => makeBuffers(device, inits));
  const made = allocated.result;
  try {
    const { errors } = guarded(device, 'quantize', () => {
      const recording = record(device, steps, (role) => made.get(role) ?? tensor.buffer);
      submit(device, 'antiquant quantize', (pass) => encodeInto(pass, recording));
      recording.uniforms.destroy();
    });
    const written = allTaken(tensor.written, allocated.errors, pipelineErrors(device, steps), errors);
    const read = [...made].map(async ([role, buffer]) => {
      const values = Tensor.own(device, buffer, { shape: [sizes[role as 'codes'] / 4], dtype: 'int32', release: () => {}, written });
      return new Uint32Array(((await values.read()) as Int32Array).buffer as ArrayBuffer);
    });
    const [codes, grids] = (await Promise.all(read)) as [Uint32Array, Uint32Array];
    const scaleBits = new Uint32Array(groups);
    const zeroPoint = new Float32Array(groups);
    for (let i = 0; i < groups; i++) {
      scaleBits[i] = grids[2 * i]!;
      zeroPoint[i] = grids[2 * i + 1]!;
    }
    const scale = new Float32Array(scaleBits.buffer);
    const bad = scale.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw unusable(settings, bad, scale[bad]!);
    const zeros = symmetric ? {} : ({ zeroPoint, zeroPointDtype: 'uint8' } as const);
    const matrix: QuantizedMatrix = { n, k, bits, codes, groupSize, scale, scaleDtype, ...zeros };
    return { matrix, mode };
  } finally {
    for (const buffer of made.values()) buffer.destroy();
  }
}

function unusable({ k, groupSize, scaleDtype }: Settings, at: number, scale: number): ArgumentError {
  const groups = Math.ceil(k / groupSize);
  const begin = (at % groups) * groupSize;
  const where = `weights[${Math.floor(at / groups)}, ${begin} … ${Math.min(k, begin + groupSize) - 1}]`;
  return Number.isNaN(scale)
    ? new ArgumentError(where, 'finite numbers of at most 2^126', 'others')
    : new ArgumentError(where, `a group whose scale is a ${scaleDtype}`, 'a larger one');
}
