// forwardMany and its like: results in a shared dispatch and in separate ones, and the life of the buffers.
import { describe, expect, test, vi } from 'vitest';
import { ArgumentError, encodeMany, forwardMany, LinearWeightQuant, prepareMany, requestDevice, Tensor } from '../../src/index.js';
import { type Case, makeCase } from '../cases/cases.js';
import { makeData } from '../cases/data.js';
import { expected, layerOf, upload } from '../cases/run-case.js';
import { gpu } from '../support/dawn.js';
import { dispatches } from '../support/dispatches.js';
import { deviceForEach } from '../support/fresh-device.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const BASE = { m: 3, k: 96, data: 'exact', mode: 'group', groupSize: 32, offset: true } as const;

/** A layer for each case, loaded, and the answers for the first case's x; weights lie side by side where they can. */
async function setUp(cases: readonly Case[], { joined = true } = {}) {
  const data = cases.map(makeData);
  const x = data[0]!.x;
  const layers = cases.map((c, i) => {
    const layer = layerOf(device, c);
    return layer.load(Object.fromEntries(Object.entries(data[i]!.tensors).map(([name, tensor]) => [name, upload(device, tensor)])));
  });
  const wants = cases.map((c, i) => [...expected(c, x, data[i]!.tensors).data]);
  if (joined) await prepareMany(layers, [cases[0]!.m]);
  return { layers, x: upload(device, x), wants };
}
const cases = (ns: readonly number[], change: Partial<Case> = {}): Case[] => ns.map((n) => makeCase({ ...BASE, n, ...change }));

const readAll = (ys: readonly Tensor[]): Promise<number[][]> => Promise.all(ys.map(async (y) => [...((await y.read()) as Float32Array)]));

describe('one dispatch', () => {
  test.each<[string, readonly number[], Partial<Case>]>([
    ['Q, K and V: float32, int4', [192, 64, 64], {}],
    ['gate and up: float16, int8, bias', [128, 128], { dtype: 'float16', bits: 8, bias: true }],
    ['columns that end between multiples: bfloat16, one row', [20, 132, 4], { dtype: 'bfloat16', m: 1 }],
    ['four layers, per channel', [36, 8, 256, 12], { mode: 'channel', groupSize: 0, offset: false }],
    ['int8 outputs', [44, 128], { quant: 'float32+offset', bias: true }],
    ['many rows', [64, 68], { m: 70 }],
    ['without shader-f16', [64, 68], { dtype: 'float16', caps: { f16: false } }],
    ['x transposed', [64, 68], { x: 'transposed' }],
    ['through matmul-plain', [64, 20], { force: { kernel: 'matmul-plain' } }],
  ])('%s', async (_, ns, change) => {
    const { layers, x, wants } = await setUp(cases(ns, change));
    const ys = forwardMany(layers, x);
    expect(await readAll(ys)).toEqual(wants);
    expect(new Set(ys.map(({ buffer }) => buffer)).size).toBe(1);
    expect(ys.map(({ byteOffset }) => byteOffset % 256)).toEqual(ns.map(() => 0));
    const gathers = change.x === 'transposed' ? 1 : 0;
    expect(dispatches((pass) => encodeMany(pass, layers, x, ys))).toBe(1 + gathers);
    // Each alone is still right where its weights lie now.
    expect(await readAll(layers.map((layer) => layer.forward(x)))).toEqual(wants);
  });

  test('encodeMany writes just its parts of a buffer', async () => {
    const { layers, x, wants } = await setUp(cases([20, 132]));
    const floats = 3 * 20 + 4 + 3 * 132 + 4; // a gap after each
    const buffer = device.createBuffer({ size: 4 * floats, usage: 0x80 | 0x4, mappedAtCreation: true });
    new Float32Array(buffer.getMappedRange()).fill(7.5);
    buffer.unmap();
    const ys = [
      Tensor.wrap(device, buffer, { shape: [3, 20], dtype: 'float32' }),
      Tensor.wrap(device, buffer, { shape: [3, 132], dtype: 'float32', byteOffset: 4 * 64 }),
    ];
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encodeMany(pass, layers, x, ys);
    pass.end();
    device.queue.submit([encoder.finish()]);
    const all = await Tensor.wrap(device, buffer, { shape: [floats], dtype: 'float32' }).read();
    const gap = [7.5, 7.5, 7.5, 7.5];
    expect([...(all as Float32Array)]).toEqual([...wants[0]!, ...gap, ...wants[1]!, ...gap]);
  });
});

