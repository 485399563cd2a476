// Products whose x is rounded to uint8 as they run (transformers.js's q8), compared with ONNX Runtime's goldens (scripts/goldens/onnx-dynamic.py);
// and graphs in which the scale or the bias is not found.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModel } from '../../../src/files/open-file.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { type OnnxNode, type OnnxTensor, onnx } from '../../support/onnx-file.js';
import { ELEMENT } from '../../support/onnx-model.js';
import { expectWeights } from '../../support/tensors.js';

const folder = join(import.meta.dirname, '../../fixtures/onnx-dynamic');
interface Expected {
  readonly x: string;
  readonly bias: string;
  readonly models: Readonly<Record<string, { readonly weights: Readonly<Record<string, string>>; readonly y: string }>>;
}
const expected: Expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'));
const floatsOf = (hex: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(hex, 'hex')).buffer);

/** y (M, N) of x (M, K) and W (N, K), and the most that rounding x to 8 bits, from an x that may be off by `off`, changes it. */
function product(x: readonly number[], weights: Float32Array, [n, k]: readonly [number, number], off: readonly number[]) {
  const step = (Math.max(0, ...x) - Math.min(0, ...x) + 2 * Math.max(...off)) / 255;
  const [y, most]: number[][] = [[], []];
  for (let i = 0; i < (x.length / k) * n; i++) {
    const [row, column] = [Math.floor(i / n), i % n];
    let [sum, error] = [0, 0];
    for (let at = 0; at < k; at++) {
      const weight = weights[column * k + at]!;
      sum += x[row * k + at]! * weight;
      // Half a step for the code and half a step for the zero point, at whose end codes are cut.
      error += (off[row * k + at]! + step) * Math.abs(weight);
    }
    y!.push(sum);
    most!.push(error * (1 + 1e-4) + 1e-4); // float32, of sums of at most 48 products below 100
  }
  return { y: y!, most: most! };
}

describe.each(Object.keys(expected.models))('%s', (name) => {
  const { weights, y } = expected.models[name]!;
  const file = openModel(join(folder, `${name}.onnx`));
  test("has the weights that the scales and zero points say, and the Add's bias", async () => {
    const { layers, refused, notYet, rest } = await findLayers(await file);
    expect([refused, notYet, rest]).toEqual([[], [], []]);
    expect(layers.map(({ n, k, bits, bias }) => [n, k, bits, bias?.name])).toEqual([
      [20, 48, 8, 'a'],
      [12, 20, 8, undefined],
      [12, 20, 8, undefined],
    ]);
    for (const [i, part] of ['Wa', 'Wb', 'Wc'].entries()) expectWeights(dequantize(await readMatrix(layers[i]!)), floatsOf(weights[part]!));
  });
  test("multiplies to ONNX Runtime's y, up to its rounding of x", async () => {
    const { layers } = await findLayers(await file);
    const [a, b, c] = await Promise.all(layers.map(async (layer) => dequantize(await readMatrix(layer))));
    const { source, begin, end } = layers[0]!.bias!;
    const bias = new Float32Array((await source.read(begin, end)).slice().buffer);
    expect([...bias]).toEqual([...floatsOf(expected.bias)]);
    const x = [...floatsOf(expected.x)];
    const first = product(
      x,
      a!,
      [20, 48],
      x.map(() => 0),
    );
    const h = first.y.map((value, i) => value + bias[i % 20]!);
    const [left, right] = [b, c].map((weight) => product(h, weight!, [12, 20], first.most));
    const got = floatsOf(y);
    expect(got).toHaveLength(36);
    for (const [i, value] of got.entries()) {
      const most = left!.most[i]! + right!.most[i]!;
      expect(Math.abs(value - left!.y[i]! - right!.y[i]!)).toBeLessThanOrEqual(most);
    }
    // The bound is narrower than the sums are: other weights would not stay inside.
    expect(Math.max(...left!.y.map(Math.abs))).toBeGreaterThan(Math.max(...left!.most));
  });
});

