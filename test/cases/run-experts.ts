// Runs experts on a device and compares y with the CPU reference. Every engine calls it.
import { ExpertLayers, encodeExperts, readPairCounts, sortPairs, type Tensor } from '../../src/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { type ExpertCase, expectedOf, idsOf, makeExperts, sumsOf, weightsOf } from './expert-cases.js';
import { type CaseReport, multiply, residualOf, upload } from './run-case.js';

export async function runExpertCase(device: GPUDevice, c: ExpertCase): Promise<CaseReport> {
  const made = makeExperts(c);
  const layers = new ExpertLayers(device, {
    experts: c.experts,
    inFeatures: c.k,
    outFeatures: c.n,
    dtype: c.dtype,
    bias: c.bias,
    plan: { caps: c.caps, ...(c.force && { force: c.force }) },
  });
  device.pushErrorScope('validation');
  const data = Float32Array.from(made.biases.flatMap((bias) => [...((bias?.data as Float32Array | undefined) ?? [])]));
  const bias = c.bias ? upload(device, { data, shape: [c.experts, c.n], dtype: 'float32' }) : undefined;
  layers.loadMatrices(made.matrices, bias && { bias });
  bias?.buffer.destroy();
  const list = idsOf(c);
  // Behind other ids, so that the first one is no first element of its buffer.
  const ids = upload(device, { data: list, shape: [c.m, c.top], dtype: 'int32' }, 5);
  const sorted = c.sorted ? sortPairs(ids, c.experts) : undefined;
  const { accuracy, dispatches } = c.summed
    ? layers.explain(c.m, c.top, { summed: true })
    : layers.explain(c.own ? c.m * c.top : c.m, c.own ? 1 : c.top);
  const pairs = expectedOf(c, made, { ids: list, accuracy });
  const shape = c.summed ? [c.m, c.n] : pairs.shape;
  const residual = c.add ? residualOf(`residual of ${c.name}`, { shape, dtype: c.dtype, whole: c.exact }) : undefined;
  const factors = weightsOf(c);
  const want = c.summed ? sumsOf(c, pairs, factors, residual) : pairs;
  const weights = c.summed ? upload(device, { data: factors, shape: [c.m, c.top], dtype: 'float32' }, 3) : undefined;
  const x = c.own ? { ...made.x, shape: [c.m, c.top, c.k] } : made.x;
  const encode = (pass: GPUComputePassEncoder, input: Tensor, y: Tensor) =>
    encodeExperts(pass, layers, input, y, { ...(sorted ? { sorted } : { ids }), weights }, { add: c.add ? y : undefined });
  const { failures, error } = await multiply(device, encode, { x, lead: 0, want, yOffset: 0, exact: c.exact, residual });
  weights?.buffer.destroy();
  if (sorted) {
    const counts = [...(await readPairCounts(sorted))];
    const wanted = [...made.matrices.keys(), -1].map((e) => list.filter((id) => (e < 0 ? id < 0 || id >= c.experts : id === e)).length);
    if (counts.join() !== wanted.join()) failures.push(`pairs of experts: got ${counts}, want ${wanted}`);
  }
  const invalid = await device.popErrorScope();
  if (invalid) failures.push(`validation: ${invalid.message}`);
  layers.destroy();
  sorted?.sorted.destroy();
  ids.buffer.destroy();
  return { name: c.name, variants: [...new Set(dispatches.map((s) => variantId(s.shader, s.params)))], failures, error };
}
