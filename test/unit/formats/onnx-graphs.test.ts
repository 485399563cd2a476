// ONNX graphs that the reader's own writer makes: constants behind nodes that copy or turn them, unpacked lists, functions that pass an input
// on; and files that lie about sizes, names, calls and files beside them.
import { describe, expect, test } from 'vitest';
import { openModel } from '../../../src/files/open-file.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { expectFormatError } from '../../support/expect-errors.js';
import { fromMap } from '../../support/files.js';
import { graphProto, nodeProto, type OnnxNode, type OnnxTensor, onnx } from '../../support/onnx-file.js';
import { ELEMENT, type Element, encode, graphAttribute, int, type Message, tensorAttribute } from '../../support/onnx-model.js';
import { expectWeights, weightsOf } from '../../support/tensors.js';

const bytesOf = (values: ArrayBufferView): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
const tensor = (name: string, type: Element, dims: readonly number[], values: ArrayBufferView): OnnxTensor => ({
  name,
  type: ELEMENT[type],
  dims,
  raw: bytesOf(values),
});
const node = (op: string, inputs: readonly string[], output: string, ints: OnnxNode['ints'] = {}): OnnxNode => ({
  op,
  name: `${op} of ${inputs[0]}`,
  inputs,
  outputs: [output],
  ints,
});
const open = (nodes: readonly OnnxNode[], tensors: readonly OnnxTensor[]) => openModel(onnx(nodes, tensors));

