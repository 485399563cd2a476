// `ownBuffer`: ys in buffers that nobody else has. Their numbers, what lies around them, and who may destroy them.
import { expect, test } from 'vitest';
import { forwardMany, type LinearWeightQuant, prepareMany, Tensor } from '../../src/index.js';
import { dispatches } from '../support/dispatches.js';
import { deviceForEach } from '../support/fresh-device.js';
import { smallLayers, smallX } from '../support/small-layers.js';
import { numbersOf } from '../support/small-product.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const ROWS = 3;
const NS = [64, 20, 132];
const POISON = 7.5;
const TAIL = 64; // floats

/** Buffers of outputs are larger by a tail, and full of poison, until the function ends that is returned. */
function poisoned(): () => void {
  const create = device.createBuffer;
  device.createBuffer = (descriptor) => {
    if (descriptor.label !== 'antiquant y') return create.call(device, descriptor);
    const buffer = create.call(device, { ...descriptor, size: descriptor.size + 4 * TAIL, mappedAtCreation: true });
    new Float32Array(buffer.getMappedRange()).fill(POISON);
    buffer.unmap();
    return buffer;
  };
  return () => {
    device.createBuffer = create;
  };
}

/** All that lies in a buffer of floats. */
async function contents(buffer: GPUBuffer): Promise<number[]> {
  const staging = device.createBuffer({ size: buffer.size, usage: 0x8 | 0x1 });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  return [...new Float32Array(staging.getMappedRange())];
}

/** What the layers give, each alone. */
const wanted = (layers: readonly LinearWeightQuant[], x: Tensor): Promise<number[][]> =>
  Promise.all(layers.map((layer) => numbersOf(layer.forward(x))));

const buffersOf = (ys: readonly Tensor[]): Set<GPUBuffer> => new Set(ys.map(({ buffer }) => buffer));

test.each([
  ['before layers are joined', false],
  ['after it', true],
])('each y fills a buffer, %s, and nothing is written behind it', async (_, joined) => {
  const layers = smallLayers(device, NS);
  const x = smallX(device);
  const want = await wanted(layers, x);
  if (joined) {
    await prepareMany(layers, [ROWS]);
    expect(buffersOf(forwardMany(layers, x)).size).toBe(1); // they share one without the option
  }
  const end = poisoned();
  const ys = forwardMany(layers, x, { ownBuffer: true });
  end();
  expect(buffersOf(ys).size).toBe(NS.length);
  expect(ys.map(({ byteOffset }) => byteOffset)).toEqual([0, 0, 0]);
  for (const [i, y] of ys.entries()) expect(await contents(y.buffer)).toEqual([...want[i]!, ...Array(TAIL).fill(POISON)]);
});

test('buffers are as large as y, for any library that reads them whole', () => {
  const layers = smallLayers(device, NS);
  const x = smallX(device);
  const ys = [...forwardMany(layers, x, { ownBuffer: true }), layers[1]!.forward(x, { ownBuffer: true })];
  expect(ys.map(({ buffer }) => buffer.size)).toEqual([...NS, NS[1]!].map((n) => 4 * ROWS * n));
  expect(ys.every(({ buffer: { usage } }) => usage === (0x80 | 0x4 | 0x8))).toBe(true);
});

test('half floats end in a whole word', () => {
  const [layer] = smallLayers(device, [5], { dtype: 'float16' }) as [LinearWeightQuant];
  const x = Tensor.from(device, new Float32Array(ROWS * 96), { shape: [ROWS, 96], dtype: 'float16' });
  expect(layer.forward(x, { ownBuffer: true }).buffer.size).toBe(32); // of 30
});

