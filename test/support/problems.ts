// Texts of variants for wgsl_reflect, and problems for the planner. Holds no test.

import type { FloatDType } from '../../src/dtype.js';
import type { Bits } from '../../src/problem/code-width.js';
import { type ColumnView, contiguousX, type Operands, type Problem, type XView } from '../../src/problem/problem.js';
import type { Codebook, WeightFormat } from '../../src/problem/weight-format.js';
import { addBestText } from '../../src/wgsl/best-text.js';
import { addGluText } from '../../src/wgsl/glu-text.js';
import { type Params, type Preprocessed, preprocess } from '../../src/wgsl/preprocess.js';
import { addQuantizeText } from '../../src/wgsl/quantize-text.js';
import { addRowsText } from '../../src/wgsl/rows-text.js';
import { addSortText } from '../../src/wgsl/sort-text.js';
import { sources } from '../../src/wgsl/sources.js';

addQuantizeText();
addBestText();
addGluText();
addRowsText();
addSortText();

export { GPU, LAVAPIPE, LEAST, MATRIX_GPU, SWIFTSHADER } from './devices.js';

export const variantText = (shader: string, params: Params): Preprocessed => preprocess(sources, `${shader}.wgsl`, params);

/**
 * wgsl_reflect takes the word `workgroup` for a keyword everywhere; WGSL knows it only in `var<workgroup>`. It does not know subgroup
 * matrices: their types become arrays, and their functions lose the template arguments.
 */
export const readable = (code: string): string =>
  code
    .replace(/(?<!<)\bworkgroup\b/g, 'workgroup_index')
    .replace(/subgroup_matrix_\w+<(\w+), \w+, \w+>/g, 'array<$1, 1>')
    .replace(/(subgroupMatrix(?:Load|Store))<[^>]*>/g, '$1');

export interface ProblemSpec {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly bits?: Bits;
  readonly dtype?: FloatDType;
  /** 0: per-channel. */
  readonly group?: number;
  readonly offset?: boolean;
  /** Instead of an offset. */
  readonly minimum?: boolean;
  /** Codes are indices of one. */
  readonly codebook?: Codebook;
  readonly permuted?: boolean;
  readonly inputScaled?: boolean;
  readonly quant?: boolean;
  readonly packedScale?: boolean;
  /** As x without it. */
  readonly scaleDtype?: FloatDType;
  readonly x?: XView;
  readonly yOffset?: number;
  readonly adds?: boolean;
  /** N without it. */
  readonly yPitch?: number | undefined;
  /** How weights are held, where that is not as torch's are. */
  readonly format?: Partial<WeightFormat>;
  readonly innerPrecise?: 0 | 1;
  /** Weights are rounded to x's dtype. */
  readonly rounded?: boolean;
  /** x comes quantized. */
  readonly xDigits?: 1 | 2 | undefined;
}

/** A problem and the operands it comes from, with weights (N, K) and scales (N, G). */
export function problemOf(spec: ProblemSpec): { readonly problem: Problem; readonly operands: Operands } {
  const { m, n, k, bits = 4, dtype = 'float32', group = 0, offset = false, quant = false, packedScale = false, yOffset = 0 } = spec;
  const { minimum = false, codebook = 'none', permuted = false, inputScaled = false, scaleDtype = packedScale ? 'float32' : dtype } = spec;
  const shift = offset ? 'offset' : minimum ? 'minimum' : 'none';
  const groups = group > 0 ? Math.ceil(k / group) : 1;
  const groupSize = group || k;
  const mode = group > 0 ? 'group' : 'channel';
  const columns = (column: ColumnView['dtype']): ColumnView =>
    group > 0 ? { dtype: column, strideG: 1, strideN: groups } : { dtype: column, strideG: 0, strideN: 1 };
  const operands = {
    n,
    k,
    bits,
    held: bits,
    mode,
    groupSize,
    groups,
    scaleDtype,
    shift,
    codebook,
    ...spec.format,
    permuted,
    inputScaled,
    biased: false,
    requantized: quant,
    weight: { nz: 0, strideN: k, strideK: 1 },
    scale: columns(packedScale ? 'int64' : dtype),
    offset: offset ? columns(packedScale ? 'int32' : dtype) : undefined,
    bias: undefined,
    quant: quant ? { packed: false, stride: 1, offset: false } : undefined,
  } as Operands; // of other formats than torch's only the Weights count
  const problem: Problem = {
    m,
    weights: operands,
    xDtype: dtype,
    yDtype: quant ? 'int8' : dtype,
    innerPrecise: spec.innerPrecise ?? 0,
    weightDtype: spec.rounded ? dtype : 'float32',
    xDigits: spec.xDigits,
    x: spec.x ?? contiguousX(m, k),
    yOffset,
    yPitch: spec.yPitch ?? n,
    adds: spec.adds ?? false,
  };
  return { problem, operands };
}