describe('a weight of DequantizeLinear', () => {
  const codes = Int8Array.from({ length: 32 }, (_, i) => i * 7 - 100);
  const scales = Float32Array.of(0.5, 0.25, 2, 1);
  const [w, s] = [tensor('w', 'int8', [4, 8], codes), tensor('s', 'float32', [4], scales)];
  const want = Float32Array.from(codes, (code, i) => code * scales[Math.floor(i / 8)]!);
  const shape = (...sizes: number[]): OnnxTensor => tensor('shape', 'int64', [sizes.length], BigInt64Array.from(sizes, BigInt));
  const flat = tensor('w', 'int8', [32], codes);
  const ways: Readonly<Record<string, readonly [nodes: readonly OnnxNode[], tensors: readonly OnnxTensor[]]>> = {
    'behind Identities': [
      [
        node('Identity', ['w'], 'w1'),
        node('Identity', ['w1'], 'w2'),
        node('Identity', ['s'], 's1'),
        node('DequantizeLinear', ['w2', 's1'], 'd', { axis: 0 }),
        node('Gemm', ['x', 'd'], 'y', { transB: 1 }),
      ],
      [w, s],
    ],
    'behind a Reshape': [
      [
        node('Reshape', ['w', 'shape'], 'w1'),
        node('DequantizeLinear', ['w1', 's'], 'd', { axis: 0 }),
        node('Gemm', ['x', 'd'], 'y', { transB: 1 }),
      ],
      [flat, s, shape(4, -1)],
    ],
    'behind a Transpose, for MatMul': [
      [node('Transpose', ['w'], 'w1'), node('DequantizeLinear', ['w1', 's'], 'd', { axis: 1 }), node('MatMul', ['x', 'd'], 'y')],
      [w, s],
    ],
    'behind two Transposes': [
      [
        node('Transpose', ['w'], 'w1', { perm: [1, 0] }),
        node('Identity', ['w1'], 'w2'),
        node('Transpose', ['w2'], 'w3', { perm: [1, 0] }),
        node('DequantizeLinear', ['w3', 's'], 'd', { axis: -2 }),
        node('Gemm', ['x', 'd'], 'y', { transB: 1 }),
      ],
      [w, s],
    ],
    'cast and turned before MatMul': [
      [
        node('DequantizeLinear', ['w', 's'], 'd', { axis: 0 }),
        node('Cast', ['d'], 'e', { to: ELEMENT.float16 }),
        node('Transpose', ['e'], 'f', { perm: [1, 0] }),
        node('Identity', ['f'], 'g'),
        node('MatMul', ['x', 'g'], 'y'),
      ],
      [w, s],
    ],
  };
  test.each(Object.keys(ways))('%s', async (way) => {
    const { layers, refused, rest } = await findLayers(await open(...ways[way]!));
    expect([refused, layers.map(({ n, k }) => [n, k])]).toEqual([[], [[4, 8]]]);
    expectWeights(await weightsOf(layers[0]!), want);
    expect(rest.map(({ name }) => name)).toEqual(ways[way]![1].length === 3 ? ['shape'] : []);
  });
  test('is no layer behind a Transpose of other axes, or a Reshape that does not fit; blocks of a Transpose are refused', async () => {
    const use = [node('DequantizeLinear', ['w1', 's'], 'd', { axis: 0 }), node('Gemm', ['x', 'd'], 'y', { transB: 1 })];
    for (const sizes of [
      [5, -1],
      [-1, -1],
      [4, 4],
      [-3, 8],
      [0, 3],
    ]) {
      const { layers, notYet } = await findLayers(await open([node('Reshape', ['w', 'shape'], 'w1'), ...use], [w, s, shape(...sizes)]));
      expect([layers, notYet.map(({ name }) => name)], String(sizes)).toEqual([[], ['w']]);
    }
    const blocks = [
      node('Transpose', ['w'], 'w1'),
      node('DequantizeLinear', ['w1', 't'], 'd', { axis: 0, block_size: 2 }),
      node('MatMul', ['x', 'd'], 'y'),
    ];
    const { refused } = await findLayers(await open(blocks, [w, tensor('t', 'float32', [4, 4], new Float32Array(16).fill(1))]));
    expect(refused.map(({ error }) => error.field)).toEqual(['block_size']);
    // MatMulNBits takes no Transpose: its B has three axes.
    const nbits = node('MatMulNBits', ['x', 'b1', 's'], 'y', { K: 32, N: 4, block_size: 32 });
    const turned = await findLayers(
      await open([node('Transpose', ['b'], 'b1'), nbits], [tensor('b', 'uint8', [16, 4], new Uint8Array(64)), s]),
    );
    expect(turned.refused.map(({ error }) => [error.field, error.got])).toEqual([['B', 'a Transpose of one']]);
  });
  test('of another domain is none', async () => {
    const own = { ...node('DequantizeLinear', ['w', 's'], 'd', { axis: 0 }), domain: 'my.own' };
    const file = await open([own, node('Gemm', ['x', 'd'], 'y', { transB: 1 })], [w, s]);
    expect(file.nodes!.map(({ op }) => op)).toEqual(['my.own.DequantizeLinear', 'Gemm']);
    expect((await findLayers(file)).layers).toEqual([]);
  });
});

