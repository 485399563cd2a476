// Imports GGUF's tensors of quantized blocks: the table of types, and a layer of one tensor. gguf-32.ts and gguf-256.ts have the layouts,
// files/gguf.ts the container. A tensor is N rows of K / blockSize blocks, so a run of rows is such a tensor again.

import { optional } from '../arguments/check.js';
import { rawTensor, tensorInfo } from '../files/given.js';
import { type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { IQ4_NL, MXFP4, NVFP4, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from './gguf-32.js';
import { IQ4_XS, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K } from './gguf-256.js';
import { IQ1_M, IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS } from './gguf-iq.js';
import { Q1_0, Q2_0, TQ1_0, TQ2_0 } from './gguf-ternary.js';
import { type BlockShape, type BlockType, makeMatrix } from './gguf-words.js';
import type { WeightFormat } from './layer-format.js';
import type { LayerSource } from './layer-source.js';

/** GGUF's names of the supported types of blocks. */
export type GgufTypeName =
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ4_NL'
  | 'IQ4_XS'
  | 'MXFP4'
  | 'TQ1_0'
  | 'TQ2_0'
  | 'NVFP4'
  | 'Q1_0'
  | 'Q2_0'
  | 'IQ1_S'
  | 'IQ1_M'
  | 'IQ2_XXS'
  | 'IQ2_XS'
  | 'IQ2_S'
  | 'IQ3_XXS'
  | 'IQ3_S';

/** A type of blocks, with its importer. */
export interface GgufType extends BlockShape {
  /** @throws FormatError */
  make(tensor: RawTensor): QuantizedMatrix;
}

const withMake = (type: BlockType): GgufType => ({ ...type, make: (tensor) => makeMatrix(type, tensor) });

/** The supported types of blocks, by GGUF's name. Dequantized values equal ggml's float32 values, bit for bit but for the sign of a ternary 0. */
export const ggufTypes: Readonly<Record<GgufTypeName, GgufType>> = {
  Q4_0: withMake(Q4_0),
  Q4_1: withMake(Q4_1),
  Q5_0: withMake(Q5_0),
  Q5_1: withMake(Q5_1),
  Q8_0: withMake(Q8_0),
  Q2_K: withMake(Q2_K),
  Q3_K: withMake(Q3_K),
  Q4_K: withMake(Q4_K),
  Q5_K: withMake(Q5_K),
  Q6_K: withMake(Q6_K),
  IQ4_NL: withMake(IQ4_NL),
  IQ4_XS: withMake(IQ4_XS),
  MXFP4: withMake(MXFP4),
  TQ1_0: withMake(TQ1_0),
  TQ2_0: withMake(TQ2_0),
  NVFP4: withMake(NVFP4),
  Q1_0: withMake(Q1_0),
  Q2_0: withMake(Q2_0),
  IQ1_S: withMake(IQ1_S),
  IQ1_M: withMake(IQ1_M),
  IQ2_XXS: withMake(IQ2_XXS),
  IQ2_XS: withMake(IQ2_XS),
  IQ2_S: withMake(IQ2_S),
  IQ3_XXS: withMake(IQ3_XXS),
  IQ3_S: withMake(IQ3_S),
};

/** Is a GGUF dtype one of `ggufTypes`? */
export const isGgufType = (dtype: string): dtype is GgufTypeName => typeof dtype === 'string' && Object.hasOwn(ggufTypes, dtype);

/**
 * Imports a tensor of GGUF blocks. `shape` is row-major, (N, K), while the file lists ne = [K, N]; `dtype` is the type's name.
 * Rule: ggml-common.h for the layouts, dequantize_row_* of ggml-quants.c for the values.
 *
 * @throws FormatError for another dtype, a shape that is not two sizes, a K that is not whole blocks, a wrong number of bytes, and a scale or
 * minimum (d, dmin, m, e) that is not finite, with the block's index
 * @example
 * const matrix = importGguf({ name: 'blk.0.attn_q.weight', dtype: 'Q4_K', shape: [4096, 4096], bytes });
 * const weights = dequantize(matrix); // float32, as ggml has them
 */
export function importGguf(tensor: RawTensor): QuantizedMatrix {
  rawTensor(tensor, 'tensor');
  requireDtype(tensor, ...Object.keys(ggufTypes));
  return ggufTypes[tensor.dtype as GgufTypeName].make(tensor);
}

/**
 * The layer of a tensor of blocks, named without `.weight`; undefined for other dtypes and for tensors that are not (N, K).
 * It is cut along n at any multiple of four rows, since rows are independent.
 *
 * @example
 * const layer = ggufLayer(file.tensors.get('blk.0.attn_q.weight'), file.tensors.get('blk.0.attn_q.bias'));
 */
export function ggufLayer(info: TensorInfo, bias?: TensorInfo): LayerSource | undefined {
  tensorInfo(info, 'info');
  optional(tensorInfo)(bias, 'bias');
  const { name, dtype, shape } = info;
  const [n, k] = shape;
  if (!isGgufType(dtype) || n === undefined || k === undefined || shape.length !== 2) return undefined;
  const { bits, groupSize } = ggufTypes[dtype];
  return {
    name: name.replace(/\.weight$/, ''),
    format: `GGUF ${dtype}`,
    n,
    k,
    bits,
    groupSize,
    tensors: { weight: info },
    cut: { axis: 'n', unit: 4, perRow: { weight: 1 } },
    bias,
    make({ weight }, size) {
      requireShape(weight!, [size.n, size.k]);
      return importGguf(weight!);
    },
  };
}

const gguf = (types: string, read: string) => ({ format: `GGUF ${types}`, tensors: '`weight`, (N, K) of blocks', read, exact: '=' });

export const ggufFormat: WeightFormat = {
  rows: [
    gguf('Q4_0, Q5_0, Q8_0, Q3_K, Q6_K', "3, 4, 5, 6 and 8 bits; K-quants' scales in two levels"),
    gguf('Q4_1, Q5_1, Q2_K, Q4_K, Q5_K', '2, 4 and 5 bits; the same, with a minimum'),
    gguf('IQ4_NL, IQ4_XS, MXFP4, NVFP4', '4 bits; the same, with a codebook'),
    gguf('TQ1_0, TQ2_0', '−d, 0 and d in 2 bits'),
    gguf('IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S', 'a codebook of their 6 to 16 values, in 4 bits'),
    gguf('Q1_0, Q2_0', '1 bit as −d and d in 2; −d, 0, d and 2d in 2 bits'),
  ],
  layers: [
    {
      name: 'GGUF',
      importer: 'importGguf',
      methods: ['gguf'],
      required: ['weight'],
      optional: [],
      anyName: true,
      expertRank: 2,
      recognise: ({ weight }) => isGgufType(weight!.dtype) && weight!.shape.length === 2 && !weight!.shape.includes(0),
      make: ({ weight }, { bias }) => ggufLayer(weight!, bias)!,
    },
  ],
};
