// FRACTAL_NZ, Ascend's tiled matrix layout: tiles of 16 rows × 32 bytes, tile columns outermost, padded with zeros.
import { fields, oneOf, sizes, typedArray } from '../arguments/check.js';
import { BYTES, type DType, type Format } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { showShape } from '../problem/view.js';

const TILE_ROWS = 16;

/** Elements in a row of a tile: 32 bytes of int8, float16, bfloat16 or int32 (64 packed int4); 16 of float32, as in npu_format_cast. */
export const tileColumns = (dtype: DType): number => (dtype === 'float32' ? 16 : 32 / BYTES[dtype]);

/** Elements of the padded storage of a (…, R, C) matrix. */
export function fractalLength(shape: readonly number[], dtype: DType): number {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const width = tileColumns(dtype);
  const batch = shape.slice(0, -2).reduce((a, b) => a * b, 1);
  return batch * Math.ceil(columns / width) * Math.ceil(rows / TILE_ROWS) * TILE_ROWS * width;
}

/** Index of element (r, c) of a matrix with `rows` rows. */
export function fractalIndex(r: number, c: number, rows: number, width: number): number {
  const tile = Math.floor(c / width) * Math.ceil(rows / TILE_ROWS) + Math.floor(r / TILE_ROWS);
  return (tile * TILE_ROWS + (r % TILE_ROWS)) * width + (c % width);
}

/** Data of a dtype that has both formats. */
export type CastData = Int8Array | Uint16Array | Int32Array | Uint32Array | Float32Array;

const format = oneOf<Format>('ND', 'FRACTAL_NZ');
const CAST = fields({
  shape: sizes,
  dtype: oneOf<DType>('int8', 'int32', 'float16', 'bfloat16', 'float32'),
  from: format,
  to: format,
});

/**
 * Converts between row-major (ND) and FRACTAL_NZ storage of a (…, R, C) tensor; leading dimensions stay leading.
 * int32 is packed int4, eight to an element: casting packed words equals packing cast codes.
 *
 * Rule: CANN's aclnnNpuFormatCast (format ids 2 and 29).
 * @param data ND: R·C elements for each matrix; FRACTAL_NZ: `ceil(C / C0) · ceil(R / 16) · 16 · C0`
 * @throws ArgumentError
 * @example formatCast(codes, { shape: [n, k], dtype: 'int8', from: 'ND', to: 'FRACTAL_NZ' })
 */
export function formatCast<T extends CastData>(
  data: T,
  options: { readonly shape: readonly number[]; readonly dtype: DType; readonly from: Format; readonly to: Format },
): T {
  const { shape, dtype, from, to } = CAST(options, 'options');
  typedArray('Int8Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array')(data, 'data');
  if (shape.length < 2 || shape.includes(0)) {
    throw new ArgumentError('shape', 'two or more dimensions of at least 1', showShape(shape));
  }
  const [rows, columns] = shape.slice(-2) as [number, number];
  const batch = shape.slice(0, -2).reduce((a, b) => a * b, 1);
  const lengths = { ND: batch * rows * columns, FRACTAL_NZ: fractalLength(shape, dtype) };
  if (data.length !== lengths[from])
    throw new ArgumentError('data', `${lengths[from]} elements for ${from} ${showShape(shape)}`, String(data.length));
  if (data.BYTES_PER_ELEMENT !== BYTES[dtype]) {
    throw new ArgumentError('data', `elements of ${BYTES[dtype]} bytes for ${dtype}`, `${data.BYTES_PER_ELEMENT} bytes`);
  }
  if (from === to) return data.slice() as T;
  const width = tileColumns(dtype);
  const out = new (data.constructor as new (length: number) => T)(lengths[to]);
  for (let b = 0; b < batch; b++)
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const flat = (b * rows + r) * columns + c;
        const tiled = (b * lengths.FRACTAL_NZ) / batch + fractalIndex(r, c, rows, width);
        if (to === 'ND') out[flat] = data[tiled]!;
        else out[tiled] = data[flat]!;
      }
  return out;
}
