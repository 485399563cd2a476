// All variants of the helper shaders: what compilers and tests must take. Beside the table of helpers, and not part of it: pages do without.
import { BITS, CODE_BITS, isBits } from '../problem/code-width.js';
import { LEGAL_FORMATS } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import { variantId } from './kernel.js';
import { formatParams } from './operands.js';

/** Formats of weights that differ in params. */
const FORMATS: readonly Params[] = [...new Map(LEGAL_FORMATS.map(formatParams).map((params) => [variantId('', params), params])).values()];

/** By name of the shader. */
export const helperVariants: Readonly<Record<string, readonly Params[]>> = {
  repack: CODE_BITS.flatMap((BITS) => (isBits(BITS) ? [0, 1, 2] : [0]).map((NZ) => ({ BITS, NZ }))),
  'repack-scale': [
    ...[0, 1, 2, 3, 4].map((SOURCE) => ({ SOURCE, ELEMENT: 32 })),
    ...[1, 2].map((SOURCE) => ({ SOURCE, ELEMENT: 16 })),
    { SOURCE: 5, ELEMENT: 8 },
  ],
  'repack-quant': [
    { SOURCE: 0, QUANT_OFFSET: 0 },
    { SOURCE: 0, QUANT_OFFSET: 1 },
    { SOURCE: 4, QUANT_OFFSET: 0 },
  ],
  'gather-rows': [0, 1].flatMap((PERM) =>
    [0, 1].flatMap((SCALED) =>
      [0, 1].flatMap((FACTORS) => [0, 1].flatMap((CALL_SCALED) => [0, 2, 3].map((X) => ({ X, PERM, SCALED, FACTORS, CALL_SCALED })))),
    ),
  ),
  'row-factors': [{}],
  // X as the kernel that reads the codes: they see the same x.
  'quantize-rows': CODE_BITS.flatMap((BITS) => [1, 2].flatMap((DIGITS) => [0, 1, 2, 3].map((X) => ({ BITS, DIGITS, X })))),
  'round-rows': [0, 1].flatMap((PAIRS) => (PAIRS ? [0, 1, 2] : [0, 1, 2, 3]).map((Y) => ({ Y, PAIRS }))),
  'sort-pairs': [{}],
  'gather-weights': FORMATS.flatMap((format) =>
    [0, 1, 2].flatMap((Y) => [0, 1].flatMap((PERM) => [0, 1].map((SCALED) => ({ ...format, READ: 1, ROUND: 0, Y, PERM, SCALED })))),
  ),
  'count-outside': [{}],
  interleave: [{}],
  'best-rows': [{}],
  'quantize-weights': BITS.flatMap((BITS) =>
    [0, 1, 2].flatMap((W) => [0, 1].flatMap((SYMMETRIC) => [0, 1].map((SUMS) => ({ BITS, W, SYMMETRIC, SUMS })))),
  ),
};
