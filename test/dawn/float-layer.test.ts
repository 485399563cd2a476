// Float tensors of files become layers: the GPU quantizes them as `quantize` does, in every bit, and says the same of their errors.
import { describe, expect, test } from 'vitest';
import { encode16, type FloatDType } from '../../src/dtype.js';
import {
  FormatError,
  findLayers,
  type LoadOptions,
  loadExperts,
  loadLayer,
  openModel,
  type Progress,
  partsOf,
  type QuantizeForm,
  type QuantizeReport,
  type TensorInfo,
} from '../../src/formats.js';
import { ExpertLayers, forwardExperts, LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import type { QuantizedMatrix } from '../../src/problem/matrix.js';
import { settingsFor } from '../../src/quantize/gpu-form.js';
import { quantize } from '../../src/quantize/quantize.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { gpu } from '../support/dawn.js';
import { makeGguf, makeSafetensors } from '../support/files.js';
import { loseWhile } from '../support/lost-device.js';
import { normals } from '../support/normal-weights.js';
import { infoOf } from '../support/tensors.js';

const device = await requestDevice({ gpu });
const alive = aliveBuffers(device);

const STORED = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;
type Stored = keyof typeof STORED;

/** Weights as a tensor of a file holds them. */
function floatTensor(name: string, stored: Stored, shape: readonly number[], values: Float32Array) {
  const dtype: FloatDType = STORED[stored];
  const weights = dtype === 'float32' ? values : encode16(values, dtype);
  const bytes = new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength);
  return { name, dtype: stored, shape, bytes, weights, info: infoOf({ name, dtype: stored, shape, bytes }) };
}
const weightsOf = (seed: string, length: number) => normals(seed, length).map((value) => 0.05 * value + 0.01);

function onCpu(weights: Float32Array | Uint16Array, { n, k, stored }: { n: number; k: number; stored: Stored }, form: QuantizeForm) {
  const { bits, groupSize, symmetric, mode, scaleDtype } = settingsFor(form, { n, k });
  return quantize(weights, { n, k, bits, mode, symmetric, scaleDtype, dtype: STORED[stored], ...(mode === 'group' && { groupSize }) });
}

/** Every weight as kernels have it: the product with rows that are 1 at one input. */
async function weightsIn(layer: LinearWeightQuant, k: number): Promise<Float32Array> {
  const data = Float32Array.from({ length: k * k }, (_, i) => (i % (k + 1) === 0 ? 1 : 0));
  const x = Tensor.from(device, data, { shape: [k, k], dtype: 'float32' });
  const y = layer.forward(x);
  const values = (await y.read()) as Float32Array;
  x.destroy();
  y.destroy();
  return values;
}
const fromMatrix = (matrix: QuantizedMatrix) =>
  new LinearWeightQuant(device, { inFeatures: matrix.k, outFeatures: matrix.n, dtype: 'float32', bias: false }).loadMatrix(matrix);

/** Sums of float32 numbers differ in their last bits. 2^-16 of a sum is 7e-5 dB. */
function expectReport(got: QuantizeReport | undefined, want: QuantizeReport): void {
  const { sqnr, rmse, maxError, ...sizes } = want;
  expect(got).toMatchObject(sizes);
  expect(Math.abs(got!.sqnr - sqnr)).toBeLessThan(1e-4);
  expect(Math.abs(got!.rmse / rmse - 1)).toBeLessThan(2 ** -16);
  expect(Math.abs(got!.maxError / maxError - 1)).toBeLessThan(2 ** -16);
}

const PIECES = { dtype: 'float32', chunkBytes: 2500 } as const;
const FORMS: readonly QuantizeForm[] = [
  'int8',
  'int4',
  { bits: 4, groupSize: 32, symmetric: true },
  { bits: 4, groupSize: 8, scaleDtype: 'float32' },
  { bits: 8, groupSize: 64, scaleDtype: 'bfloat16' },
  { bits: 8 },
  { bits: 4, mode: 'channel', symmetric: true, scaleDtype: 'bfloat16' },
];

