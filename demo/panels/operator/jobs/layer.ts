// Reads a loaded layer's packed weights back from the GPU (docs/format.md) and unpacks them for display. Without a GPU it takes those of
// the quantized matrix.

import type { FloatDType } from '../../../../src/dtype.js';
import { Tensor } from '../../../../src/gpu/tensor.js';
import type { LinearWeightQuant } from '../../../../src/layer/linear-weight-quant.js';
import type { Slice } from '../../../../src/plan/binding.js';
import { type Bits, widthOf, wordsOf } from '../../../../src/problem/code-width.js';
import { groupsIn, type QuantizedMatrix } from '../../../../src/problem/matrix.js';

export interface Codes {
  /** (N, K), unsigned. */
  readonly codes: Uint8Array;
  /** (N, G). */
  readonly scale: Float32Array;
  /** (N, G): added to code - 2^(bits-1). */
  readonly offset: Float32Array | undefined;
  readonly groups: number;
  readonly groupSize: number;
}

/** @throws DeviceLostError */
export async function codesOfLayer(layer: LinearWeightQuant): Promise<Codes> {
  const { device, buffers, packed, weights } = layer.loaded;
  const { n, k, bits, groups, groupSize, shift } = weights;
  const scaleDtype = weights.scaleDtype as FloatDType; // torch's have no others
  const codes = new Uint8Array(n * k);
  const scale = new Float32Array(n * groups);
  const offset = shift === 'offset' ? new Float32Array(n * groups) : undefined;
  const { inWord, mask } = widthOf(bits);
  for (const { begin, count, pitch, ...slab } of packed.slabs) {
    const width = 4 * pitch;
    const read = ({ buffer }: Slice, rows: number, dtype: 'int32' | typeof scaleDtype) =>
      Tensor.wrap(device, buffers.get(buffer)!, { shape: [rows, width], dtype }).read();
    const words = (await read(slab.w, packed.words, 'int32')) as Int32Array;
    for (let c = 0; c < count; c++)
      for (let j = 0, to = (begin + c) * k; j < k; j++)
        codes[to + j] = (words[Math.floor(j / inWord) * width + c]! >>> (bits * (j % inWord))) & mask;
    for (const [slice, into] of [[slab.scale, scale] as const, ...(offset ? [[slab.offset!, offset] as const] : [])]) {
      const values = (await read(slice, groups, scaleDtype)) as Float32Array;
      for (let c = 0; c < count; c++) for (let g = 0; g < groups; g++) into[(begin + c) * groups + g] = values[g * width + c]!;
    }
  }
  return { codes, scale, offset, groups, groupSize };
}

export function codesOfMatrix(matrix: QuantizedMatrix): Codes {
  const { n, k, bits, codes: words, scale, zeroPoint, groupSize } = matrix;
  const codes = new Uint8Array(n * k);
  const { inWord, mask, slot, zero: middle } = widthOf(bits);
  const inRow = wordsOf(k, bits);
  for (let row = 0; row < n; row++)
    for (let j = 0; j < k; j++) codes[row * k + j] = (words[row * inRow + Math.floor(j / inWord)]! >>> (slot * (j % inWord))) & mask;
  return { codes, scale, offset: zeroPoint?.map((zero) => middle - zero), groups: groupsIn(matrix), groupSize };
}

export interface Shown {
  /** The part that is shown: the first rows and columns. */
  readonly rows: number;
  readonly columns: number;
  readonly codes: Uint8Array;
  /** (code - 2^(bits-1) + offset) · scale. */
  readonly values: Float32Array;
  /** Value minus original weight. */
  readonly errors: Float32Array;
  readonly scale: Float32Array;
  readonly offset: Float32Array | undefined;
  readonly groups: number;
  readonly groupSize: number;
}

/** Most rows and columns that are drawn. */
const DRAWN = 2048;

export function shownOf(
  all: Codes,
  weights: Float32Array,
  { n, k, bits }: { readonly n: number; readonly k: number; readonly bits: Bits },
): Shown {
  const [rows, columns] = [Math.min(n, DRAWN), Math.min(k, DRAWN)];
  const codes = new Uint8Array(rows * columns);
  const [values, errors] = [new Float32Array(rows * columns), new Float32Array(rows * columns)];
  const { scale, offset, groups, groupSize } = all;
  for (let row = 0, i = 0; row < rows; row++)
    for (let j = 0; j < columns; j++, i++) {
      const at = row * groups + Math.floor(j / groupSize);
      codes[i] = all.codes[row * k + j]!;
      values[i] = (codes[i]! - widthOf(bits).zero + (offset?.[at] ?? 0)) * scale[at]!;
      errors[i] = values[i]! - weights[row * k + j]!;
    }
  return {
    rows,
    columns,
    codes,
    values,
    errors,
    scale: scale.slice(0, rows * groups),
    offset: offset?.slice(0, rows * groups),
    groups,
    groupSize,
  };
}

export function histogram(codes: Uint8Array, bits: Bits): number[] {
  const counts = new Array<number>(widthOf(bits).mask + 1).fill(0);
  for (const code of codes) counts[code]!++;
  return counts;
}
