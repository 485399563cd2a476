// The worker of worker.html: makes the layer once, answers each x with its y, and transfers the numbers instead of copying them.
import { LinearWeightQuant, requestDevice, Tensor } from 'antiquant';

const [K, N] = [64, 8];

async function makeLayer() {
  const device = await requestDevice();
  const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' });
  layer.load({
    weight: Tensor.from(device, new Int8Array(N * K).fill(1), { shape: [N, K], dtype: 'int8' }),
    antiquantScale: Tensor.from(
      device,
      Float32Array.from({ length: N }, (_, n) => n / 2),
      { shape: [N], dtype: 'float32' },
    ),
  });
  await layer.prepare([1]);
  return layer;
}
const ready = makeLayer();

self.addEventListener('message', async ({ data }) => {
  try {
    const layer = await ready;
    const x = Tensor.from(layer.device, data.x, { shape: [1, K], dtype: 'float32' });
    const out = layer.forward(x);
    const y = await out.read();
    for (const tensor of [x, out]) tensor.destroy();
    self.postMessage({ y }, [y.buffer]);
  } catch (error) {
    self.postMessage({ error: error.message });
  }
});
