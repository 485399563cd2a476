// Refused work and a lack of memory end in a typed error, never in an old result, in zeros or in errors of later calls.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dequantize, quantizeOnGpu } from '../../src/formats.js';
import {
  forwardMany,
  GpuError,
  LinearWeightQuant,
  prepareMany,
  quantizeRows,
  readQuantizedRows,
  requestDevice,
  Tensor,
  UnsupportedError,
} from '../../src/index.js';
import type { QuantizedMatrix } from '../../src/problem/matrix.js';
import { gpu } from '../support/dawn.js';

const [M, K, N] = [3, 64, 16];
let device: GPUDevice;
let uncaptured: string[];
beforeEach(async () => {
  device = await requestDevice({ gpu });
  uncaptured = [];
  device.onuncapturederror = ({ error }) => {
    uncaptured.push(error.message);
  };
});
afterEach(async () => {
  await device.queue.onSubmittedWorkDone();
  expect(uncaptured).toEqual([]);
  device.destroy();
});

const xs = Float32Array.from({ length: M * K }, (_, i) => (i % 5) - 2);
const codes = Int8Array.from({ length: N * K }, (_, i) => (i % 7) - 3);
/** y[m, n] = Σ x · q · 0.5. */
const right = (scale = 1): number[] =>
  Array.from({ length: M * N }, (_, i) => {
    const [m, n] = [Math.floor(i / N), i % N];
    let sum = 0;
    for (let k = 0; k < K; k++) sum += scale * xs[m * K + k]! * codes[n * K + k]! * 0.5;
    return sum;
  });
const xTensor = (on = device, scale = 1): Tensor =>
  Tensor.from(
    on,
    xs.map((x) => scale * x),
    { shape: [M, K], dtype: 'float32' },
  );
