// GPTQ: rounding with error feedback (Frantar et al., 2022), in the form of Chee et al., "QuIP" (2023), which needs no inverse. With
// H = U · D · Uᵀ, column k is rounded from w[k] + Σ over j < k of (w[j] - ŵ[j]) · U[j, k]. The loss is Σ D[k] · (rounding error of k)².
import { encode, type Fit, type Grid } from './grid.js';
import type { Factor } from './hessian.js';
import type { Settings } from './options.js';

/** Rows that are rounded together: each coefficient is loaded once for all of them. */
export const LANES = 4;

/**
 * Computes the codes of `rows` ≤ LANES rows of w (…, K). A group's grid is fitted to its corrected weights, unless `fixed` is the grid of
 * all groups.
 * @param done receives the grid of each group of each row
 * @returns the loss: Σ e · H · eᵀ of the rows' errors e
 */
export function roundWithFeedback(
  w: Float32Array,
  { rows, first, fixed }: { readonly rows: number; readonly first: number; readonly fixed: Grid | undefined },
  { k, groupSize, top }: Pick<Settings, 'k' | 'groupSize' | 'top'>,
  { feedback, cost }: Factor,
  choose: Fit,
  codes: Uint8Array,
  done: (row: number, group: number, grid: Grid) => void,
): number {
  const left = new Float64Array(LANES * k); // w - ŵ, by column and lane
  const sums = new Float64Array(LANES);
  let loss = 0;
  const corrected = Array.from({ length: rows }, (_, lane) => w.slice((first + lane) * k, (first + lane + 1) * k));
  const grids = corrected.map((): Grid => ({ scale: 1, zero: 0, ...fixed }));
  for (let begin = 0; begin < k; begin += groupSize) {
    const end = Math.min(k, begin + groupSize);
    // The grid is fitted to the group's columns as corrected so far: errors inside the group are not known yet.
    for (let column = begin; begin > 0 && column < end; column++) {
      dots(left, feedback, column * k, 0, begin, sums);
      for (let lane = 0; lane < rows; lane++) corrected[lane]![column]! += sums[lane]!;
    }
    for (let lane = 0; lane < rows; lane++) {
      if (!fixed) choose(corrected[lane]!, begin, end, grids[lane]!);
      done(first + lane, begin / groupSize, grids[lane]!);
    }
    for (let column = begin; column < end; column++) {
      dots(left, feedback, column * k, begin, column, sums);
      for (let lane = 0; lane < rows; lane++) {
        const grid = grids[lane]!;
        const at = (first + lane) * k + column;
        corrected[lane]![column]! += sums[lane]!;
        encode(corrected[lane]!, column, column + 1, grid, top, codes, at);
        const made = grid.scale * (codes[at]! - grid.zero);
        left[LANES * column + lane] = w[at]! - made;
        loss += cost[column]! * (corrected[lane]![column]! - made) ** 2;
      }
    }
  }
  return loss;
}

/** sums[lane] = Σ left[j, lane] · feedback[row + j], j in [begin, end). */
function dots(left: Float64Array, feedback: Float32Array, row: number, begin: number, end: number, sums: Float64Array): void {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let j = begin, at = LANES * begin; j < end; j++, at += LANES) {
    const u = feedback[row + j]!;
    a += left[at]! * u;
    b += left[at + 1]! * u;
    c += left[at + 2]! * u;
    d += left[at + 3]! * u;
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}
