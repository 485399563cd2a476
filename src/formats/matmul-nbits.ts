// Imports the weights of ONNX Runtime's com.microsoft.MatMulNBits from a node's constant inputs. files/onnx.ts reads the graph.
// Rule: onnxruntime, docs/ContribOperators.md (com.microsoft.MatMulNBits); its CPU kernels are the tests' goldens.

import { FormatError } from '../errors.js';
import { asFloats, asWords, at, elementsIn, floatDtypeOf, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { largestCode } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { inOrder, sortByGroup } from './act-order.js';
import { trim, widen } from './code-words.js';
import { checkImport } from './given.js';
import { attribute, type Found, type FoundNode, type WeightFormat } from './layer-format.js';
import { headerOf } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';

/**
 * Inputs by the operator's names; blocks = ceil(K / block_size). Tensors with a value for each block may also be flat, as in ONNX Runtime.
 * The node's `bias` (N) is not part of the matrix: pass it to the layer.
 */
export interface MatMulNBitsTensors {
  /** uint8 (N, blocks, block_size · bits / 8): codes along K, the first k in the lowest bits. Codes past K are ignored. */
  readonly B: RawTensor;
  /** float32, float16 or bfloat16 (N, blocks). */
  readonly scales: RawTensor;
  /**
   * uint8 (N, ceil(blocks · bits / 8)): packed like B, each row starting at a byte; or the dtype of scales (N, blocks): unpacked numbers.
   * Absent: 2^(bits-1).
   */
  readonly zero_points?: RawTensor | undefined;
  /** int32 (K) or (blocks · block_size): the block whose scale and zero point each k takes. Deprecated by ONNX Runtime. */
  readonly g_idx?: RawTensor | undefined;
}

/** The node's attributes. accuracy_level is a hint for its kernels and does not concern the weights. */
export interface MatMulNBitsAttributes {
  readonly N: number;
  readonly K: number;
  /** Default 4. */
  readonly bits?: 2 | 4 | 8 | undefined;
  /** A power of two of at least 16. */
  readonly block_size: number;
}

interface Sizes {
  readonly n: number;
  readonly k: number;
  readonly bits: 2 | 4 | 8;
  readonly block: number;
  readonly blocks: number;
}

function sizesOf({ B }: Pick<MatMulNBitsTensors, 'B'>, { N: n, K: k, bits = 4, block_size: block }: MatMulNBitsAttributes): Sizes {
  const check = (holds: boolean, field: string, expected: string, got: number): void => {
    if (!holds) throw new FormatError(at(B, field), expected, String(got));
  };
  check(Number.isSafeInteger(n) && n >= 1, 'N', 'a whole number of at least 1', n);
  check(Number.isSafeInteger(k) && k >= 1, 'K', 'a whole number of at least 1', k);
  check([2, 4, 8].includes(bits), 'bits', '2, 4 or 8', bits);
  check(block >= 16 && block <= 2 ** 30 && Number.isInteger(Math.log2(block)), 'block_size', 'a power of two of at least 16', block);
  return { n, k, bits, block, blocks: Math.ceil(k / block) };
}

/** A value for each row and column, flat or not. */
function requireRows(tensor: RawTensor, n: number, columns: number): void {
  const flat = tensor.shape.length === 1 && elementsIn(tensor.shape) === n * columns;
  if (!flat) requireShape(tensor, [n, columns], `or flat ${showShape([n * columns])}`);
}

/** (N, ceil(blocks · bits / 8)) bytes → (N, blocks) numbers. */
function unpackZeros(tensor: RawTensor, { n, blocks, bits }: Sizes): Float32Array<ArrayBuffer> {
  const perRow = Math.ceil((blocks * bits) / 8);
  requireRows(tensor, n, perRow);
  const { bytes } = tensor;
  if (bytes.length !== n * perRow) throw new FormatError(at(tensor, 'bytes'), String(n * perRow), String(bytes.length));
  const out = new Float32Array(n * blocks);
  const mask = largestCode(bits);
  for (let row = 0, i = 0; row < n; row++)
    for (let block = 0, bit = 0; block < blocks; block++, bit += bits, i++)
      out[i] = (bytes[row * perRow + (bit >>> 3)]! >>> (bit & 7)) & mask;
  return out;
}

/**
 * Imports the constant inputs of a MatMulNBits node: W[n, k] = scales[n, b] · (code[n, k] - zero[n, b]) with b = floor(k / block_size),
 * without rounding. Float zero points stay as they are.
 * @throws FormatError if shapes, dtypes, bytes or attributes break these rules, a scale or zero point is not finite, or g_idx names a block that
 * does not exist or gives a block another number than block_size k
 * @example
 * const B = { name: 'B', dtype: 'U8', shape: [N, K / 32, 16], bytes: codes };
 * const scales = { name: 'scales', dtype: 'F32', shape: [N, K / 32], bytes: new Uint8Array(floats.buffer) };
 * const matrix = importMatMulNBits({ B, scales }, { N, K, bits: 4, block_size: 32 });
 */
export function importMatMulNBits(tensors: MatMulNBitsTensors, attributes: MatMulNBitsAttributes): QuantizedMatrix {
  checkImport('matMulNBits', tensors, attributes);
  const { B, scales, zero_points, g_idx } = tensors;
  const sizes = sizesOf(tensors, attributes);
  const { n, k, bits, block, blocks } = sizes;
  requireDtype(B, 'U8');
  requireShape(B, [n, blocks, (block * bits) / 8], 'the bytes of each block');
  requireRows(scales, n, blocks);
  if (zero_points) requireDtype(zero_points, 'U8', scales.dtype);
  const packed = zero_points?.dtype === 'U8';
  if (zero_points && !packed) requireRows(zero_points, n, blocks);
  if (g_idx) requireShape(g_idx, [g_idx.shape[0] === blocks * block ? blocks * block : k], 'a block for each k');

  const perRow = (blocks * block * bits) / 32;
  const words = asWords({ ...B, dtype: 'U32', shape: [n, perRow] });
  const codes = bits === 2 ? widen(words, { n, k, from: 2, perRow }) : trim(words, { n, k, bits, perRow });
  const groupSize = Math.min(block, k);
  const permutation = g_idx && sortByGroup(g_idx, { k, groupSize });
  const scaleDtype = floatDtypeOf(scales.dtype);
  const zeroPoint = zero_points && (packed ? unpackZeros(zero_points, sizes) : asFloats(zero_points));
  const zeros = zeroPoint && ({ zeroPoint, zeroPointDtype: packed ? 'uint8' : scaleDtype } as const);
  return inOrder({ n, k, bits, codes, groupSize, scale: asFloats(scales), scaleDtype, ...zeros }, permutation);
}

/** The tensor with a row for each n, if its number of elements allows. */
const inRows = (info: TensorInfo, n: number): TensorInfo | undefined => {
  const count = elementsIn(info.shape);
  return info.shape[0] === n ? info : count % n === 0 && info.shape.length === 1 ? { ...info, shape: [n, count / n] } : undefined;
};

/** The layer of an ONNX node, read in pieces along n unless it has a g_idx. @throws FormatError */
function layerOf({ bias, ...own }: Found, found: FoundNode): LayerSource {
  const [n, k, block] = (['N', 'K', 'block_size'] as const).map((name) => attribute(found, name)) as [number, number, number];
  const bits = attribute(found, 'bits', 4) as 2 | 4 | 8;
  const attributes = { N: n, K: k, bits, block_size: block };
  sizesOf({ B: headerOf(own.B!) }, attributes);
  const shape = [n, Math.ceil(k / block), (block * bits) / 8];
  if (String(own.B!.shape) !== String(shape))
    throw new FormatError(
      { file: found.file, tensor: found.name, field: 'B.shape' },
      `(${shape.join(', ')})`,
      `(${own.B!.shape.join(', ')})`,
    );
  const rows = Object.entries(own).map(([name, info]) => [name, inRows(info, n)] as const);
  const cuts = !own.g_idx && rows.every(([, info]) => info);
  return {
    name: found.name,
    format: 'MatMulNBits',
    n,
    k,
    bits,
    groupSize: Math.min(block, k),
    tensors: cuts ? (Object.fromEntries(rows) as Found) : own,
    cut: cuts ? { axis: 'n', unit: 4, perRow: Object.fromEntries(rows.map(([name]) => [name, 1])) } : undefined,
    bias,
    make: (part, size) => importMatMulNBits(part as unknown as MatMulNBitsTensors, { ...attributes, N: size.n }),
  };
}

export const matMulNBitsFormat: WeightFormat = {
  rows: [
    {
      format: 'ONNX MatMulNBits',
      tensors: '`B`, `scales`, `zero_points`, `g_idx`, `bias` of a node',
      read: '2, 4 and 8 bits; packed or float zero points; ragged K',
      exact: '=',
    },
  ],
  layers: [],
  nodes: [
    {
      op: 'MatMulNBits',
      name: 'MatMulNBits',
      importer: 'importMatMulNBits',
      inputs: ['', 'B', 'scales', 'zero_points', 'g_idx', 'bias'],
      make: layerOf,
    },
  ],
};
