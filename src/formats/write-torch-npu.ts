// Writes a quantized layer as a state dict of torch_npu's LinearWeightQuant: W = (q + antiquant_offset) · antiquant_scale.
// Rules: Ascend/pytorch, contrib/module/linear_weight_quant.py; npu_convert_weight_to_int4pack for the order of int4.
import { fields, flag, optional, text } from '../arguments/check.js';
import { type FloatDType, roundTo } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { rawTensor } from '../files/given.js';
import { asFloats, type RawTensor, requireShape } from '../files/raw-tensor.js';
import type { TensorOutline } from '../files/write-safetensors.js';
import { widthOf, wordsOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { checkForm, checkToWrite } from './given.js';
import {
  checkWritable,
  FLOAT_NAMES,
  floatBytes,
  formOf,
  groupsOf,
  inSlots,
  type LayerForm,
  type LayerToWrite,
  withBytes,
} from './write-layer.js';

const SCHEME = 'a torch_npu state dict';

/** The bias's dtype that the operator takes: float16 beside float16 scales, float32 beside others. */
const biasDtype = (scaleDtype: FloatDType): FloatDType => (scaleDtype === 'float16' ? 'float16' : 'float32');

/**
 * Names, dtypes and shapes of a layer's tensors, known before quantizing:
 *
 * - `NAME.weight`: I8 (N, K), or I32 (N, K / 8) for 4 bits;
 * - `NAME.antiquant_scale`, and `NAME.antiquant_offset` unless symmetric: (1), (N, 1) or (N, ceil(K / groupSize)) of scaleDtype;
 * - `NAME.bias`, if there is one: (N), F16 beside F16 scales, F32 beside others.
 * @throws ArgumentError with 4 bits for a K that is not a multiple of 8, or for groups that the operator does not take
 */
export function torchNpuOutlines(name: string, form: LayerForm, options: { readonly bias?: boolean } = {}): TensorOutline[] {
  text(name, 'name');
  checkForm(form, 'all');
  const { bias = false } = fields({ bias: optional(flag) })(options, 'options');
  const { n, k, bits, mode, groupSize, symmetric, scaleDtype } = form;
  const { name: code, stored, inElement } = widthOf(bits);
  if (k % inElement !== 0)
    throw new ArgumentError('matrix.k', `a multiple of ${inElement}: ${SCHEME} packs ${inElement} ${code} to an ${stored}`, String(k));
  if (mode === 'group' && (groupSize! % 32 !== 0 || groupSize! >= k))
    throw new ArgumentError('matrix.groupSize', `a multiple of 32 below K = ${k}, as antiquant_group_size is`, String(groupSize));
  const dtype = FLOAT_NAMES[scaleDtype];
  const shape = mode === 'tensor' ? [1] : [n, groupsOf(form)];
  return [
    { name: `${name}.weight`, dtype: stored, shape: [n, k / inElement] },
    { name: `${name}.antiquant_scale`, dtype, shape },
    ...(symmetric ? [] : [{ name: `${name}.antiquant_offset`, dtype, shape }]),
    ...(bias ? [{ name: `${name}.bias`, dtype: FLOAT_NAMES[biasDtype(scaleDtype)], shape: [n] }] : []),
  ];
}

/** Codes minus 2^(bits-1) in two's complement, by flipping the top bit of each. */
function weightBytes({ n, k, bits, codes }: QuantizedMatrix): Uint8Array {
  const { signs } = widthOf(bits);
  const turned = codes.map((word) => word ^ signs);
  const bytes = new Uint8Array(turned.buffer);
  const pitch = 4 * wordsOf(k, bits);
  const width = (k * bits) / 8;
  if (pitch === width) return bytes;
  const out = new Uint8Array(n * width);
  for (let row = 0; row < n; row++) out.set(bytes.subarray(row * pitch, row * pitch + width), row * width);
  return out;
}

/**
 * The tensors of torchNpuOutlines with the bytes of a quantized layer. q = code - 2^(bits-1), antiquant_offset = 2^(bits-1) - zeroPoint;
 * float zero points (`hqq`) become float offsets. Only a bias of another dtype is rounded.
 *
 * A state dict does not hold antiquant_group_size. Pass it to the reader if groups do not divide K.
 * @param name of the layer, before `.weight`
 * @param layer the result of `quantize`, or { matrix }
 * @param options.bias (N): F16, BF16 or F32
 * @throws ArgumentError as torchNpuOutlines, and for a codebook, a minimum, a permutation, scales of inputs, or numbers that scaleDtype does not hold
 * @example torchNpuTensors('model.layers.0.mlp.up_proj', quantize(weights, options))
 */
export function torchNpuTensors(name: string, layer: LayerToWrite, options: { readonly bias?: RawTensor | undefined } = {}): RawTensor[] {
  checkToWrite(name, layer);
  checkWritable(SCHEME, layer);
  const matrix = inSlots(layer.matrix);
  const { n, bits, scaleDtype, scale, zeroPoint } = matrix;
  const { bias } = fields({ bias: optional(rawTensor) })(options, 'options');
  const form = formOf(layer);
  const outlines = torchNpuOutlines(name, form, { bias: bias !== undefined });
  const values = form.mode === 'tensor' ? 1 : scale.length;
  const bytes = [weightBytes(matrix), floatBytes(scale.subarray(0, values), scaleDtype, 'scale')];
  if (zeroPoint) {
    const middle = widthOf(bits).zero;
    const offsets = zeroPoint.subarray(0, values).map((zero) => middle - zero);
    bytes.push(floatBytes(offsets, scaleDtype, 'zeroPoint'));
  }
  if (bias) {
    requireShape(bias, [n]);
    const dtype = biasDtype(scaleDtype);
    const rounded = bias.dtype === FLOAT_NAMES[dtype] ? asFloats(bias) : asFloats(bias).map((value) => roundTo(value, dtype));
    bytes.push(floatBytes(rounded, dtype, 'bias'));
  }
  return withBytes(outlines, bytes);
}
