// ONNX files: openModel's and findLayers' reading of nodes and constants, compared with ONNX Runtime's goldens and numbers worked by hand;
// and invalid files.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.js';
import { openModel } from '../../../src/files/open-file.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { importMatMulNBits } from '../../../src/formats/matmul-nbits.js';
import { importDequantizeLinear } from '../../../src/formats/qdq.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { expectFormatError, expectReadError } from '../../support/expect-errors.js';
import { fromMap } from '../../support/files.js';
import { MUTATIONS } from '../../support/mutate.js';
import { type OnnxNode, type OnnxTensor, onnx } from '../../support/onnx-file.js';
import { matMulNBitsFixtures, readFixture } from '../../support/onnx-fixture.js';
import { expectWeights, floats, randoms, raw, weightsInPieces, weightsOf } from '../../support/tensors.js';

const TYPES: Readonly<Record<string, number>> = { F32: 1, U8: 2, I8: 3, I32: 6, F16: 10, U4: 21, I4: 22 };
interface Constant {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}
const constant = (name: string, { dtype, shape, bytes }: Constant): OnnxTensor => ({ name, type: TYPES[dtype]!, dims: shape, raw: bytes });

describe('MatMulNBits of the goldens', () => {
  test.each(matMulNBitsFixtures)('%s, whole and in pieces', async (name) => {
    const { attributes, tensors } = readFixture(name);
    const order = (['B', 'scales', 'zero_points', 'g_idx'] as const).filter((part) => part !== 'g_idx' || tensors.g_idx);
    const inputs = ['x', ...order.map((part) => (tensors[part] ? part : ''))];
    const node = { op: 'MatMulNBits', name: 'layer', inputs, ints: attributes as unknown as Record<string, number> };
    const file = await openModel(
      onnx(
        [node],
        order.flatMap((part) => (tensors[part] ? constant(part, tensors[part]) : [])),
      ),
    );
    expect(file.kind).toBe('onnx');
    const { layers, refused, rest } = await findLayers(file);
    expect([refused, rest]).toEqual([[], []]);
    const { weights, pieces } = await weightsInPieces(layers[0]!);
    if (layers[0]!.cut) expect(pieces).toBe(Math.ceil(attributes.N / 4));
    expectWeights(weights, dequantize(importMatMulNBits(tensors, attributes)));
  });
});

test('MatMulBnb4 of the goldens, with external data', async () => {
  const folder = join(import.meta.dirname, '../../fixtures/onnx');
  const name = readdirSync(folder).find((one) => one.startsWith('bnb4-nf4'))!;
  const { attributes, tensors, weights } = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const bytes = (part: string): Uint8Array => Buffer.from(tensors[part].base64, 'base64');
  const data = Buffer.concat([bytes('B'), bytes('absmax')]);
  const external = (offset: number, length: number) => ({ location: './m.data', offset: String(offset), length: String(length) });
  const model = onnx(
    [{ op: 'MatMulBnb4', name: 'layer', inputs: ['x', 'B', 'absmax'], ints: attributes }],
    [
      { name: 'B', type: 2, dims: tensors.B.dims, external: external(0, bytes('B').length) },
      { name: 'absmax', type: 1, dims: tensors.absmax.dims, external: external(bytes('B').length, bytes('absmax').length) },
    ],
  );
  const { layers } = await findLayers(await openModel(model, { resolve: fromMap(new Map([['m.data', data]])) }));
  expectWeights(await weightsOf(layers[0]!), new Float32Array(new Uint8Array(Buffer.from(weights.base64, 'base64')).buffer));
  await expectFormatError(openModel(model), { tensor: 'B', field: 'external_data', got: 'm.data' });
  const picked = openModel(new File([model as Uint8Array<ArrayBuffer>], 'm.onnx'), { files: [] });
  await expectReadError(picked, { file: 'm.data', reason: 'not one of the 0 files', missing: true });
});

