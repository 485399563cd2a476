// Gathers rows of a layer's weights on a device and compares them with those of dequantize, bit by bit.
import { type FloatDType, roundTo } from '../../src/dtype.js';
import { gatherRows, type LinearWeightQuant, readOutOfRange, Tensor } from '../../src/index.js';
import { codeAt, dequantize, type QuantizedMatrix } from '../../src/problem/matrix.js';

/**
 * W as `dequantize` has it; and as it is where a code less a zero point, or a product before its minimum, is rounded on its own. A device
 * may do either (docs/numerics.md). They are equal where that part is exact: but for float32 zero points and minimums it always is.
 */
export function bothOf(matrix: QuantizedMatrix): readonly [once: Float32Array, twice: Float32Array] {
  const { n, k, groupSize, scale, zeroPoint, minimum, permutation, inputScale } = matrix;
  const once = dequantize(matrix);
  if (!zeroPoint && !minimum) return [once, once];
  const twice = new Float32Array(n * k);
  const groups = Math.ceil(k / groupSize);
  for (let row = 0; row < n; row++)
    for (let column = 0; column < k; column++) {
      const g = row * groups + Math.floor(column / groupSize);
      const code = codeAt(matrix, row, column);
      const value = minimum ? Math.fround(scale[g]! * code) + minimum[g]! : scale[g]! * Math.fround(code - zeroPoint![g]!);
      const input = permutation?.[column] ?? column;
      twice[row * k + input] = inputScale ? Math.fround(value) * inputScale[input]! : value;
    }
  return [once, twice];
}

/** The rows of W that ids name, zeros where they name none. */
export function rowsOf(w: ArrayLike<number>, { n, k }: Pick<QuantizedMatrix, 'n' | 'k'>, ids: readonly number[]): number[] {
  return ids.flatMap((id) => Array.from({ length: k }, (_, i) => (id >= 0 && id < n ? w[id * k + i]! : 0)));
}

/** The first element that is none of those that may be. */
export function fault(got: ArrayLike<number>, wanted: readonly (readonly number[])[], dtype: FloatDType): string | undefined {
  for (let i = 0; i < got.length; i++)
    if (!wanted.some((list) => roundTo(list[i]!, dtype) === got[i])) return `[${i}] is ${got[i]}, not ${wanted.map((list) => list[i])}`;
  return got.length === wanted[0]!.length ? undefined : `${got.length} elements, not ${wanted[0]!.length}`;
}

/** What is wrong with rows of a layer of this matrix. */
export async function rowFaults(layer: LinearWeightQuant, matrix: QuantizedMatrix, dtype: FloatDType): Promise<string[]> {
  const { n, k } = matrix;
  const ids = [n - 1, 0, n, 1 % n, 0, -1];
  const given = Tensor.from(layer.device, Int32Array.from(ids), { shape: [ids.length], dtype: 'int32' });
  const y = gatherRows(layer, given, { dtype });
  const found = fault(
    (await y.read()) as Float32Array,
    bothOf(matrix).map((w) => rowsOf(w, { n, k }, ids)),
    dtype,
  );
  const outside = await readOutOfRange(layer);
  for (const tensor of [given, y]) tensor.destroy();
  return [...(found ? [`rows: ${found}`] : []), ...(outside === 2 ? [] : [`rows: ${outside} ids out of range, not 2`])];
}
