// Experts that lie one behind another are read together, with the same bytes; others are read one by one.
import { expect, test } from 'vitest';
import { AHEAD_BYTES, readingAhead } from '../../../src/experts/read-ahead.js';
import type { ByteSource, TensorInfo } from '../../../src/files/tensor-file.js';
import { partsOf } from '../../../src/formats/experts.js';
import { mxfp4Layer } from '../../../src/formats/mxfp4.js';
import { readBias, readMatrix } from '../../../src/formats/read-layer.js';

/** A source that notes what is read. */
function noted(size: number, pattern: (i: number) => number): { readonly source: ByteSource; readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  const read = async (begin: number, end: number) => {
    reads.push([begin, end]);
    return Uint8Array.from({ length: end - begin }, (_, i) => pattern(begin + i));
  };
  return { source: { name: 'noted', size, read }, reads };
}
const infoOf = (
  source: ByteSource,
  name: string,
  shape: readonly number[],
  { begin, dtype = 'U8', width = 1 }: { begin: number; dtype?: string; width?: number },
): TensorInfo => {
  const length = shape.reduce((a, b) => a * b, width);
  return { name, dtype, shape, source, begin, end: begin + length };
};

test('one read for each tensor, and the weights are the same', async () => {
  const { source, reads } = noted(10_000, (i) => (i >= 4096 && i < 4224 ? 120 + (i % 7) : i % 63));
  const tensors = {
    blocks: partsOf(infoOf(source, 'blocks', [8, 4, 4, 16], { begin: 0 })),
    scales: partsOf(infoOf(source, 'scales', [8, 4, 4], { begin: 4096 })),
    bias: partsOf(infoOf(source, 'bias', [8, 4], { begin: 5000, dtype: 'F16', width: 2 })),
  };
  const layers = tensors.blocks.map((blocks, e) =>
    mxfp4Layer({ blocks, scales: tensors.scales[e]! }, { name: `a.${e}`, bias: tensors.bias[e]! }),
  );
  const ahead = readingAhead(layers);
  const [wanted, biases] = [await Promise.all(layers.map((one) => readMatrix(one))), await Promise.all(layers.map((one) => readBias(one)))];
  reads.length = 0;
  for (const [e, one] of (ahead as typeof layers).entries()) {
    expect(await readMatrix(one)).toEqual(wanted[e]);
    expect(await readBias(one)).toEqual(biases[e]);
  }
  expect(reads).toEqual([
    [0, 2048],
    [4096, 4224],
    [5000, 5064],
  ]);
});

test('no read goes beyond the tensor or its limit, and what is read is new memory', async () => {
  const large = AHEAD_BYTES / 2;
  const { source, reads } = noted(5 * large, () => 0);
  const [first, second, third] = readingAhead(partsOf(infoOf(source, 'w', [3, large], { begin: 64 }))) as TensorInfo[];
  const a = await first!.source.read(first!.begin, first!.begin + 8);
  a[0] = 9;
  expect((await first!.source.read(first!.begin, first!.end))[0]).toBe(0);
  await second!.source.read(second!.begin, second!.end);
  await third!.source.read(third!.begin, third!.end);
  expect(reads).toEqual([
    [64, 64 + AHEAD_BYTES],
    [64 + AHEAD_BYTES, 64 + 3 * large],
  ]);
});

test('experts with something between them are read as they are', () => {
  const { source } = noted(1000, () => 0);
  const apart = [0, 100].map((begin) => infoOf(source, 'w', [4, 16], { begin }));
  expect(readingAhead(apart)).toEqual(apart);
  expect((readingAhead(apart) as TensorInfo[])[1]!.source).toBe(source);
});
