// Imports ONNX's DequantizeLinear of a constant weight of MatMul or Gemm: int4 or int8, one scale, a scale for each output, or blocks along
// K.
// Rule: github.com/onnx/onnx, docs/Operators.md (DequantizeLinear, opset 21; MatMul; Gemm): y = (x - x_zero_point) · x_scale.

import { FormatError } from '../errors.js';
import { asFloats, at, elementsIn, floatDtypeOf, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { type Bits, widthOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { clearTail, codesOfInt8, flip, padRows, splitNibbles, transpose, transposeCodes } from './code-words.js';
import { checkImport } from './given.js';
import { attribute, type Found, type FoundNode, type WeightFormat } from './layer-format.js';
import { headersOf, present } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { groupSizeOf, requireMatrix } from './sizes.js';

/** The operator's inputs. */
export interface DequantizeLinearTensors<T = RawTensor> {
  /** I4, U4 (two in a byte, the first in the low nibble), I8 or U8: (K, N), or (N, K). */
  readonly x: T;
  /** F32, F16 or BF16: (), (1), (N); for blocks the shape of x with K / block instead of K. */
  readonly x_scale: T;
  /** As x_scale, of x's dtype. Without it, 0. */
  readonly x_zero_point?: T | undefined;
}

/** How to read the tensors of a DequantizeLinear node as a weight. */
export interface DequantizeLinearOptions {
  /** Axes of x: KN for MatMul and Gemm, NK for Gemm with transB. */
  readonly layout: 'KN' | 'NK';
  /** The operator's axis: that of N for a scale for each output, that of K for blocks. */
  readonly axis: number;
  /** The operator's block_size: k that share a scale; 0: all. */
  readonly blockSize?: number | undefined;
}

interface Plan {
  readonly kind: 'tensor' | 'channel' | 'group';
  readonly n: number;
  readonly k: number;
  readonly bits: Bits;
  readonly groups: number;
  readonly groupSize: number;
}

function planOf(
  { x, x_scale: scale, x_zero_point: zero }: DequantizeLinearTensors,
  { layout, axis, blockSize = 0 }: DequantizeLinearOptions,
): Plan {
  requireDtype(x, 'I4', 'U4', 'I8', 'U8');
  requireDtype(scale, 'F32', 'F16', 'BF16');
  if (zero) requireDtype(zero, x.dtype);
  const sizes = requireMatrix(x);
  const [n, k] = layout === 'NK' ? sizes : [sizes[1], sizes[0]];
  const ofN = layout === 'NK' ? 0 : 1;
  const bits = x.dtype.endsWith('4') ? 4 : 8;
  const wrongShape = (expected: string): FormatError => new FormatError(at(scale, 'shape'), expected, showShape(scale.shape));
  const alike = !zero || String(zero.shape) === String(scale.shape);
  if (!alike) throw new FormatError(at(zero, 'shape'), `${showShape(scale.shape)}, as x_scale`, showShape(zero.shape));
  if (blockSize > 0) {
    if (axis !== 1 - ofN) throw new FormatError(at(x, 'axis'), `${1 - ofN}: blocks along K`, String(axis));
    const groups = Math.ceil(k / blockSize);
    const shape = layout === 'NK' ? [n, groups] : [groups, n];
    if (String(scale.shape) !== String(shape)) throw wrongShape(showShape(shape));
    return { n, k, bits, groups, groupSize: groupSizeOf(blockSize, { k, groups, bits, scales: scale }), kind: 'group' };
  }
  if (elementsIn(scale.shape) === 1) return { n, k, bits, groups: 1, groupSize: k, kind: 'tensor' };
  if (axis !== ofN) throw new FormatError(at(x, 'axis'), `${ofN}: a scale for each output`, String(axis));
  if (String(scale.shape) !== String([n])) throw wrongShape(showShape([n]));
  return { n, k, bits, groups: 1, groupSize: k, kind: 'channel' };
}

/** Unsigned codes (N, K): those of signed types have 2^(bits-1) added. */
function codesOf({ dtype, bytes, name, file }: RawTensor, { n, k, bits }: Plan, layout: 'KN' | 'NK'): Uint32Array<ArrayBuffer> {
  const [rows, columns] = layout === 'NK' ? [n, k] : [k, n];
  const size = Math.ceil((rows * columns * bits) / 8);
  if (bytes.byteLength !== size) throw new FormatError(at({ file, name }, 'bytes'), String(size), String(bytes.byteLength));
  const read = (): Uint32Array<ArrayBuffer> => {
    if (dtype === 'I8') return codesOfInt8(bytes, rows, columns);
    if (dtype === 'U8') return padRows(bytes, rows, columns);
    const words = splitNibbles(padRows(bytes, 1, size), rows, columns);
    return dtype === 'I4' ? clearTail(flip(words, widthOf(4).signs), { k: columns, bits: 4 }) : clearTail(words, { k: columns, bits: 4 });
  };
  return layout === 'NK' ? read() : transposeCodes(read(), rows, columns, bits);
}

/** Zero points of unsigned codes. */
function zerosOf({ dtype, bytes, shape, name, file }: RawTensor): Float32Array<ArrayBuffer> {
  const count = elementsIn(shape);
  const four = dtype.endsWith('4');
  const size = four ? Math.ceil(count / 2) : count;
  if (bytes.byteLength !== size) throw new FormatError(at({ file, name }, 'bytes'), String(size), String(bytes.byteLength));
  const turn = dtype === 'I4' ? 8 : dtype === 'I8' ? 128 : 0;
  return Float32Array.from({ length: count }, (_, i) => (four ? (bytes[i >> 1]! >> (4 * (i & 1))) & 15 : bytes[i]!) ^ turn);
}

/**
 * Imports the constant inputs of a DequantizeLinear as the weight of a MatMul, without rounding.
 * @throws FormatError if dtypes, shapes or bytes break the operator's rules, or a scale is not finite
 * @example importDequantizeLinear({ x, x_scale, x_zero_point }, { layout: 'KN', axis: 0, blockSize: 32 })
 */
export function importDequantizeLinear(tensors: DequantizeLinearTensors, options: DequantizeLinearOptions): QuantizedMatrix {
  checkImport('dequantizeLinear', tensors, options);
  const plan = planOf(tensors, options);
  const { n, k, bits, groups, groupSize, kind } = plan;
  const { x, x_scale: scale, x_zero_point: zero } = tensors;
  const placed = (values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> => {
    if (kind === 'tensor') return new Float32Array(n).fill(values[0]!);
    return kind === 'group' && options.layout === 'KN' ? transpose(values, [groups, n]) : values;
  };
  const nothing = x.dtype.startsWith('I') ? widthOf(bits).zero : 0;
  return {
    n,
    k,
    bits,
    codes: codesOf(x, plan, options.layout),
    groupSize,
    scale: placed(asFloats(scale)),
    scaleDtype: floatDtypeOf(scale.dtype),
    zeroPoint: zero ? placed(zerosOf(zero)) : new Float32Array(n * groups).fill(nothing),
    zeroPointDtype: 'uint8',
  };
}

/** A layer of these constants, read in one piece. @throws FormatError */
export function dequantizedLayer(
  { x, x_scale, x_zero_point }: DequantizeLinearTensors<TensorInfo>,
  { name, format, ...options }: DequantizeLinearOptions & { readonly name: string; readonly format: string },
): LayerSource {
  const tensors = present({ x, x_scale, x_zero_point });
  const { n, k, bits, groupSize } = planOf(headersOf(tensors) as unknown as DequantizeLinearTensors, options);
  return {
    name,
    format: `${format} ${x.dtype}`,
    n,
    k,
    bits,
    groupSize,
    tensors,
    cut: undefined,
    bias: undefined,
    make: (part) => importDequantizeLinear(part as unknown as DequantizeLinearTensors, options),
  };
}

/** The layer of an ONNX node; undefined if no MatMul or Gemm takes it. @throws FormatError */
function layerOf(tensors: Found, { file, node, name, used, turned: isTurned }: FoundNode): LayerSource | undefined {
  const own = tensors as unknown as DequantizeLinearTensors<TensorInfo>;
  if (!used || own.x.shape.length !== 2) return undefined;
  const said = node.ints.get('axis') ?? 1;
  const [axis, turned] = [said < 0 ? said + 2 : said, isTurned(0)];
  // Of a Transpose, the constant has the axes of x exchanged.
  const layout = turned === (used === 'KN') ? 'NK' : 'KN';
  const blockSize = attribute({ file, node, name }, 'block_size', 0);
  if (turned && blockSize > 0)
    throw new FormatError({ file, tensor: name, field: 'block_size' }, '0 for a Transpose of a constant', 'blocks');
  return dequantizedLayer(own, { name, format: 'DequantizeLinear', layout, axis: turned ? 1 - axis : axis, blockSize });
}

export const qdqFormat: WeightFormat = {
  rows: [
    {
      exact: '=',
      format: 'ONNX DequantizeLinear',
      tensors: '`x`, `x_scale`, `x_zero_point` of a node',
      read: 'int4, uint4, int8, uint8 before a MatMul or Gemm; scales for all, for outputs, for blocks',
    },
  ],
  layers: [],
  nodes: [
    {
      op: 'DequantizeLinear',
      name: 'DequantizeLinear',
      importer: 'importDequantizeLinear',
      inputs: ['x', 'x_scale', 'x_zero_point'],
      turns: 'x',
      computed: true,
      make: layerOf,
    },
  ],
};
