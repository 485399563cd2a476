// TypeGPU on the library's device, and the library on TypeGPU's.
import { forwardMany, requestDevice, Tensor } from '../../src/index.js';
import { K, layerOf, load, N, outcome, stillGives, watch, xOf, yOf } from './given.js';

export async function run() {
  const { default: tgpu } = await load('typegpu');
  const { arrayOf, builtin, f32 } = await load('typegpu/data');
  const watched = watch();
  const device = await requestDevice();
  const root = tgpu.initFromDevice({ device });
  const layer = layerOf(device);
  const given = root.createBuffer(arrayOf(f32, K), [...xOf(1)]).$usage('storage');
  const inX: GPUBuffer = root.unwrap(given);
  const x = Tensor.wrap(device, inX, { shape: [1, K], dtype: 'float32' });
  const y = layer.forward(x);
  const h = root.createBuffer(arrayOf(f32, N), y.buffer).$usage('storage');
  const product = await h.read();
  const relu = tgpu.computeFn({ workgroupSize: [N], in: { id: builtin.globalInvocationId } })`{ h[in.id.x] = max(h[in.id.x], 0); }`;
  root.createComputePipeline({ compute: relu.$uses({ h: h.as('mutable') }) }).dispatchWorkgroups(1);
  const result = {
    expected: yOf(xOf(1)),
    product,
    readByTypegpu: await h.read(),
    readHere: [...(await y.read())],
    sameX: x.buffer === inX,
    sameY: root.unwrap(h) === y.buffer,
    copies: watched.of(inX, y.buffer),
    usageOfX: inX.usage,
  };

  h.destroy(); // of a buffer that it did not make
  Tensor.wrap(device, inX, { shape: [1, K], dtype: 'float32' }).destroy(); // of a tensor over a buffer of TypeGPU
  const freed = { yByTypegpu: watched.destroyed.has(y.buffer), xHere: watched.destroyed.has(inX) };
  // A destroyed y gives its buffer back to the layer, whose next call writes it.
  const buffer = y.buffer;
  const late = root.createBuffer(arrayOf(f32, N), buffer).$usage('storage');
  y.destroy();
  const next = layer.forward(Tensor.from(device, xOf(2), { shape: [1, K], dtype: 'float32' }));
  const reused = { same: next.buffer === buffer, read: await late.read(), expected: yOf(xOf(2)) };
  // One that is its own is nobody else's.
  const [one, two] = forwardMany([layer, layer], x, { ownBuffer: true }) as [Tensor, Tensor];
  const ofOne = root.createBuffer(arrayOf(f32, N), one.buffer).$usage('storage');
  const ofTwo = root.createBuffer(arrayOf(f32, N), two.buffer).$usage('storage');
  const read = [await ofOne.read(), await ofTwo.read()];
  one.destroy();
  const later = layer.forward(x);
  const owned = {
    same: later.buffer === one.buffer,
    buffers: new Set([one.buffer, two.buffer]).size,
    read,
    freed: watched.destroyed.has(one.buffer),
  };
  const again = Tensor.wrap(device, inX, { shape: [1, K], dtype: 'float32' });
  given.destroy(); // TypeGPU's own buffer
  const afterX = await outcome(() => layer.forward(again).read());
  root.destroy();
  const afterRoot = await stillGives(layer);

  const own = await tgpu.init();
  const onIts = layerOf(own.device);
  const works = await stillGives(onIts);
  own.destroy();
  await own.device.lost;
  const afterOwn = await stillGives(onIts);
  layer.destroy();
  device.destroy();
  return { ...result, freed, reused, owned, afterX, afterRoot, works, afterOwn, still: yOf(xOf(100)) };
}
