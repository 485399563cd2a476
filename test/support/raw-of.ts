// Tensors as a file would hold them, for tests: numbers or bits → little-endian bytes.
import { encode16 } from '../../src/dtype.js';
import type { RawTensor } from '../../src/files/raw-tensor.js';

const ENCODE: Readonly<Record<string, (values: ArrayLike<number>) => ArrayBufferView>> = {
  U8: (values) => Uint8Array.from(values),
  I32: (values) => Int32Array.from(values),
  U32: (values) => Uint32Array.from(values),
  F16: (values) => encode16(values, 'float16'),
  BF16: (values) => encode16(values, 'bfloat16'),
  F32: (values) => Float32Array.from(values),
};

/** A tensor of `values`, at an odd address, since files promise no other. */
export function rawOf(name: string, dtype: string, shape: readonly number[], values: ArrayLike<number>): RawTensor {
  const view = ENCODE[dtype]!(values);
  const source = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const bytes = new Uint8Array(source.length + 1).subarray(1);
  bytes.set(source);
  return { name, dtype, shape, bytes };
}
