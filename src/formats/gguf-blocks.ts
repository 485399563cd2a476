// Imports GGUF's tensors of quantized blocks: the table of all types, and a layer of one tensor. gguf-32.ts, gguf-256.ts, gguf-ternary.ts and
// gguf-iq.ts have the layouts, files/gguf.ts the container. A tensor is N rows of K / blockSize blocks, so a run of rows is such a tensor again.
import type { RawTensor } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { IQ1_M, IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS } from './gguf-iq.js';
import { formatFrom, type GgufType, type GgufTypeName, importFrom, layerFrom, PLAIN_TYPES, withMake } from './gguf-layer.js';
import type { WeightFormat } from './layer-format.js';
import type { LayerSource } from './layer-source.js';

/** The supported types of blocks, by GGUF's name. Dequantized values equal ggml's float32 values, bit for bit but for the sign of a ternary 0. */
export const ggufTypes: Readonly<Record<GgufTypeName, GgufType>> = {
  ...PLAIN_TYPES,
  IQ1_S: withMake(IQ1_S),
  IQ1_M: withMake(IQ1_M),
  IQ2_XXS: withMake(IQ2_XXS),
  IQ2_XS: withMake(IQ2_XS),
  IQ2_S: withMake(IQ2_S),
  IQ3_XXS: withMake(IQ3_XXS),
  IQ3_S: withMake(IQ3_S),
};

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
export const importGguf = (tensor: RawTensor): QuantizedMatrix => importFrom(ggufTypes, tensor);

/**
 * The layer of a tensor of blocks, named without `.weight`; undefined for other dtypes and for tensors that are not (N, K).
 * It is cut along n at any multiple of four rows, since rows are independent.
 *
 * @example
 * const layer = ggufLayer(file.tensors.get('blk.0.attn_q.weight'), file.tensors.get('blk.0.attn_q.bias'));
 */
export const ggufLayer = (info: TensorInfo, bias?: TensorInfo): LayerSource | undefined => layerFrom(ggufTypes, info, bias);

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
  layers: [formatFrom(ggufTypes)],
};
