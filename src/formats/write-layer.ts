// What the writers of quantized layers share: what a layer is, what a scheme cannot hold, and numbers as bytes of a dtype without rounding.

import { encode16, type FloatDType, roundTo } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import type { RawTensor } from '../files/raw-tensor.js';
import type { TensorOutline } from '../files/write-safetensors.js';
import type { Bits } from '../problem/code-width.js';
import { checkMatrix, groupsIn, type QuantizedMatrix } from '../problem/matrix.js';

/** What the shapes and dtypes of a layer's tensors follow from; known before its weights are quantized. */
export interface LayerForm {
  readonly n: number;
  readonly k: number;
  readonly bits: Bits;
  /** As `quantize` returns it. `tensor`: all scales are the same. */
  readonly mode: 'tensor' | 'channel' | 'group';
  /** Not used unless the mode is `group`. */
  readonly groupSize?: number | undefined;
  /** No zero points. */
  readonly symmetric: boolean;
  readonly scaleDtype: FloatDType;
}

/** A quantized layer: what `quantize` returns. A matrix that was imported has no mode: `group`, or `channel` if there is one group. */
export interface LayerToWrite {
  readonly matrix: QuantizedMatrix;
  readonly mode?: LayerForm['mode'] | undefined;
}

/** By safetensors' names. */
export const FLOAT_NAMES: Readonly<Record<FloatDType, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

export function formOf({ matrix, mode }: LayerToWrite): LayerForm {
  const { n, k, bits, groupSize, scaleDtype, zeroPoint } = matrix;
  return { n, k, bits, mode: mode ?? (groupSize === k ? 'channel' : 'group'), groupSize, symmetric: !zeroPoint, scaleDtype };
}

/** Scales of a row: 1 unless the mode is `group`. */
export const groupsOf = ({ mode, k, groupSize }: LayerForm): number => (mode === 'group' ? Math.ceil(k / groupSize!) : 1);

/** Zero points are offsets or integers of a scheme; what has no place in any of them is refused. @throws ArgumentError */
export function checkWritable(scheme: string, layer: LayerToWrite): void {
  const { matrix, mode } = layer;
  checkMatrix(matrix);
  for (const field of ['codebook', 'minimum', 'permutation'] as const)
    if (matrix[field]) throw new ArgumentError(`matrix.${field}`, `none: ${scheme} has no tensor for it`, 'one');
  if (mode !== undefined && mode !== 'group' && groupsIn(matrix) > 1)
    throw new ArgumentError('mode', 'group, for a matrix with groups', mode);
  const { scale, zeroPoint } = matrix;
  const same = scale.every((value) => value === scale[0]) && (zeroPoint?.every((value) => value === zeroPoint[0]) ?? true);
  if (mode === 'tensor' && !same) throw new ArgumentError('mode', 'channel, for a matrix whose rows have different scales', mode);
}

/** @throws ArgumentError if one would be rounded */
export function floatBytes(values: Float32Array, dtype: FloatDType, field: string): Uint8Array {
  const bad = values.findIndex((value) => roundTo(value, dtype) !== value);
  if (bad >= 0) throw new ArgumentError(`matrix.${field}[${bad}]`, `a number that ${dtype} holds`, String(values[bad]));
  const bits = dtype === 'float32' ? values : encode16(values, dtype);
  return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
}

/** The outlines with the bytes of each, in order. */
export const withBytes = (outlines: readonly TensorOutline[], bytes: readonly Uint8Array[]): RawTensor[] =>
  outlines.map((outline, i) => ({ ...outline, bytes: bytes[i]! }));
