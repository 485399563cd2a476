// The functional form: one call with all tensors, as in torch.

import { Tensor } from '../gpu/tensor.js';
import { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { checkWeights, checkX } from '../problem/checks.js';
import type { WeightTensors } from '../problem/problem.js';
import { type FunctionalOptions, functionalOptions, functionalSpec } from '../problem/torch-arguments.js';
import { isBatched, multiplyBatches } from './batched.js';

/**
 * y = x (…, K) · ((weight + antiquantOffset) · antiquantScale) + bias. y (…, N) has x's dtype, is float32 with `outputDtype`, or int8 with
 * a quantScale. Enqueues and does not wait. Repacks the weight at every call: for repeated use, make a `LinearWeightQuant`.
 *
 * Rule: torch_npu.npu_weight_quant_batchmatmul.
 * @param weight (K, N) int8, or (K, N/8) int32 holding eight int4; (N, K) storage is passed as its `.transpose()`. With an axis of B in front
 *   each batch of x (B, M, K) has its weight
 * @param antiquantScale (1,), (N,), (1, N), or (G, N) with groups; x's dtype, or int64. For weights of batches with an axis of B in front, or
 *   one axis that all batches share; so are antiquantOffset and bias
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 * @example const y = weightQuantBatchMatmul(x, stored.transpose(), scale, { antiquantGroupSize: 32 });
 */
export function weightQuantBatchMatmul(x: Tensor, weight: Tensor, antiquantScale: Tensor, options: FunctionalOptions<Tensor> = {}): Tensor {
  const input = Tensor.given(x, 'x');
  const { device } = input;
  const { antiquantGroupSize, innerPrecise, weightRounding, outputDtype, ...more } = functionalOptions(options);
  // null is torch's None; functionalSpec says what must be there.
  const named = Object.entries({ weight, antiquantScale, ...more }).filter(([, tensor]) => tensor !== undefined && tensor !== null);
  const given = Object.fromEntries(named.map(([name, tensor]) => [name, Tensor.given(tensor, name, device)]));
  const numbers = { antiquantGroupSize, innerPrecise, weightRounding, outputDtype };
  if (isBatched(given)) return multiplyBatches(input, given as unknown as WeightTensors<Tensor>, numbers);
  const { spec, tensors, views } = functionalSpec(
    input,
    { ...(given as unknown as WeightTensors<Tensor>), ...numbers },
    (_, tensor) => tensor,
    (tensor) => tensor.transpose(),
  );
  checkWeights(spec, views, { flipped: true }); // so that messages have the caller's orientation
  checkX(spec, input);
  const layer = new LinearWeightQuant(device, spec);
  try {
    const entries = Object.entries(tensors).filter(([, tensor]) => tensor !== undefined) as [string, Tensor][];
    return layer.load(Object.fromEntries(entries)).forward(input);
  } finally {
    layer.destroy(); // submitted work keeps its buffers until it has run
  }
}
