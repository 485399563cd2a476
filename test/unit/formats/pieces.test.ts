// A layer in pieces equals the layer at once, for every format, any size of pieces and all shapes of tensors. A tensor of another shape
// with the same number of elements is refused, unless the shapes differ only in axes of one element.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.js';
import type { TensorInfo } from '../../../src/files/tensor-file.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { EVERY_FORMAT } from '../../support/every-format.js';
import { expectWeights, seeds, weightsInPieces } from '../../support/tensors.js';

const found = await Promise.all(EVERY_FORMAT.map(({ file, options }) => findLayers(file, options)));

describe('every format', () => {
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

/** Shapes of as many elements. */
function otherShapes(shape: readonly number[]): (readonly number[])[] {
  const count = shape.reduce((a, b) => a * b, 1);
  const divisors = Array.from({ length: count }, (_, i) => i + 1).filter((one) => count % one === 0);
  return [[count], [count, 1], [1, count], [...shape, 1], [1, ...shape], shape.toReversed(), ...divisors.map((one) => [one, count / one])];
}
const bare = (shape: readonly number[]): string => shape.filter((size) => size !== 1).join();
/** Its tensors are lists of bytes or values, whatever their shape; (N, blocks) is one of them. */
const isFlat = (name: string, part: string): boolean => /^(nf4|fp4)/.test(name) && /weight$/.test(part);

test('another shape of a tensor: the same weights, whole and in pieces, or a FormatError from both', async () => {
  const outcome = async (work: () => Promise<Float32Array>): Promise<Float32Array | FormatError> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof FormatError) return error;
      throw error;
    }
  };
  const count = { same: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.nat(EVERY_FORMAT.length - 2) /* a GGUF tensor's shape alone says what it is */,
      seeds,
      seeds,
      seeds,
      async (i, which, what, bytes) => {
        const { file, options } = EVERY_FORMAT[i]!;
        const before = found[i]!.layers[which % found[i]!.layers.length]!;
        const parts = Object.values(before.tensors);
        const info = file.tensors.get(parts[what % parts.length]!.name)!;
        const shapes = otherShapes(info.shape);
        const shape = shapes[bytes % shapes.length]!;
        const own = new Map<string, TensorInfo>([...file.tensors].filter(([name]) => name.startsWith(`${before.name}.`)));
        const after = await findLayers({ ...file, tensors: own.set(info.name, { ...info, shape }) }, options);
        const layer = after.layers[0];
        const whole = layer ? await outcome(async () => dequantize(await readMatrix(layer))) : after.refused[0]?.error;
        const pieces = layer ? await outcome(async () => (await weightsInPieces(layer, 1 + (bytes % 2000))).weights) : whole;
        if (!(whole instanceof Float32Array)) {
          count.refused++;
          expect(pieces).not.toBeInstanceOf(Float32Array);
          return;
        }
        count.same++;
        expectWeights(pieces as Float32Array, whole);
        // A weight of another shape may be of another size, or format.
        if (!layer || layer.format !== before.format || layer.n !== before.n || layer.k !== before.k) return;
        expectWeights(whole, dequantize(await readMatrix(before)));
        if (!isFlat(before.name, info.name))
          expect(bare(shape), `${before.format}: ${info.name} (${shape}) for (${info.shape})`).toBe(bare(info.shape));
      },
    ),
    { numRuns: process.env.ANTIQUANT_ALL ? 20_000 : 500 },
  );
  expect(Math.min(count.same, count.refused)).toBeGreaterThan(20);
}, 300_000);
