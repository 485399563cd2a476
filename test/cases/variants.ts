// Which variants the compilers are shown: all that planning can ask for would take them too long. Holds no test.
//
// In `npm test`: of every kernel so many that every two values of two params, the tile being one, meet in one; of the helpers all.
// In `npm run test:all`: of every tile each combination of operands that torch's layers can have; and of what imported weights add (minima,
// tables, scales of another dtype than x) so many that every three values of three params meet in one. Of matmul-plain, which has the same
// text of operands and little else: all.

import { allVariants, kernels, operandsOf } from '../../src/kernels/index.js';
import { BITS } from '../../src/problem/code-width.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { cover, whole, wordsOf } from './slice.js';

type Variants = ReturnType<typeof allVariants>;

/** Of a layer that `load` made: scales of x's dtype, or float32 ones that came packed in 64 bits. */
const TORCH: readonly Readonly<Record<'bits' | 'x' | 'scale' | 'y', readonly number[]>>[] = [
  { bits: BITS, x: [0], scale: [0], y: [0, 3] },
  { bits: BITS, x: [1, 2, 0], scale: [1], y: [1, 0, 3] },
  { bits: [8], x: [1, 2, 0], scale: [0], y: [1, 0] },
  { bits: BITS, x: [3, 0], scale: [2], y: [2, 0, 3] },
];
const isTorch = ({ BITS, X, SCALE, OFFSET, CODEBOOK, Y }: Params): boolean =>
  CODEBOOK === 0 &&
  OFFSET! < 2 &&
  TORCH.some(({ bits, x, scale, y }) => bits.includes(BITS!) && x.includes(X!) && scale.includes(SCALE!) && y.includes(Y!));

/** Of `allVariants()`. */
export function shownVariants(): Variants {
  const all = allVariants();
  return [...new Set(all.map(({ shader }) => shader))].flatMap((shader): Variants => {
    const mine = all.filter((variant) => variant.shader === shader);
    const kernel = kernels.find(({ name }) => name === shader.name);
    if (!kernel || (whole && kernel.name === 'matmul-plain')) return mine;
    // A tile counts as one param.
    const tiled = operandsOf(kernel).flatMap((params) => kernel.tiles.map((_, TILE) => ({ ...params, TILE })));
    const shown = whole
      ? cover(tiled, (params) => wordsOf(params, 3), tiled.filter(isTorch))
      : cover(tiled, (params) => wordsOf(params, 2));
    return shown.map(({ TILE, ...params }) => ({ shader, params: { ...params, ...kernel.tiles[TILE!] } }));
  });
}
