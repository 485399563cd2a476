// Whole and in pieces, a layer is the same: for a layer of every format, whatever the size of its pieces.
import { describe, expect, test } from 'vitest';
import { findLayers } from '../../../src/formats/find-layers.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { EVERY_FORMAT } from '../../support/every-format.js';
import { expectWeights, weightsInPieces } from '../../support/tensors.js';

describe('every format', async () => {
  const found = await Promise.all(EVERY_FORMAT.map(({ file, options }) => findLayers(file, options)));
  const layers = found.flatMap((one) => one.layers);
  test.each(layers.map((layer) => [`${layer.format} (${layer.name})`, layer] as const))('%s', async (_, layer) => {
    const whole = dequantize(await readMatrix(layer));
    const counts: number[] = [];
    for (const bytes of [1, 600, 2 ** 24]) {
      const { weights, pieces } = await weightsInPieces(layer, bytes);
      expectWeights(weights, whole);
      counts.push(pieces);
    }
    expect(counts.at(-1)).toBe(1);
    if (layer.cut) expect(counts[0]).toBeGreaterThan(1);
  });
});