describe.each(Object.keys(STORED) as Stored[])('%s', (stored) => {
  test.each(FORMS.map((form) => [JSON.stringify(form), form] as const))('%s: the codes, scales and errors of quantize', async (_, form) => {
    const [n, k] = [38, 75];
    const { info, weights } = floatTensor('w', stored, [n, k], weightsOf(`${stored} layer`, n * k));
    const { matrix, report } = onCpu(weights, { n, k, stored }, form);
    const layer = await loadLayer(device, info, { ...PIECES, quantize: form });
    const expected = fromMatrix(matrix);
    expect(layer.explain(k).weights).toEqual(expected.explain(k).weights);
    const [got, want] = [await weightsIn(layer, k), await weightsIn(expected, k)];
    expect(got).toEqual(want);
    expect(new Set(want).size).toBeGreaterThan(100); // they are weights
    expectReport(layer.report, report);
    layer.destroy();
    expected.destroy();
  });
});

test('in slabs and windows of a device with small bindings', async () => {
  const [n, k] = [212, 96];
  const { info, weights } = floatTensor('w', 'F32', [n, k], weightsOf('small', n * k));
  const plan = { caps: { maxStorageBufferBindingSize: 4096 } };
  const layer = await loadLayer(device, info, { dtype: 'float32', quantize: 'int4', plan });
  const expected = fromMatrix(onCpu(weights, { n, k, stored: 'F32' }, 'int4').matrix);
  expect(await weightsIn(layer, k)).toEqual(await weightsIn(expected, k));
  layer.destroy();
  expected.destroy();
});

test('a bias, if one is given', async () => {
  const [n, k] = [12, 32];
  const { info } = floatTensor('w', 'F16', [n, k], new Float32Array(n * k));
  const values = Float32Array.from({ length: n }, (_, i) => i / 4);
  const { info: bias } = floatTensor('w.bias', 'BF16', [n], values);
  const layer = await loadLayer(device, info, { ...PIECES, quantize: 'int8', bias });
  expect((await weightsIn(layer, k)).subarray(0, n)).toEqual(values);
  expect(layer.report).toMatchObject({ sqnr: Number.POSITIVE_INFINITY, maxError: 0, rmse: 0 });
  layer.destroy();
  const { info: long } = floatTensor('long', 'F32', [n + 1], new Float32Array(n + 1));
  await expect(loadLayer(device, info, { quantize: 'int8', bias: long })).rejects.toThrow(/long: shape: expected \(12,\), got 13 values/);
});

test.each([
  ['a GGUF', makeGguf, 'F16', 'output.weight'],
  ['a safetensors file', makeSafetensors, 'BF16', 'lm_head.weight'],
] as const)('from %s, as findLayers lists it', async (_, make, stored, name) => {
  const [n, k] = [40, 64];
  const { weights, info: __, ...tensor } = floatTensor(name, stored, [n, k], weightsOf(name, n * k));
  const { floats } = await findLayers(await openModel(make([tensor]).buffer as ArrayBuffer));
  const layer = await loadLayer(device, floats[0]!, { dtype: 'float32', quantize: 'int4' });
  const { matrix, report } = onCpu(weights, { n, k, stored }, 'int4');
  const expected = fromMatrix(matrix);
  expect(await weightsIn(layer, k)).toEqual(await weightsIn(expected, k));
  expectReport(layer.report, report);
  layer.destroy();
  expected.destroy();
});

test('weights of any size have a report: squares do not leave float32', async () => {
  const [n, k] = [8, 64];
  for (const size of [2 ** -80, 2 ** 100]) {
    const { info, weights } = floatTensor(
      'w',
      'F32',
      [n, k],
      normals('sizes', n * k).map((value) => size * value),
    );
    const form = { bits: 4, groupSize: 32, scaleDtype: 'float32' } as const;
    const layer = await loadLayer(device, info, { ...PIECES, quantize: form });
    expectReport(layer.report, onCpu(weights, { n, k, stored: 'F32' }, form).report);
    layer.destroy();
  }
});

