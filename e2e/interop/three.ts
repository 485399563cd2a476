// three's WebGPURenderer on the library's device, and the library on the renderer's.
import { requestDevice, Tensor, wantedFeatures } from '../../src/index.js';
import { K, type Library, layerOf, load, N, outcome, stillGives, watch, xOf, yOf } from './given.js';

export async function run() {
  const { StorageBufferAttribute, WebGPURenderer } = await load('three/webgpu');
  const { Fn, instanceIndex, max, storage } = await load('three/tsl');
  const watched = watch();
  const device = await requestDevice();
  const mine = () => {};
  device.onuncapturederror = mine;
  const renderer = new WebGPURenderer({ device });
  await renderer.init();
  const takesHandler = device.onuncapturederror !== mine;
  const bufferOf = (attribute: Library): GPUBuffer => renderer.backend.get(attribute).buffer;
  const wrap = (attribute: Library) => Tensor.wrap(device, bufferOf(attribute), { shape: [1, attribute.count], dtype: 'float32' });
  const read = async (attribute: Library) => [...new Float32Array(await renderer.getArrayBufferAsync(attribute))];
  const layer = layerOf(device);
  const multiply = (x: Tensor, y: Tensor) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    layer.encode(pass, x, y);
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
  const relu = (node: Library) => Fn(() => node.element(instanceIndex).assign(max(node.element(instanceIndex), 0)))().compute(N);

  // Into buffers of three: x by a compute node, y by the library, relu by a compute node.
  const [x, y] = [
    new StorageBufferAttribute(
      xOf(1).map((value) => value / 2),
      1,
    ),
    new StorageBufferAttribute(N, 1),
  ];
  const inX = storage(x, 'float', K);
  const before = renderer.backend.get(x).buffer ?? null;
  renderer.compute(Fn(() => inX.element(instanceIndex).assign(inX.element(instanceIndex).mul(2)))().compute(K));
  renderer.backend.createStorageAttribute(y);
  multiply(wrap(x), wrap(y));
  const product = await read(y);
  renderer.compute(relu(storage(y, 'float', N)));
  const made = { before, product, relu: await read(y), copies: watched.of(bufferOf(x), bufferOf(y)), usage: bufferOf(y).usage };

  // A y of the library as a buffer of three: it takes the buffer that its table has.
  const xOfOwn = Tensor.from(device, xOf(2), { shape: [1, K], dtype: 'float32' });
  const own = layer.forward(xOfOwn, { ownBuffer: true });
  const lent = new StorageBufferAttribute(N, 1);
  renderer.backend.get(lent).buffer = own.buffer;
  const pooled = layer.forward(xOfOwn);
  const another = new StorageBufferAttribute(N, 1);
  renderer.backend.get(another).buffer = pooled.buffer;
  renderer.compute(relu(storage(another, 'float', N)));
  renderer.compute(relu(storage(lent, 'float', N)));
  const foreign = {
    same: bufferOf(lent) === own.buffer,
    relu: await read(lent),
    copies: watched.of(own.buffer),
    here: [...(await own.read())],
  };

  // The renderer destroys the buffers of its attributes, whose ever they are; what is wrapped here stays.
  wrap(y).destroy();
  const left = watched.destroyed.has(bufferOf(y));
  const inY = bufferOf(y);
  await renderer.dispose();
  const ended = { y: watched.destroyed.has(inY), own: watched.destroyed.has(own.buffer), read: await outcome(() => own.read()) };
  own.destroy();
  const afterRenderer = await stillGives(layer);
  pooled.destroy(); // without `ownBuffer` the layer gets a buffer back that is destroyed
  const recycled = [await stillGives(layer), await stillGives(layer)];
  device.destroy();

  const other = new WebGPURenderer();
  await other.init();
  const onIts = layerOf(other.backend.device);
  const works = await stillGives(onIts);
  const { features } = other.backend.device as GPUDevice;
  const { lost } = other.backend.device as GPUDevice;
  await other.dispose();
  await lost;
  const its = { works, after: await stillGives(onIts), sameFeatures: wantedFeatures.filter((name) => features.has(name)) };
  return {
    takesHandler,
    made,
    foreign,
    left,
    ended,
    recycled,
    afterRenderer,
    its,
    expected: [1, 2].map((seed) => yOf(xOf(seed))),
    still: yOf(xOf(100)),
  };
}
