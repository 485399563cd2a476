// bitsandbytes' NF4 and FP4 layers (Linear4bit), and ONNX's node with the same blocks, MatMulBnb4. bitsandbytes.ts has int8.
// Rules: github.com/bitsandbytes-foundation/bitsandbytes, functional.py (QuantState, dequantize_4bit, get_4bit_type).

import { FormatError } from '../errors.js';
import { asFloats, at, ELEMENT_BYTES, elementsIn, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { padRows, splitNibbles, swapNibbles } from './code-words.js';
import { type FlatGroups, flatGroups, gcd } from './flat-groups.js';
import { checkImport, checkLayer, checkState } from './given.js';
import { attribute, type Found, type FoundNode, type LayerFormat, type WeightFormat } from './layer-format.js';
import { bytesOf, headerOf, headersOf, type LayerName, present, requireList } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { parseQuantState, type QuantState } from './quant-state.js';

/** Tensors of a Linear4bit; a name X.weight.absmax is `absmax` here. */
export interface BitsAndBytes4<T> {
  /** ceil(N · K / 2) bytes of any dtype and shape: element 2i of W, flattened, in the high nibble of byte i. */
  readonly weight: T;
  /** F32: the scale of each block. U8 codes with double quantization. */
  readonly absmax: T;
  /** F32 (16): the values of the codes. */
  readonly quant_map: T;
  /** F32: the scale of each nested_blocksize elements of absmax. */
  readonly nested_absmax?: T | undefined;
  /** F32 (256): the values of absmax's codes. */
  readonly nested_quant_map?: T | undefined;
}

/** bitsandbytes' codebooks as float32. */
export const BNB4_CODES: Readonly<Record<'nf4' | 'fp4', readonly number[]>> = {
  nf4: [
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1,
  ],
  fp4: [0, 0.0625 / 12, 8 / 12, 1, 4 / 12, 6 / 12, 2 / 12, 3 / 12, -0, -0.0625 / 12, -8 / 12, -1, -4 / 12, -6 / 12, -2 / 12, -3 / 12],
};

/** The groups of a layer, after all checks of headers. */
function plan4({ weight, absmax, quant_map, nested_absmax, nested_quant_map }: BitsAndBytes4<RawTensor>, state: QuantState): FlatGroups {
  const [n, k] = state.shape;
  const bytes = Math.ceil((n * k) / 2);
  // bitsandbytes transposes a matrix of shape (1, bytes).
  const turned = weight.shape.length === 2 && weight.shape[0] === 1 && weight.shape[1] !== 1;
  if (turned || elementsIn(weight.shape) * (ELEMENT_BYTES[weight.dtype] ?? 0) !== bytes)
    throw new FormatError(
      at(weight, 'shape'),
      `${bytes} bytes for ${showShape([n, k])} of 4 bits`,
      `${weight.dtype} ${showShape(weight.shape)}`,
    );
  const blocks = Math.ceil((n * k) / state.blocksize);
  requireList(absmax, blocks, 'one for each block');
  requireShape(quant_map, [16]);
  const nested = absmax.dtype === 'U8';
  if (nested !== (nested_absmax !== undefined) || nested !== (nested_quant_map !== undefined))
    throw new FormatError(
      at(absmax, 'dtype'),
      nested ? 'nested_absmax and nested_quant_map beside U8' : 'U8 beside nested_absmax',
      nested ? 'none' : absmax.dtype,
    );
  if (nested) {
    const { nested_blocksize: size, nested_offset: offset } = state;
    if (size === undefined || offset === undefined)
      throw new FormatError(at(absmax, 'quant_state'), 'nested_blocksize and nested_offset for absmax of U8', 'none');
    requireShape(nested_quant_map!, [256]);
    const count = Math.ceil(blocks / size);
    requireList(nested_absmax!, count, 'one for each block of absmax');
  } else requireDtype(absmax, 'F32', 'F16', 'BF16');
  return flatGroups(weight, { n, k, bits: 4, block: state.blocksize });
}

/** absmax as numbers. Double quantization: nested_quant_map[code] · nested_absmax + nested_offset in float32, as in dequantize_4bit. */
function scalesOf({ absmax, nested_absmax, nested_quant_map }: BitsAndBytes4<RawTensor>, state: QuantState): Float32Array<ArrayBuffer> {
  if (absmax.dtype !== 'U8') return asFloats(absmax);
  const codes = bytesOf(absmax);
  const largest = asFloats(nested_absmax!);
  const table = asFloats(nested_quant_map!);
  const offset = Math.fround(state.nested_offset!);
  const size = state.nested_blocksize!;
  const out = new Float32Array(codes.length);
  for (let i = 0; i < out.length; i++) out[i] = Math.fround(table[codes[i]!]! * largest[Math.floor(i / size)]!) + offset;
  return out;
}

/** Bytes with the first of two elements in the high nibble, without padding of rows → words. */
const codesOfFlat = (bytes: Uint8Array, n: number, k: number): Uint32Array<ArrayBuffer> =>
  splitNibbles(swapNibbles(padRows(bytes, 1, bytes.byteLength)), n, k);

/**
 * Imports an NF4 or FP4 layer: W = quant_map[code] · absmax, without rounding. Scales of double quantization are rounded to float32 as by
 * bitsandbytes.
 *
 * Rule: bitsandbytes' dequantize_4bit, QuantState.
 * @throws FormatError, also if a block ends inside a word of codes of a row, in a matrix of several rows
 * @example importBitsAndBytes4({ weight, absmax, quant_map }, parseQuantState(state))
 */
export function importBitsAndBytes4(tensors: BitsAndBytes4<RawTensor>, state: QuantState): QuantizedMatrix {
  checkImport('bitsAndBytes4', tensors, {});
  checkState(state, 'state');
  const groups = plan4(tensors, state);
  const [n, k] = state.shape;
  return {
    n,
    k,
    bits: 4,
    codes: codesOfFlat(bytesOf(tensors.weight, ELEMENT_BYTES[tensors.weight.dtype]!), n, k),
    groupSize: groups.groupSize,
    scale: groups.spread(scalesOf(tensors, state)),
    scaleDtype: 'float32',
    codebook: asFloats(tensors.quant_map),
  };
}

/**
 * Imports the weight of ONNX's com.microsoft.MatMulBnb4 from its inputs and attributes: W = table[code] · absmax, without rounding.
 *
 * Rule: onnxruntime's docs/ContribOperators.md and blockwise_quant_block_bnb4.h. quant_type 0 is FP4, 1 NF4.
 * @param tensors B: U8, ceil(N · K / 2) bytes. absmax: F32, F16 or BF16, ceil(N · K / block_size)
 * @throws FormatError
 * @example importMatMulBnb4({ B, absmax }, { N: 4096, K: 4096, quant_type: 1, block_size: 64 })
 */
export function importMatMulBnb4(
  tensors: { readonly B: RawTensor; readonly absmax: RawTensor },
  attributes: { readonly N: number; readonly K: number; readonly quant_type: number; readonly block_size: number },
): QuantizedMatrix {
  checkImport('matMulBnb4', tensors, attributes);
  const { B, absmax } = tensors;
  const { N, K, quant_type, block_size } = attributes;
  const type = (['fp4', 'nf4'] as const)[quant_type];
  if (!type) throw new FormatError(at(B, 'quant_type'), '0, FP4, or 1, NF4', String(quant_type));
  for (const [field, value] of Object.entries({ N, K, block_size }))
    if (!Number.isSafeInteger(value) || value < 1) throw new FormatError(at(B, field), 'a whole number of at least 1', String(value));
  requireDtype(B, 'U8');
  requireDtype(absmax, 'F32', 'F16', 'BF16');
  const table = Float32Array.from(BNB4_CODES[type]);
  const quant_map: RawTensor = { name: type, dtype: 'F32', shape: [16], bytes: new Uint8Array(table.buffer) };
  return importBitsAndBytes4({ weight: B, absmax, quant_map }, { quant_type: type, blocksize: block_size, shape: [N, K] });
}

/** The same bytes with the shape (rows, bytes / rows). */
const inRows = (info: TensorInfo, rows: number): TensorInfo => ({ ...info, shape: [rows, elementsIn(info.shape) / rows] });

/**
 * A layer of a file. It is read in pieces along n if rows are whole bytes and whole blocks, and with double quantization if some number of
 * rows is whole nested blocks. `state` is the result of parseQuantState.
 * @throws FormatError
 */
export function bitsAndBytes4Layer(tensors: BitsAndBytes4<TensorInfo>, options: LayerName & { readonly state: QuantState }): LayerSource {
  checkLayer('bitsAndBytes4', tensors, options);
  const { name, bias, state } = options;
  checkState(state, 'state');
  const { groupSize } = plan4(headersOf({ ...tensors }), state);
  const [n, k] = state.shape;
  const { nested_absmax, nested_quant_map } = tensors;
  const perRow = k / state.blocksize;
  // Number of rows that fill whole blocks of absmax.
  const nestedRows = nested_absmax ? state.nested_blocksize! / gcd(state.nested_blocksize!, perRow) : 1;
  const cuts = k % 2 === 0 && Number.isInteger(perRow) && n % nestedRows === 0;
  const weight = { ...tensors.weight, dtype: 'U8', shape: [Math.ceil((n * k) / 2), 1] };
  const shaped = cuts && {
    weight: inRows(weight, n),
    absmax: inRows(tensors.absmax, n),
    ...(nested_absmax && { nested_absmax: inRows(nested_absmax, n / nestedRows) }),
  };
  return {
    name,
    format: `bitsandbytes ${state.quant_type.toUpperCase()}`,
    n,
    k,
    bits: 4,
    groupSize,
    tensors: present({ ...tensors, ...(shaped || {}) }),
    cut: cuts
      ? {
          axis: 'n',
          unit: nestedRows % 4 === 0 ? nestedRows : 4 * nestedRows,
          perRow: {
            weight: 1,
            absmax: 1,
            quant_map: 0,
            ...(nested_absmax && { nested_absmax: nestedRows }),
            ...(nested_quant_map && { nested_quant_map: 0 }),
          },
        }
      : undefined,
    bias,
    make(part, size) {
      const flat = Object.entries(part).map(([name, tensor]) => [name, { ...tensor, shape: [elementsIn(tensor.shape)] }]);
      const tensors: BitsAndBytes4<RawTensor> = shaped ? Object.fromEntries(flat) : (part as unknown as BitsAndBytes4<RawTensor>);
      return importBitsAndBytes4(tensors, { ...state, shape: [size.n, size.k] });
    },
  };
}

/** The layer of an ONNX node, read in one piece. @throws FormatError */
function nodeLayer(tensors: Found, found: FoundNode): LayerSource {
  const [N, K, block_size, quant_type] = ['N', 'K', 'block_size', 'quant_type'].map((name) => attribute(found, name)) as [
    number,
    number,
    number,
    number,
  ];
  const attributes = { N, K, block_size, quant_type };
  for (const [field, value] of Object.entries({ N, K, block_size }))
    if (value < 1) throw new FormatError({ file: found.file, tensor: found.name, field }, 'a whole number of at least 1', String(value));
  const { groupSize } = flatGroups(headerOf(tensors.B!), { n: N, k: K, bits: 4, block: block_size });
  return {
    name: found.name,
    format: `MatMulBnb4 ${quant_type === 1 ? 'NF4' : 'FP4'}`,
    n: N,
    k: K,
    bits: 4,
    groupSize,
    tensors,
    cut: undefined,
    bias: undefined,
    make: (part) => importMatMulBnb4(part as unknown as { readonly B: RawTensor; readonly absmax: RawTensor }, attributes),
  };
}

const named = (type: 'nf4' | 'fp4'): LayerFormat => {
  const state = `weight.quant_state.bitsandbytes__${type}`;
  return {
    name: `bitsandbytes ${type.toUpperCase()}`,
    importer: 'importBitsAndBytes4',
    methods: ['bitsandbytes'],
    required: ['weight', 'weight.absmax', 'weight.quant_map', state],
    optional: ['weight.nested_absmax', 'weight.nested_quant_map'],
    settings: [state],
    make(tensors, { name, bias, settings }) {
      const { [state]: _, ...parts } = tensors;
      const own = Object.fromEntries(Object.entries(parts).map(([part, info]) => [part.replace('weight.', ''), info]));
      return bitsAndBytes4Layer(own as unknown as BitsAndBytes4<TensorInfo>, { name, bias, state: parseQuantState(settings[state]!) });
    },
  };
};

export const bitsAndBytes4Format: WeightFormat = {
  rows: [
    {
      format: 'bitsandbytes 4 bits',
      tensors: '`weight`, `weight.absmax`, `weight.quant_map`, `weight.nested_absmax`, `weight.nested_quant_map`, `weight.quant_state…`',
      read: 'NF4 and FP4, doubly quantized too',
      exact: '= , doubly quantized 1',
    },
    { format: 'ONNX MatMulBnb4', tensors: '`B`, `absmax` of a node', read: 'NF4 and FP4', exact: '=' },
  ],
  layers: [named('nf4'), named('fp4')],
  nodes: [{ op: 'MatMulBnb4', name: 'MatMulBnb4', importer: 'importMatMulBnb4', inputs: ['', 'B', 'absmax'], make: nodeLayer }],
};
