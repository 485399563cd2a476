// Imports torchao's int8 weight-only tensors in the names of its safetensors support.
// Rules: github.com/pytorch/ao, quantization/quantize_/workflows/int8, prototype/safetensors.
import { asFloats, floatDtypeOf, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { codesOfInt8 } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { inputScaleOf, requireInputScale } from './input-scales.js';
import type { LayerContext, WeightFormat } from './layer-format.js';
import { bytesOf, forOutputs, granularityOf, headersOf, type LayerName, present } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { groupSizeOf, requireMatrix } from './sizes.js';

/** Tensors of an Int8Tensor. */
export interface TorchaoInt8<T> {
  /** I8 (N, K). */
  readonly qdata: T;
  /** F16, BF16 or F32: (N, 1), (N), or (1, 1) for the whole tensor. */
  readonly scale: T;
  /** What x is multiplied by: (K), or one number for all inputs. */
  readonly act_pre_scale?: T | undefined;
}

/** The sizes, after all checks of headers. */
function planOf(tensors: TorchaoInt8<RawTensor>) {
  const { qdata, scale } = tensors;
  requireDtype(qdata, 'I8');
  requireDtype(scale, 'F16', 'BF16', 'F32');
  const [n, k] = requireMatrix(qdata);
  const { granularity, groups } = granularityOf(scale, n);
  requireInputScale(tensors.act_pre_scale, k);
  return { n, k, granularity, groupSize: groupSizeOf(undefined, { k, bits: 8, groups, scales: scale }) };
}

/**
 * Imports int8 weight-only tensors: W = q · scale, without rounding.
 *
 * Rule: torchao's Int8Tensor.
 * @throws FormatError
 * @example importTorchaoInt8({ qdata, scale })
 */
export function importTorchaoInt8(tensors: TorchaoInt8<RawTensor>): QuantizedMatrix {
  checkImport('torchaoInt8', tensors, {});
  const { n, k, groupSize, granularity } = planOf(tensors);
  const { qdata, scale } = tensors;
  return {
    n,
    k,
    bits: 8,
    codes: codesOfInt8(bytesOf(qdata), n, k),
    groupSize,
    scale: forOutputs(asFloats(scale), n, granularity),
    scaleDtype: floatDtypeOf(scale.dtype),
    ...inputScaleOf(tensors.act_pre_scale, k),
  };
}

/** A layer of a file, read in pieces along n. @throws FormatError */
export function torchaoInt8Layer(tensors: TorchaoInt8<TensorInfo>, options: LayerName): LayerSource {
  checkLayer('torchaoInt8', tensors, options);
  const { name, bias } = options;
  const { n, k, groupSize, granularity } = planOf(headersOf({ ...tensors }));
  return {
    name,
    format: 'torchao int8',
    n,
    k,
    bits: 8,
    groupSize,
    tensors: present({ ...tensors }),
    cut: {
      axis: 'n',
      unit: 4,
      perRow: { qdata: 1, scale: granularity === 'tensor' ? 0 : 1, ...(tensors.act_pre_scale && { act_pre_scale: 0 }) },
    },
    bias,
    make: (part) => importTorchaoInt8(part as unknown as TorchaoInt8<RawTensor>),
  };
}

interface SavedTensor {
  readonly type?: string | undefined;
  readonly blockSize?: number | undefined;
  readonly shape?: readonly number[] | undefined;
}

/** torchao's metadata of a tensor: JSON under its name in the safetensors metadata. */
export function savedTensor({ metadata, name }: Pick<LayerContext, 'metadata' | 'name'>): SavedTensor {
  try {
    const { _type, _data } = JSON.parse(String(metadata[name === '' ? 'weight' : `${name}.weight`]));
    const numbers = (value: unknown) => (Array.isArray(value) && value.every(Number.isSafeInteger) ? (value as number[]) : undefined);
    return { type: String(_type), blockSize: numbers(_data?.block_size)?.at(-1), shape: numbers(_data?.shape) };
  } catch {
    return {}; // absent, or not torchao's
  }
}

export const torchaoInt8Format: WeightFormat = {
  rows: [
    {
      format: 'torchao int8',
      tensors: '`_weight_qdata`, `_weight_scale`, `_weight_act_pre_scale`',
      read: 'int8, with a scale for each input',
      exact: '=',
    },
  ],
  layers: [
    {
      name: 'torchao int8',
      importer: 'importTorchaoInt8',
      methods: ['torchao'],
      required: ['_weight_qdata', '_weight_scale'],
      optional: ['_weight_act_pre_scale'],
      recognise: ({ _weight_qdata: qdata }, context) => qdata!.dtype === 'I8' && !savedTensor(context).type?.startsWith('Intx'),
      make: ({ _weight_qdata: qdata, _weight_scale: scale, _weight_act_pre_scale: act_pre_scale }, { name, bias }) =>
        torchaoInt8Layer({ qdata: qdata!, scale: scale!, act_pre_scale }, { name, bias }),
    },
  ],
};
