// transformers.js on the library's device: what its own options do, and one onnxruntime-web for both.
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { type Library, load, outcome, watch } from './given.js';

const K = 64;
const N = 8;
/** Row n of the weights is n. */
const layerOf = (device: GPUDevice) =>
  new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' }).load({
    weight: Tensor.from(
      device,
      Int8Array.from({ length: N * K }, (_, i) => Math.floor(i / K)),
      { shape: [N, K], dtype: 'int8' },
    ),
    antiquantScale: Tensor.from(device, new Float32Array([1]), { shape: [1], dtype: 'float32' }),
  });

export async function run() {
  const watched = watch();
  const { AutoModel, AutoTokenizer, env, Tensor: TheirTensor } = await load('@huggingface/transformers');
  Object.assign(env, { localModelPath: '/examples/', allowLocalModels: true, allowRemoteModels: false });
  const device = await requestDevice();
  const tokenizer = await AutoTokenizer.from_pretrained('tiny-model');
  const options = (executionProviders?: unknown) => ({
    device: 'webgpu',
    dtype: 'fp32',
    session_options: { preferredOutputLocation: 'gpu-buffer', ...(executionProviders !== undefined && { executionProviders }) },
  });
  const modelOf = (executionProviders?: unknown) => AutoModel.from_pretrained('tiny-model', options(executionProviders));
  const model = await modelOf([{ name: 'webgpu', device }]);
  const hiddenOf = async (which: Library, words: string): Promise<Library> => (await which(await tokenizer(words))).last_hidden_state;
  const layer = layerOf(device);
  const yOf = (hidden: Library, by = layer) =>
    by.forward(Tensor.wrap(by.device, hidden.ort_tensor.gpuBuffer, { shape: hidden.dims, dtype: 'float32' }));

  const hidden = await hiddenOf(model, 'one two three');
  const inHidden: GPUBuffer = hidden.ort_tensor.gpuBuffer;
  const y = yOf(hidden);
  const first = { location: hidden.location, y: [...(await y.read())], copies: watched.of(inHidden, y.buffer), usage: inHidden.usage };

  // y as a tensor of transformers.js, read back by it.
  const Ort = hidden.ort_tensor.constructor;
  const theirs = new TheirTensor(Ort.fromGpuBuffer(y.buffer, { dataType: 'float32', dims: y.shape, download: () => y.read() }));
  const back = {
    same: theirs.ort_tensor.gpuBuffer === y.buffer,
    read: [...(await theirs.ort_tensor.getData())],
    copies: watched.of(y.buffer),
  };

  // Another model of the same device, one without the option, and one with another device: whose buffers are the hidden states?
  const otherDevice = await requestDevice();
  const whose = async (executionProviders?: unknown) => {
    const one = await modelOf(executionProviders);
    const its: GPUDevice | undefined = await env.backends.onnx.webgpu.device;
    const found: string[] = [];
    for (const [name, of] of Object.entries({ device, otherDevice, ...(its && { its }) })) {
      const y = await outcome(async () => [...(await yOf(await hiddenOf(one, 'two'), layerOf(of)).read())].map(Number));
      if (typeof y !== 'string') found.push(name);
    }
    await one.dispose();
    await new Promise((done) => setTimeout(done, 100)); // a lost device tells it later
    const lives = its && typeof (await outcome(() => layerOf(its))) !== 'string';
    return { found, ...(its && { lives }) };
  };
  const others = {
    same: await whose([{ name: 'webgpu', device }]),
    without: await whose(),
    other: await whose([{ name: 'webgpu', device: otherDevice }]),
  };

  hidden.dispose();
  const disposed = watched.destroyed.has(inHidden);
  await model.dispose();
  const after = await outcome(async () =>
    [...(await layer.forward(Tensor.from(device, new Float32Array(K).fill(1), { shape: [1, K], dtype: 'float32' })).read())].map(Number),
  );
  return { first, back, others, disposed, after };
}

/** `env.backends.onnx.webgpu.device`, which is said to set the device. */
export async function byEnvironment() {
  const { AutoModel, AutoTokenizer, env } = await load('@huggingface/transformers');
  Object.assign(env, { localModelPath: '/examples/', allowLocalModels: true, allowRemoteModels: false });
  const device = await requestDevice();
  let set: string | boolean = true;
  try {
    env.backends.onnx.webgpu.device = device;
  } catch (error) {
    set = (error as Error).message;
  }
  const options = { device: 'webgpu', dtype: 'fp32', session_options: { preferredOutputLocation: 'gpu-buffer' } };
  const model = await AutoModel.from_pretrained('tiny-model', options);
  const tokenizer = await AutoTokenizer.from_pretrained('tiny-model');
  const hidden = await outcome(async () => (await model(await tokenizer('two'))).last_hidden_state);
  if (typeof hidden === 'string') return { set, y: hidden };
  const x = Tensor.wrap(device, (hidden as Library).ort_tensor.gpuBuffer, { shape: (hidden as Library).dims, dtype: 'float32' });
  const y = await outcome(async () => [...(await layerOf(device).forward(x).read())].map(Number));
  const its: GPUDevice = await env.backends.onnx.webgpu.device;
  return { set, y, its: its === device };
}
