// The first rows of a layer, which show how its scales and zero points are held.

import { readPieces } from '../../../../src/formats/read-layer.js';
import type { LayerSource } from '../../../../src/formats.js';
import type { QuantizedMatrix } from '../../../../src/problem/matrix.js';

/** @throws FormatError, ReadError, the reason of `signal` */
export async function readFirst(layer: LayerSource, signal: AbortSignal): Promise<QuantizedMatrix> {
  for await (const { matrix } of readPieces(layer, { chunkBytes: 1, signal })) return matrix;
  throw new Error(`${layer.name} has no rows`);
}
