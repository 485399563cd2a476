// Reads sizes from shapes of packed tensors: rows and columns, and the group size. Pure.
import { type FileLocation, FormatError } from '../errors.js';
import { type CodeBits, widthOf } from '../problem/code-width.js';
import { showShape } from '../problem/view.js';

/** Anything with a shape: a tensor of a file, read (RawTensor) or not (TensorInfo). */
export interface Shaped {
  readonly name: string;
  readonly shape: readonly number[];
  readonly file?: string | undefined;
  readonly source?: { readonly name: string };
}

export const where = ({ name, file, source }: Shaped, field: string): FileLocation => ({ file: file ?? source?.name, tensor: name, field });

/** Rows and columns. @throws FormatError unless it is a matrix that is not empty */
export function requireMatrix(tensor: Shaped): readonly [rows: number, columns: number] {
  const { shape } = tensor;
  const [rows = 0, columns = 0] = shape;
  const whole = shape.length === 2 && Number.isSafeInteger(rows * columns) && rows >= 1 && columns >= 1;
  if (!whole) throw new FormatError(where(tensor, 'shape'), 'two sizes of at least 1', showShape(shape));
  return [rows, columns];
}

/**
 * The k that share a scale. `stated` is the configuration's group_size, where -1 means K; without it the number of groups decides.
 * @throws FormatError if the two contradict each other, or groups are not whole words of codes
 */
export function groupSizeOf(
  stated: number | undefined,
  { k, groups, bits, scales }: { readonly k: number; readonly groups: number; readonly bits: CodeBits; readonly scales: Shaped },
): number {
  const field = where(scales, 'groupSize');
  if (stated === undefined && groups > 1 && k % groups !== 0)
    throw new FormatError(field, `to be told, since ${groups} groups do not divide K = ${k}`, 'none');
  const size = stated === undefined ? Math.ceil(k / groups) : stated === -1 ? k : stated;
  if (!Number.isSafeInteger(size) || size < 1) throw new FormatError(field, 'a whole number of at least 1, or -1', String(stated));
  if (Math.ceil(k / size) !== groups)
    throw new FormatError(where(scales, 'shape'), `${Math.ceil(k / size)} groups of ${size} for K = ${k}`, `${groups}`);
  const { inWord } = widthOf(bits);
  if (size < k && size % inWord !== 0) throw new FormatError(field, `a multiple of ${inWord}, or all of K`, String(size));
  return Math.min(size, k);
}
