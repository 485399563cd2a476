// `quantize`: float weights → codes, scales and zero points, on the calling thread. docs/quantizers.md compares the methods.
import type { QuantizeOptions, Weights } from './options.js';
import { type Quantized, slices } from './slices.js';

/**
 * Quantizes weights (N, K). W[n, k] ≈ scale[n, g] · (code[n, k] - zeroPoint[n, g]), g = floor(k / groupSize).
 *
 * - `minmax`: codes span the minimum and maximum of a group. Every error is at most half a scale.
 * - `mse`: clips minimum and maximum where that reduces the group's squared error, which is never larger than with `minmax`.
 * - `hqq`: a float zero point that reduces Σ |error|^0.7 (Badri and Shaji, 2023). compressed-tensors cannot hold it.
 *
 * `activations` describes the inputs. With means, `mse` and `hqq` weight the errors. With a Hessian or rows of x, the weights after a
 * weight compensate its error (GPTQ: Frantar et al., 2022). Kernels do not need activations.
 *
 * The report describes the result with scales in `scaleDtype`. Use `quantizeInWorker` to keep the calling thread free.
 * @param weights (N, K) row-major: a Float32Array, or the bits of float16 or bfloat16 (`dtype`) in a Uint16Array
 * @throws ArgumentError for options that contradict each other, a weight that is not finite or beyond 2^126, or a group whose scale
 *   overflows `scaleDtype`
 * @example
 * const { matrix, report } = quantize(weights, { n, k, bits: 4, groupSize: 128, method: 'mse' });
 * console.log(`${report.sqnr.toFixed(1)} dB at ${report.bitsPerWeight.toFixed(2)} bits`);
 */
export function quantize(weights: Weights, options: QuantizeOptions): Quantized {
  const work = slices(weights, options);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