test('experts: matrices of a tensor (E, N, K), with one report', async () => {
  const [experts, n, k] = [3, 20, 64];
  const { info, weights } = floatTensor('w', 'BF16', [experts, n, k], weightsOf('experts', experts * n * k));
  const loaded = await loadExperts(device, partsOf(info), { ...PIECES, quantize: 'int4' });
  const each = Array.from({ length: experts }, (_, i) =>
    onCpu(weights.slice(i * n * k, (i + 1) * n * k), { n, k, stored: 'BF16' }, 'int4'),
  );
  const options = { experts, inFeatures: k, outFeatures: n, dtype: 'float32', bias: false } as const;
  const expected = new ExpertLayers(device, options).loadMatrices(each.map(({ matrix }) => matrix));
  const x = Tensor.from(device, normals('x', 5 * k), { shape: [5, k], dtype: 'float32' });
  const ids = Tensor.from(device, Int32Array.of(0, 1, 2, 1, 0), { shape: [5, 1], dtype: 'int32' });
  const [got, want] = await Promise.all([loaded, expected].map((one) => forwardExperts(one, x, { ids }).read()));
  expect(got).toEqual(want);
  // The experts are rows of one matrix to the report.
  expectReport(loaded.report, onCpu(weights, { n: experts * n, k, stored: 'BF16' }, 'int4').report);
  expect(expected.report).toBeUndefined();
  await expect(loadExperts(device, partsOf(info))).rejects.toThrow(
    /quantize: expected int8, int4 or options, since w\[0\] is BF16, got none/,
  );
  const { info: other } = floatTensor('other', 'BF16', [n, 2 * k], new Float32Array(2 * n * k));
  await expect(loadExperts(device, [partsOf(info)[0]!, other], { quantize: 'int4' })).rejects.toThrow(
    /source: other: expected BF16 \(20, 64\), got BF16 \(20, 128\)/,
  );
});

describe('what stays in memory', () => {
  const [n, k] = [256, 512];
  const tensor = () => floatTensor('w', 'F16', [n, k], weightsOf('memory', n * k)).info;
  const load = (info: TensorInfo, options: LoadOptions = {}) =>
    loadLayer(device, info, { dtype: 'float32', chunkBytes: 16 * 1024, quantize: 'int4', ...options });

  test('the layer’s buffers, and a piece beside them; progress ends at the end', async () => {
    const told: [number, number][] = [];
    const layer = await load(tensor(), {
      onProgress: ({ phase, done, total }) => told.push([phase === 'read' ? done : Number.NaN, total]),
    });
    expect(alive.labels()).toEqual(['antiquant columnBias', 'antiquant offset0', 'antiquant scale0', 'antiquant w0']);
    expect(told).toHaveLength(16);
    expect(told.at(-1)).toEqual([2 * n * k, 2 * n * k]);
    const own = 4 * n + (n * k) / 2 + (3 * n * k) / 32;
    // A piece: floats, codes, grids and sums; grids and sums once more to be read; scales and zero points; uniforms.
    const weights = (16 * 1024) / 2;
    const piece = 2 * weights + weights / 2 + (2 * (8 + 12) * weights) / 32 + (3 * weights) / 32 + 8 * 256;
    expect(alive.peak()).toBeGreaterThan(own);
    expect(alive.peak()).toBeLessThanOrEqual(own + piece);
    layer.destroy();
    expect(alive.labels()).toEqual([]);
  });

  test('aborted between pieces: the reason, and no buffer', async () => {
    const abort = new AbortController();
    const reason = new Error('enough');
    const onProgress = ({ done }: Progress): void => {
      if (done > n * k) abort.abort(reason);
    };
    await expect(load(tensor(), { onProgress, signal: abort.signal })).rejects.toBe(reason);
    expect(alive.labels()).toEqual([]);
  });

  test('a file that cannot be read any further: its error, and no buffer', async () => {
    const info = tensor();
    const failure = new Error('the disk is gone');
    const read = async (begin: number, end: number) => {
      if (begin > n * k) throw failure;
      return info.source.read(begin, end);
    };
    await expect(load({ ...info, source: { ...info.source, read } })).rejects.toBe(failure);
    expect(alive.labels()).toEqual([]);
  });

  test('a device that is lost half-way: its error', async () => {
    const options = { chunkBytes: 16 * 1024, quantize: 'int4' } as const;
    await expect(loseWhile((own, onProgress) => loadLayer(own, tensor(), { ...options, onProgress }))).rejects.toThrow(/lost/);
  });

  test.each([Number.NaN, Number.NEGATIVE_INFINITY])('a weight that is %s in a later piece: a FormatError, and no buffer', async (bad) => {
    const values = weightsOf('bad', n * k);
    values[200 * k + 70] = bad;
    const failed = load(floatTensor('w', 'F16', [n, k], values).info);
    await expect(failed).rejects.toThrow(FormatError);
    await expect(failed).rejects.toThrow(/w: \[200, 64 … 95\]: expected finite numbers of at most 2\^126, got others/);
    expect(alive.labels()).toEqual([]);
  });
});

