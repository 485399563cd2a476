// What every consumer does with the package: a product, a matrix quantized in a Worker, and a language model in a Worker; all numbers with ===.
import { LinearWeightQuant, requestDevice, Tensor } from 'antiquant';
import { byteSource, findLayers, openModel, quantize, quantizeInWorker } from 'antiquant/formats';
import { shaders } from 'antiquant/shaders';

/** As many numbers, each the same. */
const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);

const [N, K, M] = [24, 96, 3];
const weight = Int8Array.from({ length: N * K }, (_, i) => ((i * 7 + (i >> 5)) % 15) - 7);
const scale = Float32Array.from({ length: N }, (_, n) => 2 ** ((n % 5) - 2));
const x = Float32Array.from({ length: M * K }, (_, i) => (i % 9) - 4);
const wanted = Float32Array.from({ length: M * N }, (_, i) => {
  const [m, n] = [Math.floor(i / N), i % N];
  let sum = 0;
  for (let k = 0; k < K; k++) sum += x[m * K + k] * weight[n * K + k];
  return sum * scale[n];
});

/** y = x Wᵀ of small whole numbers, which no order of adding up rounds. */
export async function product() {
  const device = await requestDevice();
  const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' });
  layer.load({
    weight: Tensor.from(device, weight, { shape: [N, K], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, scale, { shape: [N, 1], dtype: 'float32' }),
  });
  const y = await layer.forward(Tensor.from(device, x, { shape: [M, K], dtype: 'float32' })).read();
  return { product: same(y, wanted), nonzero: wanted.some((value) => value !== 0) };
}

/** The same codes and scales from a Worker as from the calling thread, and a Worker did it. */
export async function quantized(worker) {
  const weights = Float32Array.from({ length: N * K }, (_, i) => Math.sin(i));
  const options = { n: N, k: K, bits: 4, groupSize: 32 };
  const [own, { matrix, noWorker }] = [quantize(weights, options).matrix, await quantizeInWorker(weights, options, { worker })];
  return { quantized: same(matrix.codes, own.codes) && same(matrix.scale, own.scale), noWorker: noWorker ?? '' };
}

/** Readers, and texts of shaders. */
export async function files(bytes) {
  const { layers } = await findLayers(await openModel(await byteSource(bytes)));
  return { layers: layers.length, shaders: shaders['lib/weights.wgsl'].includes('//') };
}
