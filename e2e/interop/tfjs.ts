// TensorFlow.js's WebGPU backend on the library's device, and the library on the backend's.
import { requestDevice, Tensor } from '../../src/index.js';
import { K, type Library, layerOf, N, outcome, stillGives, watch, xOf, yOf } from './given.js';

const tf = (globalThis as Library).tf;
const wrapped = (device: GPUDevice, buffer: GPUBuffer) => Tensor.wrap(device, buffer, { shape: [1, K], dtype: 'float32' });
/** The buffer of a tensor; the backend's own table, which no document promises. */
const bufferOf = (tensor: Library): GPUBuffer => tf.backend().tensorMap.get(tensor.dataId).resource;

async function onIts() {
  await tf.setBackend('webgpu');
  const { device } = tf.backend();
  const layer = layerOf(device);
  const works = await stillGives(layer);
  tf.removeBackend('webgpu');
  const afterRemoval = await stillGives(layer);
  device.destroy();
  return { works, afterRemoval };
}

export async function run() {
  const its = await onIts();
  const watched = watch();
  const device = await requestDevice();
  tf.registerBackend('webgpu', () => new tf.WebGPUBackend(device, device.adapterInfo));
  await tf.setBackend('webgpu');
  const layer = layerOf(device);
  const add = (seed: number) => tf.add(tf.tensor2d(xOf(seed), [1, K]), 0);

  // What comes from the CPU is computed on the CPU, if it is small: there is no buffer.
  const small = add(1);
  const onCpu = { resource: bufferOf(small) ?? null, toGpu: await outcome(() => small.dataToGPU()) };
  tf.env().set('WEBGPU_CPU_FORWARD', false);

  // By its documented way: one copy.
  const one = add(1);
  const { buffer, tensorRef } = one.dataToGPU();
  const y = layer.forward(wrapped(device, buffer));
  const copiesOut = watched.of(buffer);
  const h = tf.tensor({ buffer: y.buffer, zeroCopy: true }, y.shape, 'float32');
  const sameY = bufferOf(h) === y.buffer;
  const readByTf = [...(await h.data())];
  const relu = [...(await tf.relu(h).data())];
  const copiesBack = watched.of(y.buffer);
  h.dispose();
  tensorRef.dispose();
  const copied = tf.tensor({ buffer: y.buffer }, y.shape, 'float32');
  const withoutZeroCopy = { same: bufferOf(copied) === y.buffer, copies: watched.of(y.buffer), read: [...(await copied.data())] };

  // Without a copy: what it has recorded is submitted only after some dispatches, so the buffer holds nothing yet.
  const pending = add(2);
  const inPending = bufferOf(pending);
  const early = [...(await layer.forward(wrapped(device, inPending)).read())];
  await pending.data();
  const late = [...(await layer.forward(wrapped(device, inPending)).read())];
  tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', 1);
  const done = add(3);
  const direct = layer.forward(wrapped(device, bufferOf(done)));
  const zeroCopy = { read: [...(await direct.read())], copies: watched.of(bufferOf(done)) };

  // What a buffer needs.
  const made = (usage: number) => device.createBuffer({ size: 4 * N, usage });
  const usages = {
    storage: await outcome(() => tf.tensor({ buffer: made(0x80), zeroCopy: true }, [1, N], 'float32')),
    larger: (await tf.tensor({ buffer: device.createBuffer({ size: 4 * N + 16, usage: 0x84 }), zeroCopy: true }, [1, N], 'float32').data())
      .length,
  };
  // A copy takes over the usages of its source, so that one without COPY_DST cannot be copied.
  device.pushErrorScope('validation');
  tf.tensor({ buffer: made(0x84) }, [1, N], 'float32').dispose();
  const copyRefused = (await device.popErrorScope())?.message.includes('CopyDst') ?? false;

  // A buffer of a disposed tensor goes back to the backend, which gives it to others.
  const before = bufferOf(done);
  done.dispose();
  await tf.zeros([1]).data();
  const other = add(4);
  const reused = bufferOf(other) === before;
  const freed = { y: watched.destroyed.has(y.buffer) };
  const removed = bufferOf(other);
  tf.removeBackend('webgpu');
  const afterRemoval = { layer: await stillGives(layer), its: watched.destroyed.has(removed), y: [...(await y.read())] };
  y.destroy();
  device.destroy();
  const expected = [1, 2, 3].map((seed) => yOf(xOf(seed)));
  return {
    expected,
    its,
    onCpu,
    copiesOut,
    sameY,
    readByTf,
    relu,
    copiesBack,
    withoutZeroCopy,
    early,
    late,
    zeroCopy,
    usages,
    copyRefused,
    reused,
    freed,
    afterRemoval,
    still: yOf(xOf(100)),
  };
}
