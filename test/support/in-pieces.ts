// A layer of tensors in memory, read piece by piece as its `cut` says.

import type { RawTensor } from '../../src/files/raw-tensor.js';
import type { TensorInfo } from '../../src/files/tensor-file.js';
import type { LayerSource } from '../../src/formats/layer-source.js';
import { readPieces } from '../../src/formats/read-layer.js';
import { dequantize } from '../../src/problem/matrix.js';

/** What a reader would say of a tensor. */
export function infoOf({ name, dtype, shape, bytes }: RawTensor): TensorInfo {
  const read = (begin: number, end: number) => Promise.resolve(bytes.slice(begin, end));
  return { name, dtype, shape, source: { name: 'memory', size: bytes.length, read }, begin: 0, end: bytes.length };
}

/** The weights (N, K), put together from pieces of about `chunkBytes`, and how many those were. */
export async function weightsInPieces(source: LayerSource, chunkBytes: number) {
  const weights = new Float32Array(source.n * source.k).fill(Number.NaN);
  let pieces = 0;
  for await (const { matrix, n, k } of readPieces(source, { chunkBytes })) {
    const part = dequantize(matrix);
    for (let row = 0; row < matrix.n; row++) weights.set(part.subarray(row * matrix.k, (row + 1) * matrix.k), (n + row) * source.k + k);
    pieces++;
  }
  return { weights, pieces };
}
