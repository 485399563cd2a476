// Imports MXFP4 as gpt-oss has it in safetensors: the experts' weights of openai/gpt-oss. Rule: OCP Microscaling Formats 1.0 for the values;
// transformers, integrations/mxfp4.py, convert_moe_packed_tensors for the order.

import { FormatError } from '../errors.js';
import { at, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { E2M1_VALUES } from '../problem/weight-format.js';
import { checkImport, checkLayer } from './given.js';
import type { Found, LayerContext, WeightFormat } from './layer-format.js';
import { bytesOf, headersOf, type LayerName } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';

/** Tensors of a matrix, by the format's names. */
export interface Mxfp4Tensors<T = RawTensor> {
  /** U8 (N, K / 32, 16): a byte has two codes, that of the even k in its low four bits. */
  readonly blocks: T;
  /** U8 (N, K / 32): e8m0, 2^(byte − 127). */
  readonly scales: T;
}

const BLOCK = 32;
const NOT_A_NUMBER = 255;

function sizesOf({ blocks, scales }: Mxfp4Tensors) {
  requireDtype(blocks, 'U8');
  requireDtype(scales, 'U8');
  const [n = 0, inRow = 0] = blocks.shape;
  if (blocks.shape.length !== 3 || blocks.shape[2] !== BLOCK / 2 || n < 1 || inRow < 1)
    throw new FormatError(at(blocks, 'shape'), `(N, K / ${BLOCK}, ${BLOCK / 2})`, showShape(blocks.shape));
  requireShape(scales, [n, inRow], 'a scale for each block');
  return { n, k: inRow * BLOCK };
}

/**
 * Imports a matrix of MXFP4: W[n, k] = 2^(scale − 127) · E2M1[code].
 * @throws FormatError if shapes, dtypes or bytes differ from Mxfp4Tensors, or a scale is 255, which stands for NaN
 * @example const matrix = importMxfp4({ blocks, scales });
 */
export function importMxfp4(tensors: Mxfp4Tensors): QuantizedMatrix {
  checkImport('mxfp4', tensors, {});
  const { blocks, scales } = tensors;
  const { n, k } = sizesOf(tensors);
  const exponents = bytesOf(scales);
  const bad = exponents.indexOf(NOT_A_NUMBER);
  if (bad >= 0) throw new FormatError(at(scales, `element ${bad}`), 'a power of two: 0 … 254', String(NOT_A_NUMBER));
  return {
    n,
    k,
    bits: 4,
    codes: new Uint32Array(bytesOf(blocks).slice().buffer), // the first k is in the lowest bits already
    groupSize: BLOCK,
    scale: Float32Array.from(exponents, (e) => 2 ** (e - 127)),
    scaleDtype: 'float32',
    scaleForm: { kind: 'e8m0' },
    codebook: E2M1_VALUES,
  };
}

/**
 * An MXFP4 matrix of a file, read in pieces along n.
 * @throws FormatError
 * @example const source = mxfp4Layer({ blocks, scales }, { name: 'model.layers.0.mlp.experts.down_proj.0' });
 */
export function mxfp4Layer(tensors: Mxfp4Tensors<TensorInfo>, options: LayerName): LayerSource {
  checkLayer('mxfp4', tensors, options);
  const { blocks, scales } = tensors;
  const { n, k } = sizesOf(headersOf({ blocks, scales }));
  return {
    name: options.name,
    format: 'MXFP4',
    n,
    k,
    bits: 4,
    groupSize: BLOCK,
    tensors: { blocks, scales },
    cut: { axis: 'n', unit: 4, perRow: { blocks: 1, scales: 1 } },
    bias: options.bias,
    make: (read) => importMxfp4(read as unknown as Mxfp4Tensors),
  };
}

export const mxfp4Format: WeightFormat = {
  rows: [
    {
      format: 'MXFP4 of gpt-oss',
      tensors: '`blocks`, `scales`, `bias` behind `NAME_`',
      read: 'experts (E, N, K / 32, 16): E2M1 times powers of two',
      exact: '=',
    },
  ],
  layers: [
    {
      name: 'MXFP4',
      importer: 'importMxfp4',
      methods: ['mxfp4'],
      required: ['blocks', 'scales'],
      optional: [],
      separator: '_',
      expertRank: 3,
      recognise: ({ blocks, scales }) => blocks!.dtype === 'U8' && scales!.dtype === 'U8' && blocks!.shape.length === 3,
      make: ({ blocks, scales }: Found, { name, bias }: LayerContext) => mxfp4Layer({ blocks: blocks!, scales: scales! }, { name, bias }),
    },
  ],
};
