// Two copies of the library on one device, as on a page with a nested dependency or a reloaded module.
import { afterAll, expect, test, vi } from 'vitest';
import { gpu } from '../support/dawn.js';

type Copy = typeof import('../../src/index.js');
async function copy(version?: string): Promise<Copy> {
  vi.resetModules();
  if (version) vi.doMock('../../src/version.js', () => ({ VERSION: version }));
  const made = await import('../../src/index.js');
  vi.doUnmock('../../src/version.js');
  return made;
}
const [ours, theirs, next, old] = [await copy(), await copy(), await copy('0.1.7'), await copy('1.0.0')];
const device = await ours.requestDevice({ gpu });
afterAll(() => device.destroy());

const [K, N] = [64, 8];
const layerOf = ({ LinearWeightQuant, Tensor }: Copy, tensors: Copy = { LinearWeightQuant, Tensor } as Copy) =>
  new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' }).load({
    weight: tensors.Tensor.from(device, new Int8Array(N * K).fill(2), { shape: [N, K], dtype: 'int8' }),
    antiquantScale: tensors.Tensor.from(device, new Float32Array([0.5]), { shape: [1], dtype: 'float32' }),
  });
const xOf = ({ Tensor }: Copy) => Tensor.from(device, new Float32Array(K).fill(1), { shape: [1, K], dtype: 'float32' });
const wanted = new Float32Array(N).fill(K);

test.each([
  ['the same version', theirs],
  ['one with the same interface', next],
])('tensors of another copy of %s are as good as ours', async (_, other) => {
  expect(other.Tensor).not.toBe(ours.Tensor);
  const layer = layerOf(ours, other);
  expect(await layer.forward(xOf(other)).read()).toEqual(wanted);
  const y = other.Tensor.from(device, new Float32Array(N), { shape: [1, N], dtype: 'float32' });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  layer.encode(pass, xOf(other), y);
  pass.end();
  device.queue.submit([encoder.finish()]);
  expect(await y.read()).toEqual(wanted);
  const [first, second] = ours.forwardMany([layer, layerOf(ours)], xOf(other));
  expect([await first!.read(), await second!.read()]).toEqual([wanted, wanted]);
  const [w, s] = [
    other.Tensor.from(device, new Int8Array(K).fill(3), { shape: [1, K], dtype: 'int8' }),
    other.Tensor.from(device, new Float32Array([1]), { shape: [1], dtype: 'float32' }),
  ];
  expect(await ours.weightQuantBatchMatmul(xOf(other), w.transpose(), s).read()).toEqual(new Float32Array([3 * K]));
  const q = ours.quantizeRows(xOf(other), layer);
  const rounded = (await layer.forward(q).read()) as Float32Array;
  for (const value of rounded) expect(Math.abs(value - K)).toBeLessThan(K / 100);
  // Work of one copy after the other's, in the same buffers.
  const chained = layerOf(other).forward(xOf(ours));
  expect(await chained.read()).toEqual(wanted);
  const gone = xOf(other);
  layer.forward(gone);
  gone.destroy();
  expect(() => layer.forward(gone)).toThrow('x: expected a live tensor, got a destroyed one');
  const elsewhere = await other.requestDevice({ gpu });
  const far = other.Tensor.from(elsewhere, new Float32Array(K), { shape: [1, K], dtype: 'float32' });
  expect(() => layer.forward(far)).toThrow("x: expected a tensor of the layer's device, got one of another device");
  elsewhere.destroy();
});

test('unusable objects of another copy are refused by name', async () => {
  const layer = layerOf(ours);
  const told = (version: string) =>
    `one of another copy of antiquant, version ${version}: this is 0.1.0; let one copy make both (npm ls antiquant lists them)`;
  expect(() => layer.forward(xOf(old))).toThrow(`x: expected a Tensor, or what quantizeRows returned, got ${told('1.0.0')}`);
  expect(() => layer.load({ weight: xOf(old) })).toThrow(`weight: expected a Tensor, got ${told('1.0.0')}`);
  const rows = theirs.quantizeRows(xOf(theirs), { held: 8 });
  expect(() => layer.forward(rows as never)).toThrow(`x: expected a Tensor, or what quantizeRows returned, got ${told('0.1.0')}`);
  expect(() => ours.forwardMany([layer, layerOf(theirs) as never], xOf(ours))).toThrow(
    `layers[1]: expected a LinearWeightQuant, got ${told('0.1.0')}`,
  );
  const [x, y] = [xOf(theirs), ours.Tensor.from(device, new Float32Array(N), { shape: [1, N], dtype: 'float32' })];
  expect(() => ours.recordSteps(device, [{ layer, x, y }])).toThrow(
    `steps[0].x: expected a Tensor of this copy of the library, got ${told('0.1.0')}`,
  );
  expect(() => layer.forward(new Proxy(xOf(ours), {}))).toThrow('got a Proxy of a Tensor: give the Tensor itself');
});

test('measuring in one copy waits for measuring in another', async () => {
  const layers = [layerOf(ours), layerOf(theirs)];
  for (const layer of layers) await layer.prepare([1], { store: null });
  let running = 0;
  let most = 0;
  const made = device.createQuerySet.bind(device);
  // A stopwatch is made for as long as something is measured.
  vi.spyOn(device, 'createQuerySet').mockImplementation((descriptor) => {
    most = Math.max(most, ++running);
    const set = made(descriptor);
    const destroy = set.destroy.bind(set);
    set.destroy = () => {
      running--;
      destroy();
    };
    return set;
  });
  await Promise.all(layers.map((layer) => layer.prepare([1], { tune: true, store: null, budgetMs: 300 })));
  vi.restoreAllMocks();
  expect(most).toBe(1);
});

test('what requestDevice of one copy learnt of the adapter, another knows', async () => {
  const feature = 'chromium-experimental-subgroup-matrix';
  const configs = [{ componentType: 'f16', resultComponentType: 'f32', M: 8, N: 8, K: 8 }];
  const none = () => {};
  const made = {
    ...Object.fromEntries(
      ['createBuffer', 'createComputePipeline', 'createCommandEncoder', 'pushErrorScope', 'destroy'].map((name) => [name, none]),
    ),
    queue: { submit: none, writeBuffer: none },
    features: new Set([feature]),
    limits: { maxBufferSize: 1 },
    lost: new Promise(none),
  } as unknown as GPUDevice;
  const adapter = { features: made.features, limits: {}, info: { subgroupMatrixConfigs: configs }, requestDevice: async () => made };
  await ours.requestDevice({ gpu: { requestAdapter: async () => adapter } as unknown as GPU });
  expect(theirs.capsOf(made).subgroupMatrix).toEqual(configs);
});
