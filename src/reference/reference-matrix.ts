// The CPU truth for an imported matrix: the sums of reference.ts, over a QuantizedMatrix.

import { anything, oneOf, onlyFields, optional } from '../arguments/check.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { type Accuracy, PRECISE } from '../problem/accuracy.js';
import { checkX } from '../problem/checks.js';
import { widthOf, wordsOf } from '../problem/code-width.js';
import { GLUS, type Glu } from '../problem/glu.js';
import { checkMatrix, groupsIn, type QuantizedMatrix } from '../problem/matrix.js';
import { type LinearOptions, weightDtypeOf } from '../problem/problem.js';
import { NUMERIC } from '../problem/torch-arguments.js';
import { valuesOfCodes } from '../problem/weight-format.js';
import { scaledX } from './bound.js';
import {
  accuracy,
  type HostRowScale,
  type HostTensor,
  hostTensor,
  hostView,
  numbers,
  optionalTensor,
  quantColumns,
  readRows,
  residualOf,
  rowScaleOf,
  shapeOfY,
  weightRounder,
} from './reference.js';
import { finish, type ReferenceResult } from './sums.js';

const OPTIONS = onlyFields({
  bias: optionalTensor,
  quantScale: optionalTensor,
  quantOffset: optionalTensor,
  ...NUMERIC,
  accuracy: optional(accuracy),
  add: optionalTensor,
  rowScale: optional(anything),
  inputScale: optionalTensor,
  glu: optional(oneOf(...(Object.keys(GLUS) as Glu[]))),
});

/**
 * y = (x ∘ inputScale) · Wᵀ + bias for an imported W, summed in float64 and rounded once to x's dtype, or its int8 requantization.
 * @param x (…, K)
 * @param options.bias (N,) @param options.quantScale (N,) or (1,), float32 or int64 @param options.quantOffset as quantScale
 * @param options.outputDtype of y: x's dtype, or float32
 * @param options.weightRounding dtype: each weight is rounded to x's dtype, as `weightRounding` of a layer does
 * @param options.accuracy how the kernel sums whose result is judged (`explain(rows).accuracy`)
 * @param options.add (…, N), of y's dtype: what the product is added to, before y is rounded
 * @param options.inputScale float32 (K,), a scale of each input beside the matrix's own
 * @param options.rowScale float32 factors (M,), or rows (M, D) for RMSNorm's: what the sums of each row are multiplied by before the bias
 * @param options.glu y is this gated linear unit of the first half of the columns, the gate's, and of the second: (…, N / 2)
 * @throws ArgumentError
 * @example referenceMatrix({ data: x, shape: [1, matrix.k], dtype: 'float32' }, matrix).data
 */