describe('several dispatches, the same answers', () => {
  test.each<[string, readonly Case[], number]>([
    ['another group size', [...cases([64]), ...cases([64], { groupSize: 64 })], 2],
    ['int4 and int8', [...cases([64, 32]), ...cases([64], { bits: 8 })], 2],
    ['five layers', cases([4, 8, 12, 16, 20]), 2],
    ['columns that are no whole quads', [...cases([64, 8]), ...cases([7], { bits: 8 })], 3],
  ])('%s', async (_, list, groups) => {
    const { layers, x, wants } = await setUp(list);
    const ys = forwardMany(layers, x);
    expect(await readAll(ys)).toEqual(wants);
    expect(dispatches((pass) => encodeMany(pass, layers, x, ys))).toBe(groups);
  });

  test('outputs in separate buffers', async () => {
    const { layers, x, wants } = await setUp(cases([64, 32]));
    const ys = layers.map((layer) => layer.forward(x));
    expect(dispatches((pass) => encodeMany(pass, layers, x, ys))).toBe(2);
    expect(await readAll(ys)).toEqual(wants);
  });

  test('more rows than one window holds', async () => {
    const { layers, x, wants } = await setUp(cases([64, 64], { m: 40, caps: { maxStorageBufferBindingSize: 8192 + 256 } }));
    expect(await readAll(forwardMany(layers, x))).toEqual(wants);
  });

  test('a layer that lies beside others is not moved again', async () => {
    const { layers, x, wants } = await setUp(cases([64, 32, 16]), { joined: false });
    const [a, b, c] = layers as [LinearWeightQuant, LinearWeightQuant, LinearWeightQuant];
    await prepareMany([a, b], [3]);
    const home = a.loaded;
    expect(await readAll(forwardMany([b, c], x))).toEqual([wants[1], wants[2]]);
    expect(await readAll(forwardMany([a, b], x))).toEqual([wants[0], wants[1]]);
    expect(a.loaded).toBe(home);
  });
});

test('once warm, a call makes no GPU object but its command buffer', async () => {
  const { layers, x, wants } = await setUp(cases([64, 32]));
  for (const y of forwardMany(layers, x)) y.destroy();
  const spies = (['createBuffer', 'createBindGroup', 'createShaderModule', 'createComputePipeline'] as const).map((name) =>
    vi.spyOn(device, name),
  );
  const ys = forwardMany(layers, x);
  expect(spies.map((spy) => spy.mock.calls.length)).toEqual([0, 0, 0, 0]);
  vi.restoreAllMocks();
  expect(await readAll(ys)).toEqual(wants);
});

test('prepareMany compiles what the first call needs', async () => {
  const { layers, x, wants } = await setUp(cases([64, 32]));
  const compile = vi.spyOn(device, 'createComputePipeline');
  expect(await readAll(forwardMany(layers, x))).toEqual(wants);
  expect(compile).not.toHaveBeenCalled();
});

