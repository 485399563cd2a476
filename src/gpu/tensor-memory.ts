// How a tensor's elements lie in memory: the distance of its axes, how far it reaches, and its bytes as values. Pure.
import { formatCast, fractalLength } from '../ascend/fractal-nz.js';
import { type DType, decode16 } from '../dtype.js';
import { isTransposed, type View } from '../problem/view.js';

type Laid = Pick<View, 'shape' | 'strides' | 'dtype' | 'format'>;

/** Strides of rows without gaps. */
export const rowMajor = (shape: readonly number[]): number[] => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));

/** Elements from the first to the last one used. */
export function spanOf({ shape, strides, dtype, format }: Laid): number {
  if (shape.includes(0)) return 0;
  if (format === 'FRACTAL_NZ') return fractalLength(storedShape({ shape, strides }), dtype);
  return 1 + shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, 0);
}

/** The shape of the matrix in memory; the tensor may be its transpose. */
function storedShape({ shape, strides }: Pick<View, 'shape' | 'strides'>): readonly number[] {
  return isTransposed({ shape, strides }) ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape;
}

type Decoded = Float32Array | Uint16Array | Int8Array | Int32Array | BigInt64Array;

function decode(bytes: ArrayBuffer, dtype: DType): Decoded {
  switch (dtype) {
    case 'float32':
      return new Float32Array(bytes);
    case 'float16':
    case 'bfloat16':
      return new Uint16Array(bytes);
    case 'int8':
      return new Int8Array(bytes);
    case 'int32':
      return new Int32Array(bytes);
    case 'int64':
      return new BigInt64Array(bytes);
  }
}

/** A tensor's bytes, from its first element on, as values in row-major order of its shape; 16-bit floats as numbers. */
export function valuesOf(tensor: Laid, bytes: ArrayBuffer): Float32Array | Int8Array | Int32Array | BigInt64Array {
  const { shape, dtype, format } = tensor;
  let strides = tensor.strides;
  const stored = decode(bytes, dtype);
  let flat = stored;
  if (format === 'FRACTAL_NZ' && !(stored instanceof BigInt64Array)) {
    const matrix = storedShape(tensor);
    flat = formatCast(stored, { shape: matrix, dtype, from: 'FRACTAL_NZ', to: 'ND' });
    strides = matrix === shape ? rowMajor(matrix) : [...rowMajor(matrix).slice(0, -2), 1, matrix.at(-1)!];
  }
  const length = shape.reduce((a, b) => a * b, 1);
  const ordered = strides.every((stride, i) => stride === rowMajor(shape)[i]) ? flat : reorder(flat, shape, strides, length);
  return ordered instanceof Uint16Array ? decode16(ordered, dtype as 'float16' | 'bfloat16') : ordered;
}

function reorder(flat: Decoded, shape: readonly number[], strides: readonly number[], length: number): Decoded {
  const out = new (flat.constructor as new (length: number) => Decoded)(length);
  const index = shape.map(() => 0);
  let at = 0;
  for (let i = 0; i < length; i++) {
    out[i] = flat[at]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d]!;
      if (++index[d]! < shape[d]!) break;
      at -= index[d]! * strides[d]!;
      index[d] = 0;
    }
  }
  return out;
}
