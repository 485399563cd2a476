// Imports MLX's quantization: the layers of mlx and mlx-lm. mlx-floats.ts has the modes whose codes are floats. Rule: github.com/ml-explore/mlx, mlx.core.quantize, affine_dequantize in
// mlx/ops.cpp, and python/mlx/nn/layers/quantized.py.

import { FormatError } from '../errors.js';
import { asFloats, asWords, at, floatDtypeOf, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { CODE_BITS, isBits } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { widen } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { type Found, type LayerContext, type WeightFormat, wrong } from './layer-format.js';
import { headersOf, type LayerName, present } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { floatsOfGroup, MLX_FLOATS, type MlxFloats, matrixOfFloats } from './mlx-floats.js';
import { requireMatrix } from './sizes.js';

/** Tensors of a layer, by the format's names. G = K / group_size. */
export interface MlxTensors<T = RawTensor> {
  /** U32 (N, K · bits / 32): a row is one run of codes without gaps, the first k in the lowest bits. */
  readonly weight: T;
  /** Mode affine: F16, BF16 or F32 (N, G). Others: U8 (N, G). */
  readonly scales: T;
  /** Mode affine alone. Of the dtype and shape of scales: the weights of code 0. The layer's bias has another name, `bias`. */
  readonly biases?: T | undefined;
}

/** `quantization` of MLX's config.json. Tensors' shapes have bits · group_size alone, so that one of the two is enough. */
export interface MlxOptions {
  readonly bits?: QuantizedMatrix['bits'] | undefined;
  /** group_size: 32, 64 or 128; 16 in mode nvfp4. */
  readonly groupSize?: number | undefined;
  /** Default: that of the shapes, where scales are U8; else affine. */
  readonly mode?: 'affine' | MlxFloats | undefined;
}

const GROUP_SIZES = [32, 64, 128];
const FORMS = CODE_BITS.flatMap((bits) => GROUP_SIZES.map((groupSize) => ({ bits, groupSize })));

const MODES = ['affine', ...(Object.keys(MLX_FLOATS) as MlxFloats[])] as const;

const bitsOfGroup = (perRow: number, groups: number): number => (perRow * 32) / groups;

/** The only form that the shapes and the options allow. */
function formOf(weight: RawTensor, inGroup: number, { bits, groupSize }: MlxOptions): (typeof FORMS)[number] {
  const fits = FORMS.filter((form) => form.bits * form.groupSize === inGroup);
  if (fits.length === 0)
    throw new FormatError(
      at(weight, 'shape'),
      `groups of ${GROUP_SIZES.join(' or ')} codes of ${CODE_BITS.join(' or ')} bits`,
      `${inGroup} bits for each scale`,
    );
  const said = fits.filter((form) => (bits ?? form.bits) === form.bits && (groupSize ?? form.groupSize) === form.groupSize);
  if (said.length === 1) return said[0]!;
  const list = fits.map((form) => `${form.bits} and ${form.groupSize}`).join(' or ');
  throw new FormatError(at(weight, 'bits'), `bits and groupSize to be said: ${list}`, `${bits ?? 'none'} and ${groupSize ?? 'none'}`);
}

/** The sizes, after all checks of headers. */
function sizesOf({ weight, scales, biases }: MlxTensors, options: MlxOptions) {
  requireDtype(weight, 'U32');
  requireDtype(scales, 'F16', 'BF16', 'F32', 'U8');
  const [n, perRow] = requireMatrix(weight);
  const [, groups] = requireMatrix(scales);
  requireShape(scales, [n, groups], 'a scale for each output and group');
  const inGroup = bitsOfGroup(perRow, groups);
  const mode = scales.dtype === 'U8' ? floatsOfGroup(scales, inGroup) : ('affine' as const);
  if ((options.mode ?? mode) !== mode) throw new FormatError(at(scales, 'mode'), `${mode}, as the tensors are`, options.mode!);
  if (mode !== 'affine') {
    const { bits, groupSize } = MLX_FLOATS[mode];
    if (biases) throw new FormatError(at(biases, 'beside it'), 'scales of mode affine', mode);
    if ((options.bits ?? bits) !== bits || (options.groupSize ?? groupSize) !== groupSize)
      throw new FormatError(
        at(weight, 'bits'),
        `${bits} and ${groupSize} of ${mode}`,
        `${options.bits ?? bits} and ${options.groupSize ?? groupSize}`,
      );
    return { n, k: groups * groupSize, bits, groupSize, perRow, mode };
  }
  if (!biases) throw new FormatError(at(scales, 'beside it'), 'biases', 'none');
  requireDtype(biases, scales.dtype);
  requireShape(biases, [n, groups], 'as scales');
  const { bits, groupSize } = formOf(weight, inGroup, options);
  return { n, k: groups * groupSize, bits, groupSize, perRow, mode };
}

/**
 * Imports MLX tensors of a layer, without rounding the parts. Mode affine: W[n, k] = scales[n, g] · code[n, k] + biases[n, g]. Modes mxfp4 and
 * nvfp4: scales[n, g] · E2M1; mxfp8: scales[n, g] · E4M3.
 * @throws FormatError if shapes, dtypes or bytes differ from MlxTensors, a scale or a float is NaN, or bits and group_size stay open
 * @example const matrix = importMlx({ weight, scales, biases }, { bits: 4, groupSize: 64 });
 */
export function importMlx(tensors: MlxTensors, options: MlxOptions = {}): QuantizedMatrix {
  checkImport('mlx', tensors, options);
  const { weight, scales, biases } = tensors;
  const { n, k, bits, groupSize, perRow, mode } = sizesOf(tensors, options);
  if (mode !== 'affine') return matrixOfFloats(weight, scales, { n, k, mode });
  const words = asWords(weight);
  return {
    n,
    k,
    bits,
    codes: isBits(bits) ? words : widen(words, { n, k, from: bits, perRow }),
    groupSize,
    scale: asFloats(scales),
    scaleDtype: floatDtypeOf(scales.dtype),
    minimum: asFloats(biases!),
  };
}

/**
 * An MLX layer of a file, read in pieces along n.
 * @throws FormatError
 * @example const source = mlxLayer({ weight, scales, biases }, { name: 'model.layers.0.mlp.down_proj', bits: 4, groupSize: 64 });
 */
export function mlxLayer(tensors: MlxTensors<TensorInfo>, options: MlxOptions & LayerName): LayerSource {
  checkLayer('mlx', tensors, options);
  const { weight, scales, biases } = tensors;
  const { n, k, bits, groupSize, mode } = sizesOf(headersOf({ weight, scales, biases }), options);
  return {
    name: options.name,
    format: mode === 'affine' ? 'MLX' : `MLX ${mode}`,
    n,
    k,
    bits,
    groupSize,
    tensors: present({ weight, scales, biases }),
    cut: { axis: 'n', unit: 4, perRow: { weight: 1, scales: 1, ...(biases && { biases: 1 }) } },
    bias: options.bias,
    make: (read) => importMlx(read as unknown as MlxTensors, { bits, groupSize, mode }),
  };
}

function make({ weight, scales, biases }: Found, { name, bias, config }: LayerContext): LayerSource {
  // A layer's own settings replace all of the model's: without a mode they mean affine.
  const said = config.layers.get(name) ?? { bits: config.bits, groupSize: config.groupSizes[0], mode: config.mode };
  if (said === false) throw wrong(weight!, 'quantization', 'floats, as the configuration says false for this layer', weight!.dtype);
  const { bits, groupSize } = said as MlxOptions;
  const mode = MODES.find((one) => one === said.mode);
  if (said.mode !== undefined && !mode) throw wrong(weight!, 'mode', MODES.join(' or '), said.mode);
  return mlxLayer({ weight: weight!, scales: scales!, biases }, { name, bias, bits, groupSize, mode });
}

export const mlxFormat: WeightFormat = {
  rows: [
    { format: 'MLX', tensors: '`weight`, `scales`, `biases`', read: 'mode affine: 2, 3, 4, 5, 6 and 8 bits, q · s + b', exact: '=' },
    { format: 'MLX mxfp4, nvfp4, mxfp8', tensors: '`weight`, `scales`', read: 'E2M1 or E4M3, scales of a byte for 32 or 16 k', exact: '=' },
  ],
  layers: [
    {
      name: 'MLX',
      importer: 'importMlx',
      methods: [],
      required: ['weight', 'scales'],
      optional: ['biases'],
      expertRank: 2,
      recognise: ({ weight }) => weight!.dtype === 'U32',
      make,
    },
  ],
};
