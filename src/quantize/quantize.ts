// Weights as floats → codes, scales and zero points, on the calling thread. What each method does and buys: docs/quantizers.md.
import type { QuantizeOptions, Weights } from './options.js';
import { type Quantized, slices } from './slices.js';

/**
 * Quantizes weights (N, K). W[n, k] ≈ scale[n, g] · (code[n, k] - zeroPoint[n, g]), g = floor(k / groupSize).
 *
 * - `minmax`: the ends of a group are codes. Every error is at most half a scale.
 * - `mse`: the ends are clipped where that makes the squared error of the group smaller. Never worse than `minmax` by that measure.
 * - `hqq`: a float zero point that makes Σ |error|^0.7 small (Badri and Shaji, 2023). compressed-tensors cannot hold it.
 *
 * `activations` says what the inputs are like. Means weight the errors that `mse` and `hqq` make small; a Hessian, or rows of x, makes each
 * weight's error good in the weights after it (GPTQ: Frantar et al., 2022). Nothing of it is needed at run time.
 *
 * The report is of the numbers as they are written: scales in `scaleDtype`. Use `quantizeInWorker` where the thread must not stand still.
 * @param weights (N, K) row-major: a Float32Array, or the bits of float16 or bfloat16 (`dtype`) in a Uint16Array
 * @throws ArgumentError for options that do not go together, a weight that is not finite or beyond 2^126, or a group whose scale
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
