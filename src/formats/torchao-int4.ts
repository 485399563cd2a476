// Imports torchao's int4 weight-only tensors in the names of its safetensors support: plain, or packed for the tinygemm kernels.
// Rules: github.com/pytorch/ao, quantization/quantize_/workflows/int4, prototype/safetensors; pytorch's ATen/native/cuda/int4mm.cu.

import { FormatError } from '../errors.js';
import { asFloats, asWords, at, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { widthOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { clearTail, flip, padRows, spreadNibbles, swapNibbles, transposeBlock } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import { inputScaleOf, requireInputScale } from './input-scales.js';
import { type Found, type LayerContext, type WeightFormat, wrong } from './layer-format.js';
import { bytesOf, headersOf, type LayerName, present } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { groupSizeOf, requireMatrix } from './sizes.js';
import { savedTensor } from './torchao-int8.js';

/** Tensors of an Int4Tensor, or of the plain form of older versions with scale_and_zero. */
export interface TorchaoInt4<T> {
  /** Two codes to a byte. U8: codes 0…15; I8: q of [-8, 7] in two's complement. (N, K / 2) */
  readonly qdata: T;
  /** (G, N). */
  readonly scale?: T | undefined;
  /** (G, N): the weight of code 8. */
  readonly zero_point?: T | undefined;
  /** BF16 (G, N, 2): scale, then the weight of code 8. */
  readonly scale_and_zero?: T | undefined;
  /** What x is multiplied by: (K), or one number for all inputs. */
  readonly act_pre_scale?: T | undefined;
}

/** Settings that torchao's plain int4 tensors leave open. */
export interface TorchaoInt4Options {
  /** The nibble of a byte with the even k. Tensors do not show it: it is low in Int4Tensor, high in older plain forms. */
  readonly nibbleOrder: 'even-high' | 'even-low';
  /** block_size[1]. Needed only if K is not a multiple of it. */
  readonly groupSize?: number | undefined;
}

/** Tensors of an Int4TilePackedTo4dTensor. */
export interface TorchaoTinygemm<T> {
  /** I32 (N / 8, K / (16 · innerKTiles), 32, innerKTiles / 2), N and K padded. */
  readonly qdata: T;
  /** BF16 (G, N, 2): scale, then the weight of code 8. */
  readonly scale_and_zero: T;
  /** As of TorchaoInt4. */
  readonly act_pre_scale?: T | undefined;
}

/** The weights' sizes without padding. */
export interface TorchaoTinygemmOptions {
  /** `shape` of the original tensor; default: the padded shape. */
  readonly n?: number | undefined;
  readonly k?: number | undefined;
}

/** (G, rows), with `stride` elements each from element `first` on → (n, kept), without padding. */
function pick(
  values: Float32Array,
  rows: number,
  { n, kept, stride = 1, first = 0 }: { n: number; kept: number; stride?: number; first?: number },
) {
  const out = new Float32Array(n * kept);
  for (let g = 0; g < kept; g++) for (let row = 0; row < n; row++) out[row * kept + g] = values[(g * rows + row) * stride + first]!;
  return out;
}

/** G, after checking the shapes for `rows` outputs. */
function groupCount(
  { qdata, scale, zero_point: zero, scale_and_zero: both }: TorchaoInt4<RawTensor>,
  rows: number,
): { readonly tensor: RawTensor; readonly groups: number } {
  const tensor = both ?? scale;
  if (!tensor || (!both && !zero))
    throw new FormatError(at(qdata, 'beside it'), 'scale and zero_point, or scale_and_zero', tensor ? 'scale alone' : 'neither');
  requireDtype(tensor, 'F16', 'BF16', 'F32');
  const groups = tensor.shape[0] ?? 0;
  if (groups < 1) throw new FormatError(at(tensor, 'shape'), 'at least one group', showShape(tensor.shape));
  requireShape(tensor, both ? [groups, rows, 2] : [groups, rows], `groups of ${rows} outputs`);
  if (!both) requireShape(zero!, [groups, rows], 'as scale');
  return { tensor, groups };
}

function planInt4(tensors: TorchaoInt4<RawTensor>, { groupSize: said }: TorchaoInt4Options) {
  requireDtype(tensors.qdata, 'U8', 'I8');
  const [n, half] = requireMatrix(tensors.qdata);
  const { tensor, groups } = groupCount(tensors, n);
  requireInputScale(tensors.act_pre_scale, 2 * half);
  return { n, k: 2 * half, groupSize: groupSizeOf(said, { k: 2 * half, bits: 4, groups, scales: tensor }) };
}

/** The matrix with its scales, those of inputs too, and minimum = zero - 8 · scale. */
function withParameters(
  matrix: Omit<QuantizedMatrix, 'scale' | 'scaleDtype'>,
  tensors: Omit<TorchaoInt4<RawTensor>, 'qdata'>,
): QuantizedMatrix {
  const { scale_and_zero: both, scale: scales, zero_point: zeros } = tensors;
  const size = { n: matrix.n, kept: Math.ceil(matrix.k / matrix.groupSize) };
  const rows = (both ?? scales)!.shape[1]!;
  const values = asFloats((both ?? scales)!);
  const scale = both ? pick(values, rows, { ...size, stride: 2 }) : pick(values, rows, size);
  const minimum = both ? pick(values, rows, { ...size, stride: 2, first: 1 }) : pick(asFloats(zeros!), rows, size);
  for (let i = 0; i < minimum.length; i++) minimum[i] = minimum[i]! - 8 * scale[i]!;
  if (!minimum.every(Number.isFinite))
    throw new FormatError(at((both ?? zeros)!, 'values'), 'zero - 8 · scale in the range of float32', 'more');
  return { ...matrix, scale, minimum, scaleDtype: 'float32', ...inputScaleOf(tensors.act_pre_scale, matrix.k) };
}

/**
 * Imports int4 weight-only tensors, two codes to a byte: W = (code - 8) · scale + zero. `minimum` is zero - 8 · scale, rounded once to
 * float32.
 *
 * Rule: torchao's Int4Tensor, and pack_int4 and int4_row_quantize_zp of fbgemm_gpu that make its data.
 * @throws FormatError
 * @example importTorchaoInt4({ qdata, scale, zero_point }, { nibbleOrder: 'even-low' })
 */
export function importTorchaoInt4(tensors: TorchaoInt4<RawTensor>, options: TorchaoInt4Options): QuantizedMatrix {
  checkImport('torchaoInt4', tensors, options);
  const { nibbleOrder } = options;
  if (nibbleOrder !== 'even-high' && nibbleOrder !== 'even-low')
    throw new FormatError(at(tensors.qdata, 'nibbleOrder'), 'even-high or even-low', String(nibbleOrder));
  const { n, k, groupSize } = planInt4(tensors, options);
  const words = padRows(bytesOf(tensors.qdata), n, k / 2);
  const codes = nibbleOrder === 'even-high' ? swapNibbles(words) : words;
  if (tensors.qdata.dtype === 'I8') clearTail(flip(codes, widthOf(4).signs), { k, bits: 4 });
  return withParameters({ n, k, bits: 4, codes, groupSize }, tensors);
}

function planTinygemm(tensors: TorchaoTinygemm<RawTensor>, { n: saidN, k: saidK }: TorchaoTinygemmOptions) {
  const { qdata, scale_and_zero: both } = tensors;
  requireDtype(qdata, 'I32', 'U32');
  const [tiles = 0, superTiles = 0, lanes, inner = 0] = qdata.shape;
  if (qdata.shape.length !== 4 || lanes !== 32 || ![1, 2, 4].includes(inner) || tiles < 1 || superTiles < 1)
    throw new FormatError(
      at(qdata, 'shape'),
      '(N / 8, K / (16 · innerKTiles), 32, innerKTiles / 2), innerKTiles 2, 4 or 8',
      showShape(qdata.shape),
    );
  const rows = 8 * tiles;
  const columns = superTiles * inner * 32;
  const { groups } = groupCount({ qdata, scale_and_zero: both }, rows);
  const wholeGroup = groupSizeOf(undefined, { k: columns, bits: 4, groups, scales: both });
  const [n, k] = [saidN ?? rows, saidK ?? columns];
  if (n > rows || n < 1 || k > columns || k < 1)
    throw new FormatError(at(qdata, 'shape'), `at least N, K = ${n}, ${k}`, `${rows}, ${columns}`);
  requireInputScale(tensors.act_pre_scale, k);
  return { n, k, columns, inner, superTiles, groupSize: Math.min(wholeGroup, k) };
}

/**
 * Imports int4 weight-only tensors in the layout of CUDA's tinygemm kernels: W = (code - 8) · scale + zero, `minimum` rounded once to
 * float32. Word (t, s, lane, i) belongs to output 8 · t + lane / 4. With k0 = 32 · (s · innerKTiles / 2 + i) + 2 · (lane mod 4), its
 * nibbles, lowest first, are k0, k0 + 8, k0 + 16, k0 + 24, then the same + 1. ROCm's packing has the same shape and another order, and
 * cannot be recognized.
 *
 * Rule: matrix_to_m16n8k16_Bint4_layout in pytorch's int4mm.cu, and the packing of bytes in Int4TilePackedTo4dTensor.from_hp.
 * @throws FormatError
 * @example importTorchaoTinygemm({ qdata, scale_and_zero }, { n: 4096, k: 4096 })
 */
export function importTorchaoTinygemm(tensors: TorchaoTinygemm<RawTensor>, options: TorchaoTinygemmOptions = {}): QuantizedMatrix {
  checkImport('torchaoTinygemm', tensors, options);
  const { n, k, columns, inner, superTiles, groupSize } = planTinygemm(tensors, options);
  const packed = asWords(tensors.qdata);
  const words = Math.ceil(k / 8);
  const codes = new Uint32Array(n * words);
  const lanes = new Int32Array(4);
  for (let row = 0; row < n; row++)
    for (let block = 0; block < columns / 32; block++) {
      // 32 k of one output: one word of each of four lanes; byte j of each goes to word j.
      const start = (((row >>> 3) * superTiles + Math.floor(block / inner)) * 32 + 4 * (row & 7)) * inner + (block % inner);
      for (let lane = 0; lane < 4; lane++) {
        const word = packed[start + lane * inner]!;
        lanes[lane] = spreadNibbles(word) | (spreadNibbles(word >>> 16) << 4);
      }
      transposeBlock(lanes, 8);
      const to = row * words + 4 * block;
      for (let j = 0; j < 4 && 4 * block + j < words; j++) codes[to + j] = lanes[j]!;
    }
  clearTail(codes, { k, bits: 4 });
  return withParameters({ n, k, bits: 4, codes, groupSize }, tensors);
}

/** A layer of a file. Its scales are (G, N), so it is read in one piece. @throws FormatError */
export function torchaoInt4Layer(tensors: TorchaoInt4<TensorInfo>, given: TorchaoInt4Options & LayerName): LayerSource {
  checkLayer('torchaoInt4', tensors, given);
  const { name, bias, ...options } = given;
  return {
    name,
    format: 'torchao int4',
    bits: 4,
    ...planInt4(headersOf({ ...tensors }), options),
    tensors: present({ ...tensors }),
    cut: undefined,
    bias,
    make: (part) => importTorchaoInt4(part as unknown as TorchaoInt4<RawTensor>, options),
  };
}

/** A layer of a file. Its scales are (G, N, 2), so it is read in one piece. @throws FormatError */
export function torchaoTinygemmLayer(tensors: TorchaoTinygemm<TensorInfo>, given: TorchaoTinygemmOptions & LayerName): LayerSource {
  checkLayer('torchaoTinygemm', tensors, given);
  const { name, bias, ...options } = given;
  const { n, k, groupSize } = planTinygemm(headersOf({ ...tensors }), options);
  return {
    name,
    format: 'torchao int4 tinygemm',
    n,
    k,
    bits: 4,
    groupSize,
    tensors: present({ ...tensors }),
    cut: undefined,
    bias,
    make: (part) => importTorchaoTinygemm(part as unknown as TorchaoTinygemm<RawTensor>, options),
  };
}

function makeInt4(tensors: Found, context: LayerContext): LayerSource {
  const { name, bias, torchao } = context;
  const { _weight_qdata: qdata, _weight_scale: scale, _weight_zero_point: zero_point, _weight_scale_and_zero: scale_and_zero } = tensors;
  const { _weight_act_pre_scale: act_pre_scale } = tensors;
  const { type, blockSize, shape } = savedTensor(context);
  if (qdata!.shape.length === 4)
    return torchaoTinygemmLayer(
      { qdata: qdata!, scale_and_zero: scale_and_zero!, act_pre_scale },
      { name, bias, n: shape?.[0], k: shape?.[1] },
    );
  // Int4Tensor's bytes are always pack_int4's.
  const nibbleOrder = torchao?.nibbleOrder ?? (type === 'Int4Tensor' ? 'even-low' : undefined);
  if (!nibbleOrder) throw wrong(qdata!, 'nibbleOrder', 'one said: even-high or even-low, or Int4Tensor in the metadata', type ?? 'none');
  const groups = (scale ?? scale_and_zero)!.shape[0];
  const groupSize = groups === 1 ? undefined : (torchao?.groupSize ?? blockSize);
  return torchaoInt4Layer({ qdata: qdata!, scale, zero_point, scale_and_zero, act_pre_scale }, { name, bias, nibbleOrder, groupSize });
}

const made = { methods: ['torchao'], optional: ['_weight_act_pre_scale'], make: makeInt4 };
const both = ['_weight_qdata', '_weight_scale_and_zero'];

export const torchaoInt4Format: WeightFormat = {
  rows: [
    {
      format: 'torchao int4',
      tensors:
        '`_weight_qdata`, `_weight_scale`, `_weight_zero_point`; or `_weight_qdata`, `_weight_scale_and_zero`; `_weight_act_pre_scale`',
      read: "plain (`nibbleOrder`) and tinygemm's tiles, with a scale for each input",
      exact: '1',
    },
  ],
  layers: [
    {
      ...made,
      name: 'torchao int4',
      importer: 'importTorchaoInt4',
      required: ['_weight_qdata', '_weight_scale', '_weight_zero_point'],
      recognise: (_, context) => !savedTensor(context).type?.startsWith('Intx'),
    },
    {
      ...made,
      name: 'torchao int4 tinygemm',
      importer: 'importTorchaoTinygemm',
      required: both,
      recognise: ({ _weight_qdata: qdata }) => qdata!.shape.length === 4,
    },
    { ...made, name: 'torchao int4', importer: 'importTorchaoInt4', required: both },
  ],
};
