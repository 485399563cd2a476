// ONNX files of ONNX's own library (scripts/goldens/onnx-container.py): tensors of every type in every form of storage, and constants in
// branches, loops and functions, by which the model's result is computed again.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModel } from '../../../src/files/open-file.js';
import { siblings } from '../../../src/files/shards.js';
import type { TensorFile, TensorInfo } from '../../../src/files/tensor-file.js';
import { findLayers } from '../../../src/formats/find-layers.js';

const folder = join(import.meta.dirname, '../../fixtures/onnx-container');
const at = (name: string): string => join(folder, name);
interface Expected {
  readonly tensors: Readonly<Record<string, { readonly shape: readonly number[]; readonly hex: string }>>;
  readonly graphs: { readonly x: number[][]; readonly y: number[][] };
}
const expected: Expected = JSON.parse(readFileSync(at('expected.json'), 'utf8'));
const bytesOf = ({ source, begin, end }: TensorInfo): Promise<Uint8Array> => source.read(begin, end);

describe.each(['storage.onnx', 'external.onnx'])('%s', (name) => {
  const file = openModel(at(name), { resolve: siblings(at(name))! });
  test.each(Object.keys(expected.tensors))('%s, raw and typed', async (dtype) => {
    const { tensors } = await file;
    const { shape, hex } = expected.tensors[dtype]!;
    for (const form of ['raw', 'typed']) {
      const info = tensors.get(`${dtype}.${form}`)!;
      expect({ dtype: info.dtype, shape: info.shape }).toEqual({ dtype, shape });
      expect(info.end - info.begin).toBe(hex.length / 2);
      expect(Buffer.from(await bytesOf(info)).toString('hex'), form).toBe(hex);
    }
  });
  test('has no other tensors, and parts of one are its bytes', async () => {
    const { tensors } = await file;
    expect(tensors.size).toBe(2 * Object.keys(expected.tensors).length);
    for (const info of tensors.values()) {
      const { source, begin, end } = info;
      const parts = [await source.read(begin, begin + 1), await source.read(begin + 1, end)];
      expect(Buffer.concat(parts)).toEqual(Buffer.from(await bytesOf(info)));
    }
  });
});

async function numbersOf({ tensors }: TensorFile, name: string): Promise<number[]> {
  const info = tensors.get(name)!;
  const { buffer } = (await bytesOf(info)).slice();
  return info.dtype === 'I64' ? [...new BigInt64Array(buffer)].map(Number) : [...new Float32Array(buffer)];
}

test('the constants of branches, loops and functions give what the model computes', async () => {
  const file = await openModel(at('graphs.onnx'));
  const { x, y } = expected.graphs;
  const weight = async (name: string, turned = false) => {
    const [values, [rows, columns]] = [await numbersOf(file, name), file.tensors.get(name)!.shape as [number, number]];
    return (h: number[][]) => {
      const [k, n] = turned ? [columns, rows] : [rows, columns];
      const of = (i: number, j: number): number => values[turned ? j * columns + i : i * columns + j]!;
      return h.map((row) =>
        Array.from({ length: n }, (_, j) => Array.from({ length: k }, (_, i) => row[i]! * of(i, j)).reduce((a, b) => a + b)),
      );
    };
  };
  const add = async (name: string) => {
    const values = await numbersOf(file, name);
    return (h: number[][]) => h.map((row) => row.map((one, j) => one + values[j]!));
  };
  const [half, times, shape] = await Promise.all(['half', 'times', 'shape'].map((name) => numbersOf(file, name)));
  expect([half, times, shape, await numbersOf(file, 'seven')]).toEqual([[0.5], [2], [-1, 2], [7]]);
  const steps = [
    await weight('fc1/w'),
    await weight('fc2/w', true),
    await weight('w'),
    await weight('w'),
    await weight('if.then_branch/own'),
    await add('if.then_branch/c'),
    ...Array.from({ length: 2 }, () => weight('loop.body/own')),
    await weight('w'),
    (h: number[][]) => h.map((row) => row.map((one) => one / 2)),
    await add('list'),
  ];
  let h = x;
  for (const step of steps) h = (await step)(h);
  expect(h.flat()).toEqual(y.flat());
});

test('layers of branches, loops and functions have their matrices', async () => {
  const file = await openModel(at('graphs.onnx'));
  expect(file.nodes!.map(({ name }) => name).filter(Boolean)).toEqual([
    'fc1/gemm',
    'fc2/gemm',
    'two/first/product',
    'two/second/product',
    'if',
    'product',
    'if.then_branch/product',
    'loop',
    'loop.body/product',
    'last',
  ]);
  const { floats, transposed, multiplied } = await findLayers(file);
  expect(floats.map(({ name }) => name)).toEqual(['w', 'fc1/w', 'fc2/w', 'own', 'if.then_branch/own', 'loop.body/own']);
  expect([...multiplied!]).toEqual(floats.map(({ name }) => name));
  expect([...transposed!]).toEqual(floats.map(({ name }) => name).filter((name) => name !== 'fc2/w')); // transB of the call
});
