// y = add + product: in a recorded step, over many calls, and what is refused. test/cases has the numbers of every kernel and form.
import { expect, test } from 'vitest';
import { LinearWeightQuant, recordSteps, replay, Tensor } from '../../src/index.js';
import { deviceForEach, submitPass } from '../support/fresh-device.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const dtype = 'float32';
const [K, N] = [64, 8];
/** W = 2 everywhere, so that a row of ones gives 2 K. */
const layerOf = (more = {}) =>
  new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype, ...more }).load({
    weight: Tensor.from(device, new Int8Array(N * K).fill(1), { shape: [N, K], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, new Float32Array([2]), { shape: [1], dtype }),
    ...('quantScale' in more && { quantScale: Tensor.from(device, new Float32Array([0.01]), { shape: [1], dtype }) }),
  });
const rows = (value: number, m: number, width: number) =>
  Tensor.from(device, new Float32Array(m * width).fill(value), { shape: [m, width], dtype });
const submitted = (encode: (pass: GPUComputePassEncoder) => void) => submitPass(device, encode);

test('calls on the same buffers add again, and a call without add replaces', async () => {
  const layer = layerOf();
  const [x, y] = [rows(1, 2, K), rows(5, 2, N)];
  submitted((pass) => {
    layer.encode(pass, x, y, { add: y });
    layer.encode(pass, x, y, { add: y });
  });
  expect(new Set((await y.read()) as Float32Array)).toEqual(new Set([5 + 4 * K]));
  submitted((pass) => layer.encode(pass, x, y));
  expect(new Set((await y.read()) as Float32Array)).toEqual(new Set([2 * K]));
});

test('another Tensor of the same elements is the same residual', async () => {
  const layer = layerOf();
  const y = rows(5, 2, N);
  const view = Tensor.wrap(device, y.buffer, { shape: [2, N], dtype });
  submitted((pass) => layer.encode(pass, rows(1, 2, K), y, { add: view }));
  expect(new Set((await y.read()) as Float32Array)).toEqual(new Set([5 + 2 * K]));
});

test('a recorded step adds at every replay, in as many rows as it is told', async () => {
  const layer = layerOf();
  const [x, y] = [rows(1, 4, K), rows(5, 4, N)];
  const recorded = recordSteps(device, [{ layer, x, y, add: y }], { rows: [1, 4] });
  for (const count of [1, 4, 1]) submitted((pass) => replay(pass, recorded, count));
  const got = Array.from((await y.read()) as Float32Array);
  expect(got.slice(0, N)).toEqual(Array(N).fill(5 + 6 * K));
  expect(got.slice(N)).toEqual(Array(3 * N).fill(5 + 2 * K));
});

test('what is no residual is refused by name', () => {
  const layer = layerOf();
  const [x, y] = [rows(1, 2, K), rows(5, 2, N)];
  const encode =
    (add: unknown, into = y, of = layer) =>
    () =>
      submitted((pass) => of.encode(pass, x, into, { add: add as Tensor }));
  expect(encode(rows(5, 2, N))).toThrow(/add.*the buffer of y/);
  expect(encode(Tensor.wrap(device, y.buffer, { shape: [N, 2], dtype }))).toThrow(/add.*float32 \(2, 8\)/);
  expect(encode(Tensor.wrap(device, y.buffer, { shape: [1, N], dtype, byteOffset: 4 * N }))).toThrow(/add/);
  expect(encode(1)).toThrow(/add/);
  expect(() => submitted((pass) => layer.encode(pass, x, y, { adds: y } as never))).toThrow(/adds/);
  const codes = Tensor.wrap(device, y.buffer, { shape: [2, N], dtype: 'int8' });
  expect(encode(codes, codes, layerOf({ quantScale: true }))).toThrow(/add.*none beside an int8 y/);
});
