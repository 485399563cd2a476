// Runs a format's case on a device: from bytes through a layer source, in pieces, to y, which is compared with the CPU reference,
// and to rows of its weights.
import { encode16, type FloatDType } from '../../src/dtype.js';
import {
  byteSource,
  findLayers,
  importMatMulNBits,
  type LayerSource,
  loadLayer,
  type QuantizedMatrix,
  readBias,
  readMatrix,
  type TensorFile,
} from '../../src/formats.js';
import { type HostTensor, referenceMatrix } from '../../src/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { random } from './data.js';
import { type FormatCase, makers, type NodeCase } from './format-cases.js';
import { type CaseReport, multiply } from './run-case.js';
import { runMatrix } from './run-matrix.js';
import { rowFaults } from './run-rows.js';

/** The layer of a case, with the numbers of a seed. */
export async function layerOf(c: FormatCase, seed = c.name): Promise<LayerSource> {
  const entries = await Promise.all(
    c.tensors(makers(seed)).map(async ({ name, dtype, shape, bytes }) => {
      const source = await byteSource(bytes);
      return [name, { name, dtype, shape, source, begin: 0, end: bytes.length }] as const;
    }),
  );
  const file: TensorFile = { kind: c.kind, name: c.name, metadata: c.metadata ?? {}, tensors: new Map(entries) };
  const { layers, refused } = await findLayers(file, { config: c.config, torchNpu: c.torchNpu });
  if (refused[0]) throw refused[0].error;
  if (layers.length !== 1) throw new Error(`${c.name}: ${layers.length} layers`);
  return layers[0]!;
}

/** In pieces of 600 bytes or so. */
export async function runFormatCase(device: GPUDevice, c: FormatCase): Promise<CaseReport> {
  const source = await layerOf(c);
  device.pushErrorScope('validation');
  const layer = await loadLayer(device, source, { dtype: c.dtype, chunkBytes: 600 });
  const matrix = await readMatrix(source);
  const bias = await readBias(source);
  const x = activations(c.name, matrix, c.dtype);
  const { accuracy, dispatches } = layer.explain(x.shape[0]!);
  const want = referenceMatrix(x, matrix, { accuracy, bias: bias && { data: bias, shape: [matrix.n], dtype: 'float32' } });
  const { failures, error } = await multiply(device, (...given) => layer.encode(...given), { x, lead: 0, want, yOffset: 0, exact: false });
  failures.push(...(await rowFaults(layer, matrix, c.dtype)));
  const invalid = await device.popErrorScope();
  if (invalid) failures.push(`validation: ${invalid.message}`);
  layer.destroy();
  return { name: c.name, variants: dispatches.map((step) => variantId(step.shader, step.params)), failures, error };
}

export function activations(seed: string, { k }: Pick<QuantizedMatrix, 'k'>, dtype: FloatDType): HostTensor {
  const next = random(`x of ${seed}`);
  const values = Float32Array.from({ length: 3 * k }, () => 2 * next() - 1);
  return { data: dtype === 'float32' ? values : encode16(values, dtype), shape: [3, k], dtype };
}

export function runNodeCase(device: GPUDevice, { name, bits, k, block }: NodeCase): Promise<CaseReport> {
  const make = makers(name);
  const blocks = Math.ceil(k / block);
  const n = 13;
  const matrix = importMatMulNBits(
    {
      B: make.bytes('B', [n, blocks, (block * bits) / 8]),
      scales: make.floats('scales', [n * blocks]),
      zero_points: make.bytes('zero_points', [n * Math.ceil((blocks * bits) / 8)]),
    },
    { N: n, K: k, bits, block_size: block },
  );
  const c = { name, dtype: 'float16' as const, exact: false, innerPrecise: 0 as const, force: undefined, caps: {} };
  return runMatrix(device, c, { matrix, x: activations(name, matrix, 'float16') });
}
