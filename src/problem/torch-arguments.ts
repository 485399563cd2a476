// Turns the functional form's arguments (weight (K, N), scales (G, N)) into the module's (weight (N, K), scales (N, G)).
// Pure; weightQuantBatchMatmul and the CPU reference share it.

import { anything, oneOf, onlyFields, optional, wholeNumber } from '../arguments/check.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { checkOptions, FLOATS, ROUNDINGS } from './checks.js';
import { widthOfDtype } from './code-width.js';
import type { LinearOptions, LinearSpec, WeightTensors } from './problem.js';
import { isTransposed, showShape, type View } from './view.js';

/** The optional arguments of npu_weight_quant_batchmatmul, by their camelCase names. `T` is a tensor: on the GPU, or in memory. */
export interface FunctionalOptions<T> {
  readonly antiquantOffset?: T | undefined;
  readonly quantScale?: T | undefined;
  readonly quantOffset?: T | undefined;
  readonly bias?: T | undefined;
  readonly antiquantGroupSize?: number | undefined;
  readonly innerPrecise?: number | undefined;
  /** dtype: each dequantized weight is rounded to x's dtype. */
  readonly weightRounding?: LinearOptions['weightRounding'] | undefined;
  /** Dtype of y: x's, or float32. */
  readonly outputDtype?: FloatDType | undefined;
}
const NAMED = { antiquantOffset: anything, quantScale: anything, quantOffset: anything, bias: anything };
/** The options that the CPU reference of an imported matrix takes, too. */
export const NUMERIC = {
  weightRounding: optional(oneOf(...ROUNDINGS)),
  outputDtype: optional(oneOf<FloatDType>('float32', 'float16', 'bfloat16')),
};
const OPTIONS = {
  ...NAMED,
  ...NUMERIC,
  antiquantGroupSize: optional(wholeNumber(0)),
  innerPrecise: optional(oneOf(0, 1)),
};

/** The options as plain data; tensors are not checked yet. @throws ArgumentError, also for an unknown name */
export const functionalOptions = (given: unknown) => onlyFields(OPTIONS)(given, 'options');

/** A tensor of shape (0,) counts as absent, as in torch. */
export const present = <T extends { readonly shape: readonly number[] }>(tensor: T | null | undefined): T | undefined =>
  !tensor || (tensor.shape.length === 1 && tensor.shape[0] === 0) ? undefined : tensor;

/**
 * The layer of a functional call: its options, its tensors in the module's orientation, and their views.
 * @throws ArgumentError
 */
export function functionalSpec<T extends { readonly shape: readonly number[] }>(
  x: View,
  given: WeightTensors<T> & FunctionalOptions<T>,
  view: (name: string, tensor: T) => View,
  transpose: (tensor: T) => T,
): { readonly spec: LinearSpec; readonly tensors: WeightTensors<T>; readonly views: WeightTensors<View> } {
  const { weight, antiquantScale } = given;
  // null is torch's None.
  const [antiquantOffset, quantOffset] = [given.antiquantOffset ?? undefined, given.quantOffset ?? undefined];
  for (const [name, tensor] of Object.entries({ weight, antiquantScale })) {
    if (!tensor) throw new ArgumentError(name, 'a tensor', 'none');
  }
  const [quantScale, bias] = [present(given.quantScale), present(given.bias)];
  if (x.shape.length < 2) throw new ArgumentError('x', 'at least two dimensions (…, K)', showShape(x.shape));
  if (!FLOATS.includes(x.dtype)) throw new ArgumentError('x', `dtype ${FLOATS.join(' or ')}`, x.dtype);
  const k = x.shape.at(-1)!;
  const stored = view('weight', weight);
  if (stored.shape.length !== 2) throw new ArgumentError('weight', 'two dimensions (K, N)', showShape(stored.shape));
  const { inElement = 1 } = widthOfDtype(stored.dtype) ?? {};
  // An int32 holds eight int4 along the axis that is contiguous in memory. For a single word, K decides the axis.
  const single = stored.shape[0] === 1 && stored.shape[1] === 1 && k === inElement;
  const alongK = inElement > 1 && (isTransposed(stored) || single);
  const [rows, columns] = stored.shape as [number, number];
  const weightK = alongK ? rows * inElement : rows;
  const n = alongK ? columns : columns * inElement;
  if (weightK !== k) throw new ArgumentError('weight', `K = ${k} as x`, `K = ${weightK}, of shape ${showShape(stored.shape)}`);
  const spec = checkOptions({
    inFeatures: k,
    outFeatures: n,
    dtype: x.dtype as FloatDType,
    bias: bias !== undefined,
    antiquantOffset: antiquantOffset !== undefined,
    quantScale: quantScale !== undefined,
    quantOffset: quantOffset !== undefined,
    antiquantGroupSize: given.antiquantGroupSize ?? 0,
    innerPrecise: given.innerPrecise ?? 0,
    ...(given.weightRounding && { weightRounding: given.weightRounding }),
    ...(given.outputDtype && { outputDtype: given.outputDtype }),
  });
  const turn = (tensor: T): T => (tensor.shape.length === 2 ? transpose(tensor) : tensor);
  const tensors: WeightTensors<T> = {
    weight: transpose(weight),
    antiquantScale: turn(antiquantScale),
    antiquantOffset: antiquantOffset && turn(antiquantOffset),
    quantScale,
    quantOffset,
    bias,
  };
  const entries = Object.entries(tensors).filter(([, tensor]) => tensor !== undefined) as [string, T][];
  return {
    spec,
    tensors,
    views: Object.fromEntries(entries.map(([name, tensor]) => [name, view(name, tensor)])) as unknown as WeightTensors<View>,
  };
}
