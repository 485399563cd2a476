// The functional form: one call with all tensors, as torch has it.

import type { Tensor } from '../gpu/tensor.js';
import { checkWeights, checkX } from '../problem/checks.js';
import { type FunctionalOptions, functionalSpec } from '../problem/torch-arguments.js';
import { LinearWeightQuant } from './linear-weight-quant.js';

/**
 * x (…, K) · ((weight + antiquantOffset) · antiquantScale) + bias → (…, N), of x's dtype, or int8 with a quantScale. Enqueues and does
 * not wait. Repacks the weight at every call: for weights that are used again, make a `LinearWeightQuant`.
 *
 * Rule: torch_npu.npu_weight_quant_batchmatmul.
 * @param weight (K, N) int8, or (K, N/8) int32 holding eight int4; (N, K) storage is passed as its `.transpose()`
 * @param antiquantScale (1,), (N,), (1, N), or (G, N) with groups; x's dtype, or int64
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 * @example const y = weightQuantBatchMatmul(x, stored.transpose(), scale, { antiquantGroupSize: 32 });
 */
export function weightQuantBatchMatmul(x: Tensor, weight: Tensor, antiquantScale: Tensor, options: FunctionalOptions<Tensor> = {}): Tensor {
  const { device } = x;
  x.assertUsable('x');
  const { antiquantOffset, quantScale, quantOffset, bias } = options;
  const given = { weight, antiquantScale, antiquantOffset, quantScale, quantOffset, bias };
  for (const [name, tensor] of Object.entries(given)) tensor?.assertUsable(name, device);
  const { spec, tensors, views } = functionalSpec(
    x,
    { ...options, ...given },
    (_, tensor) => tensor,
    (tensor) => tensor.transpose(),
  );
  checkWeights(spec, views, { flipped: true }); // with messages in the caller's orientation
  checkX(spec, x);
  const layer = new LinearWeightQuant(device, spec);
  try {
    const entries = Object.entries(tensors).filter(([, tensor]) => tensor !== undefined) as [string, Tensor][];
    return layer.load(Object.fromEntries(entries)).forward(x);
  } finally {
    layer.destroy(); // what is submitted keeps its buffers until it has run
  }
}
