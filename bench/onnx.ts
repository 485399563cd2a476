// The peer's ONNX model: one MatMulNBits node.
import type { Bits } from '../src/problem/code-width.js';
import { oneNode } from '../test/support/onnx-model.js';

export interface MatMulNBits {
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  /** Weights along K that share a scale; K is a multiple of it. */
  readonly block: number;
  readonly dtype: 'float32' | 'float16';
  /** 0: as x's type; 4: the peer may quantize x to int8. */
  readonly accuracyLevel: 0 | 4;
  /** (N, K) unsigned codes, the lowest bits first. */
  readonly codes: Uint8Array;
  /** (N, K / block) of dtype. */
  readonly scales: Uint8Array;
  /** (N, K / block) of `bits`, rows padded to bytes; without it the middle code is zero. */
  readonly zeroPoints: Uint8Array | undefined;
}

/** x (M, K) → y (M, N), with M free. */
export function matMulNBitsModel(o: MatMulNBits): Uint8Array<ArrayBuffer> {
  const blocks = o.k / o.block;
  const zeros = { name: 'zeroPoints', type: 'uint8', dims: [o.n, Math.ceil((blocks * o.bits) / 8)] } as const;
  return oneNode({
    op: 'MatMulNBits',
    domain: 'com.microsoft',
    attributes: { K: o.k, N: o.n, bits: o.bits, block_size: o.block, accuracy_level: o.accuracyLevel },
    inputs: [
      { name: 'codes', type: 'uint8', dims: [o.n, blocks, (o.block * o.bits) / 8], bytes: o.codes },
      { name: 'scales', type: o.dtype, dims: [o.n, blocks], bytes: o.scales },
      o.zeroPoints && { ...zeros, bytes: o.zeroPoints },
    ],
    x: { type: o.dtype, dims: ['M', o.k] },
    y: { type: o.dtype, dims: ['M', o.n] },
  });
}