describe('DequantizeLinear', () => {
  const [k, n, block] = [24, 16, 8];
  const nibbles = (values: readonly number[]): number[] =>
    Array.from({ length: Math.ceil(values.length / 2) }, (_, i) => ((values[2 * i]! & 15) | ((values[2 * i + 1] ?? 0) << 4)) & 255);
  const pack = (name: string, dtype: string, shape: readonly number[], values: readonly number[]) =>
    dtype.endsWith('4')
      ? { ...raw(name, 'U8', [Math.ceil(values.length / 2)], nibbles(values)), dtype, shape }
      : raw(name, dtype, shape, values);
  const RANGES: Readonly<Record<string, readonly [number, number]>> = { I4: [-8, 7], U4: [0, 15], I8: [-128, 127], U8: [0, 255] };
  const kinds = ['tensor', 'channel', 'group'] as const;
  const cases = Object.keys(RANGES).flatMap((dtype) =>
    kinds.flatMap((kind) => (['KN', 'NK'] as const).map((layout) => [dtype, kind, layout] as const)),
  );
  test.each(cases)('%s, a scale for each %s, %s', async (dtype, kind, layout) => {
    const [low, high] = RANGES[dtype]!;
    const groups = k / block;
    const shape = kind === 'tensor' ? [] : kind === 'channel' ? [n] : layout === 'KN' ? [groups, n] : [n, groups];
    const count = shape.reduce((a, b) => a * b, 1);
    for (const zeros of [true, false]) {
      const [q, scale, zero] = [randoms(1, n * k, low, high), floats(2, count), randoms(3, count, low, high)];
      const parts = {
        x: pack('w', dtype, layout === 'KN' ? [k, n] : [n, k], q),
        x_scale: raw('s', 'F32', shape, scale),
        ...(zeros && { x_zero_point: pack('z', dtype, shape, zero) }),
      };
      const ofN = layout === 'KN' ? 1 : 0;
      const ints = { axis: kind === 'group' ? 1 - ofN : ofN, ...(kind === 'group' && { block_size: block }) };
      const want = Float32Array.from({ length: n * k }, (_, i) => {
        const [row, column] = [Math.floor(i / k), i % k];
        const group = Math.floor(column / block);
        const at = kind === 'tensor' ? 0 : kind === 'channel' ? row : layout === 'KN' ? group * n + row : row * groups + group;
        return (q[layout === 'KN' ? column * n + row : i]! - (zeros ? zero[at]! : 0)) * scale[at]!;
      });
      const nodes: OnnxNode[] = [
        { op: 'DequantizeLinear', name: 'dq', inputs: ['w', 's', ...(zeros ? ['z'] : [])], outputs: ['d'], ints },
        { op: 'Gemm', name: 'g', inputs: ['x', 'd'], ints: { transB: layout === 'NK' ? 1 : 0 } },
      ];
      const constants = Object.values(parts).map((part) => constant(part.name, part));
      const { layers, refused } = await findLayers(await openModel(onnx(nodes, constants)));
      expect(refused).toEqual([]);
      expect(layers[0]!).toMatchObject({ name: 'dq', format: `DequantizeLinear ${dtype}`, n, k });
      expectWeights(await weightsOf(layers[0]!), want);
      const blockSize = kind === 'group' ? block : 0;
      expectWeights(dequantize(importDequantizeLinear(parts, { layout, axis: ints.axis, blockSize })), want);
    }
  });
  test('through a Transpose; of activations, or that nothing multiplies with: no layer', async () => {
    const parts = [constant('w', raw('w', 'I8', [4, 8], randoms(1, 32, -9, 9))), constant('s', raw('s', 'F32', [4], floats(1, 4)))];
    const dq = { op: 'DequantizeLinear', name: 'dq', inputs: ['w', 's'], outputs: ['d'], ints: { axis: 0 } };
    const turn = { op: 'Transpose', name: 't', inputs: ['d'], outputs: ['t'] };
    const turned = [dq, turn, { op: 'MatMul', name: 'm', inputs: ['x', 't'] }];
    expect((await findLayers(await openModel(onnx(turned, parts)))).layers).toMatchObject([{ n: 4, k: 8 }]);
    const none = await findLayers(await openModel(onnx([dq, { ...dq, name: 'x', inputs: ['y', 's'], outputs: ['e'] }], parts)));
    expect([none.layers, none.refused, none.notYet.map(({ name }) => name)]).toEqual([[], [], ['w']]);
  });
  test('refused: blocks along N, another shape of scales', async () => {
    const make = async (shape: readonly number[], ints: Record<string, number>) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const parts = [
        constant('w', raw('w', 'I8', [8, 16], randoms(1, 128, -9, 9))),
        constant('s', raw('s', 'F32', shape, floats(1, count))),
      ];
      const nodes = [
        { op: 'DequantizeLinear', name: 'dq', inputs: ['w', 's'], outputs: ['d'], ints },
        { op: 'MatMul', name: 'm', inputs: ['x', 'd'] },
      ];
      return (await findLayers(await openModel(onnx(nodes, parts)))).refused.map(({ error }) => error.field);
    };
    expect(await make([8, 2], { axis: 1, block_size: 8 })).toEqual(['axis']);
    expect(await make([16, 2], { axis: 0, block_size: 4 })).toEqual(['shape']);
    expect(await make([8], { axis: 0 })).toEqual(['axis']);
  });
});

