// onnxruntime-web on the library's device: which session computes on which device, copies, ends.
import * as ort from 'onnxruntime-web/webgpu';
import { requestDevice, Tensor } from '../src/index.js';
import { K, layerOf, outcome, stillGives, watch, xOf, yOf } from './interop/given.js';

export async function run() {
  const watched = watch();
  const device = await requestDevice();
  const otherDevice = await requestDevice();
  const session = (on?: GPUDevice) =>
    ort.InferenceSession.create('/examples/relu.onnx', {
      executionProviders: [on ? { name: 'webgpu', device: on } : 'webgpu'],
      preferredOutputLocation: 'gpu-buffer',
    });
  const layer = layerOf(device);
  const relu = await session(device);
  const values = xOf(1);

  // Its output as x, without a copy; y as its input again.
  const { h } = await relu.run({ x: new ort.Tensor('float32', values, [1, K]) });
  const inH = h!.gpuBuffer as GPUBuffer;
  const y = layer.forward(Tensor.wrap(device, inH, { shape: [1, K], dtype: 'float32' }));
  const product = [...(await y.read())].map(Number);
  const asInput = Tensor.from(device, xOf(2), { shape: [1, K], dtype: 'float32' });
  const { h: again } = await relu.run({ x: ort.Tensor.fromGpuBuffer(asInput.buffer, { dataType: 'float32', dims: [1, K] }) });
  const readBack = [...((await again!.getData()) as Float32Array)];
  const first = { product, readBack, copies: watched.of(inH, y.buffer, asInput.buffer), usage: inH.usage };
  h!.dispose();
  const disposed = watched.destroyed.has(inH);

  /** On which of the devices are a session's outputs? */
  const whose = async (on?: GPUDevice) => {
    const one = await session(on);
    const its = (await ort.env.webgpu.device) as GPUDevice | undefined;
    const found: string[] = [];
    for (const [name, of] of Object.entries({ device, otherDevice, ...(its && { its }) })) {
      const { h: out } = await one.run({ x: new ort.Tensor('float32', values, [1, K]) });
      const buffer = out!.gpuBuffer as GPUBuffer;
      const got = await outcome(() =>
        layerOf(of)
          .forward(Tensor.wrap(of, buffer, { shape: [1, K], dtype: 'float32' }))
          .read(),
      );
      if (typeof got !== 'string') found.push(name);
    }
    await one.release();
    await new Promise((done) => setTimeout(done, 100)); // a lost device tells it later
    const lives = its && typeof (await outcome(() => layerOf(its))) !== 'string';
    return { found, ...(its && { lives }) };
  };
  const others = { same: await whose(device), without: await whose(), other: await whose(otherDevice) };
  await relu.release();
  const expected = { product: yOf(values.map((value) => Math.max(0, value))), relu: [...xOf(2)].map((value) => Math.max(0, value)) };
  return { first, disposed, others, after: await stillGives(layer), expected, still: yOf(xOf(100)) };
}
