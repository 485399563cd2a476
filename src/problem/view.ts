// A view: shape, strides, dtype, format and first element of a tensor. A Tensor is a View, and the CPU reference takes views.
import type { DType, Format } from '../dtype.js';

/** Where the elements of a tensor lie in its buffer. A Tensor is one. */
export interface View {
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  readonly dtype: DType;
  readonly format: Format;
  /** First element, counted in elements. */
  readonly offset: number;
}

/** (2, 3) or (4,). */
export const showShape = (shape: readonly number[]): string => `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;

/** Row-major without gaps; strides of single elements do not count. */
export function isContiguous({ shape, strides }: Pick<View, 'shape' | 'strides'>): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

/** The last two dimensions stored the other way round, by torch's rule: (1, 1) is not. */
export function isTransposed({ shape, strides }: Pick<View, 'shape' | 'strides'>): boolean {
  const rank = shape.length;
  if (rank < 2) return false;
  const [rows, columns] = [shape[rank - 2]!, shape[rank - 1]!];
  if (rows === 1 && columns === 1) return false;
  if (strides[rank - 2] !== 1 || strides[rank - 1] !== rows) return false;
  const swapped = (list: readonly number[]) => [...list.slice(0, -2), list[rank - 1]!, list[rank - 2]!];
  return isContiguous({ shape: swapped(shape), strides: swapped(strides) });
}
