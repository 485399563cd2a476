// AWQ in AutoAWQ's GEMM packing (`quant_method: awq`, `version: gemm`): eight outputs in a word, in AWQ's order. The GEMV versions, which
// pack along K, are not read. Rule: AutoAWQ, awq/modules/linear/gemm.py (from_linear) and awq/utils/packing_utils.py.

import { asFloats, asWords, floatDtypeOf, type RawTensor, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { wordsOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { transpose, transposeBlock } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { type Found, type LayerContext, type WeightFormat, wrong } from './layer-format.js';
import type { LayerSource } from './layer-source.js';
import { saidGroupSize } from './quantization-config.js';
import { groupSizeOf, requireMatrix, type Shaped } from './sizes.js';

/** Tensors of a layer, by the format's names. G = ceil(K / groupSize). */
export interface AwqTensors<T = RawTensor> {
  /** int32 (K, N / 8): nibble i of word c, from the lowest bits, is the code of output 8 c + ORDER[i]. */
  readonly qweight: T;
  /** int32 (G, N / 8): zero points in the same order. */
  readonly qzeros: T;
  /** float16, bfloat16 or float32 (G, N). */
  readonly scales: T;
}

/** Settings that AWQ's tensors leave open. */
export interface AwqOptions {
  /** `q_group_size` (`group_size`) of the configuration; -1: K. Default: K / G, which must be a whole number. */
  readonly groupSize?: number | undefined;
}

const ORDER = [0, 2, 4, 6, 1, 3, 5, 7] as const;
const TILE = 16; // Words in a cache line of 64 bytes.

function sizesOf({ qweight, scales }: AwqTensors<Shaped>, { groupSize }: AwqOptions) {
  const [k, columns] = requireMatrix(qweight);
  const [groups] = requireMatrix(scales);
  return { n: columns * 8, k, columns, groups, groupSize: groupSizeOf(groupSize, { k, groups, bits: 4, scales }) };
}

/** (K, N / 8) words along N → (N, ceil(K / 8)) words along K. */
function turn(words: Uint32Array, { k, columns }: { k: number; columns: number }): Uint32Array<ArrayBuffer> {
  const inRow = wordsOf(k, 4);
  const out = new Uint32Array(columns * 8 * inRow);
  const a = new Int32Array(8);
  for (let w0 = 0; w0 < inRow; w0 += TILE)
    for (let c = 0; c < columns; c++)
      for (let w = w0; w < Math.min(inRow, w0 + TILE); w++) {
        for (let j = 0; j < 8; j++) a[j] = 8 * w + j < k ? words[(8 * w + j) * columns + c]! : 0;
        transposeBlock(a, 4);
        for (let i = 0; i < 8; i++) out[(8 * c + ORDER[i]!) * inRow + w] = a[i]!;
      }
  return out;
}

/** (G, N / 8) words → (N, G) numbers. */
function zeroPointsOf(words: Uint32Array, { columns, groups }: { columns: number; groups: number }): Float32Array<ArrayBuffer> {
  const out = new Float32Array(columns * 8 * groups);
  for (let group = 0; group < groups; group++)
    for (let c = 0; c < columns; c++)
      for (let i = 0; i < 8; i++) out[(8 * c + ORDER[i]!) * groups + group] = (words[group * columns + c]! >>> (4 * i)) & 15;
  return out;
}

/**
 * Imports AWQ tensors of a layer: W[n, k] = scales[g, n] · (code[k, n] - zero[g, n]), without rounding.
 * @throws FormatError if shapes, dtypes or bytes differ from AwqTensors, or a scale is not finite
 * @example const matrix = importAwq({ qweight, qzeros, scales }, { groupSize: 128 });
 */
export function importAwq(tensors: AwqTensors, options: AwqOptions = {}): QuantizedMatrix {
  checkImport('awq', tensors, options);
  const { qweight, qzeros, scales } = tensors;
  const { n, k, columns, groups, groupSize } = sizesOf(tensors, options);
  requireShape(scales, [groups, n], 'a scale for each group and output');
  requireShape(qzeros, [groups, columns], 'a zero point for each group and output, eight in a word');
  return {
    n,
    k,
    bits: 4,
    codes: turn(asWords(qweight), { k, columns }),
    groupSize,
    scale: transpose(asFloats(scales), [groups, n]),
    scaleDtype: floatDtypeOf(scales.dtype),
    zeroPoint: zeroPointsOf(asWords(qzeros), { columns, groups }),
    zeroPointDtype: 'uint8',
  };
}

/**
 * An AWQ layer of a file. It can be read in pieces along k.
 * @throws FormatError
 * @example const source = awqLayer({ qweight, qzeros, scales }, { name: 'model.layers.0.mlp.up_proj', groupSize: 128 });
 */
export function awqLayer(
  tensors: AwqTensors<TensorInfo> & { readonly bias?: TensorInfo | undefined },
  options: AwqOptions & { readonly name: string },
): LayerSource {
  checkLayer('awq', tensors, options);
  const { qweight, qzeros, scales, bias } = tensors;
  const { n, k, groupSize } = sizesOf(tensors, options);
  return {
    name: options.name,
    format: 'AWQ',
    n,
    k,
    bits: 4,
    groupSize,
    tensors: { qweight, qzeros, scales },
    cut: groupSize < k ? { axis: 'k', unit: groupSize, perRow: { qweight: 1, qzeros: groupSize, scales: groupSize } } : undefined,
    bias,
    // The last piece may be shorter than a group.
    make: (read, size) => importAwq(read as unknown as AwqTensors, { groupSize: Math.min(groupSize, size.k) }),
  };
}

/** GPTQ and AWQ share their tensors' names. The configuration decides; without it, AWQ's words along N are an eighth of the scales' N. */
function isAwq({ qweight, scales }: Found, { config }: Pick<LayerContext, 'config'>): boolean {
  if (config.mlc) return config.mlc.endsWith('autoawq');
  if (config.method === 'auto-round' && config.packing) return /(^|:)(auto_)?awq$/.test(config.packing);
  if (config.method === 'awq' || config.method === 'gptq') return config.method === 'awq';
  return qweight!.shape[1] !== scales!.shape[1] && qweight!.shape[1]! * 8 === scales!.shape[1];
}

export const awqFormat: WeightFormat = {
  rows: [{ format: 'AWQ (GEMM)', tensors: '`qweight`, `qzeros`, `scales`', read: "4 bits, nibbles in AWQ's order along N", exact: '=' }],
  layers: [
    {
      name: 'AWQ',
      importer: 'importAwq',
      methods: ['awq', 'auto-round'],
      required: ['qweight', 'qzeros', 'scales'],
      optional: [],
      recognise: isAwq,
      make({ qweight, qzeros, scales }, { name, bias, config }) {
        if (config.version !== undefined && config.version !== 'gemm')
          throw wrong(qweight!, 'version', 'gemm (other versions pack along K)', config.version);
        const groupSize = saidGroupSize(config, qweight!.shape[0]!, scales!.shape[0]!);
        return awqLayer({ qweight: qweight!, qzeros: qzeros!, scales: scales!, bias }, { name, groupSize });
      },
    },
  ],
};
