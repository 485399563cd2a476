// The library on the device of jax-js, which takes no other's.
import { Tensor } from '../../src/index.js';
import { K, layerOf, load, N, stillGives, watch, xOf, yOf } from './given.js';

export async function run() {
  const { defaultDevice, getWebGPUDevice, init, numpy: np } = await load('@jax-js/jax');
  const watched = watch();
  await init('webgpu');
  defaultDevice('webgpu');
  const device: GPUDevice = getWebGPUDevice();
  const layer = layerOf(device);
  const array = np
    .array([...xOf(1)].map((value) => value / 2))
    .reshape([1, K])
    .mul(2);
  const buffer: GPUBuffer = await array.ref.gpuBuffer();
  const x = Tensor.wrap(device, buffer, { shape: array.shape, dtype: 'float32' });
  const y = layer.forward(x);
  const product = [...(await y.read())];
  const copies = watched.of(buffer);

  // y in an array of jax-js: the library writes into its buffer, before anything reads it.
  const into = np.zeros([1, N]).add(1);
  const inY: GPUBuffer = await into.ref.gpuBuffer();
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  layer.encode(pass, x, Tensor.wrap(device, inY, { shape: [1, N], dtype: 'float32' }));
  pass.end();
  device.queue.submit([encoder.finish()]);
  const byJax = [...(await np.maximum(into.ref, 0).data())].map(Number);
  const written = { byJax, copies: watched.of(inY), usage: inY.usage };

  into.dispose();
  array.dispose();
  const others = await Promise.all([1, 2, 3].map((value) => np.zeros([1, K]).add(value).gpuBuffer()));
  const disposed = { destroyed: watched.destroyed.has(buffer), reused: others.includes(buffer) };
  x.destroy();
  layer.destroy();
  const jaxLives = [...(await np.ones([2]).add(1).data())].map(Number);
  const next = layerOf(device);
  const works = await stillGives(next);
  device.destroy();
  return {
    product,
    copies,
    written,
    disposed,
    jaxLives,
    works,
    sizes: [buffer.size, inY.size],
    expected: yOf(xOf(1)),
    still: yOf(xOf(100)),
  };
}
