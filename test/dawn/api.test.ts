// The public API on a real device: tensors, the life of a layer, allocations, and every error.
import { describe, expect, test, vi } from 'vitest';
import { formatCast } from '../../src/ascend/fractal-nz.js';
import {
  ArgumentError,
  DeviceLostError,
  forwardMany,
  LinearWeightQuant,
  quantizeRows,
  requestDevice,
  ShaderError,
  Tensor,
  UnsupportedError,
  wantedFeatures,
  weightQuantBatchMatmul,
} from '../../src/index.js';
import { sources } from '../../src/wgsl/sources.js';
import { gpu } from '../support/dawn.js';
import { deviceForEach } from '../support/fresh-device.js';
import { codesOf, xOf, yOf } from '../support/small-product.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const K = 64;
const N = 8;
const PRODUCT = { n: N, k: K, scale: (n: number) => 2 ** -(n % 3) };
const codes = codesOf(PRODUCT);
const floats = (length: number, make: (i: number) => number): Float32Array => Float32Array.from({ length }, (_, i) => make(i));

const weightTensor = (on = device): Tensor => Tensor.from(on, codes, { shape: [N, K], dtype: 'int8' });
const scaleTensor = (on = device): Tensor => Tensor.from(on, floats(N, PRODUCT.scale), { shape: [N], dtype: 'float32' });
const xTensor = (rows: number, on = device): Tensor => xOf(on, rows, K);
const wanted = (rows: number): number[] => yOf(rows, PRODUCT);
const newLayer = (on = device, change: object = {}): LinearWeightQuant =>
  new LinearWeightQuant(on, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32', ...change });
const loadedLayer = (on = device): LinearWeightQuant => newLayer(on).load({ weight: weightTensor(on), antiquantScale: scaleTensor(on) });

/** Counts calls of some of the device's methods while `work` runs. */
async function countCalls(work: () => unknown): Promise<Record<string, number>> {
  const names = ['createBuffer', 'createBindGroup', 'createShaderModule', 'createComputePipeline', 'createComputePipelineAsync'] as const;
  const spies = names.map((name) => vi.spyOn(device, name));
  await work();
  const counts = Object.fromEntries(names.map((name, i) => [name, spies[i]!.mock.calls.length]));
  for (const spy of spies) spy.mockRestore();
  return counts;
}
const NOTHING = { createBuffer: 0, createBindGroup: 0, createShaderModule: 0, createComputePipeline: 0, createComputePipelineAsync: 0 };

describe('requestDevice', () => {
  test('asks for features and the largest limits', async () => {
    const adapter = (await gpu.requestAdapter())!;
    expect(device.features.has('shader-f16')).toBe(adapter.features.has('shader-f16'));
    expect(device.limits.maxStorageBufferBindingSize).toBe(adapter.limits.maxStorageBufferBindingSize);
    expect(device.limits.maxBufferSize).toBe(adapter.limits.maxBufferSize);
  });
  test('has what the caller requires besides', async () => {
    const adapter = (await gpu.requestAdapter())!;
    const [own] = [...adapter.features].filter((name) => !wantedFeatures.includes(name));
    const required = { requiredFeatures: [own!], requiredLimits: { maxBindGroups: adapter.limits.maxBindGroups }, label: 'mine' };
    const mine = await requestDevice({ gpu, ...required });
    expect(mine.features.has(own!)).toBe(true);
    expect(mine.limits.maxBindGroups).toBe(adapter.limits.maxBindGroups);
    expect(mine.limits.maxBufferSize).toBe(adapter.limits.maxBufferSize);
    expect(mine.label).toBe('mine');
    mine.destroy();
    const beyond = adapter.limits.maxBindGroups + 1;
    const tooMuch = requestDevice({ gpu, requiredLimits: { maxBindGroups: beyond } });
    await expect(tooMuch).rejects.toThrow(`maxBindGroups of ${beyond} is required, the adapter has ${beyond - 1}`);
  });
  test('without WebGPU, without an adapter, without a device', async () => {
    await expect(requestDevice()).rejects.toThrow(/UnsupportedError|no navigator\.gpu/);
    await expect(requestDevice()).rejects.toBeInstanceOf(UnsupportedError);
    const noAdapter = { requestAdapter: async () => null } as unknown as GPU;
    await expect(requestDevice({ gpu: noAdapter })).rejects.toThrow(/no adapter/);
    const refuses = {
      requestAdapter: async () => ({ features: new Set(), limits: {}, requestDevice: () => Promise.reject(new Error('busy')) }),
    } as unknown as GPU;
    await expect(requestDevice({ gpu: refuses })).rejects.toThrow(/requestDevice\(\) failed: busy/);
  });
});

describe('Tensor', () => {
  const round = async (data: Parameters<typeof Tensor.from>[1], options: Parameters<typeof Tensor.from>[2]) =>
    Array.from((await Tensor.from(device, data, options).read()) as ArrayLike<number | bigint>);

  test('round trips of every dtype', async () => {
    expect(await round(new Float32Array([1.5, -2]), { shape: [2], dtype: 'float32' })).toEqual([1.5, -2]);
    expect(await round(new Float32Array([1 / 3, 70000]), { shape: [2], dtype: 'float16' })).toEqual([
      0.333251953125,
      Number.POSITIVE_INFINITY,
    ]);
    expect(await round(new Float32Array([1 / 3]), { shape: [1], dtype: 'bfloat16' })).toEqual([0.333984375]);
    expect(await round(new Uint16Array([0x3c00, 0xc000, 1]), { shape: [3], dtype: 'float16' })).toEqual([1, -2, 2 ** -24]);
    expect(await round(new Uint16Array([0x3f80]), { shape: [1], dtype: 'bfloat16' })).toEqual([1]);
    expect(await round(new Int8Array([1, -128, 127]), { shape: [3], dtype: 'int8' })).toEqual([1, -128, 127]);
    expect(await round(new Int32Array([-5]), { shape: [1], dtype: 'int32' })).toEqual([-5]);
    expect(await round(new Uint32Array([0xffffffff]), { shape: [1], dtype: 'int32' })).toEqual([-1]);
    expect(await round(new BigInt64Array([-3n]), { shape: [1], dtype: 'int64' })).toEqual([-3n]);
    expect(await round(new BigUint64Array([70369809530880n]), { shape: [1], dtype: 'int64' })).toEqual([70369809530880n]);
    expect(await round(new Float32Array(0), { shape: [0], dtype: 'float32' })).toEqual([]);
  });
  test('Float16Array, where the engine has it', async () => {
    const own = (globalThis as { Float16Array?: new (list: number[]) => never }).Float16Array;
    // Node 20 has none: bits under its name are what such an array is.
    const bits = Object.defineProperty(new Uint16Array([0x3c00, 0xc000]), Symbol.toStringTag, { value: 'Float16Array' });
    const data = own ? new own([1, -2]) : (bits as never);
    expect(await round(data, { shape: [2], dtype: 'float16' })).toEqual([1, -2]);
  });
  test('reads in row-major order of its shape', async () => {
    const t = Tensor.from(device, new Int8Array([1, 2, 3, 4, 5, 6]), { shape: [2, 3], dtype: 'int8' });
    const turned = t.transpose();
    expect([turned.shape, turned.strides, turned.buffer === t.buffer]).toEqual([[3, 2], [1, 3], true]);
    expect(Array.from((await turned.read()) as Int8Array)).toEqual([1, 4, 2, 5, 3, 6]);
    expect(Array.from((await turned.transpose().read()) as Int8Array)).toEqual([1, 2, 3, 4, 5, 6]);
    const batch = Tensor.from(device, new Int8Array([1, 2, 3, 4, 5, 6, 7, 8]), { shape: [2, 2, 2], dtype: 'int8' }).transpose();
    expect(Array.from((await batch.read()) as Int8Array)).toEqual([1, 3, 2, 4, 5, 7, 6, 8]);
  });
  test('reads FRACTAL_NZ as the matrix that it is', async () => {
    const nz = formatCast(codes, { shape: [N, K], dtype: 'int8', from: 'ND', to: 'FRACTAL_NZ' });
    const t = Tensor.from(device, nz, { shape: [N, K], dtype: 'int8', format: 'FRACTAL_NZ' });
    expect(await t.read()).toEqual(codes);
    const turned = (await t.transpose().read()) as Int8Array;
    expect([turned[1], turned[N]]).toEqual([codes[K], codes[1]]);
  });
  test('wrap: offset and strides, and destroy leaves the buffer alone', async () => {
    const buffer = device.createBuffer({ size: 32, usage: 0x80 | 0x4 | 0x8 });
    device.queue.writeBuffer(buffer, 0, new Uint16Array([9, 9, 9, 0x3c00, 0x4000, 0x4200, 0x4400, 9]));
    const t = Tensor.wrap(device, buffer, { shape: [2, 2], dtype: 'float16', byteOffset: 6, strides: [1, 2] });
    expect([t.byteOffset, t.offset]).toEqual([6, 3]);
    expect(Array.from((await t.read()) as Float32Array)).toEqual([1, 3, 2, 4]);
    t.destroy();
    await expect(t.read()).rejects.toThrow('tensor: expected a live tensor, got a destroyed one');
    expect(await Tensor.wrap(device, buffer, { shape: [1], dtype: 'int32' }).read()).toEqual(new Int32Array([9 | (9 << 16)]));
    buffer.destroy();
  });
  test('refuses what makes no tensor', () => {
    const bad = (data: never, options: object) => () => Tensor.from(device, data, options as never);
    const f = new Float32Array(4) as never;
    expect(bad(f, { shape: [5], dtype: 'float32' })).toThrow('data: expected 5 elements for ND (5,), got 4');
    expect(bad(f, { shape: [4], dtype: 'int8' })).toThrow('data: expected Int8Array for int8, got a Float32Array of 4');
    expect(bad(f, { shape: [4], dtype: 'float8' })).toThrow(/^dtype: expected .* got "float8"$/);
    expect(bad(f, { shape: [-4], dtype: 'float32' })).toThrow(/^shape: /);
    expect(bad(f, { shape: [2, 2], dtype: 'float32', format: 'NCHW' })).toThrow('format: expected ND or FRACTAL_NZ, got "NCHW"');
    expect(bad(f, { shape: [4], dtype: 'float32', format: 'FRACTAL_NZ' })).toThrow(/^shape: /);
    const buffer = device.createBuffer({ size: 16, usage: 0x80 });
    const wrap = (options: object) => () => Tensor.wrap(device, buffer, { shape: [4], dtype: 'float32', ...options } as never);
    expect(wrap({ shape: [5] })).toThrow('buffer: expected at least 20 bytes for (5,) at 0, got 16');
    expect(wrap({ shape: [2], byteOffset: 6 })).toThrow('byteOffset: expected a multiple of 4 for float32, got 6');
    expect(wrap({ strides: [1, 1] })).toThrow(/^strides: /);
    const holes = (list: number[]) => Object.assign(Array(2), list);
    expect(wrap({ shape: holes([2]) })).toThrow('shape: expected an array of whole numbers of at least 0, got [2, a hole]');
    expect(wrap({ shape: [2, 2], strides: holes([2]) })).toThrow(
      'strides: expected an array of whole numbers of at least 0, got [2, a hole]',
    );
    expect(bad(f, { shape: holes([4]), dtype: 'float32' })).toThrow('got [4, a hole]');
    expect(bad(f, { shape: [2, 2], strides: [1, 2], dtype: 'float32' })).toThrow(
      'strides: expected none, or those of rows without gaps (2, 1), got (1, 2)',
    );
    expect(() => Tensor.wrap(device, device.createBuffer({ size: 16, usage: 0x8 }), { shape: [4], dtype: 'float32' })).toThrow(
      /usage STORAGE/,
    );
    expect(() => Tensor.from(device, f, { shape: [4], dtype: 'float32' }).transpose()).toThrow(ArgumentError);
  });
  test('read needs COPY_SRC', async () => {
    const t = Tensor.wrap(device, device.createBuffer({ size: 16, usage: 0x80 }), { shape: [4], dtype: 'float32' });
    await expect(t.read()).rejects.toThrow(/COPY_SRC/);
  });
});

describe('a layer', () => {
  test('multiplies, forward and encode alike, batches flattened and given back', async () => {
    const layer = loadedLayer();
    expect(Array.from((await layer.forward(xTensor(3)).read()) as Float32Array)).toEqual(wanted(3));
    const batched = Tensor.wrap(device, xTensor(6).buffer, { shape: [2, 3, K], dtype: 'float32' });
    const y = layer.forward(batched);
    expect(y.shape).toEqual([2, 3, N]);
    expect(Array.from((await y.read()) as Float32Array)).toEqual(wanted(6));
  });
  test('keeps its own weights: the caller may destroy its tensors', async () => {
    const [weight, antiquantScale] = [weightTensor(), scaleTensor()];
    const layer = newLayer().load({ weight, antiquantScale });
    weight.destroy();
    antiquantScale.destroy();
    expect(Array.from((await layer.forward(xTensor(1)).read()) as Float32Array)).toEqual(wanted(1));
  });
  test('loads by torch’s names, and again', async () => {
    const layer = newLayer().loadStateDict({ weight: weightTensor(), antiquant_scale: scaleTensor() });
    const twice = Tensor.from(
      device,
      floats(N, (i) => 2 * 2 ** -(i % 3)),
      { shape: [N], dtype: 'float32' },
    );
    const first = layer.forward(xTensor(1));
    layer.load({ weight: weightTensor(), antiquantScale: twice });
    expect(Array.from((await first.read()) as Float32Array)).toEqual(wanted(1));
    expect(Array.from((await layer.forward(xTensor(1)).read()) as Float32Array)).toEqual(wanted(1).map((v) => 2 * v));
    expect(() => newLayer().loadStateDict({ weight: weightTensor(), scales: scaleTensor() })).toThrow(/^scales: .*antiquant_scale/);
  });
  test('the functional form gives the same', async () => {
    const y = weightQuantBatchMatmul(xTensor(2), weightTensor().transpose(), scaleTensor());
    expect(Array.from((await y.read()) as Float32Array)).toEqual(wanted(2));
    y.destroy();
    expect(() => weightQuantBatchMatmul(xTensor(2), weightTensor(), scaleTensor())).toThrow('weight: expected K = 64 as x, got K = 8');
  });
  test('allocates nothing once warm', async () => {
    const layer = loadedLayer();
    const x = xTensor(3);
    const y = Tensor.wrap(device, device.createBuffer({ size: 3 * N * 4, usage: 0x80 | 0x4 }), { shape: [3, N], dtype: 'float32' });
    const encode = (): void => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      layer.encode(pass, x, y);
      pass.end();
      device.queue.submit([encoder.finish()]);
    };
    encode();
    expect(await countCalls(() => [1, 2, 3].forEach(encode))).toEqual(NOTHING);
    layer.forward(x).destroy();
    expect(
      await countCalls(() => {
        for (let i = 0; i < 3; i++) layer.forward(x).destroy();
      }),
    ).toEqual(NOTHING);
    expect(Array.from((await y.read()) as Float32Array)).toEqual(wanted(3));
    // A call that passes through scratch memory is warm too.
    const turned = Tensor.wrap(device, x.buffer, { shape: [3, K], dtype: 'float32', strides: [1, 3] });
    layer.forward(turned).destroy();
    expect(await countCalls(() => layer.forward(turned).destroy())).toEqual(NOTHING);
  });
  test('numbers of rows that take turns on the same buffers are recorded once each; of many, the last ones are kept', async () => {
    const layer = loadedLayer();
    const x = xTensor(20);
    const out = device.createBuffer({ size: 20 * N * 4, usage: 0x80 | 0x4 | 0x8 });
    const encode = (rows: number): void => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      const cut = (buffer: GPUBuffer, width: number) => Tensor.wrap(device, buffer, { shape: [rows, width], dtype: 'float32' });
      layer.encode(pass, cut(x.buffer, K), cut(out, N));
      pass.end();
      device.queue.submit([encoder.finish()]);
    };
    const few = [1, 2, 3, 4, 5, 6, 7, 8];
    for (const rows of few) encode(rows);
    expect(await countCalls(() => [...few, ...few].forEach(encode))).toEqual(NOTHING);
    encode(9); // the ninth: 1, which was used longest ago, makes way
    expect(await countCalls(() => [...few.slice(1), 9].forEach(encode))).toEqual(NOTHING);
    expect((await countCalls(() => encode(1))).createBindGroup).toBeGreaterThan(0);
    for (const rows of [3, 9, 1]) {
      device.queue.writeBuffer(out, 0, new Float32Array(20 * N).fill(7.5));
      encode(rows);
      const y = Tensor.wrap(device, out, { shape: [20, N], dtype: 'float32' });
      expect(Array.from((await y.read()) as Float32Array)).toEqual([...wanted(rows), ...new Array((20 - rows) * N).fill(7.5)]);
    }
  });
  test('a call recorded before scratch memory grew is recorded anew', async () => {
    const layer = loadedLayer();
    const turned = (rows: number): Tensor => {
      const values = floats(rows * K, (i) => (((i % rows) * K + Math.floor(i / rows)) % 7) - 3);
      return Tensor.from(device, values, { shape: [K, rows], dtype: 'float32' }).transpose();
    };
    const small = turned(2);
    layer.forward(small).destroy();
    layer.forward(turned(400)).destroy();
    expect(Array.from((await layer.forward(small).read()) as Float32Array)).toEqual(wanted(2));
  });
  test('prepare compiles; forward then does not', async () => {
    const layer = loadedLayer();
    await layer.prepare([1, 4]);
    const { createComputePipeline, createComputePipelineAsync } = await countCalls(() => layer.forward(xTensor(4)));
    expect([createComputePipeline, createComputePipelineAsync]).toEqual([0, 0]);
    await expect(layer.prepare([0])).rejects.toThrow('rows[0]: expected a whole number of at least 1, got 0');
  });
  test('explain does no GPU work', async () => {
    const layer = loadedLayer();
    let plan: ReturnType<typeof layer.explain> | undefined;
    expect(await countCalls(() => (plan = layer.explain(3)))).toEqual(NOTHING);
    expect(plan!.kernel).toMatch(/^matmul-/);
    expect(plan!.params).toMatchObject({ BITS: 8, X: 0, Y: 0 });
    expect(plan!.wgsl).toContain('@compute');
    expect(plan!.why.length).toBeGreaterThan(0);
    expect(plan!.workgroups).toHaveLength(2);
  });
  test('destroyed, unloaded or wrongly used, it says so', () => {
    const layer = newLayer();
    expect(() => layer.forward(xTensor(1))).toThrow('layer: expected loaded weights: call load() first, got none');
    expect(() => layer.explain(1)).toThrow(/load/);
    layer.load({ weight: weightTensor(), antiquantScale: scaleTensor() });
    const gone = xTensor(1);
    gone.destroy();
    expect(() => layer.forward(gone)).toThrow('x: expected a live tensor, got a destroyed one');
    expect(() => newLayer().load({ weight: weightTensor(), antiquantScale: gone })).toThrow(/^antiquantScale: expected a live tensor/);
    layer.destroy();
    expect(() => layer.forward(xTensor(1))).toThrow('layer: expected a live layer, got a destroyed one');
    layer.destroy();
  });
  test('names what is missing, surplus or unknown, and leaks nothing', async () => {
    const [weight, antiquantScale] = [weightTensor(), scaleTensor()];
    const bias = Tensor.from(device, new Float32Array(N), { shape: [N], dtype: 'float32' });
    const allocated = await countCalls(() => {
      expect(() => newLayer().load({ antiquantScale })).toThrow('weight: expected a Tensor, got none');
      expect(() => newLayer().load({ weight, antiquantScale, bias })).toThrow(/^bias: expected none, for a layer made with bias: false/);
      expect(() => newLayer().load({ weight, antiquantScale, zero: bias })).toThrow(/^zero: .* got an unknown name$/);
      expect(() => newLayer(device, { bias: true }).load({ weight, antiquantScale })).toThrow('bias: expected a Tensor, got none');
      expect(() => newLayer().load({ weight: {} as never, antiquantScale })).toThrow(/^weight: expected a Tensor/);
      expect(() => newLayer(device, { dtype: 'float16' }).load({ weight, antiquantScale })).toThrow(
        /^antiquantScale: expected dtype float16/,
      );
      expect(() => newLayer(device, { inFeatures: 32 }).load({ weight, antiquantScale })).toThrow(
        'weight: expected shape (8, 32), got shape (8, 64)',
      );
    });
    expect(allocated).toEqual(NOTHING);
  });
  test('innerPrecise 1 gives what 0 gives, until a faster kernel makes use of it', async () => {
    const layer = newLayer(device, { innerPrecise: 1 }).load({ weight: weightTensor(), antiquantScale: scaleTensor() });
    expect(Array.from((await layer.forward(xTensor(2)).read()) as Float32Array)).toEqual(wanted(2));
    expect(() => newLayer(device, { innerPrecise: 2 })).toThrow('innerPrecise: expected 0 or 1, got 2');
  });
  test('null, torch’s None, counts as none', async () => {
    const layer = newLayer().load({ weight: weightTensor(), antiquantScale: scaleTensor(), bias: null as never });
    expect(Array.from((await layer.forward(xTensor(1)).read()) as Float32Array)).toEqual(wanted(1));
    const none = { antiquantOffset: null, quantScale: null, quantOffset: null, bias: null } as never;
    const y = weightQuantBatchMatmul(xTensor(1), weightTensor().transpose(), scaleTensor(), none);
    expect(Array.from((await y.read()) as Float32Array)).toEqual(wanted(1));
  });
  test('an empty bias counts as none', async () => {
    const bias = Tensor.from(device, new Float32Array(0), { shape: [0], dtype: 'float32' });
    const layer = newLayer(device, { bias: true }).load({ weight: weightTensor(), antiquantScale: scaleTensor(), bias });
    expect(Array.from((await layer.forward(xTensor(1)).read()) as Float32Array)).toEqual(wanted(1));
  });
  test('checks x and y before any GPU work', async () => {
    const layer = loadedLayer();
    const x = xTensor(2);
    const pass = {} as GPUComputePassEncoder;
    const y = (shape: number[], dtype: 'float32' | 'float16' = 'float32') =>
      Tensor.wrap(device, device.createBuffer({ size: 256, usage: 0x80 }), { shape, dtype });
    const ys = { rows: y([3, N]), columns: y([2, 4]), dtype: y([2, N], 'float16') };
    const half = Tensor.from(device, new Float32Array(K), { shape: [1, K], dtype: 'float16' });
    const calls = await countCalls(() => {
      expect(() => layer.forward(half)).toThrow('x: expected dtype float32, got float16');
      expect(() => layer.encode(pass, x, ys.rows)).toThrow(/^y: expected shape \(…, 8\) with 2 rows/);
      expect(() => layer.encode(pass, x, ys.columns)).toThrow(/^y: /);
      expect(() => layer.encode(pass, x, ys.dtype)).toThrow('y: expected dtype float32, got float16');
      const same = Tensor.wrap(device, x.buffer, { shape: [2, N], dtype: 'float32' });
      expect(() => layer.encode(pass, x, same)).toThrow('y: expected another buffer than x, got the same one');
    });
    expect(calls).toEqual(NOTHING);
  });
});

