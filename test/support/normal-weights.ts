// Seeded weights and inputs for the tests of quantizers. Holds no test.
import { random } from '../cases/data.js';

/** N(0, 1). */
export function normals(seed: string, length: number): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}

/** Rows of x (M, K) with a few strong directions, as activations have them: a mixture of K / 8 factors, some inputs 10 times as large. */
export function correlated(seed: string, m: number, k: number): Float32Array {
  const factors = Math.max(1, k >> 3);
  const mix = normals(`${seed} mix`, factors * k);
  const parts = normals(`${seed} parts`, m * factors);
  const own = normals(`${seed} own`, m * k);
  const out = new Float32Array(m * k);
  for (let row = 0; row < m; row++)
    for (let column = 0; column < k; column++) {
      let sum = 0;
      for (let f = 0; f < factors; f++) sum += parts[row * factors + f]! * mix[f * k + column]!;
      const size = column % 32 === 5 ? 10 : 1;
      out[row * k + column] = size * (sum / Math.sqrt(factors) + 0.3 * own[row * k + column]!);
    }
  return out;
}

/** xᵀ·x / M in double precision. */
export function secondMoments(x: Float32Array, k: number): Float64Array {
  const m = x.length / k;
  const out = new Float64Array(k * k);
  for (let row = 0; row < m; row++)
    for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) out[i * k + j]! += (x[row * k + i]! * x[row * k + j]!) / m;
  return out;
}

/** Σ over rows of e · H · eᵀ, e = w - made: M times it is the squared error of x·Wᵀ. */
export function outputLoss(w: Float32Array, made: Float32Array, hessian: Float64Array, k: number): number {
  let sum = 0;
  for (let row = 0; row < w.length / k; row++)
    for (let i = 0; i < k; i++) {
      const error = w[row * k + i]! - made[row * k + i]!;
      for (let j = 0; j < k; j++) sum += error * hessian[i * k + j]! * (w[row * k + j]! - made[row * k + j]!);
    }
  return sum;
}
