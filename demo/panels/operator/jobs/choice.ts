// A choice of the panel "Operator" as plain data, and its check by the library's rules on options, shapes, dtypes and formats, before any
// tensor exists. Pure; the page and the Worker import it.

import type { DType, FloatDType, Format } from '../../../../src/dtype.js';
import { ArgumentError } from '../../../../src/errors.js';
import { checkOptions, checkWeights, checkX } from '../../../../src/problem/checks.js';
import { type Bits, widthOf } from '../../../../src/problem/code-width.js';
import type { LinearOptions, WeightTensors } from '../../../../src/problem/problem.js';
import type { View } from '../../../../src/problem/view.js';

export interface Choice {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  readonly mode: 'tensor' | 'channel' | 'group';
  /** For mode `group`. */
  readonly groupSize: number;
  readonly dtype: FloatDType;
  /** dtype of antiquantScale. */
  readonly scales: 'x' | 'int64';
  readonly format: Format;
  readonly offset: boolean;
  readonly bias: boolean;
  readonly int8Output: boolean;
  readonly quantOffset: boolean;
  readonly innerPrecise: number;
  readonly data: Data;
  /** For data `random`. */
  readonly seed: number;
}
export type Data = 'model' | 'dct' | 'random';

/** (N, K) of the trained layer: q of the first layer of models/kjv.gguf. */
export const MODEL = { n: 256, k: 256 } as const;
/** Largest sizes: beyond them, the reference in JavaScript takes minutes. */
export const MOST = { m: 1024, k: 8192, n: 8192 } as const;

export const groupSizeOf = ({ mode, groupSize }: Choice): number => (mode === 'group' ? groupSize : 0);
/** Scales in a row of weights. */
export const groupsOf = (choice: Choice): number => (choice.mode === 'group' ? Math.ceil(choice.k / choice.groupSize) : 1);

export const layerOptions = (choice: Choice): LinearOptions => ({
  inFeatures: choice.k,
  outFeatures: choice.n,
  dtype: choice.dtype,
  bias: choice.bias,
  antiquantOffset: choice.offset,
  quantScale: choice.int8Output,
  quantOffset: choice.quantOffset,
  antiquantGroupSize: groupSizeOf(choice),
  innerPrecise: choice.innerPrecise,
});

export interface Form {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly format?: Format;
}
/** Shapes, dtypes and formats of all tensors of a choice, in the layer's orientation. */
export function forms(choice: Choice): { readonly x: Form; readonly tensors: WeightTensors<Form> } {
  const { m, k, n, bits, mode, dtype, scales, format, offset, bias, int8Output, quantOffset } = choice;
  const packed = scales === 'int64';
  const code = widthOf(bits);
  const shape = mode === 'tensor' ? [1] : mode === 'group' ? [n, groupsOf(choice)] : packed ? [n] : [n, 1];
  const perColumn: Form = { shape: [n], dtype: 'float32' };
  return {
    x: { shape: [m, k], dtype },
    tensors: {
      weight: { shape: [n, Math.ceil(k / code.inElement)], dtype: code.dtype, format },
      antiquantScale: { shape, dtype: packed ? 'int64' : dtype },
      ...(offset && { antiquantOffset: { shape, dtype: packed ? 'int32' : dtype } }),
      ...(bias && { bias: { shape: [n], dtype: dtype === 'float16' ? 'float16' : 'float32' } }),
      ...(int8Output && { quantScale: perColumn }),
      ...(quantOffset && { quantOffset: perColumn }),
    },
  };
}

const viewOf = ({ shape, dtype, format = 'ND' }: Form): View => ({
  shape,
  strides: shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1)),
  dtype,
  format,
  offset: 0,
});

/** The library's refusal of a choice, or undefined: the checks of the layer and the reference. */
export function refusal(choice: Choice): ArgumentError | undefined {
  try {
    const spec = checkOptions(layerOptions(choice));
    const { x, tensors } = forms(choice);
    const views = Object.fromEntries(Object.entries(tensors).map(([name, form]) => [name, viewOf(form as Form)]));
    checkWeights(spec, views as unknown as WeightTensors<View>);
    checkX(spec, viewOf(x));
    return undefined;
  } catch (error) {
    if (error instanceof ArgumentError) return error;
    throw error;
  }
}

export type Field = 'm' | 'k' | 'n' | 'groupSize' | 'scales' | 'format' | 'bias' | 'int8Output' | 'quantOffset' | 'innerPrecise' | 'dtype';

/** The field of the form that an argument's name belongs to. */
export function fieldOf(argument: string, choice: Choice): Field {
  const fields: Readonly<Record<string, Field>> = {
    x: 'm',
    inFeatures: 'k',
    outFeatures: 'n',
    antiquantGroupSize: 'groupSize',
    antiquantScale: 'scales',
    antiquantOffset: 'scales',
    bias: 'bias',
    quantScale: 'int8Output',
    quantOffset: 'quantOffset',
    innerPrecise: 'innerPrecise',
    // A refused FRACTAL_NZ concerns the format; any other error about weights concerns K.
    weight: choice.format === 'FRACTAL_NZ' && choice.k % widthOf(choice.bits).inElement === 0 ? 'format' : 'k',
  };
  return fields[argument] ?? 'dtype';
}