test('lists that are not packed, zeros that proto3 leaves out, and ints in pieces', async () => {
  const one = (field: string, values: readonly number[]): Message[] => values.map((value) => ({ [field]: [value] }));
  const parts = [...one('float_data', [1.5, -2]), { data_type: 1, dims: [2], name: 'f' }];
  // Fields of one message, one after another, are a message.
  const merge = (messages: readonly Message[]): Uint8Array => Buffer.concat(messages.map((part) => encode('Tensor', part)));
  const f = merge(parts);
  const i = merge([...one('int64_data', [2 ** 53 - 1, -(2 ** 63), -1]), { data_type: 7, dims: [3], name: 'i' }]);
  const nodes = [
    nodeProto(node('Constant', [], 'zero')),
    nodeProto({ ...node('Gemm', ['x', 'f'], 'y'), attributes: [{ name: 'a', type: 2 }] }),
  ];
  nodes[0] = { ...nodes[0], attribute: [{ name: 'value_ints', ints: [0, 300, -5], type: 7 }] };
  const graph = Buffer.concat([...nodes.map((one) => wrap(1, encode('Node', one))), ...[f, i].map((bytes) => wrap(5, bytes))]);
  const file = await openModel(Buffer.concat([encode('Model', { ir_version: 8 }), wrap(7, graph)]));
  const read = async (name: string): Promise<ArrayBuffer> => {
    const { source, begin, end } = file.tensors.get(name)!;
    return (await source.read(begin, end)).slice().buffer as ArrayBuffer;
  };
  expect([...new Float32Array(await read('f'))]).toEqual([1.5, -2]);
  expect([...new BigInt64Array(await read('i'))]).toEqual([2n ** 53n - 1n, -(2n ** 63n), -1n]);
  expect([...new BigInt64Array(await read('zero'))]).toEqual([0n, 300n, -5n]);
  expect(file.nodes![0]!.ints.get('a')).toBe(0);
});
/** A field of bytes. */
function wrap(number: number, bytes: Uint8Array): Uint8Array {
  const length: number[] = [];
  for (let rest = bytes.length; ; rest = Math.floor(rest / 128)) {
    length.push(rest < 128 ? rest : (rest % 128) | 128);
    if (rest < 128) break;
  }
  return Buffer.concat([Uint8Array.of(number * 8 + 2), Uint8Array.from(length), bytes]);
}

const functions = (...own: readonly Message[]): Message => ({ functions: own });
const call = (op: string, inputs: readonly string[], output: string): OnnxNode => ({ ...node(op, inputs, output), domain: 'f' });
const made = (name: string, nodes: readonly OnnxNode[], input: readonly string[] = ['a'], output: readonly string[] = ['b']): Message => ({
  name,
  domain: 'f',
  input,
  output,
  node: nodes.map(nodeProto),
});

test('a function that passes its input on, and one whose inputs are weights', async () => {
  const w = tensor('w', 'float32', [2, 3], new Float32Array(6));
  const file = await openModel(
    onnx(
      [call('Pass', ['w'], 'p'), { ...call('Mul', ['x', 'p'], 'y'), name: '' }],
      [w],
      functions(made('Pass', [], ['a'], ['a']), made('Mul', [{ ...node('MatMul', ['a', 'v'], 'b'), name: '' }], ['a', 'v'])),
    ),
  );
  expect(file.nodes!.map(({ op, inputs, outputs }) => [op, ...inputs, ...outputs])).toEqual([
    ['Identity', 'w', 'p'],
    ['MatMul', 'x', 'p', 'y'],
  ]);
  expect([...(await findLayers(file)).transposed!]).toEqual(['w']);
});

