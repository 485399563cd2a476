// Imports the int4 weights of NVIDIA's ModelOpt (quant_algo W4A16_AWQ), as its unified export for Hugging Face writes them.
// Rules: github.com/NVIDIA/Model-Optimizer, modelopt/torch/export/quant_utils.py (pack_int4_in_uint8, postprocess_state_dict), and
// W4A16_AWQ_LinearMethod of TensorRT-LLM, which multiplies x by pre_quant_scale.
import { FormatError } from '../errors.js';
import { asFloats, at, floatDtypeOf, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { widthOf, wordsOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { clearTail, flip, gatherNibbles, padRows } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { inputScaleOf, requireInputScale } from './input-scales.js';
import type { WeightFormat } from './layer-format.js';
import { bytesOf, headersOf, type LayerName, present } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { groupSizeOf, requireMatrix } from './sizes.js';

/** Tensors of a layer of ModelOpt's W4A16_AWQ. */
export interface ModelOptInt4<T> {
  /** U8 (N / 2, K): int4 in two's complement. Output 2 · row lies in the low nibbles, 2 · row + 1 in the high ones. */
  readonly weight: T;
  /** (N, G): K / G weights share one. */
  readonly weight_scale: T;
  /** What x is multiplied by: (K). Absent where it was merged with the layer before. */
  readonly pre_quant_scale?: T | undefined;
}

/** The sizes, after all checks of headers. */
function planOf({ weight, weight_scale: scale, pre_quant_scale }: ModelOptInt4<RawTensor>) {
  requireDtype(weight, 'U8');
  requireDtype(scale, 'F16', 'BF16', 'F32');
  const [half, k] = requireMatrix(weight);
  const n = 2 * half;
  const groups = scale.shape[1] ?? 0;
  if (groups < 1 || k % groups !== 0)
    throw new FormatError(at(scale, 'shape'), `(${n}, groups), which divide K = ${k}`, showShape(scale.shape));
  requireShape(scale, [n, groups], `groups of ${n} outputs`);
  requireInputScale(pre_quant_scale, k);
  return { n, k, groupSize: groupSizeOf(undefined, { k, bits: 4, groups, scales: scale }) };
}

/**
 * Imports int4 weights with a scale for each group and one for each input: W = q · weight_scale, and x ∘ pre_quant_scale meets it.
 *
 * Rule: pack_int4_in_uint8 of ModelOpt.
 * @throws FormatError
 * @example importModelOptInt4({ weight, weight_scale, pre_quant_scale })
 */
export function importModelOptInt4(tensors: ModelOptInt4<RawTensor>): QuantizedMatrix {
  checkImport('modelOptInt4', tensors, {});
  const { n, k, groupSize } = planOf(tensors);
  const { weight, weight_scale: scale, pre_quant_scale } = tensors;
  const bytes = padRows(bytesOf(weight), n / 2, k); // four k of two outputs in a word
  const [wide, words] = [Math.ceil(k / 4), wordsOf(k, 4)];
  const codes = new Uint32Array(n * words);
  for (let row = 0; row < n / 2; row++)
    for (let j = 0; j < words; j++) {
      const from = row * wide + 2 * j;
      const [low, high] = [bytes[from]!, 2 * j + 1 < wide ? bytes[from + 1]! : 0];
      codes[2 * row * words + j] = gatherNibbles(low) | (gatherNibbles(high) << 16);
      codes[(2 * row + 1) * words + j] = gatherNibbles(low >>> 4) | (gatherNibbles(high >>> 4) << 16);
    }
  return {
    ...{ n, k, bits: 4, groupSize },
    codes: clearTail(flip(codes, widthOf(4).signs), { k, bits: 4 }),
    scale: asFloats(scale),
    scaleDtype: floatDtypeOf(scale.dtype),
    ...inputScaleOf(pre_quant_scale, k),
  };
}

/** A layer of a file, read in pieces along n. @throws FormatError */
export function modelOptInt4Layer(tensors: ModelOptInt4<TensorInfo>, options: LayerName): LayerSource {
  checkLayer('modelOptInt4', tensors, options);
  const { name, bias } = options;
  return {
    name,
    format: 'ModelOpt int4',
    bits: 4,
    ...planOf(headersOf({ ...tensors })),
    tensors: present({ ...tensors }),
    cut: { axis: 'n', unit: 4, perRow: { weight: 2, weight_scale: 1, ...(tensors.pre_quant_scale && { pre_quant_scale: 0 }) } },
    bias,
    make: (part) => importModelOptInt4(part as unknown as ModelOptInt4<RawTensor>),
  };
}

export const modelOptFormat: WeightFormat = {
  rows: [
    {
      format: 'ModelOpt int4 (W4A16_AWQ)',
      tensors: '`weight`, `weight_scale`, `pre_quant_scale`',
      read: 'int4 in pairs along N, with a scale for each input',
      exact: '=',
    },
  ],
  layers: [
    {
      name: 'ModelOpt int4',
      importer: 'importModelOptInt4',
      methods: ['modelopt'],
      required: ['weight', 'weight_scale'],
      optional: ['pre_quant_scale'],
      // Others keep bytes beside a `weight_scale`, too, but none of half as many rows as there are scales.
      recognise: ({ weight, weight_scale: scale }) =>
        weight!.dtype === 'U8' && weight!.shape.length === 2 && scale!.shape.length === 2 && 2 * weight!.shape[0]! === scale!.shape[0],
      make: ({ weight, weight_scale, pre_quant_scale }, { name, bias }) =>
        modelOptInt4Layer({ weight: weight!, weight_scale: weight_scale!, pre_quant_scale }, { name, bias }),
    },
  ],
};
