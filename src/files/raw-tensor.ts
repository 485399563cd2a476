// RawTensor: a tensor's bytes as stored in a file. asWords and asFloats check them and turn them into numbers.
import { decode16 } from '../dtype.js';
import { FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import { rawTensor } from './given.js';

/** Bytes of an element, by safetensors' dtype. */
export const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** A tensor with its bytes as stored in a file. */
export interface RawTensor {
  readonly name: string;
  readonly file?: string | undefined;
  /** safetensors' name, e.g. F16; or GGUF's, e.g. Q4_K. */
  readonly dtype: string;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  /** Little-endian. */
  readonly bytes: Uint8Array;
}

export const elementsIn = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** @throws FormatError */
export function requireShape(tensor: RawTensor, shape: readonly number[], why = ''): void {
  const same = tensor.shape.length === shape.length && tensor.shape.every((size, i) => size === shape[i]);
  if (!same) throw new FormatError(at(tensor, 'shape'), `${showShape(shape)}${why && `, ${why}`}`, showShape(tensor.shape));
}

/** @throws FormatError */
export function requireDtype(tensor: RawTensor, ...dtypes: readonly string[]): void {
  if (!dtypes.includes(tensor.dtype)) throw new FormatError(at(tensor, 'dtype'), dtypes.join(' or '), tensor.dtype);
}

export const at = ({ file, name }: Pick<RawTensor, 'file' | 'name'>, field: string) => ({ file, tensor: name, field });

/** A buffer aligned for elements of `width` bytes; a copy if the bytes are not aligned. */
function aligned(tensor: RawTensor, width: number): ArrayBuffer {
  const { bytes, shape } = tensor;
  const length = elementsIn(shape) * width;
  if (bytes.byteLength !== length)
    throw new FormatError(at(tensor, 'bytes'), `${length} for ${tensor.dtype} ${showShape(shape)}`, String(bytes.byteLength));
  const own = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  return own ? (bytes.buffer as ArrayBuffer) : (bytes.slice().buffer as ArrayBuffer);
}

/** I32 or U32 as words. @throws FormatError */
export function asWords(tensor: RawTensor): Uint32Array<ArrayBuffer> {
  rawTensor(tensor, 'tensor');
  requireDtype(tensor, 'I32', 'U32');
  return new Uint32Array(aligned(tensor, 4));
}

/** F16, BF16 or F32 as numbers, without rounding; all finite. @throws FormatError */
export function asFloats(tensor: RawTensor): Float32Array<ArrayBuffer> {
  rawTensor(tensor, 'tensor');
  requireDtype(tensor, 'F16', 'BF16', 'F32');
  const values =
    tensor.dtype === 'F32'
      ? new Float32Array(aligned(tensor, 4))
      : (decode16(new Uint16Array(aligned(tensor, 2)), tensor.dtype === 'F16' ? 'float16' : 'bfloat16') as Float32Array<ArrayBuffer>);
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw new FormatError(at(tensor, `element ${i}`), 'a finite number', String(values[i]));
  }
  return values;
}

/** The kernels' dtype for a file's dtype. */
export const floatDtypeOf = (dtype: string): 'float16' | 'bfloat16' | 'float32' =>
  dtype === 'F16' ? 'float16' : dtype === 'BF16' ? 'bfloat16' : 'float32';
