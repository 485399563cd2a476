// Loads a layer of a file onto the GPU, piece by piece. Memory holds one piece of one layer, for files of any size.
import { anything, fields, signal as isSignal, optional } from '../arguments/check.js';
import { checkDevice } from '../arguments/gpu-objects.js';
import type { FloatDType } from '../dtype.js';
import type { LayerSource } from '../formats/layer-source.js';
import { type ReadOptions, readBias, readPieces } from '../formats/read-layer.js';
import { whileAlive } from '../gpu/device.js';
import { Tensor } from '../gpu/tensor.js';
import { checkMatrix, inFixedMemory } from '../problem/matrix.js';
import { LinearWeightQuant, type LinearWeightQuantOptions } from './linear-weight-quant.js';
import { abandonLoad, type Load, loadPiece } from './load.js';

/** How a layer of a file is read and multiplied. */
export interface LoadOptions extends ReadOptions, Pick<LinearWeightQuantOptions, 'innerPrecise' | 'weightRounding' | 'plan'> {
  /** Dtype of x and y; default float16. The file's scales may have any dtype. */
  readonly dtype?: FloatDType;
}

const OPTIONS = fields({ dtype: anything, innerPrecise: anything, weightRounding: anything, plan: anything, signal: optional(isSignal) });

/**
 * Loads a layer of a file (`findLayers`) as a LinearWeightQuant, with the file's bias. Reads the file in pieces and waits until the GPU has
 * taken each: neither holds more than two pieces beside the layer's buffers. If a step fails, the buffers are freed.
 * @throws ArgumentError, FormatError, ReadError, UnsupportedError, GpuError, DeviceLostError; the reason of `signal`
 * @example
 * const { layers } = await findLayers(await openModel(file));
 * const layer = await loadLayer(device, layers[0], { dtype: 'float16', onProgress: (done, total) => { bar.value = done / total; } });
 */
export async function loadLayer(device: GPUDevice, source: LayerSource, options: LoadOptions = {}): Promise<LinearWeightQuant> {
  checkDevice(device);
  const { dtype = 'float16', innerPrecise = 0, weightRounding = 'none', plan, signal } = OPTIONS(options, 'options') as LoadOptions;
  const bias = await readBias(source, signal);
  const { n, k } = source;
  const layer = new LinearWeightQuant(device, {
    inFeatures: k,
    outFeatures: n,
    dtype,
    bias: bias !== undefined,
    innerPrecise,
    weightRounding,
    ...(plan && { plan }),
  });
  const tensor = bias && Tensor.from(device, bias, { shape: [n], dtype: 'float32' });
  let load: Load | undefined;
  try {
    for await (const piece of readPieces(source, options)) {
      checkMatrix(piece.matrix); // the caller may have made the source
      const matrix = inFixedMemory(piece.matrix);
      load ??= layer.beginMatrix(matrix, tensor ? { bias: tensor } : {}, source.groupSize);
      loadPiece(load, matrix, piece);
      await device.queue.onSubmittedWorkDone(); // its staging buffers are free before the next piece is read
    }
    await whileAlive(device, Promise.all(load!.done));
    signal?.throwIfAborted();
    layer.endMatrix(load!);
    return layer;
  } catch (error) {
    if (load) abandonLoad(load);
    layer.destroy();
    throw error;
  } finally {
    tensor?.destroy();
  }
}
