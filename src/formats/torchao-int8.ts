// Imports torchao's int8 weight-only tensors, and Intx: narrower codes in bytes, with zero points; in the names of its safetensors support.
// Rules: github.com/pytorch/ao, quantization/quantize_/workflows/int8 and intx, prototype/safetensors.
import { FormatError } from '../errors.js';
import { asFloats, at, floatDtypeOf, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { type CodeBits, FILE_BITS, widthFor, widthOf, widthOfDtype } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { type CodeShape, codesOfInt8, narrowInt8 } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { inputScaleOf, requireInputScale } from './input-scales.js';
import { type LayerContext, type WeightFormat, wrong } from './layer-format.js';
import { bytesOf, forOutputs, granularityOf, headersOf, type LayerName, present, requireAlike } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { groupSizeOf, requireMatrix } from './sizes.js';

/** Tensors of an Int8Tensor, or of an IntxUnpackedToInt8Tensor. */
export interface TorchaoInt8<T> {
  /** I8 (N, K). */
  readonly qdata: T;
  /** F16, BF16 or F32: (N, 1), (N), or (1, 1) for the whole tensor; of Intx (N, G). */
  readonly scale: T;
  /** What x is multiplied by: (K), or one number for all inputs. */
  readonly act_pre_scale?: T | undefined;
  /** Intx: I8 of the scale's shape. */
  readonly zero_point?: T | undefined;
}

/** What torchao's metadata says of an IntxUnpackedToInt8Tensor. */
export interface TorchaoInt8Options {
  /** Of target_dtype: q lies in [-2^(bits-1), 2^(bits-1) - 1]. Default: 8. */
  readonly bits?: number | undefined;
}

/** The sizes, after all checks of headers. */
function planOf(
  { qdata, scale, zero_point: zero, act_pre_scale: inputScale }: TorchaoInt8<RawTensor>,
  { bits: said = widthOfDtype('int8')!.bits }: TorchaoInt8Options,
) {
  requireDtype(qdata, 'I8');
  requireDtype(scale, 'F16', 'BF16', 'F32');
  const [n, k] = requireMatrix(qdata);
  if (!FILE_BITS.some((bits) => bits === said) && said !== 1)
    throw new FormatError(at(qdata, 'target_dtype'), `int1 or int${FILE_BITS.join(' or int')}`, `int${said}`);
  const { bits } = widthFor(said);
  const { granularity, groups } = granularityOf(scale, n);
  requireInputScale(inputScale, k);
  if (zero) {
    requireDtype(zero, 'I8');
    requireAlike(zero, scale, n);
  }
  return { n, k, bits, granularity, groupSize: groupSizeOf(undefined, { k, bits, groups, scales: scale }) };
}

/** int8 → numbers from 0 on, less the least number of the width. @throws FormatError for one that the width does not have */
function zeroPointsOf(zero: RawTensor, bits: CodeBits): Float32Array<ArrayBuffer> {
  const { mask, zero: middle } = widthOf(bits);
  const values = Float32Array.from(bytesOf(zero), (byte) => ((byte << 24) >> 24) + middle);
  const bad = values.findIndex((value) => value < 0 || value > mask);
  if (bad >= 0)
    throw new FormatError(at(zero, `element ${bad}`), `a zero point of [${-middle}, ${mask - middle}]`, `${values[bad]! - middle}`);
  return values;
}

/** @throws FormatError for a q that the width does not have */
function codesOf(qdata: RawTensor, { n, k, bits }: CodeShape): Uint32Array<ArrayBuffer> {
  if (widthOf(bits).mask === 255) return codesOfInt8(bytesOf(qdata), n, k); // every int8 is a code
  const codes = narrowInt8(bytesOf(qdata), { n, k, bits });
  if (typeof codes !== 'number') return codes;
  const { name, zero } = widthOf(bits);
  throw new FormatError(at(qdata, `element ${codes}`), `an ${name} of [${-zero}, ${zero - 1}]`, String((qdata.bytes[codes]! << 24) >> 24));
}

/**
 * Imports int8 weight-only and Intx tensors: W = (q - zero_point) · scale, without rounding.
 *
 * Rule: torchao's Int8Tensor, and dequantize of IntxUnpackedToInt8Tensor.
 * @throws FormatError
 * @example importTorchaoInt8({ qdata, scale })
 */
export function importTorchaoInt8(tensors: TorchaoInt8<RawTensor>, options: TorchaoInt8Options = {}): QuantizedMatrix {
  checkImport('torchaoInt8', tensors, options);
  const { n, k, bits, groupSize, granularity } = planOf(tensors, options);
  const { qdata, scale, zero_point: zero } = tensors;
  return {
    n,
    k,
    bits,
    codes: codesOf(qdata, { n, k, bits }),
    groupSize,
    scale: forOutputs(asFloats(scale), n, granularity),
    scaleDtype: floatDtypeOf(scale.dtype),
    ...inputScaleOf(tensors.act_pre_scale, k),
    ...(zero && { zeroPoint: forOutputs(zeroPointsOf(zero, bits), n, granularity), zeroPointDtype: 'uint8' }),
  };
}

/** A layer of a file, read in pieces along n. @throws FormatError */
export function torchaoInt8Layer(tensors: TorchaoInt8<TensorInfo>, given: TorchaoInt8Options & LayerName): LayerSource {
  checkLayer('torchaoInt8', tensors, given);
  const { name, bias, ...options } = given;
  const { n, k, bits, groupSize, granularity } = planOf(headersOf({ ...tensors }), options);
  const rows = granularity === 'tensor' ? 0 : 1;
  return {
    name,
    format: tensors.zero_point ? 'torchao Intx' : 'torchao int8',
    n,
    k,
    bits,
    groupSize,
    tensors: present({ ...tensors }),
    cut: {
      axis: 'n',
      unit: 4,
      perRow: {
        qdata: 1,
        scale: rows,
        ...(tensors.zero_point && { zero_point: rows }),
        ...(tensors.act_pre_scale && { act_pre_scale: 0 }),
      },
    },
    bias,
    make: (part) => importTorchaoInt8(part as unknown as TorchaoInt8<RawTensor>, options),
  };
}

interface SavedTensor {
  readonly type?: string | undefined;
  readonly blockSize?: number | undefined;
  readonly shape?: readonly number[] | undefined;
  /** Of target_dtype, a torch.dtype such as int4. */
  readonly bits?: number | undefined;
}

/** torchao's metadata of a tensor: JSON under its name in the safetensors metadata. */
export function savedTensor({ metadata, name }: Pick<LayerContext, 'metadata' | 'name'>): SavedTensor {
  try {
    const { _type, _data } = JSON.parse(String(metadata[name === '' ? 'weight' : `${name}.weight`]));
    const numbers = (value: unknown) => (Array.isArray(value) && value.every(Number.isSafeInteger) ? (value as number[]) : undefined);
    const [, bits] = /^int([1-8])$/.exec(String(_data?.target_dtype?._data)) ?? [];
    const sizes = { blockSize: numbers(_data?.block_size)?.at(-1), shape: numbers(_data?.shape) };
    return { type: String(_type), ...sizes, bits: bits === undefined ? undefined : Number(bits) };
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
    {
      format: 'torchao Intx',
      tensors: '`_weight_qdata`, `_weight_scale`, `_weight_zero_point`',
      read: 'values of 1 to 8 bits in bytes; 1 as 2, 7 as 8',
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
    {
      name: 'torchao Intx',
      importer: 'importTorchaoInt8',
      methods: ['torchao'],
      required: ['_weight_qdata', '_weight_scale', '_weight_zero_point'],
      optional: [],
      recognise: ({ _weight_qdata: qdata }, context) => qdata!.dtype === 'I8' && savedTensor(context).type === 'IntxUnpackedToInt8Tensor',
      make({ _weight_qdata: qdata, _weight_scale: scale, _weight_zero_point: zero_point }, context) {
        const { bits } = savedTensor(context);
        if (bits === undefined) throw wrong(qdata!, 'target_dtype', 'one in the metadata of torchao', 'none');
        return torchaoInt8Layer({ qdata: qdata!, scale: scale!, zero_point }, { name: context.name, bias: context.bias, bits });
      },
    },
  ],
};
