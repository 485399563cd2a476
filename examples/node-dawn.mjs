// Node without a browser: npm install antiquant webgpu, then node node-dawn.mjs. Quantizes float weights, and compares with the CPU.
import { LinearWeightQuant, referenceMatrix, requestDevice, Tensor } from 'antiquant';
import { quantize } from 'antiquant/formats';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals); // GPUBufferUsage and its relatives
globalThis.dawn = create([]); // Dawn ends when nothing refers to it
const device = await requestDevice({ gpu: globalThis.dawn });

const [n, k] = [256, 512];
const weights = Float32Array.from({ length: n * k }, (_, i) => Math.sin(i * i));
const { matrix, report } = await quantize(weights, { n, k, bits: 4, groupSize: 32, method: 'mse' });
const layer = new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32' });
layer.loadMatrix(matrix);

const data = Float32Array.from({ length: k }, (_, i) => Math.cos(i));
const y = await layer.forward(Tensor.from(device, data, { shape: [1, k], dtype: 'float32' })).read();
const { accuracy, kernel } = layer.explain(1);
const { low, high } = referenceMatrix({ data, shape: [1, k], dtype: 'float32' }, matrix, { accuracy });
const inside = y.filter((value, i) => low[i] <= value && value <= high[i]).length;
console.log(
  `${n} × ${k} in ${report.bytes} bytes, ${report.sqnr.toFixed(1)} dB; ${kernel}: ${inside} of ${n} results inside their interval`,
);
process.exit(0); // Dawn's threads do not end by themselves
