// Imports MLC-LLM's group quantization (q4f16_1 and others) from q_weight and q_scale. files/mlc-cache.ts opens the shards.
// Rule: mlc-llm, python/mlc_llm/quantization/group_quantization.py and the table in quantization.py.

import { FormatError } from '../errors.js';
import { asFloats, asWords, floatDtypeOf, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { codesInWord, isBits, largestCode } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { clearTail, flip, spreadWords, transpose, trim } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { type WeightFormat, wrong } from './layer-format.js';
import type { LayerSource } from './layer-source.js';
import { requireMatrix, type Shaped, where } from './sizes.js';

/** Tensors of a layer, by the format's names. G = ceil(K / group_size), S = G · words of a group. */
export interface MlcTensors<T = RawTensor> {
  /** uint32 (N, S), or (S, N) if linear_weight_layout is KN: codes along K, the first k in the lowest bits. */
  readonly q_weight: T;
  /** The model's dtype (N, G), or (G, N). */
  readonly q_scale: T;
}

interface Kind {
  /** quantize_dtype. Its 2^(bits-1) - 1, max_int_value, is the zero point. */
  readonly bits: 3 | 4;
  /** group_size. */
  readonly group: number;
  /** linear_weight_layout. */
  readonly layout: 'NK' | 'KN';
  /** model_dtype by safetensors' name. */
  readonly dtype: 'F16' | 'BF16' | 'F32';
}

/** `quantization` of mlc-chat-config.json → the settings of a linear layer. */
export const MLC_KINDS = {
  q4f16_0: { bits: 4, group: 32, layout: 'KN', dtype: 'F16' },
  q4f16_1: { bits: 4, group: 32, layout: 'NK', dtype: 'F16' },
  q4f16_2: { bits: 4, group: 32, layout: 'NK', dtype: 'F16' },
  q4bf16_0: { bits: 4, group: 32, layout: 'KN', dtype: 'BF16' },
  q4bf16_1: { bits: 4, group: 32, layout: 'NK', dtype: 'BF16' },
  q4f32_1: { bits: 4, group: 32, layout: 'NK', dtype: 'F32' },
  q3f16_0: { bits: 3, group: 40, layout: 'KN', dtype: 'F16' },
  q3f16_1: { bits: 3, group: 40, layout: 'NK', dtype: 'F16' },
} as const satisfies Record<string, Kind>;

/** Settings that MLC's tensors leave open. */
export interface MlcOptions {
  /** `quantization` of mlc-chat-config.json. */
  readonly format: keyof typeof MLC_KINDS;
  /** K, if it is not a multiple of group_size; the tensors are padded to whole groups. */
  readonly k?: number | undefined;
}

function sizesOf({ q_weight, q_scale }: MlcTensors<Shaped>, { format, k: stated }: MlcOptions) {
  const kind: Kind | undefined = Object.hasOwn(MLC_KINDS, format) ? MLC_KINDS[format] : undefined;
  if (!kind) throw new FormatError(where(q_weight, 'format'), Object.keys(MLC_KINDS).join(', '), String(format));
  // Embeddings are (N, K) in every kind.
  const turned = kind.layout === 'KN' && !(q_scale.shape[0] === q_weight.shape[0] && q_scale.shape[1] !== q_weight.shape[1]);
  const inGroup = kind.group / codesInWord(kind.bits);
  const sizes = requireMatrix(q_weight);
  const [n, perRow] = turned ? [sizes[1], sizes[0]] : sizes;
  const groups = perRow / inGroup;
  if (!Number.isInteger(groups)) throw new FormatError(where(q_weight, 'shape'), `groups of ${inGroup} words`, `${perRow} words along K`);
  const k = stated ?? groups * kind.group;
  if (!Number.isSafeInteger(k) || Math.ceil(k / kind.group) !== groups)
    throw new FormatError(where(q_weight, 'k'), `one that ${groups} groups of ${kind.group} hold`, String(stated));
  return { n, k, perRow, groups, groupSize: Math.min(kind.group, k), kind, turned };
}

/** Every row's words → nibbles of 2^bits - 1 - code. */
function invert(words: Uint32Array<ArrayBuffer>, { n, k, bits, perRow }: { n: number; k: number; bits: Kind['bits']; perRow: number }) {
  const nibbles = isBits(bits) ? trim(words.slice(), { n, k, bits, perRow }) : spreadWords(words, { n, k, from: bits, perRow, bits });
  return clearTail(flip(nibbles, largestCode(bits) * 0x11111111), { k, bits });
}

function negate(values: Float32Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = -values[i]!;
  return out;
}

/**
 * Imports MLC tensors of a layer: W[n, k] = q_scale[n, g] · (code[n, k] - max_int_value), without rounding and without zero points. With 4
 * bits max_int_value is 7, and q_scale · (code - 7) = -q_scale · ((15 - code) - 8); with 3 bits q_scale · (code - 3) = -q_scale ·
 * ((7 - code) - 4): codes are inverted and scales negated. This is also right for the largest code, which MLC's quantizer does not make.
 * @throws FormatError if shapes, dtypes or bytes differ from MlcTensors, or a scale is not finite
 * @example const matrix = importMlc({ q_weight, q_scale }, { format: 'q4f16_1' });
 */
export function importMlc(tensors: MlcTensors, options: MlcOptions): QuantizedMatrix {
  checkImport('mlc', tensors, options);
  const { q_weight, q_scale } = tensors;
  const { n, k, perRow, groups, groupSize, kind, turned } = sizesOf(tensors, options);
  requireDtype(q_scale, kind.dtype);
  requireShape(q_scale, turned ? [groups, n] : [n, groups], 'a scale for each group and output');
  const words = turned ? transpose(asWords(q_weight), [perRow, n]) : asWords(q_weight);
  const scale = turned ? transpose(asFloats(q_scale), [groups, n]) : asFloats(q_scale);
  return {
    n,
    k,
    bits: kind.bits,
    codes: invert(words, { n, k, bits: kind.bits, perRow }),
    groupSize,
    scale: negate(scale),
    scaleDtype: floatDtypeOf(q_scale.dtype),
  };
}

/**
 * An MLC layer of a file. It is read in pieces along n, or along k if the layout is KN and groups are whole.
 * @throws FormatError
 * @example const source = mlcLayer({ q_weight, q_scale }, { name: 'model.layers.0.mlp.down_proj', format: 'q4f16_1' });
 */
export function mlcLayer(
  tensors: MlcTensors<TensorInfo> & { readonly bias?: TensorInfo | undefined },
  options: MlcOptions & { readonly name: string },
): LayerSource {
  checkLayer('mlc', tensors, options);
  const { q_weight, q_scale, bias } = tensors;
  const { n, k, groupSize, kind, turned } = sizesOf(tensors, options);
  const whole = k % kind.group === 0;
  const alongK = { axis: 'k', unit: kind.group, perRow: { q_weight: codesInWord(kind.bits), q_scale: kind.group } } as const;
  const alongN = { axis: 'n', unit: 4, perRow: { q_weight: 1, q_scale: 1 } } as const;
  return {
    name: options.name,
    format: `MLC ${options.format}`,
    n,
    k,
    bits: kind.bits,
    groupSize,
    tensors: { q_weight, q_scale },
    cut: turned ? (whole ? alongK : undefined) : alongN,
    bias,
    make: (read, size) => importMlc(read as unknown as MlcTensors, { format: options.format, k: size.k }),
  };
}

export const mlcFormat: WeightFormat = {
  rows: [
    {
      format: 'MLC q4f16_0/1/2, q4f32_1, q4bf16_0/1, q3f16_0/1',
      tensors: '`q_weight`, `q_scale`',
      read: '(q − 7) · s, either storage',
      exact: '=',
    },
  ],
  layers: [
    {
      name: 'MLC',
      importer: 'importMlc',
      methods: [],
      required: ['q_weight', 'q_scale'],
      optional: [],
      recognise: ({ q_scale }) => ['F16', 'BF16', 'F32'].includes(q_scale!.dtype),
      /** The kind comes from mlc-chat-config.json; without it, from shapes and the index's bits of a weight. */
      make({ q_weight, q_scale }, { name, bias, config, metadata }) {
        const perWeight = Number(metadata.BitsPerParam);
        if (!config.mlc && !Number.isFinite(perWeight))
          throw wrong(q_weight!, 'quantization', 'one said, as mlc-chat-config.json does', 'none');
        const dtype = ({ F16: 'f16', F32: 'f32', BF16: 'bf16' } as const)[q_scale!.dtype];
        const guess = `q${perWeight < 4 ? 3 : 4}${dtype}_${q_weight!.shape[0] === q_scale!.shape[0] ? 1 : 0}`;
        const format = config.mlc ?? guess;
        if (!Object.hasOwn(MLC_KINDS, format)) throw wrong(q_weight!, 'quantization', Object.keys(MLC_KINDS).join(' or '), format);
        return mlcLayer({ q_weight: q_weight!, q_scale: q_scale!, bias }, { name, format: format as keyof typeof MLC_KINDS });
      },
    },
  ],
};
