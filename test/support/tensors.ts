// Tensors for tests of importers, layers read in pieces, and random numbers. Each format's test has its packer.
import fc from 'fast-check';
import { expect } from 'vitest';
import { encode16 } from '../../src/dtype.js';
import type { RawTensor } from '../../src/files/raw-tensor.js';
import type { TensorInfo } from '../../src/files/tensor-file.js';
import type { LayerSource } from '../../src/formats/layer-source.js';
import { readPieces } from '../../src/formats/read-layer.js';
import { dequantize } from '../../src/problem/matrix.js';

const ENCODE: Readonly<Record<string, (values: ArrayLike<number>) => ArrayBufferView>> = {
  U8: (values) => Uint8Array.from(values),
  F8_E4M3: (values) => Uint8Array.from(values),
  F8_E8M0: (values) => Uint8Array.from(values),
  I8: (values) => Int8Array.from(values),
  I32: (values) => Int32Array.from(values),
  U32: (values) => Uint32Array.from(values),
  I64: (values) => BigInt64Array.from(Array.from(values), BigInt),
  F16: (values) => encode16(values, 'float16'),
  BF16: (values) => encode16(values, 'bfloat16'),
  F32: (values) => Float32Array.from(values),
};

/** A tensor of `values` as a file holds it, at an odd address, since files promise no other. */
export function raw(name: string, dtype: string, shape: readonly number[], values: ArrayLike<number>): RawTensor {
  const { buffer, byteOffset, byteLength } = ENCODE[dtype]!(values);
  const bytes = new Uint8Array(byteLength + 1).subarray(1);
  bytes.set(new Uint8Array(buffer, byteOffset, byteLength));
  return { name, dtype, shape, bytes };
}

/** As it would lie in a file of this one tensor. */
export const infoOf = ({ name, dtype, shape, bytes }: RawTensor): TensorInfo => ({
  name,
  dtype,
  shape,
  begin: 0,
  end: bytes.byteLength,
  source: { name: 'test', size: bytes.byteLength, read: async (begin, end) => bytes.slice(begin, end) },
});

export const infosOf = <T extends Readonly<Record<string, RawTensor | undefined>>>(tensors: T) =>
  Object.fromEntries(Object.entries(tensors).flatMap(([name, tensor]) => (tensor ? [[name, infoOf(tensor)]] : []))) as {
    [Name in keyof T]: TensorInfo;
  };

/** The weights (N, K), put together from pieces of about `chunkBytes`, and how many those were. By default pieces are as small as the cut allows. */
export async function weightsInPieces(layer: LayerSource, chunkBytes = 1): Promise<{ weights: Float32Array; pieces: number }> {
  const { n, k, cut, bits, groupSize, tensors } = layer;
  if (cut) {
    expect(cut.unit % (cut.axis === 'n' ? 4 : groupSize)).toBe(0);
    expect(Object.keys(cut.perRow).sort()).toEqual(Object.keys(tensors).sort());
  }
  const weights = new Float32Array(n * k).fill(Number.NaN);
  let pieces = 0;
  for await (const { matrix, n: row, k: column } of readPieces(layer, { chunkBytes })) {
    expect([matrix.bits, matrix.groupSize]).toEqual([bits, Math.min(groupSize, matrix.k)]);
    const part = dequantize(matrix);
    for (let i = 0; i < matrix.n; i++) weights.set(part.subarray(i * matrix.k, (i + 1) * matrix.k), (row + i) * k + column);
    pieces++;
  }
  return { weights, pieces };
}

export const weightsOf = async (layer: LayerSource, chunkBytes = 1): Promise<Float32Array> =>
  (await weightsInPieces(layer, chunkBytes)).weights;

/** The same numbers, each with ===. */
export function expectWeights(got: ArrayLike<number>, want: ArrayLike<number>): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) if (got[i] !== want[i]) expect({ i, weight: got[i] }).toEqual({ i, weight: want[i] });
}

/** Whole numbers from a seed, without fast-check's cost for long arrays. */
export function randoms(seed: number, length: number, low: number, high: number): number[] {
  let state = seed >>> 0 || 1;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + Math.floor((state / 2 ** 32) * (high - low + 1));
  });
}

/** Numbers that F16 and BF16 hold: seven bits and a power of two. */
export const floats = (seed: number, length: number): number[] =>
  randoms(seed, length, -127, 127).map((value, i) => value * 2 ** (-(i % 9) - 3));

export const seeds = fc.integer({ min: 1, max: 2 ** 31 });
