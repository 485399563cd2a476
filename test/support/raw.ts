// Tensors for tests of importers, layers cut into pieces as load.ts cuts them, and random tensors for fast-check. No packing here: each
// format's test packs by itself.
import fc from 'fast-check';
import { expect } from 'vitest';
import { encode16 } from '../../src/dtype.js';
import { FormatError } from '../../src/errors.js';
import type { RawTensor } from '../../src/files/raw-tensor.js';
import type { TensorInfo } from '../../src/files/tensor-file.js';
import type { LayerSource } from '../../src/formats/layer-source.js';
import { dequantize } from '../../src/problem/matrix.js';

type Encode = (values: readonly number[]) => ArrayBufferLike;
const ENCODE: Readonly<Record<string, Encode>> = {
  U8: (v) => Uint8Array.from(v).buffer,
  I8: (v) => Int8Array.from(v).buffer,
  I32: (v) => Int32Array.from(v).buffer,
  I64: (v) => BigInt64Array.from(v, BigInt).buffer,
  F16: (v) => encode16(v, 'float16').buffer,
  BF16: (v) => encode16(v, 'bfloat16').buffer,
  F32: (v) => Float32Array.from(v).buffer,
};

/** At an odd address, since files promise no other. */
export function raw(name: string, dtype: string, shape: readonly number[], values: readonly number[]): RawTensor {
  const own = new Uint8Array(ENCODE[dtype]!(values));
  const bytes = new Uint8Array(own.length + 1).subarray(1);
  bytes.set(own);
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

/** The layer's weights, made from pieces of at most `units` cuts each; whole, if it has no cut. */
export async function weightsOf(layer: LayerSource, units: number): Promise<number[]> {
  const read = async (info: TensorInfo, from?: number, to?: number): Promise<RawTensor> => {
    const { name, dtype, shape, source, begin, end } = info;
    if (from === undefined || to === undefined) return { name, dtype, shape, bytes: await source.read(begin, end) };
    const row = (end - begin) / shape[0]!;
    expect(Number.isInteger(row)).toBe(true);
    return { name, dtype, shape: [to - from, ...shape.slice(1)], bytes: await source.read(begin + from * row, begin + to * row) };
  };
  const { cut, n, k } = layer;
  const step = cut ? cut.unit * units : n;
  if (cut) {
    expect(cut.axis).toBe('n');
    expect(cut.unit % 4).toBe(0);
    expect(Object.keys(cut.perRow).sort()).toEqual(Object.keys(layer.tensors).sort());
  }
  const weights: number[] = [];
  for (let start = 0; start < n; start += step) {
    const stop = Math.min(n, start + step);
    const part: Record<string, RawTensor> = {};
    for (const [name, info] of Object.entries(layer.tensors)) {
      const perRow = cut?.perRow[name] ?? 0;
      part[name] = perRow === 0 ? await read(info) : await read(info, start / perRow, Math.ceil(stop / perRow));
    }
    const matrix = layer.make(part, { n: stop - start, k });
    expect([matrix.n, matrix.k, matrix.bits, matrix.groupSize]).toEqual([stop - start, k, layer.bits, layer.groupSize]);
    weights.push(...dequantize(matrix));
  }
  return weights;
}

/** The same numbers, each with ===. */
export function expectWeights(got: ArrayLike<number>, want: ArrayLike<number>): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) if (got[i] !== want[i]) expect({ i, weight: got[i] }).toEqual({ i, weight: want[i] });
}

/** A FormatError about this field. */
export function expectFormat(run: () => unknown, field: string | RegExp, expected?: string | RegExp): void {
  let error: unknown;
  try {
    run();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(FormatError);
  expect((error as FormatError).field).toMatch(field);
  if (expected !== undefined) expect((error as FormatError).expected).toMatch(expected);
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
