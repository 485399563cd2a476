// bitsandbytes: int8 rows, and NF4 and FP4 blocks, as its layers save them; and ONNX's node of the same 4-bit blocks, MatMulBnb4.
// Rules: github.com/bitsandbytes-foundation/bitsandbytes, functional.py (QuantState, dequantize_4bit), nn/modules.py (Linear8bitLt), utils.py.
import { FormatError } from '../errors.js';
import { showShape } from '../problem.js';
import { codesOfInt8, padRows, splitNibbles, swapNibbles } from './code-words.js';
import { type FlatGroups, flatGroups } from './flat-groups.js';
import { asWholeNumbers, bytesOf, headersOf, type LayerName, present, requireMatrix } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import type { QuantizedMatrix } from './matrix.js';
import { asFloats, at, ELEMENT_BYTES, elementsIn, type RawTensor, requireDtype, requireShape } from './raw-tensor.js';
import type { TensorInfo } from './tensor-file.js';

/** Linear8bitLt. */
export interface BitsAndBytesInt8<T> {
  /** I8 (N, K). */
  readonly weight: T;
  /** F32 (N): the row's largest |W|, which code 127 stands for. */
  readonly SCB: T;
  /** U8 (): 0, rows. Tiles for old GPUs are 1 to 3. */
  readonly weight_format?: T | undefined;
}

/** Linear4bit. Names after the weight's own, X.weight.absmax and so on. */
export interface BitsAndBytes4<T> {
  /** ceil(N · K / 2) bytes of any dtype and shape: element 2i of W, flattened, in the high nibble of byte i. */
  readonly weight: T;
  /** F32: one for each block. U8 with double quantization. */
  readonly absmax: T;
  /** F32 (16): what the codes stand for. */
  readonly quant_map: T;
  /** F32: one for each nested_blocksize elements of absmax. */
  readonly nested_absmax?: T | undefined;
  /** F32 (256): what the codes of absmax stand for. */
  readonly nested_quant_map?: T | undefined;
}

/** What the JSON in X.weight.quant_state.bitsandbytes__nf4 (or fp4) says. */
export interface QuantState {
  readonly quant_type: 'nf4' | 'fp4';
  readonly blocksize: number;
  /** N, K. */
  readonly shape: readonly [number, number];
  readonly nested_blocksize?: number | undefined;
  readonly nested_offset?: number | undefined;
}

/** bitsandbytes' tables of codes, as float32. */
export const BNB4_CODES: Readonly<Record<'nf4' | 'fp4', readonly number[]>> = {
  nf4: [
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1,
  ],
  fp4: [0, 0.0625 / 12, 8 / 12, 1, 4 / 12, 6 / 12, 2 / 12, 3 / 12, -0, -0.0625 / 12, -8 / 12, -1, -4 / 12, -6 / 12, -2 / 12, -3 / 12],
};

/**
 * int8: W = q · SCB / 127. `scale` is SCB / 127, rounded once to float32.
 *
 * Rule: bitsandbytes' int8_vectorwise_dequant; LINEAR_8BIT_WEIGHTS_FORMAT_MAPPING.
 * @throws FormatError
 * @example importBitsAndBytesInt8({ weight, SCB })
 */
export function importBitsAndBytesInt8({ weight, SCB, weight_format: format }: BitsAndBytesInt8<RawTensor>): QuantizedMatrix {
  const [n, k] = planInt8(weight, SCB);
  const order = format ? asWholeNumbers(format)[0] : 0;
  if (order !== 0) throw new FormatError(at(format!, 'value'), '0, rows (1 to 3 are tiles of bitsandbytes before 0.45)', String(order));
  return {
    n,
    k,
    bits: 8,
    codes: codesOfInt8(bytesOf(weight), n, k),
    groupSize: k,
    scale: asFloats(SCB).map((largest) => largest / 127) as Float32Array<ArrayBuffer>,
    scaleDtype: 'float32',
  };
}

function planInt8(weight: RawTensor, scb: RawTensor): readonly [number, number] {
  requireDtype(weight, 'I8');
  requireDtype(scb, 'F32', 'F16', 'BF16');
  const [n, k] = requireMatrix(weight);
  if (elementsIn(scb.shape) !== n) requireShape(scb, [n], 'one for each output');
  return [n, k];
}

/**
 * The JSON that a Linear4bit saves as bytes.
 * @throws FormatError if it is not JSON, or not of a matrix in blocks of NF4 or FP4
 */
export function parseQuantState(tensor: RawTensor): QuantState {
  requireDtype(tensor, 'U8');
  const fail = (field: string, expected: string, got: unknown): never => {
    throw new FormatError(at(tensor, field), expected, (JSON.stringify(got) ?? 'none').slice(0, 80));
  };
  let state: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(tensor)));
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return fail('JSON', 'an object', parsed);
    state = parsed as Record<string, unknown>;
  } catch (error) {
    if (error instanceof FormatError) throw error;
    return fail('JSON', 'an object in UTF-8', error instanceof Error ? error.message : error);
  }
  const { quant_type, blocksize, shape, nested_blocksize, nested_offset } = state;
  const size = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;
  if (quant_type !== 'nf4' && quant_type !== 'fp4') return fail('quant_type', 'nf4 or fp4', quant_type);
  if (!size(blocksize)) return fail('blocksize', 'a whole number of at least 1', blocksize);
  if (!Array.isArray(shape) || shape.length !== 2 || !shape.every(size)) return fail('shape', 'N and K', shape);
  if (nested_blocksize !== undefined && !size(nested_blocksize))
    return fail('nested_blocksize', 'a whole number of at least 1', nested_blocksize);
  const offset = nested_offset === undefined ? undefined : Number(nested_offset);
  if (offset !== undefined && !Number.isFinite(offset)) return fail('nested_offset', 'a finite number', nested_offset);
  return { quant_type, blocksize, shape: shape as unknown as readonly [number, number], nested_blocksize, nested_offset: offset };
}