test('float matrices: those that MatMul takes lie as (K, N)', async () => {
  const matrix = (name: string): OnnxTensor => constant(name, raw(name, 'F32', [4, 6], floats(1, 24)));
  const nodes = [
    { op: 'MatMul', name: 'a', inputs: ['x', 'wa'] },
    { op: 'Gemm', name: 'b', inputs: ['x', 'wb'], ints: { transB: 1 } },
    { op: 'Gather', name: 'c', inputs: ['wc', 'ids'] },
  ];
  const file = await openModel(onnx(nodes, [matrix('wa'), matrix('wb'), matrix('wc')]));
  const { floats: found, transposed, multiplied } = await findLayers(file);
  expect(found.map(({ name }) => name)).toEqual(['wa', 'wb', 'wc']);
  expect([[...transposed!], [...multiplied!]]).toEqual([['wa'], ['wa', 'wb']]);
  expect(found.map((info) => info.transposed)).toEqual([true, undefined, undefined]); // loadLayer reads this
});

describe('mutated files open, or are refused by a FormatError', () => {
  const { attributes, tensors } = readFixture(matMulNBitsFixtures[0]!);
  const own = onnx(
    [{ op: 'MatMulNBits', name: 'l', inputs: ['x', 'B', 'scales'], ints: attributes as never }],
    [constant('B', tensors.B), constant('scales', tensors.scales), { name: 'f', type: 1, dims: [2], float: [1, 2] }],
  );
  const fixture = (name: string): Uint8Array => readFileSync(join(import.meta.dirname, '../../fixtures', name));
  const files: Readonly<Record<string, Uint8Array>> = {
    MatMulNBits: own,
    'every form of storage': fixture('onnx-container/storage.onnx'),
    'branches, loops and functions': fixture('onnx-container/graphs.onnx'),
    MatMulInteger: fixture('onnx-dynamic/channel-uint8.onnx'),
  };
  test.each(Object.keys(files))(
    '%s',
    async (name) => {
      for (const [, mutation] of Object.entries(MUTATIONS).filter(([kind]) => kind !== 'JSON spliced'))
        await fc.assert(
          fc.asyncProperty(mutation, async (mutate) => {
            try {
              const file = await openModel(mutate(files[name]!), { name: 'm.onnx' });
              for (const { source, begin, end } of file.tensors.values()) await source.read(begin, end);
              const { layers } = await findLayers(file);
              for (const layer of layers) await weightsOf(layer);
            } catch (error) {
              if (!(error instanceof FormatError)) throw error;
            }
          }),
          { numRuns: process.env.ANTIQUANT_ALL ? 20_000 : 100 },
        );
    },
    300_000,
  );
});