describe('files that lie', () => {
  const f32 = (dims: readonly number[], more: Message): Message => ({ dims, data_type: 1, name: 'w', ...more });
  const model = (initializer: Message): Uint8Array => encode('Model', { ir_version: 10, graph: { initializer: [initializer] } });
  const external = (entries: Record<string, string>, dims = [2]): Uint8Array =>
    model(f32(dims, { external_data: Object.entries(entries).map(([key, value]) => ({ key, value })), data_location: 1 }));
  const files = { resolve: fromMap(new Map([['w.bin', Buffer.alloc(8)]])) };

  const tensors: Readonly<Record<string, readonly [bytes: Uint8Array, field: string, expected: string, got: string]>> = {
    'no data': [model(f32([2], {})), 'raw_data', '8 bytes', '0'],
    'too little': [model(f32([2], { raw_data: new Uint8Array(7) })), 'raw_data', '8 bytes', '7'],
    'too much': [model(f32([2], { float_data: [1, 2, 3] })), 'float_data', '8 bytes', '12'],
    'numbers in another list': [model({ ...f32([2], { int64_data: [1, 2] }) }), 'raw_data', '8 bytes', '0'],
    'more numbers than bytes': [model({ dims: [9], data_type: 3, name: 'w', int32_data: [1, 2, 3] }), 'int32_data', '9 numbers', '3 bytes'],
    'more bytes than numbers take': [
      model({ dims: [1], data_type: 3, name: 'w', int32_data: [-1, -2] }),
      'int32_data',
      '1 numbers',
      '20 bytes',
    ],
    'a negative size': [model(f32([-2], { raw_data: new Uint8Array(8) })), 'dims', 'at least 0', '-2'],
    'sizes that overflow': [model(f32([2 ** 40, 2 ** 40], { raw_data: new Uint8Array(8) })), 'dims', '2^53', '1099511627776'],
    'sizes that overflow to 0 in 64 bits': [model(f32([2 ** 32, 2 ** 32], {})), 'dims', '2^53', '4294967296'],
    'outside the folder': [external({ location: '../w.bin' }), 'external_data.location', 'same folder', '../w.bin'],
    'an absolute path': [external({ location: '/etc/passwd' }), 'external_data.location', 'same folder', '/etc/passwd'],
    'no location': [external({ offset: '0' }), 'external_data.location', 'same folder', 'nothing'],
    'past the end': [external({ location: 'w.bin', offset: '4' }), 'external_data', '8 bytes within the 8', '4'],
    'another length': [external({ location: 'w.bin', length: '4' }), 'external_data', '8 bytes', '4'],
    'an offset in words': [external({ location: 'w.bin', offset: '0x0' }), 'external_data', '8 bytes', '0x0'],
    'a negative offset': [external({ location: 'w.bin', offset: '-8' }), 'external_data', '8 bytes', '-8'],
    'an offset past 2^53': [external({ location: 'w.bin', offset: '9999999999999999' }), 'external_data', '8 bytes', '9999999999999999'],
  };
  test.each(Object.keys(tensors))('a tensor: %s', async (name) => {
    const [bytes, field, expected, got] = tensors[name]!;
    await expectFormatError(openModel(bytes, files), { tensor: 'w', field, expected, got });
  });
  test('a tensor: nine axes, a segment; numbers that do not fit, found when they are read', async () => {
    const nine = model(f32(Array(9).fill(1), { raw_data: new Uint8Array(4) }));
    await expectFormatError(openModel(nine), { field: 'dims', tensor: undefined, expected: '8', got: 'more' });
    await expectFormatError(openModel(model(f32([2], { segment: { begin: 0, end: 1 } }))), { field: 'segment', tensor: undefined });
    for (const [type, value] of [
      ['int8', 300],
      ['int8', -129],
      ['uint8', 256],
      ['float16', 2 ** 16],
      ['int16', -40_000],
    ] as const) {
      const file = await openModel(model({ dims: [2], data_type: ELEMENT[type], name: 'w', int32_data: [1, value] }));
      const { source, begin, end } = file.tensors.get('w')!;
      await expectFormatError(source.read(begin, end), { field: 'int32_data of w', tensor: undefined, got: String(value) });
    }
    for (const [values, got] of [
      [[1, 1, 1, 1], 'more'],
      [[300, 300], '2'],
    ] as const) {
      const file = await openModel(model({ dims: [3], data_type: ELEMENT.int32, name: 'w', int32_data: values }));
      const { source, begin, end } = file.tensors.get('w')!;
      await expectFormatError(source.read(begin, end), { field: 'int32_data of w', tensor: undefined, expected: '3 numbers', got });
    }
  });

  test('a file that is cut off anywhere ends in a FormatError', async () => {
    const whole = onnx([node('MatMul', ['x', 'w'], 'y')], [tensor('w', 'float32', [2, 2], new Float32Array(4))]);
    for (let length = 4; length < whole.length; length++)
      await expect(openModel(whole.slice(0, length), { name: 'm.onnx' }), String(length)).rejects.toMatchObject({ name: 'FormatError' });
    expect((await openModel(whole, { name: 'm.onnx' })).tensors.size).toBe(1);
  });

  test('names: twice, also of a node and of a branch', async () => {
    const w = tensor('w', 'float32', [1], new Float32Array(1));
    const twice = { field: 'name', tensor: 'w', got: 'it again' };
    await expectFormatError(open([], [w, w]), twice);
    await expectFormatError(open([node('Identity', ['x'], 'w')], [w]), twice);
    const branch = graphAttribute('then_branch', graphProto([node('Identity', ['x'], 'w')], [w]));
    await expectFormatError(open([{ ...node('If', ['c'], 'y'), attributes: [branch] }], []), twice);
  });

  test('functions that call themselves, or each other without end; many calls of few words', async () => {
    const again = made('F', [call('F', ['a'], 'b')]);
    const start = [call('F', ['x'], 'y')];
    const field = { field: 'functions', tensor: undefined };
    await expectFormatError(openModel(onnx(start, [], functions(again))), { ...field, got: 'F' });
    const [to, back] = [made('F', [call('G', ['a'], 'b')]), made('G', [call('F', ['a'], 'b')])];
    await expectFormatError(openModel(onnx(start, [], functions(to, back))), { ...field, got: 'F' });
    const long = Array.from({ length: 70 }, (_, i) => made(i ? `F${i}` : 'F', [call(`F${i + 1}`, ['a'], 'b')]));
    await expectFormatError(openModel(onnx(start, [], functions(...long))), { ...field, expected: '64' });
    const twice = Array.from({ length: 40 }, (_, i) =>
      made(i ? `F${i}` : 'F', [call(`F${i + 1}`, ['a'], 'c'), call(`F${i + 1}`, ['c'], 'b')]),
    );
    await expectFormatError(openModel(onnx(start, [], functions(...twice))), { field: 'graph', tensor: undefined, got: 'more' });
  });

  test('nodes of one name, and of names that others would get, have names of their own', async () => {
    const many = Array.from({ length: 300 }, (_, i) => ({ ...node('Relu', ['x'], `y${i}`), name: i === 1 ? 'a#2' : 'a' }));
    const names = (await open(many, [])).nodes!.map(({ name }) => name);
    expect(names.slice(0, 4)).toEqual(['a', 'a#2', 'a#3', 'a#4']);
    expect(new Set(names).size).toBe(300);
  });

  test('graphs that are too deep in each other', async () => {
    const deep = (depth: number): Uint8Array => {
      let graph = graphProto([], []);
      for (let i = 0; i < depth; i++) graph = graphProto([{ ...node('If', ['c'], `y${i}`), attributes: [graphAttribute('g', graph)] }], []);
      return encode('Model', { ir_version: 10, graph });
    };
    expect((await openModel(deep(32))).nodes).toHaveLength(32);
    await expectFormatError(openModel(deep(33)), { field: 'graph', tensor: undefined, expected: '32' });
  });

  test('a circle of nodes, and a function without a body, end', async () => {
    const w = tensor('w', 'float32', [2, 2], new Float32Array(4));
    const circle = [node('Identity', ['b'], 'a'), node('Identity', ['a'], 'b'), node('MatMul', ['x', 'a'], 'y'), call('None', ['w'], 'z')];
    const file = await openModel(onnx(circle, [w], functions(made('None', []))));
    expect((await findLayers(file)).multiplied!.size).toBe(0);
  });

  test('a Constant that is a tensor of wrong sizes', async () => {
    const value = tensorAttribute('value', { dims: [3], data_type: 1, raw_data: new Uint8Array(8) });
    await expectFormatError(open([{ op: 'Constant', name: 'c', inputs: [], outputs: ['w'], attributes: [value] }], []), {
      tensor: 'w',
      field: 'raw_data',
    });
    const text = { name: 'value_string', s: 'text', type: 3 };
    const file = await open([{ op: 'Constant', name: 'c', inputs: [], outputs: ['w'], attributes: [text, int('value_int', 1)] }], []);
    expect(file.tensors.size).toBe(0); // the first attribute says what it is
  });
});
