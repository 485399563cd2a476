// GPTQ (`quant_method: gptq`) as AutoGPTQ and GPTQModel pack it, in both checkpoint formats.
// Rules: AutoGPTQ, nn_modules/qlinear/qlinear_cuda_old.py (pack and forward); gptq_v2: AutoGPTQ pull request 640.

import { FormatError } from '../errors.js';
import { asFloats, asWords, at, floatDtypeOf, type RawTensor, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { BLOCK, codesInWord, largestCode, middleCode } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { inOrder, sortByGroup } from './act-order.js';
import { transpose, valueAt, widen } from './code-words.js';
import { gcd } from './flat-groups.js';
import { checkImport, checkLayer } from './given.js';
import { type Found, type LayerContext, type WeightFormat, wrong } from './layer-format.js';
import type { LayerSource } from './layer-source.js';
import { saidGroupSize } from './quantization-config.js';
import { groupSizeOf, requireMatrix, type Shaped, where } from './sizes.js';

/** Tensors of a layer, by the format's names. G = ceil(K / groupSize). */
export interface GptqTensors<T = RawTensor> {
  /** int32 (K · bits / 32, N): codes packed along K, the first k in the lowest bits; of 3 bits, 32 codes in three words without gaps. */
  readonly qweight: T;
  /** int32 (G, ceil(N · bits / 32)): zero points packed along N in the same way. Absent: all 2^(bits-1). */
  readonly qzeros?: T | undefined;
  /** float16, bfloat16 or float32 (G, N). */
  readonly scales: T;
  /** int32 (K): the group of each input. Absent, or all 0: k / groupSize. */
  readonly g_idx?: T | undefined;
}

/** Settings that GPTQ's tensors leave open. */
export interface GptqOptions {
  /** `bits` of quantize_config.json. */
  readonly bits: 2 | 3 | 4 | 8;
  /** `group_size` of quantize_config.json; -1: K. Default: K / G, which must be a whole number. */
  readonly groupSize?: number | undefined;
  /**
   * Form of qzeros. `gptq` (v1): zero - 1 in `bits` bits; 1 is added and the carry dropped. `gptq_v2`: the zero point. `auto` (default): v2
   * if every stored value is 2^(bits-1), else v1. Some files of symmetric weights say `gptq` and store 2^(bits-1) (vLLM pull request
   * 38966), while v1 stores 2^(bits-1) - 1. The only v1 file that `auto` reads wrongly has 2^(bits-1) + 1 as every zero point. An
   * asymmetric v2 file looks like v1: pass `gptq_v2`, which is its `checkpoint_format`. GPTQModel subtracts 1 from whole words of a v1
   * file, so that a zero point of 0 borrows from the next one; it is read like AutoGPTQ's kernels do, each value separately.
   */
  readonly checkpointFormat?: 'gptq' | 'gptq_v2' | 'auto' | undefined;
}

const BITS: readonly number[] = [2, 3, 4, 8] satisfies GptqOptions['bits'][];

function sizesOf({ qweight, scales }: GptqTensors<Shaped>, { bits, groupSize }: GptqOptions) {
  if (!BITS.includes(bits)) throw new FormatError(where(qweight, 'bits'), '2, 3, 4 or 8', String(bits));
  const [rows, n] = requireMatrix(qweight);
  if ((rows * 32) % bits !== 0)
    throw new FormatError(where(qweight, 'shape'), `rows of whole codes, 3 words for 32 of them`, `${rows} rows for ${bits} bits`);
  const k = (rows * 32) / bits;
  const [groups] = requireMatrix(scales);
  return { n, k, rows, groups, bits, groupSize: groupSizeOf(groupSize, { k, groups, bits, scales }) };
}

function zeroPointsOf(qzeros: RawTensor | undefined, { n, groups, options }: { n: number; groups: number; options: GptqOptions }) {
  const { bits, checkpointFormat = 'auto' } = options;
  const middle = middleCode(bits);
  if (qzeros === undefined) return undefined;
  const perRow = Math.ceil((n * bits) / 32);
  requireShape(qzeros, [groups, perRow], 'zero points packed along N');
  const words = asWords(qzeros);
  const zeros = new Float32Array(n * groups);
  for (let group = 0; group < groups; group++)
    for (let index = 0; index < n; index++) zeros[index * groups + group] = valueAt(words, { base: group * perRow, index, bits });
  const version = checkpointFormat === 'auto' ? (zeros.every((zero) => zero === middle) ? 'gptq_v2' : 'gptq') : checkpointFormat;
  if (version === 'gptq_v2') return zeros;
  const mask = largestCode(bits);
  return zeros.map((zero) => (zero + 1) & mask);
}

/**
 * Imports GPTQ tensors of a layer: W[n, k] = scales[g_idx[k], n] · (code[k, n] - zero[g_idx[k], n]), without rounding. Columns of an
 * act-order layer (`desc_act`) are sorted by group, and `permutation` gives the input of each.
 * @throws FormatError if shapes, dtypes or bytes differ from GptqTensors, a scale is not finite, g_idx names a group that does not exist, or
 * a group does not have groupSize inputs
 * @example const matrix = importGptq({ qweight, qzeros, scales, g_idx }, { bits: 4, groupSize: 128 });
 */
export function importGptq(tensors: GptqTensors, options: GptqOptions): QuantizedMatrix {
  checkImport('gptq', tensors, options);
  const { qweight, qzeros, scales, g_idx } = tensors;
  const { n, k, rows, groups, bits, groupSize } = sizesOf(tensors, options);
  requireShape(scales, [groups, n], 'a scale for each group and output');
  if (g_idx) requireShape(g_idx, [k], 'a group for each input');
  const permutation = g_idx && sortByGroup(g_idx, { k, groupSize });
  const turned = transpose(asWords(qweight), [rows, n]);
  const from = options.bits;
  const codes = from === 2 || from === 3 ? widen(turned, { n, k, from, perRow: rows }) : turned;
  const scale = transpose(asFloats(scales), [groups, n]);
  const zeroPoint = zeroPointsOf(qzeros, { n, groups, options });
  const zeros = zeroPoint && ({ zeroPoint, zeroPointDtype: 'uint8' } as const);
  return inOrder({ n, k, bits, codes, groupSize, scale, scaleDtype: floatDtypeOf(scales.dtype), ...zeros }, permutation);
}

/** Settings of a layer of a file from `quantize_config.json`. */
export interface GptqLayerOptions extends GptqOptions {
  readonly name: string;
  /** `desc_act` of quantize_config.json. If it is false, g_idx is known to be k / groupSize before it is read. */
  readonly descAct?: boolean | undefined;
  /** `sym` of quantize_config.json. If it is true, all parts of qzeros show the same checkpoint format. */
  readonly symmetric?: boolean | undefined;
}

/** Checks that g_idx of a part, or of the layer, is in order. @throws FormatError */
function requireOrder(g_idx: RawTensor, { k, groupSize }: { k: number; groupSize: number }): void {
  requireShape(g_idx, [k], 'a group for each input');
  const index = asWords(g_idx);
  const first = index[0]!;
  const bad = index.findIndex((group, i) => group !== first + Math.floor(i / groupSize));
  if (bad >= 0 && index.some((group) => group !== 0))
    throw new FormatError(at(g_idx, `element ${bad}`), `group ${first + Math.floor(bad / groupSize)} without desc_act`, String(index[bad]));
}

/**
 * A GPTQ layer of a file. It is read in pieces along k if the configuration says that g_idx is in order, and the checkpoint format is given
 * or the same for every piece.
 * @throws FormatError
 * @example const source = gptqLayer({ qweight, qzeros, scales, g_idx }, { name: 'model.layers.0.mlp.up_proj', bits: 4, descAct: false });
 */
export function gptqLayer(tensors: GptqTensors<TensorInfo> & { readonly bias?: TensorInfo | undefined }, o: GptqLayerOptions): LayerSource {
  checkLayer('gptq', tensors, o);
  const { qweight, qzeros, scales, g_idx, bias } = tensors;
  const { n, k, bits, groupSize } = sizesOf(tensors, o);
  const sure = (o.checkpointFormat ?? 'auto') !== 'auto' || o.symmetric === true || !qzeros;
  const ordered = !g_idx || o.descAct === false;
  const inWord = codesInWord(o.bits);
  const inPieces = sure && ordered && groupSize < k && 32 % o.bits === 0 && groupSize % inWord === 0;
  const perRow = { qweight: inWord, ...(qzeros && { qzeros: groupSize }), scales: groupSize, ...(g_idx && { g_idx: 1 }) };
  return {
    name: o.name,
    format: 'GPTQ',
    n,
    k,
    bits,
    groupSize,
    tensors: { qweight, ...(qzeros && { qzeros }), scales, ...(g_idx && { g_idx }) },
    cut: inPieces ? { axis: 'k', unit: (groupSize * BLOCK) / gcd(groupSize, BLOCK), perRow } : undefined, // whole groups, and whole blocks of the packed layout
    bias,
    make(read, size) {
      const { g_idx: order, ...rest } = read as unknown as GptqTensors;
      if (inPieces && order) requireOrder(order, { k: size.k, groupSize });
      // The last piece may be shorter than a group.
      const options = { ...o, groupSize: Math.min(groupSize, size.k) };
      return importGptq(inPieces ? rest : { ...rest, g_idx: order }, options);
    },
  };
}

/** Bits of GPTQ's codes: from other tensors that hold K or N, since layers may differ; or from the configuration. */
function bitsOf({ qweight, qzeros, scales, g_idx }: Found, { config }: LayerContext): GptqOptions['bits'] {
  const [rows = 0, n = 0] = qweight!.shape;
  const seen = [
    g_idx?.shape[0] ? (rows * 32) / g_idx.shape[0] : undefined,
    qzeros && scales!.shape[1] === n ? (qzeros.shape[1]! * 32) / n : undefined,
    config.bits,
  ];
  const bits = seen.find((value) => value === 2 || value === 3 || value === 4 || value === 8);
  if (!bits) throw wrong(qweight!, 'bits', '2, 3, 4 or 8, in the configuration or by g_idx or qzeros', String(config.bits ?? 'none'));
  return bits as GptqOptions['bits'];
}

/** AutoRound's packings, with the form of their zero points. auto_round/inference/convert_model.py. */
const PACKINGS: Readonly<Record<string, GptqOptions['checkpointFormat']>> = {
  auto_round: 'gptq_v2',
  'auto_round:gptqmodel': 'gptq_v2',
  auto: 'gptq',
  'auto_round:gptq': 'gptq',
  'auto_round:auto_gptq': 'gptq',
};

/** The form of qzeros, if the configuration has it. */
function checkpointOf({ qweight }: Found, { config }: LayerContext): GptqOptions['checkpointFormat'] {
  const { method, packing = 'auto', checkpointFormat = 'gptq', symmetric } = config;
  const said = method === 'auto-round' ? PACKINGS[packing] : checkpointFormat;
  if (said !== 'gptq' && said !== 'gptq_v2')
    throw method === 'auto-round'
      ? wrong(qweight!, 'packing_format', Object.keys(PACKINGS).join(' or '), packing)
      : wrong(qweight!, 'checkpoint_format', 'gptq or gptq_v2', checkpointFormat);
  // Files of symmetric weights say `gptq` and may have either form, as may files without a setting: importGptq looks at the values.
  const sure = said === 'gptq_v2' || (symmetric === false && (method === 'auto-round' || config.checkpointFormat !== undefined));
  return sure ? said : 'auto';
}

export const gptqFormat: WeightFormat = {
  rows: [
    {
      format: 'GPTQ',
      tensors: '`qweight`, `qzeros`, `scales`, `g_idx`',
      read: '2, 3, 4 and 8 bits; v1 (zero − 1) and v2; act-order by a permutation',
      exact: '=',
    },
  ],
  layers: [
    {
      name: 'GPTQ',
      importer: 'importGptq',
      methods: ['gptq', 'gptqmodel', 'auto-round'],
      required: ['qweight', 'scales'],
      optional: ['qzeros', 'g_idx'],
      make(tensors, context) {
        const { name, bias, config } = context;
        const { qweight, qzeros, scales, g_idx: index } = tensors as { qweight: TensorInfo; scales: TensorInfo } & Found;
        const g_idx = index?.shape.includes(0) ? undefined : index; // GPTQModel writes an empty one without act-order
        const bits = bitsOf(tensors, context);
        const checkpointFormat = checkpointOf(tensors, context);
        const k = g_idx?.shape[0] ?? (qweight.shape[0]! * 32) / bits;
        const groupSize = saidGroupSize(config, k, scales.shape[0]!);
        const { descAct, symmetric } = config;
        return gptqLayer({ qweight, qzeros, scales, g_idx, bias }, { name, bits, groupSize, checkpointFormat, descAct, symmetric });
      },
    },
  ],
};
