// HQQ, half-quadratic quantization: codes of 1 to 8 bits with float zero points. Only groups along k (axis 1).
// Rules: github.com/mobiusml/hqq, core/quantize.py (Quantizer, HQQLinear.state_dict) and core/bitpack.py.

import { FormatError } from '../errors.js';
import { asFloats, at, ELEMENT_BYTES, elementsIn, floatDtypeOf, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { type CodeBits, largestCode, middleCode, widthFor } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { gatherNibbles, padRows, splitNibbles } from './code-words.js';
import { flatGroups } from './flat-groups.js';
import { checkImport, checkLayer, checkMeta } from './given.js';
import type { WeightFormat } from './layer-format.js';
import { asWholeNumbers, headersOf, type LayerName, requireList } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';

/** Tensors of a layer, by the format's names. */
export interface Hqq<T> {
  /** Packed codes of the grouped matrix (N · K / group_size, group_size): U8, or I32 for 3 bits, or the same bytes as floats. */
  readonly W_q: T;
  /** F16, BF16 or F32: one for each row of the grouped matrix, or one for all. */
  readonly scale: T;
  /** As scale; the code of weight 0, a float. */
  readonly zero: T;
}

/** Settings that state_dict saves as small tensors; hqqMeta reads them. */
export interface HqqMeta {
  /** `shape`: N, K. */
  readonly shape: readonly [number, number];
  readonly packing: string;
  /** Default: a group is a row. */
  readonly group_size?: number | undefined;
  readonly axis: number;
}

interface Packing {
  readonly bits: number;
  readonly parts: number;
  /** Bytes of a packed word. */
  readonly bytes: 1 | 4;
}

/** Part p of packed row r is row p · (packed rows) + r of the grouped matrix; the first part is in the highest bits. */
const PACKINGS: Readonly<Record<string, Packing>> = {
  '8bit_u8': { bits: 8, parts: 1, bytes: 1 },
  '4bit_u8': { bits: 4, parts: 2, bytes: 1 },
  '3bit_32': { bits: 3, parts: 10, bytes: 4 },
  '2bit_u8': { bits: 2, parts: 4, bytes: 1 },
  '1bit_u8': { bits: 1, parts: 8, bytes: 1 },
};

const ascii = (tensor: RawTensor): string => String.fromCharCode(...asWholeNumbers(tensor));

/**
 * Reads the settings that HQQ saves as tensors: integers as U8, I32 or I64, text as U8 of its letters.
 * @throws FormatError
 */
export function hqqMeta(
  tensors: Readonly<Record<'shape' | 'packing', RawTensor> & Partial<Record<'group_size' | 'axis', RawTensor>>>,
): HqqMeta {
  checkImport('hqqMeta', tensors, {});
  const { shape, packing, group_size, axis } = tensors;
  const [n, k, ...more] = asWholeNumbers(shape);
  if (!Number.isSafeInteger(n) || !Number.isSafeInteger(k) || n! < 1 || k! < 1 || more.length > 0)
    throw new FormatError(at(shape, 'values'), 'N and K', asWholeNumbers(shape).join(', '));
  return {
    shape: [n!, k!],
    packing: ascii(packing),
    group_size: group_size && asWholeNumbers(group_size)[0],
    axis: axis ? asWholeNumbers(axis)[0]! : 0, // HQQ's default
  };
}

function planOf({ W_q: packed, scale, zero }: Hqq<RawTensor>, { shape: [n, k], packing, group_size, axis }: HqqMeta) {
  const rule = PACKINGS[packing];
  if (!rule) throw new FormatError(at(packed, 'packing'), Object.keys(PACKINGS).join(' or '), packing);
  requireDtype(packed, ...(rule.bytes === 1 ? ['U8'] : ['I32']), 'F16', 'BF16', 'F32'); // floats: view_as_float
  const whole = elementsIn(scale.shape) === 1;
  // Along axis 0 a group is a column of W.reshape(group_size, -1), so no scale is shared along k.
  if (axis !== 1 && !whole)
    throw new FormatError(
      at(packed, 'axis'),
      '1: groups along k (axis 0 groups share no scale along k, so no kernel here multiplies them)',
      String(axis),
    );
  const block = whole ? n * k : (group_size ?? k);
  if (!Number.isSafeInteger(block) || block < 1 || (n * k) % block !== 0)
    throw new FormatError(at(packed, 'group_size'), `a divisor of N · K = ${n * k}`, String(block));
  const { bits } = widthFor(rule.bits);
  const groups = flatGroups(packed, { n, k, bits, block });
  // With one scale for all (channel_wise: false) the matrix is packed without groups, whatever group_size says.
  const rows = whole ? n : (n * k) / block;
  const packedRows = Math.ceil(rows / rule.parts);
  if (packing !== '3bit_32' && rows % rule.parts !== 0)
    throw new FormatError(at(packed, 'group_size'), `rows of groups in ${rule.parts} equal parts`, `${rows} rows`);
  const bytes = packedRows * ((n * k) / rows) * rule.bytes;
  // If codes are stored as floats, the shape is that of the codes.
  const misplaced = !/F/.test(packed.dtype) && packed.shape[0] !== packedRows;
  if (misplaced || elementsIn(packed.shape) * ELEMENT_BYTES[packed.dtype]! !== bytes)
    throw new FormatError(
      at(packed, 'shape'),
      `${bytes} bytes for ${showShape([n, k])} in ${packing}`,
      `${packed.dtype} ${showShape(packed.shape)}`,
    );
  for (const tensor of [scale, zero]) {
    requireDtype(tensor, 'F16', 'BF16', 'F32');
    const count = (n * k) / block;
    requireList(tensor, count, `${count} values, one for each group`);
  }
  return { n, k, bits, rule, groups, part: packedRows * ((n * k) / rows) };
}

/** Packed bytes or words → one run of nibbles without padding; part p of all words gives `words.length` nibbles. */
function unpack(bytes: Uint8Array, { bits, parts, bytes: width }: Packing, count: number): Uint32Array<ArrayBuffer> {
  const quads = padRows(bytes, 1, bytes.byteLength);
  const words = width === 4 ? quads : bytes;
  const out = new Uint32Array(Math.ceil(count / 8));
  const mask = largestCode(bits);
  for (let p = 0; p < parts; p++) {
    const start = p * words.length;
    const length = Math.min(words.length, count - start);
    const shift = bits * (parts - 1 - p);
    let i = 0;
    // Eight at once if the part starts at a word of `out`.
    if (start % 8 === 0 && width === 1)
      for (const masks = mask * 0x01010101; i + 8 <= length; i += 8) {
        const low = (quads[i >>> 2]! >>> shift) & masks;
        const high = (quads[(i >>> 2) + 1]! >>> shift) & masks;
        out[(start + i) >>> 3] = gatherNibbles(low) | (gatherNibbles(high) << 16);
      }
    for (; i < length; i++) out[(start + i) >>> 3]! |= ((words[i]! >>> shift) & mask) << (4 * ((start + i) & 7));
  }
  return out;
}

/** Rounds zero points so that middle - zero is a float32. */
function exactFrom(middle: number, zeros: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const out = new Float32Array(zeros.length);
  for (let i = 0; i < out.length; i++) out[i] = middle - Math.fround(middle - zeros[i]!);
  return out;
}

/** Zero points in their own dtype, if that is the scales' too. */
function zeroPoints(
  { scale, zero }: Hqq<RawTensor>,
  { bits, spread }: { readonly bits: CodeBits; readonly spread: (values: Float32Array<ArrayBuffer>) => Float32Array },
): Pick<QuantizedMatrix, 'zeroPoint' | 'zeroPointDtype' | 'scaleDtype'> {
  const zeros = asFloats(zero);
  if (scale.dtype !== zero.dtype) return { zeroPoint: spread(exactFrom(middleCode(bits), zeros)), scaleDtype: 'float32' };
  const dtype = floatDtypeOf(scale.dtype);
  return { zeroPoint: spread(zeros), zeroPointDtype: dtype, scaleDtype: dtype };
}

/**
 * Imports an HQQ layer: W = (code - zero) · scale, with a float zero point. Zero points stay as they are if they have the scales' dtype;
 * otherwise 2^(bits-1) - zero is rounded to float32. Codes of 1 bit become 2 bits. HQQ rounds (code - zero) and the product to its
 * compute_dtype; here the weight is rounded once.
 *
 * Rule: HQQ's Quantizer.dequantize and BitPack.
 * @throws FormatError
 * @example importHqq({ W_q, scale, zero }, { shape: [4096, 4096], packing: '4bit_u8', group_size: 64, axis: 1 })
 */
export function importHqq(tensors: Hqq<RawTensor>, meta: HqqMeta): QuantizedMatrix {
  checkImport('hqq', tensors, {});
  checkMeta(meta, 'meta');
  const { n, k, bits, rule, groups, part } = planOf(tensors, meta);
  const bytes = tensors.W_q.bytes;
  if (bytes.byteLength !== part * rule.bytes)
    throw new FormatError(at(tensors.W_q, 'bytes'), String(part * rule.bytes), String(bytes.byteLength));
  const codes = rule.parts === 1 ? padRows(bytes, n, k) : splitNibbles(unpack(bytes, rule, n * k), n, k);
  return {
    n,
    k,
    bits,
    codes,
    groupSize: groups.groupSize,
    scale: groups.spread(asFloats(tensors.scale)),
    ...zeroPoints(tensors, { bits, spread: groups.spread }),
  };
}

/** A layer of a file. A word has codes of distant rows, so the layer is read in one piece. @throws FormatError */
export function hqqLayer(tensors: Hqq<TensorInfo>, options: LayerName & { readonly meta: HqqMeta }): LayerSource {
  checkLayer('hqq', tensors, options);
  const { name, bias, meta } = options;
  checkMeta(meta, 'meta');
  const { n, k, bits, groups } = planOf(headersOf({ ...tensors }), meta);
  const { W_q, scale, zero } = tensors;
  return {
    name,
    format: `HQQ ${meta.packing}`,
    n,
    k,
    bits,
    groupSize: groups.groupSize,
    tensors: { W_q, scale, zero },
    cut: undefined,
    bias,
    make: (part) => importHqq(part as unknown as Hqq<RawTensor>, meta),
  };
}

const SAVED = ['nbits', 'view_as_float', 'unpack_view_dtype', 'compute_dtype', 'quant_zero', 'quant_scale', 'channel_wise', 'optimize'];

export const hqqFormat: WeightFormat = {
  rows: [
    {
      format: 'HQQ',
      tensors: '`W_q`, `scale`, `zero`, `shape`, `packing`, `group_size`, `axis`',
      read: '1, 2, 3, 4 and 8 bits along K',
      exact: '1',
    },
  ],
  layers: [
    {
      name: 'HQQ',
      importer: 'importHqq',
      methods: ['hqq'],
      required: ['W_q', 'scale', 'zero', 'shape', 'packing'],
      optional: ['group_size', 'axis'],
      settings: ['shape', 'packing', 'group_size', 'axis'],
      ignored: [...SAVED, 'round_zero', 'offload_meta', 'encoded_state_dict', 'stores_quant_config'],
      make: ({ W_q, scale, zero }, { name, bias, settings }) =>
        hqqLayer({ W_q: W_q!, scale: scale!, zero: zero! }, { name, bias, meta: hqqMeta(settings as Parameters<typeof hqqMeta>[0]) }),
    },
  ],
};