export function referenceMatrix(
  x: HostTensor,
  matrix: QuantizedMatrix,
  options: {
    readonly bias?: HostTensor | undefined;
    readonly quantScale?: HostTensor | undefined;
    readonly quantOffset?: HostTensor | undefined;
    readonly weightRounding?: LinearOptions['weightRounding'];
    readonly accuracy?: Accuracy;
    readonly outputDtype?: FloatDType;
    readonly add?: HostTensor | undefined;
    readonly glu?: Glu | undefined;
    readonly rowScale?: HostRowScale | undefined;
    readonly inputScale?: HostTensor | undefined;
  } = {},
): ReferenceResult {
  checkMatrix(matrix);
  const { n, k, bits, codes, groupSize, scale, zeroPoint, zeroPointDtype, minimum, permutation, inputScale } = matrix;
  const values = valuesOfCodes(matrix);
  const {
    bias,
    quantScale,
    quantOffset,
    weightRounding = 'none',
    outputDtype,
    accuracy: how = PRECISE,
    add,
    glu,
    rowScale,
    inputScale: called,
  } = OPTIONS(options, 'options');
  const input = hostTensor(x, 'x');
  const { dtype } = input;
  if (dtype !== 'float32' && dtype !== 'float16' && dtype !== 'bfloat16')
    throw new ArgumentError('x', 'dtype float32, float16 or bfloat16', dtype);
  const { m, view } = checkX({ inFeatures: k, dtype }, hostView('x', input));
  const rows = readRows(input, { m, k, view });
  const scaled = scaledRows(rows, [inputScale, called && callScale(called, k)]);
  const inOrder = (values: Float64Array): Float64Array => (permutation ? gathered(values, permutation) : values);
  const groups = groupsIn(matrix);
  const words = wordsOf(k, bits);
  const { inWord, mask, slot, zero: middle } = widthOf(bits);
  const { codeBias } = how;
  const rounded = weightRounder(weightDtypeOf({ dtype, weightRounding }));
  const biases = bias && numbers(bias);
  const shape = shapeOfY([...input.shape.slice(0, -1), n], { glu, add, quantized: quantScale !== undefined });
  return finish({
    xs: inOrder(scaled.xs),
    xSlack: scaled.slack && inOrder(scaled.slack),
    m,
    n,
    k,
    groups,
    groupSize,
    accuracy: how,
    column(c, { weights, sizes, scales }) {
      for (let j = 0; j < k; j++) {
        const at = c * groups + Math.floor(j / groupSize);
        const s = scale[at]!;
        const code = (codes[c * words + Math.floor(j / inWord)]! >>> (slot * (j % inWord))) & mask;
        if (values) {
          weights[j] = rounded(s * values[code]!);
          sizes[j] = Math.abs(weights[j]!);
        } else if (minimum) {
          weights[j] = rounded(rounded(s * code) + minimum[at]!);
          sizes[j] = Math.abs(weights[j]!) + (middle + codeBias) * Math.abs(s) + Math.abs(minimum[at]!);
        } else {
          // Without a dtype of the zero points' own, kernels have 2^(bits-1) - zero point, rounded to float32.
          const point = zeroPoint?.[at] ?? middle;
          const zero = zeroPointDtype ? point : middle - Math.fround(middle - point);
          weights[j] = rounded(s * rounded(code - zero));
          sizes[j] = Math.abs(weights[j]!) + (middle + codeBias) * Math.abs(s);
        }
        scales[j] = s;
      }
    },
    bias: (c) => (biases ? biases[biases.length === 1 ? 0 : c]! : 0),
    residual: add && residualOf(add, { shape, dtype: outputDtype ?? dtype, quantized: quantScale !== undefined }),
    rowScale: rowScale === undefined ? undefined : rowScaleOf(rowScale, m),
    glu,
    shape,
    dtype: outputDtype ?? dtype,
    quant: quantScale && { columns: quantColumns(quantScale, quantOffset), stride: quantScale.data.length === 1 ? 0 : 1 },
  });
}

/** Every row times the scales of the inputs, one list after the other, and how far kernels may be from it. */
function scaledRows(
  rows: Float64Array,
  lists: readonly (ArrayLike<number> | undefined)[],
): { readonly xs: Float64Array; readonly slack: Float64Array | undefined } {
  let [xs, slack]: readonly [Float64Array, Float64Array | undefined] = [rows, undefined];
  for (const scales of lists) {
    if (!scales) continue;
    const before = slack;
    const next = [new Float64Array(rows.length), new Float64Array(rows.length)] as const;
    for (let i = 0; i < rows.length; i++) {
      const scale = scales[i % scales.length]!;
      const [value, own] = scaledX(xs[i]!, scale);
      next[0][i] = value;
      next[1][i] = own + (before ? Math.abs(scale) * before[i]! * (1 + 2 ** -23) : 0);
    }
    [xs, slack] = next;
  }
  return { xs, slack };
}

/** @throws ArgumentError if it is not float32 (K,) */
function callScale(scale: HostTensor, k: number): ArrayLike<number> {
  if (scale.dtype !== 'float32' || scale.shape.length !== 1 || scale.shape[0] !== k)
    throw new ArgumentError('inputScale', `float32 (${k})`, `${scale.dtype} (${scale.shape.join(', ')})`);
  return numbers(scale);
}

/** Columns of every row as the codes have them. */
function gathered(rows: Float64Array, permutation: Uint32Array): Float64Array {
  const k = permutation.length;
  const out = new Float64Array(rows.length);
  for (let begin = 0; begin < rows.length; begin += k) for (let j = 0; j < k; j++) out[begin + j] = rows[begin + permutation[j]!]!;
  return out;
}