/** Blocks, after every check that needs no bytes. */
function plan4({ weight, absmax, quant_map, nested_absmax, nested_quant_map }: BitsAndBytes4<RawTensor>, state: QuantState): FlatGroups {
  const [n, k] = state.shape;
  const bytes = Math.ceil((n * k) / 2);
  if (elementsIn(weight.shape) * (ELEMENT_BYTES[weight.dtype] ?? 0) !== bytes)
    throw new FormatError(
      at(weight, 'shape'),
      `${bytes} bytes for ${showShape([n, k])} of 4 bits`,
      `${weight.dtype} ${showShape(weight.shape)}`,
    );
  const blocks = Math.ceil((n * k) / state.blocksize);
  if (elementsIn(absmax.shape) !== blocks) throw new FormatError(at(absmax, 'shape'), showShape([blocks]), showShape(absmax.shape));
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
    if (elementsIn(nested_absmax!.shape) !== count)
      throw new FormatError(at(nested_absmax!, 'shape'), showShape([count]), showShape(nested_absmax!.shape));
  } else requireDtype(absmax, 'F32', 'F16', 'BF16');
  return flatGroups(weight, { n, k, bits: 4, block: state.blocksize });
}

/** absmax as numbers; of double quantization: nested_quant_map[code] · nested_absmax + nested_offset, both steps in float32, as dequantize_4bit. */
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

/** Bytes with the first of two elements in the high nibble, rows not padded → words. */
const codesOfFlat = (bytes: Uint8Array, n: number, k: number): Uint32Array<ArrayBuffer> =>
  splitNibbles(swapNibbles(padRows(bytes, 1, bytes.byteLength)), n, k);

/**
 * NF4 or FP4: W = quant_map[code] · absmax. Nothing is rounded, but the scales of double quantization where bitsandbytes rounds them, to float32.
 *
 * Rule: bitsandbytes' dequantize_4bit, QuantState.
 * @throws FormatError; also if blocks meet rows at no whole word of codes
 * @example importBitsAndBytes4({ weight, absmax, quant_map }, parseQuantState(state))
 */
export function importBitsAndBytes4(tensors: BitsAndBytes4<RawTensor>, state: QuantState): QuantizedMatrix {
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
 * The weight of ONNX's com.microsoft.MatMulBnb4, from its inputs and attributes: W = table[code] · absmax, nothing rounded.
 *
 * Rule: onnxruntime's docs/ContribOperators.md and blockwise_quant_block_bnb4.h. quant_type 0 is FP4, 1 NF4.
 * @param tensors B: U8, ceil(N · K / 2) bytes. absmax: F32, F16 or BF16, ceil(N · K / block_size)
 * @throws FormatError
 * @example importMatMulBnb4({ B, absmax }, { N: 4096, K: 4096, quant_type: 1, block_size: 64 })
 */
export function importMatMulBnb4(
  { B, absmax }: { readonly B: RawTensor; readonly absmax: RawTensor },
  { N, K, quant_type, block_size }: { readonly N: number; readonly K: number; readonly quant_type: number; readonly block_size: number },
): QuantizedMatrix {
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

/** A layer of a file, read in pieces along n. @throws FormatError */
export function bitsAndBytesInt8Layer(tensors: BitsAndBytesInt8<TensorInfo>, { name, bias }: LayerName): LayerSource {
  const { weight, SCB } = headersOf({ ...tensors });
  const [n, k] = planInt8(weight, SCB);
  const { weight_format } = tensors;
  return {
    name,
    format: 'bitsandbytes int8',
    n,
    k,
    bits: 8,
    groupSize: k,
    tensors: present({ ...tensors }),
    cut: { axis: 'n', unit: 4, perRow: { weight: 1, SCB: 1, ...(weight_format && { weight_format: 0 }) } },
    bias,
    make: (part) => importBitsAndBytesInt8(part as unknown as BitsAndBytesInt8<RawTensor>),
  };
}

/** The same bytes as rows of other sizes: (rows, bytes / rows). */
const inRows = (info: TensorInfo, rows: number): TensorInfo => ({ ...info, shape: [rows, elementsIn(info.shape) / rows] });

/**
 * A layer of a file, read in pieces along n where its rows are whole bytes and whole blocks, and with double quantization where some rows
 * are whole nested blocks. `state` is what parseQuantState says of its quant_state.
 * @throws FormatError
 */
export function bitsAndBytes4Layer(
  tensors: BitsAndBytes4<TensorInfo>,
  { name, bias, state }: LayerName & { readonly state: QuantState },
): LayerSource {
  const { groupSize } = plan4(headersOf({ ...tensors }), state);
  const [n, k] = state.shape;
  const { nested_absmax, nested_quant_map } = tensors;
  const perRow = k / state.blocksize;
  // n that are whole blocks of absmax.
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
    make: (part, size) => importBitsAndBytes4(part as unknown as BitsAndBytes4<RawTensor>, { ...state, shape: [size.n, size.k] }),
  };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
