// Selects the variants that compilers must take: all that planning can pick would take too long. Holds no test.
//
// `npm test`: for every kernel and for gather-weights, every pair of values of two params occurs in some variant (the tile counts as one
// param); all other helpers. `npm run test:all`: for every tile, all combinations of operands of torch's layers; for imported weights (minimums, codebooks, scales of
// another dtype than x), every three values of three params occur in some variant. For matmul-plain, which is mostly the text of the
// operands: all variants; and so for gather-weights.
import { gatherWeights } from '../../src/kernels/helpers.js';
import { allVariants, kernels, operandsOf } from '../../src/kernels/index.js';
import { BITS } from '../../src/problem/code-width.js';
import { addBestText } from '../../src/wgsl/best-text.js';
import { addGluText } from '../../src/wgsl/glu-text.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { addQuantizeText } from '../../src/wgsl/quantize-text.js';
import { addRowsText } from '../../src/wgsl/rows-text.js';
import { addSortText } from '../../src/wgsl/sort-text.js';
import { cover, whole, wordsOf } from './slice.js';

addQuantizeText(); // to compile them, too
addBestText();
addGluText();
addRowsText();
addSortText();

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
    if (shader === gatherWeights && !whole) {
      const shown = cover(
        mine.map(({ params }) => params),
        (params) => wordsOf(params, 2),
      );
      return shown.map((params) => ({ shader, params }));
    }
    const kernel = kernels.find(({ name }) => name === shader.name);
    if (!kernel || (whole && kernel.name === 'matmul-plain')) return mine;
    // A tile counts as one param.
    const tiled = operandsOf(kernel)
      .flatMap((params) => kernel.tiles.map((_, TILE) => ({ ...params, TILE })))
      .filter(({ TILE, ...params }) => !kernel.excludes?.({ ...params, ...kernel.tiles[TILE!] }));
    const shown = whole
      ? cover(tiled, (params) => wordsOf(params, 3), tiled.filter(isTorch))
      : cover(tiled, (params) => wordsOf(params, 2));
    return shown.map(({ TILE, ...params }) => ({ shader, params: { ...params, ...kernel.tiles[TILE!] } }));
  });
}
