// Checks that importers share: sizes of groups, scales in several shapes, and a tensor's header before its bytes are read.
import { FormatError } from '../errors.js';
import { asFloats, at, elementsIn, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { showShape } from '../problem/view.js';

/** Name and bias of a layer of a file. */
export interface LayerName {
  readonly name: string;
  readonly bias?: TensorInfo | undefined;
}

const NO_BYTES = new Uint8Array(0);

/** A tensor's header as a RawTensor without bytes, for the same checks. */
export const headerOf = ({ name, dtype, shape, source }: TensorInfo): RawTensor => ({
  name,
  file: source.name,
  dtype,
  shape,
  bytes: NO_BYTES,
});

/** The tensors that are not undefined. */
export function present<T>(tensors: Readonly<Record<string, T | undefined>>): Record<string, T> {
  return Object.fromEntries(Object.entries(tensors).filter(([, tensor]) => tensor !== undefined)) as Record<string, T>;
}

export function headersOf<T extends Readonly<Record<string, TensorInfo | undefined>>>(tensors: T): { [Name in keyof T]: RawTensor } {
  return Object.fromEntries(Object.entries(present(tensors)).map(([name, info]) => [name, headerOf(info as TensorInfo)])) as {
    [Name in keyof T]: RawTensor;
  };
}

/** The bytes of a tensor, after comparing their number with the shape. @throws FormatError */
export function bytesOf(tensor: RawTensor, width = 1): Uint8Array {
  const length = elementsIn(tensor.shape) * width;
  if (tensor.bytes.byteLength !== length)
    throw new FormatError(at(tensor, 'bytes'), `${length} for ${tensor.dtype} ${showShape(tensor.shape)}`, String(tensor.bytes.byteLength));
  return tensor.bytes;
}

/** Number of scales: one for all weights, one for each of N outputs, or one for each group of each output. */
export type Granularity = 'tensor' | 'channel' | 'group';

/**
 * (), (1) or (1, 1); (N) or (N, 1), where `flat` also (1, N); (N, G).
 * @throws FormatError
 */
export function granularityOf(
  tensor: RawTensor,
  n: number,
  { flat = false }: { readonly flat?: boolean } = {},
): { readonly granularity: Granularity; readonly groups: number } {
  const { shape } = tensor;
  if (elementsIn(shape) === 1 && (n !== 1 || shape.length < 2)) return { granularity: 'tensor', groups: 1 };
  if (flat && shape.length === 2 && shape[0] === 1 && shape[1] === n) return { granularity: 'channel', groups: 1 };
  const [rows, groups = 1] = shape;
  if (shape.length < 1 || shape.length > 2 || rows !== n || groups < 1)
    throw new FormatError(at(tensor, 'shape'), `(1), (${n}), (${n}, 1) or (${n}, groups)`, showShape(shape));
  return { granularity: groups === 1 ? 'channel' : 'group', groups };
}

/** The tensor with a shape that can be cut into rows. */
export const inRows = <T extends { readonly shape: readonly number[] }>(tensor: T, n: number, granularity: Granularity): T =>
  granularity === 'channel' ? { ...tensor, shape: [n] } : tensor;

/** Checks that `tensor` has a value for each value of `other`, by shape, not by number of elements. @throws FormatError */
export function requireAlike(tensor: RawTensor, other: RawTensor, n: number, options: { readonly flat?: boolean } = {}): void {
  const [own, wanted] = [tensor, other].map((one) => granularityOf(one, n, options)) as [
    ReturnType<typeof granularityOf>,
    ReturnType<typeof granularityOf>,
  ];
  if (own.granularity !== wanted.granularity || own.groups !== wanted.groups)
    throw new FormatError(at(tensor, 'shape'), `${showShape(other.shape)}, as ${other.name}`, showShape(tensor.shape));
}

/** A list of `count` numbers: (count), or with axes of 1 behind it. @throws FormatError */
export function requireList(tensor: RawTensor, count: number, what: string): void {
  const { shape } = tensor;
  const fits = elementsIn(shape) === count && (shape[0] === count || (count === 1 && shape.length === 0));
  if (!fits) throw new FormatError(at(tensor, 'shape'), `(${count},), ${what}`, showShape(shape));
}

/** Values for each of N outputs; one value is repeated N times. */
export const forOutputs = (values: Float32Array<ArrayBuffer>, n: number, granularity: Granularity): Float32Array<ArrayBuffer> =>
  granularity === 'tensor' ? new Float32Array(n).fill(values[0]!) : values;

/** Whole numbers of any integer dtype, or of floats that are whole. @throws FormatError */
export function asWholeNumbers(tensor: RawTensor): number[] {
  requireDtype(tensor, 'U8', 'I8', 'I16', 'U16', 'I32', 'U32', 'I64', 'U64', 'F32');
  if (tensor.dtype === 'F32') return [...asFloats(tensor)];
  const widths: Readonly<Record<string, number>> = { 8: 1, 16: 2, 32: 4, 64: 8 };
  const width = widths[tensor.dtype.slice(1)]!;
  const bytes = bytesOf(tensor, width);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const signed = tensor.dtype.startsWith('I');
  return Array.from({ length: elementsIn(tensor.shape) }, (_, i) => {
    if (width === 1) return signed ? view.getInt8(i) : view.getUint8(i);
    if (width === 2) return signed ? view.getInt16(2 * i, true) : view.getUint16(2 * i, true);
    if (width === 4) return signed ? view.getInt32(4 * i, true) : view.getUint32(4 * i, true);
    return Number(signed ? view.getBigInt64(8 * i, true) : view.getBigUint64(8 * i, true));
  });
}
