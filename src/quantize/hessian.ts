// GPTQ's statistics of the inputs: H = mean of xᵀ·x, damped, factored as U · D · Uᵀ with U unit upper triangular and D diagonal.
// An error e of a row of weights has the loss e · H · eᵀ, which U splits into one term for each k (gptq.ts).
import { ArgumentError } from '../errors.js';
import type { Activations } from './options.js';

export interface Factor {
  /** (K, K): entry [k, j] is U[j, k], for j < k. Row k has the weights by which column k compensates the errors before it. */
  readonly feedback: Float32Array;
  /** D: the loss of an error of column k after compensation in the columns behind it. */
  readonly cost: Float64Array;
}

/** Products between two yields: some milliseconds of work. */
const STRETCH = 2 ** 24;
/** Rows that are multiplied together: shared operands are loaded once. */
const SIDE = 4;

/** (K, K) of rows of x (M, K): xᵀ·x / M. Yields between stretches of work. */
export function* hessianOf(x: Float32Array, k: number): Generator<void, Float32Array> {
  const m = x.length / k;
  const sums = new Float64Array(k * k);
  const stretch = SIDE * Math.max(1, Math.floor(STRETCH / (SIDE * k * k)));
  for (let row = 0; row < m; row += SIDE) {
    // Rows past the last are read as the first row, times 0.
    const [a, b, c, d] = Array.from({ length: SIDE }, (_, i) => (row + i < m ? (row + i) * k : 0)) as [number, number, number, number];
    const [ofB, ofC, ofD] = [1, 2, 3].map((i) => (row + i < m ? 1 / m : 0)) as [number, number, number];
    for (let i = 0, to = 0; i < k; i++, to += k) {
      const [va, vb, vc, vd] = [x[a + i]! / m, x[b + i]! * ofB, x[c + i]! * ofC, x[d + i]! * ofD];
      for (let j = 0; j <= i; j++) sums[to + j]! += va * x[a + j]! + vb * x[b + j]! + (vc * x[c + j]! + vd * x[d + j]!);
    }
    if ((row + SIDE) % stretch === 0) yield;
  }
  const out = new Float32Array(k * k);
  for (let i = 0; i < k; i++) for (let j = 0; j <= i; j++) out[i * k + j] = out[j * k + i] = sums[i * k + j]!;
  return out;
}

/**
 * H = V · Vᵀ with V upper triangular, from the last column to the first; U is V with each column divided by its diagonal.
 * An input that is always 0 gets a diagonal of 1: its errors do not affect other columns.
 * @throws ArgumentError if the damped H is not positive definite
 */
export function* factorOf(hessian: Float32Array, k: number, damp = 0.01): Generator<void, Factor> {
  let mean = 0;
  for (let i = 0; i < k; i++) mean += hessian[i * k + i]! / k;
  // Row j of v holds V[j, i] for i ≥ j.
  const v = new Float32Array(k * k);
  const cost = new Float64Array(k);
  let work = 0;
  for (let column = k - 1; column >= 0; column--) {
    const own = column * k;
    let diagonal = hessian[own + column]!;
    const dead = diagonal === 0;
    diagonal += damp * mean;
    for (let i = column + 1; i < k; i++) diagonal -= v[own + i]! * v[own + i]!;
    if (dead) diagonal = 1;
    if (!(diagonal > 0)) throw new ArgumentError('activations.damp', 'enough to make the Hessian positive definite', String(damp));
    cost[column] = diagonal;
    const root = Math.sqrt(diagonal);
    v[own + column] = root;
    let j = 0;
    for (; j + SIDE <= column; j += SIDE) {
      const [a, b, c, d] = [j * k, (j + 1) * k, (j + 2) * k, (j + 3) * k];
      let [sa, sb, sc, sd] = [hessian[a + column]!, hessian[b + column]!, hessian[c + column]!, hessian[d + column]!];
      for (let i = column + 1; i < k; i++) {
        const shared = v[own + i]!;
        sa -= v[a + i]! * shared;
        sb -= v[b + i]! * shared;
        sc -= v[c + i]! * shared;
        sd -= v[d + i]! * shared;
      }
      v[a + column] = sa / root;
      v[b + column] = sb / root;
      v[c + column] = sc / root;
      v[d + column] = sd / root;
    }
    for (; j < column; j++) {
      const row = j * k;
      let sum = hessian[row + column]!;
      for (let i = column + 1; i < k; i++) sum -= v[row + i]! * v[own + i]!;
      v[row + column] = sum / root;
    }
    work += column * (k - column);
    if (work > STRETCH) {
      work = 0;
      yield;
    }
  }
  const feedback = new Float32Array(k * k);
  for (let column = 0; column < k; column++) {
    const diagonal = v[column * k + column]!;
    for (let j = 0; j < column; j++) feedback[column * k + j] = v[j * k + column]! / diagonal;
  }
  return { feedback, cost };
}

/** (K): weight of each input's errors, from means. */
export function importanceOf({ meanAbs, meanSquare }: Activations): Float64Array | undefined {
  if (meanSquare) return Float64Array.from(meanSquare);
  return meanAbs && Float64Array.from(meanAbs, (value) => value * value);
}
