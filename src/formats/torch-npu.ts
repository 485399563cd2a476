// Imports state dicts of torch_npu's LinearWeightQuant: int8, or int4 eight to an int32, with scales, and offsets that are added before
// scaling.
// Rules: Ascend/pytorch, contrib/module/linear_weight_quant.py; op-plugin's npu_weight_quant_batchmatmul and
// npu_convert_weight_to_int4pack.
import { formatCast } from '../ascend/fractal-nz.js';
import { decodeQuantParam } from '../ascend/quant-param.js';
import { FormatError } from '../errors.js';
import { asFloats, asWords, at, floatDtypeOf, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { type Bits, CODE_WIDTHS, widthOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { codesOfSigned, transpose, transposeCodes } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { type WeightFormat, wrong } from './layer-format.js';
import {
  bytesOf,
  forOutputs,
  type Granularity,
  granularityOf,
  headersOf,
  inRows,
  type LayerName,
  present,
  requireAlike,
} from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { saidGroupSize } from './quantization-config.js';
import { groupSizeOf, requireMatrix } from './sizes.js';

/** Tensors of a layer, by the module's names. */
export interface TorchNpu<T> {
  /** I8 (N, K), or I32 (N, K / 8): eight q of [-8, 7] in two's complement, the first k in the lowest bits. */
  readonly weight: T;
  /** F16, BF16 or F32: (1), (N), (N, 1), (1, N) or (N, G); or I64 or U64, packed by npu_trans_quant_param. */
  readonly antiquant_scale: T;
  /** As antiquant_scale; I32 beside a packed one. Without it, 0. */
  readonly antiquant_offset?: T | undefined;
}

/** Settings that a torch_npu state dict leaves open. */
export interface TorchNpuOptions {
  /** antiquant_group_size of the module. Needed only if K is not a multiple of it. */
  readonly groupSize?: number | undefined;
  /** The weight is stored (K, N) or (K, N / 8), and scales (1, N) or (G, N). */
  readonly transposed?: boolean | undefined;
  /** FRACTAL_NZ: the weight's bytes are in Ascend's tiles (npu_format_cast to 29), which its shape does not show; pass n and k too. */
  readonly format?: 'ND' | 'FRACTAL_NZ' | undefined;
  readonly n?: number | undefined;
  readonly k?: number | undefined;
}

function sizesOf(weight: RawTensor, { transposed = false, format = 'ND', n, k }: TorchNpuOptions) {
  requireDtype(weight, ...CODE_WIDTHS.map(({ stored }) => stored));
  const { bits, inElement } = CODE_WIDTHS.find(({ stored }) => stored === weight.dtype)!;
  if (format === 'FRACTAL_NZ') {
    if (!n || !k) throw new FormatError(at(weight, 'n and k'), 'both said, for FRACTAL_NZ', 'none');
    return { n, k, bits };
  }
  const [rows, columns] = requireMatrix(weight);
  const found = transposed ? { n: columns * inElement, k: rows } : { n: rows, k: columns * inElement };
  if ((n !== undefined && n !== found.n) || (k !== undefined && k !== found.k))
    throw new FormatError(at(weight, 'shape'), `N, K = ${n ?? found.n}, ${k ?? found.k}`, `${found.n}, ${found.k}`);
  return { ...found, bits };
}

function planOf({ weight, antiquant_scale: scale, antiquant_offset: offset }: TorchNpu<RawTensor>, options: TorchNpuOptions) {
  const { n, k, bits } = sizesOf(weight, options);
  const packed = scale.dtype === 'I64' || scale.dtype === 'U64';
  requireDtype(scale, 'F16', 'BF16', 'F32', 'I64', 'U64');
  const turned = options.transposed && scale.shape.length === 2;
  const rows = (tensor: RawTensor): RawTensor => (turned ? { ...tensor, shape: [...tensor.shape].reverse() } : tensor);
  const { granularity, groups } = granularityOf(rows(scale), n, { flat: true });
  const groupSize = groupSizeOf(options.groupSize, { k, bits, groups, scales: scale });
  if (offset) {
    requireDtype(offset, ...(packed ? ['I32'] : ['F16', 'BF16', 'F32']));
    requireAlike(rows(offset), rows(scale), n, { flat: true });
  }
  return { n, k, bits, granularity, groups, groupSize, packed };
}

/** The weight's bytes in rows, for any layout, in new memory. */
function rowMajor(
  weight: RawTensor,
  { n, k, bits }: { n: number; k: number; bits: Bits },
  { transposed = false, format = 'ND' }: TorchNpuOptions,
): Uint8Array {
  const { array, dtype, inElement } = widthOf(bits);
  const width = array.BYTES_PER_ELEMENT;
  if (format !== 'FRACTAL_NZ') return bytesOf(weight, width);
  const shape = transposed ? [k, Math.ceil(n / inElement)] : [n, Math.ceil(k / inElement)];
  const bytes = weight.bytes.slice();
  const tiles = 32 / width; // elements in a row of a tile
  const expected = Math.ceil(shape[1]! / tiles) * Math.ceil(shape[0]! / 16) * 16 * 32;
  if (bytes.byteLength !== expected)
    throw new FormatError(at(weight, 'bytes'), `${expected} for tiles of ${showShape(shape)}`, String(bytes.byteLength));
  const cast = formatCast(new array(bytes.buffer), { shape, dtype, from: 'FRACTAL_NZ', to: 'ND' });
  return new Uint8Array(cast.buffer, cast.byteOffset, cast.byteLength);
}

function codesOf(weight: RawTensor, plan: { n: number; k: number; bits: Bits }, options: TorchNpuOptions): Uint32Array<ArrayBuffer> {
  const { n, k, bits } = plan;
  const bytes = rowMajor(weight, plan, options);
  const read = (rows: number, columns: number) => codesOfSigned(bytes, { n: rows, k: columns, bits });
  return options.transposed ? transposeCodes(read(k, n), k, n, bits) : read(n, k);
}

/** F16, BF16, F32 and I32 as numbers; a packed 64-bit scale as the factor of the operator. */
function numbersOf(tensor: RawTensor): Float32Array<ArrayBuffer> {
  if (tensor.dtype === 'I32') return Float32Array.from(new Int32Array(asWords(tensor).buffer));
  if (tensor.dtype !== 'I64' && tensor.dtype !== 'U64') return asFloats(tensor);
  const words = new Uint32Array(bytesOf(tensor, 8).slice().buffer);
  const out = Float32Array.from({ length: words.length / 2 }, (_, i) => decodeQuantParam(BigInt(words[2 * i]!)).scale);
  const bad = out.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new FormatError(at(tensor, `element ${bad}`), 'a finite scale', String(out[bad]));
  return out;
}

/**
 * Imports a state dict of LinearWeightQuant: W = (q + antiquant_offset) · antiquant_scale. zeroPoint is 2^(bits-1) - antiquant_offset:
 * exact for whole numbers, else rounded once to float32.
 *
 * Rule: torch_npu.npu_weight_quant_batchmatmul; npu_trans_quant_param for 64-bit scales; npu_format_cast for tiles.
 * @throws FormatError
 * @example importTorchNpu({ weight, antiquant_scale, antiquant_offset }, { groupSize: 128 })
 */
export function importTorchNpu(tensors: TorchNpu<RawTensor>, options: TorchNpuOptions = {}): QuantizedMatrix {
  checkImport('torchNpu', tensors, options);
  const { n, k, bits, granularity, groups, groupSize, packed } = planOf(tensors, options);
  const { weight, antiquant_scale: scale, antiquant_offset: offset } = tensors;
  const grouped = (values: Float32Array<ArrayBuffer>) =>
    forOutputs(options.transposed && granularity === 'group' ? transpose(values, [groups, n]) : values, n, granularity);
  return {
    n,
    k,
    bits,
    codes: codesOf(weight, { n, k, bits }, options),
    groupSize,
    scale: grouped(numbersOf(scale)),
    scaleDtype: packed ? 'float32' : floatDtypeOf(scale.dtype === offset?.dtype || !offset ? scale.dtype : 'F32'),
    ...(offset && { zeroPoint: grouped(numbersOf(offset)).map((value) => widthOf(bits).zero - value) as Float32Array<ArrayBuffer> }),
  };
}

/** Scales and offsets of (1, N) or (N, 1) as lists of N. */
const cutInRows = (
  { weight, antiquant_scale: scale, antiquant_offset: offset }: TorchNpu<TensorInfo>,
  n: number,
  granularity: Granularity,
) => ({
  weight,
  antiquant_scale: inRows(scale, n, granularity),
  antiquant_offset: offset && inRows(offset, n, granularity),
});

/** A layer of a file, read in pieces along n unless its weight is stored (K, N) or in tiles. @throws FormatError */
export function torchNpuLayer(tensors: TorchNpu<TensorInfo>, given: TorchNpuOptions & LayerName): LayerSource {
  checkLayer('torchNpu', tensors, given);
  const { name, bias, ...options } = given;
  const { n, k, bits, groupSize, granularity } = planOf(headersOf({ ...tensors }), options);
  const whole = options.transposed || options.format === 'FRACTAL_NZ';
  const scales = granularity === 'tensor' ? 0 : 1;
  return {
    name,
    format: `torch_npu int${bits}${options.format === 'FRACTAL_NZ' ? ' FRACTAL_NZ' : ''}`,
    n,
    k,
    bits,
    groupSize,
    tensors: present(whole ? { ...tensors } : cutInRows(tensors, n, granularity)),
    cut: whole
      ? undefined
      : {
          axis: 'n',
          unit: 4,
          perRow: { weight: 1, antiquant_scale: scales, ...(tensors.antiquant_offset && { antiquant_offset: scales }) },
        },
    bias,
    make: (part, size) => importTorchNpu(part as unknown as TorchNpu<RawTensor>, { ...options, ...size }),
  };
}

const METHODS = ['ascend', 'msmodelslim', 'modelslim'];

export const torchNpuFormat: WeightFormat = {
  rows: [
    {
      format: 'torch_npu',
      tensors: '`weight`, `antiquant_scale`, `antiquant_offset`, `bias`',
      read: 'int8, int4 in int32, transposed, FRACTAL_NZ (by an option)',
      exact: '=',
    },
    {
      format: 'msModelSlim W8A16',
      tensors: '`weight`, `weight_scale`, `weight_offset`, `bias`',
      read: 'int8: (q + weight_offset) · weight_scale',
      exact: '=',
    },
  ],
  layers: [
    {
      name: 'msModelSlim',
      importer: 'importTorchNpu',
      methods: METHODS,
      required: ['weight', 'weight_scale', 'weight_offset'],
      optional: [],
      recognise: ({ weight }) => weight!.dtype === 'I8',
      make({ weight, weight_scale, weight_offset }, { name, bias, config }) {
        const own = { weight: weight!, antiquant_scale: weight_scale!, antiquant_offset: weight_offset! };
        const [k = 0, groups = 1] = [weight!.shape[1], weight_scale!.shape[1]];
        const layer = torchNpuLayer(own, { name, bias, groupSize: saidGroupSize(config, k, groups) });
        return { ...layer, format: 'msModelSlim int8' };
      },
    },
    {
      name: 'torch_npu',
      importer: 'importTorchNpu',
      methods: METHODS,
      required: ['weight', 'antiquant_scale'],
      optional: ['antiquant_offset', 'quant_scale', 'quant_offset'],
      make(tensors, { name, bias, config, torchNpu: options }) {
        const { weight, antiquant_scale, antiquant_offset, quant_scale } = tensors;
        if (quant_scale)
          throw wrong(quant_scale, 'quant_scale', 'none: an int8 output is no part of a matrix (LinearWeightQuant takes it)', 'one');
        const axis = options?.transposed ? 0 : 1;
        const k = weight!.shape[axis]! * (weight!.dtype === 'I32' && !options?.transposed ? 8 : 1);
        const groups = antiquant_scale!.shape.length === 2 ? antiquant_scale!.shape[axis]! : 1;
        const groupSize = groups === 1 ? undefined : (options?.groupSize ?? saidGroupSize(config, options?.k ?? k, groups));
        return torchNpuLayer(
          { weight: weight!, antiquant_scale: antiquant_scale!, antiquant_offset },
          { ...options, name, bias, groupSize },
        );
      },
    },
  ],
};
