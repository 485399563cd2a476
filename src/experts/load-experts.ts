// Loads the experts of a block from a file, piece by piece.
import { anything, fields, list } from '../arguments/check.js';
import { checkDevice } from '../arguments/gpu-objects.js';
import { ArgumentError } from '../errors.js';
import { watched } from '../files/given.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { ExpertSource } from '../formats/experts.js';
import type { LayerSource } from '../formats/layer-source.js';
import { whileAlive } from '../gpu/device.js';
import { Tensor } from '../gpu/tensor.js';
import type { LoadOptions } from '../layer/load-file.js';
import { type PieceSource, reportOfAll, sourceOf } from '../layer/piece-source.js';
import type { Progress } from '../progress.js';
import { ExpertLayers, type ExpertLoad } from './expert-layers.js';
import { readingAhead } from './read-ahead.js';

/** How experts of a file are read and multiplied. */
export type LoadExpertsOptions = Omit<LoadOptions, 'innerPrecise' | 'weightRounding' | 'bias'>;

const OPTIONS = fields({ ...watched, dtype: anything, plan: anything, quantize: anything });

/** Bytes of a file that may be on their way to the GPU before the next piece is read. */
const IN_FLIGHT = 2 ** 24;

/**
 * Loads experts of a file (`findLayers`) as ExpertLayers, with the file's biases. Reads in pieces and waits until the GPU has taken about 16
 * MiB before it goes on. If a step fails, the buffers are freed.
 * @param source what `findLayers` lists in `experts`; or the experts' layers, in the order of their ids; or float tensors (N, K), which need
 *   `quantize`
 * @throws ArgumentError, FormatError, ReadError, UnsupportedError, GpuError, DeviceLostError; the reason of `signal`
 * @example
 * const { experts } = await findLayers(await openModel(file));
 * const gates = await loadExperts(device, experts.find(({ name }) => name === 'blk.0.ffn_gate_exps'));
 */
export async function loadExperts(
  device: GPUDevice,
  source: ExpertSource | readonly LayerSource[] | readonly TensorInfo[],
  options: LoadExpertsOptions = {},
): Promise<ExpertLayers> {
  checkDevice(device);
  const { dtype = 'float16', plan, quantize, signal, onProgress } = OPTIONS(options, 'options') as LoadExpertsOptions;
  const given = list<LayerSource | TensorInfo>(anything as never)(isList(source) ? source : source?.experts, 'source');
  for (const one of given) sourceOf(device, one, { quantize, plan }); // the caller may have made it
  const layers = readingAhead(given).map((one) => sourceOf(device, one, { quantize, plan }));
  const [first] = layers;
  if (!first) throw new ArgumentError('source', 'at least one expert', 'none');
  for (const layer of layers) checkAlike(first, layer);
  const { n, k, groupSize } = first;
  const biases: (Float32Array | undefined)[] = [];
  for (const layer of layers) biases.push(await layer.bias(signal));
  const biased = biases.some((bias) => bias !== undefined);
  const experts = new ExpertLayers(device, {
    experts: layers.length,
    inFeatures: k,
    outFeatures: n,
    dtype,
    bias: biased,
    ...(plan && { plan }),
  });
  const bias = biased ? biasTensor(device, biases, n) : undefined;
  let load: ExpertLoad | undefined;
  const total = layers.reduce((sum, layer) => sum + layer.bytes, 0);
  let done = 0;
  let waiting = 0;
  try {
    for (const [expert, layer] of layers.entries()) {
      const before = done;
      const progress = ({ done: own }: Progress): void => {
        waiting += before + own - done;
        done = before + own;
        onProgress?.({ phase: 'read', done, total });
      };
      for await (const piece of layer.pieces({ ...options, onProgress: progress })) {
        load ??= experts.beginMatrices(piece.matrix, bias ? { bias } : {}, groupSize);
        experts.addMatrix(load, expert, piece);
        if (waiting >= IN_FLIGHT) {
          await device.queue.onSubmittedWorkDone(); // staging buffers are free before more is read
          waiting = 0;
        }
      }
    }
    await whileAlive(device, Promise.all(load!.load.done));
    signal?.throwIfAborted();
    experts.endMatrices(load!, reportOfAll(layers));
    return experts;
  } catch (error) {
    if (load) experts.abandon(load);
    experts.destroy();
    throw error;
  } finally {
    bias?.destroy();
  }
}

const isList = (source: unknown): source is readonly LayerSource[] | readonly TensorInfo[] => Array.isArray(source);

/** @throws ArgumentError if an expert has another shape or format than the first */
function checkAlike({ said }: PieceSource, expert: PieceSource): void {
  if (said !== expert.said) throw new ArgumentError(`source: ${expert.name}`, said, expert.said);
}

/** (E, N); zeros for an expert without a bias. */
function biasTensor(device: GPUDevice, biases: readonly (Float32Array | undefined)[], n: number): Tensor {
  const data = new Float32Array(biases.length * n);
  for (const [expert, bias] of biases.entries()) if (bias) data.set(bias, expert * n);
  return Tensor.from(device, data, { shape: [biases.length, n], dtype: 'float32' });
}
