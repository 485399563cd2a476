// Code that the writers of quantized layers share: types, checks for a scheme, and numbers as bytes of a dtype without rounding.
import { encode16, type FloatDType, roundTo } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import type { RawTensor } from '../files/raw-tensor.js';
import type { TensorOutline } from '../files/write-safetensors.js';
import { type Bits, isBits, widthOf } from '../problem/code-width.js';
import { checkMatrix, groupsIn, type QuantizedMatrix } from '../problem/matrix.js';
import { clearTail } from './code-words.js';

/** The settings that determine shapes and dtypes of a layer's tensors, known before quantizing. */
export interface LayerForm {
  readonly n: number;
  readonly k: number;
  readonly bits: Bits;
  /** The mode of `quantize`. `tensor`: all scales are the same. */
  readonly mode: 'tensor' | 'channel' | 'group';
  /** For mode `group`. */
  readonly groupSize?: number | undefined;
  /** Without zero points. */
  readonly symmetric: boolean;
  readonly scaleDtype: FloatDType;
}

/** A quantized layer: the result of `quantize`, or a matrix. Without a mode it is `group`, or `channel` if there is one group. */
export interface LayerToWrite {
  readonly matrix: QuantizedMatrix;
  readonly mode?: LayerForm['mode'] | undefined;
}

/** safetensors' names of the dtypes. */
export const FLOAT_NAMES: Readonly<Record<FloatDType, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

export function formOf({ matrix, mode }: LayerToWrite): LayerForm {
  const { n, k, bits, groupSize, scaleDtype, zeroPoint } = matrix;
  return {
    ...{ n, k, bits: widthOf(bits).slot, groupSize, symmetric: !zeroPoint, scaleDtype },
    mode: mode ?? (groupSize === k ? 'channel' : 'group'),
  };
}

/** Scales of a row: 1 unless the mode is `group`. */
export const groupsOf = ({ mode, k, groupSize }: LayerForm): number => (mode === 'group' ? Math.ceil(k / groupSize!) : 1);

/** Refuses fields that no scheme holds: a codebook, codes that are floats, a minimum, a permutation, scales of inputs. @throws ArgumentError */
export function checkWritable(scheme: string, layer: LayerToWrite): void {
  const { matrix, mode } = layer;
  checkMatrix(matrix);
  for (const field of ['codebook', 'codeForm', 'minimum', 'permutation', 'inputScale'] as const)
    if (matrix[field]) throw new ArgumentError(`matrix.${field}`, `none: ${scheme} has no tensor for it`, 'one');
  if (mode !== undefined && mode !== 'group' && groupsIn(matrix) > 1)
    throw new ArgumentError('mode', 'group, for a matrix with groups', mode);
  const { scale, zeroPoint } = matrix;
  const same = scale.every((value) => value === scale[0]) && (zeroPoint?.every((value) => value === zeroPoint[0]) ?? true);
  if (mode === 'tensor' && !same) throw new ArgumentError('mode', 'channel, for a matrix whose rows have different scales', mode);
}

/** Numbers as bytes. @throws ArgumentError if one would be rounded */
export function floatBytes(values: Float32Array, dtype: FloatDType, field: string): Uint8Array {
  const bad = values.findIndex((value) => roundTo(value, dtype) !== value);
  if (bad >= 0) throw new ArgumentError(`matrix.${field}[${bad}]`, `a number that ${dtype} holds`, String(values[bad]));
  const bits = dtype === 'float32' ? values : encode16(values, dtype);
  return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
}

/** Combines the outlines with the bytes of each, in order. */
export const withBytes = (outlines: readonly TensorOutline[], bytes: readonly Uint8Array[]): RawTensor[] =>
  outlines.map((outline, i) => ({ ...outline, bytes: bytes[i]! }));

/**
 * The matrix with codes that fill their slots, for schemes that know no others: 2 and 3 bits as 4, 5 and 6 as 8. The weights stay the same.
 */
export function inSlots(matrix: QuantizedMatrix): QuantizedMatrix & { readonly bits: Bits } {
  const { k, bits, codes, zeroPoint, minimum } = matrix;
  const { slot, zero, inWord } = widthOf(bits);
  if (isBits(bits)) return { ...matrix, bits };
  if (zeroPoint || minimum) return { ...matrix, bits: slot }; // code 0 keeps its meaning
  const lift = widthOf(slot).zero - zero;
  const added = Array.from({ length: inWord }, (_, i) => lift * 2 ** (slot * i)).reduce((a, b) => a + b, 0);
  return { ...matrix, bits: slot, codes: clearTail(codes.map((word) => word + added) as Uint32Array<ArrayBuffer>, { k, bits: slot }) };
}