test('destroy frees it, and no later call gets it', async () => {
  const [layer] = smallLayers(device, [64]) as [LinearWeightQuant];
  const x = smallX(device);
  const shared = layer.forward(x);
  const sharedBuffer = shared.buffer;
  shared.destroy();
  const y = layer.forward(x, { ownBuffer: true });
  expect(y.buffer).not.toBe(sharedBuffer); // it waits for a call without the option
  const { buffer } = y;
  const label = 'still mine';
  buffer.label = label;
  y.destroy();
  const next = [layer.forward(x), layer.forward(x), layer.forward(x, { ownBuffer: true })];
  expect(next[0]!.buffer).toBe(sharedBuffer);
  expect(next.some((one) => one.buffer === buffer)).toBe(false);
  device.pushErrorScope('validation');
  device.queue.writeBuffer(buffer, 0, new Float32Array(1)); // what is destroyed refuses it
  expect((await device.popErrorScope())?.message).toContain(label);
});

test('one that its other owner has destroyed does the layers no harm', async () => {
  const layers = smallLayers(device, NS);
  const x = smallX(device);
  const want = await wanted(layers, x);
  const ys = forwardMany(layers, x, { ownBuffer: true });
  expect(await numbersOf(ys[1]!)).toEqual(want[1]);
  ys[1]!.buffer.destroy();
  await expect(ys[1]!.read()).rejects.toMatchObject({ errorCode: 'ANTIQUANT_GPU' });
  ys[1]!.destroy();
  expect(await numbersOf(ys[0]!)).toEqual(want[0]);
  expect(await numbersOf(ys[2]!)).toEqual(want[2]);
  expect(await wanted(layers, x)).toEqual(want);
  expect(await Promise.all(forwardMany(layers, x, { ownBuffer: true }).map(numbersOf))).toEqual(want);
});

test('it outlives its layer', async () => {
  const layers = smallLayers(device, NS);
  const x = smallX(device);
  const want = await wanted(layers, x);
  const ys = forwardMany(layers, x, { ownBuffer: true });
  for (const layer of layers) layer.destroy();
  expect(await Promise.all(ys.map(numbersOf))).toEqual(want);
  for (const y of ys) y.destroy();
});

test('it is one submit, of a dispatch for each layer, and nothing is copied', async () => {
  const layers = smallLayers(device, NS);
  const x = smallX(device);
  await prepareMany(layers, [ROWS]);
  const { submit } = device.queue;
  const copy = GPUCommandEncoder.prototype.copyBufferToBuffer;
  const seen = { submits: 0, copies: 0 };
  device.queue.submit = (commands) => {
    seen.submits++;
    return submit.call(device.queue, commands);
  };
  GPUCommandEncoder.prototype.copyBufferToBuffer = function (this: GPUCommandEncoder, ...given: unknown[]) {
    seen.copies++;
    return Reflect.apply(copy, this, given);
  } as typeof copy;
  try {
    forwardMany(layers, x, { ownBuffer: true });
    expect(seen).toEqual({ submits: 1, copies: 0 });
  } finally {
    device.queue.submit = submit;
    GPUCommandEncoder.prototype.copyBufferToBuffer = copy;
  }
  expect(dispatches((pass) => layers[0]!.encode(pass, x, forwardMany(layers, x, { ownBuffer: true })[0]!))).toBe(1);
});

test('no rows have buffers of their own, too; an unknown option is refused', () => {
  const layers = smallLayers(device, [64, 20]);
  const x = smallX(device);
  const none = Tensor.from(device, new Float32Array(0), { shape: [0, x.shape[1]!], dtype: x.dtype });
  const ys = forwardMany(layers, none, { ownBuffer: true });
  expect(ys.map(({ shape }) => shape)).toEqual([
    [0, 64],
    [0, 20],
  ]);
  expect(buffersOf(ys).size).toBe(2);
  expect(() => forwardMany(layers, x, { ownBuffers: true } as never)).toThrow('ownBuffers: expected ownBuffer, got an unknown option');
  expect(() => layers[0]!.forward(x, { ownBuffer: 1 } as never)).toThrow('ownBuffer: expected true or false, got 1');
});
