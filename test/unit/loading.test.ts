// How loadLayers cuts layers, and whose first pieces it holds at once.
import { describe, expect, test } from 'vitest';
import { findLayers, readPieces } from '../../src/formats.js';
import { sourceOf } from '../../src/layer/piece-source.js';
import { chunkBytes, matrixBytes, runsOfKind } from '../../src/loading/piece-size.js';
import { EVERY_FORMAT } from '../support/every-format.js';

const noDevice = {} as GPUDevice; // of float tensors only

describe('a piece', () => {
  test('is within the limit as a matrix, in every format, or as small as the format allows', async () => {
    const found = await Promise.all(EVERY_FORMAT.map(({ file, options }) => findLayers(file, options)));
    const layers = found.flatMap((one) => one.layers);
    let cut = 0;
    for (const limit of [300, 700, 2000])
      for (const layer of layers) {
        if (!layer.cut) continue;
        const { axis, unit } = layer.cut;
        let read = 0;
        let pieces = 0;
        const onProgress = ({ done }: { readonly done: number }): void => {
          read = done;
        };
        let before = 0;
        for await (const { matrix } of readPieces(layer, { chunkBytes: chunkBytes(sourceOf(noDevice, layer, {}), limit), onProgress })) {
          // Inputs' scales and order are whole in each piece, and tensors that are not cut in the first.
          const bytes = matrixBytes({ ...matrix, permutation: undefined, inputScale: undefined });
          const most = matrix[axis] <= unit ? Number.POSITIVE_INFINITY : limit;
          expect({ layer: layer.name, fits: bytes <= most && (pieces === 0 || read - before <= most) }).toEqual({
            layer: layer.name,
            fits: true,
          });
          before = read;
          pieces++;
        }
        if (pieces > 1) cut++;
      }
    expect(cut).toBeGreaterThan(layers.length / 2);
  });
});

describe('layers whose first pieces are held at once', () => {
  const layer = { n: 64, k: 256, groupSize: 32, bits: 4, bytes: 10_240, kind: 'a', cut: true } as const;
  const whole = { ...layer, n: 60, cut: false };
  test.each<[string, readonly (Omit<typeof layer, 'n' | 'kind' | 'cut'> & { n: number; kind: string; cut: boolean })[], number[][]]>([
    ['one', [layer], [[0]]],
    [
      'of one kind, at most four',
      Array(6).fill(layer),
      [
        [0, 1, 2, 3],
        [4, 5],
      ],
    ],
    [
      'of several kinds',
      [layer, { ...layer, kind: 'b' }, layer, { ...layer, kind: 'b' }],
      [
        [0, 2],
        [1, 3],
      ],
    ],
    ['without those whose rows of y are no whole quads', [layer, { ...layer, n: 66 }, layer], [[0, 2], [1]]],
    // 12,000 bytes as a matrix, and 16,384 for four pieces.
    ['read at once, while they take no more than four pieces', [whole, whole, layer], [[0, 2], [1]]],
  ])('%s', (_, sources, runs) => {
    expect(runsOfKind(sources, 4096)).toEqual(runs);
  });
});