test('what it refuses', async () => {
  const [n, k] = [4, 32];
  const refusal = async (info: unknown, options: LoadOptions) => {
    try {
      (await loadLayer(device, info as TensorInfo, options)).destroy();
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
    return 'nothing';
  };
  const { info } = floatTensor('w', 'F32', [n, k], new Float32Array(n * k).fill(1e7));
  expect(await refusal(info, {})).toBe('ArgumentError: quantize: expected int8, int4 or options, since w is F32, got none');
  expect(await refusal(info, { quantize: 'int5' as never })).toMatch(
    /quantize: expected int8, int4 or options of quantizeOnGpu, got "int5"/,
  );
  expect(await refusal(info, { quantize: { bits: 4, groupSize: 12 } })).toMatch(/groupSize: expected a multiple of 8/);
  expect(await refusal(info, { quantize: { bits: 4, mode: 'tensor' } })).toMatch(/mode: expected channel or group, got tensor/);
  expect(await refusal(info, { quantize: 'int4' })).toMatch(
    /^ArgumentError: w\[0, 0 … 31\]: expected a group whose scale is a float16, got a larger one/,
  );
  expect(await refusal(info, { quantize: { bits: 4, scaleDtype: 'float32' } })).toBe('nothing');
  expect(await refusal({ ...info, transposed: true }, { quantize: 'int4' })).toMatch(/^UnsupportedError: w: it lies as \(K, N\)/);
  expect(await refusal({ ...info, shape: [2, 2, k] }, { quantize: 'int4' })).toMatch(/expected \(N, K\); partsOf cuts \(E, N, K\), got/);
  expect(await refusal({ ...info, dtype: 'I32' }, { quantize: 'int4' })).toMatch(/source\.dtype of w: expected F32 or F16 or BF16, got/);
  expect(await refusal({ ...info, end: 4 }, { quantize: 'int4' })).toMatch(/^FormatError: .*w: bytes: expected 512, got 4/);
  const { layers } = await findLayers(
    await openModel(makeGguf([{ name: 'q.weight', dtype: 'Q8_0', shape: [4, 32], bytes: new Uint8Array(136) }]).buffer as ArrayBuffer),
  );
  expect(await refusal(layers[0], { quantize: 'int4' })).toMatch(/quantize: expected none, since q is GGUF Q8_0, got one/);
  expect(await refusal(layers[0], { bias: info })).toMatch(/bias: expected none, since q is GGUF Q8_0, got one/);
  expect(await refusal(layers[0], {})).toBe('nothing');
});
