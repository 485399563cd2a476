// Loads a layer of a file onto the GPU, piece by piece. Memory holds one piece of one layer, for files of any size.
import { anything, fields, signal as isSignal, optional } from '../arguments/check.js';
import { checkDevice } from '../arguments/gpu-objects.js';
import type { FloatDType } from '../dtype.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { LayerSource } from '../formats/layer-source.js';
import type { ReadOptions } from '../formats/read-layer.js';
import { whileAlive } from '../gpu/device.js';
import { Tensor } from '../gpu/tensor.js';
import type { QuantizeForm } from '../quantize/gpu-form.js';
import { LinearWeightQuant, type LinearWeightQuantOptions } from './linear-weight-quant.js';
import { abandonLoad, type Load, loadPiece } from './load.js';
import { type PieceSource, reportOfAll, sourceOf } from './piece-source.js';

/** How a layer of a file is read and multiplied. */
export interface LoadOptions extends ReadOptions, Pick<LinearWeightQuantOptions, 'innerPrecise' | 'weightRounding' | 'plan'> {
  /** Dtype of x and y; default float16. The file's scales may have any dtype. */
  readonly dtype?: FloatDType;
  /** For a float tensor, which needs one: the codes that the GPU makes of it. The layer's `report` has the errors. */
  readonly quantize?: QuantizeForm | undefined;
  /** For a float tensor: its bias, a tensor (N,) of the file. A LayerSource has its own. */
  readonly bias?: TensorInfo | undefined;
}

const OPTIONS = fields({
  dtype: anything,
  innerPrecise: anything,
  weightRounding: anything,
  plan: anything,
  quantize: anything,
  bias: anything,
  signal: optional(isSignal),
});

/** The options of a layer of a file. */
export const optionsFor = (
  { n, k }: PieceSource,
  bias: boolean,
  { dtype = 'float16', innerPrecise = 0, weightRounding = 'none', plan }: LoadOptions,
): LinearWeightQuantOptions => ({
  inFeatures: k,
  outFeatures: n,
  dtype,
  bias,
  innerPrecise,
  weightRounding,
  ...(plan && { plan }),
});

/**
 * Loads a layer of a file (`findLayers`) as a LinearWeightQuant, with the file's bias; or a float matrix, which the GPU quantizes by minmax.
 * Reads the file in pieces and waits until the GPU has taken each: neither holds more than two pieces beside the layer's buffers. If a step
 * fails, the buffers are freed.
 * @param source what `findLayers` lists in `layers`, or in `floats`: a tensor (N, K) of F32, F16 or BF16
 * @throws ArgumentError, FormatError, ReadError, UnsupportedError, GpuError, DeviceLostError; the reason of `signal`
 * @example
 * const { layers, floats } = await findLayers(await openModel(file));
 * const layer = await loadLayer(device, layers[0], { dtype: 'float16', onProgress: ({ done, total }) => { bar.value = done / total; } });
 * const head = await loadLayer(device, floats.find(({ name }) => name === 'lm_head.weight'), { quantize: 'int8' });
 * console.log(head.report.sqnr);
 */
export async function loadLayer(
  device: GPUDevice,
  source: LayerSource | TensorInfo,
  options: LoadOptions = {},
): Promise<LinearWeightQuant> {
  checkDevice(device);
  const given = OPTIONS(options, 'options') as LoadOptions;
  const { signal } = given;
  const from = sourceOf(device, source, given);
  const bias = await from.bias(signal);
  const layer = new LinearWeightQuant(device, optionsFor(from, bias !== undefined, given));
  const tensor = bias && Tensor.from(device, bias, { shape: [from.n], dtype: 'float32' });
  let load: Load | undefined;
  try {
    for await (const piece of from.pieces(options)) {
      load ??= layer.beginMatrix(piece.matrix, tensor ? { bias: tensor } : {}, from.groupSize);
      loadPiece(load, piece.matrix, piece, piece);
      await device.queue.onSubmittedWorkDone(); // its staging buffers are free before the next piece is read
    }
    await whileAlive(device, Promise.all(load!.done));
    signal?.throwIfAborted();
    layer.endMatrix(load!, reportOfAll([from]));
    return layer;
  } catch (error) {
    if (load) abandonLoad(load);
    layer.destroy();
    throw error;
  } finally {
    tensor?.destroy();
  }
}
