// compressed-tensors of vLLM's LLM Compressor: pack-quantized and int-quantized integer weights, not float8 or float4.
// Rules: github.com/vllm-project/compressed-tensors, compressors/quantized_compressors/pack_quantized.py and naive_quantized.py.

import { FormatError } from '../errors.js';
import { asFloats, asWords, at, floatDtypeOf, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { codesInWord, FILE_BITS, type FileBits, widthFor } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { inOrder, sortByGroup } from './act-order.js';
import { type CompressedPlan, codesOf, usedBits, wordsOf, zeroPoints } from './compressed-codes.js';
import { gcd } from './flat-groups.js';
import { checkImport, checkLayer } from './given.js';
import { type Found, type LayerContext, type LayerFormat, type WeightFormat, wrong } from './layer-format.js';
import { asWholeNumbers, forOutputs, granularityOf, headersOf, type LayerName, present, requireAlike } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { saidGroupSize } from './quantization-config.js';
import { groupSizeOf, requireMatrix } from './sizes.js';

/** Tensors of a layer, by the format's names. Exactly one of weight_packed (pack-quantized) and weight (int-quantized). */
export interface CompressedTensors<T> {
  /** I32 (N, ceil(K / C)), C = floor(32 / bits) codes in a word: q + 2^(bits-1), the first k in the lowest bits. */
  readonly weight_packed?: T | undefined;
  /** I8 (N, K). */
  readonly weight?: T | undefined;
  /** F16, BF16 or F32: (1), (N, 1) or (N, G). */
  readonly weight_scale: T;
  /** I32 (ceil(N / C), G): zero + 2^(bits-1), packed along N; or I8 of the scale's shape. Without it, 0. */
  readonly weight_zero_point?: T | undefined;
  /** I64 or I32 (2): N, K. */
  readonly weight_shape?: T | undefined;
  /** I32 (K): the group of each input, for activation order. With a -1 it is unused. */
  readonly weight_g_idx?: T | undefined;
}

/** Settings that compressed-tensors' tensors leave open, or that the configuration knows better. */
export interface CompressedTensorsOptions {
  /** `num_bits` of the configuration. Default: the bits that fit weight_packed and weight_shape; 8 for int-quantized. */
  readonly bits?: FileBits | undefined;
  /** `group_size` of the configuration. Needed only if K is not a multiple of it. */
  readonly groupSize?: number | undefined;
  /** N and K of these tensors. Default: weight_shape, or else the number of codes in the words. */
  readonly n?: number | undefined;
  readonly k?: number | undefined;
}

function readShape(tensor: RawTensor | undefined): readonly [number, number] | undefined {
  if (!tensor || tensor.bytes.byteLength === 0) return undefined;
  const values = asWholeNumbers(tensor);
  if (values.length !== 2 || !values.every((size) => Number.isSafeInteger(size) && size >= 1))
    throw new FormatError(at(tensor, 'values'), 'N and K', values.join(', '));
  return values as unknown as readonly [number, number];
}

/**
 * The bits that words of this shape may have. If several have the shape, it is the width without empty bits in a word, and `others` are those
 * of which the values have to show that they are not.
 */
function bitsOf(packed: RawTensor, words: number, k: number | undefined): Pick<CompressedPlan, 'fileBits' | 'others'> {
  const fits = FILE_BITS.filter((bits) => k !== undefined && wordsOf(k, bits) === words);
  const full = fits.length === 1 ? fits : fits.filter((bits) => usedBits(bits) === 32);
  if (full.length === 1) return { fileBits: full[0]!, others: fits.filter((bits) => bits !== full[0]) };
  const expected =
    k !== undefined && fits.length === 0
      ? `words for ${FILE_BITS.join(' or ')} bits of K = ${k}`
      : 'bits to be said, or weight_shape that tells';
  throw new FormatError(at(packed, 'shape'), expected, showShape(packed.shape));
}

/** The sizes, after all checks of headers. */
function planOf(tensors: CompressedTensors<RawTensor>, options: CompressedTensorsOptions): CompressedPlan {
  const { weight_packed: packed, weight, weight_scale: scale, weight_zero_point: zero } = tensors;
  const stored = packed ?? weight;
  if (!stored || (packed && weight))
    throw new FormatError(
      { file: scale.file, tensor: scale.name, field: 'beside it' },
      'either weight_packed or weight',
      stored ? 'both' : 'neither',
    );
  requireDtype(stored, ...(packed ? ['I32', 'U32'] : ['I8']));
  requireDtype(scale, 'F16', 'BF16', 'F32');
  const [n, width] = requireMatrix(stored);
  const said = readShape(tensors.weight_shape);
  const wanted = options.k ?? said?.[1];
  const known = { fileBits: options.bits ?? 8, others: [] };
  const { fileBits, others } = packed && options.bits === undefined ? bitsOf(packed, width, wanted) : known;
  const { bits } = widthFor(fileBits);
  const k = packed ? (wanted ?? width * codesInWord(fileBits)) : width;
  if (packed) requireShape(packed, [n, wordsOf(k, fileBits)], `for K = ${k} of ${fileBits} bits`);
  const expected = [options.n ?? said?.[0] ?? n, wanted ?? k];
  if (expected[0] !== n || expected[1] !== k) throw new FormatError(at(stored, 'shape'), `N, K = ${expected.join(', ')}`, `${n}, ${k}`);
  const { granularity, groups } = granularityOf(scale, n);
  const groupSize = groupSizeOf(options.groupSize, { k, bits, groups, scales: scale });
  if (zero) {
    requireDtype(zero, 'I32', 'I8');
    if (zero.dtype === 'I32') requireShape(zero, [wordsOf(n, fileBits), groups], `${codesInWord(fileBits)} of ${n} outputs to a word`);
    else requireAlike(zero, scale, n);
  }
  return { n, k, fileBits, others, bits, groups, groupSize, granularity };
}

/**
 * Imports a pack-quantized or int-quantized layer: W = (q - zero_point) · scale, without rounding. zeroPoint is zero_point + 2^(bits-1).
 * Codes of 7 bits become codes of 8.
 * Inputs in activation order are sorted by group, and `permutation` gives the order.
 *
 * Rule: compressed-tensors' pack_to_int32, dequantize_weight.
 * @throws FormatError if dtypes, shapes, sizes, scales or groups break the format
 * @example importCompressedTensors({ weight_packed, weight_scale, weight_shape }, { groupSize: 128 })
 */
export function importCompressedTensors(tensors: CompressedTensors<RawTensor>, options: CompressedTensorsOptions = {}): QuantizedMatrix {
  checkImport('compressedTensors', tensors, options);
  const plan = planOf(tensors, options);
  const { n, k, bits, groupSize, granularity } = plan;
  const { weight_scale: scale, weight_zero_point: zero, weight_g_idx: gIdx } = tensors;
  if (gIdx) requireShape(gIdx, [k], 'a group for each input');
  const ordered = gIdx && !asWords(gIdx).includes(0xffffffff);
  const permutation = ordered ? sortByGroup(gIdx, { k, groupSize }) : undefined;
  const codes = codesOf(tensors, plan);
  const matrix: QuantizedMatrix = {
    n,
    k,
    bits,
    codes,
    groupSize,
    scale: forOutputs(asFloats(scale), n, granularity),
    scaleDtype: floatDtypeOf(scale.dtype),
    ...(zero && { zeroPoint: zeroPoints(zero, plan), zeroPointDtype: 'uint8' }),
  };
  return inOrder(matrix, permutation);
}

/**
 * A layer of a file, read in pieces along n. Pass `k` for pack-quantized tensors whose last word is not full: their shapes do not hold K.
 * @throws FormatError
 * @example compressedTensorsLayer({ weight_packed, weight_scale }, { name: 'model.layers.0.mlp.up_proj', bits: 4, k: 4096 })
 */
export function compressedTensorsLayer(tensors: CompressedTensors<TensorInfo>, given: CompressedTensorsOptions & LayerName): LayerSource {
  checkLayer('compressedTensors', tensors, given);
  const { name, bias, ...options } = given;
  const { n, k, fileBits, others, bits, groupSize, granularity } = planOf(headersOf({ ...tensors }), options);
  const scaleRows = granularity === 'tensor' ? 0 : 1;
  const zeroRows = tensors.weight_zero_point?.dtype === 'I32' ? codesInWord(fileBits) : scaleRows;
  const perRow = {
    weight_packed: 1,
    weight: 1,
    weight_scale: scaleRows,
    weight_zero_point: zeroRows,
    weight_g_idx: 0,
  };
  const inZeros = Math.max(zeroRows, 1);
  const unit = (8 * inZeros) / gcd(8, inZeros);
  // weight_shape describes the complete layer. Its K was checked before; a part's size comes with the part.
  const { weight_shape: _, ...read } = tensors;
  return {
    name,
    format: `compressed-tensors ${tensors.weight ? 'int-quantized' : 'pack-quantized'}`,
    n,
    k,
    bits,
    groupSize,
    tensors: present({ ...read }),
    cut: { axis: 'n', unit, perRow: Object.fromEntries(Object.entries(perRow).filter(([key]) => key in read)) },
    bias,
    make: (part, size) =>
      importCompressedTensors(part as unknown as CompressedTensors<RawTensor>, {
        ...options,
        ...size,
        bits: others.length > 0 ? undefined : fileBits,
      }),
  };
}

function make(tensors: Found, { name, bias, config, settings }: LayerContext): LayerSource {
  const { weight_shape: _, ...own } = tensors;
  const { weight_packed: packed, weight_scale, weight } = own;
  if (config.transforms)
    throw wrong(weight_scale!, 'transform_config', 'none: x would have to be transformed first', 'transforms of weights or activations');
  const k = readShape(settings.weight_shape)?.[1];
  const said = FILE_BITS.find((bits) => bits === config.bits);
  // Layers may differ: a setting for all layers counts if this layer's words agree with it.
  const agrees = !packed || k === undefined || (said && wordsOf(k, said) === packed.shape[1]);
  const bits = agrees ? said : undefined;
  const columns = k ?? (packed ? packed.shape[1]! * codesInWord(bits ?? 4) : weight!.shape[1]!);
  const groupSize = saidGroupSize(config, columns, weight_scale!.shape[1] ?? 1);
  return compressedTensorsLayer(own as unknown as CompressedTensors<TensorInfo>, { name, bias, k, bits, groupSize });
}
/** Tensors about activations. They concern x, not the weights. */
const ACTIVATIONS = ['input_scale', 'input_zero_point', 'output_scale', 'output_zero_point'];
const made = {
  importer: 'importCompressedTensors',
  methods: ['compressed-tensors'],
  ignored: ACTIVATIONS,
  make,
} satisfies Partial<LayerFormat>;

export const compressedTensorsFormat: WeightFormat = {
  rows: [
    {
      format: 'compressed-tensors pack-quantized',
      tensors: '`weight_packed`, `weight_scale`, `weight_zero_point`, `weight_shape`, `weight_g_idx`',
      read: '2, 3, 4, 5, 6 and 8 bits; 7 as 8',
      exact: '=',
    },
    {
      format: 'compressed-tensors int-quantized',
      tensors: '`weight`, `weight_scale`, `weight_zero_point`, `weight_g_idx`',
      read: 'int8, and values of 2, 3, 4, 5 and 6 bits in bytes; 7 as 8',
      exact: '=',
    },
  ],
  layers: [
    {
      ...made,
      name: 'compressed-tensors pack-quantized',
      required: ['weight_packed', 'weight_scale'],
      optional: ['weight_shape', 'weight_zero_point', 'weight_g_idx'],
      settings: ['weight_shape'],
      recognise: ({ weight_packed: packed }) => packed!.dtype === 'I32' || packed!.dtype === 'U32',
    },
    {
      ...made,
      name: 'compressed-tensors int-quantized',
      required: ['weight', 'weight_scale'],
      optional: ['weight_zero_point', 'weight_g_idx'],
      recognise: ({ weight }) => weight!.dtype === 'I8',
    },
  ],
};
