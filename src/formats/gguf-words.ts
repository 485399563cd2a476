// Code that all types of GGUF's blocks share: the description of a type, unaligned 16-bit floats and nibbles, and the loop from bytes to a
// matrix. gguf-32.ts and gguf-256.ts have the types, gguf-blocks.ts their table.
import { type FloatDType, fromFloat16Bits } from '../dtype.js';
import { FormatError } from '../errors.js';
import { at, type RawTensor } from '../files/raw-tensor.js';
import { type CodeBits, widthOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import type { NarrowScale } from '../problem/narrow-scales.js';
import { showShape } from '../problem/view.js';
import { hasUnits } from '../problem/weight-format.js';

/** Outputs of a tensor's blocks. Rows are whole blocks and whole words, so block b starts at b times a block's words and groups. */
export interface Parts {
  readonly codes: Uint32Array;
  readonly scale: Float32Array;
  /** Empty for types without a minimum. */
  readonly minimum: Float32Array;
  /** Units of scales and of minima, one a block; empty where scales have no units. */
  readonly unit: Float32Array;
  readonly minimumUnit: Float32Array;
}

/** A number in a block: its offset, and a reader for messages. */
export interface BlockField {
  readonly at: number;
  read(view: DataView, at: number): number;
}

export const halfAt = (offset: number): BlockField => ({ at: offset, read: (view, at) => fromFloat16Bits(view.getUint16(at, true)) });

/** A type of GGUF's blocks: sizes of a block, and its form in memory. */
export interface BlockShape {
  /** k in a block: QK of ggml-common.h. */
  readonly blockSize: number;
  /** Bytes of a block. */
  readonly bytes: number;
  readonly bits: CodeBits;
  readonly groupSize: number;
  readonly scaleDtype: FloatDType;
  /** The scales' narrow form. */
  readonly scaleKind?: NarrowScale;
  /** W = scale · code + minimum. */
  readonly hasMinimum: boolean;
  /** Values of the codes, if they are indices. */
  readonly codebook?: Float32Array;
}

export interface BlockType extends BlockShape {
  /** Fields by the format's names. They must be finite. */
  readonly fields: Readonly<Record<string, BlockField>>;
  fill(view: DataView, count: number, parts: Parts): void;
}

/** Unit of the fraction by the exponent's five bits; NaN for Inf and NaN. */
const UNIT = Float64Array.from({ length: 32 }, (_, exponent) => (exponent === 31 ? Number.NaN : 2 ** (Math.max(exponent, 1) - 25)));

/** The float16 at a byte offset, exact; NaN if it is not finite. Powers of 2 come from a table, since `**` is slow. */
export function half(view: DataView, offset: number): number {
  const bits = view.getUint16(offset, true);
  const exponent = (bits >>> 10) & 31;
  const value = ((bits & 0x3ff) + (exponent === 0 ? 0 : 1024)) * UNIT[exponent]!;
  return bits & 0x8000 ? -value : value;
}

/** Codes in the low nibbles of the bytes of two words → one word: the four of `a`, then the four of `b`. */
export function weave(a: number, b: number): number {
  const mixed = a | (b << 4); // a0 b0 a1 b1 a2 b2 a3 b3
  const nibbles = (mixed ^ (mixed >>> 4)) & 0x00f000f0; // to a0 a1 b0 b1 a2 a3 b2 b3
  const pairs = mixed ^ nibbles ^ (nibbles << 4);
  const bytes = (pairs ^ (pairs >>> 8)) & 0x0000ff00; // to a0 a1 a2 a3 b0 b1 b2 b3
  return pairs ^ bytes ^ (bytes << 8);
}

export const LOW = 0x0f0f0f0f;

/** Splits `count` · 8 bytes: low nibbles become `count` words of codes from `word` on, high nibbles the next `count` words. */
export function nibbles(view: DataView, offset: number, codes: Uint32Array, word: number, count: 1 | 2 | 4): void {
  for (let i = 0; i < count; i++) {
    const a = view.getUint32(offset + 8 * i, true);
    const b = view.getUint32(offset + 8 * i + 4, true);
    codes[word + i] = weave(a & LOW, b & LOW);
    codes[word + count + i] = weave((a >>> 4) & LOW, (b >>> 4) & LOW);
  }
}

/** @throws FormatError if the tensor is not whole blocks of `type`, or a number in a block is not finite. */
export function makeMatrix(type: BlockType, tensor: RawTensor): QuantizedMatrix {
  const { blockSize, bits, groupSize, scaleDtype, scaleKind, hasMinimum, codebook } = type;
  const { shape, bytes } = tensor;
  const [n = 0, k = 0] = shape;
  const whole = shape.length === 2 && shape.every((size) => Number.isSafeInteger(size) && size >= 1);
  if (!whole) throw new FormatError(at(tensor, 'shape'), 'two sizes (N, K) of at least 1', showShape(shape));
  if (k % blockSize !== 0)
    throw new FormatError(at(tensor, 'shape'), `a multiple of ${blockSize} as K for ${tensor.dtype}`, showShape(shape));
  const count = n * (k / blockSize);
  if (bytes.byteLength !== count * type.bytes)
    throw new FormatError(
      at(tensor, 'bytes'),
      `${count * type.bytes} for ${showShape(shape)}, ${type.bytes} a block of ${blockSize}`,
      String(bytes.byteLength),
    );

  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = count * (blockSize / groupSize);
  const codes = new Uint32Array((count * blockSize * widthOf(bits).slot) / 32);
  const scale = new Float32Array(groups);
  const minimum = new Float32Array(hasMinimum ? groups : 0);
  const units = scaleKind && hasUnits(scaleKind);
  const unit = new Float32Array(units ? count : 0);
  const minimumUnit = new Float32Array(units && hasMinimum ? count : 0);
  type.fill(view, count, { codes, scale, minimum, unit, minimumUnit });
  for (let i = 0; i < groups; i++)
    if (!Number.isFinite(scale[i]!) || (hasMinimum && !Number.isFinite(minimum[i]!)))
      throw notFinite(type, tensor, view, Math.floor((i * groupSize) / blockSize));
  const scaleForm = scaleKind && { kind: scaleKind, ...(units && { unit }), ...(units && hasMinimum && { minimumUnit }) };
  return {
    ...{ n, k, bits, codes, groupSize, scale, scaleDtype },
    ...(scaleForm && { scaleForm }),
    ...(hasMinimum && { minimum }),
    ...(codebook && { codebook }),
  };
}

/** The error for a group that is not finite: it finds the field of the block that is not finite. */
function notFinite(type: BlockType, tensor: RawTensor, view: DataView, block: number): FormatError {
  const values = Object.entries(type.fields).map(([name, field]) => [name, field.read(view, block * type.bytes + field.at)] as const);
  const [name, value] = values.find(([, read]) => !Number.isFinite(read)) ?? ['a scale', Number.NaN];
  return new FormatError(at(tensor, `${name} of block ${block}`), 'a finite number', String(value));
}
