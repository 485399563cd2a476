// Weights of formats that pack along k, from their bytes to y on Dawn: ONNX Runtime's goldens, and random words of GPTQ, AWQ and MLC.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encode16 } from '../../src/dtype.js';
import { openModel } from '../../src/files/open-file.js';
import { importAwq } from '../../src/formats/awq.js';
import { findLayers } from '../../src/formats/find-layers.js';
import { gptqLayer, importGptq } from '../../src/formats/gptq.js';
import { importMatMulNBits } from '../../src/formats/matmul-nbits.js';
import { importMlc, mlcLayer } from '../../src/formats/mlc-weights.js';
import { readMatrix } from '../../src/formats/read-layer.js';
import { type HostTensor, referenceMatrix, requestDevice, Tensor } from '../../src/index.js';
import { loadLayer } from '../../src/layer/load-file.js';
import type { QuantizedMatrix } from '../../src/problem/matrix.js';
import { random } from '../cases/data.js';
import { runMatrix } from '../cases/run-matrix.js';
import { gpu } from '../support/dawn.js';
import { readFixture } from '../support/onnx-fixture.js';
import { infoOf, raw } from '../support/tensors.js';

const device = await requestDevice({ gpu });
const asCase = (name: string, dtype: 'float32' | 'float16') =>
  ({ name, dtype, exact: false, innerPrecise: 0, force: undefined, caps: {} }) as const;

/** One of each kind of zero points, dtype, bits and order: the unit tests hold all of them against the same numbers. */
const goldens = [
  'nbits-2-block16-zeros-ragged',
  'nbits-4-block32-zeros-ragged',
  'nbits-4-block32-float-zeros',
  'nbits-4-float16',
  'nbits-4-g_idx',
  'nbits-8-block128-zeros-ragged',
];
test.each(goldens)('%s', async (name) => {
  const { attributes, tensors, dtype, x, y } = readFixture(`${name}.json`);
  const matrix = importMatMulNBits(tensors, attributes);
  const data = dtype === 'float16' ? encode16(x, 'float16') : x;
  const host: HostTensor = { data, shape: [3, attributes.K], dtype };
  expect((await runMatrix(device, asCase(name, dtype), { matrix, x: host })).failures).toEqual([]);
  // ONNX Runtime's own product lies within the same bounds, though it rounds weights and sums in another order.
  const { low, high } = referenceMatrix(host, matrix);
  const outside = Array.from(y, (value, i) => [value, low[i]!, high[i]!]).filter(
    ([value, least, most]) => value! < least! || value! > most!,
  );
  expect(outside).toEqual([]);
});

const [n, k] = [72, 320];
const next = random('imported');
const words = (count: number) => Array.from({ length: count }, () => Math.floor(next() * 2 ** 32) | 0);
const scalesOf = (count: number) => Array.from({ length: count }, () => 0.01 + 0.1 * next());
const x: HostTensor = { data: Float32Array.from({ length: 3 * k }, () => next() * 2 - 1), shape: [3, k], dtype: 'float32' };

/** Of 4 bits, in groups of 64. */
const gptq = {
  qweight: raw('qweight', 'I32', [k / 8, n], words((k / 8) * n)),
  qzeros: raw('qzeros', 'I32', [k / 64, n / 8], words((k / 64) * (n / 8))),
  scales: raw('scales', 'F16', [k / 64, n], scalesOf((k / 64) * n)),
};
const shuffled = Array.from({ length: k }, (_, i) => ({ group: Math.floor(i / 64), key: next() })).sort((a, b) => a.key - b.key);
const g_idx = raw(
  'g_idx',
  'I32',
  [k],
  shuffled.map(({ group }) => group),
);
const awq = {
  qweight: raw('qweight', 'I32', [k, n / 8], words((k * n) / 8)),
  qzeros: gptq.qzeros,
  scales: gptq.scales,
};
const mlc = {
  q_weight: raw('q_weight', 'U32', [n, k / 8], words((k / 8) * n)),
  q_scale: raw('q_scale', 'F16', [n, k / 32], scalesOf((k / 32) * n)),
};
const matrices: Readonly<Record<string, QuantizedMatrix>> = {
  GPTQ: importGptq(gptq, { bits: 4 }),
  'GPTQ in act-order': importGptq({ ...gptq, g_idx }, { bits: 4 }),
  AWQ: importAwq(awq),
  'MLC, whose scales are negated': importMlc(mlc, { format: 'q4f16_1' }),
};

test.each(Object.entries(matrices))('%s', async (name, matrix) => {
  expect((await runMatrix(device, asCase(name, 'float32'), { matrix, x })).failures).toEqual([]);
});

describe('from a file', () => {
  const info = (tensors: typeof gptq) => ({
    qweight: infoOf(tensors.qweight),
    qzeros: infoOf(tensors.qzeros),
    scales: infoOf(tensors.scales),
  });
  const sources = {
    'GPTQ in pieces along k': [gptqLayer(info(gptq), { name: 'a', bits: 4, checkpointFormat: 'gptq' }), matrices.GPTQ!],
    'GPTQ in act-order, whole': [
      gptqLayer({ ...info(gptq), g_idx: infoOf(g_idx) }, { name: 'b', bits: 4, descAct: true }),
      matrices['GPTQ in act-order']!,
    ],
    'MLC in pieces along n': [
      mlcLayer({ q_weight: infoOf(mlc.q_weight), q_scale: infoOf(mlc.q_scale) }, { name: 'c', format: 'q4f16_1' }),
      matrices['MLC, whose scales are negated']!,
    ],
  } as const;
  test.each(Object.entries(sources))('%s', async (_, [source, matrix]) => {
    const layer = await loadLayer(device, source, { dtype: 'float32', chunkBytes: 4096 });
    const input = Tensor.from(device, x.data as Float32Array<ArrayBuffer>, { shape: x.shape, dtype: 'float32' });
    const { low, high } = referenceMatrix(x, matrix, { accuracy: layer.explain(3).accuracy });
    const y = (await layer.forward(input).read()) as Float32Array;
    expect(y.length).toBe(3 * n);
    expect(Array.from(y).filter((value, i) => !(value >= low[i]! && value <= high[i]!))).toEqual([]);
    layer.destroy();
    input.destroy();
  });
});

test.each(['tensor-int8', 'channel-uint8', 'fused'])("MatMulInteger of ONNX Runtime's %s, with the bias behind it", async (name) => {
  const file = await openModel(join(import.meta.dirname, `../fixtures/onnx-dynamic/${name}.onnx`));
  const source = (await findLayers(file)).layers[0]!;
  const matrix = await readMatrix(source);
  const { source: from, begin, end } = source.bias!;
  const data = new Float32Array((await from.read(begin, end)).buffer);
  const x: HostTensor = { data: Float32Array.from({ length: 3 * source.k }, () => next() * 2 - 1), shape: [3, source.k], dtype: 'float32' };
  const layer = await loadLayer(device, source, { dtype: 'float32' });
  const input = Tensor.from(device, x.data as Float32Array<ArrayBuffer>, { shape: x.shape, dtype: 'float32' });
  const bias: HostTensor = { data, shape: [source.n], dtype: 'float32' };
  const { low, high } = referenceMatrix(x, matrix, { bias, accuracy: layer.explain(3).accuracy });
  const y = (await layer.forward(input).read()) as Float32Array;
  expect(y.length).toBe(3 * 20);
  expect(Array.from(y).filter((value, i) => !(value >= low[i]! && value <= high[i]!))).toEqual([]);
  layer.destroy();
  input.destroy();
});