describe('life', () => {
  test('weights come together without a wait: calls before are right, calls after take one dispatch', async () => {
    const { layers, x, wants } = await setUp(cases([64, 32]), { joined: false });
    const ys = forwardMany(layers, x);
    expect(await readAll(ys)).toEqual(wants);
    await prepareMany(layers, [3]);
    expect(await readAll(forwardMany(layers, x))).toEqual(wants);
    expect(new Set(forwardMany(layers, x).map(({ buffer }) => buffer)).size).toBe(1);
  });

  test.each(['destroyed', 'loaded again'])('a layer that is %s while weights come together', async (what) => {
    const list = cases([64, 32]);
    const { layers, x, wants } = await setUp(list, { joined: false });
    forwardMany(layers, x);
    if (what === 'destroyed') layers[0]!.destroy();
    else {
      const { tensors } = makeData(list[0]!);
      layers[0]!.load(Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)])));
    }
    await device.queue.onSubmittedWorkDone();
    expect(await readAll([layers[1]!.forward(x)])).toEqual([wants[1]]);
  });

  test('groups survive that a partner is destroyed, whichever it is', async () => {
    for (const gone of [0, 1, 2]) {
      const { layers, x, wants } = await setUp(cases([64, 32, 16]));
      forwardMany(layers, x);
      layers[gone]!.destroy();
      const rest = layers.filter((_, i) => i !== gone);
      const left = wants.filter((_, i) => i !== gone);
      expect(await readAll(forwardMany(rest, x))).toEqual(left);
      await prepareMany(rest, [3]);
      expect(await readAll(forwardMany(rest, x))).toEqual(left);
      expect(() => forwardMany(layers, x)).toThrow('layer: expected a live layer, got a destroyed one');
    }
  });

  test('a forwardMany that is refused leaves no output', async () => {
    const { layers, x } = await setUp(
      [...cases([64, 32]), ...cases([64], { bits: 8, force: { kernel: 'matmul-subgroup' }, caps: { subgroups: false } })],
      {
        joined: false,
      },
    );
    const made = vi.spyOn(device, 'createBuffer');
    expect(() => forwardMany(layers, x)).toThrow(/needs the feature subgroups/);
    const outputs = made.mock.results
      .filter((_, i) => made.mock.calls[i]![0].label === 'antiquant y')
      .map(({ value }) => value as GPUBuffer);
    made.mockClear();
    expect(outputs.length).toBeGreaterThan(0);
    await readAll(layers.slice(0, 2).map((layer) => layer.forward(x)));
    expect(made.mock.calls.filter(([{ label }]) => label === 'antiquant y')).toEqual([]); // the outputs were given back
    vi.restoreAllMocks();
  });

  test('a layer that is loaded again leaves the others alone', async () => {
    const list = cases([64, 32]);
    const { layers, x, wants } = await setUp(list);
    forwardMany(layers, x);
    const { tensors } = makeData(list[0]!);
    layers[0]!.load(Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)])));
    expect(await readAll([layers[1]!.forward(x)])).toEqual([wants[1]]);
    expect(await readAll(forwardMany(layers, x))).toEqual(wants);
  });

  test('the shared buffers go with the last layer, outputs stay', async () => {
    device.pushErrorScope('validation');
    const { layers, x, wants } = await setUp(cases([64, 32]));
    const ys = forwardMany(layers, x);
    const shared = layers[0]!.loaded.buffers.get('w0')!;
    expect(layers[1]!.loaded.buffers.get('w0')).toBe(shared);
    const destroy = vi.spyOn(shared, 'destroy');
    layers[0]!.destroy();
    expect(destroy).not.toHaveBeenCalled();
    expect(await readAll([layers[1]!.forward(x)])).toEqual([wants[1]]);
    layers[1]!.destroy();
    expect(destroy).toHaveBeenCalledTimes(1);
    expect(await readAll(ys)).toEqual(wants);
    for (const y of ys) y.destroy();
    expect(await device.popErrorScope()).toBeNull();
  });

  test('errors name what is wrong', async () => {
    const { layers, x } = await setUp(cases([64, 32]));
    expect(() => forwardMany([], x)).toThrow(new ArgumentError('layers', 'at least one layer', 'none'));
    expect(() => encodeMany({} as GPUComputePassEncoder, layers, x, [])).toThrow(
      new ArgumentError('ys', '2 tensors, one for each layer', '0'),
    );
    const narrow = Tensor.from(device, new Float32Array(64), { shape: [1, 64], dtype: 'float32' });
    expect(() => forwardMany(layers, narrow)).toThrow(/x: expected a last dimension of K = 96/);
    const other = await requestDevice({ gpu });
    const elsewhere = new LinearWeightQuant(other, { inFeatures: 96, outFeatures: 4, bias: false, dtype: 'float32' });
    expect(() => forwardMany([layers[0]!, elsewhere], x)).toThrow(/^layer: expected loaded weights/);
    other.destroy();
  });
});