describe('a scale or bias that is not where it should be', () => {
  const tensor = (name: string, type: keyof typeof ELEMENT, dims: readonly number[], values: ArrayBufferView): OnnxTensor => ({
    name,
    type: ELEMENT[type],
    dims,
    raw: new Uint8Array(values.buffer),
  });
  const node = (op: string, inputs: readonly string[], outputs: readonly string[], domain = ''): OnnxNode => ({
    op,
    name: op.toLowerCase(),
    inputs,
    outputs,
    domain,
  });
  const constants = [
    tensor('w', 'int8', [4, 2], Int8Array.of(1, 2, 3, 4, 5, 6, 7, 8)),
    tensor('s', 'float32', [1], Float32Array.of(0.5)),
    tensor('z', 'int8', [], Int8Array.of(1)),
    tensor('b', 'float32', [2], Float32Array.of(1, 2)),
    tensor('b1', 'float32', [1], Float32Array.of(1)),
  ];
  const chain = [
    node('DynamicQuantizeLinear', ['x'], ['xq', 'xs', 'xz']),
    node('Mul', ['s', 'xs'], ['scales']),
    node('MatMulInteger', ['xq', 'w', 'xz', 'z'], ['p']),
    node('Cast', ['p'], ['c']),
    node('Mul', ['scales', 'c'], ['y']),
  ];
  const find = async (nodes: readonly OnnxNode[]) => findLayers(await openModel(onnx(nodes, constants)));
  const want = [0, 1, 2, 3, 0.5, 1.5, 2.5, 3.5];

  test('none: the chain as it should be, a scale of shape (1) beside a zero point of shape ()', async () => {
    const { layers, refused } = await find([...chain, node('Add', ['b', 'y'], ['end'])]);
    expect([refused, layers[0]!.bias?.name, layers[0]!.format]).toEqual([[], 'b', 'MatMulInteger I8']);
    expectWeights(dequantize(await readMatrix(layers[0]!)), want);
  });
  test('an Add of another shape, of two values, or of a y that others take, too, is no bias', async () => {
    for (const more of [
      [node('Add', ['y', 'b1'], ['end'])],
      [node('Add', ['y', 'x'], ['end'])],
      [node('Add', ['y', 'b'], ['end']), node('Relu', ['y'], ['r'])],
      [node('Sub', ['y', 'b'], ['end'])],
    ]) {
      const { layers } = await find([...chain, ...more]);
      expect(layers.map(({ bias }) => bias)).toEqual([undefined]);
    }
  });
  const without = (op: string, ...more: readonly OnnxNode[]) => [...chain.filter((one) => one.op !== op), ...more];
  test.each([
    ['no Cast', without('Cast')],
    ['a product that others take, too', [...chain, node('Relu', ['p'], ['r'])]],
    ['a scale that is computed', chain.map((one) => (one.outputs![0] === 'scales' ? { ...one, inputs: ['t', 'xs'] } : one))],
    ['an x that another node rounds', without('DynamicQuantizeLinear', node('QuantizeLinear', ['x', 'xs'], ['xq']))],
    ["another x's scale", chain.map((one) => (one.outputs![0] === 'scales' ? { ...one, inputs: ['s', 'other'] } : one))],
  ])('refused: %s', async (_, nodes) => {
    const { layers, refused } = await find(nodes);
    expect([layers, refused.map(({ error }) => error.field)]).toEqual([[], ['x_scale']]);
  });
  test('a product of two computed values is no layer; the fused nodes without a scale are refused', async () => {
    const computed = await find([...without('MatMulInteger'), node('MatMulInteger', ['xq', 'v', 'xz', 'z'], ['p'])]);
    expect([computed.layers, computed.refused]).toEqual([[], []]);
    const fused = await find([node('MatMulIntegerToFloat', ['xq', 'w', 'xs', '', 'xz', 'z'], ['y'], 'com.microsoft')]);
    expect(fused.refused.map(({ error }) => [error.field, error.got])).toEqual([['x_scale', 'none']]);
    const wide = await find([node('DynamicQuantizeMatMul', ['x', 'w', 's', 'z', 'b1'], ['y'], 'com.microsoft')]);
    expect(wide.refused.map(({ error }) => [error.field, error.expected, error.got])).toEqual([['bias', '(2)', '(1)']]);
  });
});
