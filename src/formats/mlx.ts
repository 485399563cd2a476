// Imports MLX's affine quantization: the layers of mlx and mlx-lm. Rule: github.com/ml-explore/mlx, mlx.core.quantize, affine_dequantize in
// mlx/ops.cpp, and python/mlx/nn/layers/quantized.py.

import { FormatError } from '../errors.js';
import { asFloats, asWords, at, floatDtypeOf, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { CODE_BITS, isBits } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { widen } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { type Found, type LayerContext, type WeightFormat, wrong } from './layer-format.js';
import { headersOf, type LayerName } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { requireMatrix } from './sizes.js';

/** Tensors of a layer, by the format's names. G = K / group_size. */
export interface MlxTensors<T = RawTensor> {
  /** U32 (N, K · bits / 32): a row is one run of codes without gaps, the first k in the lowest bits. */
  readonly weight: T;
  /** F16, BF16 or F32 (N, G). */
  readonly scales: T;
  /** Of the dtype and shape of scales: the weights of code 0. The layer's bias has another name, `bias`. */
  readonly biases: T;
}

/** `quantization` of MLX's config.json. Tensors' shapes have bits · group_size alone, so that one of the two is enough. */
export interface MlxOptions {
  readonly bits?: QuantizedMatrix['bits'] | undefined;
  /** group_size: 32, 64 or 128. */
  readonly groupSize?: number | undefined;
}

const GROUP_SIZES = [32, 64, 128];
const FORMS = CODE_BITS.flatMap((bits) => GROUP_SIZES.map((groupSize) => ({ bits, groupSize })));
/** Modes of another arithmetic, by the bits of a group. Their scales are bytes. */
const OTHER_MODES: Readonly<Record<number, string>> = { 64: 'nvfp4', 128: 'mxfp4', 256: 'mxfp8' };

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
  requireDtype(scales, 'F16', 'BF16', 'F32');
  requireDtype(biases, scales.dtype);
  const [n, perRow] = requireMatrix(weight);
  const [, groups] = requireMatrix(scales);
  requireShape(scales, [n, groups], 'a scale for each output and group');
  requireShape(biases, [n, groups], 'as scales');
  const { bits, groupSize } = formOf(weight, bitsOfGroup(perRow, groups), options);
  return { n, k: groups * groupSize, bits, groupSize, perRow };
}

/**
 * Imports MLX tensors of a layer: W[n, k] = scales[n, g] · code[n, k] + biases[n, g], without rounding the parts. Only mode affine has them.
 * @throws FormatError if shapes, dtypes or bytes differ from MlxTensors, a scale is not finite, or bits and group_size stay open
 * @example const matrix = importMlx({ weight, scales, biases }, { bits: 4, groupSize: 64 });
 */
export function importMlx(tensors: MlxTensors, options: MlxOptions = {}): QuantizedMatrix {
  checkImport('mlx', tensors, options);
  const { weight, scales, biases } = tensors;
  const { n, k, bits, groupSize, perRow } = sizesOf(tensors, options);
  const words = asWords(weight);
  return {
    n,
    k,
    bits,
    codes: isBits(bits) ? words : widen(words, { n, k, from: bits, perRow }),
    groupSize,
    scale: asFloats(scales),
    scaleDtype: floatDtypeOf(scales.dtype),
    minimum: asFloats(biases),
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
  const { n, k, bits, groupSize } = sizesOf(headersOf({ weight, scales, biases }), options);
  return {
    name: options.name,
    format: 'MLX',
    n,
    k,
    bits,
    groupSize,
    tensors: { weight, scales, biases },
    cut: { axis: 'n', unit: 4, perRow: { weight: 1, scales: 1, biases: 1 } },
    bias: options.bias,
    make: (read) => importMlx(read as unknown as MlxTensors, { bits, groupSize }),
  };
}

function make({ weight, scales, biases }: Found, { name, bias, config }: LayerContext): LayerSource {
  // A layer's own settings replace all of the model's: without a mode they mean affine.
  const said = config.layers.get(name) ?? { bits: config.bits, groupSize: config.groupSizes[0], mode: config.mode };
  if (said === false) throw wrong(weight!, 'quantization', 'floats, as the configuration says false for this layer', weight!.dtype);
  const bytes = scales!.dtype === 'U8' ? OTHER_MODES[bitsOfGroup(weight!.shape.at(-1)!, scales!.shape.at(-1)!)] : undefined;
  const mode = bytes ?? said.mode ?? 'affine';
  if (mode !== 'affine') throw wrong(weight!, 'mode', 'affine', mode);
  if (!biases) throw wrong(scales!, 'beside it', 'biases', 'none');
  const { bits, groupSize } = said as MlxOptions;
  return mlxLayer({ weight: weight!, scales: scales!, biases }, { name, bias, bits, groupSize });
}

export const mlxFormat: WeightFormat = {
  rows: [{ format: 'MLX', tensors: '`weight`, `scales`, `biases`', read: 'mode affine: 2, 3, 4, 5, 6 and 8 bits, q · s + b', exact: '=' }],
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
