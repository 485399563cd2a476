// Random weights in the block types of GGUF. Codes are drawn, not quantized from floats: blocks of random codes and random scales are weights
// of the variance that is asked for, and what they are is what their format says of them (gguf-decoder.ts).
import { toFloat16Bits } from '../../src/dtype.js';
import { random } from '../cases/data.js';
import { ggmlType } from './files.js';

export type BlockType = 'F32' | 'F16' | 'Q4_0' | 'Q8_0' | 'Q4_K' | 'Q5_K' | 'Q6_K' | 'MXFP4';

/** Draws for one tensor. */
export interface Draw {
  /** A whole number from 0 to below `end`. */
  below(end: number): number;
  /** N(0, 1). */
  normal(): number;
}

export function drawOf(seed: string): Draw {
  const next = random(seed);
  return {
    below: (end) => Math.floor(next() * end),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  };
}

/** Fills a block with weights of standard deviation `std`. */
type Fill = (block: DataView, std: number, draw: Draw) => void;

const bytesOf = (block: DataView, from: number, draw: Draw): void => {
  for (let at = from; at < block.byteLength; at++) block.setUint8(at, draw.below(256));
};
const half = (block: DataView, at: number, value: number): void => block.setUint16(at, toFloat16Bits(value), true);
const signed = (value: number, draw: Draw): number => (draw.below(2) === 0 ? -value : value);

/**
 * Blocks of 256 with scales and minima of 6 bits: w = d·s·q - middle·d·m with s = 16 … 63 and m within 8 of s. √(mean of squares) is d · 202 for
 * q = 0 … 15 with the middle 7.5, and d · 404 for q = 0 … 31 with 15.5.
 */
function superblock(block: DataView, { unit, middle }: { readonly unit: number; readonly middle: number }, draw: Draw): void {
  bytesOf(block, 16, draw);
  half(block, 0, unit);
  half(block, 2, middle * unit);
  const scales = Array.from({ length: 8 }, () => 16 + draw.below(48));
  const minima = scales.map((scale) => Math.min(63, scale - 8 + draw.below(17)));
  // get_scale_min_k4: the first four whole, with the high bits of the others above; nibbles of the others.
  for (let j = 0; j < 4; j++) {
    block.setUint8(4 + j, scales[j]! + 64 * Math.floor(scales[j + 4]! / 16));
    block.setUint8(8 + j, minima[j]! + 64 * Math.floor(minima[j + 4]! / 16));
    block.setUint8(12 + j, (scales[j + 4]! % 16) + 16 * (minima[j + 4]! % 16));
  }
}

const FILL: Readonly<Record<BlockType, Fill>> = {
  F32: (block, std, draw) => block.setFloat32(0, std * draw.normal(), true),
  F16: (block, std, draw) => half(block, 0, std * draw.normal()),
  // Codes -8 … 7: √(mean of squares) 4.64. The sign of the scale makes the mean of many blocks 0.
  Q4_0: (block, std, draw) => {
    bytesOf(block, 2, draw);
    half(block, 0, signed(std / 4.64, draw));
  },
  // Codes -128 … 127: 73.9.
  Q8_0: (block, std, draw) => {
    bytesOf(block, 2, draw);
    half(block, 0, std / 73.9);
  },
  // Codes 0, 1, 2, 3, 4, 6, 8, 12 and their negatives, times a power of two: √(mean of squares) 5.85.
  MXFP4: (block, std, draw) => {
    bytesOf(block, 1, draw);
    block.setUint8(0, 128 + Math.round(Math.log2(std / 5.85)) - draw.below(2));
  },
  Q4_K: (block, std, draw) => superblock(block, { unit: std / 202, middle: 7.5 }, draw),
  Q5_K: (block, std, draw) => superblock(block, { unit: std / 404, middle: 15.5 }, draw),
  // Codes -32 … 31: 18.5; scales ±(32 … 95): 66.2.
  Q6_K: (block, std, draw) => {
    bytesOf(block, 0, draw);
    for (let j = 0; j < 16; j++) block.setInt8(192 + j, signed(32 + draw.below(64), draw));
    half(block, 208, std / (18.5 * 66.2));
  },
};

/** (N, K) of blocks along K. @param std of the weights of a block, by its row; called once a block */
export function randomBlocks(
  type: BlockType,
  { n, k }: { readonly n: number; readonly k: number },
  std: (row: number) => number,
  draw: Draw,
): Uint8Array {
  const [, elements, bytes] = ggmlType(type);
  if (k % elements !== 0) throw new Error(`${type}: k = ${k} is no multiple of ${elements}`);
  const count = (n * k) / elements;
  const out = new Uint8Array(count * bytes);
  for (let i = 0; i < count; i++) FILL[type](new DataView(out.buffer, i * bytes, bytes), std(Math.floor((i * elements) / k)), draw);
  return out;
}