const tensors = (on = device) => ({
  weight: Tensor.from(on, codes, { shape: [N, K], dtype: 'int8' }),
  antiquantScale: Tensor.from(on, new Float32Array([0.5]), { shape: [1], dtype: 'float32' }),
});
const newLayer = (on = device, plan: object = {}): LinearWeightQuant =>
  new LinearWeightQuant(on, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32', plan });
const numbers = async (y: Tensor): Promise<number[]> => [...((await y.read()) as Float32Array)];
const matrix: QuantizedMatrix = {
  n: N,
  k: K,
  bits: 4,
  codes: Uint32Array.from({ length: (N * K) / 8 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0),
  groupSize: 32,
  scale: Float32Array.from({ length: (N * K) / 32 }, () => 0.5),
  zeroPoint: Float32Array.from({ length: (N * K) / 32 }, (_, i) => i % 3),
  scaleDtype: 'float32',
};
const rightOfMatrix = (): number[] => {
  const w = dequantize(matrix);
  return Array.from({ length: M * N }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += xs[Math.floor(i / N) * K + k]! * w[(i % N) * K + k]!;
    return sum;
  });
};

describe('a refused submit is not an answer', () => {
  test.each(['destroyed', 'mapped'])('x whose buffer is %s, after a good call into the same output buffer', async (what) => {
    const layer = newLayer().load(tensors());
    const good = layer.forward(xTensor());
    expect(await numbers(good)).toEqual(right());
    good.destroy();
    const mappable = what === 'mapped';
    const buffer = device.createBuffer({ size: 4 * M * K, usage: 0x80 | 0x8, mappedAtCreation: mappable });
    const x = Tensor.wrap(device, buffer, { shape: [M, K], dtype: 'float32' });
    if (!mappable) buffer.destroy();
    await expect(layer.forward(x).read()).rejects.toThrow(GpuError);
    // And once more, now that the call is known.
    await expect(layer.forward(x).read()).rejects.toThrow(GpuError);
    expect(await numbers(layer.forward(xTensor(device, 2)))).toEqual(right(2));
  });

  test('x whose buffer is another device’s', async () => {
    const other = await requestDevice({ gpu });
    const layer = newLayer().load(tensors());
    const x = Tensor.wrap(device, xTensor(other).buffer, { shape: [M, K], dtype: 'float32' });
    await expect(layer.forward(x).read()).rejects.toThrow(GpuError);
    expect(await numbers(layer.forward(xTensor()))).toEqual(right());
    other.destroy();
  });

  test('what follows from it is none either: a second layer, codes of x, forwardMany', async () => {
    const layer = newLayer().load(tensors());
    const next = new LinearWeightQuant(device, { inFeatures: N, outFeatures: N, bias: false, dtype: 'float32' });
    next.load({
      weight: Tensor.from(device, codes.slice(0, N * N), { shape: [N, N], dtype: 'int8' }),
      antiquantScale: Tensor.from(device, new Float32Array([1]), { shape: [1], dtype: 'float32' }),
    });
    const x = xTensor();
    x.buffer.destroy();
    await expect(next.forward(layer.forward(x)).read()).rejects.toThrow(GpuError);
    await expect(readQuantizedRows(quantizeRows(x, { held: 8 }))).rejects.toThrow(GpuError);
    for (const y of forwardMany([layer, newLayer().load(tensors())], x)) await expect(y.read()).rejects.toThrow(GpuError);
    await expect(x.read()).rejects.toThrow(GpuError);
    await expect(quantizeOnGpu(device, x, { bits: 4, groupSize: 32 })).rejects.toThrow(GpuError);
  });

  test('a load from a destroyed weight', async () => {
    const given = tensors();
    given.weight.buffer.destroy();
    const layer = newLayer().load(given);
    await expect(layer.forward(xTensor()).read()).rejects.toThrow(GpuError);
    await expect(layer.prepare([M])).rejects.toThrow(GpuError);
    expect(await numbers(layer.load(tensors()).forward(xTensor()))).toEqual(right());
  });

  test('a y that a pass writes is not read if its call is not sound', async () => {
    const layer = newLayer().load(tensors());
    const x = xTensor();
    const y = Tensor.from(device, new Float32Array(M * N).fill(7), { shape: [M, N], dtype: 'float32' });
    x.buffer.destroy();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    layer.encode(pass, x, y);
    pass.end();
    device.pushErrorScope('validation');
    device.queue.submit([encoder.finish()]); // the caller's own submit, and own error
    expect((await device.popErrorScope())?.message).toMatch(/destroyed/);
  });
});

describe('a buffer that the device allows not as large', () => {
  test('Tensor.from', async () => {
    const least = await (await gpu.requestAdapter())!.requestDevice();
    const rows = Math.floor(least.limits.maxBufferSize / 4096) + 8;
    const large = new Int8Array(rows * 4096);
    expect(() => Tensor.from(least, large, { shape: [rows, 4096], dtype: 'int8' })).toThrow(
      /^tensor int8 .*: needs \d+ bytes, maxBufferSize is \d+$/,
    );
    least.destroy();
  });
});

// ------------------------------------------------------------------------------------------------------------ full memory

/** A device whose createBuffer fails at the n-th call: by throwing, as mapped buffers do, or by an error that a scope sees. */
function failingAt(n: number, how: 'throws' | 'reports') {
  let made = 0;
  let failed = false;
  let reported = false;
  const live = new Set<GPUBuffer>();
  const scopes: string[] = [];
  const track = (buffer: GPUBuffer): GPUBuffer => {
    live.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      live.delete(buffer);
      return destroy();
    };
    return buffer;
  };
  const own: Partial<Record<string | symbol, unknown>> = {
    createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer {
      if (++made === n) {
        failed = true;
        if (how === 'throws' && descriptor.mappedAtCreation) throw new RangeError('createBuffer failed, size is too large');
        reported = true;
        const buffer = track(device.createBuffer(descriptor));
        if (!descriptor.mappedAtCreation) buffer.destroy(); // as unusable as one that was never made
        return buffer;
      }
      return track(device.createBuffer(descriptor));
    },
    pushErrorScope(filter: GPUErrorFilter) {
      scopes.push(filter);
      device.pushErrorScope(filter);
    },
    async popErrorScope() {
      const memory = scopes.pop() === 'out-of-memory' && reported;
      if (memory) reported = false;
      const error = await device.popErrorScope();
      return memory ? { message: 'out of memory' } : error;
    },
  };
  const proxy = new Proxy(device, {
    get(target, name) {
      if (name in own) return own[name];
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return { device: proxy, live, failed: () => failed };
}

describe.each(['throws', 'reports'] as const)('no memory for the n-th buffer, for every n (it %s)', (how) => {
  const forced = { force: { kernel: 'matmul-plain' }, selfTest: false };
  const ways: Readonly<Record<string, (on: GPUDevice) => Promise<unknown>>> = {
    async load(on) {
      const layer = newLayer(on, forced).load(tensors(on));
      await layer.prepare([M]);
      expect(await numbers(layer.forward(xTensor(on)))).toEqual(right());
      layer.destroy();
    },
    async loadMatrix(on) {
      const layer = newLayer(on, forced).loadMatrix(matrix);
      expect(await numbers(layer.forward(xTensor(on)))).toEqual(rightOfMatrix());
      layer.destroy();
    },
    async forwardMany(on) {
      const layers = [newLayer(on, forced).load(tensors(on)), newLayer(on, forced).load(tensors(on))];
      for (const y of forwardMany(layers, xTensor(on))) expect(await numbers(y)).toEqual(right());
      await prepareMany(layers, [M]);
      for (const y of forwardMany(layers, xTensor(on))) expect(await numbers(y)).toEqual(right());
      for (const layer of layers) layer.destroy();
    },
    async quantizeOnGpu(on) {
      const weights = Tensor.from(
        on,
        Float32Array.from({ length: N * K }, (_, i) => (i % 16) - 8),
        { shape: [N, K], dtype: 'float32' },
      );
      const { matrix: made } = await quantizeOnGpu(on, weights, { bits: 4, groupSize: 32 });
      expect(dequantize(made)).toEqual(Float32Array.from({ length: N * K }, (_, i) => (i % 16) - 8));
      weights.destroy();
    },
    async quantizeRows(on) {
      const { step } = await readQuantizedRows(quantizeRows(xTensor(on), { held: 4 }));
      expect(step.every((one) => one > 0)).toBe(true);
    },
  };
  test.each(Object.keys(ways))('%s', async (name) => {
    let n = 0;
    let failed = true;
    for (; failed; n++) {
      expect(n).toBeLessThan(60);
      const probe = failingAt(n + 1, how);
      const outcome = await ways[name]!(probe.device).then(
        () => undefined,
        (error: unknown) => error,
      );
      ({ failed } = { failed: probe.failed() });
      // Weights that stay where they are, because there is no memory to bring them together, are no failure.
      if (outcome !== undefined) expect(outcome, `${name}, buffer ${n + 1}: ${String(outcome)}`).toBeInstanceOf(UnsupportedError);
      else if (name !== 'forwardMany') expect(failed, `buffer ${n + 1} was not missed`).toBe(false);
      if (failed) await ways[name]!(probe.device); // the next call works
    }
    expect(n).toBeGreaterThan(3);
  });
});