test('no rows give none, one dimension gives one', async () => {
  const layer = loadedLayer();
  const nothing = Tensor.from(device, new Float32Array(0), { shape: [2, 0, K], dtype: 'float32' });
  const y = layer.forward(nothing);
  expect([y.shape, [...((await y.read()) as Float32Array)]]).toEqual([[2, 0, N], []]);
  expect(forwardMany([layer, layer], nothing).map(({ shape }) => shape)).toEqual([
    [2, 0, N],
    [2, 0, N],
  ]);
  const pass = device.createCommandEncoder().beginComputePass();
  layer.encode(pass, nothing, y);
  pass.end();
  expect(quantizeRows(nothing, layer).codes.shape[0]).toBe(0);
  const flat = Tensor.wrap(device, xTensor(1).buffer, { shape: [K], dtype: 'float32' });
  const one = layer.forward(flat);
  expect(one.shape).toEqual([N]);
  expect(Array.from((await one.read()) as Float32Array)).toEqual(wanted(1));
});

describe('the device', () => {
  test('another one is refused', async () => {
    const other = await requestDevice({ gpu });
    const layer = loadedLayer();
    expect(() => layer.forward(xTensor(1, other))).toThrow("x: expected a tensor of the layer's device, got one of another device");
    expect(() => newLayer().load({ weight: weightTensor(other), antiquantScale: scaleTensor() })).toThrow(/^weight: .*another device/);
    other.destroy();
  });
  test('a lost one is said to be lost, by every call and by what was pending', async () => {
    const layer = loadedLayer();
    const x = xTensor(1);
    const y = layer.forward(x);
    await y.read();
    const pending = y.read();
    device.destroy();
    await expect(pending).rejects.toBeInstanceOf(DeviceLostError);
    await device.lost;
    expect(() => layer.forward(x)).toThrow(DeviceLostError);
    expect(() => xTensor(1)).toThrow(DeviceLostError);
    expect(() => newLayer()).toThrow(DeviceLostError);
    await expect(y.read()).rejects.toBeInstanceOf(DeviceLostError);
    await expect(layer.prepare([1])).rejects.toBeInstanceOf(DeviceLostError);
  });
  test('what it cannot hold is refused with limit, value and need, before any GPU work', async () => {
    const refused = async (change: object, rows: number, message: RegExp) => {
      const layer = newLayer(device, change);
      const [weight, antiquantScale, x] = [weightTensor(), scaleTensor(), xTensor(rows)];
      const calls = await countCalls(() => {
        expect(() => layer.load({ weight, antiquantScale }).forward(x)).toThrow(UnsupportedError);
        expect(() => layer.load({ weight, antiquantScale }).forward(x)).toThrow(message);
      });
      return calls;
    };
    const tiny = { plan: { caps: { maxStorageBufferBindingSize: 128 } } };
    expect(await refused(tiny, 1, /four columns need 256 bytes.*maxStorageBufferBindingSize \(128\).* is 128/)).toEqual(NOTHING);
    const small = { plan: { caps: { maxBufferSize: 1024 } } };
    await refused(small, 64, /y \(64, 8\): needs 2048 bytes, maxBufferSize is 1024/);
    const narrow = { plan: { caps: { maxComputeWorkgroupsPerDimension: 2 }, force: { kernel: 'matmul-plain' } } };
    await refused(narrow, 8, /needs 8 workgroups, maxComputeWorkgroupsPerDimension is 2/);
  });
});

test('a shader that does not compile is cited by file and line, by prepare and by read', async () => {
  const texts = sources as Record<string, string>;
  const before = texts['matmul-rows.wgsl']!;
  texts['matmul-rows.wgsl'] = before.replace('  write_tile(', '  wrote_tile(');
  try {
    const line = before.split('\n').findIndex((text) => text.startsWith('  write_tile(')) + 1;
    const layer = newLayer(device, { plan: { force: { kernel: 'matmul-rows' } } });
    layer.load({ weight: weightTensor(), antiquantScale: scaleTensor() });
    const failure = layer.forward(xTensor(1)).read();
    await expect(failure).rejects.toBeInstanceOf(ShaderError);
    await expect(failure).rejects.toThrow(new RegExp(`^matmul-rows\\[.*: shaders/matmul-rows\\.wgsl:${line}:\\d+ .*wrote_tile`));
    await expect(layer.prepare([2])).rejects.toBeInstanceOf(ShaderError);
    expect(() => layer.forward(xTensor(1))).toThrow(ShaderError);
  } finally {
    texts['matmul-rows.wgsl'] = before;
  }
});
